"""What the screen would show, all tables one below the other, as text for a file, a mail or a ticket: each row and column,
and no text is cut."""

import time

from terminal import findings, tabs, text, view


def _line(pieces):
    return "".join(piece for piece, _ in pieces).rstrip()


def _table(look, tab, columns):
    rows = look.rows[tab.key]
    if rows is None:
        return [f"This build of walmanager has no table {tab.table} yet."]
    column = tab.columns[tab.sort]
    rows = tabs.sorted_rows(tab.rows(look, rows), column, False)
    if not rows:
        return text.wrap(tabs.emptiness(tab, look), columns)
    cells = [[each.title + ("▼" if each is column else "") for each in tab.columns]]
    cells += [[tabs.shown_text(each, row) for each in tab.columns] for row in rows]
    widths = [max(map(text.width, words)) for words in zip(*cells)]
    return ["".join(" " + text.fit(words, width, each.right) for words, width, each in zip(line, widths, tab.columns)).rstrip() for line in cells]


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
