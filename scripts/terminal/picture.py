"""The screen of scripts/watch as an SVG, for scripts/pictures: tmux runs watch, and says how its screen looks."""

import html
import os
import pathlib
import re
import subprocess
import time

WATCH = pathlib.Path(__file__).resolve().parents[1] / "watch"
CELL, LINE, SIZE = 8.4, 19, 14  # pixels
INK, PAPER, FAINT = "#d6dae0", "#15181d", "#7f8894"
COLOURS = {0: "#15181d", 1: "#ff6b5e", 2: "#3ccf91", 3: "#f0b429", 4: "#5aa9ff", 5: "#d18ee2", 6: "#56cfe1", 7: "#ffffff"}
SECONDS = 12  # until there are rates, and a history of commits


def screen(database, columns, lines):
    """The lines of the screen, with escape sequences for their styles."""
    tmux = ["tmux", "-u", "-f", "/dev/null", "-L", f"picture-{os.getpid()}"]
    subprocess.run([*tmux, "new-session", "-d", "-x", str(columns), "-y", str(lines), "-e", "LC_ALL=C.UTF-8", f"'{WATCH}' '{database}'",
                    ";", "set-option", "-g", "status", "off"], check=True)
    try:
        time.sleep(SECONDS)
        return subprocess.run([*tmux, "capture-pane", "-p", "-e"], check=True, text=True, capture_output=True).stdout.split("\n")[:lines]
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)


def pieces(line, style):
    """(text, style) of the line; style is changed as its escape sequences say."""
    for sequence, words in re.findall(r"(?:\x1b\[([\d;]*)m)?([^\x1b]*)", line.replace("\x0f", "").replace("\x1b(B", "")):
        for number in map(int, filter(None, (sequence or "x").replace("x", "").split(";"))):
            if number == 0:
                style.clear()
            elif number in (1, 2, 7):
                style[{1: "bold", 2: "faint", 7: "reverse"}[number]] = True
            elif number in (39, 49):
                style.pop("ink" if number == 39 else "paper", None)
            elif 30 <= number < 48:
                style["ink" if number < 40 else "paper"] = COLOURS[number % 10]
        if words:
            yield words, dict(style)


def svg(lines, columns):
    width, height = columns * CELL + 24, len(lines) * LINE + 24
    drawn = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" '
             f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="{SIZE}">',
             f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>']
    style = {}
    for y, line in enumerate(lines):
        x = 0
        for words, now in pieces(line, style):
            ink, paper = now.get("ink", FAINT if now.get("faint") else INK), now.get("paper")
            if now.get("reverse"):
                ink, paper = PAPER, ink
            left, top, long = 12 + x * CELL, 12 + y * LINE, len(words) * CELL
            if paper:
                drawn.append(f'<rect x="{left:.1f}" y="{top}" width="{long:.1f}" height="{LINE}" fill="{paper}"/>')
            if words.strip():
                bold = ' font-weight="bold"' if now.get("bold") else ""
                drawn.append(f'<text x="{left:.1f}" y="{top + 14}" fill="{ink}" textLength="{long:.1f}" lengthAdjust="spacingAndGlyphs" '
                             f'xml:space="preserve"{bold}>{html.escape(words)}</text>')
            x += len(words)
    return "\n".join(drawn + ["</svg>"]) + "\n"
