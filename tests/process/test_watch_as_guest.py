"""What the health watch must not do to the program: write into its error log, run its code in the background thread, make
its fork or its close wait for it, or fail at exit. One test per bug."""

import json
import subprocess
import sys

import pytest

from conftest import BUILD, EXTENSION
from workers import fast_path  # noqa: F401 (a fixture)

OFTEN = "SELECT wal_set('sample_interval_ms', 10), wal_set('alert_interval_ms', 50), wal_set('alert_samples', 1)"
TABLES = ["system_health", "wal_recommendations", "wal_trends", "stale_statistics", "wal_alerts", "wal_history"]

HOST = """
import apsw, json, os, sys, threading, time
path, extension = sys.argv[1:3]
main = threading.get_ident()
lines, elsewhere = [], []
def log(code, message):
    lines.append(message)
    if threading.get_ident() != main: elsewhere.append(message)
apsw.config(apsw.SQLITE_CONFIG_LOG, log)
def opened(**options):
    db = apsw.Connection(path, **options)
    db.enableloadextension(True)
    db.loadextension(extension)
    return db
def spin(seconds):  # as a computation does that keeps the interpreter's lock
    sys.setswitchinterval(100)
    end = time.monotonic() + seconds
    while time.monotonic() < end: pass
    sys.setswitchinterval(0.005)
def commits(db, count):
    for _ in range(count):
        db.execute("REPLACE INTO t(id, payload) VALUES (1, 2)")
        time.sleep(0.01)
"""


def host(path, body):
    """What a process that runs `body` says in its variable `answer`."""
    done = subprocess.run([sys.executable, "-c", HOST + body + "\nprint(json.dumps(answer))", str(path), EXTENSION],
                          text=True, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_bug_tables_that_are_sql_filled_the_error_log_of_the_host(fast_path):
    """Twenty-six warnings (automatic index on ...) per evaluation of system_health."""
    lines = host(fast_path, f"""
db = opened()
db.execute("{OFTEN}").fetchall()
commits(db, 30)
for table in {TABLES!r}: db.execute("SELECT * FROM " + table).fetchall()
db.close()
answer = lines
""")
    assert [line for line in lines if not line.startswith("walmanager: ")] == []


def test_bug_a_condition_that_fails_wrote_to_the_error_log_at_each_look(fast_path):
    """Several lines for each commit, as long as the strategy was in force."""
    condition = "ifnull(abs(-9223372036854775807 - (wal_frames > 0)), 1)"
    rules = json.dumps([{"rule": "fails", "condition": condition}, {"rule": "real", "condition": "pending_frames > 3"}])
    lines, said, fired = host(fast_path, f"""
db = opened()
db.execute("SELECT wal_strategy_define('mine', ?), wal_strategy('mine')", [{rules!r}]).fetchall()
db.execute("{OFTEN}").fetchall()
commits(db, 30)
said = db.execute("SELECT strategy_error FROM wal_metrics").fetchall()[0][0]
fired = db.execute("SELECT rule FROM wal_strategies WHERE strategy = 'mine' AND fired > 0").fetchall()
db.close()
answer = lines, said, fired
""")
    assert said == f"strategy 'mine': rule 'fails': condition '{condition}': integer overflow; it does not hold then"
    assert fired == [["real"]]
    assert [line for line in lines if not line.startswith("walmanager: ")] == []


def test_bug_a_slow_use_of_walmanager_was_an_error_in_the_log_of_the_host(fast_path):
    """The plan was asked of a connection of walmanager, which has no such table or function."""
    lines = host(fast_path, f"""
db = opened()
db.execute("SELECT wal_set('slow_query_ms', 0)").fetchall()
commits(db, 30)
for table in {TABLES!r}: db.execute("SELECT * FROM " + table).fetchall()
db.execute("SELECT count(*) FROM read_pool('SELECT 1')").fetchall()
for call in ("wal_version()", "wal_set('checkpoint_frames', 900)", "wal_strategy()", "wal_checkpoint('PASSIVE')"):
    db.execute("SELECT " + call).fetchall()
for _ in range(15):
    db.execute("SELECT 1").fetchall()
    time.sleep(0.1)
db.close()
answer = lines
""")
    assert [line for line in lines if not line.startswith("walmanager: ")] == []


def test_bug_a_slow_use_of_what_only_the_program_has_was_an_error_in_its_log(fast_path):
    """Plans were asked of a connection of walmanager, which lacks the program's functions, collations and TEMP tables."""
    lines, plans = host(fast_path, f"""
db = opened()
db.createscalarfunction("own", lambda *x: 1)
db.createcollation("own", lambda a, b: 0)
db.execute("CREATE TABLE checked(a VARCHAR(10) CHECK (own(a)), b)")
db.execute("CREATE VIEW seen AS SELECT own(payload) AS x FROM t")
db.execute("CREATE TABLE plain(a, b)")
db.execute("CREATE TRIGGER after_plain AFTER INSERT ON plain WHEN new.a = 7 BEGIN INSERT INTO checked VALUES (1, 2); END")
db.execute("CREATE TABLE sorted(a COLLATE own, b)")
db.execute("CREATE TEMP TABLE passing(x); CREATE TEMP TABLE pragma_notes(x)")
db.execute("ATTACH ':memory:' AS aside; CREATE TABLE aside.far(x)")
db.execute("SELECT wal_set('slow_query_ms', 0)").fetchall()
time.sleep(1.1)
for _ in range(15):
    commits(db, 1)
    for sql in ("SELECT own(1)", "SELECT id FROM t ORDER BY payload COLLATE own", "SELECT * FROM passing", "SELECT * FROM aside.far",
                "SELECT * FROM pragma_notes",
                "SELECT * FROM t, passing", "INSERT INTO checked VALUES (1, 2)", "SELECT x FROM seen", "INSERT INTO plain VALUES (7, 1)",
                "SELECT a FROM sorted ORDER BY a", "WITH w(x) AS (SELECT max(id) FROM t) SELECT x FROM w, t WHERE id = 1",
                "SELECT count(b) FROM plain WHERE CAST(a AS VARCHAR(3)) IN (SELECT value FROM json_each('[1]'))"):
        db.execute(sql).fetchall()
    time.sleep(0.1)
# Only what the background thread could prepare: this connection would ask for the others itself.
plans = []
other = opened()
for row in other.execute("SELECT query FROM query_performance WHERE plan IS NOT NULL").fetchall(): plans.append(row[0])
db.close()
answer = lines, plans
""")
    assert [line for line in lines if not line.startswith("walmanager: ")] == []
    assert any(query.startswith("WITH w") for query in plans) and any(query.startswith("SELECT count(b)") for query in plans), plans


def test_bug_a_fork_waited_ten_seconds_for_a_thread_that_waited_for_the_interpreter(fast_path):
    worst, in_others, told = host(fast_path, f"""
db = opened()
db.execute("{OFTEN}").fetchall()
db.execute("SELECT wal_set('disk_free.warning', 1e9)").fetchall()  # an alert
commits(db, 10)
worst = 0
for _ in range(15):
    db.execute("SELECT wal_metrics_reset('alerts')").fetchall()
    spin(0.08)
    before = time.monotonic()
    child = os.fork()
    if child == 0: os._exit(0)
    worst = max(worst, time.monotonic() - before)
    os.waitpid(child, 0)
    commits(db, 1)
commits(db, 1)
db.close()
answer = [worst, elsewhere, [line for line in lines if line.startswith("walmanager: ")]]
""")
    assert worst < 2
    assert in_others == [] and told != []


def test_bug_a_close_during_an_evaluation_told_the_error_log_of_it(fast_path):
    """The background thread logged: statement aborts at 3021 ... interrupted."""
    lines = host(fast_path, f"""
db = opened()
db.execute("{OFTEN}").fetchall()
commits(db, 10)
db.close()
for i in range(60):
    db = opened()
    commits(db, 1)
    db.execute("SELECT wal_metrics_reset('alerts')").fetchall()
    time.sleep(i % 20 * 0.002)
    db.close()
answer = lines
""")
    assert [line for line in lines if not line.startswith("walmanager: ")] == []


def test_bug_a_clock_in_python_was_asked_in_the_background_thread(fast_path):
    """The default VFS is the host's, its databases are on SQLite's own."""
    threads = host(fast_path, f"""
asked = set()
class Host(apsw.VFS):
    def __init__(self): super().__init__("host", "", makedefault=True)
    def xCurrentTimeInt64(self):
        asked.add(threading.get_ident() == main)
        return super().xCurrentTimeInt64()
    def xCurrentTime(self):
        asked.add(threading.get_ident() == main)
        return super().xCurrentTime()
vfs = Host()
db = opened(vfs="unix")
db.execute("{OFTEN}").fetchall()
commits(db, 30)
answer = [list(asked), db.execute("SELECT count(*) FROM wal_alerts WHERE status <> 'changed'").fetchall()]
""")
    assert False not in threads[0]


@pytest.mark.parametrize("words", ["INSERT INTO t(payload) VALUES (2)", "SELECT * FROM system_health; SELECT * FROM wal_metrics"])
def test_bug_a_host_that_closes_at_exit_crashed(fast_path, words):
    """walmanager's tables were destroyed by then, but the thread and the program still read them."""
    for _ in range(3):
        done = subprocess.run([BUILD / "tests" / "late_host", EXTENSION, fast_path, "0.3", words], text=True,
                              capture_output=True, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
