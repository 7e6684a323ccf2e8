"""What the screen shows, as frames: lists of lines, which are lists of (text, style) pieces. Nothing here knows curses.

The first three lines never scroll: how the database is, what is wrong first, and what the table below shows.
"""

import functools
import os

from terminal import findings, tabs, text

HEADER_LINES = 3
KEYS_WIDE = 150  # columns from which on tabs and keys stand in one line

SHAPE_STYLES = {"●": "ok", "▲": "alert", "■": "bad"}  # where no row is chosen

KEYS = (("s", "sort"), ("/", "filter"), ("p", "pause"), ("⏎", "detail"), ("k", "cancel"), ("?", "help"), ("q", "quit"))


# --- the first three lines

def _overall(look):
    """Style and words of the state of health."""
    row = next((row for row in look.health if row["check_name"] == "overall"), None)
    if row is None or row["score"] is None or look.metrics.get("private_because"):
        return "plain", "? not known"
    return (row["status"] if row["status"] in ("ok", "warning", "critical") else "plain",
            f"{findings.SHAPES.get(row['status'], '?')} {row['status']} {row['score']}")


def _mb(value):
    return "-" if value is None else f"{value / 1e6:.1f}"


def state_line(look, path, columns):
    """The database in a line: each fact as long as there is room."""
    metrics = look.metrics
    style, words = _overall(look)
    name = text.cut(text.clean(os.path.basename(path)), max(8, columns // 4))
    pieces = [(f" {name}  ", "strong"), (f" {words} " if style in ("warning", "critical") else words, style), ("  ", "plain")]
    room = columns - sum(text.width(piece) for piece, _ in pieces)
    if metrics.get("journal_mode") != "wal":
        pieces.append((f"journal_mode is {text.clean(metrics.get('journal_mode') or 'not known')}: there is no log", "plain"))
        return pieces
    limit = metrics["wal_limit_bytes"]
    share = tabs.ratio(metrics["wal_bytes"], limit)
    waiting = sum(row["waiting_for"] is not None for row in look.connections)
    programs = sum(row["role"] == "application" for row in look.connections)
    log = f"log {_mb(metrics['wal_bytes'])}/{_mb(limit)} MB"
    frames = text.count(metrics["pending_frames"])
    # The observer's own numbers say nothing of the programs'.
    known = (lambda value: value) if not metrics.get("private_because") else lambda _: None
    commits = text.rate(known(metrics.get("commits_per_s")))
    pending, readers, speed = f"pending {frames}", f"readers {text.count(metrics['active_readers'])}", f"commits {commits}/s"
    p99 = f"1min p99 {text.milliseconds(look.minute.get('commit_p99_ms'))}"
    bar = functools.partial(text.bar, share)
    full = [f"{log} {bar(10)}", f"{pending} frames", readers, speed, p99]
    more = [f"waiting {text.count(known(waiting))}", f"connections {text.count(known(programs))}", f"database {text.size(metrics['database_bytes'])}"]
    history = text.sparkline(look.commit_rates, 24)
    # The first that fits is shown.
    choices = [
        full[:3] + [f"{speed} {history}".rstrip()] + full[4:] + more, full + more, full + more[:2], full + more[:1], full,
        [f"{log} {bar(10)}", pending, readers, speed, p99], [f"{log} {bar(5)}", pending, readers, speed, p99],
        [f"{log} {bar(5)}", pending, speed, p99], [f"{log} {bar(5)}", pending, f"{commits}/s", p99],
        [log, pending, f"{commits}/s", p99], [log, f"{commits}/s", p99], [log, f"{commits}/s"], [log]]
    for choice in choices:
        for between in ("   ", "  "):
            words = between.join(choice)
            if text.width(words) < room:
                return pieces + [(words, "plain")]
    return pieces


def problem_line(look, path, columns):
    """The most important finding, and how many more there are."""
    found = findings.ranked(look, path)
    first = found[0]
    rest = f" +{len(found) - 1} [6] " if len(found) > 1 else " "
    words = text.fit(first.sentence, columns - text.width(rest) - 3)
    return [(f" {findings.SHAPES[first.status]} ", SHAPE_STYLES.get(findings.SHAPES[first.status], "strong")),
            (words, "strong" if first.status in ("critical", "warning") else "plain"), (rest, "strong")]


def rule(columns, left, right=()):
    """A line across the screen with words in it."""
    pieces = [("──", "faint")]
    for words, style in left:
        pieces += [(" ", "plain"), (words, style), (" ", "plain"), ("─", "faint")]
    tail = []
    for words, style in right:
        tail += [(" ", "plain"), (words, style), (" ", "plain"), ("─", "faint")]
    room = columns - sum(text.width(piece) for piece, _ in pieces + tail)
    return pieces + [("─" * max(0, room), "faint")] + tail


def header(look, path, columns, left, right):
    return [state_line(look, path, columns), problem_line(look, path, columns), rule(columns, left, right)]


# --- the last two lines

def keys(pairs):
    """Keys, and what they do."""
    line = []
    for key, does in pairs:
        line += [(f"  {key}", "strong"), (f" {does}", "plain")]
    return line


def keys_lines(tab, columns, pairs=KEYS):
    """Tabs and keys: in one line below a rule where there is room, else the tabs in the rule."""
    names = [(f" [{other.key}] {other.name}", "title" if other is tab else "plain") for other in tabs.ALL]
    if columns >= KEYS_WIDE:
        return [rule(columns, []), names + [("  ", "plain")] + keys(pairs)]
    line = []
    for name, style in names:
        line += [(name.lstrip(), style), (" ", "plain"), ("─" * (columns >= 88), "faint"), (" " * (columns >= 88), "plain")]
    room = columns - sum(text.width(piece) for piece, _ in line)
    return [line + [("─" * max(0, room), "faint")], keys(pairs)]


# --- the table

def columns_of(tab, columns):
    """The columns that have room, and their widths: the last one of width 0 takes the rest."""
    shown = [column for column in tab.columns if column.since <= columns]
    used = sum(column.cells + 1 for column in shown if column.cells)
    return [(column, column.cells or max(8, columns - used - 1)) for column in shown]


def table(tab, rows, columns, lines, sort, turned, chosen, first, stale):
    """Heading and rows from the first on."""
    shown = columns_of(tab, columns)
    heading = []
    for column, cells in shown:
        mark = ("△" if turned == column.falling else "▼") if column is sort else ""
        title = text.fit(text.cut(column.title, cells - len(mark)) + mark, cells, column.right)
        heading += [(" ", "plain"), (title, "title" if column is sort else "strong")]
    frame = [heading]
    for number, row in enumerate(rows[first:first + lines - 1], first):
        style = "chosen" if number == chosen else "faint" if stale else "plain"
        line = []
        for column, cells in shown:
            words = " " + text.fit(tabs.shown_text(column, row), cells, column.right)
            if style == "plain" and words[1:2] in SHAPE_STYLES:
                line += [(" ", "plain"), (words[1], SHAPE_STYLES[words[1]]), (words[2:], "plain")]
            else:
                line.append((words, style))
        frame.append(line)
    return frame


def note(words, columns, lines):
    """A sentence in the place of a table."""
    frame = [[]]
    for line in text.wrap(words, max(20, columns - 8)):
        frame.append([("    " + line, "plain")])
    return frame[:lines]
