"""What walmanager says about "database is locked": history, health checks, alerts and advice, each from waits of real
processes."""

import re

import pytest

from conftest import connect, metrics, one
from control_sections import age_lock_waits
from waiting import poll, wait_for
from workers import WorkerError, fast_path, worker  # noqa: F401 (fixtures)

INSERT = "INSERT INTO t(payload) VALUES (1)"
SHOWN = "INSERT INTO t (payload) VALUES (?)"
UPDATE = "UPDATE t SET payload = 2 WHERE id = 1"
SHOWN_UPDATE = "UPDATE t SET payload = ? WHERE id = ?"


@pytest.fixture
def shell(fast_path):  # noqa: F811
    """The operator's connection."""
    db = connect(fast_path, timeout=20)
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(INSERT)
    yield db
    db.close()


@pytest.fixture
def program(worker, fast_path):  # noqa: F811
    """Makes processes with a connection that has a name, and gives up after so many seconds."""
    def make(name, timeout=20):
        process = worker(fast_path, timeout=timeout)
        process.run(f"db.execute({UPDATE!r}); db.execute('SELECT wal_application_name(?)', ({name!r},)).fetchall()")
        return process
    return make


def check(db, name):
    cursor = db.execute("SELECT * FROM system_health WHERE check_name = ?", (name,))
    return dict(zip([column[0] for column in cursor.description], cursor.fetchone()))


def advice(db, finding):
    """The rows with such a finding."""
    cursor = db.execute("SELECT * FROM wal_recommendations WHERE finding LIKE ? ORDER BY finding", (finding,))
    return [dict(zip([column[0] for column in cursor.description], row)) for row in cursor]


IDLE = "% holds a lock while it is idle in a transaction"
SHORT = "the busy timeout of % is too short"
UPGRADE = "a transaction that has read fails when it begins to write"
OLD_UPGRADE = "transactions that begin with a read and then write"


def told_by_health(db):
    return one(db, "SELECT count(*) FROM wal_recommendations WHERE evidence LIKE 'system_health: lock_waits%' "
                   "OR evidence LIKE 'system_health: busy_errors%'")


def locked(process, sql):
    with pytest.raises(WorkerError, match="database is locked"):
        process.run(f"db.execute({sql!r})")


def waits_for(process, holder, ms):
    """Begins a statement that waits for the holder's commit for so long. The caller ends the wait."""
    process.start("run", f"db.execute({INSERT!r})")
    return lambda db: one(db, "SELECT coalesce(max(waiting_ms), 0) FROM connection_metrics WHERE blocked_by_pid = ?", holder.pid) >= ms


def begin(holder):
    holder.run(f"db.execute('BEGIN IMMEDIATE'); db.execute({UPDATE!r})")


def test_a_writer_that_is_idle_in_its_transaction(shell, program, fast_path):
    holder, waiter = program("import"), program("web order")
    one(shell, "SELECT wal_set('lock_waits.warning', 200)")
    assert (check(shell, "lock_waits")["status"], check(shell, "lock_waits")["value"]) == ("ok", 0)
    assert advice(shell, IDLE) == []
    begin(holder)
    waiting = waits_for(waiter, holder, 200)
    wait_for(lambda: waiting(shell))
    row = check(shell, "lock_waits")
    assert (row["status"], row["area"], row["unit"], row["warning_at"], row["critical_at"]) == ("warning", "locks", "ms", 200, 10000)
    assert 200 <= row["value"] < 5000
    begins = f"1 statement waits for a lock; the longest: web order (pid {waiter.pid}) has waited for "
    assert row["detail"].startswith(begins)
    assert f" ms for the write lock of import (pid {holder.pid}), idle in a transaction that has lasted for " in row["detail"]
    assert row["detail"].endswith(f" s, after {SHOWN_UPDATE}; it runs {SHOWN}")
    assert row["recommendation"].startswith(f"commit or roll back in import (pid {holder.pid}) ")
    found, = advice(shell, IDLE)
    assert (found["area"], found["finding"]) == (
        "transactions", f"import (pid {holder.pid}) holds a lock while it is idle in a transaction")
    assert found["evidence"].startswith("1 statement waited for it in the last hour, up to ") and "1 of them now" in found["evidence"]
    assert found["evidence"].endswith(f" s; before it was idle it had run: {SHOWN_UPDATE}")
    assert found["total_ms"] >= 200 and found["sql_to_run"] is None
    assert told_by_health(shell) == 0  # it is said once
    holder.run("db.execute('COMMIT')")
    waiter.finish()
    row = check(shell, "lock_waits")
    assert row["status"] == "warning" and row["detail"].startswith(f"web order (pid {waiter.pid}) waited ")
    found, = advice(shell, IDLE)
    assert "now" not in found["evidence"]
    age_lock_waits(fast_path)
    assert advice(shell, IDLE) == []
    assert (check(shell, "lock_waits")["status"], check(shell, "lock_waits")["value"]) == ("ok", 0)


def test_a_busy_timeout_that_is_too_short(shell, program, fast_path):
    holder, hasty, patient = program("import"), program("health probe", timeout=0.05), program("web order")
    begin(holder)
    locked(hasty, INSERT)
    assert advice(shell, SHORT) == []  # no other statement has waited longer yet
    waiting = waits_for(patient, holder, 400)
    wait_for(lambda: waiting(shell))
    assert advice(shell, SHORT) == []  # nor got the lock
    locked(hasty, INSERT)
    holder.run("db.execute('COMMIT')")
    patient.finish()
    row, = advice(shell, SHORT)
    assert (row["area"], row["finding"]) == ("configuration", f"the busy timeout of health probe (pid {hasty.pid}) is too short")
    gave_up, waited = shell.execute("SELECT max(waited_ms) FILTER (WHERE outcome = 'busy'), "
                                    "max(waited_ms) FILTER (WHERE outcome = 'acquired') FROM wal_lock_waits").fetchone()
    assert 40 <= gave_up < 400 <= waited
    last = one(shell, "SELECT max(at) FROM wal_lock_waits WHERE outcome = 'busy'")
    assert row["evidence"] == (f"2 statements gave up after {gave_up:.0f} ms, the last at {last}; 1 other statement waited "
                               f"for the same lock for up to {waited:.0f} ms, and got it")
    assert row["action"].endswith(f"on every connection of health probe (pid {hasty.pid})")
    assert row["sql_to_run"] == "PRAGMA busy_timeout=5000"
    # The cause is gone as soon as the connection waits longer.
    hasty.run(f"db.execute({row['sql_to_run']!r})")
    begin(holder)
    waiting = waits_for(hasty, holder, gave_up + 100)
    wait_for(lambda: waiting(shell))
    holder.run("db.execute('COMMIT')")
    hasty.finish()
    assert advice(shell, SHORT) == []


def test_the_statement_that_meets_snapshot_conflicts(shell, program, fast_path):
    web = program("web order", timeout=5)
    for _ in range(2):
        web.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
        shell.execute(INSERT)
        locked(web, UPDATE)
        web.run("db.execute('ROLLBACK')")
    shell.execute("BEGIN IMMEDIATE")
    web.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    locked(web, UPDATE)  # at once, although the timeout is 5 s
    shell.execute("COMMIT")
    web.run("db.execute('ROLLBACK')")
    outcomes = shell.execute("SELECT outcome, had_read, waited_ms < 2000, process FROM wal_lock_waits ORDER BY id").fetchall()
    name = one(shell, "SELECT process FROM connection_metrics WHERE application = 'web order'")
    assert outcomes == [("snapshot", 1, 1, name), ("snapshot", 1, 1, name), ("busy", 1, 1, name)]
    row, = advice(shell, UPGRADE)
    last = one(shell, "SELECT max(at) FROM wal_lock_waits")
    assert row["area"] == "transactions" and "BEGIN IMMEDIATE" in row["action"] and row["sql_to_run"] is None
    assert row["evidence"] == (f"3 times in the last hour, the last time at {last}, 2 times because another connection had committed "
                               f"since it began to read, in this statement: {SHOWN_UPDATE}; of web order (pid {web.pid})")
    assert row["total_ms"] == one(shell, "SELECT total_ms FROM query_performance WHERE query = ?", SHOWN_UPDATE)
    # What it says of the statement is said once, and no timeout is to blame.
    assert advice(shell, OLD_UPGRADE) == advice(shell, SHORT) == []
    age_lock_waits(fast_path)
    assert advice(shell, UPGRADE) == []


def test_a_program_that_writes_all_the_time_is_not_called_idle(shell, program):
    """Its statements follow each other, so a wait begins while one of them runs."""
    holder, waiter = program("import"), program("web order")
    holder.run("""
        db.create_function("pause", 1, lambda ms: time.sleep(ms / 1000))
        def work():
            for _ in range(3):
                db.execute("BEGIN IMMEDIATE")
                db.execute("UPDATE t SET payload = pause(250) WHERE id = 1")
                db.execute("COMMIT")
    """)
    holder.start("run", "work()")
    wait_for(lambda: one(shell, "SELECT count(*) FROM connection_metrics WHERE pid = ? AND state = 'active'", holder.pid))
    waiter.run(f"db.execute({INSERT!r})")
    holder.finish()
    row = shell.execute("SELECT holder_state, holder_query, holder_process FROM wal_lock_waits WHERE outcome = 'acquired'").fetchone()
    assert row[:2] == ("running statement", "UPDATE t SET payload = pause(?) WHERE id = ?") and row[2].startswith("python")
    assert advice(shell, IDLE) == []
    one(shell, "SELECT wal_set('lock_waits.warning', 50)")
    row = check(shell, "lock_waits")
    assert row["recommendation"].startswith(f"make the statement of import (pid {holder.pid}) shorter")
    assert told_by_health(shell) == 1


def test_errors_raise_an_alert_that_names_the_holder(shell, program):
    shell.execute("SELECT wal_set('sample_interval_ms', 20), wal_set('alert_interval_ms', 50), wal_set('alert_samples', 1), "
                  "wal_set('busy_errors.warning', 2)").fetchall()
    holder, hasty = program("import"), program("daily report", timeout=0.05)
    wait_for(lambda: check(shell, "busy_errors")["value"] == 0)
    assert check(shell, "busy_errors")["detail"] == 'no statement failed with "database is locked" in the last hour'
    begin(holder)
    for _ in range(2):
        locked(hasty, INSERT)
    wait_for(lambda: check(shell, "busy_errors")["value"] == 2)
    row = check(shell, "busy_errors")
    assert (row["status"], row["unit"]) == ("warning", "statements")
    assert row["detail"].startswith('2 statements failed with "database is locked" in the last hour: 2 did not get a lock in time, and for 0 ')
    assert re.search(rf": daily report .pid {hasty.pid}. gave up after \d+ ms for the write lock of import .pid {holder.pid}., idle in a ",
                     row["detail"])
    assert row["recommendation"].endswith("or set a longer busy timeout where the statement failed: PRAGMA busy_timeout")

    def alerts():
        return shell.execute("SELECT status, value, threshold, cleared_at IS NULL, instr(detail, ?) > 0 FROM wal_alerts "
                             "WHERE check_name = 'busy_errors'", (f"daily report (pid {hasty.pid})",)).fetchall()
    assert poll(alerts, [("warning", 2.0, 2.0, 1, 1)]) == [("warning", 2.0, 2.0, 1, 1)]
    holder.run("db.execute('COMMIT')")
    one(shell, "SELECT wal_metrics_reset('history')")
    assert poll(alerts, [("warning", 2.0, 2.0, 0, 1)]) == [("warning", 2.0, 2.0, 0, 1)]


def test_without_lock_metrics_nothing_is_claimed(shell):
    one(shell, "SELECT wal_set('lock_metrics', 'off')")
    for name in ("lock_waits", "busy_errors"):
        row = check(shell, name)
        assert (row["status"], row["value"], row["detail"], row["recommendation"]) == ("unknown", None, "lock_metrics is off", None)


def test_the_history_counts_each_wait_once(shell, program):
    one(shell, "SELECT wal_set('sample_interval_ms', 20)")
    holder, hasty, patient = program("import"), program("daily report", timeout=0.05), program("web order")
    begin(holder)
    locked(hasty, INSERT)
    waiting = waits_for(patient, holder, 150)
    wait_for(lambda: waiting(shell))
    holder.run("db.execute('COMMIT')")
    patient.finish()
    hasty.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    shell.execute(INSERT)
    locked(hasty, UPDATE)

    def counted():
        return shell.execute("SELECT lock_waits, busy_errors, snapshot_conflicts, lock_wait_ms, lock_wait_p99_ms FROM wal_periods "
                             "WHERE period = 'hour' AND part = 'current'").fetchone()
    wait_for(lambda: (counted() or ())[:3] == (2, 1, 1))
    total = metrics(shell)
    assert (total["lock_waits"], total["busy_errors"], total["snapshot_conflicts"]) == (2, 1, 1)
    waited = one(shell, "SELECT sum(waited_ms) FROM wal_lock_waits WHERE outcome <> 'snapshot'")
    assert counted()[3] == pytest.approx(waited)
    assert counted()[4] == pytest.approx(total["lock_wait_max_ms"], rel=0.12)
    assert shell.execute("SELECT sum(lock_waits), sum(busy_errors), sum(snapshot_conflicts) "
                         "FROM wal_history WHERE resolution_ms = 20").fetchone() == (2, 1, 1)
