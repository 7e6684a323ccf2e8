"""The -wal file shrinks to wal_limit_bytes while commits go on."""

import time

import pytest

from conftest import connect
from workers import fast_path, integrity  # noqa: F401 (fixtures)

LIMIT = 2_000_000


def log_bytes(path):
    return (path.parent / (path.name + "-wal")).stat().st_size


def burst(db, rows=3000):
    """One transaction far beyond the limit."""
    db.execute("BEGIN")
    db.executemany("INSERT INTO t(payload) VALUES (zeroblob(?))", [(4000,)] * rows)
    db.execute("COMMIT")


@pytest.fixture
def writer(fast_path):  # noqa: F811
    """Has no busy timeout, so it sees each SQLITE_BUSY."""
    db = connect(fast_path, timeout=0)
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("SELECT wal_set('wal_limit_bytes', ?)", (LIMIT,)).fetchall()
    yield db
    db.close()


def test_bug_the_log_stayed_between_once_and_twice_its_limit(writer, fast_path):
    """Commits go on, so nothing is idle: VACUUM leaves a log of its own size behind."""
    burst(writer, 700)
    writer.execute("VACUUM")
    assert LIMIT < log_bytes(fast_path)
    end = time.monotonic() + 20
    while log_bytes(fast_path) > LIMIT and time.monotonic() < end:
        writer.execute("INSERT INTO t(payload) VALUES (1)")
        time.sleep(0.01)
    assert log_bytes(fast_path) == LIMIT
    assert integrity(fast_path) == "ok"
