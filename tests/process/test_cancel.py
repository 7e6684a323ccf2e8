"""wal_cancel(connection_id): ends the statement of a connection of any process.

tests/engine/cancellable_test.cc shows that no interrupt comes to another statement.
"""

import os
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from conftest import EXTENSION, connect, one
from waiting import poll, wait_for
from workers import WorkerError, fast_path, worker  # noqa: F401

ENDLESS = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1e12) "
           "SELECT count(*) FROM n, (SELECT id FROM t LIMIT 1)")


@pytest.fixture
def db(fast_path):  # noqa: F811
    db = connect(fast_path, timeout=20)
    db.execute("INSERT INTO t(payload) VALUES (1), (2), (3)")
    yield db
    db.close()


@pytest.fixture
def program(db, worker, fast_path):  # noqa: F811
    program = worker(fast_path)
    program.run("db.execute(\"SELECT wal_application_name('report')\").fetchall()")
    return program


def connection_of(db, program, state="active"):
    def found():
        return db.execute("SELECT connection_id FROM connection_metrics WHERE pid = ? AND role = 'application' AND state = ?",
                          (program.pid, state)).fetchone()
    return wait_for(found)[0]


def told(db, text=""):
    """The details of the alerts, once the last one has the text: what has become of the statement is added to it."""
    def details():
        return [row[0] for row in db.execute("SELECT detail FROM wal_alerts WHERE check_name = 'cancel' ORDER BY id")]
    poll(lambda: text in "".join(details()[-1:]), True)
    return details()


def test_it_ends_a_query_of_another_process_and_its_pin_of_the_log(db, program):
    """The query is one of the first second of its process, in which no other work starts a thread."""
    program.start("run", f"db.execute({ENDLESS!r}).fetchall()")
    id = connection_of(db, program)
    wait_for(lambda: one(db, "SELECT count(*) FROM wal_readers WHERE pid = ?", program.pid))
    began = time.monotonic()
    assert one(db, "SELECT wal_cancel(?)", id) == 1
    assert time.monotonic() - began < 2
    with pytest.raises(WorkerError, match="interrupted"):
        program.finish()
    assert one(db, "SELECT count(*) FROM wal_readers WHERE pid = ?", program.pid) == 0
    (detail,) = told(db)
    own = one(db, "SELECT connection_id FROM connection_metrics WHERE pid = ? AND query LIKE '%connection_metrics%'", os.getpid())
    assert detail.startswith(f"connection {id} (report) was interrupted by connection {own} (pid {os.getpid()}). The statement: WITH RECURSIVE n (i)")
    # The connection is as before.
    assert program.call("one(db, 'SELECT count(*) FROM t')") == 3


def test_it_tells_of_a_transaction_that_was_rolled_back(db, program):
    program.run("db.execute('BEGIN'); db.execute('INSERT INTO t(payload) VALUES (4)')")
    program.start("run", "db.execute('INSERT INTO t(payload) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n')")
    assert one(db, "SELECT wal_cancel(?)", connection_of(db, program)) == 1
    with pytest.raises(WorkerError, match="interrupted"):
        program.finish()
    (detail,) = told(db, "; its transaction was rolled back")
    assert "; its transaction was rolled back. The statement: INSERT INTO t (payload) WITH" in detail
    assert program.call("db.in_transaction") is False
    assert one(db, "SELECT count(*) FROM t") == 3


def test_a_read_leaves_its_transaction_open(db, program):
    program.run("db.execute('BEGIN'); db.execute('INSERT INTO t(payload) VALUES (4)')")
    program.start("run", f"db.execute({ENDLESS!r}).fetchall()")
    assert one(db, "SELECT wal_cancel(?)", connection_of(db, program)) == 1
    with pytest.raises(WorkerError, match="interrupted"):
        program.finish()
    (detail,) = told(db, "; its transaction stays open")
    assert "; its transaction stays open. The statement: WITH RECURSIVE n (i)" in detail
    assert program.call("db.in_transaction") is True
    program.run("db.execute('COMMIT')")
    assert one(db, "SELECT count(*) FROM t") == 4


def test_an_open_cursor_keeps_its_connection_interrupted_and_is_named(db, program):
    time.sleep(1.1)  # in its first second the process has no thread for it
    program.run("cursor = db.execute('SELECT id FROM t ORDER BY +id'); cursor.fetchone()")
    assert one(db, "SELECT wal_cancel(?)", connection_of(db, program)) == 1
    (detail,) = told(db, ", and stays interrupted")
    assert ", and stays interrupted until its open cursor ends: SELECT id FROM t ORDER BY +id. " in detail
    with pytest.raises(WorkerError, match="interrupted"):
        program.call("one(db, 'SELECT count(*) FROM t')")
    program.run("cursor.close()")
    assert program.call("one(db, 'SELECT count(*) FROM t')") == 3


def test_a_connection_that_runs_nothing_is_left_alone(db, program):
    program.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    assert one(db, "SELECT wal_cancel(?)", connection_of(db, program, "idle in transaction")) == 0
    program.run("db.execute('COMMIT')")
    assert one(db, "SELECT wal_cancel(?)", connection_of(db, program, "idle")) == 0
    assert told(db) == []


def test_the_sqlite3_shell_is_interrupted_too(db, fast_path):  # noqa: F811
    """Its connections have no mutex."""
    shell = subprocess.Popen(["sqlite3", str(fast_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        shell.stdin.write(f".load {EXTENSION}\n{ENDLESS};\n")
        shell.stdin.flush()
        assert one(db, "SELECT wal_cancel(?)", connection_of(db, shell)) == 1
        _, errors = shell.communicate(timeout=20)
    finally:
        shell.kill()
    assert "interrupted" in errors


def test_a_connection_of_the_same_process(db, fast_path):  # noqa: F811
    other = connect(fast_path, check_same_thread=False)
    raised = []

    def run():
        try:
            other.execute(ENDLESS).fetchall()
        except sqlite3.OperationalError as error:
            raised.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        id = wait_for(lambda: db.execute("SELECT connection_id FROM connection_metrics WHERE state = 'active' AND query LIKE 'WITH%'").fetchone())[0]
        assert one(db, "SELECT wal_cancel(?)", id) == 1
        thread.join(10)
    finally:
        other.interrupt()
        thread.join()
    assert raised == ["interrupted"]
    other.close()


def test_bug_a_program_that_ended_with_the_interrupt_left_no_alert(db, program):
    program.run(f"""
        def report():
            try:
                db.execute({ENDLESS!r}).fetchall()
            except sqlite3.OperationalError:
                os._exit(3)
    """)
    program.start("call", "report()")
    assert one(db, "SELECT wal_cancel(?)", connection_of(db, program)) == 1
    with pytest.raises(WorkerError, match="ended with 3"):
        program.finish()
    (detail,) = told(db)
    assert " (report) was interrupted by connection " in detail and ". The statement: WITH RECURSIVE n (i)" in detail


def test_allow_cancel_forbids_it(db, program):
    program.start("run", f"db.execute({ENDLESS!r}).fetchall()")
    id = connection_of(db, program)
    assert one(db, "SELECT wal_set('allow_cancel', 'off')") == "off"
    with pytest.raises(sqlite3.OperationalError, match="^wal_cancel: the setting allow_cancel is off$"):
        db.execute("SELECT wal_cancel(?)", (id,))
    assert not program.answers_within(0.3)
    one(db, "SELECT wal_set('allow_cancel', 'on')")
    assert one(db, "SELECT wal_cancel(?)", id) == 1
    with pytest.raises(WorkerError, match="interrupted"):
        program.finish()


def test_what_cannot_be_is_an_error_in_words(db, program):
    for wrong in ("'x'", "NULL", "1.5", "-1", "12345678901"):
        with pytest.raises(sqlite3.OperationalError, match=r"^wal_cancel: connection_id .* is not "):
            db.execute(f"SELECT wal_cancel({wrong})")
    db.execute("CREATE VIEW v AS SELECT wal_cancel(1)")
    with pytest.raises(sqlite3.OperationalError, match="unsafe use of wal_cancel"):
        db.execute("SELECT * FROM v").fetchall()
    db.execute("DROP VIEW v")
    program.run("db.set_trace_callback(lambda text: None); db.execute('INSERT INTO t(payload) VALUES (1)')")
    id = one(db, "SELECT connection_id FROM connection_metrics WHERE pid = ? AND role = 'application'", program.pid)
    assert poll(lambda: one(db, "SELECT trace FROM connection_metrics WHERE connection_id = ?", id), "displaced") == "displaced"
    with pytest.raises(sqlite3.OperationalError, match="is not traced by walmanager"):
        db.execute("SELECT wal_cancel(?)", (id,))


def test_a_process_that_does_not_answer_is_an_error_within_two_seconds(db, program):
    program.start("run", f"db.execute({ENDLESS!r}).fetchall()")
    id = connection_of(db, program)
    os.kill(program.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(sqlite3.OperationalError, match="has not answered within 2 s"):
        db.execute("SELECT wal_cancel(?)", (id,))
    assert time.monotonic() - began < 2.1
    os.kill(program.pid, signal.SIGCONT)
    assert one(db, "SELECT wal_cancel(?)", id) == 1
    with pytest.raises(WorkerError, match="interrupted"):
        program.finish()
    assert len(told(db)) == 1
