"""What the screen would show, all tables one below the other, as text for a file, a mail or a ticket."""

import time

from terminal import findings, tabs, text, view

LONGEST_TABLE = 15  # rows


def _line(pieces):
    return "".join(piece for piece, _ in pieces).rstrip()


def _table(look, tab, columns):
    rows = look.rows[tab.key]
    if rows is None:
        return [f"This build of walmanager has no table {tab.table} yet."]
    column = tab.columns[tab.sort]
    rows = tabs.sorted_rows(tab.rows(look, rows), column, False)
    if not rows:
        return text.wrap(tab.empty, columns)
    frame = view.table(tab, rows, columns, LONGEST_TABLE + 1, column, False, None, 0, False)
    more = [f" and {text.count(len(rows) - LONGEST_TABLE)} more"] if len(rows) > LONGEST_TABLE else []
    return [_line(pieces) for pieces in frame] + more


def report(look, path, columns, interval, pause=time.sleep):
    """The lines. Rates are those of `interval` seconds, for which this waits."""
    look.refresh(*tabs.ALL)
    pause(interval)
    look.refresh(*tabs.ALL)
    look.commit_rates = []  # two of them make no picture
    if not look.metrics:
        return [text.clean(look.problem)]
    lines = [f"{text.clean(path)} at {time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(look.at or None))}", "",
             _line(view.state_line(look, path, columns))]
    for finding in findings.ranked(look, path):
        lines += [f" {findings.SHAPES[finding.status]} " + line if number == 0 else "   " + line
                  for number, line in enumerate(text.wrap(finding.sentence, columns - 4))]
        if finding.advice:
            lines += ["   → " + line if number == 0 else "     " + line for number, line in enumerate(text.wrap(text.clean(finding.advice), columns - 6))]
    for tab in tabs.ALL:
        lines += ["", _line(view.rule(columns, [(tab.name, "title")]))] + _table(look, tab, columns)
    return lines
