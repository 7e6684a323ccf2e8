"""What the screen shows, as frames: lists of lines, which are lists of (text, style) pieces. Nothing here knows curses.

The first three lines never scroll: how the database is, what is wrong first, and what the table below shows.
"""

import functools
import os

from observer import portable
from terminal import findings, tabs, text
from terminal.findings import clock, someone

HEADER_LINES = 3
KEYS_WIDE = 150  # columns from which on tabs and keys stand in one line

SHAPE_STYLES = {"●": "ok", "▲": "alert", "■": "bad"}  # where no row is chosen

KEYS = (("s", "sort"), ("/", "filter"), ("p", "pause"), ("⏎", "detail"), ("k", "cancel"), ("?", "help"), ("q", "quit"))


# --- the first three lines

def _overall(look):
    """Style and words of the state of health."""
    row = next((row for row in look.health if row["check_name"] == "overall"), None)
    if row is None or row["score"] is None:
        return "plain", "? not known"
    return (row["status"] if row["status"] in ("ok", "warning", "critical") else "plain",
            f"{findings.SHAPES.get(row['status'], '?')} {row['status']} {row['score']}")


def _mib(value):
    return "-" if value is None else f"{value / 1048576:.1f}"


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
    log = f"log {_mib(metrics['wal_bytes'])}/{_mib(limit)} MiB"
    frames = text.count(metrics["pending_frames"])
    commits = text.rate(metrics.get("commits_per_s"))
    pending, readers, speed = f"pending {frames}", f"readers {metrics['active_readers']}", f"commits {commits}/s"
    p99 = f"p99 {text.milliseconds(look.minute.get('commit_p99_ms'))}"
    bar = functools.partial(text.bar, share)
    full = [f"{log} {bar(10)}", f"{pending} frames", readers, speed, p99]
    more = [f"waiting {waiting}", f"connections {programs}", f"database {text.size(metrics['database_bytes'])}"]
    history = text.sparkline(look.commit_rates, 24)
    # The first that fits is shown.
    choices = [full[:3] + [f"{speed} {history}"] + full[4:] + more, full + more, full + more[:2], full + more[:1], full, [f"{log} {bar(10)}", pending, readers, speed, p99],
               [f"{log} {bar(5)}", pending, readers, speed, p99], [f"{log} {bar(5)}", pending, speed, p99], [f"{log} {bar(5)}", pending, f"{commits}/s", p99],
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

def keys_lines(tab, columns, keys=KEYS):
    """Tabs and keys: in one line below a rule where there is room, else the tabs in the rule."""
    names = [(f" [{other.key}] {other.name}", "title" if other is tab else "plain") for other in tabs.ALL]
    pressed = []
    for key, does in keys:
        pressed += [(f"  {key}", "strong"), (f" {does}", "plain")]
    if columns >= KEYS_WIDE:
        return [rule(columns, []), names + [("  ", "plain")] + pressed]
    line = []
    for name, style in names:
        line += [(name.lstrip(), style), (" ", "plain"), ("─" * (columns >= 88), "faint"), (" " * (columns >= 88), "plain")]
    room = columns - sum(text.width(piece) for piece, _ in line)
    return [line + [("─" * max(0, room), "faint")], pressed]


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


# --- details

def fields(pairs, columns):
    """Names and values in as many pairs of columns as there is room for; a pair without a value is left out."""
    pairs = [(name, value) for name, value in pairs if value not in (None, "", text.UNKNOWN)]
    cells = 40
    across = max(1, (columns - 2) // cells)
    down = -(-len(pairs) // across)
    frame = []
    for y in range(down):
        line = [("  ", "plain")]
        for x in range(across):
            if x * down + y < len(pairs):
                name, value = pairs[x * down + y]
                line += [(text.fit(name, 18), "faint"), (" " + text.fit(str(value), cells - 20) + " ", "plain")]
        frame.append(line)
    return frame


def paragraph(title, words, columns, style="plain"):
    """A heading and lines below it."""
    frame = [[], [("  " + title, "strong")]]
    for line in words:
        for part in text.wrap(line, max(20, columns - 6)):
            frame.append([("    " + part, style)])
    return frame


def distribution(row, columns):
    """How long the executions take: from one percentile to the next, the share of the calls as a bar."""
    steps = [("fastest half", 0.50, row["min_ms"], row["p50_ms"]), ("next 45 %", 0.45, row["p50_ms"], row["p95_ms"]),
             ("next 4 %", 0.04, row["p95_ms"], row["p99_ms"]), ("slowest 1 %", 0.01, row["p99_ms"], row["max_ms"])]
    if row["calls"] is None or row["calls"] < 2 or any(high is None for _, _, _, high in steps):
        return []
    cells = max(10, min(60, columns - 50))
    frame = [[], [("  How long an execution takes", "strong")]]
    for words, share, low, high in steps:
        # Neighbouring percentiles come from a histogram, so the last can lie a little above the exact maximum.
        low, high = min(low or 0, high), max(low or 0, high)
        frame.append([(f"    {words:<13}", "plain"), (f"{text.milliseconds(low):>8} … {text.milliseconds(high):<8} ", "plain"),
                      ("▇" * max(1, round(share * 2 * cells)), "title")])
    return frame


def statement_detail(row, plan, indexes, running, columns):
    """One statement: its text, how long it takes, what it costs, its plan, and what would help."""
    frame = [[("  " + line, "plain")] for line in text.wrap(text.clean(row["query"]), max(20, columns - 4))]
    frame += distribution(row, columns)
    frame += [[], [("  Since it was first seen", "strong")]]
    calls = row["calls"] or 0
    frame += fields([
        ("calls", text.count(calls)), ("total", text.milliseconds(row["total_ms"])), ("mean", text.milliseconds(row["mean_ms"])),
        ("deviation", text.milliseconds(row["stddev_ms"])), ("p50", text.milliseconds(row["p50_ms"])), ("p95", text.milliseconds(row["p95_ms"])),
        ("p99", text.milliseconds(row["p99_ms"])), ("longest", text.milliseconds(row["max_ms"])), ("slow calls", text.count(row["slow_calls"])),
        ("rows", text.count(row["rows"])), ("rows a call", text.rate(tabs.ratio(row["rows"], calls))),
        ("scanned a call", text.rate(tabs.ratio(row["fullscan_steps"], calls))), ("sorts", text.count(row["sorts"])),
        ("rows auto-indexed", text.count(row["auto_index_rows"])), ("cache misses", text.count(row["cache_misses"])),
        ("frames written", text.count(row["wal_frames"])), ("stalled by ckpts", text.milliseconds(row["checkpoint_stall_ms"])),
        ("waits for locks", text.count(row["lock_waits"])), ("waited for locks", text.milliseconds(row["lock_wait_ms"])),
        ("database is locked", text.count((row["busy_errors"] or 0) + (row["snapshot_conflicts"] or 0))),
        ("different texts", text.count(row["texts"])), ("kind", text.clean(row["kind"])), ("first seen", text.local_time(row["first_seen"])),
        ("last seen", text.local_time(row["last_seen"])), ("query_id", text.clean(row["query_id"]))], columns)
    if plan:
        frame += paragraph("Plan", [text.clean(line) for line in plan.split("\n")], columns)
    elif plan is None:
        frame += paragraph("Plan", ["Not known yet: it is made in the background, once for each version of the schema."], columns, "faint")
    for index in indexes:
        frame += paragraph("An index would help", [text.clean(portable(index["sql_to_run"])) + ";", "Plan with it: " + text.clean(index["plan_after"])], columns)
    if running:
        frame += paragraph("Runs now", [f"{someone(other)} for {text.milliseconds(other['query_ms'])}" for other in running], columns)
    return frame


def connection_detail(row, readers, waits, columns):
    """One connection: what it does, what it holds, and its counters."""
    frame = [[("  " + text.clean(someone(row)), "strong"), (f"   {row.get('shape', '')}", "plain")]]
    if row["query"]:
        frame += paragraph("Runs" if row["state"] == "active" else "Ran last", [text.clean(row["query"])], columns)
    told = []
    if row["state"] == "idle in transaction":
        told.append(f"It is idle in a transaction ({row['transaction_state'] or 'not known'}) for {text.milliseconds(row['transaction_ms'])}: its program "
                    "must COMMIT or ROLLBACK. No statement runs that could be cancelled.")
    if (row["still_ms"] or 0) > 1000:
        told.append(f"Its statement has returned no row for {text.milliseconds(row['still_ms'])}: its program must fetch all rows or close the cursor.")
    if row["waiting_for"]:
        told.append(f"It waits for the lock {row['waiting_for']} for {text.milliseconds(row['waiting_ms'])}, which connection "
                    f"{row['blocked_by'] or '?'} (pid {row['blocked_by_pid'] or '?'}) holds.")
    told += [f"It makes {text.clean(other['application']) or other['connection_id']} wait for {text.milliseconds(other['waiting_ms'])}: {text.clean(other['query'])}"
             for other in waits]
    told += [f"It holds frame {text.count(reader['frame'])} of the log, {text.count(reader['lag_frames'])} frames "
             f"({text.size(reader['lag_bytes'])}) behind; it prevents: {reader['blocks'] or 'nothing'}." for reader in readers]
    if told:
        frame += paragraph("What matters", told, columns)
    frame += [[], [("  Since it was opened", "strong")]]
    frame += fields([
        ("connection_id", row["connection_id"]), ("pid", row["pid"]), ("process", text.clean(row["process"])), ("role", text.clean(row["role"])),
        ("opened", text.local_time(row["opened_at"])), ("last active", text.local_time(row["last_active_at"])), ("transaction", text.clean(row["transaction_state"])),
        ("statements", text.count(row["statements"])), ("rows", text.count(row["rows"])), ("commits", text.count(row["commits"])),
        ("rollbacks", text.count(row["rollbacks"])), ("upgraded from read", text.count(row["transactions_upgraded"])),
        ("cache hits %", text.percent(row["cache_hit_ratio"])), ("cache", text.size(row["cache_used_bytes"])),
        ("schema", text.size(row["schema_used_bytes"])), ("statements' memory", text.size(row["statement_used_bytes"])),
        ("cache spills", text.count(row["cache_spills"])), ("trace", text.clean(row["trace"])), ("SQLite", text.clean(row["sqlite_version"])),
        ("foreign keys", {0: "off", 1: "on"}.get(row["foreign_keys"])), ("pages copied", text.count(row["pages_done"])),
        ("pages in all", text.count(row["pages_total"]))], columns)
    return frame


def row_detail(tab, row, alerts, columns):
    """Any other row: every column in full."""
    frame = []
    for column in tab.columns:
        words = tabs.shown_text(column, row)
        if words and words != text.UNKNOWN:
            frame += paragraph(column.title.capitalize(), [words], columns)
    if tab is tabs.HEALTH:
        if row["warning_at"] is not None or row["critical_at"] is not None:
            frame += paragraph("Thresholds", [f"warning at {tabs.measured(row['warning_at'], row['unit'])}, critical at "
                                              f"{tabs.measured(row['critical_at'], row['unit'])}: SELECT wal_set('{text.clean(row['check_name'])}.warning', …)"],
                               columns)
        if alerts:
            frame += paragraph("Alerts, newest first", [f"{text.local_time(alert['raised_at'])} {text.clean(alert['status'])}, " + (
                f"until {text.local_time(alert['cleared_at'])}" if alert["cleared_at"] else "not over") + f": {text.clean(alert['detail'])}" for alert in alerts], columns)
        if row.get("evidence"):
            frame += paragraph("Evidence", [text.clean(row["evidence"])], columns)
        if row.get("sql_to_run"):
            frame += paragraph("SQL that does it", [text.clean(row["sql_to_run"]) + ";"], columns)
    return frame[1:]


def help_page(tab, sentences, columns):
    """The keys, and what the columns mean."""
    frame = [[("  Keys", "strong")]]
    for key, does in (("1 … 6, Tab", "the tables below"), ("↑ ↓ PgUp PgDn g G", "choose a row"), ("⏎", "detail of the row; Esc goes back"),
                      ("s, S", "sort by the next, or the previous column"), ("r", "turn the order round"),
                      ("/", "show only rows that contain these words; Esc shows all again"), ("p, space", "pause: ask nothing, change nothing"),
                      ("k", "cancel the statement of the connection: it asks twice"), ("q", "quit")):
        frame.append([("    " + text.fit(key, 20), "strong"), (text.cut(does, max(10, columns - 26)), "plain")])
    frame += [[], [(f"  [{tab.key}] {tab.name}", "strong")]]
    for column in tab.columns:
        about = text.clean(sentences.get(column.about, column.about if "." not in column.about or " " in column.about else ""))
        lines = text.wrap(about, max(20, columns - 26))
        frame.append([("    " + text.fit(column.title, 20), "strong"), (lines[0], "plain")])
        frame += [[(" " * 24 + line, "plain")] for line in lines[1:]]
    if tab.sql or tab.asks:
        sql = " ".join((tab.sql or tab.asks).split()).replace(":schema", "'main'") + ";"
        frame += paragraph("The same as SQL, in a sqlite3 shell that has loaded walmanager", [sql], columns)
    frame += [[], [("  ● well or active   ▲ look at it   ■ bad   ○ at rest   ? not known   - no value", "plain")],
              [("  It opens the database read-only, holds no transaction between updates, and its questions are not measured.", "faint")]]
    return frame
