"""A host in a sandbox: no call outside systemd's @system-service minus @resources and @privileged, whenever it is put on."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

from conftest import BUILD, connect
from workers import NOBODY, TESTS

# Each function in the ways in which it does something; test_every_function_is_called compares with what there is.
FUNCTIONS = {
    "wal_version": ["()"], "wal_strategy": ["()", "('low_latency')", "('mine')", "('conversation_workload')"],
    "wal_strategy_define": ["('mine', '[{\"rule\":\"r\",\"condition\":\"pending_frames>5\",\"mode\":\"PASSIVE\",\"runs\":\"background\"}]')"],
    "wal_strategy_drop": ["('mine')"], "wal_set": ["('slow_query_ms', 1)", "('slow_query_ms', NULL)"],
    "wal_checkpoint_auto": ["()"], "wal_checkpoint": ["('PASSIVE')", "('FULL')", "('RESTART')", "('TRUNCATE')"],
    "wal_configure": ["('web')"], "wal_integrity_check": ["()", "('full')"],
    "wal_backup": ["('{d}/copy.db')", "('{d}/copy.db', '{\"overwrite\":true}')"], "wal_restore": ["('{d}/copy.db')"],
    "wal_openmetrics": ["()"], "wal_metrics_reset": ["('all')"], "wal_application_name": ["('sandboxed')"],
    "wal_trace": ["()", "('take')"], "wal_cancel": ["({open})"],
}
# In this order: a strategy is defined before it is used, used before it is dropped.
ORDER = ["wal_strategy_define", "wal_strategy", "wal_strategy_drop"]

HOST = """
import ctypes, os, sqlite3, sys, threading, time
from conftest import PROCESS_EXTENSION, connect
from test_system_calls import FUNCTIONS, ORDER
when, path, library = sys.argv[1:]
sandbox = ctypes.CDLL(library, use_errno=True)
def put_on(all_threads):
    assert sandbox.FilterSystemCalls(all_threads) == 0, os.strerror(ctypes.get_errno())
if when == "before":
    put_on(0)
db = connect(path, load=None)
names = lambda: {row[0] for row in db.execute("SELECT name FROM pragma_module_list")}
stock = names()
db.close()
db = connect(path, load=PROCESS_EXTENSION)
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
db.execute("SELECT wal_set('wal_limit_bytes', 1048576), wal_set('checkpoint_frames', 50), wal_set('sample_interval_ms', 20)")
db.execute("INSERT INTO t(payload) VALUES (1)")
time.sleep(1.1)  # in its first second a process has no thread that looks
db.execute("INSERT INTO t(payload) VALUES (1)")
time.sleep(0.2)  # the threads have begun
if when == "later":
    put_on(0)
if when == "later, all threads":
    put_on(1)

def write(count):
    mine = sqlite3.connect(path, isolation_level=None, timeout=20)
    for _ in range(count):
        mine.execute("INSERT INTO t(payload) VALUES (randomblob(6000))")
    mine.close()
write(10)
threads = [threading.Thread(target=write, args=(400,)) for _ in range(2)]
for thread in threads: thread.start()
long = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT sum(i) FROM n"
for _ in range(20):
    rows = db.execute("SELECT data FROM read_pool(json_array(?1, ?1, ?1, ?1))", (long,)).fetchall()
    assert len(rows) == 4, rows
for thread in threads: thread.join()
tables = names() - stock
assert len(tables) > 10, tables
for table in sorted(tables - {"read_pool"}):
    db.execute(f"SELECT * FROM {table} LIMIT 20").fetchall()
HELD = "(SELECT connection_id FROM connection_metrics WHERE application = 'held')"
for name in ORDER + sorted(set(FUNCTIONS) - set(ORDER)):
    for arguments in FUNCTIONS[name]:
        if not db.execute("SELECT 1 FROM pragma_function_list WHERE name = ?", (name,)).fetchall():
            continue
        sql = f"SELECT {name}{arguments.replace('{d}', os.path.dirname(path)).replace('{open}', HELD)}"
        if name == "wal_cancel":  # of a statement that runs
            held = sqlite3.connect(path, isolation_level=None)
            held.execute("SELECT wal_application_name('held')").fetchall()
            cursor = held.execute("SELECT id FROM t ORDER BY +id")
            assert cursor.fetchone() is not None
        try:
            rows = db.execute(sql).fetchall()
        except sqlite3.Error as error:
            sys.exit(f"{sql}: {error}")
        if name == "wal_cancel":
            assert rows == [(1,)], rows
            cursor.close()
            held.close()
second = sqlite3.connect(path, isolation_level=None)
second.execute("SELECT * FROM system_health").fetchall()
second.close()
db.close()
if os.fork() == 0:
    again = sqlite3.connect(path, isolation_level=None)
    again.execute("INSERT INTO t(payload) VALUES (1)")
    again.close()
    os._exit(0)
print("lived", os.wait()[1])
"""


@pytest.fixture
def directory():
    """A directory that the user `nobody` may write to."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="walmanager-"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("when", ["never", "before", "later", "later, all threads"])
def test_no_call_that_a_sandbox_forbids(directory, when):
    """Bug: sched_setaffinity, ioprio_set and setpriority ended a process whose filter was not there at the first look."""
    # As root SQLite itself calls fchown, which is in @privileged.
    user = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run([sys.executable, "-c", HOST, when, str(directory / "test.db"),
                           str(BUILD / "tests" / "libsystem_calls_filter.so")], text=True, capture_output=True, timeout=120,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1",
                               "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "process")])}, **user)
    assert (done.stdout, done.returncode) == ("lived 0\n", 0), (done.returncode, done.stdout, done.stderr)


def test_every_function_is_called():
    """The list above has every function that the extension adds."""
    names = "SELECT name FROM pragma_function_list"
    managed, bare = connect(":memory:"), connect(":memory:", load=None)
    added = {row[0] for row in managed.execute(names)} - {row[0] for row in bare.execute(names)}
    assert {name for name in added if name.startswith("wal_")} - set(FUNCTIONS) == set()


def test_the_list_is_that_of_systemd():
    """No call is allowed here that systemd would not allow."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    shown = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter"], text=True, capture_output=True)
    if shown.returncode != 0:
        pytest.skip("systemd-analyze shows no sets of calls: " + shown.stderr)
    sets, members = {}, set()
    for line in shown.stdout.splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line.strip(), set())
        elif line.strip() and not line.strip().startswith("#"):
            members.add(line.strip())

    def calls(name):
        return set().union(*(calls(member) if member.startswith("@") else {member} for member in sets[name]))
    listed = set((TESTS / "process/system_service_calls.txt").read_text().split())
    assert len(listed) > 200
    assert listed - (calls("@system-service") - calls("@resources") - calls("@privileged")) == set()
