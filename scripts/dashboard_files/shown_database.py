"""One database that the page shows: what was read from it last, and how often it is read.

The observer's connection is read-only and holds no transaction between two questions. The sampler's thread and the
threads that answer requests use it one at a time, under `lock`.
"""

import json
import os
import re
import threading
import time

import queries
from observer import OWN_CHECKS, Observer, Unavailable, portable

APPLICATION = "walmanager dashboard"
LATER_S = {"advice": 0.3, "storage": 0.5, "samples": 1, "trends": 6}  # what a page that has just opened can wait for
UPDATE_S = 0.003  # after so much CPU time the rest waits for the next update
FIRST = ("metrics", "connections")  # never wait for the next one


def as_json(value):
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:  # JSON has no infinity; a number that is none is not known
        return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None), separators=(",", ":"), ensure_ascii=False)


def printable(text):
    """A path or a message whose bytes may be no UTF-8: as such it can be neither printed nor sent."""
    return os.fsencode(text).decode("utf-8", "replace")


FILE_FACTS = ("file", "journal_mode", "page_size", "database_bytes", "wal_bytes", "private_because")
# What there is of a section where nothing that programs do can be seen; None: it is about the file.
UNSEEN = {"connections": [], "readers": [], "lock_waits": [], "checkpoints": [], "alerts": [], "advice": [], "samples": {"at": []}, "trends": [],
          "health": [{"check_name": "overall", "area": None, "status": "unknown", "score": None, "value": None, "unit": None, "warning_at": None,
                      "critical_at": None, "detail": None, "recommendation": None}]}


def unseen_because(metrics):
    """Why what programs do cannot be seen, in a sentence, or None: what is counted then is about the observer alone."""
    mode, because = metrics.get("journal_mode"), metrics.get("private_because")
    if mode and mode != "wal":
        return f"The journal mode is {mode}. What programs do cannot be seen outside WAL mode."
    if because and not because.startswith("this connection is read-only"):
        user = " Run the dashboard as the application's user, or with sudo." if "ermission denied" in because else ""
        return f"What programs do cannot be seen: {because}.{user}"
    return None


class Pace:
    """How often something may be read: not before `seconds`, and so seldom that it takes `share` of a processor."""

    def __init__(self, seconds, share=0.001):
        self.seconds, self.share, self.next = seconds, share, 0.0

    def is_due(self, now):
        return now >= self.next

    def spent(self, now, cost):
        self.next = now + max(self.seconds, cost / self.share) - 0.05


class ShownDatabase:
    def __init__(self, number, path, library, name):
        self.number, self.path, self.library = number, os.path.abspath(path), library
        self.name, self.shown_path = printable(name), printable(self.path)
        self.lock = threading.RLock()
        self.observer = None  # while it is open
        self.state, self.said, self.since = "unknown", None, None
        self.sections = {}  # name: (version, JSON text)
        self.version = 0
        self.metrics = {}
        self.recent = {}  # the newest samples
        # Together less than a two-hundredth of a processor, also with 90 days of history.
        self.paces = {
            "metrics": Pace(1), "connections": Pace(1), "readers": Pace(2), "lock_waits": Pace(1), "checkpoints": Pace(1),
            "alerts": Pace(2), "health": Pace(5, 0.0005), "advice": Pace(20, 0.0004), "storage": Pace(20),
            "samples": Pace(1, 0.001), "trends": Pace(300, 0.0003), "overview": Pace(2)}
        self.forget_summary()
        self.counted = {}  # section: the counters for which it was read last

    # -- the connection

    def is_open(self):
        return self.observer is not None

    def close(self):
        with self.lock:
            if self.observer:
                self.observer.close()
            self.observer = None
            self.counted, self.metrics, self.recent = {}, {}, {}
            # A page that is opened later shows nothing that is old.
            self.sections = {name: section for name, section in self.sections.items() if name == "state"}

    def ensure(self):
        """Opens the database, or finds out why it cannot be read. Returns whether it can."""
        try:
            if not self.observer:
                observer = Observer(self.path, APPLICATION, self.library)
                observer.open()
                self.observer = observer
                for name, pace in self.paces.items():
                    pace.next = time.monotonic() + LATER_S.get(name, 0)
            else:
                self.observer.ask("SELECT 1")  # opens it anew where another file has taken its place
            self._is("ok", None)
        except Unavailable as unavailable:
            self._fails(unavailable)
        return self.state == "ok"

    def _fails(self, unavailable):
        self.close()
        said = printable(str(unavailable))
        self._is("missing" if not os.path.exists(self.path) else "corrupt" if "corrupt" in said else "unreadable", said)

    def _is(self, state, said):
        if (state, said) != (self.state, self.said):
            self.state, self.said, self.since = state, said, time.time()
            self.put("state", {"state": state, "said": said, "since": self.since * 1000})

    # -- reading

    def rows(self, sql, **values):
        """The rows as dicts, with the SQL in them as it is where the database is called main."""
        with self.lock:
            rows = self.observer.ask(sql, values)
        for row in rows:
            for name, value in row.items():
                if isinstance(value, str):
                    row[name] = portable(value)
        return rows

    def has_function(self, name):
        return bool(self.rows("SELECT 1 FROM pragma_function_list WHERE name = :name", name=name))

    def put(self, name, value):
        text = as_json(value)
        old = self.sections.get(name)
        if not old or old[1] != text:
            self.version += 1
            self.sections[name] = (self.version, text)

    def update(self):
        """Reads what is due, and returns whether something is left. The sampler's thread calls it once a second while a
        page shows this database; an update ends early, so that the page does not wait for what takes long."""
        with self.lock:
            all_began = time.thread_time()
            if not self.ensure():
                return False
            for name, pace in self.paces.items():
                now = time.monotonic()
                if name == "overview" or not pace.is_due(now):
                    continue
                began = time.thread_time()
                if name not in FIRST and began - all_began > UPDATE_S:
                    return True
                try:
                    if self.metrics.get("unseen") and name in UNSEEN:
                        self.put(name, UNSEEN[name])
                        self.counted = {}
                    else:
                        getattr(self, "_read_" + name)()
                except Unavailable as unavailable:
                    if name == "metrics" or not os.path.exists(self.path):
                        self._fails(unavailable)
                        return False
                    self.put("error_" + name, str(unavailable))  # the other cards go on
                else:
                    if "error_" + name in self.sections:
                        self.put("error_" + name, None)
                pace.spent(now, time.thread_time() - began)
            return False

    def _read_metrics(self):
        rows = self.rows(queries.METRICS)
        self.metrics = {**(rows[0] if rows else {}), "unseen": None, "at": time.time() * 1000}
        if because := unseen_because(self.metrics):
            self.metrics.update({name: None for name in self.metrics if name not in FILE_FACTS and name != "at"}, unseen=because)
        if self.metrics.get("processes") is not None:
            self.metrics["processes"] -= self._observers()
        self.put("metrics", self.metrics)

    def _observers(self):
        """Processes that only look: this one, other dashboards, scripts/watch, the console command."""
        return self.rows(queries.OBSERVERS)[0]["observers"]

    def _read_connections(self):
        self.put("connections", self.rows(queries.CONNECTIONS))

    def _read_readers(self):
        # Whether a cursor is still fetched from takes wal_readers a look 30 ms later, so it is read only where there are readers.
        self.put("readers", self.rows(queries.READERS) if self.metrics.get("active_readers") else [])

    def _has_counted(self, section, *counters):
        """Whether one of the counters of wal_metrics has changed since the section was read."""
        counted = [self.metrics.get(name) for name in counters] + [time.monotonic() // 5]  # a row can be later than its count
        changed = self.counted.get(section) != counted
        self.counted[section] = counted
        return changed

    def _read_lock_waits(self):
        if self._has_counted("lock_waits", "lock_waits", "busy_errors", "snapshot_conflicts"):
            self.put("lock_waits", self.rows(queries.LOCK_WAITS))

    def _read_checkpoints(self):
        if self._has_counted("checkpoints", "checkpoints", "checkpoints_application", "last_checkpoint_at"):
            self.put("checkpoints", self.rows(queries.CHECKPOINTS + " LIMIT 60"))

    def _read_samples(self):
        """The newest minute of samples, for the right end of the charts; history() gives a page that opens the rest."""
        last = self.recent["at"][-1] if self.recent.get("at") else None
        samples = self.history("15m", last)
        self.recent = {name: (self.recent.get(name, []) + values)[-60:] for name, values in samples.items()}
        self.put("samples", self.recent)

    def _read_health(self):
        rows = [row for row in self.rows(queries.HEALTH) if row["check_name"] not in OWN_CHECKS]
        number = {status: sum(row["status"] == status for row in rows if row["check_name"] != "overall") for status in ("critical", "warning", "unknown")}
        for row in rows:
            if row["check_name"] == "overall":  # without the checks that are left out
                row["score"] = max(0, 100 - 40 * number["critical"] - 10 * number["warning"] - 2 * number["unknown"])
                row["status"] = "critical" if number["critical"] else "warning" if number["warning"] else "ok"
        self.put("health", rows)

    def _read_alerts(self):
        self.put("alerts", self.rows(queries.ALERTS))

    def _read_advice(self):
        # The health checks are shown by themselves, and a PRAGMA is about the connection that asks: the page's own.
        self.put("advice", [row for row in self.rows(queries.ADVICE)
                            if not (row["evidence"] or "").startswith("system_health: ")
                            and not (row["area"] == "configuration" and (row["sql_to_run"] or "").startswith("PRAGMA "))])

    def _read_storage(self):
        rows = self.rows(queries.STORAGE)
        storage = rows[0] if rows else {}
        storage["unused_indexes"] = self.rows(queries.UNUSED_INDEXES)
        storage["io"] = self.rows(queries.IO) if self.observer.has("wal_io") else None
        self.put("storage", storage)

    def _read_trends(self):
        self.put("trends", self.rows(queries.TRENDS))

    def history(self, span, after=None):
        """The samples of a span as columns."""
        with self.lock:
            known = {row["name"] for row in self.observer.ask("SELECT name FROM pragma_table_info('wal_history')")}
            names = [name for name in queries.HISTORY_COLUMNS if name in known]
            rows = self.observer.ask(queries.HISTORY.format(columns=", ".join(names), resolution=queries.RESOLUTIONS[span]), {"after": after})
        return {name: [row[name] for row in rows] for name in names}

    def all_checkpoints(self):
        return self.rows(queries.CHECKPOINTS)

    def statements(self, order="total_ms", search="", limit=100):
        """The first statements in this order, and `cost_ms`, by which the page decides when it asks again."""
        began = time.thread_time()
        search = re.sub(r"([\\%_])", r"\\\1", search)
        direction = "" if order == "query" else " DESC NULLS LAST"
        rows = self.rows(queries.STATEMENTS.format(order=order + direction), search=search, limit=limit)
        found = rows[0]["found"] if rows else 0
        for row in rows:
            del row["found"]
        sums = self.rows(queries.STATEMENT_SUMS)[0]
        return {"rows": rows, "found": found, **sums, "cost_ms": (time.thread_time() - began) * 1000}

    def statement(self, query_id):
        rows = self.rows(queries.STATEMENT, query_id=query_id)
        if not rows:
            return None
        try:
            rows[0]["histogram"] = json.loads(self.rows(queries.STATEMENT_HISTOGRAM, query_id=query_id)[0]["histogram"])
        except (Unavailable, TypeError, ValueError):
            rows[0]["histogram"] = None  # an older walmanager, or no execution has ended yet
        rows[0]["indexes"] = self.rows(queries.STATEMENT_INDEXES, query_id=query_id)
        return rows[0]

    # -- the overview of several databases

    def summary(self):
        """The database as one row of the overview."""
        with self.lock:
            summary = {"number": self.number, "name": self.name, "path": self.shown_path}
            if self.ensure():
                try:
                    row = self.rows(queries.OVERVIEW)[0]
                    if because := unseen_because(row):
                        row.update({name: None for name in row if name not in FILE_FACTS}, unseen=because)
                    if row["processes"] is not None:
                        row["processes"] -= self._observers()
                    summary.update(row, at=time.time() * 1000)
                except Unavailable as unavailable:
                    self._fails(unavailable)
            return {**summary, "state": self.state, "said": self.said}

    def forget_summary(self):
        self.summary_text = as_json({"number": self.number, "name": self.name, "path": self.shown_path, "state": "unknown", "said": None})
        self.paces["overview"].next = 0.0

    def update_summary(self, share):
        """Reads the row if it is due, at such a share of a processor. Returns whether it did."""
        pace, now = self.paces["overview"], time.monotonic()
        if not pace.is_due(now):
            return False
        self.ensure()  # to open it is no part of what it costs each time
        began = time.thread_time()
        self.summary_text = as_json(self.summary())
        pace.share = share
        pace.spent(now, time.thread_time() - began)
        return True

    def cancel(self, connection_id, query, running_ms):
        """Interrupts the statement of a connection, if it is still this one, that has run for so long: 1, or 0 where it
        runs none or another one. Raises Unavailable with the reason."""
        with Observer(self.path, APPLICATION, self.library) as observer:  # it takes up to two seconds; the page goes on
            rows = observer.ask(queries.RUNNING, {"id": connection_id})
            if rows and (rows[0]["query"] != query or (rows[0]["query_ms"] or 0) < running_ms):
                return 0
            return observer.ask("SELECT wal_cancel(:id) AS cancelled", {"id": connection_id})[0]["cancelled"]

    def openmetrics(self):
        """The text, or None where it would tell of the observer alone."""
        if unseen_because(self.rows(queries.METRICS)[0]):
            return None
        return self.rows("SELECT wal_openmetrics() AS text")[0]["text"]
