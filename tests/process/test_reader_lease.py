"""reader_lease_ms: a query that pins a log beyond its limit is interrupted by its own process."""

import time

import pytest

from conftest import connect, one
from waiting import poll
from workers import WorkerError, fast_path, worker  # noqa: F401

LIMIT = 1 << 20
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {steps}) SELECT count(*) FROM n, (SELECT id FROM t LIMIT 1)"
ENDLESS = SLOW.format(steps=10**12)
# What a process does in its first second starts no thread that looks.
GROWN_UP = "time.sleep(1.2)"


def set_up(path, lease_ms=300):
    db = connect(path)
    db.execute("PRAGMA synchronous=OFF")
    for name, value in (("wal_limit_bytes", LIMIT), ("sample_interval_ms", 100), ("reader_lease_ms", lease_ms)):
        db.execute("SELECT wal_set(?, ?)", (name, value)).fetchall()
    db.execute("INSERT INTO t(payload) VALUES (1)")
    return db


def outgrow_limit(db):
    """While a reader is there: the log cannot start over."""
    for _ in range(400):
        db.execute("INSERT INTO t(payload) VALUES (randomblob(9000))")


def events(db):
    return [row[0] for row in db.execute("SELECT detail FROM wal_alerts WHERE check_name = 'reader_lease' ORDER BY id")]


@pytest.fixture
def reader(worker, fast_path):  # noqa: F811
    process = worker(fast_path)
    process.run(GROWN_UP)
    return process


def test_a_query_beyond_its_lease_is_interrupted_and_told_of(reader, fast_path):  # noqa: F811
    db = set_up(fast_path)
    reader.run("db.execute(\"SELECT wal_application_name('report')\").fetchall()")
    reader.start("run", f"db.execute({ENDLESS!r}).fetchall()")
    time.sleep(0.2)
    outgrow_limit(db)
    with pytest.raises(WorkerError, match="interrupted"):
        reader.finish()
    (event,) = poll_events(db, 1)
    assert event.startswith("the query of connection ") and "(report) was interrupted after " in event
    assert "reader_lease_ms is 300, and the log is beyond wal_limit_bytes: WITH RECURSIVE n (i)" in event
    (line,) = db.execute("SELECT result, rule, error, blocked_by_pid FROM wal_checkpoints WHERE rule = 'reader_lease_ms'")
    assert line[:2] == ("skipped", "reader_lease_ms") and line[3] == reader.pid
    assert line[2].startswith("interrupted after ")
    # The connection is as before, and the log starts over.
    assert reader.call("one(db, 'SELECT count(*) FROM t')") > 0
    before = one(db, "SELECT wal_resets FROM wal_metrics")
    for _ in range(300):
        db.execute("INSERT INTO t(payload) VALUES (randomblob(9000))")
    assert one(db, "SELECT wal_resets FROM wal_metrics") > before


def poll_events(db, count):
    poll(lambda: len(events(db)), count)
    return events(db)


def test_no_query_is_interrupted_without_a_lease_or_within_the_limit(reader, fast_path):  # noqa: F811
    db = set_up(fast_path, lease_ms=0)
    reader.start("call", f"one(db, {SLOW.format(steps=200_000)!r})")
    outgrow_limit(db)
    assert reader.finish() > 0
    db.execute("SELECT wal_set('reader_lease_ms', 1)").fetchall()
    db.execute("SELECT wal_set('wal_limit_bytes', 1 << 30)").fetchall()
    reader.start("call", f"one(db, {SLOW.format(steps=200_000)!r})")
    outgrow_limit(db)
    assert reader.finish() > 0
    assert events(db) == []


@pytest.mark.parametrize("holds, why", [
    ("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()",
     "its transaction is open and no statement runs"),
    ("cursor = db.execute('SELECT id FROM t, (SELECT 1 UNION ALL SELECT 2)'); cursor.fetchone()",
     "its statement is neither finished nor reset, and the program fetches no rows"),
])
def test_what_cannot_be_ended_is_named_once_and_left_alone(reader, fast_path, holds, why):  # noqa: F811
    db = set_up(fast_path)
    db.execute("INSERT INTO t(payload) VALUES (2)")
    reader.run(holds)
    outgrow_limit(db)
    (event,) = poll_events(db, 1)
    assert ", and cannot be ended: " + why in event
    time.sleep(0.5)  # several looks
    assert len(events(db)) == 1
    # No interrupt is pending.
    assert reader.call("one(db, 'SELECT count(*) FROM t')") > 0


def test_a_query_beside_an_open_cursor_is_not_interrupted(reader, fast_path):  # noqa: F811
    """Every later statement of the connection would fail until the cursor is reset."""
    db = set_up(fast_path)
    db.execute("INSERT INTO t(payload) VALUES (2)")
    reader.run("cursor = db.execute('SELECT id FROM t'); cursor.fetchone()")
    reader.start("call", f"one(db, {SLOW.format(steps=3_000_000)!r})")
    outgrow_limit(db)
    assert reader.finish() > 0
    assert all("cannot be ended" in event for event in events(db))


def test_a_write_is_not_interrupted(reader, fast_path):  # noqa: F811
    db = set_up(fast_path)
    pin = connect(fast_path)
    pin.execute("BEGIN")
    pin.execute("SELECT count(*) FROM t").fetchall()
    outgrow_limit(db)
    reader.run("db.execute(\"INSERT INTO t(payload) " + SLOW.format(steps=1_000_000) + "\")")
    assert reader.call("one(db, 'SELECT count(*) FROM t WHERE payload = 1000000')") == 1
    pin.execute("COMMIT")
    assert not any("was interrupted" in event for event in events(db))


def test_a_transaction_that_has_written_is_not_interrupted(reader, fast_path):  # noqa: F811
    db = set_up(fast_path)
    pin = connect(fast_path)
    pin.execute("BEGIN")
    pin.execute("SELECT count(*) FROM t").fetchall()
    outgrow_limit(db)
    reader.run("db.execute('BEGIN IMMEDIATE'); db.execute('INSERT INTO t(payload) VALUES (7)')")
    assert reader.call(f"one(db, {SLOW.format(steps=200_000)!r})") > 0
    reader.run("db.execute('COMMIT')")
    pin.execute("COMMIT")
    assert not any("was interrupted" in event for event in events(db))


def test_a_connection_with_several_databases_is_not_interrupted(reader, fast_path, tmp_path):  # noqa: F811
    """Another thread cannot know which of them the query reads."""
    other = connect(tmp_path / "other.db")
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    other.execute("INSERT INTO t(payload) VALUES (1)")
    db = set_up(fast_path)
    reader.run(f"db.execute(\"ATTACH '{tmp_path}/other.db' AS other\"); db.execute('INSERT INTO other.t VALUES (5, 5)')")
    reader.start("call", f"one(db, {SLOW.format(steps=1_000_000)!r})")
    outgrow_limit(db)
    assert reader.finish() > 0
    assert not any("was interrupted" in event for event in events(db))


def test_a_connection_that_closes_while_its_queries_are_interrupted(worker, fast_path):  # noqa: F811
    db = set_up(fast_path, lease_ms=1)
    pin = connect(fast_path)
    pin.execute("BEGIN")
    pin.execute("SELECT count(*) FROM t").fetchall()
    outgrow_limit(db)
    process = worker()
    process.run(f"""
        path, interrupted, done = {str(fast_path)!r}, 0, 0
        end = time.monotonic() + 4
        while time.monotonic() < end:
            db = connect(path)
            try:
                one(db, {SLOW.format(steps=3000)!r})
                done += 1
            except sqlite3.OperationalError as error:
                assert str(error) == "interrupted", error
                interrupted += 1
            db.close()
    """)
    assert process.call("done") > 0
    pin.execute("COMMIT")
