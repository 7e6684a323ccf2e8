"""Waits for SQLite's locks: counted exactly, with the connection that held the lock, whatever the program does
to its files meanwhile."""

import ctypes
import os
import random
import subprocess
import sys
import threading
import time

import pytest

from conftest import EXTENSION, connect, metrics, one
from waiting import poll
from workers import fast_path, worker  # noqa: F401 (fixtures)

INSERT = "INSERT INTO t(payload) VALUES (1)"


def rows(db, sql, *parameters):
    cursor = db.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def waits(db):
    return rows(db, "SELECT * FROM wal_lock_waits ORDER BY id")


def my_id(db):
    """The connection_id of a connection that has just named itself."""
    name = f"it's {random.random()}"
    one(db, "SELECT wal_application_name(?)", name)
    return one(db, "SELECT connection_id FROM connection_metrics WHERE application = ?", name)


def fails(db, sql, name):
    with pytest.raises(Exception) as caught:
        db.execute(sql).fetchall()
    assert caught.value.sqlite_errorname == name if hasattr(caught.value, "sqlite_errorname") else True
    assert "database is locked" in str(caught.value)


@pytest.fixture
def pair(fast_path):
    """Two managed connections of this process."""
    holder, waiter = (connect(fast_path, timeout=5, check_same_thread=False) for _ in range(2))
    for db in (holder, waiter):
        db.execute("PRAGMA synchronous=OFF")
        db.execute(INSERT)
    yield holder, waiter
    holder.close()
    waiter.close()


def test_a_wait_that_ends_well(pair, fast_path):
    holder, waiter = pair
    operator = connect(fast_path)
    ids = my_id(holder), my_id(waiter)
    one(holder, "SELECT wal_application_name('the report')")
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("UPDATE t SET payload = 2 WHERE id = 1")
    thread = threading.Thread(target=waiter.execute, args=(INSERT,))
    began = time.monotonic()
    thread.start()
    def live():
        return rows(operator, "SELECT waiting_for, waiting_ms, blocked_by, blocked_by_pid FROM connection_metrics "
                            "WHERE connection_id = ? AND waiting_for IS NOT NULL", ids[1])
    assert poll(lambda: live() != [])
    found, = live()
    assert (found["waiting_for"], found["blocked_by"], found["blocked_by_pid"]) == ("write", ids[0], os.getpid())
    time.sleep(0.3)
    assert live()[0]["waiting_ms"] >= 250
    holder.execute("COMMIT")
    thread.join()
    waited = (time.monotonic() - began) * 1000
    assert live() == []
    row, = waits(operator)
    assert 300 <= row["waited_ms"] <= waited
    assert {name: row[name] for name in row if name not in ("at", "waited_ms", "application", "holder_transaction_ms")} == {
        "schema": "main", "id": 1, "pid": os.getpid(), "connection_id": ids[1], "query": "INSERT INTO t (payload) VALUES (?)",
        "lock": "write", "outcome": "acquired", "holder_pid": os.getpid(), "holder_connection_id": ids[0],
        "holder_application": "the report", "holder_query": "UPDATE t SET payload = ? WHERE id = ?",
        "holder_state": "idle in transaction", "had_read": 0, "process": row["holder_process"],
        "holder_process": one(operator, "SELECT process FROM connection_metrics WHERE connection_id = ?", ids[0])}
    assert row["holder_transaction_ms"] >= row["waited_ms"]
    query, = rows(operator, "SELECT lock_waits, lock_wait_ms, busy_errors, snapshot_conflicts FROM query_performance WHERE lock_waits > 0")
    assert query["lock_wait_ms"] == pytest.approx(row["waited_ms"])
    assert (query["lock_waits"], query["busy_errors"], query["snapshot_conflicts"]) == (1, 0, 0)
    total = metrics(operator)
    assert (total["lock_waits"], total["busy_errors"], total["snapshot_conflicts"]) == (1, 0, 0)
    assert total["lock_wait_max_ms"] == pytest.approx(row["waited_ms"])
    assert total["lock_wait_p99_ms"] == pytest.approx(row["waited_ms"], rel=0.04)
    listed = one(operator, "SELECT (SELECT count(*) FROM wal_checkpoints) + (SELECT count(*) FROM wal_lock_waits)")
    assert one(operator, "SELECT wal_metrics_reset('wal')") == listed >= 1
    assert waits(operator) == [] and metrics(operator)["lock_waits"] == 0
    assert one(operator, "SELECT sum(lock_waits) FROM query_performance") == 1
    one(operator, "SELECT wal_metrics_reset('queries')")
    assert one(operator, "SELECT sum(lock_waits) FROM query_performance") == 0
    operator.close()


def test_busy_snapshot_and_what_is_neither(pair):
    holder, waiter = pair
    # Not waits: an update of no row, an empty transaction, a write that finds the lock free.
    waiter.execute("UPDATE t SET payload = 1 WHERE id = 77")
    waiter.execute("BEGIN IMMEDIATE")
    waiter.execute("COMMIT")
    waiter.execute("BEGIN")
    waiter.execute("SELECT count(*) FROM t").fetchall()
    waiter.execute(INSERT)
    waiter.execute("COMMIT")
    # Nor the connection's own commits, while a cursor of it goes on reading.
    cursor = waiter.execute("SELECT id FROM t")
    cursor.fetchone()
    waiter.execute(INSERT)
    waiter.execute(INSERT)
    cursor.close()
    assert waits(holder) == [] and metrics(holder)["lock_waits"] == 0
    waiter.execute("PRAGMA busy_timeout=30")
    holder.execute("BEGIN IMMEDIATE")
    fails(waiter, INSERT, "SQLITE_BUSY")
    fails(waiter, "BEGIN IMMEDIATE", "SQLITE_BUSY")
    waiter.execute("PRAGMA busy_timeout=0")
    fails(waiter, INSERT, "SQLITE_BUSY")
    holder.execute("COMMIT")
    waiter.execute("BEGIN")
    waiter.execute("SELECT count(*) FROM t").fetchall()
    holder.execute(INSERT)
    fails(waiter, "UPDATE t SET payload = 3 WHERE id = 1", "SQLITE_BUSY_SNAPSHOT")
    fails(waiter, "UPDATE t SET payload = 3 WHERE id = 1", "SQLITE_BUSY_SNAPSHOT")
    waiter.execute("ROLLBACK")
    waiter.execute(INSERT)
    # A transaction that has read does not wait for another writer.
    waiter.execute("PRAGMA busy_timeout=5000")
    waiter.execute("BEGIN")
    waiter.execute("SELECT count(*) FROM t").fetchall()
    holder.execute("BEGIN IMMEDIATE")
    fails(waiter, INSERT, "SQLITE_BUSY")
    holder.execute("ROLLBACK")
    waiter.execute("ROLLBACK")
    found = waits(holder)
    assert [row["outcome"] for row in found] == ["busy"] * 3 + ["snapshot"] * 2 + ["busy"]
    assert [row["query"] for row in found] == ["INSERT INTO t (payload) VALUES (?)", "BEGIN IMMEDIATE",
                                               "INSERT INTO t (payload) VALUES (?)",
                                               *["UPDATE t SET payload = ? WHERE id = ?"] * 2,
                                               "INSERT INTO t (payload) VALUES (?)"]
    assert min(row["waited_ms"] for row in found[:2]) >= 25 and max(row["waited_ms"] for row in found[2:]) < 25
    # The holder of a snapshot is the connection that had committed last.
    assert len({row["holder_connection_id"] for row in found}) == 1 and found[3]["holder_connection_id"] != found[3]["connection_id"]
    assert (found[3]["holder_pid"], found[3]["holder_query"]) == (os.getpid(), "INSERT INTO t (payload) VALUES (?)")
    assert (found[3]["holder_state"], found[3]["holder_transaction_ms"]) == (None, None)
    total = metrics(holder)
    assert (total["lock_waits"], total["busy_errors"], total["snapshot_conflicts"]) == (4, 4, 2)
    assert rows(holder, "SELECT busy_errors, snapshot_conflicts FROM query_performance "
                        "WHERE busy_errors + snapshot_conflicts > 0 ORDER BY query") == [
        {"busy_errors": 1, "snapshot_conflicts": 0}, {"busy_errors": 3, "snapshot_conflicts": 0},
        {"busy_errors": 0, "snapshot_conflicts": 2}]


def test_lock_wait_ms_says_which_waits_are_listed(pair):
    holder, waiter = pair
    for least, listed in ((100_000, 0), (0, 1)):
        one(holder, "SELECT wal_set('lock_wait_ms', ?)", least)
        waiter.execute("SELECT 1").fetchall()
        holder.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=waiter.execute, args=(INSERT,))
        thread.start()
        time.sleep(0.05)
        holder.execute("COMMIT")
        thread.join()
        assert len(waits(holder)) == listed
    assert metrics(holder)["lock_waits"] == 2


def test_a_checkpoint_of_the_program_waits_for_a_writer(pair):
    holder, waiter = pair
    one(holder, "SELECT wal_set('lock_wait_ms', 20)")
    waiter.execute("SELECT 1").fetchall()
    holder.execute("BEGIN IMMEDIATE")
    waiter.execute("PRAGMA busy_timeout=40")
    assert waiter.execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0] == 1
    holder.execute("COMMIT")
    row, = waits(holder)
    assert (row["lock"], row["outcome"], row["query"]) == ("write", "given up", "PRAGMA wal_checkpoint = ?")
    assert row["waited_ms"] >= 35
    assert (metrics(holder)["lock_waits"], metrics(holder)["busy_errors"]) == (1, 0)  # no error: it returned a row


def test_bug_a_full_cache_counted_as_an_error(tmp_path):
    """In rollback mode SQLite tries to write pages for which its cache has no room, and goes on where it may not yet."""
    reader, writer = (connect(tmp_path / "rollback.db", timeout=0) for _ in range(2))
    reader.execute("CREATE TABLE t(x)")
    one(reader, "SELECT wal_set('lock_wait_ms', 0)")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    writer.execute("PRAGMA cache_size=10")
    writer.execute("BEGIN")
    writer.execute("INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT zeroblob(4000) FROM n")
    assert metrics(writer)["busy_errors"] == 0
    fails(writer, "COMMIT", "SQLITE_BUSY")
    assert metrics(writer)["busy_errors"] == 1
    # A writer that waits for readers keeps new ones out, and is named.
    reader.execute("COMMIT")
    fails(reader, "SELECT * FROM t", "SQLITE_BUSY")
    writer.execute("COMMIT")
    found = waits(writer)
    last = found.pop()
    assert (last["lock"], last["outcome"], last["holder_connection_id"]) == ("shared", "busy", found[0]["connection_id"])
    assert [(row["lock"], row["outcome"]) for row in found] == [("exclusive", "given up"), ("exclusive", "busy")]
    assert found[0]["holder_connection_id"] == found[1]["holder_connection_id"] != found[0]["connection_id"]
    # Outside of a transaction the commit of the same statement fails.
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t LIMIT 1").fetchall()
    fails(writer, "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT zeroblob(4000) FROM n", "SQLITE_BUSY")
    assert metrics(writer)["busy_errors"] == 3
    reader.close()
    writer.close()


def test_bug_a_wait_named_its_first_holder_until_its_end(pair, fast_path):
    holder, waiter = pair
    second = connect(fast_path, timeout=5, check_same_thread=False)
    operator = connect(fast_path)
    ids = my_id(holder), my_id(waiter), my_id(second)
    def blocked_by():
        return one(operator, "SELECT blocked_by FROM connection_metrics WHERE connection_id = ?", ids[1])
    holder.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=waiter.execute, args=(INSERT,))
    thread.start()
    assert poll(blocked_by, ids[0]) == ids[0]
    time.sleep(0.4)  # by now it tries ten times a second
    holder.execute("COMMIT")
    second.execute("BEGIN IMMEDIATE")
    assert poll(blocked_by, ids[2], 1) == ids[2]
    second.execute("COMMIT")
    thread.join()
    row, = waits(operator)
    assert row["holder_connection_id"] == ids[0]  # when the wait began
    operator.close()
    second.close()


def test_bug_a_cursor_that_ended_in_another_thread_went_on_holding_its_lock(tmp_path):
    mover, reader, writer = (connect(tmp_path / "rollback.db", timeout=0, check_same_thread=False) for _ in range(3))
    mover.execute("CREATE TABLE t(x)")
    mover.execute("INSERT INTO t VALUES (1), (2)")
    ids = [my_id(db) for db in (mover, reader, writer)]
    def begin():
        cursors.append(mover.execute("SELECT * FROM t"))
        cursors[0].fetchone()
    cursors = []
    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    fails(writer, "BEGIN EXCLUSIVE", "SQLITE_BUSY")
    cursors[0].close()
    mover.execute("BEGIN")  # holds nothing, and began before the reader
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    fails(writer, "BEGIN EXCLUSIVE", "SQLITE_BUSY")
    assert [row["holder_connection_id"] for row in waits(writer)] == ids[:2]
    for db in (mover, reader, writer):
        db.close()


def test_bug_a_wait_for_an_attached_database_had_no_statement(pair, tmp_path):
    holder, waiter = pair
    for db in pair:
        db.execute("ATTACH ? AS o", (str(tmp_path / "other.db"),))
    holder.execute("PRAGMA o.journal_mode=WAL")
    holder.execute("CREATE TABLE o.u(x)")
    waiter.execute("SELECT * FROM o.u").fetchall()
    one(waiter, "SELECT count(*) FROM wal_metrics")  # it is known there now
    waiter.execute("PRAGMA busy_timeout=0")
    holder.execute("BEGIN")
    holder.execute("INSERT INTO o.u VALUES (2)")
    fails(waiter, "UPDATE o.u SET x = 9", "SQLITE_BUSY")
    holder.execute("COMMIT")
    assert [(row["schema"], row["query"]) for row in waits(holder)] == [("o", "UPDATE o.u SET x = ?")]
    assert one(holder, "SELECT busy_errors FROM query_performance WHERE schema = 'main' AND query = 'UPDATE o.u SET x = ?'") == 1
    # A wait that ends well.
    waiter.execute("PRAGMA busy_timeout=20000")
    one(waiter, "SELECT wal_set('lock_wait_ms', 0)")
    holder.execute("BEGIN")
    holder.execute("INSERT INTO o.u VALUES (3)")
    thread = threading.Thread(target=waiter.execute, args=("DELETE FROM o.u",))
    thread.start()
    assert poll(lambda: one(holder, "SELECT count(*) FROM connection_metrics WHERE waiting_for IS NOT NULL")) == 1
    holder.execute("COMMIT")
    thread.join()
    assert [(row["outcome"], row["query"]) for row in waits(holder)[1:]] == [("acquired", "DELETE FROM o.u")]


def test_bug_a_process_that_is_gone_was_named(worker, fast_path):
    operator = connect(fast_path, timeout=0)
    operator.execute(INSERT)
    process = worker(fast_path)
    process.run("db.execute('BEGIN IMMEDIATE')")
    fails(operator, INSERT, "SQLITE_BUSY")
    seen = "SELECT holder_pid, pid FROM wal_lock_waits"
    assert operator.execute(seen).fetchall() == [(process.pid, os.getpid())]
    process.end()
    assert operator.execute(seen).fetchall() == [(None, os.getpid())]
    operator.close()


def test_the_tables_can_be_read_beside_an_exclusive_lock(tmp_path):
    """A SELECT on any table takes a SHARED lock on the main database, also on one that reads nothing from it."""
    path = tmp_path / "rollback.db"
    holder, waiter, operator = connect(path), connect(path, timeout=0), connect(":memory:")
    holder.execute("CREATE TABLE t(x)")
    operator.execute("ATTACH ? AS app", (str(path),))
    waiter.execute("SELECT * FROM t").fetchall()  # its waits are measured from its first statement on
    holder.execute("BEGIN EXCLUSIVE")
    fails(waiter, "SELECT count(*) FROM wal_lock_waits", "SQLITE_BUSY")
    assert [(row["schema"], row["lock"], row["outcome"]) for row in waits(operator)] == [("app", "shared", "busy")]
    assert metrics(operator, "app")["busy_errors"] == 1
    for db in (holder, waiter, operator):
        db.close()


def test_walmanagers_own_checkpoint_is_named(pair, worker, fast_path):
    """A program asks for a checkpoint while the background thread of another process makes one."""
    holder, waiter = pair
    process = worker(fast_path)
    process.run("""
        db.execute("SELECT wal_set('checkpoint_frames', 100)").fetchall()
        db.execute("PRAGMA synchronous=FULL")
        stop = threading.Event()
        def write():
            other = connect(path, EXTENSION, timeout=30)
            while not stop.is_set():
                other.execute("INSERT INTO t(payload) VALUES (zeroblob(200000))")
        path = db.execute("PRAGMA database_list").fetchone()[2]
        thread = threading.Thread(target=write)
        thread.start()
    """)
    one(holder, "SELECT wal_set('lock_wait_ms', 0)")
    def busy_at_a_checkpoint():
        waiter.execute("PRAGMA wal_checkpoint").fetchall()
        return rows(holder, "SELECT DISTINCT outcome, holder_pid, holder_application, holder_state FROM wal_lock_waits WHERE lock = 'checkpoint'")
    try:
        end = time.monotonic() + 15
        while not (found := busy_at_a_checkpoint()) and time.monotonic() < end:
            pass
    finally:
        process.run("stop.set(); thread.join()")
    assert {"outcome": "given up", "holder_pid": process.pid, "holder_application": "walmanager", "holder_state": "checkpoint"} in found


UNMANAGED = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
db.execute("COMMIT")
"""


class Unmanaged:
    """A process without walmanager that holds a transaction."""

    def __init__(self, path, begin="BEGIN IMMEDIATE"):
        self.process = subprocess.Popen([sys.executable, "-c", UNMANAGED, str(path), begin],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid

    def end(self):
        self.process.communicate("\n", timeout=20)


def test_an_unmanaged_holder_is_named_by_its_pid(pair, fast_path):
    holder, waiter = pair
    other = Unmanaged(fast_path)
    thread = threading.Thread(target=waiter.execute, args=(INSERT,))
    thread.start()
    assert poll(lambda: one(holder, "SELECT max(blocked_by_pid) FROM connection_metrics") == other.pid)
    assert one(holder, "SELECT max(blocked_by) FROM connection_metrics") is None
    other.end()
    thread.join()
    waiter.execute("PRAGMA busy_timeout=300")
    time.sleep(2)  # the lock table is read for a hundredth of the time
    other = Unmanaged(fast_path)
    fails(waiter, INSERT, "SQLITE_BUSY")
    last = rows(holder, "SELECT outcome, holder_pid, holder_connection_id, holder_state FROM wal_lock_waits ORDER BY id DESC LIMIT 1")
    assert last == [{"outcome": "busy", "holder_pid": other.pid, "holder_connection_id": None, "holder_state": "unmanaged process"}]
    other.end()


def test_bug_a_statement_that_fails_at_once_waited_for_the_lock_table(pair, fast_path):
    """It took 7 to 15 ms where SQLite alone takes 10 us."""
    holder, waiter = pair
    other = Unmanaged(fast_path)
    waiter.execute("PRAGMA busy_timeout=0")
    for _ in range(20):
        fails(waiter, INSERT, "SQLITE_BUSY")
        time.sleep(0.11)
    seen = rows(holder, "SELECT DISTINCT holder_pid, holder_state FROM wal_lock_waits")
    assert seen == [{"holder_pid": None, "holder_state": None}]
    other.end()


def test_bug_an_idle_connection_waited_where_another_trace_hid_the_end_of_its_statement(pair, fast_path):
    holder, waiter = pair
    waiter.execute("PRAGMA busy_timeout=0")
    waiter.execute("SELECT 1").fetchall()
    waiter.set_trace_callback(lambda text: None)
    holder.execute("BEGIN IMMEDIATE")
    fails(waiter, "BEGIN IMMEDIATE", "SQLITE_BUSY")
    holder.execute("COMMIT")
    time.sleep(0.3)
    waiter.execute("BEGIN IMMEDIATE")
    waiter.execute("COMMIT")
    assert one(holder, "SELECT count(*) FROM wal_lock_waits") == 0
    assert one(holder, "SELECT coalesce(lock_wait_max_ms, 0) FROM wal_metrics") == 0
    assert one(holder, "SELECT count(*) FROM connection_metrics WHERE waiting_for IS NOT NULL") == 0


def test_bug_a_statement_that_was_finalized_unseen_was_read(worker, tmp_path):
    """A wait for an attached database named the newest statement, whose memory was gone. Freed memory is overwritten here."""
    holder = worker(tmp_path / "attached.db")
    holder.run('one(db, "PRAGMA journal_mode=WAL"); db.execute("CREATE TABLE u(x)"); db.execute("INSERT INTO u VALUES (1)")')
    # The cache of a thread would be left as it is.
    waiter = worker(MALLOC_PERTURB_="165", GLIBC_TUNABLES="glibc.malloc.tcache_count=0")
    waiter.run(f"""
        import ctypes
        lib = ctypes.CDLL("libsqlite3.so.0")
        db = connect({str(tmp_path / "main.db")!r}, None, timeout=20)
        handle = ctypes.c_void_p(ctypes.c_void_p.from_address(id(db) + 16).value)
        # No memory comes from SQLite's own reserve, which it does not free.
        assert lib.sqlite3_db_config(handle, 1001, None, 0, 0) == 0
        db.enable_load_extension(True)
        db.load_extension(EXTENSION)
        db.execute("PRAGMA journal_mode=WAL").fetchall()
        db.execute("CREATE TABLE t(a)")
        db.execute("INSERT INTO t VALUES (1), (2)")
        one(db, "SELECT wal_set('lock_wait_ms', 0)")
        db.execute("ATTACH ? AS o", ({str(tmp_path / "attached.db")!r},))
        db.execute("INSERT INTO o.u VALUES (2)")
        statement, write = ctypes.c_void_p(), ctypes.c_void_p()
        def prepare(sql, stmt):
            assert lib.sqlite3_prepare_v2(handle, sql, -1, ctypes.byref(stmt), None) == 0
        prepare(b"INSERT INTO o.u VALUES (3)", write)
        prepare(b"SELECT a FROM t WHERE a < '" + b"x" * 5000 + b"'", statement)
        assert lib.sqlite3_step(statement) == 100
        ignore = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, *[ctypes.c_void_p] * 3)(lambda *all: 0)
        lib.sqlite3_trace_v2(handle, 1, ignore, None)
        lib.sqlite3_finalize(statement)
    """)
    holder.run("db.execute('BEGIN IMMEDIATE')")
    waiter.start("run", "stepped = lib.sqlite3_step(write)")
    assert poll(lambda: holder.call("one(db, 'SELECT count(*) FROM connection_metrics WHERE waiting_for IS NOT NULL')") == 1)
    holder.run("db.execute('COMMIT')")
    waiter.finish()
    assert waiter.call("stepped") == 101
    assert holder.call("db.execute('SELECT outcome, query FROM wal_lock_waits').fetchall()") == [["acquired", None]]


def test_rollback_mode(tmp_path):
    """There is no control file then: the process measures for itself."""
    path = tmp_path / "rollback.db"
    one_, two = (connect(path, timeout=5, check_same_thread=False) for _ in range(2))
    one_.execute("CREATE TABLE t(x)")
    two.execute("PRAGMA busy_timeout=40")
    one_.execute("BEGIN IMMEDIATE")
    one_.execute("INSERT INTO t VALUES (1)")
    fails(two, "INSERT INTO t VALUES (2)", "SQLITE_BUSY")
    two.execute("BEGIN")
    two.execute("SELECT * FROM t").fetchall()
    one_.execute("PRAGMA busy_timeout=40")
    fails(one_, "COMMIT", "SQLITE_BUSY")
    two.execute("COMMIT")
    one_.execute("COMMIT")
    one_.execute("BEGIN EXCLUSIVE")
    fails(two, "SELECT * FROM t", "SQLITE_BUSY")
    two.execute("PRAGMA busy_timeout=5000")
    thread = threading.Thread(target=lambda: two.execute("SELECT * FROM t").fetchall())
    thread.start()
    time.sleep(0.2)
    one_.execute("COMMIT")
    thread.join()
    found = waits(one_)
    ids = {row["connection_id"] for row in found}
    assert [(row["lock"], row["outcome"]) for row in found] == [
        ("reserved", "busy"), ("exclusive", "busy"), ("shared", "busy"), ("shared", "acquired")]
    assert {row["holder_connection_id"] for row in found} == ids and len(ids) == 2
    assert all(row["holder_connection_id"] != row["connection_id"] for row in found)
    other = Unmanaged(path)
    two.execute("PRAGMA busy_timeout=300")
    time.sleep(2)  # the lock table is read for a hundredth of the time
    fails(two, "INSERT INTO t VALUES (3)", "SQLITE_BUSY")
    last = waits(one_)[-1]
    other.end()
    assert (last["lock"], last["holder_pid"]) == ("reserved", other.pid)
    assert last["holder_state"] is None  # without a control file a process with walmanager is not told from others
    assert metrics(one_)["busy_errors"] == 4 and metrics(one_)["lock_waits"] == 5
    assert not os.path.exists(f"{path}-walmanager")
    one_.close()
    two.close()


def test_attach_detach_and_a_change_of_the_journal_mode(pair, fast_path, tmp_path):
    holder, waiter = pair
    other = tmp_path / "other.db"
    for db in pair:
        db.execute("ATTACH ? AS o", (str(other),))
    holder.execute("PRAGMA o.journal_mode=WAL")
    holder.execute("CREATE TABLE o.u(x)")
    holder.execute("INSERT INTO o.u VALUES (1)")
    waiter.execute("INSERT INTO o.u VALUES (1)")
    waiter.execute("SELECT 1").fetchall()
    holder.execute("BEGIN")
    holder.execute("INSERT INTO o.u VALUES (2)")
    waiter.execute("PRAGMA busy_timeout=40")
    fails(waiter, "INSERT INTO o.u VALUES (3)", "SQLITE_BUSY")
    waiter.execute(INSERT)
    holder.execute("COMMIT")
    assert [(row["schema"], row["lock"], row["outcome"]) for row in waits(holder)] == [("o", "write", "busy")]
    # A close and a DETACH in WAL mode ask whether they are the last: no error.
    waiter.execute("DETACH o")
    waiter.execute("ATTACH ? AS o", (str(other),))
    waiter.execute("SELECT * FROM o.u").fetchall()
    waiter.execute("DETACH o")
    assert metrics(holder, "o")["busy_errors"] == 1
    # The journal mode needs the database for itself, and that is one.
    waiter.execute("ATTACH ? AS o", (str(other),))
    waiter.execute("SELECT * FROM o.u").fetchall()
    fails(waiter, "PRAGMA o.journal_mode=DELETE", "SQLITE_BUSY")
    assert [(row["lock"], row["outcome"]) for row in waits(holder)][1:] == [("exclusive", "busy")]
    waiter.execute("DETACH o")
    assert holder.execute("PRAGMA o.journal_mode=DELETE").fetchone() == ("delete",)
    holder.execute("INSERT INTO o.u VALUES (3)")
    assert holder.execute("PRAGMA o.journal_mode=WAL").fetchone() == ("wal",)
    waiter.execute("ATTACH ? AS o", (str(other),))
    waiter.execute("INSERT INTO o.u VALUES (3)")
    holder.execute("BEGIN")
    holder.execute("INSERT INTO o.u VALUES (4)")
    fails(waiter, "INSERT INTO o.u VALUES (5)", "SQLITE_BUSY")
    holder.execute("COMMIT")
    assert [(row["lock"], row["outcome"]) for row in waits(holder)][2:] == [("write", "busy")]
    for db in pair:
        db.execute("DETACH o")
    assert not os.path.exists(f"{other}-wal")


# In ctypes: the methods of a connection's file, as a program sees them.
METHODS = """
import ctypes
lib = ctypes.CDLL("libsqlite3.so.0")
lib.sqlite3_file_control.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
def file_of(db):
    handle = ctypes.c_void_p.from_address(id(db) + 16).value
    pointer = ctypes.c_void_p()
    assert lib.sqlite3_file_control(handle, b"main", 7, ctypes.byref(pointer)) == 0
    return pointer.value
def methods_of(db):
    return ctypes.c_void_p.from_address(file_of(db)).value
def set_methods(db, table):
    ctypes.c_void_p.from_address(file_of(db)).value = table
"""


def test_off_gives_the_program_its_own_methods_back(worker, fast_path):
    process = worker(fast_path)
    process.run(METHODS)
    process.run(f"""
        bare = connect({str(fast_path)!r}, None)
        bare.execute("SELECT count(*) FROM t").fetchall()
        db.execute("INSERT INTO t(payload) VALUES (1)")
        own = methods_of(bare)
    """)
    assert process.call("methods_of(db) != own")
    operator = connect(fast_path)
    one(operator, "SELECT wal_set('lock_metrics', 'off')")
    process.run("db.execute('SELECT 1').fetchall()")
    assert process.call("methods_of(db) == own")
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    one(operator, "SELECT wal_set('lock_metrics', 'on')")
    process.run("db.execute('SELECT 1').fetchall()")
    assert process.call("methods_of(db) != own")
    operator.close()


def test_a_program_that_changes_the_methods_itself(worker, fast_path):
    """It puts a copy of what it finds over every file, and closes in any order."""
    process = worker(fast_path)
    process.run(METHODS)
    process.run(f"""
        others = [connect({str(fast_path)!r}, timeout=5) for _ in range(3)]
        for other in others:
            other.execute("INSERT INTO t(payload) VALUES (1)")
        size = 8 + 18 * 8
        copy = ctypes.create_string_buffer(ctypes.string_at(methods_of(db), size), size)
        for other in (db, *others):
            set_methods(other, ctypes.addressof(copy))
            other.execute("INSERT INTO t(payload) VALUES (1)")
        db.execute("SELECT wal_set('lock_metrics', 'off')").fetchall()
        for other in (db, *others):
            other.execute("INSERT INTO t(payload) VALUES (1)")
            assert methods_of(other) == ctypes.addressof(copy)
        db.execute("SELECT wal_set('lock_metrics', 'on')").fetchall()
        for other in (db, *others):
            other.execute("INSERT INTO t(payload) VALUES (1)")
        others[1].close()
        db.execute("INSERT INTO t(payload) VALUES (1)")
        db.close()
        for other in (others[0], others[2]):
            other.execute("INSERT INTO t(payload) VALUES (1)")
        others[2].close()
        others[0].close()
    """)
    fresh = connect(fast_path)
    assert one(fresh, "PRAGMA integrity_check") == "ok"
    fresh.close()


# --- exact

MANY = """
def work(path, transactions, seed):
    import random
    chance = random.Random(seed)
    db = connect(path, EXTENSION)
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA busy_timeout=0")
    state = {"waits": 0, "wait_ns": 0, "errors": 0}
    def busy(tries):
        if tries == 0:
            state["began"] = time.monotonic_ns()
            state["waits"] += 1
        if tries >= state["limit"]:
            return 0
        time.sleep(0.0005)
        return 1
    busy_handler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(lambda _, tries: busy(tries))
    lib.sqlite3_busy_handler.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    handle = ctypes.c_void_p.from_address(id(db) + 16).value
    assert lib.sqlite3_busy_handler(handle, ctypes.cast(busy_handler, ctypes.c_void_p), None) == 0
    for _ in range(transactions):
        state["limit"] = chance.choice([2, 10_000, 10_000, 10_000])
        state["began"] = 0
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            state["errors"] += 1
            state["wait_ns"] += time.monotonic_ns() - state["began"]
            continue
        if state["began"]:
            state["wait_ns"] += time.monotonic_ns() - state["began"]
        db.execute("INSERT INTO t(payload) VALUES (1)")
        time.sleep(chance.random() * 0.003)
        db.execute("COMMIT")
        time.sleep(chance.random() * 0.004)
    db.close()
    return state
"""


def test_the_sum_over_processes_is_exact(worker, fast_path):
    """Of N processes with M contended transactions each."""
    operator = connect(fast_path)
    operator.execute(INSERT)
    processes = [worker(fast_path) for _ in range(4)]
    for process in processes:
        process.run(METHODS + MANY)
    before = metrics(operator)
    for number, process in enumerate(processes):
        process.start("call", f"work({str(fast_path)!r}, 150, {number})")
    states = [process.finish() for process in processes]
    after = metrics(operator)
    expected = {name: sum(state[name] for state in states) for name in ("waits", "wait_ns", "errors")}
    assert expected["waits"] > 50 and expected["errors"] > 5
    assert after["lock_waits"] - before["lock_waits"] == expected["waits"]
    assert after["busy_errors"] - before["busy_errors"] == expected["errors"]
    assert after["snapshot_conflicts"] == before["snapshot_conflicts"]
    query, = rows(operator, "SELECT lock_waits, lock_wait_ms, busy_errors FROM query_performance WHERE query = 'BEGIN IMMEDIATE'")
    assert (query["lock_waits"], query["busy_errors"]) == (expected["waits"], expected["errors"])
    assert query["lock_wait_ms"] == pytest.approx(expected["wait_ns"] / 1e6, rel=0.05)
    operator.close()


HOLDERS = """
def hold(path, seconds, seed):
    # Two threads, each with a connection of its own, take turns with those of all other processes.
    def work(number):
        chance = random.Random(seed * 10 + number)
        db = connect(path, EXTENSION, timeout=30)
        db.execute("PRAGMA synchronous=OFF")
        name = f"{seed}.{number}"
        db.execute("SELECT wal_application_name(?)", (name,)).fetchall()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic_ns()
            db.execute("BEGIN IMMEDIATE")
            had = time.monotonic_ns()
            db.execute("INSERT INTO t(payload) VALUES (1)")
            time.sleep(chance.random() * 0.004)
            db.execute("COMMIT")
            held.append((name, began, had, time.monotonic_ns()))
            time.sleep(chance.random() * 0.002)
        db.close()
    import random
    held = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return held
"""


def test_the_holder_is_right(worker, fast_path):
    """Of random waits between 4 processes with 2 threads each, 99 of 100 name a connection that held the lock when
    the wait began. WALMANAGER_WAITS=1000 looks at so many."""
    least = int(os.environ.get("WALMANAGER_WAITS", "200"))
    operator = connect(fast_path)
    operator.execute(INSERT)
    one(operator, "SELECT wal_set('lock_wait_ms', 0)")
    processes = [worker(fast_path) for _ in range(4)]
    for process in processes:
        process.run(HOLDERS)
    for number, process in enumerate(processes):
        process.start("call", f"hold({str(fast_path)!r}, {3 * least / 200}, {number})")
    found = {}
    while not all(process.answers_within(0) for process in processes):
        found.update({row["id"]: row for row in waits(operator)})  # which has the last 256
        time.sleep(0.1)
    held = [entry for process in processes for entry in process.finish()]
    found = list({**found, **{row["id"]: row for row in waits(operator)}}.values())
    assert len(found) >= least, len(found)
    # The record has the end of the wait in Unix time, to the millisecond: enough to find the waiting transaction.
    offset = time.time_ns() - time.monotonic_ns()
    slack, right = 1e6, 0  # between having the lock and the next look at the clock
    for row in found:
        end = one(operator, "SELECT (julianday(?) - 2440587.5) * 86400.0", row["at"]) * 1e9 - offset
        _, first, had, _ = min((entry for entry in held if entry[0] == row["application"]), key=lambda entry: abs(entry[2] - end))
        last = had - row["waited_ms"] * 1e6  # the wait began between these two
        right += any(name == row["holder_application"] and its_had - slack <= last and gave >= first
                     for name, _, its_had, gave in held)
    print(f"{right} of {len(found)} holders are right")
    # Beside other tests, on processors that all of them share, who holds the lock changes between two looks more often.
    wanted = 0.99 if "WALMANAGER_WAITS" in os.environ else 0.95
    assert right >= wanted * len(found), (right, len(found))
    assert all(row["holder_connection_id"] != row["connection_id"] for row in found)
    operator.close()


def test_a_killed_holder_is_not_named(worker, fast_path):
    operator = connect(fast_path, timeout=5)
    operator.execute(INSERT)
    process = worker(fast_path)
    process.run("db.execute('BEGIN IMMEDIATE')")
    process.kill()
    operator.execute(INSERT)  # the lock is free
    other = Unmanaged(fast_path)
    operator.execute("PRAGMA busy_timeout=300")
    time.sleep(2)  # the lock table is read for a hundredth of the time
    fails(operator, INSERT, "SQLITE_BUSY")
    assert [row["holder_pid"] for row in waits(operator)] == [other.pid]
    other.end()
    operator.close()
