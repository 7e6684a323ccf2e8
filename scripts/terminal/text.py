"""Text for a terminal: what a database says, made harmless; numbers with their units; cells and lines of a given width.

The rule: nothing that came from a database reaches the terminal but through clean(). A width is a number of cells.
"""

import datetime
import functools
import unicodedata

_ASCII = {"●": "*", "○": "o", "▲": "!", "■": "#", "→": ">", "▇": "#", "░": ".", "─": "-", "…": "~", "▼": "v", "△": "^", "µ": "u", "⏎": "enter",
          "▁": ".", "▂": ".", "▃": "-", "▄": "-", "▅": "=", "▆": "=", "█": "#", "↑": "up", "↓": "down"}
_LONGEST = 20_000  # characters of one value that are looked at


def clean(value):
    """The value as one line of printable characters whose width width() knows. Controls and what could steer a terminal
    or turn the order of its text around are replaced or left out, and so are combining marks that have no character of
    their own together with their base."""
    if value is None:
        return ""
    text = str(value)[:_LONGEST]
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_harmless, unicodedata.normalize("NFC", text)))


_width_of = None


def trust_widths(width_of):
    """From here on a character is replaced whose width the terminal's library sees otherwise: a line would be longer than it seems."""
    global _width_of
    _width_of = width_of
    _harmless.cache_clear()


@functools.lru_cache(maxsize=4096)
def _harmless(char):
    if " " <= char <= "~":
        return char
    category = unicodedata.category(char)
    if category in ("Mn", "Me", "Cf"):
        return ""
    if category[0] == "Z" or char in "\t\n\r\v\f":
        return " "
    # Parts of Hangul syllables that are left alone have no width that terminals agree on.
    if category[0] == "C" or "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7ff":
        return "?"
    if _width_of is not None and _width_of(ord(char)) != _cells(char):
        return "?"
    return char


def as_ascii(text):
    """The text for a terminal that knows ASCII only, in as many cells wherever that matters."""
    if text.isascii():
        return text
    return "".join(char if char < "\x7f" else _ASCII.get(char) or "?" * _cells(char) for char in text)


def _cells(char):
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def width(text):
    """The cells of a clean text."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def cut(text, cells):
    """The beginning of the text that fits, with an ellipsis where something is left out."""
    if width(text) <= cells:
        return text
    if cells <= 0:
        return ""
    taken, used = [], 1
    for char in text:
        used += _cells(char)
        if used > cells:
            break
        taken.append(char)
    return "".join(taken) + "…"


def fit(text, cells, right=False):
    """The text in exactly so many cells."""
    text = cut(text, cells)
    space = " " * (cells - width(text))
    return space + text if right else text + space


def wrap(text, cells):
    """The text in lines, broken at spaces where there are any."""
    lines, line, used = [], "", 0
    for word in text.split(" "):
        while True:
            needed = width(word) + (1 if line else 0)
            if used + needed <= cells:
                line, used = (line + " " + word if line else word), used + needed
                break
            if line:
                lines.append(line)
                line, used = "", 0
                continue
            # A word that is longer than a line.
            end, part = 0, 0
            while end < len(word) and part + _cells(word[end]) <= cells:
                part += _cells(word[end])
                end += 1
            end = max(end, 1)
            lines.append(word[:end])
            word = word[end:]
    if line or not lines:
        lines.append(line)
    return lines


# --- numbers: three digits that count, and the unit; NULL is a dash

UNKNOWN = "-"


def _three(value):
    """A number of at least 0.001 and below 1000 in three significant digits."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _scaled(value, step, units):
    for unit in units[:-1]:
        if value < step * 0.9995:
            return _three(value) + unit
        value /= step
    return (_three(value) if value < 999.5 else f"{value:,.0f}") + units[-1]


def milliseconds(value):
    """A duration: `15.7µs`, `0.42ms`, `12.4ms`, `3.10s`, `4.5min`, `3.2h`, `2.1d`."""
    if value is None:
        return UNKNOWN
    if value < 0.0995:
        return _three(value * 1000) + "µs" if value > 0 else "0"
    if value < 999.5:
        return _three(value) + "ms"
    return age(value / 1000)


def age(seconds):
    """A time that has passed."""
    if seconds is None:
        return UNKNOWN
    if seconds < 99.95:
        return _three(max(seconds, 0)) + "s"
    for length, unit in ((60, "min"), (3600, "h"), (86400, "d")):
        if seconds < 100 * length or unit == "d":
            return _three(seconds / length) + unit
    return UNKNOWN


def size(value):
    """Bytes: `512B`, `61.4MB`."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f}B" if value < 1000 else _scaled(value / 1000, 1000, ("kB", "MB", "GB", "TB"))


def count(value):
    """A number of things: `14,893`, `1.23M`."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value < 999_999.5 else _scaled(value / 1e6, 1000, ("M", "G", "T"))


def rate(value):
    """Things a second: `0`, `0.25`, `812`, `14,893`."""
    if value is None:
        return UNKNOWN
    return "0" if value == 0 else _three(value) if value < 999.5 else count(value)


def percent(value):
    """A share of 1, as a percentage."""
    return UNKNOWN if value is None else f"{100 * value:.1f}"


def number(value):
    """A value of unknown kind."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return clean(value)
    return count(value) if float(value).is_integer() else f"{value:.3g}"


def local_time(stamp):
    """A time that a table shows in UTC, in the zone of the one who looks; to the second."""
    if not stamp:
        return UNKNOWN
    try:
        at = datetime.datetime.fromisoformat(stamp).replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return clean(stamp)
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def sparkline(values, cells):
    """The last values as a line of bars, the largest the highest; a gap where one is not known."""
    values = values[-cells:]
    most = max((value for value in values if value is not None), default=0)
    return "".join(" " if value is None else "▁▂▃▄▅▆▇█"[min(7, int(8 * value / most))] if most else "▁" for value in values)


def bar(share, cells):
    """A bar of so many cells, filled to the share."""
    full = min(cells, max(0, round((share or 0) * cells)))
    return "▇" * full + "░" * (cells - full)
