"""connection_metrics and wal_readers: open connections, and readers that pin the log, with real processes."""

import json
import os
import subprocess
import sys
import time

import pytest

from conftest import EXTENSION, connect, metrics, one
from waiting import poll
from workers import fast_path, namespaces, worker  # noqa: F401 (fixtures)


def rows(db, sql, *parameters):
    cursor = db.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def connection_of(db, pid):
    found = rows(db, "SELECT * FROM connection_metrics WHERE pid = ? AND role = 'application'", pid)
    assert len(found) == 1, found
    return found[0]


def readers(db):
    return rows(db, "SELECT * FROM wal_readers ORDER BY slot, pid, connection_id")


@pytest.fixture
def shell(fast_path):
    """The operator's managed connection, of another process than the workers."""
    db = connect(fast_path)
    db.execute("PRAGMA synchronous=NORMAL")
    yield db
    db.close()


def test_bug_a_new_connection_that_only_reads_was_not_seen_in_a_new_control_file(shell, fast_path, worker):
    """Its first statement looks for the file, whenever another connection of the process has looked."""
    shell.close()
    os.unlink(str(fast_path) + "-walmanager") if os.path.exists(str(fast_path) + "-walmanager") else None
    process = worker(fast_path)
    process.run("db.execute('SELECT count(*) FROM t').fetchall(); db.execute('SELECT count(*) FROM t').fetchall()")
    assert not os.path.exists(str(fast_path) + "-walmanager")
    time.sleep(1.1)
    operator = connect(fast_path)
    operator.execute("INSERT INTO t(payload) VALUES (1), (2), (3)")
    process.run(f"""
        other = connect({str(fast_path)!r}, EXTENSION)
        cursor = other.execute("SELECT id FROM t")
        cursor.fetchone()
    """)
    assert one(operator, "SELECT count(*) FROM connection_metrics WHERE pid = ?", process.pid) >= 1
    assert poll(lambda: [found["verdict"] for found in readers(operator) if found["pid"] == process.pid] == ["unfinished statement"])
    operator.close()


# --- exact totals

def test_n_processes_times_m_calls(shell, fast_path, worker):
    processes = [worker(fast_path) for _ in range(4)]
    for process in processes:
        process.start("run", """
            for i in range(5000):
                db.execute("SELECT payload FROM t WHERE id = ?", (i,)).fetchall()
                if i % 10 == 0:
                    db.execute("INSERT INTO t(payload) VALUES (?)", (i,))
        """)
    for process in processes:
        process.finish()
    def calls(query):
        return one(shell, "SELECT calls FROM query_performance WHERE query = ?", query)
    assert calls("SELECT payload FROM t WHERE id = ?") == 20_000
    assert calls("INSERT INTO t (payload) VALUES (?)") == 2_000
    for process in processes:
        assert connection_of(shell, process.pid)["statements"] == 5501  # with a PRAGMA
    processes[0].kill()
    processes[1].end()
    assert calls("SELECT payload FROM t WHERE id = ?") == 20_000


# --- connections

def test_a_connection_as_others_see_it(shell, fast_path, worker):
    process = worker(fast_path)
    process.run("""
        db.execute("SELECT wal_application_name('the test')").fetchall()
        db.execute("INSERT INTO t(payload) VALUES (1), (2)")
        db.execute("BEGIN")
        db.execute("UPDATE t SET payload = 7")
        db.execute("ROLLBACK")
        db.execute("SELECT id FROM t").fetchall()
    """)
    row = connection_of(shell, process.pid)
    assert row["connection_id"] // 100_000 == process.pid
    assert (row["application"], row["role"], row["file"]) == ("the test", "application", str(fast_path))
    assert row["process"].startswith("python")
    assert (row["state"], row["transaction_state"], row["transaction_ms"], row["query_ms"]) == \
        ("idle", "none", None, None)
    assert row["query"] == "SELECT id FROM t"
    assert (row["commits"], row["rollbacks"], row["rows"]) == (1, 1, 2 + 2 + 2 + 1)
    assert (row["trace"], row["trace_lost"]) == ("active", 0)
    assert row["cache_used_bytes"] > 0 and 0 <= row["cache_hit_ratio"] <= 1
    now = one(shell, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
    assert row["opened_at"] <= row["last_active_at"] <= now


def test_states_of_a_transaction(shell, fast_path, worker):
    process = worker(fast_path)
    process.run("db.execute('INSERT INTO t(payload) VALUES (1), (2), (3)')")
    def state():
        row = connection_of(shell, process.pid)
        return row["state"], row["transaction_state"]
    process.run("db.execute('BEGIN')")
    assert state() == ("idle in transaction", "none")
    process.run("db.execute('SELECT id FROM t').fetchall()")
    assert state() == ("idle in transaction", "read")
    process.run("db.execute('UPDATE t SET payload = 5')")
    assert state() == ("idle in transaction", "write")
    row = connection_of(shell, process.pid)
    assert row["transactions_upgraded"] == 1
    assert 0 < row["transaction_ms"] < 60_000
    process.run("db.execute('COMMIT')")
    assert state() == ("idle", "none")
    process.run("cursor = db.execute('SELECT payload, id FROM t'); cursor.fetchone()")
    row = connection_of(shell, process.pid)
    assert (row["state"], row["query"]) == ("active", "SELECT payload, id FROM t")
    first = row["query_ms"]
    assert connection_of(shell, process.pid)["query_ms"] > first > 0
    process.run("cursor.close()")
    assert state() == ("idle", "none")


def test_bug_a_transaction_was_not_shown_in_a_file_that_came_later(shell, fast_path, worker):
    process = worker(fast_path)
    process.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    shell.execute("INSERT INTO t(payload) VALUES (1)")  # makes it
    process.run("time.sleep(1.1); db.execute('SELECT 1').fetchall(); db.execute('SELECT 2').fetchall()")
    row = connection_of(shell, process.pid)
    assert (row["state"], row["transaction_state"]) == ("idle in transaction", "read")
    assert row["transaction_ms"] > 1000


def test_bug_a_connection_that_is_not_measured_was_active_and_idle(shell, fast_path, worker):
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    process = worker()
    process.run(f"""
        db = connect(":memory:")
        db.execute("ATTACH ? AS w", ({str(fast_path)!r},))
        db.execute("SELECT count(*) FROM w.t").fetchall()
    """)
    row = connection_of(shell, process.pid)
    assert (row["trace"], row["state"]) == ("off", None)


def test_connections_of_a_killed_process_vanish(shell, fast_path, worker):
    process = worker(fast_path)
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    assert connection_of(shell, process.pid)
    process.kill()
    assert rows(shell, "SELECT * FROM connection_metrics WHERE pid = ?", process.pid) == []
    assert one(shell, "SELECT count(*) FROM connection_metrics") == 1


def test_an_attached_database_is_one_connection(shell, fast_path, worker):
    other = fast_path.parent / "other.db"
    process = worker(fast_path)
    process.run(f"""
        db.execute("ATTACH ? AS other", ({str(other)!r},))
        db.execute("PRAGMA other.journal_mode=WAL")
        db.execute("CREATE TABLE other.u(a)")
        db.execute("SELECT * FROM u").fetchall()
    """)
    there = connect(other)
    there.execute("SELECT 1").fetchall()
    seen = connection_of(there, process.pid)
    assert seen["file"] == str(fast_path)
    both = connect(fast_path)
    both.execute("ATTACH ? AS other", (str(other),))
    assert connection_of(both, process.pid)["connection_id"] == seen["connection_id"]
    there.close(), both.close()


@pytest.mark.parametrize("name", ["x" * 64, "a\0b", 7, None])
def test_bad_application_names(shell, name):
    with pytest.raises(Exception) as error:
        shell.execute("SELECT wal_application_name(?)", (name,)).fetchall()
    assert "wal_application_name: name " in str(error.value) and "is not text" in str(error.value)
    assert one(shell, "SELECT wal_application_name()") is None


def test_connections_of_walmanager_have_a_row_while_they_are_open(shell, fast_path):
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    def own_connections():
        return shell.execute("SELECT pid, application, file, state FROM connection_metrics WHERE role = 'checkpointer'").fetchall()
    assert own_connections() == []
    shell.execute("SELECT wal_checkpoint('passive')").fetchall()
    assert own_connections() == [(os.getpid(), "walmanager", str(fast_path), "idle")]
    shell.execute("PRAGMA locking_mode=EXCLUSIVE")
    assert own_connections() == []


# --- readers that pin the log

def pinned(shell, seconds=10):
    return poll(lambda: bool(readers(shell)), True, seconds)


def test_a_leaked_cursor_is_named(shell, fast_path, worker):
    process, writer = worker(fast_path), worker(fast_path)
    process.run("""
        db.execute("SELECT wal_application_name('report job')").fetchall()
        db.execute("INSERT INTO t(payload) VALUES (1), (2), (3)")
        leaked = db.execute("SELECT id, payload FROM t WHERE payload > 0")
        leaked.fetchone()
    """)
    writer.run("for i in range(50): db.execute('INSERT INTO t(payload) VALUES (?)', (i,))")
    row, = readers(shell)
    assert (row["pid"], row["application"], row["query"]) == \
        (process.pid, "report job", "SELECT id, payload FROM t WHERE payload > ?")
    assert (row["verdict"], row["blocks"], row["certain"]) == ("unfinished statement", "checkpoint", 1)
    assert row["connection_id"] == connection_of(shell, process.pid)["connection_id"]
    assert row["frame"] == metrics(shell)["wal_frames"] - 50
    assert (row["lag_frames"], row["lag_bytes"]) == (50, 50 * 4120)
    assert row["transaction_ms"] > 0
    process.run("leaked.close()")
    assert readers(shell) == []


def test_a_statement_that_runs_and_an_open_transaction(shell, fast_path, worker):
    process, writer = worker(fast_path), worker(fast_path)
    process.run("""
        db.execute("INSERT INTO t(payload) VALUES (1), (2), (3)")
        db.create_function("nap", 0, lambda: time.sleep(1))
        db.execute("BEGIN")
        db.execute("SELECT max(id) FROM t").fetchall()
    """)
    writer.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    row, = readers(shell)
    assert (row["pid"], row["verdict"], row["certain"]) == (process.pid, "open transaction", 1)
    assert row["query"] == "SELECT max(id) FROM t"
    process.start("run", "db.execute('SELECT count(*) FROM t WHERE nap() IS NULL').fetchall()")
    assert poll(lambda: [r["verdict"] for r in readers(shell)], ["running query"]) == ["running query"]
    process.finish()


def test_a_process_without_the_extension_is_named(shell, fast_path, worker):
    writer = worker(fast_path)
    writer.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    assert metrics(shell)["unmanaged_processes"] == 0
    bare = worker(fast_path, load=False)
    bare.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    assert metrics(shell)["unmanaged_processes"] == 1
    writer.run("db.execute('INSERT INTO t(payload) VALUES (2)')")
    row, = readers(shell)
    assert (row["pid"], row["verdict"], row["certain"], row["connection_id"], row["query"]) == \
        (bare.pid, "unmanaged process", 1, None, None)
    assert row["process"].startswith("python")
    bare.run("db.execute('COMMIT')")
    assert readers(shell) == []


def test_each_connection_that_may_be_the_one_is_a_candidate(shell, fast_path, worker):
    process, writer = worker(fast_path), worker(fast_path)
    process.run(f"""
        db.execute("INSERT INTO t(payload) VALUES (1)")
        others = [connect({str(fast_path)!r}) for _ in range(2)]
        for other in others:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM t").fetchall()
    """)
    writer.run("db.execute('INSERT INTO t(payload) VALUES (2)')")
    found = readers(shell)
    assert [(row["pid"], row["verdict"], row["certain"]) for row in found] == [(process.pid, "open transaction", 0)] * 2
    assert len({row["slot"] for row in found}) == 1


def test_the_asking_connection_is_not_counted(shell, fast_path):
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    shell.execute("BEGIN")
    shell.execute("SELECT count(*) FROM t").fetchall()
    assert readers(shell) == []
    shell.execute("COMMIT")


def test_bug_the_asker_was_listed_where_another_process_had_come_to_a_newer_mark(shell, fast_path, worker):
    """The newest mark of all processes was taken for that of the asker, beside a busy writer in every second look."""
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    writer = worker(fast_path)

    def pause():
        writer.run("""
            db.execute("INSERT INTO t(payload) VALUES (2)")
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM t").fetchall()
        """)
        return 1

    shell.create_function("pause", 0, pause)
    one_row = "(SELECT id FROM t WHERE pause() LIMIT 1)"
    assert shell.execute(f"SELECT pid FROM {one_row} CROSS JOIN wal_readers").fetchall() == [(writer.pid,)]
    writer.run("db.execute('COMMIT')")
    assert shell.execute(f"SELECT active_readers FROM {one_row} CROSS JOIN wal_metrics").fetchall() == [(1,)]


def test_a_reader_of_the_asker_s_own_process_is_the_only_one(shell, fast_path, worker):
    other = connect(fast_path)
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM t").fetchall()
    for _ in range(5):
        shell.execute("INSERT INTO t(payload) VALUES (1)")
    for asker in (shell, worker(fast_path)):
        found = readers(asker) if asker is shell else asker.call(
            "[dict(zip([c[0] for c in cursor.description], row)) for cursor in [db.execute('SELECT * FROM wal_readers')]"
            " for row in cursor]")
        assert [(row["lag_frames"], row["query"], row["verdict"], row["certain"]) for row in found] == \
            [(5, "SELECT count(*) FROM t", "open transaction", 1)]
    assert metrics(shell)["active_readers"] == 1
    other.close()


def test_a_bare_reader_of_the_asker_s_own_process_is_seen(shell, fast_path):
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    bare = connect(fast_path, None)
    bare.execute("BEGIN")
    bare.execute("SELECT count(*) FROM t").fetchall()
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    row, = readers(shell)
    assert (row["pid"], row["connection_id"], row["lag_frames"], row["certain"]) == (os.getpid(), None, 1, 0)
    bare.close()


def test_a_reader_through_attach_is_named(shell, fast_path, worker):
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    process = worker(fast_path.parent / "main.db")
    process.run(f"""
        db.execute("SELECT wal_application_name('attacher')").fetchall()
        db.execute("ATTACH ? AS w", ({str(fast_path)!r},))
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM w.t").fetchall()
    """)
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    row, = readers(shell)
    assert (row["pid"], row["application"], row["verdict"], row["certain"]) == \
        (process.pid, "attacher", "open transaction", 1)


def test_a_process_that_only_reads_is_seen_in_the_file_that_another_made(shell, fast_path, worker):
    process = worker(fast_path)
    process.run("db.execute('SELECT count(*) FROM t').fetchall()")
    shell.execute("INSERT INTO t(payload) VALUES (1)")  # makes it
    process.run("time.sleep(1.1); db.execute('SELECT count(*) FROM t').fetchall(); db.execute('SELECT 1').fetchall()")
    row = connection_of(shell, process.pid)
    assert row["statements"] >= 3
    assert one(shell, "SELECT calls FROM query_performance WHERE query = 'SELECT count(*) FROM t'") == 2


def test_bug_a_read_only_process_wrote(shell, fast_path, worker):
    """A scanning SELECT asked for its plan, which started a thread, which checkpointed."""
    for i in range(50):
        shell.execute("INSERT INTO t(payload) VALUES (zeroblob(3000))")
    process = worker()
    process.run(f"""
        db = sqlite3.connect("file:{fast_path}?mode=ro", uri=True, isolation_level=None)
        db.enable_load_extension(True); db.load_extension(EXTENSION)
        for _ in range(40):
            db.execute("SELECT sum(id) FROM t").fetchall(); time.sleep(0.05)
        threads = len(os.listdir("/proc/self/task"))
    """)
    assert process.call("threads") <= 2  # one looks
    assert one(shell, "SELECT count(*) FROM wal_checkpoints WHERE pid = ?", process.pid) == 0


def test_bug_counters_in_a_file_that_is_gone_were_taken_back(fast_path, worker):
    """A statement that had counters of its own ran over another schema just as the control file was made."""
    process = worker(fast_path)
    process.run(f"""
        for _ in range(200): db.execute("SELECT id FROM t WHERE id = -1").fetchall()
        other = connect({str(fast_path)!r}, None)
        other.execute("CREATE TABLE changes(a)")
        db.execute("SELECT id FROM t WHERE id = -1").fetchall()
        second = connect({str(fast_path)!r})
        second.execute("INSERT INTO t(payload) VALUES (1)")
        other.execute("CREATE TABLE changes_again(a)")
        for _ in range(5): db.execute("SELECT id FROM t WHERE id = -1").fetchall()
    """)
    assert process.call("one(db, \"SELECT calls FROM query_performance WHERE query = 'SELECT id FROM t WHERE id = ?'\")") == 206


def test_a_cursor_that_was_prepared_anew_is_named(shell, fast_path, worker):
    process = worker(fast_path)
    shell.execute("INSERT INTO t(payload) VALUES (1), (2), (3)")
    process.run("db.execute('SELECT id FROM t').fetchall()")
    shell.execute("CREATE TABLE changes_the_schema(a)")
    process.run("leaked = db.execute('SELECT id FROM t'); leaked.fetchone()")
    shell.execute("INSERT INTO t(payload) VALUES (4)")
    row, = readers(shell)
    assert (row["pid"], row["query"], row["verdict"], row["certain"]) == \
        (process.pid, "SELECT id FROM t", "unfinished statement", 1)


def test_what_is_not_measured_is_not_known(shell, fast_path, worker):
    process = worker(fast_path)
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)'); db.execute('BEGIN');"
                "db.execute('SELECT count(*) FROM t').fetchall()")
    shell.execute("SELECT wal_set('statement_metrics', 'off')").fetchall()
    process.run("db.execute('COMMIT'); db.execute('SELECT 1').fetchall()")
    row = connection_of(shell, process.pid)
    assert row["trace"] == "off"
    assert [row[name] for name in ("state", "transaction_state", "transaction_ms", "query", "query_ms")] == [None] * 5
    assert process.call("one(db, 'SELECT wal_trace()')") == "off"
    process.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    found, = readers(shell)
    assert (found["pid"], found["connection_id"], found["verdict"], found["certain"]) == \
        (process.pid, row["connection_id"], None, 0)
    shell.execute("SELECT wal_set('statement_metrics', 'on')").fetchall()
    process.run("db.execute('SELECT 1').fetchall()")
    row = connection_of(shell, process.pid)
    assert (row["trace"], row["state"], row["transaction_state"]) == ("active", "idle in transaction", "read")
    process.run("db.execute('COMMIT')")


def test_a_busy_checkpoint_names_the_process_in_the_way(shell, fast_path, worker):
    process = worker(fast_path)
    shell.execute("PRAGMA busy_timeout=10")
    for _ in range(3):
        shell.execute("INSERT INTO t(payload) VALUES (1)")
    process.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    report = json.loads(one(shell, "SELECT wal_checkpoint('truncate')"))
    assert (report["result"], report["blocked_by_pid"]) == ("busy", process.pid)
    last = "SELECT result, blocked_by_pid, error FROM wal_checkpoints LIMIT 1"
    result, pid, error = shell.execute(last).fetchone()
    assert (result, pid) == ("busy", process.pid)
    assert error.startswith("a reader holds frame ")
    process.run("db.execute('COMMIT')")
    assert "blocked_by_pid" not in json.loads(one(shell, "SELECT wal_checkpoint('passive')"))
    process.run("db.execute('BEGIN IMMEDIATE')")
    shell.execute("SELECT wal_checkpoint('restart')").fetchall()
    assert shell.execute(last).fetchone() == ("busy", process.pid, "other connections wrote, or held the write lock")


@pytest.mark.parametrize("mode", ["truncate", "restart"])
def test_bug_a_reader_of_the_newest_frame_was_taken_for_a_writer(shell, fast_path, worker, mode):
    """All frames are copied and there is no writer. Only the reader keeps the log from starting over."""
    process = worker(fast_path)
    shell.execute("PRAGMA busy_timeout=10")
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    process.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    shell.execute("SELECT wal_checkpoint(?)", (mode,)).fetchall()
    result, pid, frames, error = shell.execute(
        "SELECT result, blocked_by_pid, wal_frames, error FROM wal_checkpoints LIMIT 1").fetchone()
    assert (result, pid, error) == ("busy", process.pid, f"a reader holds frame {frames} of {frames}")


def test_bug_a_checkpoint_that_commits_outran_named_its_own_process(fast_path):
    """There is one connection and no reader. A commit holds a read mark for a moment, and blocks no checkpoint."""
    db = connect(fast_path)
    db.execute("PRAGMA synchronous=NORMAL")
    deadline = time.monotonic() + 20
    partial = "SELECT error, blocked_by_pid FROM wal_checkpoints WHERE result = 'partial'"
    while time.monotonic() < deadline and len(db.execute(partial).fetchall()) < 2:
        for _ in range(2000):
            db.execute("INSERT INTO t(payload) VALUES (randomblob(2000))")
    rows = db.execute(partial).fetchall()
    db.close()
    assert {pid for _, pid in rows} <= {None}, rows


def test_a_reader_of_this_process_is_named(fast_path):
    db, reader = connect(fast_path), connect(fast_path)
    db.execute("INSERT INTO t(payload) VALUES (1)")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    db.execute("INSERT INTO t(payload) VALUES (1)")
    db.execute("SELECT wal_checkpoint('passive')").fetchall()
    assert db.execute("SELECT result, blocked_by_pid FROM wal_checkpoints LIMIT 1").fetchall() == \
        [("partial", os.getpid())]
    reader.close()
    db.close()


def test_a_partial_checkpoint_names_the_process_in_the_way(shell, fast_path, worker):
    process = worker(fast_path)
    shell.execute("INSERT INTO t(payload) VALUES (1)")
    process.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    for _ in range(5):
        shell.execute("INSERT INTO t(payload) VALUES (1)")
    shell.execute("SELECT wal_checkpoint('passive')").fetchall()
    assert shell.execute("SELECT result, blocked_by_pid FROM wal_checkpoints LIMIT 1").fetchall() == \
        [("partial", process.pid)]


# --- the trace slot

def test_a_trace_that_a_driver_took_is_reported_and_taken_back_if_asked(shell, fast_path, worker):
    process = worker(fast_path)
    process.run("""
        db.execute("INSERT INTO t(payload) VALUES (1)")
        seen = []
        db.set_trace_callback(seen.append)
        for i in range(5): db.execute("INSERT INTO t(payload) VALUES (1)")
    """)
    row = connection_of(shell, process.pid)
    assert (row["trace"], row["commits"]) == ("displaced", 6)
    assert row["trace_lost"] >= 4
    def calls():
        return one(shell, "SELECT calls FROM query_performance WHERE query = 'INSERT INTO t (payload) VALUES (?)'")
    assert calls() == 1
    assert process.call("one(db, 'SELECT wal_trace()')") == "displaced"
    assert process.call("len(seen) >= 5")
    assert process.call("one(db, \"SELECT wal_trace('take')\")") == "active"
    process.run("for i in range(3): db.execute('INSERT INTO t(payload) VALUES (1)')")
    assert calls() == 4
    assert connection_of(shell, process.pid)["trace"] == "active"


def test_bad_arguments_of_wal_trace(shell):
    with pytest.raises(Exception) as error:
        shell.execute("SELECT wal_trace('give')").fetchall()
    assert str(error.value) == "wal_trace: action 'give' is not 'take'"


PROFILE = """
import ctypes, sqlite3, sys
lib = ctypes.CDLL("libsqlite3.so.0")
db = ctypes.c_void_p()
assert lib.sqlite3_open(sys.argv[1].encode(), ctypes.byref(db)) == 0
seen = []
callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64)(
    lambda _, sql, ns: seen.append(sql.decode()))
def run(sql):
    message = ctypes.c_char_p()
    rc = lib.sqlite3_exec(db, sql.encode(), None, None, ctypes.byref(message))
    assert rc == 0, (sql, message.value)
lib.sqlite3_profile.restype = ctypes.c_void_p
lib.sqlite3_profile(db, callback, None)
lib.sqlite3_enable_load_extension(db, 1)
run(f"SELECT load_extension('{sys.argv[2]}')")
run("SELECT max(id) FROM t")
run("SELECT wal_set('statement_metrics', 'off')")
run("SELECT min(id) FROM t")
run("SELECT min(id) FROM t")
run("SELECT wal_set('statement_metrics', 'on')")
run("SELECT 1")
print("|".join(sql for sql in seen if not sql.startswith("/*walmanager*/")))
lib.sqlite3_close(db)
"""


def test_an_older_profile_callback_of_the_host_goes_on_working(fast_path):
    ran = subprocess.run([sys.executable, "-c", PROFILE, str(fast_path), EXTENSION], capture_output=True, text=True,
                         check=True)
    seen = ran.stdout.strip().split("|")
    assert seen[1:] == ["SELECT max(id) FROM t", "SELECT wal_set('statement_metrics', 'off')", "SELECT min(id) FROM t",
                        "SELECT min(id) FROM t", "SELECT wal_set('statement_metrics', 'on')", "SELECT 1"]


# --- other drivers

APSW = """
import apsw, sys, time
db = apsw.Connection(sys.argv[1])
db.enableloadextension(True)
db.loadextension(sys.argv[2])
cursor = db.cursor()
cursor.execute("SELECT wal_application_name('apsw')").fetchall()
for i in range(300):
    cursor.execute("SELECT id FROM t WHERE payload = ?", (i,)).fetchall()
leaked = db.cursor()
leaked.execute("SELECT payload FROM t ORDER BY id")
next(leaked)
print("ready", flush=True)
sys.stdin.readline()
"""

PERL = """
use strict; use DBI; $| = 1;
my $db = DBI->connect("dbi:SQLite:dbname=$ARGV[0]", "", "", { RaiseError => 1 });
$db->sqlite_enable_load_extension(1);
$db->sqlite_load_extension($ARGV[1]);
$db->selectrow_array("SELECT wal_application_name('perl')");
my $select = $db->prepare("SELECT id FROM t WHERE payload = ?");
for (1..300) { $select->execute($_); $select->fetchall_arrayref(); }
my $leaked = $db->prepare("SELECT payload FROM t ORDER BY id");
$leaked->execute();
$leaked->fetchrow_arrayref();
print "ready\\n";
<STDIN>;
"""

RUBY = """
require 'sqlite3'
$stdout.sync = true
db = SQLite3::Database.new(ARGV[0])
db.enable_load_extension(1)
db.load_extension(ARGV[1])
db.get_first_value("SELECT wal_application_name('ruby')")
select = db.prepare("SELECT id FROM t WHERE payload = ?")
300.times { |i| select.execute(i).to_a; select.reset! }
leaked = db.prepare("SELECT payload FROM t ORDER BY id")
leaked.step
puts "ready"
$stdin.gets
"""


@pytest.mark.parametrize("name,command", [("apsw", [sys.executable, "-c", APSW]), ("perl", ["perl", "-e", PERL]),
                                          ("ruby", ["ruby", "-e", RUBY])])
def test_other_drivers_are_seen_with_exact_counts_and_their_leaked_cursor(shell, fast_path, name, command):
    shell.execute("INSERT INTO t(payload) VALUES (1), (2), (3)")
    host = subprocess.Popen([*command, str(fast_path), EXTENSION], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert host.stdout.readline() == b"ready\n"
        shell.execute("INSERT INTO t(payload) VALUES (4)")
        assert one(shell, "SELECT calls FROM query_performance WHERE query = 'SELECT id FROM t WHERE payload = ?'") == 300
        # The extension's own thread reads, too, for a moment: it asks for the plan.
        poll(lambda: len(readers(shell)), 1, 10)
        row, = readers(shell)
        assert (row["pid"], row["application"], row["query"], row["verdict"], row["certain"]) == \
            (host.pid, name, "SELECT payload FROM t ORDER BY id", "unfinished statement", 1)
    finally:
        host.stdin.close()
        host.wait(20)
        host.stdout.close()
    assert readers(shell) == []


# --- other PID namespaces, as containers on one volume have them

ROWS = ("[dict(zip([c[0] for c in cursor.description], row)) for cursor in [db.execute(\"SELECT * FROM {}\")]"
        " for row in cursor]")


def contained(worker, path, name):
    """A process that is pid 1 of a namespace of its own."""
    process = worker(path, namespace=True)
    assert process.call("os.getpid()") == 1
    process.run(f"db.execute(\"SELECT wal_application_name('{name}')\").fetchall()")
    return process


def pid_here(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
        return int(children.read())


def test_bug_a_reader_of_another_pid_namespace_had_no_row(fast_path, worker, namespaces):
    reader, writer = contained(worker, fast_path, "report"), contained(worker, fast_path, "writer")
    reader.run("for i in range(50): db.execute('INSERT INTO t(payload) VALUES (1)')")
    reader.run("leaked = db.execute('SELECT id FROM t'); leaked.fetchone()")
    writer.run("for i in range(1500): db.execute('INSERT INTO t(payload) VALUES (1)')")
    def rows_of(asker):
        return asker.call(ROWS.format("wal_readers"))
    # While walmanager's connections are open and when they are closed, also for an operator that only looks.
    operator = contained(worker, fast_path, "operator")
    for asker in (writer, operator, writer):
        found = rows_of(asker)
        assert len(found) == 1, found
        row = found[0]
        assert (row["application"], row["query"], row["verdict"], row["pid"], row["certain"]) == \
            ("report", "SELECT id FROM t", "unfinished statement", None, 0)
        assert (row["frame"], row["blocks"]) == (50, "checkpoint")
        assert asker.call("metrics(db)['active_readers']") == 1
        time.sleep(1.2)
    finding = operator.call("one(db, \"SELECT finding FROM wal_recommendations WHERE area = 'readers'\")")
    assert finding.startswith("unfinished statement of report (of another PID namespace) may keep the log")
    reader.run("leaked.close()")
    assert rows_of(writer) == []


def test_a_reader_of_another_namespace_has_no_row_beside_a_visible_one_on_its_mark(fast_path, worker, namespaces):
    """As vtab/README.md says: the lock table names one holder, and the other is in connection_metrics alone."""
    hidden, writer = contained(worker, fast_path, "hidden"), contained(worker, fast_path, "writer")
    writer.run("for i in range(49): db.execute('INSERT INTO t(payload) VALUES (1)')")
    hidden.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    hidden.run("leaked = db.execute('SELECT id FROM t'); leaked.fetchone()")
    writer.run(f"""
        other = connect({str(fast_path)!r})
        one(other, "SELECT wal_application_name('visible')")
        leaked = other.execute('SELECT id FROM t'); leaked.fetchone()
        for i in range(50): db.execute('INSERT INTO t(payload) VALUES (1)')
    """)
    def applications():
        return [(row["application"], row["frame"]) for row in writer.call(ROWS.format("wal_readers"))]
    assert applications() == [("visible", 50)]
    states = {row["application"]: row["transaction_state"] for row in writer.call(ROWS.format("connection_metrics"))}
    assert (states["hidden"], states["visible"]) == ("read", "read")
    writer.run("leaked.close()")
    assert applications() == [("hidden", 50)]


def test_bug_a_first_question_listed_no_reader_of_another_pid_namespace(fast_path, worker, namespaces):
    """It asked for read marks before it looked for the control file, which had been made after its last statement."""
    operator, reader, writer = (contained(worker, fast_path, name) for name in ("operator", "report", "writer"))
    reader.run("for i in range(50): db.execute('INSERT INTO t(payload) VALUES (1)')")
    reader.run("leaked = db.execute('SELECT id FROM t'); leaked.fetchone()")
    writer.run("for i in range(50): db.execute('INSERT INTO t(payload) VALUES (1)')")
    found = operator.call(ROWS.format("wal_readers"))
    assert [(row["application"], row["frame"]) for row in found] == [("report", 50)]


def test_bug_two_processes_with_the_same_pid_were_one(fast_path, worker, namespaces):
    first, second = contained(worker, fast_path, "first"), contained(worker, fast_path, "second")
    for process in (first, second):
        process.run("for i in range(10): db.execute('INSERT INTO t(payload) VALUES (1)')")
    for asker, other in ((first, "second"), (second, "first")):
        own = "first" if other == "second" else "second"
        found = {row["application"]: row for row in asker.call(ROWS.format("connection_metrics"))
                 if row["role"] == "application"}
        assert set(found) == {"first", "second"}
        assert (found[own]["pid"], found[other]["pid"]) == (1, None)
        assert found[own]["commits"] == found[other]["commits"] == 10
        assert found[own]["connection_id"] != found[other]["connection_id"]
        assert all(0 < row["connection_id"] < 2**53 for row in found.values())
        row = asker.call("metrics(db)")
        assert (row["processes"], row["unmanaged_processes"], row["commits"]) == (2, 0, 20)


def test_bug_a_managed_process_in_a_container_was_called_unmanaged(shell, fast_path, worker, namespaces):
    """Seen from the machine's own namespace, which shows all processes: by the pid that they have there."""
    process = contained(worker, fast_path, "report")
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    process.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    shell.execute("INSERT INTO t(payload) VALUES (2)")
    row, = readers(shell)
    pid = pid_here(process)
    assert (row["pid"], row["application"], row["verdict"], row["certain"]) == (pid, "report", "open transaction", 1)
    assert connection_of(shell, pid)["application"] == "report"
    assert metrics(shell)["unmanaged_processes"] == 0
    health = dict(shell.execute("SELECT check_name, status FROM system_health"))
    assert health["unmanaged_processes"] == "ok"
    # A checkpoint of a process of another namespace has its pid of here, while that lives.
    process.run("db.execute('COMMIT')")
    process.run("db.execute(\"SELECT wal_checkpoint('passive')\").fetchall()")
    newest = "SELECT pid FROM wal_checkpoints WHERE origin = 'manual' ORDER BY id DESC LIMIT 1"
    assert one(shell, newest) == pid
    assert process.call(f"one(db, {newest!r})") == 1
    process.end()
    assert one(shell, newest) is None


def test_a_connection_that_is_idle_in_a_transaction_is_named_in_another_namespace(fast_path, worker, namespaces):
    first, second = contained(worker, fast_path, "first"), contained(worker, fast_path, "second")
    second.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    first.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    first.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    detail = second.call("one(db, \"SELECT detail FROM system_health WHERE check_name = 'idle_in_transaction'\")")
    assert detail.startswith("1 connection is idle in a transaction")
    assert detail.endswith("first (of another PID namespace)")


@pytest.mark.parametrize("begin", ["", "BEGIN"])
def test_bug_a_forgotten_cursor_of_the_asking_connection_had_no_row(fast_path, begin):
    db, other = connect(fast_path), connect(fast_path)
    def insert(count):
        for _ in range(count):
            other.execute("INSERT INTO t(payload) VALUES (1)")
    insert(1000)
    if begin:
        db.execute(begin)
    forgotten = db.execute("SELECT id FROM t")
    forgotten.fetchone()
    insert(2000)
    cursor = db.execute("SELECT pid, query, verdict, blocks FROM wal_readers")
    assert cursor.fetchall() == [(os.getpid(), "SELECT id FROM t", "unfinished statement", "checkpoint")]
    assert metrics(db)["active_readers"] == 1
    forgotten.close()
    if begin:
        db.execute("COMMIT")
    assert db.execute("SELECT count(*) FROM wal_readers").fetchall() == [(0,)]
    assert metrics(db)["active_readers"] == 0
    db.close()
    other.close()
