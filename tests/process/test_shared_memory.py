"""Shared memory that SQLite does not use itself is not asked for: no stray -shm file, no descriptor left on one."""

import os
import sqlite3
import time

import pytest

from conftest import connect, metrics, one

ROW = "INSERT INTO t VALUES (1) RETURNING a"
# Longer than slow_query_ms is set to below: its plan is wanted.
SLOW = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT count(*) FROM n, t"


def on_shm(path):
    """How many descriptors of this process are on its -shm file."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{number}").startswith(f"{path}-shm")
        except OSError:
            pass  # closed since
    return count


def no_shm(path):
    return not os.path.exists(f"{path}-shm") and on_shm(path) == 0


@pytest.fixture
def path(tmp_path):
    """A database in rollback mode, with a row."""
    path = tmp_path / "test.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE t(a)")
    db.execute("INSERT INTO t VALUES (0)")
    db.close()
    return path


def writes_and_reads(db):
    """What makes the extension look for commits without a hook, and hand plans over."""
    for i in range(70):
        assert db.execute(ROW).fetchall() == [(1,)]
        db.execute(SLOW.format(3000 + i)).fetchall()
        if i % 35 == 0:
            time.sleep(1.05)  # plans are handed over once a second


@pytest.mark.parametrize("journal", ["DELETE", "TRUNCATE", "PERSIST", "MEMORY", "OFF"])
def test_a_rollback_database_under_exclusive_locking_gets_no_shm(path, journal):
    """Between its statements it holds SHARED after a read, as a connection in WAL mode does."""
    db = connect(path)
    db.execute("SELECT wal_set('slow_query_ms', 1)").fetchall()
    db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    assert one(db, f"PRAGMA journal_mode={journal}") == journal.lower()
    if journal == "PERSIST":
        db.execute("PRAGMA journal_size_limit=0").fetchall()
    assert one(db, "SELECT count(*) FROM t") == 1
    writes_and_reads(db)
    assert no_shm(path)
    for table in ("wal_metrics", "system_health", "wal_readers", "connection_metrics"):
        db.execute(f"SELECT * FROM {table}").fetchall()
    assert no_shm(path)
    db.close()
    assert no_shm(path)


def test_a_read_under_exclusive_locking_gets_no_shm(path):
    """The first write that returns rows comes while SHARED is all that is held."""
    db = connect(path)
    db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    assert one(db, "SELECT count(*) FROM t") == 1
    assert db.execute(ROW).fetchall() == [(1,)]
    assert no_shm(path)
    db.close()
    assert no_shm(path)


def test_a_shared_cache_in_rollback_mode_gets_no_shm(path):
    """Another connection of the shared cache reads, so their common file holds SHARED."""
    uri = f"file:{path}?cache=shared"
    reader, writer = connect(uri, uri=True), connect(uri, uri=True)
    writer.execute("CREATE TABLE u(a)")
    writer.execute("SELECT wal_set('slow_query_ms', 1)").fetchall()
    cursor = reader.execute("SELECT a FROM t UNION ALL SELECT 1")
    assert cursor.fetchone() == (0,)
    assert writer.execute("INSERT INTO u VALUES (1) RETURNING a").fetchall() == [(1,)]
    writer.execute(SLOW.format(30000)).fetchall()
    time.sleep(1.05)
    writer.execute(SLOW.format(30001)).fetchall()
    assert no_shm(path)
    cursor.close()
    reader.close()
    writer.close()
    assert no_shm(path)


def test_exclusive_locking_before_wal_mode_has_no_shm(path):
    """SQLite keeps the wal-index in memory of its own then, and promises that there is no -shm file."""
    db = connect(path)
    db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    assert one(db, "PRAGMA journal_mode=WAL") == "wal"
    assert no_shm(path)
    db.execute("SELECT wal_set('slow_query_ms', 1)").fetchall()
    writes_and_reads(db)
    for _ in range(10):
        db.execute("INSERT INTO t VALUES (2)")
    assert no_shm(path)
    # The hook still tells how long the log is.
    assert metrics(db)["wal_frames"] > 0
    for table in ("system_health", "wal_readers", "connection_metrics"):
        db.execute(f"SELECT * FROM {table}").fetchall()
    assert no_shm(path)
    db.close()
    assert no_shm(path)


def test_wal_mode_left_under_exclusive_locking_leaves_no_shm(path):
    """The mode was WAL when this connection committed, and no longer is when it closes."""
    db = connect(path)
    assert one(db, "PRAGMA journal_mode=WAL") == "wal"
    db.execute("INSERT INTO t VALUES (2)")
    assert metrics(db)["commits"] > 0
    assert one(db, "PRAGMA journal_mode=DELETE") == "delete"
    db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    assert one(db, "SELECT count(*) FROM t") == 2
    db.close()
    assert no_shm(path)


def test_a_hook_that_comes_late_is_no_lost_trace(path):
    """A write that is left half-way commits without the hook, which SQLite calls after the next statement, a read."""
    db = connect(path)
    assert one(db, "PRAGMA journal_mode=WAL") == "wal"
    for _ in range(5):
        db.execute(ROW).close()
        db.execute("SELECT a FROM t").fetchall()
        assert metrics(db)["checkpointer"] == "background"
    assert one(db, "SELECT trace FROM connection_metrics WHERE role = 'application'") == "active"
    db.close()


def test_an_empty_log_is_a_log(path):
    """Nothing has been written to it: a single commit that reaches no hook is copied all the same."""
    db = connect(path)
    assert one(db, "PRAGMA journal_mode=WAL") == "wal"
    db.execute("SELECT wal_set('sample_interval_ms', 20), wal_set('checkpoint_interval_ms', 100)").fetchall()
    db.close()
    db = connect(path)
    assert one(db, "SELECT count(*) FROM t") == 1
    assert os.stat(f"{path}-wal").st_size == 0
    db.execute(ROW).close()
    deadline = time.monotonic() + 10
    while metrics(db)["checkpoints_background"] == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert metrics(db)["checkpoints_background"] == 1
    assert metrics(db)["pending_frames"] == 0
    db.close()
