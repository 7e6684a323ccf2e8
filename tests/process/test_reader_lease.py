"""reader_lease_ms: a query that pins the log beyond its limit is interrupted by its own process.

tests/engine/query_lease_test.cc shows that no interrupt comes to another statement.
"""

import os
import time

import pytest

from conftest import connect, one
from waiting import poll, wait_for
from workers import WorkerError, fast_path, worker  # noqa: F401

LIMIT = 1 << 20
# Reads t, and takes time.
SLOW = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {steps}) "
        "SELECT count(*) FROM n, (SELECT id FROM t LIMIT 1)")
ENDLESS = SLOW.format(steps=10**12)
LONG = SLOW.format(steps=2_000_000)


def set_up(path, lease_ms=300, limit=LIMIT):
    db = connect(path, timeout=20)
    db.execute("PRAGMA synchronous=OFF")
    for name, value in (("wal_limit_bytes", limit), ("sample_interval_ms", 100), ("reader_lease_ms", lease_ms)):
        assert one(db, "SELECT wal_set(?, ?)", name, value) == value
    db.execute("INSERT INTO t(payload) VALUES (1), (2)")
    return db


def snapshot(path):
    """A connection that reads, so that the log cannot start over until its COMMIT."""
    db = connect(path)
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM t").fetchall()
    return db


def outgrow_limit(db):
    """While a reader is there: the log cannot start over."""
    for _ in range(400):
        db.execute("INSERT INTO t(payload) VALUES (randomblob(9000))")


def events(db):
    return [row[0] for row in db.execute("SELECT detail FROM wal_alerts WHERE check_name = 'reader_lease' ORDER BY id")]


def told(db, count):
    poll(lambda: len(events(db)), count)
    return events(db)


def lines(db):
    return db.execute("SELECT result, origin, blocked_by_pid, wal_bytes, error FROM wal_checkpoints "
                      "WHERE rule = 'reader_lease_ms'").fetchall()


@pytest.fixture
def reader(worker, fast_path):  # noqa: F811
    set_up(fast_path, 0).close()  # makes the control file
    return worker(fast_path)


def test_a_query_beyond_its_lease_is_interrupted_and_told_of(reader, fast_path):  # noqa: F811
    db = set_up(fast_path)
    # The query is one of the first second of its process, in which no other work starts a thread.
    reader.run("db.execute(\"SELECT wal_application_name('report')\").fetchall()")
    reader.start("run", f"db.execute({ENDLESS!r}).fetchall()")
    time.sleep(0.1)
    before = one(db, "SELECT wal_resets FROM wal_metrics")
    outgrow_limit(db)
    with pytest.raises(WorkerError, match="interrupted"):
        reader.finish()
    (event,) = told(db, 1)
    assert event.startswith("the query of connection ")
    assert "(report) was interrupted, which had held its snapshot for " in event
    assert "(reader_lease_ms is 300) while the log is beyond wal_limit_bytes: WITH RECURSIVE n (i)" in event
    ((result, origin, pid, wal_bytes, error),) = lines(db)
    assert (result, origin, pid) == ("skipped", "background", reader.pid)
    assert wal_bytes > LIMIT
    assert error.startswith("interrupted after ") and "WITH RECURSIVE n (i)" in error
    # The connection is as before, and the log starts over.
    assert reader.call("one(db, 'SELECT count(*) FROM t')") > 0

    def resets():
        db.execute("INSERT INTO t(payload) VALUES (randomblob(9000))")
        return one(db, "SELECT wal_resets FROM wal_metrics") > before

    # What was in vain is not tried again at each commit.
    wait_for(resets)


def test_the_log_is_bounded_beside_queries_that_do_not_end(reader, fast_path):  # noqa: F811
    """The limit, and what is committed during a lease."""
    lease_ms, limit, rate = 200, 2 << 20, 2000
    db = set_up(fast_path, lease_ms, limit)
    reader.start("run", f"""
        interrupts, end = 0, time.monotonic() + 3
        while time.monotonic() < end:
            try:
                db.execute({ENDLESS!r}).fetchall()
            except sqlite3.OperationalError as error:
                assert str(error) == "interrupted", error
                interrupts += 1
                time.sleep(0.05)
    """)
    wal, largest, began = str(fast_path) + "-wal", 0, time.monotonic()
    commits = 0
    while not reader.answers_within(0):
        db.execute("INSERT INTO t(payload) VALUES (randomblob(100))")
        commits += 1
        if commits % 20 == 0:
            largest = max(largest, os.stat(wal).st_size)
            time.sleep(max(0, began + commits / rate - time.monotonic()))
    reader.finish()
    assert reader.call("interrupts") >= 2
    # Without a lease it is at least a page for each commit.
    assert largest < limit + 8_000_000 < commits * 4096
    assert len(lines(db)) == reader.call("interrupts")


def test_no_query_is_interrupted_without_a_lease_or_within_the_limit(reader, fast_path):  # noqa: F811
    db = set_up(fast_path, lease_ms=0)
    reader.start("call", f"one(db, {LONG!r})")
    outgrow_limit(db)
    assert reader.finish() > 0
    db.execute("SELECT wal_set('reader_lease_ms', 1)").fetchall()
    db.execute("SELECT wal_set('wal_limit_bytes', 1 << 30)").fetchall()
    reader.start("call", f"one(db, {LONG!r})")
    outgrow_limit(db)
    assert reader.finish() > 0
    assert events(db) == [] and lines(db) == []


def test_no_query_is_interrupted_for_a_log_that_was_long_before(reader, fast_path):  # noqa: F811
    db = set_up(fast_path, lease_ms=0)
    pin = snapshot(fast_path)
    outgrow_limit(db)
    pin.execute("COMMIT")
    assert os.stat(str(fast_path) + "-wal").st_size > LIMIT
    db.execute("SELECT wal_set('reader_lease_ms', 1)").fetchall()
    assert reader.call(f"one(db, {LONG!r})") > 0
    assert events(db) == []


@pytest.mark.parametrize("holds, why", [
    ("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()",
     "its transaction is open and no statement runs"),
    ("cursor = db.execute('SELECT id FROM t, (SELECT 1 UNION ALL SELECT 2)'); cursor.fetchone()",
     "its statement has returned rows, and the program may run others in between"),
])
def test_what_cannot_be_ended_is_named_once_and_left_alone(reader, fast_path, holds, why):  # noqa: F811
    db = set_up(fast_path)
    reader.run(holds)
    # The process is in use, so its thread looks.
    reader.run(f"time.sleep(1.2); other = connect({str(fast_path)!r}); one(other, 'SELECT count(*) FROM t')")
    outgrow_limit(db)
    (event,) = told(db, 1)
    assert " has held its snapshot for " in event and f", and cannot be ended, since {why}: SELECT " in event
    time.sleep(0.5)  # several looks
    assert len(events(db)) == 1 and lines(db) == []
    # No interrupt is pending.
    assert reader.call("one(db, 'SELECT count(*) FROM t')") > 0


def test_a_query_beside_an_open_cursor_is_not_interrupted(reader, fast_path):  # noqa: F811
    """Every later statement of the connection would fail until the cursor is reset."""
    db = set_up(fast_path)
    reader.run("cursor = db.execute('SELECT id FROM t'); cursor.fetchone()")
    reader.start("call", f"one(db, {SLOW.format(steps=5_000_000)!r})")
    outgrow_limit(db)
    assert reader.finish() > 0
    assert lines(db) == [] and all("cannot be ended" in event for event in events(db))


def test_no_write_is_interrupted(reader, fast_path):  # noqa: F811
    db = set_up(fast_path, lease_ms=1)
    pin = snapshot(fast_path)
    outgrow_limit(db)
    reader.run("db.execute(\"INSERT INTO t(payload) " + LONG + "\")")
    assert reader.call("one(db, 'SELECT count(*) FROM t WHERE payload = 2000000')") == 1
    # Nor a query in a transaction that has written.
    reader.run("db.execute('BEGIN IMMEDIATE'); db.execute('INSERT INTO t(payload) VALUES (7)')")
    assert reader.call(f"one(db, {LONG!r})") > 0
    reader.run("db.execute('COMMIT')")
    pin.execute("COMMIT")
    assert lines(db) == []


def test_a_query_in_a_read_transaction_is_interrupted_by_the_age_of_the_transaction(reader, fast_path):  # noqa: F811
    db = set_up(fast_path, lease_ms=700)
    reader.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall(); time.sleep(0.8)")
    outgrow_limit(db)
    # It reads no table itself.
    began = time.monotonic()
    reader.start("run", "db.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n')")
    time.sleep(0.1)
    outgrow_limit(db)
    with pytest.raises(WorkerError, match="interrupted"):
        reader.finish()
    assert time.monotonic() - began < 20
    # The transaction is still open: the program ends it.
    assert reader.call("db.in_transaction")
    reader.run("db.execute('COMMIT')")


def test_a_query_of_another_database_or_of_none_is_not_interrupted(reader, fast_path):  # noqa: F811
    db = set_up(fast_path, lease_ms=1)
    reader.run("""
        db.execute("CREATE TEMP TABLE mine AS SELECT 1 AS id")
        db.execute("BEGIN"); db.execute("COMMIT")
    """)
    pin = snapshot(fast_path)
    for query in (LONG.replace("FROM t", "FROM mine"), LONG.replace("SELECT id FROM t LIMIT 1", "SELECT 1")):
        reader.start("call", f"one(db, {query!r})")
        outgrow_limit(db)
        assert reader.finish() > 0
    pin.execute("COMMIT")
    assert lines(db) == []


def test_a_read_only_connection_and_one_with_a_shared_cache(worker, fast_path):  # noqa: F811
    db = set_up(fast_path)
    for options in ("mode=ro", "cache=shared"):
        process = worker()
        process.run(f"db = connect('file:{fast_path}?{options}', uri=True); beside = connect('file:{fast_path}?{options}', uri=True)")
        process.run("beside.execute('SELECT count(*) FROM t').fetchall()")
        process.start("run", f"db.execute({ENDLESS!r}).fetchall()")
        time.sleep(0.1)
        outgrow_limit(db)
        with pytest.raises(WorkerError, match="interrupted"):
            process.finish()
        assert process.call("one(db, 'SELECT count(*) FROM t') == one(beside, 'SELECT count(*) FROM t')")
        process.end()


def test_a_fork_leaves_the_query_to_its_process(worker, fast_path):  # noqa: F811
    db = set_up(fast_path)
    process = worker(fast_path)
    process.run(f"""
        answers = []
        def read():
            here = connect({str(fast_path)!r})
            try:
                answers.append(here.execute({ENDLESS!r}).fetchall())
            except sqlite3.OperationalError as error:
                answers.append(str(error))
        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.2)
        child = os.fork()
        if child == 0:
            time.sleep(1)  # no SQLite here: the query may have held its locks at the fork
            os._exit(0)
        status = os.waitpid(child, 0)[1]
    """)
    outgrow_limit(db)
    process.run("thread.join(20)")
    assert process.call("[status, answers]") == [0, ["interrupted"]]


def test_a_connection_that_closes_while_its_queries_are_interrupted(worker, fast_path):  # noqa: F811
    db = set_up(fast_path, lease_ms=1)
    pin = snapshot(fast_path)
    process = worker()
    process.start("run", f"""
        interrupted, done, end = 0, 0, time.monotonic() + 3
        while time.monotonic() < end:
            db = connect({str(fast_path)!r})
            try:
                one(db, {SLOW.format(steps=30_000)!r})
                done += 1
            except sqlite3.OperationalError as error:
                assert str(error) == "interrupted", error
                interrupted += 1
            one(db, "SELECT 1")
            db.close()
    """)
    while not process.answers_within(0):
        db.execute("INSERT INTO t(payload) VALUES (randomblob(3000))")
    process.finish()
    assert process.call("interrupted") > 0
    pin.execute("COMMIT")
