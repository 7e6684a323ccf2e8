"""The pages that take the place of the table: all about a statement, a connection or another row, and the help. A page is a list of
lines, as in view.
"""

import json
import math

from observer import portable
from terminal import tabs, text
from terminal.findings import someone


LONGEST_HISTOGRAM = 14  # lines

HELP_ON_KEYS = (
    ("1 … 6, Tab", "the tables"), ("↑ ↓ PgUp PgDn g G", "choose a row"), ("⏎", "all about the row; Esc goes back"),
    ("s, S", "sort by the next, or the previous column"), ("r", "turn the order round"),
    ("/", "show only rows that contain these words; Esc shows all again"), ("p, space", "pause: ask nothing, change nothing"),
    ("k", "cancel the statement of the connection: it asks twice"), ("q", "quit"))


def fields(pairs, columns):
    """Names and values in as many pairs of columns as there is room for; a pair without a value is left out."""
    pairs = [(name, value) for name, value in pairs if value not in (None, "", text.UNKNOWN)]
    cells = 39
    across = max(1, (columns - 2) // cells)
    down = -(-len(pairs) // across)
    frame = []
    for y in range(down):
        line = [("  ", "plain")]
        for x in range(across):
            if x * down + y < len(pairs):
                name, value = pairs[x * down + y]
                line += [(text.fit(name, 17), "faint"), (" " + text.fit(str(value), cells - 19) + " ", "plain")]
        frame.append(line)
    return frame


def paragraph(title, words, columns, style="plain"):
    """A heading and lines below it."""
    frame = [[], [("  " + title, "strong")]]
    for line in words:
        for part in text.wrap(line, max(20, columns - 6)):
            frame.append([("    " + part, style)])
    return frame


def histogram(classes, columns):
    """How many executions took how long: a line for each doubling of the time, or each fourth where these are many.
    `classes`: [upper end in ms, executions], from the shortest to the longest."""
    classes = [(upper, calls) for upper, calls in classes if upper > 0]
    if not classes:
        return []
    # The classes end at powers of two of a nanosecond, and seven times between two of them.
    doublings = [math.ceil(math.log2(upper * 1e6) - 1e-9) for upper, _ in classes]
    step = 1 if doublings[-1] - doublings[0] < LONGEST_HISTOGRAM else 2
    lines = {number: [0, 2.0 ** (number * step) / 1e6] for number in range(-(-doublings[0] // step), -(-doublings[-1] // step) + 1)}
    for doubling, (_, calls) in zip(doublings, classes):
        lines[-(-doubling // step)][0] += calls
    whole, most = sum(calls for _, calls in classes), max(calls for calls, _ in lines.values())
    cells = max(10, min(60, columns - 40))
    frame = [[], [("  How long an execution takes", "strong")], [("      up to      calls      %", "faint")]]
    for calls, upper in lines.values():
        bar = "▇" * max(1 if calls else 0, round(cells * calls / most))
        frame.append([(f"    {text.milliseconds(upper):>7} {text.count(calls):>10} {text.percent(calls / whole):>6}  ", "plain"), (bar, "title")])
    return frame


def distribution(row, columns):
    """The same from percentiles, where the histogram is not known: the share of the calls from one to the next as a bar."""
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


def statement(row, plan, indexes, running, columns):
    """One statement: its text, how long it takes, what it costs, its plan, and what would help."""
    frame = [[("  " + line, "plain")] for line in text.wrap(text.clean(row["query"]), max(20, columns - 4))]
    if plan:
        frame += paragraph("Plan", [text.clean(line) for line in plan.split("\n")], columns)
    elif plan is None:
        frame += paragraph("Plan", ["Not known yet: it is made in the background, once for each version of the schema."], columns, "faint")
    for index in indexes:
        create = text.clean(portable(index["sql_to_run"])) + ";"
        frame += paragraph("An index would help", [create, "Plan with it: " + text.clean(index["plan_after"])], columns)
    if running:
        frame += paragraph("Runs now", [f"{someone(other)} for {text.milliseconds(other['query_ms'])}" for other in running], columns)
    frame += histogram(json.loads(row["histogram"]), columns) if row.get("histogram") else distribution(row, columns)
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
        ("failed: locked", text.count((row["busy_errors"] or 0) + (row["snapshot_conflicts"] or 0))),
        ("different texts", text.count(row["texts"])), ("kind", text.clean(row["kind"])), ("first seen", text.local_time(row["first_seen"])),
        ("last seen", text.local_time(row["last_seen"])), ("query_id", text.clean(row["query_id"]))], columns)
    return frame


def connection(row, readers, waits, columns):
    """One connection: what it does, what it holds, and its counters."""
    frame = [[("  " + text.clean(someone(row)), "strong"), (f"   {row.get('shape', '')}", "plain")]]
    if row["query"]:
        frame += paragraph("Runs" if row["state"] == "active" else "Ran last", [text.clean(row["query"])], columns)
    told = []
    if row["state"] == "idle in transaction":
        lasts = text.milliseconds(row["transaction_ms"])
        told.append(f"It is idle in a transaction ({row['transaction_state'] or 'not known'}) for {lasts}: its program must COMMIT or "
                    "ROLLBACK. No statement runs that could be cancelled.")
    if (row["still_ms"] or 0) > 1000:
        told.append(f"Its statement has returned no row for {text.milliseconds(row['still_ms'])}: its program must fetch all rows or "
                    "close the cursor.")
    if row["waiting_for"]:
        told.append(f"It waits for the lock {row['waiting_for']} for {text.milliseconds(row['waiting_ms'])}, which connection "
                    f"{row['blocked_by'] or '?'} (pid {row['blocked_by_pid'] or '?'}) holds.")
    told += [f"It makes {someone(other)} wait for {text.milliseconds(other['waiting_ms'])}: {text.clean(other['query'])}" for other in waits]
    told += [f"It holds frame {text.count(reader['frame'])} of the log, {text.count(reader['lag_frames'])} frames "
             f"({text.size(reader['lag_bytes'])}) behind; it prevents: {reader['blocks'] or 'nothing'}." for reader in readers]
    if told:
        frame += paragraph("What matters", told, columns)
    frame += [[], [("  Since it was opened", "strong")]]
    frame += fields([
        ("connection_id", row["connection_id"]), ("pid", row["pid"]), ("process", text.clean(row["process"])), ("role", text.clean(row["role"])),
        ("opened", text.local_time(row["opened_at"])), ("last active", text.local_time(row["last_active_at"])),
        ("transaction", text.clean(row["transaction_state"])),
        ("statements", text.count(row["statements"])), ("rows", text.count(row["rows"])), ("commits", text.count(row["commits"])),
        ("rollbacks", text.count(row["rollbacks"])), ("upgraded reads", text.count(row["transactions_upgraded"])),
        ("cache hits %", text.percent(row["cache_hit_ratio"])), ("cache", text.size(row["cache_used_bytes"])),
        ("schema", text.size(row["schema_used_bytes"])), ("statement memory", text.size(row["statement_used_bytes"])),
        ("cache spills", text.count(row["cache_spills"])), ("trace", text.clean(row["trace"])), ("SQLite", text.clean(row["sqlite_version"])),
        ("foreign keys", {0: "off", 1: "on"}.get(row["foreign_keys"])), ("pages copied", text.count(row["pages_done"])),
        ("pages in all", text.count(row["pages_total"]))], columns)
    return frame


def row(tab, shown, alerts, columns):
    """Any other row: every column in full."""
    words = [(column.title.capitalize(), tabs.shown_text(column, shown)) for column in tab.columns]
    frame = [[]] + fields([pair for pair in words if text.width(pair[1]) <= 20], columns)
    for title, value in words:
        if text.width(value) > 20:
            frame += paragraph(title, [value], columns)
    if tab is tabs.HEALTH:
        frame += _about_a_check(shown, alerts, columns)
    return frame[1:]


def _about_a_check(check, alerts, columns):
    frame = []
    if check["warning_at"] is not None or check["critical_at"] is not None:
        warning, critical = (tabs.measured(check[name], check["unit"]) for name in ("warning_at", "critical_at"))
        setting = text.clean(check["check_name"]) + ".warning"
        frame += paragraph("Thresholds", [f"warning at {warning}, critical at {critical}: SELECT wal_set('{setting}', …);"], columns)
    if alerts:
        lines = []
        for alert in alerts:
            until = f"until {text.local_time(alert['cleared_at'])}" if alert["cleared_at"] else "not over"
            lines.append(f"{text.local_time(alert['raised_at'])} {text.clean(alert['status'])}, {until}: {text.clean(alert['detail'])}")
        frame += paragraph("Alerts, newest first", lines, columns)
    if check.get("evidence"):
        frame += paragraph("Evidence", [text.clean(check["evidence"])], columns)
    if check.get("sql_to_run"):
        frame += paragraph("SQL that does it", [text.clean(check["sql_to_run"]) + ";"], columns)
    return frame


def help_for(tab, sentences, columns):
    """The keys, and what the columns mean."""
    frame = [[("  Keys", "strong")]]
    for key, does in HELP_ON_KEYS:
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
