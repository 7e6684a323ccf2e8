"""What scripts/watch asks the database, how often, and the rates that it computes from two answers.

Every second: the row of wal_metrics, the connections, and the table that is shown. Every five seconds what costs more: health
and percentiles. Nothing is asked while the display is paused.
"""

import time

from observer import IS_OBSERVER, OWN_CHECKS, Unavailable, portable

HEALTH_EVERY_S = 5.0
ADVICE_EVERY_S = 30.0
RATES_KEPT = 30

METRICS = """
SELECT file, journal_mode, page_size, database_bytes, wal_bytes, wal_frames, wal_limit_bytes, pending_frames, active_readers,
       commits, commit_p99_ms, checkpointer, unmanaged_processes, private_because, inline_because, statistics_since,
       due_frames, strategy, lock_waits, busy_errors, checkpoints, wal_resets
FROM wal_metrics WHERE schema = :schema"""
# Without those that only look, as this one does.
CONNECTIONS = f"SELECT * FROM connection_metrics WHERE NOT {IS_OBSERVER} AND connection_id IS NOT :own"
MINUTE = "SELECT commit_p99_ms, query_p95_ms, commits FROM wal_periods WHERE schema = :schema AND period = 'minute' AND part = 'current'"
HEALTH = """
SELECT check_name, area, status, score, value, unit, warning_at, critical_at, detail, recommendation
FROM system_health WHERE schema = :schema"""
ADVICE = """
SELECT priority, area, finding, evidence, action, sql_to_run, total_ms
FROM wal_recommendations WHERE schema = :schema ORDER BY priority"""
READERS = "SELECT * FROM wal_readers WHERE schema = :schema AND connection_id IS NOT :own"


def _as_main(row):
    """The row with the SQL in it as it must read on a connection of the application's own."""
    return {name: portable(value) if isinstance(value, str) else value for name, value in row.items()}


class Rates:
    """How fast counters grow, by the key of their row: from two answers that are a second or more apart."""

    def __init__(self):
        self._before = {}  # table: (when, {key: row})

    def add(self, table, rows, key, names, now):
        """Puts `<name>_per_s` into each row, None as long as only one answer is known."""
        when, before = self._before.get(table, (None, {}))
        pairs = [(name, name + "_per_s") for name in names]
        if when is None:
            for row in rows:
                row.update((rate, None) for _, rate in pairs)
        else:
            scale = 1 / max(now - when, 1e-3)
            zero = dict.fromkeys(names, 0)  # a row that is new since the last answer has counted from zero
            for row in rows:
                old = before.get(row[key], zero)
                for name, rate in pairs:
                    new, known = row[name], old[name]
                    # A counter that has become smaller was reset.
                    row[rate] = None if new is None or known is None else (new - known) * scale if new > known else 0
        self._before[table] = (now, {row[key]: row for row in rows})

    def forget(self):
        """After a pause or a loss the next answer is the first again."""
        self._before.clear()


class Look:
    """The last answers. `problem` is the sentence why they are stale, since `stale_since`; None while they are fresh."""

    def __init__(self, observer, clock=time.monotonic):
        self._observer = observer
        self._clock = clock
        self._rates = Rates()
        self._asked = {}
        self.metrics = {}
        self.minute = {}
        self.commit_rates = []  # of the last updates; None where the answer failed or was the first
        self.connections = []
        self.readers = []
        self.health = []
        self.advice = []
        self.rows = {}  # tab: rows
        self.problem = None
        self.stale_since = None
        self.at = None  # when the answers came, in Unix time
        self.alone_since = None  # since when no program has the database open

    def ask(self, sql, **parameters):
        """One question more, for a detail; raises Unavailable."""
        return self._observer.ask(sql, {"own": self._observer.connection_id, **parameters})

    def refresh(self, *shown):
        """Asks for what these tabs show. Says nothing of errors but in `problem`."""
        try:
            self._refresh(shown)
            self.problem = self.stale_since = None
            self.at = self.now()
        except Unavailable as unavailable:
            if self.problem is None:
                self.stale_since = self.at or self.now()
            self.problem = str(unavailable)
            self._rates.forget()
            self._remember(None)

    def running(self, query):
        """The connections that run this statement."""
        return [row for row in self.connections if row["state"] == "active" and row["query"] == query]

    @staticmethod
    def now():
        """The time that `at` is of."""
        return time.time()

    def resume(self):
        """After a pause."""
        self._rates.forget()
        self._asked.clear()

    def _remember(self, commits_per_s):
        self.commit_rates = self.commit_rates[1 - RATES_KEPT:] + [commits_per_s]

    def _due(self, what, every_s):
        now = self._clock()
        if what in self._asked and now - self._asked[what] < every_s:
            return False
        self._asked[what] = now
        return True

    def _refresh(self, shown):
        metrics = self.ask(METRICS)
        if not metrics:
            raise Unavailable("walmanager does not see the database.", transient=True)
        connections = self.ask(CONNECTIONS)
        # wal_readers takes 30 ms to see whether a program still fetches from its cursors.
        readers = self.ask(READERS) if metrics[0]["active_readers"] else []
        now = self._clock()
        rates = self._rates
        rates.add("metrics", metrics, "file", ("commits",), now)
        rates.add("connections", connections, "connection_id", ("statements", "commits"), now)
        if self._due("health", HEALTH_EVERY_S):
            self.health = [_as_main(row) for row in self.ask(HEALTH) if row["check_name"] not in OWN_CHECKS]
            if metrics[0]["private_because"]:  # that all is well is then about the observer alone
                self.health = [row for row in self.health if row["status"] != "ok"]
            self.minute = (self.ask(MINUTE) or [{}])[0]
        if any(tab.wants_advice for tab in shown) and self._due("advice", ADVICE_EVERY_S):
            self.advice = [_as_main(row) for row in self.ask(ADVICE)]
        self._remember(metrics[0]["commits_per_s"])
        self.metrics, self.connections, self.readers = metrics[0], connections, readers
        for tab in shown:
            self._ask_for(tab)
        programs = any(row["role"] == "application" for row in connections) or (metrics[0]["unmanaged_processes"] or 0) > 0
        if programs:
            self.alone_since = None
        elif self.alone_since is None:
            self.alone_since = self.now()

    def _ask_for(self, tab):
        if tab.table and not self._has(tab.table):
            self.rows[tab.key] = None
            return
        rows = self.ask(tab.sql) if tab.sql else []  # without SQL they come from what is asked for every tab
        if tab.counters:
            for row in rows:
                row["key"] = tab.identity(row)
            self._rates.add(tab.key, rows, "key", tab.counters, self._clock())
        self.rows[tab.key] = rows

    def _has(self, table):
        if table not in self._asked:
            self._asked[table] = self._observer.has(table)
        return self._asked[table]
