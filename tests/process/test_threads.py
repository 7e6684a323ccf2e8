"""Threads belong to the process: at most four however many databases it has open, and none while nothing happens."""

import json
import os
import subprocess
import sys
import time

import pytest

from conftest import EXTENSION, connect, one, threads_named
from waiting import ask_until, poll
from workers import fast_path, integrity, worker  # noqa: F401 (fixtures among them)

MANY = 40  # databases

HERE = """
def threads():
    return len(threads_named("walmanager"))
def grow_up():  # what a process does in its first second starts no thread but to copy
    time.sleep(max(0, loaded + 1.1 - time.monotonic()))
loaded = time.monotonic()
"""

DATABASES = """
def made(i):
    db = sqlite3.connect(f"{folder}/{i}.db", isolation_level=None, timeout=20, check_same_thread=False)
    db.enable_load_extension(True)
    db.load_extension(EXTENSION)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=OFF")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.execute("SELECT wal_set('checkpoint_interval_ms', 1000)").fetchall()
    return db
"""


def threads_of(process):
    """How many the extension has there; asks the process nothing."""
    return len(threads_named("walmanager", process.pid))


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def process(worker, fast_path):
    made = worker(fast_path)
    made.run(HERE)
    return made


def test_many_databases_have_at_most_four_threads_and_none_when_nothing_happens(worker, tmp_path):
    process = worker()
    process.run(f"folder = {str(tmp_path)!r}" + HERE + DATABASES)
    process.run(f"databases = [made(i) for i in range({MANY})]")
    process.run("""
        grow_up()
        most = 0
        for n in range(20):
            for db in databases: db.execute("INSERT INTO t(payload) VALUES (zeroblob(100))")
            most = max(most, threads())
    """)
    assert 2 <= process.call("most") <= 4
    # Until the logs are copied there is something to do, and then nothing for five seconds: eight in all, where other
    # programs do not keep the machine busy.
    assert poll(lambda: threads_of(process), 0, 30) == 0
    before = cpu_seconds(process)
    time.sleep(5)
    assert cpu_seconds(process) - before <= 0.02
    assert process.call("[one(db, 'SELECT count(*) FROM t') for db in databases]") == [20] * MANY
    assert ask_until(lambda: threads_of(process), bool, 4) in (1, 2, 3, 4)  # a thread has its name once it runs
    assert process.call("[row['pending_frames'] for row in map(metrics, databases)]") == [0] * MANY
    process.run("for db in databases: db.close()")
    assert threads_of(process) == 0


def test_a_process_in_its_first_second_has_no_thread_for_what_comes_later(process, fast_path):
    process.run("""
        for n in range(20): db.execute("INSERT INTO t(payload) VALUES (1)")
        count = threads()
        for n in range(1100): db.execute("INSERT INTO t(payload) VALUES (1)")
        while (copies := threads()) == 0 and time.monotonic() < loaded + 0.9: pass  # it has no name before it runs
        early = time.monotonic() < loaded + 0.9
    """)
    if process.call("early"):
        assert process.call("count") == 0
        assert process.call("copies") == 1
    process.run("grow_up(); db.execute('SELECT 1 FROM t').fetchone()")
    assert poll(lambda: process.call("threads()"), 2) == 2


def test_a_process_that_only_reads_looks_while_a_statement_is_open(worker, fast_path):
    writer = worker(fast_path)
    writer.run("for _ in range(10): db.execute('INSERT INTO t(payload) VALUES (1)')")
    writer.run("db.execute(\"SELECT wal_set('sample_interval_ms', 50)\").fetchall()")
    reader = worker(fast_path)
    reader.run(HERE + "grow_up()")
    reader.run("cursor = db.execute('SELECT id FROM t'); cursor.fetchone()")
    assert poll(lambda: threads_of(reader), 1) == 1  # a thread has its name once it runs
    time.sleep(1.5)  # the time without a query
    recent = "SELECT covers_ms FROM wal_history WHERE resolution_ms < 60000 ORDER BY at DESC LIMIT 3"
    assert writer.call(f"max(row[0] for row in db.execute({recent!r}))") < 500
    reader.run("cursor.close()")
    assert poll(lambda: threads_of(reader), 0, 10) == 0


def test_an_open_transaction_is_looked_at(process, fast_path):
    process.run("grow_up()")
    process.run("db.execute(\"SELECT wal_set('sample_interval_ms', 50)\").fetchall()")
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)'); db.execute('BEGIN')")
    time.sleep(1.5)
    assert threads_of(process) >= 1
    longest = ("one(db, 'SELECT max(covers_ms) FROM (SELECT covers_ms FROM wal_history WHERE resolution_ms < 60000 "
               "ORDER BY at DESC LIMIT 10)')")
    assert process.call(longest) < 1000
    process.run("db.execute('COMMIT')")


def test_the_sample_after_a_time_in_which_nothing_happened_covers_it(process, fast_path):
    process.run("grow_up()")
    process.run("db.execute(\"SELECT wal_set('sample_interval_ms', 20), wal_set('checkpoint_interval_ms', 100)\").fetchall()")
    process.run("began = time.monotonic()\nfor n in range(30): db.execute('INSERT INTO t(payload) VALUES (1)'); time.sleep(0.01)")
    samples = "db.execute('SELECT commits, covers_ms FROM wal_history WHERE resolution_ms < 60000').fetchall()"
    # A thread of low priority takes them, perhaps late.
    assert poll(lambda: sum(commits for commits, _ in process.call(samples)), 30) == 30
    time.sleep(3)
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    assert poll(lambda: sum(commits for commits, _ in process.call(samples)), 31) == 31
    process.run("for n in range(29): db.execute('INSERT INTO t(payload) VALUES (1)'); time.sleep(0.01)")
    process.run("took = (time.monotonic() - began) * 1000")
    assert poll(lambda: sum(commits for commits, _ in process.call(samples)), 60) == 60
    found = process.call(samples)
    gaps = [(commits, covers) for commits, covers in found if covers > 2000]
    assert len(gaps) == 1
    assert gaps[0][0] <= 1, "what was done after it is in the samples that follow"
    covered = sum(covers for _, covers in found)
    assert covered >= process.call("took") - 100


def test_a_setting_of_another_process_is_followed_at_the_next_statement(worker, fast_path):
    process = worker(fast_path)
    process.run(HERE + "for _ in range(3): db.execute('INSERT INTO t(payload) VALUES (1)')\ngrow_up()")
    shell = worker(fast_path)
    shell.call("one(db, \"SELECT wal_set('checkpoint_interval_ms', 100)\")")
    time.sleep(0.5)
    assert shell.call("metrics(db)['pending_frames']") > 0
    process.run("db.execute('SELECT count(*) FROM t').fetchall()")
    assert poll(lambda: shell.call("metrics(db)['pending_frames']"), 0) == 0


def test_bug_each_database_kept_a_connection_for_its_health_checks(worker, tmp_path):
    process = worker()
    process.run(f"folder = {str(tmp_path)!r}" + HERE + DATABASES)
    process.run("""
        import ctypes
        used = ctypes.CDLL("libsqlite3.so.0").sqlite3_memory_used
        used.restype = ctypes.c_int64
        databases = [made(i) for i in range(20)]
        for db in databases:
            db.execute("SELECT wal_set('sample_interval_ms', 10), wal_set('alert_interval_ms', 50)").fetchall()
        def is_evaluated(db):
            return one(db, "SELECT count(*) FROM wal_history WHERE health_score IS NOT NULL") > 0
        grow_up()
        deadline = time.monotonic() + 20
        while not all(map(is_evaluated, databases)) and time.monotonic() < deadline:
            for db in databases: db.execute("INSERT INTO t(payload) VALUES (1)")
            time.sleep(0.01)
        evaluated = sum(map(is_evaluated, databases))
        memory = used()
    """)
    assert process.call("evaluated") == 20
    assert process.call("memory") < 15_000_000


# --- fork and exit

def test_a_fork_while_many_databases_are_copied(worker, tmp_path):
    """No thread of the host is in SQLite at that moment: SQLite alone would not stand that either."""
    process = worker()
    process.run(f"folder = {str(tmp_path)!r}" + HERE + DATABASES)
    process.run("""
        databases = [made(i) for i in range(10)]
        for db in databases: db.execute("SELECT wal_set('checkpoint_frames', 20), wal_set('sample_interval_ms', 10)").fetchall()
        grow_up()
        statuses, most = [], 0
        for i in range(20):
            for _ in range(10):
                for db in databases: db.execute("INSERT INTO t(payload) VALUES (zeroblob(9000))")
            most = max(most, threads())
            child = os.fork()
            if child == 0:
                try:
                    assert threads() == 0
                    own = made(100 + i)
                    for _ in range(50): own.execute("INSERT INTO t(payload) VALUES (1)")
                    own.close()
                    os._exit(0)
                except BaseException:
                    os._exit(1)
            statuses.append(os.waitpid(child, 0)[1])
    """)
    assert process.call("statuses") == [0] * 20
    assert 2 <= process.call("most") <= 4
    assert process.end() == 0
    assert {integrity(tmp_path / f"{i}.db") for i in range(10)} == {"ok"}


EXITS = """
import os, sqlite3, sys, threading, time
EXTENSION, folder, end = sys.argv[1:4]
""" + DATABASES + """
databases = [made(i) for i in range(10)]
for db in databases: db.execute("SELECT wal_set('checkpoint_frames', 20), wal_set('sample_interval_ms', 10)").fetchall()
deadline = time.monotonic() + 1.3
while time.monotonic() < deadline:
    for db in databases: db.execute("INSERT INTO t(payload) VALUES (zeroblob(3000))")
if end == "closed":
    for db in databases: db.close()
if end == "at once": os._exit(0)
"""


@pytest.mark.parametrize("end", ["left open", "closed", "at once"])
def test_an_exit_while_many_databases_are_busy(tmp_path, end):
    done = subprocess.run([sys.executable, "-c", EXITS, EXTENSION, str(tmp_path), end], text=True, capture_output=True,
                          timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert {integrity(tmp_path / f"{i}.db") for i in range(10)} == {"ok"}


def test_threads_that_open_and_close_databases_at_once(worker, tmp_path):
    """The last close of each database stops its tasks. The threads stay for a while, since the databases come again."""
    process = worker()
    process.run(f"folder = {str(tmp_path)!r}" + HERE + DATABASES)
    process.run("""
        grow_up()
        errors = []
        def come_and_go(n):
            try:
                for i in range(15):
                    db = made(n)
                    for _ in range(30): db.execute("INSERT INTO t(payload) VALUES (1)")
                    db.execute("DROP TABLE t")
                    db.close()
            except Exception as error:
                errors.append(repr(error))
        hosts = [threading.Thread(target=come_and_go, args=(n,)) for n in range(6)]
        for host in hosts: host.start()
        for host in hosts: host.join()
    """)
    assert process.call("errors") == []
    assert poll(lambda: threads_of(process), 0, 20) == 0
