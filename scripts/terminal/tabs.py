"""The tabs: which rows each shows, in which columns, and how they are sorted.

A column has a value, by which rows are sorted, and shows it as text. `about` names the column of a table in wal_help that the
help page quotes, or is a sentence.
"""

import dataclasses
import datetime
import typing

from terminal import findings, text

LATER = "\uffff"  # sorts behind all names


@dataclasses.dataclass(frozen=True)
class Column:
    title: str
    cells: int
    value: typing.Callable
    show: typing.Callable = text.clean
    right: bool = True
    since: int = 0  # columns of the terminal from which on there is room for it
    about: str = ""
    falling: bool = True  # what sorting by it puts first: the largest


@dataclasses.dataclass(frozen=True)
class Tab:
    key: str
    name: str
    rows: typing.Callable  # look, rows that the SQL returned -> the rows
    columns: tuple
    sort: int  # the column by which it is sorted at first
    identity: typing.Callable
    empty: str  # what would appear here, and how
    table: str = ""  # the tab needs it, and an older library may lack it
    sql: str = ""
    asks: str = ""  # for the help, where the SQL is not one for this tab
    counters: tuple = ()  # columns of the SQL that become rates
    wants_advice: bool = False


def names(*keys):
    """The first of these that a row has, cleaned."""
    def value(row):
        for key in keys:
            if row.get(key) is not None:
                return text.clean(row[key])
        return ""
    return value


def field(key):
    return lambda row: row.get(key)


def seconds_since(stamp, now=None):
    """How long ago a time in UTC was that a table shows."""
    if not stamp:
        return None
    try:
        at = datetime.datetime.fromisoformat(stamp).replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return None
    return max(0.0, ((now or datetime.datetime.now(datetime.timezone.utc)) - at).total_seconds())


def ratio(part, whole):
    return part / whole if part is not None and whole else None


# --- 1 statements

def _statements(_look, rows):
    whole = sum(row["total_ms"] or 0 for row in rows)
    for row in rows:
        row["share"] = ratio(row["total_ms"] or 0, whole)
        row["load"] = None if row["total_ms_per_s"] is None else row["total_ms_per_s"] / 1000
        row["scans"] = ratio(row["fullscan_steps"], row["calls"])
        row["errors"] = (row["busy_errors"] or 0) + (row["snapshot_conflicts"] or 0)
    return rows


STATEMENTS = Tab(
    "1", "statements", _statements,
    (Column("TOTAL%", 7, field("share"), text.percent, about="the statement's share of the time of all statements since they were first seen"),
     Column("LOAD%", 6, field("load"), text.percent, since=100,
            about="how much of one processor's time it takes now: above 100 where several run at once"),
     Column("CALLS/s", 8, field("calls_per_s"), text.rate, about="executions that ended, a second, since the last update"),
     Column("CALLS", 9, field("calls"), text.count, since=120, about="query_performance.calls"),
     Column("MEAN", 7, field("mean_ms"), text.milliseconds, about="query_performance.mean_ms"),
     Column("P95", 7, field("p95_ms"), text.milliseconds, about="query_performance.p95_ms"),
     Column("P99", 7, field("p99_ms"), text.milliseconds, since=140, about="query_performance.p99_ms"),
     Column("MAX", 7, field("max_ms"), text.milliseconds, since=120, about="query_performance.max_ms"),
     Column("ROWS/s", 8, field("rows_per_s"), text.rate, about="rows returned or changed, a second, since the last update"),
     Column("SCANS", 7, field("scans"), text.rate, about="steps forward in full scans of tables, for one call: an index could save them"),
     Column("WAITED", 7, field("lock_wait_ms"), text.milliseconds, since=160, about="query_performance.lock_wait_ms"),
     Column("LOCKED", 7, field("errors"), text.count, since=150, about="executions that failed with \"database is locked\""),
     Column("STATEMENT", 0, names("query"), right=False, about="query_performance.query", falling=False)),
    0, lambda row: row["query_id"] or "(evicted)",
    "No statement has been measured yet. Each appears when a program that has loaded walmanager has run it.",
    sql="""
SELECT query_id, query, kind, calls, total_ms, mean_ms, p95_ms, p99_ms, max_ms, rows, fullscan_steps, lock_wait_ms, busy_errors,
       snapshot_conflicts
FROM query_performance WHERE schema = :schema""",
    counters=("calls", "total_ms", "rows"))


# --- 2 connections

def _connections(look, _rows):
    for row in look.connections:
        state = row["state"]
        if row["waiting_for"]:
            row["shape"] = f"▲ waits {row['waiting_for']}"
        elif state == "idle in transaction":
            row["shape"] = "▲ idle in txn"
        elif state == "active":
            row["shape"] = "▲ not fetched" if (row["still_ms"] or 0) > 1000 else "● active"
        elif state is None:
            row["shape"] = "? not seen"
        else:
            row["shape"] = "○ idle"
        row["since_ms"] = row["transaction_ms"] if row["transaction_ms"] is not None else row["query_ms"]
        row["who"] = row["application"] if row["role"] == "application" else f"({row['role']})"
        row["memory"] = sum(row[key] or 0 for key in ("cache_used_bytes", "schema_used_bytes", "statement_used_bytes"))
    return look.connections


CONNECTIONS = Tab(
    "2", "connections", _connections,
    (Column("PID", 7, field("pid"), lambda pid: text.UNKNOWN if pid is None else str(pid), about="connection_metrics.pid", falling=False),
     Column("APPLICATION", 15, names("who", "process"), right=False, about="connection_metrics.application", falling=False),
     Column("STATE", 13, field("shape"), right=False, falling=False,
            about="what it does: active, not fetched (a statement has returned rows, and its program fetches no more), idle, idle in txn "
                  "(a transaction is open, and no statement runs), or which lock it waits for"),
     Column("TXN", 5, field("transaction_state"), right=False, about="connection_metrics.transaction_state"),
     Column("FOR", 7, field("since_ms"), text.milliseconds, about="time since the open transaction, or the running statement, began"),
     Column("STMT/s", 7, field("statements_per_s"), text.rate, about="executions that ended, a second, since the last update"),
     Column("COMMIT/s", 9, field("commits_per_s"), text.rate, since=100, about="commits a second, since the last update"),
     Column("COMMITS", 9, field("commits"), text.count, since=130, about="connection_metrics.commits"),
     Column("CACHE%", 7, field("cache_hit_ratio"), text.percent, since=120, about="connection_metrics.cache_hit_ratio"),
     Column("MEMORY", 8, field("memory"), text.size, since=140, about="memory of its page cache, schema and prepared statements"),
     Column("PROCESS", 12, names("process"), right=False, since=150, about="connection_metrics.process", falling=False),
     Column("STATEMENT", 0, names("query"), right=False, about="connection_metrics.query", falling=False)),
    4, lambda row: row["connection_id"],
    "No program has the database open with walmanager. Each connection of a program that loads it appears here.",
    asks="SELECT * FROM connection_metrics")


# --- 3 waits

def _someone(application, pid):
    return application or (f"pid {pid}" if pid else None)


def _waits(look, ended):
    known = {row["connection_id"]: row for row in look.connections}
    rows = []
    for row in look.connections:
        if row["waiting_for"]:
            holder = known.get(row["blocked_by"], {})
            rows.append({"id": ("waits", row["connection_id"]), "order": 0, "what": "▲ waits now", "ago": 0.0, "ms": row["waiting_ms"],
                         "who": _someone(row["application"], row["pid"]), "lock": row["waiting_for"], "connection": row["blocked_by"],
                         "by": _someone(holder.get("application"), row["blocked_by_pid"]),
                         "query": row["query"], "by_query": holder.get("query"), "by_state": holder.get("state"),
                         "by_ms": holder.get("transaction_ms"), "pid": row["pid"], "by_pid": row["blocked_by_pid"]})
    for row, others in findings.log_holders(look):
        who = _someone(row["application"] or row["process"], row["pid"]) or "a reader"
        rows.append({"id": ("reads", row["slot"]), "order": 1, "what": "▲ pins log" if row["certain"] else "? may pin", "ago": 0.0,
                     "ms": row["transaction_ms"], "who": "checkpointer", "lock": row["blocks"], "by": who + (f" +{others}" if others else ""),
                     "connection": row["connection_id"], "query": row["query"], "by_query": row["query"], "by_state": row["verdict"],
                     "by_ms": row["transaction_ms"], "pid": None, "by_pid": row["pid"]})
    what = {"acquired": "○ waited", "given up": "○ gave up", "busy": "■ locked", "snapshot": "■ snapshot"}
    for row in ended or ():
        rows.append({"id": ("ended", row["id"]), "order": 2, "what": what.get(row["outcome"], "? " + row["outcome"]), "at": row["at"],
                     "ago": seconds_since(row["at"]), "ms": row["waited_ms"], "who": _someone(row["application"], row["pid"]), "lock": row["lock"],
                     "by": _someone(row["holder_application"], row["holder_pid"]),
                     "connection": row["holder_connection_id"] if row["holder_connection_id"] in known else None, "query": row["query"],
                     "by_query": row["holder_query"], "by_state": row["holder_state"], "by_ms": row["holder_transaction_ms"],
                     "pid": row["pid"], "by_pid": row["holder_pid"]})
    return rows


WAITS = Tab(
    "3", "waits", _waits,
    (Column("WHEN", 7, lambda row: (row["ago"] or 0, row["order"], -(row["ms"] or 0)), lambda key: "now" if key[0] == 0 else text.age(key[0]),
            about="how long ago the wait ended", falling=False),
     Column("WHAT", 11, field("what"), right=False, falling=False,
            about="waits now; pins log: a reader keeps frames from being copied, or the log from starting over; waited: it got the lock; "
                  "gave up: it went on without the lock; "
                  "locked: it failed with \"database is locked\"; snapshot: another connection had committed since it began to read, begin "
                  "with BEGIN IMMEDIATE"),
     Column("WAITER", 13, names("who"), right=False, about="who waited", falling=False),
     Column("FOR", 10, names("lock"), right=False, about="wal_lock_waits.lock", falling=False),
     Column("TIME", 7, field("ms"), text.milliseconds, about="how long"),
     Column("HOLDER", 16, names("by"), right=False, about="who holds or held it", falling=False),
     Column("HOLDER DOES", 20, names("by_state"), right=False, since=120, about="wal_lock_waits.holder_state", falling=False),
     Column("HOLDER'S STATEMENT", 40, names("by_query"), right=False, since=170, about="wal_lock_waits.holder_query", falling=False),
     Column("STATEMENT", 0, names("query"), right=False, about="wal_lock_waits.query", falling=False)),
    0, lambda row: row["id"],
    "No statement waits for a lock, and none has waited for long. Waits of 100 ms (the setting lock_wait_ms) or longer appear here.",
    table="wal_lock_waits", sql="SELECT * FROM wal_lock_waits WHERE schema = :schema")


# --- 4 checkpoints

_RESULTS = {"complete": "● complete", "partial": "▲ partial", "busy": "▲ busy", "skipped": "○ skipped", "failed": "■ failed"}


def _checkpoints(_look, rows):
    for row in rows:
        row["ago"] = seconds_since(row["at"])
    return rows


CHECKPOINTS = Tab(
    "4", "checkpoints", _checkpoints,
    (Column("WHEN", 7, field("ago"), text.age, about="how long ago it ended", falling=False),
     Column("RESULT", 10, field("result"), lambda result: _RESULTS.get(result, text.clean(result)), right=False,
            about="wal_checkpoints.result", falling=False),
     Column("MODE", 8, names("mode"), right=False, about="wal_checkpoints.mode", falling=False),
     Column("BY", 11, names("origin"), right=False, about="wal_checkpoints.origin", falling=False),
     Column("RULE", 16, names("rule"), right=False, since=120, about="wal_checkpoints.rule", falling=False),
     Column("MOVED", 8, field("moved_frames"), text.count, about="wal_checkpoints.moved_frames"),
     Column("OF", 8, field("wal_frames"), text.count, about="wal_checkpoints.wal_frames"),
     Column("LOG", 8, field("wal_bytes"), text.size, since=110, about="wal_checkpoints.wal_bytes"),
     Column("TOOK", 7, field("duration_ms"), text.milliseconds, about="wal_checkpoints.duration_ms"),
     Column("WHY NOT ALL", 0, names("error"), right=False, about="wal_checkpoints.error", falling=False)),
    0, lambda row: row["id"],
    "No checkpoint has run yet. One does when checkpoint_frames frames are pending, or after a minute.",
    sql="SELECT * FROM wal_checkpoints WHERE schema = :schema")


# --- 5 I/O

def _files(_look, rows):
    # Of the shared memory only errors are seen, and of a rollback journal nothing.
    rows = [row for row in rows if row["reads"] is not None or row["errors"]]
    for row in rows:
        row["read_mean_ms"] = ratio(row["read_ms"], row["reads"])
        row["write_mean_ms"] = ratio(row["write_ms"], row["writes"])
    return rows


IO = Tab(
    "5", "I/O", _files,
    (Column("FILE", 9, names("file"), right=False, about="wal_io.file", falling=False),
     Column("BY", 11, names("origin"), right=False, about="wal_io.origin", falling=False),
     Column("READS/s", 8, field("reads_per_s"), text.rate, about="reads a second, since the last update"),
     Column("READ/s", 8, field("read_bytes_per_s"), text.size, since=100, about="bytes read a second, since the last update"),
     Column("A READ", 7, field("read_mean_ms"), text.milliseconds, since=120, about="mean time of a read"),
     Column("WRITES/s", 9, field("writes_per_s"), text.rate, about="writes a second, since the last update"),
     Column("WRITTEN/s", 10, field("written_bytes_per_s"), text.size, about="bytes written a second, since the last update"),
     Column("A WRITE", 8, field("write_mean_ms"), text.milliseconds, since=120, about="mean time of a write"),
     Column("SYNCS/s", 8, field("syncs_per_s"), text.rate, about="syncs a second, since the last update"),
     Column("P50", 7, field("sync_p50_ms"), text.milliseconds, since=130, about="wal_io.sync_p50_ms"),
     Column("P99", 7, field("sync_p99_ms"), text.milliseconds, about="wal_io.sync_p99_ms"),
     Column("MAX", 7, field("sync_max_ms"), text.milliseconds, since=110, about="wal_io.sync_max_ms"),
     Column("ERRORS", 7, field("errors"), text.count, about="wal_io.errors"),
     Column("LAST ERROR", 0, names("last_error"), right=False, about="wal_io.last_error", falling=False)),
    0, lambda row: (row["file"], row["origin"]),
    "No file has been read or written yet.",
    table="wal_io", sql="SELECT * FROM wal_io WHERE schema = :schema",
    counters=("reads", "read_bytes", "writes", "written_bytes", "syncs"))


# --- 6 health

_ORDER = {status: number for number, status in enumerate(("critical", "warning", "advice", "unknown", "ok"))}
_NOTHING = {"value": None, "unit": None, "warning_at": None, "critical_at": None}


def measured(value, unit):
    """What a check compares with its thresholds, in its unit."""
    if value is None:
        return text.UNKNOWN
    if unit == "ms":
        return text.milliseconds(value)
    if unit == "bytes":
        return text.size(value)
    if unit == "MB":
        return text.size(value * 1e6)
    if unit == "ratio":
        return text.percent(value) + "%"
    if unit in ("checkpoints", "connections", "statements", "processes") and value == 1:
        unit = "process" if unit == "processes" else unit[:-1]
    return text.number(value) + (f" {unit}" if unit else "")


def _health(look, _rows):
    rows = [{**_NOTHING, "order": _ORDER[finding.status] - 0.5, "status": finding.status, "check_name": f"now: {finding.name}",
             "detail": finding.sentence, "recommendation": finding.advice, "id": ("now", finding.name, finding.connection),
             "connection": finding.connection} for finding in findings.now(look)]
    rows += [{**row, "order": _ORDER.get(row["status"], 3), "id": row["check_name"],
              # The number of a check without thresholds stands in its sentence, which says what it counts.
              "value": row["value"] if row["warning_at"] is not None or row["critical_at"] is not None else None} for row in look.health if row["check_name"] != "overall"]
    told = {row["recommendation"] for row in rows if row["recommendation"]}
    # The advice of a check stands with the check.
    rows += [{**_NOTHING, **row, "status": "advice", "order": _ORDER["advice"], "check_name": row["area"], "detail": row["finding"],
              "recommendation": row["action"], "id": ("advice", row["finding"])} for row in look.advice if row["action"] not in told]
    return rows


def _status(row):
    return f"{findings.SHAPES.get(row['status'], '?')} {row['status']}"


HEALTH = Tab(
    "6", "health", _health,
    (Column("STATUS", 10, lambda row: (row["order"], _status(row)), lambda key: text.clean(key[1]), right=False,
            about="what a check of system_health found; advice is a row of wal_recommendations", falling=False),
     Column("CHECK", 20, names("check_name"), right=False, about="system_health.check_name", falling=False),
     Column("VALUE", 13, lambda row: row["value"], None, since=100, about="what the check compares with its thresholds; % is a share, that of the log of its limit for instance"),
     Column("FINDING", 0, names("detail"), right=False, about="system_health.detail", falling=False),
     Column("WHAT TO DO", 60, names("recommendation"), right=False, since=150, about="system_health.recommendation", falling=False)),
    0, lambda row: row["id"],
    "Health is looked at every five seconds.", wants_advice=True, asks="SELECT * FROM system_health; SELECT * FROM wal_recommendations")

ALL = (STATEMENTS, CONNECTIONS, WAITS, CHECKPOINTS, IO, HEALTH)


def emptiness(tab, look):
    """What is said where the tab has no rows."""
    because = look.metrics.get("private_because")
    nothing_counted_yet = not because or because.startswith("this connection is read-only")
    return tab.empty if nothing_counted_yet else "What programs do cannot be seen; the reason stands above."


def shown_text(column, row):
    """What a cell shows."""
    if column.show is None:
        return measured(row["value"], row["unit"])
    return column.show(column.value(row))


def sort_key(column):
    """Sorts rows by the column; rows without a value come last, in both directions."""
    def key(row):
        value = column.value(row)
        return value.casefold() if isinstance(value, str) else value
    return key


def sorted_rows(rows, column, turned):
    """The rows by the column, what its sorting puts first at the top, or turned round."""
    key = sort_key(column)
    known = [row for row in rows if column.value(row) not in (None, "")]
    unknown = [row for row in rows if column.value(row) in (None, "")]
    return sorted(known, key=key, reverse=column.falling != turned) + unknown


def matches(tab, row, words):
    """Whether each word stands somewhere in the row."""
    line = " ".join(shown_text(column, row) for column in tab.columns).casefold()
    return all(word in line for word in words.casefold().split())
