"""wal_alerts: each fault, made for real among several processes, is one alert, whichever process evaluates it."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

import pytest

from conftest import EXTENSION, connect, one
from waiting import poll
from workers import WorkerError, fast_path, integrity, worker  # noqa: F401 (fixtures among them)

# Checks that are not well because of this machine's SQLite.
ENGINE = {"wal_reset_bug"}
# Checks that are not well on a busy machine.
BUSY = {"query_latency", "query_degradation", "commit_latency", "commit_stalls", "checkpoint_duration", "probe_read"}
N = 2  # alert_samples

# Commits all the time, in a thread of its own: the extension's thread goes on beside it.
COMMIT = """
other = connect({path!r}, EXTENSION, timeout=20, check_same_thread=False)
other.execute("PRAGMA synchronous=NORMAL")
stop = threading.Event()
def commit():
    while not stop.wait(0.002):
        other.execute("REPLACE INTO t(id, payload) VALUES ({id}, randomblob(8))")
committing = threading.Thread(target=commit, daemon=True)
committing.start()
"""
THREADS = "len(threads_named('walmanager'))"


def often(db, samples=N):
    """Sets the shortest intervals of samples and evaluations."""
    db.execute("SELECT wal_set('sample_interval_ms', 10), wal_set('alert_interval_ms', 50), "
               "wal_set('alert_samples', ?)", (samples,)).fetchall()


def rows(db, where="true", *parameters):
    """Rows of wal_alerts as dicts, in the order in which they were raised."""
    cursor = db.execute(f"SELECT * FROM wal_alerts WHERE {where} ORDER BY id", parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def of(db, check):
    return rows(db, "check_name = ?", check)


def changes(db):
    return [(row["check_name"], row["detail"]) for row in rows(db, "status = 'changed'")]


def raised(db, check, count=1, **wanted):
    """Waits for so many alerts of the check. Returns the last one."""
    assert poll(lambda: len(of(db, check)) >= count), f"{check} was not raised"
    found = of(db, check)
    assert len(found) == count, found
    assert {name: found[-1][name] for name in wanted} == wanted
    return found[-1]


def cleared(db, check, count=1):
    """Waits until the last of so many alerts of the check is cleared, and returns it."""
    assert poll(lambda: of(db, check)[-1]["cleared_at"] is not None), f"{check} was not cleared"
    found = of(db, check)
    assert len(found) == count, found
    return found[-1]


def set_to(db, name, value):
    db.execute("SELECT wal_set(?, ?)", (name, value)).fetchall()


def now(db):
    return one(db, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")


def ms_between(db, first, last):
    return one(db, "SELECT (julianday(?) - julianday(?)) * 86400000", last, first)


def evaluations_go_by(db):
    """Waits until there were 3 N evaluations or more: another check is raised, which takes N, and cleared, 2 N."""
    before = len(of(db, "disk_free"))
    set_to(db, "disk_free.warning", 1e9)
    raised(db, "disk_free", before + 1, status="warning", cleared_at=None)
    set_to(db, "disk_free.warning", None)
    cleared(db, "disk_free", before + 1)


@pytest.fixture
def shell(fast_path):
    """The operator's connection, in a process of its own beside the workers."""
    db = connect(fast_path, timeout=20)
    db.execute("PRAGMA synchronous=NORMAL")
    often(db)
    yield db
    db.close()


@pytest.fixture
def crowd(shell, fast_path, worker):
    """Three processes that commit all the time, each with the extension's threads."""
    processes = [worker(fast_path) for _ in range(3)]
    for i, process in enumerate(processes):
        process.run(COMMIT.format(path=str(fast_path), id=i + 1))
    for process in processes:
        assert poll(lambda: process.call(THREADS), 2) == 2  # one copies, one watches
    return processes


# --- faults

def test_a_cursor_that_another_process_leaks_is_one_alert(shell, crowd, fast_path, worker):
    poll(lambda: one(shell, "SELECT count(*) FROM t") >= 2)
    set_to(shell, "unfinished_statement.warning", 100)
    process = worker(fast_path)
    process.run("db.execute('SELECT wal_application_name(?)', ('the leaker',)).fetchall()")
    before = now(shell)
    process.run("cursor = db.execute('SELECT id FROM t'); cursor.fetchone()")
    alert = raised(shell, "unfinished_statement", status="warning", threshold=100, cleared_at=None)
    assert before < alert["raised_at"] <= now(shell)
    assert 100 <= alert["value"] <= ms_between(shell, before, alert["raised_at"]) + 20
    assert f"the leaker (pid {process.pid}), SELECT id FROM t" in alert["detail"]
    evaluations_go_by(shell)
    assert of(shell, "unfinished_statement") == [alert]
    gone = now(shell)
    process.run("cursor.close()")
    after = cleared(shell, "unfinished_statement")
    assert gone < after["cleared_at"] <= now(shell)
    # Over for 2 N evaluations: the first of them at once, the others an interval apart.
    assert ms_between(shell, gone, after["cleared_at"]) >= (2 * N - 1) * 45
    assert {**after, "cleared_at": None} == alert
    evaluations_go_by(shell)
    assert of(shell, "unfinished_statement") == [after]


def test_a_killed_leaker_clears_its_alert(shell, crowd, fast_path, worker):
    poll(lambda: one(shell, "SELECT count(*) FROM t") >= 2)
    set_to(shell, "unfinished_statement.warning", 100)
    process = worker(fast_path)
    process.run("cursor = db.execute('SELECT id FROM t'); cursor.fetchone()")
    raised(shell, "unfinished_statement")
    process.kill()
    cleared(shell, "unfinished_statement")


def test_a_pinned_log_is_a_warning_and_then_critical(shell, crowd, fast_path, worker):
    holder = worker(fast_path)
    holder.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    # Of 8 MiB, so that the commits of the crowd alone reach the critical share in no time of a test.
    shell.execute("SELECT wal_set('wal_limit_bytes', 8388608), wal_set('log_pinned.warning', 0.04), "
                  "wal_set('log_pinned.critical', 2)").fetchall()
    # A tenth of it. Commits until the alert is there could reach the critical share on a busy machine.
    for _ in range(8):
        shell.execute("INSERT INTO t(payload) VALUES (zeroblob(100000))")
    warning = raised(shell, "log_pinned", status="warning", threshold=0.04, cleared_at=None)
    assert 0.04 <= warning["value"] < 2
    assert re.match(r"(one reader|the oldest of \d+ readers) is \d+ frames behind", warning["detail"])
    set_to(shell, "log_pinned.critical", 0.05)
    critical = raised(shell, "log_pinned", 2, status="critical", threshold=0.05, cleared_at=None)
    assert critical["value"] >= warning["value"] and critical["value"] >= 0.05
    # An evaluation raises the new alert first, and clears the old one when it ends.
    assert poll(lambda: of(shell, "log_pinned")[0]["cleared_at"]) == critical["raised_at"]
    assert of(shell, "log_pinned")[0] == {**warning, "cleared_at": critical["raised_at"]}
    evaluations_go_by(shell)
    assert of(shell, "log_pinned")[1] == critical
    holder.run("db.execute('COMMIT')")
    # Better it becomes at once: there is no warning after it.
    cleared(shell, "log_pinned", 2)
    evaluations_go_by(shell)
    assert [row["status"] for row in of(shell, "log_pinned")] == ["warning", "critical"]


def test_free_pages_that_one_process_has_seen_are_one_alert(shell, crowd):
    shell.execute("WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
                  "INSERT INTO t SELECT i, zeroblob(4000) FROM n")
    shell.execute("DELETE FROM t WHERE id >= 100")
    free, pages = shell.execute("SELECT freelist_pages, page_count FROM wal_environment").fetchone()
    alert = raised(shell, "freelist", status="critical", threshold=0.75, cleared_at=None)
    assert alert["value"] == pytest.approx(free / pages, abs=0.05)
    assert re.match(r"\d+ of \d+ pages hold nothing", alert["detail"])
    evaluations_go_by(shell)
    assert of(shell, "freelist") == [alert]
    shell.execute("VACUUM")
    shell.execute("SELECT freelist_pages FROM wal_environment").fetchall()
    cleared(shell, "freelist")


def test_a_low_threshold_is_one_alert_with_its_value(shell, crowd):
    value = one(shell, "SELECT value FROM system_health WHERE check_name = 'disk_free'")
    set_to(shell, "disk_free.warning", 1e9)
    alert = raised(shell, "disk_free", status="warning", threshold=1e9, cleared_at=None)
    assert alert["value"] == pytest.approx(value, rel=0.2)
    set_to(shell, "disk_free.critical", 1e8)
    raised(shell, "disk_free", 2, status="critical", threshold=1e8)
    # It is a warning still: that is an alert again, and the critical one is over.
    set_to(shell, "disk_free.critical", 0)
    again = raised(shell, "disk_free", 3, status="warning", threshold=1e9, cleared_at=None)
    assert [row["cleared_at"] is None for row in of(shell, "disk_free")] == [False, False, True]
    assert of(shell, "disk_free")[1]["cleared_at"] == again["raised_at"]


def test_bug_an_alert_of_the_log_was_over_when_a_process_without_commits_asked(shell, fast_path, worker):
    """A process that had not looked at the log had no checks of the log, and cleared their alerts."""
    holder = worker(fast_path)
    process = worker(fast_path)
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    holder.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    process.run("db.execute('INSERT INTO t(payload) VALUES (zeroblob(1000000))')")
    set_to(shell, "log_pinned.warning", 0.01)
    alert = raised(shell, "log_pinned", status="warning")
    process.end()  # from here on the process that asks evaluates
    for _ in range(2):
        evaluations_go_by(shell)
    assert of(shell, "log_pinned") == [alert]
    holder.run("db.execute('COMMIT')")
    cleared(shell, "log_pinned")


def test_a_value_that_flaps_around_its_threshold_is_one_alert(shell, fast_path, worker):
    holder = worker(fast_path)
    process = worker(fast_path)
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    holder.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    process.run("db.execute('INSERT INTO t(payload) VALUES (zeroblob(1000000))')")
    def value():
        return one(shell, "SELECT value FROM system_health WHERE check_name = 'log_pinned'")
    behind = value()
    assert behind > 0
    for _ in range(3):
        set_to(shell, "log_pinned.warning", behind * 0.99)
        alert = raised(shell, "log_pinned", cleared_at=None)
        evaluations_go_by(shell)
        # It reads ok, but is not well below.
        set_to(shell, "log_pinned.warning", behind * 1.05)
        assert one(shell, "SELECT status FROM system_health WHERE check_name = 'log_pinned'") == "ok"
        evaluations_go_by(shell)
        assert value() == behind
        assert of(shell, "log_pinned") == [alert]
    set_to(shell, "log_pinned.warning", behind * 1.2)
    cleared(shell, "log_pinned")


def test_what_holds_for_less_than_alert_samples_is_no_alert(shell, crowd):
    often(shell, samples=100)  # which take five seconds
    set_to(shell, "disk_free.warning", 1e9)
    assert one(shell, "SELECT status FROM system_health WHERE check_name = 'disk_free'") == "warning"
    assert not poll(lambda: bool(of(shell, "disk_free")), seconds=0.5)
    set_to(shell, "disk_free.warning", None)
    often(shell)
    evaluations_go_by(shell)
    assert len(of(shell, "disk_free")) == 1  # that of evaluations_go_by


def test_evaluations_are_alert_interval_ms_apart_whatever_the_number_of_processes(shell, crowd):
    often(shell, samples=20)
    set_to(shell, "disk_free.warning", 1e9)
    before = now(shell)
    alert = raised(shell, "disk_free")
    # The first one may come at once.
    assert ms_between(shell, before, alert["raised_at"]) >= 19 * 50 - 50


def test_checks_known_to_one_connection_alone_raise_no_alert(shell, fast_path, worker):
    own = {"synchronous", "foreign_keys", "cache_size"}
    shell.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    shell.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent)")
    process = worker(fast_path)
    process.run("""
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=10")
        for _ in range(20): db.execute("INSERT INTO t(payload) VALUES (1)")
        bad = [row[0] for row in db.execute("SELECT check_name FROM system_health WHERE status = 'warning'")]
    """)
    assert set(process.call("bad")) >= own
    evaluations_go_by(shell)
    process.run("db.execute('SELECT * FROM wal_alerts').fetchall()")
    evaluations_go_by(shell)
    assert {row["check_name"] for row in rows(shell)} - ENGINE - BUSY == {"setting", "disk_free"}


def test_a_healthy_database_has_no_alert(shell, crowd):
    evaluations_go_by(shell)
    assert {row["check_name"] for row in rows(shell)} - ENGINE - BUSY == {"setting", "disk_free"}


# --- changes

def test_each_change_is_one_row_with_its_process_and_time(shell, fast_path, worker):
    setter, chooser, old = (worker(fast_path) for _ in range(3))
    known = len(changes(shell))
    before = now(shell)
    rules = ('[{"priority": 1, "rule": "only", "condition": "pending_frames > 5", "mode": "passive", '
             '"runs": "inline", "stall_budget_ms": 0}]')
    setter.run("db.execute(\"SELECT wal_set('wal_limit_bytes', 1000000)\").fetchall()")
    chooser.run("db.execute(\"SELECT wal_strategy('low_latency')\").fetchall()")
    chooser.run(f"db.execute('SELECT wal_strategy_define(?, ?)', ('mine', {rules!r})).fetchall()")
    chooser.run(f"db.execute('SELECT wal_strategy_define(?, ?)', ('mine', {rules.replace('5', '6')!r})).fetchall()")
    chooser.run("db.execute(\"SELECT wal_strategy_drop('mine')\").fetchall()")
    old.run("db.execute('PRAGMA wal_autocheckpoint=500').fetchall(); db.execute('INSERT INTO t(payload) VALUES (1)')")
    setter.run("db.execute(\"SELECT wal_set('wal_limit_bytes', NULL)\").fetchall()")
    found = rows(shell, "status = 'changed'")[known:]
    name = one(shell, "SELECT process FROM connection_metrics WHERE pid = ?", setter.pid)
    def by(process):
        return f", by {name} (pid {process.pid})"
    assert [(row["check_name"], row["detail"]) for row in found] == [
        ("setting", "wal_limit_bytes: 67108864 before, 1000000 now" + by(setter)),
        ("strategy", "conversation_workload before, low_latency now" + by(chooser)),
        ("strategy", "mine was defined" + by(chooser)),
        ("strategy", "mine was defined anew" + by(chooser)),
        ("strategy", "mine was dropped" + by(chooser)),
        ("setting", "checkpoint_frames: 1000 before, 500 now" + by(old) + " PRAGMA"),
        ("setting", "wal_limit_bytes: 1000000 before, 67108864 now" + by(setter)),
    ]
    times = [before, *(row["raised_at"] for row in found), now(shell)]
    assert times == sorted(times)
    for row in found:
        assert (row["value"], row["threshold"], row["cleared_at"]) == (None, None, row["raised_at"])


def test_what_changes_nothing_is_no_row(shell, fast_path, worker):
    process = worker(fast_path)
    set_to(shell, "slow_query_ms", 7)
    shell.execute("SELECT wal_strategy('low_latency')").fetchall()
    shell.execute("PRAGMA wal_autocheckpoint=500")
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    known = changes(shell)
    assert known[-1][1].startswith("checkpoint_frames: 1000 before, 500 now")
    for sql in ("SELECT wal_set('slow_query_ms', 7)", "SELECT wal_set('disk_free.warning', NULL)",
                "SELECT wal_strategy('low_latency')", "SELECT wal_strategy()"):
        process.run(f"db.execute({sql!r}).fetchall()")
    process.run("db.execute('PRAGMA wal_autocheckpoint=500'); db.execute('INSERT INTO t(payload) VALUES (1)')")
    for sql in ("SELECT wal_set('slow_query_ms', -1)", "SELECT wal_set('slow_query_ms', 'x')",
                "SELECT wal_set('no_such', 1)", "SELECT wal_set('slow_query_ms', 8, 'nowhere')",
                "SELECT wal_strategy('no_such')", "SELECT wal_strategy_drop('low_latency')",
                "SELECT wal_strategy_define('mine', '[]')"):
        with pytest.raises(WorkerError):
            process.run(f"db.execute({sql!r}).fetchall()")
    assert changes(shell) == known


def test_many_processes_that_change_settings_lose_no_row(shell, fast_path, worker):
    processes = [worker(fast_path) for _ in range(3)]
    for i, process in enumerate(processes):
        process.start("run", f"""
            name = ("slow_query_ms", "stall_budget_ms", "max_queries")[{i}]
            for n in range(20): db.execute("SELECT wal_set(?, ?)", (name, 20 + n)).fetchall()
        """)
    for process in processes:
        process.finish()
    known = changes(shell)
    for name, process in zip(("slow_query_ms", "stall_budget_ms", "max_queries"), processes):
        of_this = [detail for _, detail in known if detail.startswith(name + ":")]
        assert len(of_this) == 20
        assert all(detail.endswith(f"(pid {process.pid})") for detail in of_this)
        assert [int(re.search(r", (\d+) now", detail)[1]) for detail in of_this] == list(range(20, 40))


def test_the_newest_256_are_kept(shell, fast_path, worker):
    process = worker(fast_path)
    process.run("for n in range(300): db.execute('SELECT wal_set(?, ?)', ('slow_query_ms', 1000 + n)).fetchall()")
    found = rows(shell)
    assert len(found) == 256
    ids = [row["id"] for row in found]
    assert ids == list(range(ids[0], ids[0] + 256))
    assert ", 1299 now" in [row for row in found if row["status"] == "changed"][-1]["detail"]
    set_to(shell, "disk_free.warning", 1e9)
    raised(shell, "disk_free")
    found = rows(shell)
    assert (len(found), found[-1]["id"] > ids[-1]) == (256, True)


# --- lifetime

def test_reset_forgets_them_and_a_fault_that_goes_on_is_raised_again(shell, crowd):
    set_to(shell, "disk_free.warning", 1e9)
    first = raised(shell, "disk_free")
    set_to(shell, "alert_interval_ms", 3_600_000)  # from here on no process evaluates
    count = len(rows(shell))
    assert count >= 6
    assert one(shell, "SELECT wal_metrics_reset('alerts')") == count
    assert rows(shell) == []
    assert one(shell, "SELECT wal_metrics_reset('alerts')") == 0
    assert one(shell, "SELECT value FROM wal_config WHERE name = 'disk_free.warning'") == 1e9
    often(shell)
    again = raised(shell, "disk_free", cleared_at=None)
    assert again["id"] > first["id"]
    evaluations = rows(shell, "check_name <> 'setting'")
    assert {row["check_name"] for row in evaluations} - ENGINE - BUSY == {"disk_free"}


def test_alerts_outlive_all_processes_and_go_on_in_the_next(fast_path, worker):
    first = worker(fast_path)
    first.run("""
        db.execute("SELECT wal_set('sample_interval_ms', 10), wal_set('alert_interval_ms', 50), "
                   "wal_set('alert_samples', 2), wal_set('disk_free.warning', 1e9)").fetchall()
        db.execute("INSERT INTO t(payload) VALUES (1)")
        count = "SELECT count(*) FROM wal_alerts WHERE check_name = 'disk_free'"
        deadline = time.monotonic() + 4
        while one(db, count) == 0: assert time.monotonic() < deadline
        db.execute("SELECT wal_set('alert_interval_ms', 3600000)").fetchall()
        alerts = db.execute("SELECT * FROM wal_alerts ORDER BY id").fetchall()
    """)
    known = [tuple(row) for row in first.call("alerts")]
    assert len(known) >= 6
    assert first.end() == 0
    assert not os.path.exists(f"{fast_path}-wal")
    out = subprocess.run([shutil.which("sqlite3") or "/usr/bin/sqlite3", "-batch", str(fast_path)], text=True,
                         input=f".load {EXTENSION}\nSELECT id, check_name, raised_at FROM wal_alerts ORDER BY id;\n",
                         capture_output=True, timeout=30, check=True)
    assert (out.stdout.splitlines(), out.stderr) == ([f"{row[1]}|{row[2]}|{row[6]}" for row in known], "")
    next_one = connect(fast_path)
    assert [tuple(row) for row in next_one.execute("SELECT * FROM wal_alerts ORDER BY id")] == known
    # The alert is still in force there: it is not raised again, and it is cleared.
    often(next_one)
    assert poll(lambda: len(changes(next_one)) > 0)
    alert, = of(next_one, "disk_free")
    assert alert["cleared_at"] is None
    set_to(next_one, "disk_free.warning", None)
    assert cleared(next_one, "disk_free")["id"] == alert["id"]
    next_one.close()


def test_a_process_that_never_committed_evaluates_when_it_asks(fast_path):
    before = set(os.listdir("/proc/self/task"))
    db = connect(fast_path)
    often(db)
    set_to(db, "disk_free.warning", 1e9)
    raised(db, "disk_free", status="warning")
    assert len(set(os.listdir("/proc/self/task")) - before) <= 1, "walmanager has no thread but the one that looks"
    db.close()


def test_alerts_of_an_attached_database_have_its_name(shell, fast_path):
    set_to(shell, "disk_free.warning", 1e9)
    alert = raised(shell, "disk_free")
    other = connect(":memory:")
    other.execute("ATTACH ? AS there", (str(fast_path),))
    assert {row["schema"] for row in rows(other)} == {"there"}
    assert of(other, "disk_free") == [{**alert, "schema": "there"}]
    other.close()


def test_processes_killed_in_the_middle_do_no_harm(shell, fast_path, worker):
    rng = random.Random(5)
    for round in range(4):
        processes = [worker(fast_path) for _ in range(3)]
        for i, process in enumerate(processes):
            process.start("run", f"""
                db.execute("SELECT wal_set('disk_free.critical', 0)").fetchall()
                n = 0
                while True:
                    n += 1
                    db.execute("REPLACE INTO t(id, payload) VALUES ({i + 1}, randomblob(8))")
                    db.execute("SELECT wal_set('disk_free.warning', ?)", ((0, 1e9)[n % 40 < 20],)).fetchall()
                    db.execute("SELECT * FROM wal_alerts").fetchall()
                    if n % 5 == 0: print(n, flush=True)
            """)
        for process in processes:
            process.wait_for_lines(2)
        time.sleep(rng.random() * 0.05)  # not a wait: the random moment
        for process in processes:
            process.kill()
        ids = [row["id"] for row in rows(shell)]
        assert ids == sorted(set(ids)) and 0 < len(ids) <= 256
        in_force = [row["check_name"] for row in rows(shell, "cleared_at IS NULL")]
        assert len(in_force) <= len(set(in_force)) + 1  # of one process that was killed between two words
    set_to(shell, "disk_free.warning", None)
    assert poll(lambda: bool(rows(shell, "check_name = 'disk_free' AND cleared_at IS NULL")), False) is False
    shell.execute("SELECT wal_metrics_reset('alerts')").fetchall()
    evaluations_go_by(shell)
    assert integrity(fast_path) == "ok"


# --- the error log

LOGGED = """
import apsw, json, sys, time
lines = []
apsw.config(apsw.SQLITE_CONFIG_LOG, lambda code, message: lines.append(message))
db = apsw.Connection(sys.argv[1])
db.setbusytimeout(20000)
db.enableloadextension(True)
db.loadextension(sys.argv[2])
def ask(sql): return db.execute(sql).fetchall()
def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        ask("REPLACE INTO t(id, payload) VALUES (" + sys.argv[3] + ", randomblob(8))")
        time.sleep(0.002)
def alerts(): return ask("SELECT check_name, status, detail FROM wal_alerts WHERE status <> 'changed' ORDER BY id")
def of(status, cleared):
    return ask("SELECT 1 FROM wal_alerts WHERE check_name = 'disk_free' AND status = '" + status + "'" +
               " AND (cleared_at IS NOT NULL) = " + cleared)
ask("PRAGMA synchronous=NORMAL")
found = []
if sys.argv[3] == "1":
    ask("SELECT wal_set('sample_interval_ms', 10), wal_set('alert_interval_ms', 50), wal_set('alert_samples', 2)")
    ask("SELECT wal_set('disk_free.warning', 1e9)")
    until(lambda: of("warning", "0"))
    ask("SELECT wal_set('disk_free.critical', 1e8)")
    until(lambda: of("critical", "0"))
    ask("SELECT wal_set('disk_free.warning', NULL), wal_set('disk_free.critical', NULL)")
    until(lambda: of("critical", "1"))
    found = alerts()
    ask("INSERT INTO t(id, payload) VALUES (99, 1)")
else:
    # Until the first one says that it is over.
    until(lambda: ask("SELECT 1 FROM t WHERE id = 99"))
db.close()
print(json.dumps([found, [line for line in lines if line.startswith("walmanager")]]))
"""


def test_each_alert_is_one_line_in_the_error_log_of_the_process_that_raised_it(fast_path):
    processes = [subprocess.Popen([sys.executable, "-c", LOGGED, str(fast_path), EXTENSION, str(i + 1)], text=True,
                                  stdout=subprocess.PIPE) for i in range(3)]
    try:
        answers = [json.loads(process.communicate(timeout=20)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    found = [row for row in answers[0][0] if row[0] not in BUSY]  # those may be raised later, too
    assert [row[1] for row in found if row[0] == "disk_free"] == ["warning", "critical"]
    lines = [line for _, logged in answers for line in logged if line.split(": ")[2] not in BUSY]
    assert sorted(lines) == sorted(f"walmanager: {fast_path}: {check}: {status}: {detail}"
                                   for check, status, detail in found)


def test_a_connection_per_request_is_watched_as_well(shell, fast_path, worker):
    """Each process or connection ends before a second evaluation. Together they are an application."""
    process = worker(fast_path)
    set_to(shell, "disk_free.warning", 1e9)
    process.start("run", f"""
        for n in range(400):
            request = connect({str(fast_path)!r}, timeout=20)
            request.execute("INSERT INTO t(payload) VALUES (1)")
            request.close()
            time.sleep(0.005)
    """)
    raised(shell, "disk_free", status="warning")
    process.finish()
    assert one(shell, "SELECT count(*) FROM wal_history WHERE commits > 0") > 3
