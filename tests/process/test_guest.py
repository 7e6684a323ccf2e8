"""What a guest in a program's connection must not do: block the program, outlive what the
program detached, or fail where bare SQLite goes on. One test per bug."""

import json
import os
import pathlib
import time

import pytest

from conftest import EXTENSION, connect, inline, metrics, one
from waiting import copied_in_background, poll
from workers import NOBODY, fast_path, worker  # noqa: F401 (fixtures among them)

LOG_OF_1000_FRAMES = 1000 * (4096 + 24) + 32
BOUND = 2 * LOG_OF_1000_FRAMES  # checkpoints at 1000 frames keep the log below this

as_root = pytest.mark.skipif(os.getuid() != 0, reason="gives its privileges up")


def insert(db, commits, table="t"):
    """Makes so many commits, without waiting for the disk."""
    db.execute("PRAGMA synchronous=OFF")
    for _ in range(commits):
        db.execute(f"INSERT INTO {table}(payload) VALUES (zeroblob(2000))")


def report(db, sql, *parameters):
    return json.loads(one(db, sql, *parameters))


def wal_bytes(path):
    return os.stat(f"{path}-wal").st_size


def wal_database(path):
    db = connect(path, None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.close()
    return path


@pytest.fixture
def managed(fast_path):
    db = connect(fast_path, timeout=5)
    yield db
    db.close()


# --- waiting


WRITER = """
def write():
    global busy
    busy = 0
    db.execute("COMMIT")
    while not finished.is_set():
        try:
            db.execute("INSERT INTO t(payload) VALUES (1)")
        except sqlite3.OperationalError:
            busy += 1
        time.sleep(0.01)
db.execute("BEGIN IMMEDIATE")
db.execute("INSERT INTO t(payload) VALUES (1)")
finished = threading.Event()
thread = threading.Timer(0.3, write)
thread.start()
"""


@pytest.fixture
def writer(managed, worker, fast_path):
    """All of the log is in the database, so that a guard stands on mark 0; a process that is not managed
    has a transaction open, which will put frames behind it, commits after 0.3 s and goes on writing."""
    insert(managed, 20)
    assert report(managed, "SELECT wal_checkpoint('PASSIVE')")["complete"]
    process = worker()
    process.run(f"db = connect({str(fast_path)!r}, None, timeout=0, check_same_thread=False)")
    process.run("db.execute('PRAGMA synchronous=OFF')" + WRITER)
    return process


@pytest.mark.parametrize("mode", ["RESTART", "TRUNCATE"])
def test_restart_beside_a_writer_does_not_wait_for_walmanagers_own_guard(managed, writer, mode):
    done = report(managed, "SELECT wal_checkpoint(?)", mode)
    writer.run("finished.set(); thread.join()")
    assert (done["mode"], done["result"], done["complete"]) == (mode, "complete", True)
    assert 100 < done["duration_ms"] < 2500, done  # it waited for the writer and not for 5 s
    assert writer.call("busy") < 15


def test_restart_rule_beside_a_writer_does_not_spend_its_budget(managed, writer):
    rule = '[{"rule":"r","condition":"wal_frames >= 20","mode":"TRUNCATE","stall_budget_ms":1000}]'
    one(managed, "SELECT wal_strategy_define('rs', ?)", rule)
    one(managed, "SELECT wal_strategy('rs')")
    done = report(managed, "SELECT wal_checkpoint_auto()")
    writer.run("finished.set(); thread.join()")
    assert (done["rule"], done["mode"], done["result"]) == ("r", "TRUNCATE", "complete")
    assert 50 < done["duration_ms"] < 900, done  # the writer's 0.3 s, not the budget
    assert writer.call("busy") < 15


def test_restart_rule_under_busy_writers_does_not_spend_its_budget(worker, fast_path):
    process = worker(fast_path, timeout=0)
    rule = '[{"rule":"r","condition":"wal_frames >= 200","mode":"TRUNCATE","stall_budget_ms":1000}]'
    process.run(
        f"""
        one(db, "SELECT wal_strategy_define('rs', ?)", {rule!r})
        one(db, "SELECT wal_strategy('rs')")
        def enough():
            return one(asker, "SELECT count(*) FROM wal_checkpoints WHERE result = 'complete'") >= 10
        def write():
            own = connect({str(fast_path)!r}, timeout=0)
            own.execute("PRAGMA synchronous=OFF")
            while not finished.is_set():
                try:
                    own.execute("INSERT INTO t(payload) VALUES (zeroblob(500))")
                except sqlite3.OperationalError:
                    time.sleep(0.0005)
            own.close()
        finished = threading.Event()
        asker = connect({str(fast_path)!r}, timeout=5)
        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 10
        while not enough() and time.monotonic() < deadline:
            time.sleep(0.01)
        finished.set()
        for thread in threads:
            thread.join()
        """
    )
    rows = process.call("db.execute('SELECT mode, result, duration_ms FROM wal_checkpoints').fetchall()")
    assert len(rows) >= 10
    assert {mode for mode, _, _ in rows} == {"TRUNCATE"}
    assert max(duration for _, _, duration in rows) < 800, rows


def test_wal_metrics_does_not_wait_for_a_checkpoint_that_waits(worker, fast_path):
    process = worker(fast_path)
    process.run(
        f"""
        path = {str(fast_path)!r}
        def insert(n):
            for _ in range(n):
                db.execute("INSERT INTO t(payload) VALUES (zeroblob(2000))")
        def checkpoint():
            own = connect(path, timeout=15)
            answers.append(json.loads(one(own, "SELECT wal_checkpoint('FULL')")))
            own.close()
        def waits():
            try:
                probe.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True  # FULL has the write lock while it waits
            probe.execute("ROLLBACK")
            return False
        answers = []
        insert(50)
        reader = connect(path, None, check_same_thread=False)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchall()
        insert(1)
        probe = connect(path, None, timeout=0)
        thread = threading.Thread(target=checkpoint)
        thread.start()
        deadline = time.monotonic() + 10
        while not waits():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        begun = time.monotonic()
        row = metrics(db)
        took = time.monotonic() - begun
        still_waiting = thread.is_alive()
        reader.execute("COMMIT")
        thread.join()
        """
    )
    assert process.call("still_waiting") is True
    assert process.call("took") < 1
    assert process.call("row['pending_frames']") >= 1
    assert process.call("row['commits']") == 51
    done = process.call("answers[0]")
    assert (done["mode"], done["result"]) == ("FULL", "complete")


def test_commit_does_not_wait_for_the_lock_of_the_settings(worker, fast_path):
    process, holder = worker(fast_path), worker()
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    holder.run(
        f"""
        import fcntl, struct
        file = os.open({str(fast_path) + '-walmanager'!r}, os.O_RDWR)
        place = (1 << 40) + 2
        fcntl.fcntl(file, fcntl.F_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, place, 1, 0))
        """
    )
    process.run(
        """
        def value():
            return one(db, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'")
        def commit():
            begun = time.monotonic()
            db.execute("INSERT INTO t(payload) VALUES (1)")
            return time.monotonic() - begun
        """
    )
    process.run("db.execute('PRAGMA wal_autocheckpoint=500')")
    assert max(process.call("[commit() for _ in range(100)]")) < 0.4
    assert process.call("value()") == 1000
    assert holder.end() == 0
    assert poll(lambda: process.call("(commit(), value())")[1], 500) == 500


# --- the file, the process and its privileges


def test_database_that_is_renamed_over_while_it_is_open(tmp_path):
    def play(directory, load):
        directory.mkdir()
        path = wal_database(directory / "test.db")
        db = connect(path, load)
        insert(db, 20)
        copy = connect(f"{path}.new", None)
        db.backup(copy)
        copy.execute("PRAGMA journal_mode=WAL")
        copy.close()
        os.replace(f"{path}.new", path)
        time.sleep(1.1)  # the next commit looks, and from then on checkpoints are counted in private memory
        insert(db, 3000)
        seen = (one(db, "SELECT count(*) FROM t"), one(db, "PRAGMA integrity_check"), wal_bytes(path))
        return db, seen

    bare, wanted = play(tmp_path / "bare", None)
    bare.close()
    db, seen = play(tmp_path / "managed", EXTENSION)
    try:
        assert seen[:2] == wanted[:2] == (3020, "ok")
        assert seen[2] <= BOUND and wanted[2] <= BOUND
        row = metrics(db)
        assert row["unguarded_because"] == "the database file is not to be found at its path"
        assert row["checkpoints"] >= 3
        assert row["checkpoints_failed"] == 0
    finally:
        db.close()


@pytest.mark.parametrize("strategy", ["sqlite_default", "conversation_workload"])
def test_shared_cache(worker, fast_path, strategy):
    process = worker()
    process.run("import ctypes; assert ctypes.CDLL('libsqlite3.so.0').sqlite3_enable_shared_cache(1) == 0")
    process.run(
        f"""
        db = connect({str(fast_path)!r}, timeout=5)
        db.execute("PRAGMA synchronous=OFF")
        one(db, "SELECT wal_strategy('{strategy}')")
        one(db, "SELECT wal_set('wal_limit_bytes', {2 * BOUND})")
        for _ in range(4000):
            db.execute("INSERT INTO t(payload) VALUES (zeroblob(2000))")
        """
    )
    if strategy != "sqlite_default":
        copied_in_background(process)
    row = process.call("metrics(db)")
    assert row["checkpoints"] >= (3 if strategy == "sqlite_default" else 1)
    assert (row["checkpoints_failed"], row["checkpoints_busy"], row["unguarded_because"]) == (0, 0, None)
    assert row["wal_bytes"] <= (BOUND if strategy == "sqlite_default" else 3 * BOUND)
    done = process.call("json.loads(one(db, \"SELECT wal_checkpoint('PASSIVE')\"))")
    assert done["complete"]
    assert done["result"] == "complete" or (strategy, done["result"]) == ("conversation_workload", "skipped")


@as_root
@pytest.mark.parametrize("directory", [0o755, 0o700], ids=["may read", "may not even find it"])
def test_process_that_drops_its_privileges_goes_on_checkpointing(worker, fast_path, directory):
    fast_path.parent.chmod(directory)
    process = worker(fast_path)
    process.run(
        f"""
        db.execute("INSERT INTO t(payload) VALUES (1)")
        os.setresuid({NOBODY.pw_uid}, {NOBODY.pw_uid}, {NOBODY.pw_uid})
        for i in range(3000):
            db.execute("INSERT INTO t(payload) VALUES (zeroblob(2000))")
            if i in (600, 900, 1200):
                time.sleep(0.3)  # the thread has found that it cannot, also on a busy machine
        """
    )
    row = process.call("metrics(db)")
    assert wal_bytes(fast_path) <= BOUND
    assert row["wal_frames"] <= 1100 and row["pending_frames"] <= 1100
    assert row["checkpoints_failed"] == 0
    assert row["commits"] == 3001  # what is mapped stays, also where its name cannot be looked at
    assert row["checkpoints"] >= 3
    assert row["checkpoints_busy"] == 0
    assert row["checkpoint_frames"] >= 3000
    assert row["unguarded_because"] == (
        "this process may no longer write the database file" if directory == 0o755
        else "the database file is not to be found at its path")


def test_checkpoint_out_of_descriptors_is_busy_and_not_unguarded(worker, fast_path):
    process = worker(fast_path)
    process.run(
        """
        for _ in range(20):
            db.execute("INSERT INTO t(payload) VALUES (1)")
        def checkpoint():
            return json.loads(one(db, "SELECT wal_checkpoint('PASSIVE')"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        refused = checkpoint()
        row = metrics(db)
        for descriptor in taken:
            os.close(descriptor)
        done = checkpoint()
        """
    )
    refused = process.call("refused")
    assert (refused["result"], refused["busy"], refused["moved_frames"]) == ("busy", True, None)
    assert refused["error"] == "this process may have 1024 files open (RLIMIT_NOFILE): walmanager leaves them to the program"
    assert process.call("row['checkpoint_frames']") == 0
    assert process.call("row['unguarded_because']") is None
    done = process.call("done")
    assert (done["result"], done["complete"]) == ("complete", True)
    assert done["moved_frames"] >= 1
    assert process.call("metrics(db)['unguarded_because']") is None


def test_inherited_connection_in_a_forked_child_is_an_error(worker, fast_path):
    process = worker(fast_path)
    calls = ["wal_strategy()", "wal_strategy('off')", "wal_strategy_define('mine', '[]')", "wal_strategy_drop('mine')",
             "wal_set('checkpoint_frames', 77)", "wal_checkpoint_auto()", "wal_checkpoint('PASSIVE')",
             "wal_configure('web')", "wal_metrics_reset()"]
    tables = ["wal_metrics", "wal_checkpoints", "wal_strategies", "wal_config"]
    process.run(
        f"""
        def message(sql):
            try:
                return repr(db.execute(sql).fetchall())
            except Exception as error:
                return str(error)
        for _ in range(20):
            db.execute("INSERT INTO t(payload) VALUES (1)")
        one(db, "SELECT wal_checkpoint('PASSIVE')")
        db.execute("INSERT INTO t(payload) VALUES (1)")
        before = metrics(db)
        answers, end = os.pipe()
        child = os.fork()
        if child == 0:
            said = [message("SELECT " + call) for call in {calls!r}]
            said += [message("SELECT * FROM " + table) for table in {tables!r}]
            os.write(end, json.dumps(said).encode())
            os._exit(0)
        os.close(end)
        said = json.loads(os.read(answers, 65536))
        status = os.waitpid(child, 0)[1]
        after = metrics(db)
        """
    )
    names = [call.split("(")[0] for call in calls] + tables
    wanted = "this connection was opened before a fork, in the parent"
    assert process.call("said") == [f"{name}: {wanted}" for name in names]
    assert process.call("status") == 0
    same = ["strategy", "commits", "checkpoints", "processes", "pending_frames", "journal_mode"]
    assert process.call(f"[after[name] for name in {same!r}]") == process.call(f"[before[name] for name in {same!r}]")


def test_load_that_fails_halfway_can_be_repeated(wal_path):
    db = connect(wal_path, None)
    try:
        db.create_function("wal_version", -1, lambda *_: 1)
        db.executemany("INSERT INTO t VALUES (?, 1)", [(i,) for i in range(5)])
        running = db.execute("SELECT id FROM t")
        running.fetchone()
        db.enable_load_extension(True)
        with pytest.raises(Exception, match="function wal_version: unable to delete/modify"):
            db.load_extension(EXTENSION)
        running.close()
        db.load_extension(EXTENSION)
        assert report(db, "SELECT wal_version()")["sqlite_version"] == one(db, "SELECT sqlite_version()")
        inline(db)
        assert one(db, "SELECT wal_set('checkpoint_frames', 5)") == 5
        assert one(db, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'") == 5
        assert one(db, "SELECT count(*) > 0 FROM wal_strategies") == 1
        for _ in range(20):
            db.execute("REPLACE INTO t VALUES (1, 2)")
        row = metrics(db)
        assert (row["hook"], row["commits"]) == ("active", 20)
        assert row["checkpoints_inline"] == one(db, "SELECT count(*) FROM wal_checkpoints") >= 1
    finally:
        db.close()


def test_stored_rule_that_does_not_compile_is_stood_in_for(fast_path):
    good, bad = b"pending_frames >= checkpoint_frames + 1", b"pending_frames >= checkpoint_framez + 1"
    db = connect(fast_path)
    rules = '[{"rule":"r","condition":"%s"}]' % good.decode()
    one(db, "SELECT wal_strategy_define('mine', ?)", rules)
    assert one(db, "SELECT wal_strategy('mine')") == "mine"
    assert metrics(db)["strategy_error"] is None
    db.close()
    file = pathlib.Path(f"{fast_path}-walmanager")
    content = file.read_bytes()
    assert content.count(good) >= 1
    file.write_bytes(content.replace(good, bad))
    db = connect(fast_path)
    try:
        insert(db, 4000)
        row = metrics(db)
        assert row["strategy"] == "mine"
        assert "checkpoint_framez" in row["strategy_error"]
        # The default one stands in: the thread copies, and the log starts over.
        assert poll(lambda: insert(db, 1) or metrics(db)["wal_frames"] < 1000, True, seconds=30)
        assert metrics(db)["checkpoints_background"] >= 1
        rules = {rule for (rule,) in db.execute("SELECT DISTINCT rule FROM wal_checkpoints")}
        assert rules <= {"frames", "limit"}
        assert one(db, "SELECT wal_strategy('conversation_workload')") == "conversation_workload"
        # A commit that finds the thread at work leaves the change to the next one.
        assert poll(lambda: insert(db, 1) or metrics(db)["strategy_error"], None) is None
    finally:
        db.close()


# --- statements in odd spellings, and a displaced trace


LEAVE = {
    "semicolon": ";PRAGMA journal_mode=DELETE",
    "byte order mark": "\ufeffPRAGMA journal_mode=DELETE",
    "comment": "/* a */ PRAGMA journal_mode=DELETE",
    "comment and semicolon": "/* a */;PRAGMA journal_mode=DELETE",
    "line comment": "-- a\n PRAGMA/**/journal_mode = DELETE",
    "quoted schema": "pragma 'main'.journal_mode=delete",
    "quoted name": 'PRAGMA "journal_mode"=delete',
    "bracketed name": "PRAGMA main.[journal_mode](delete)",
}


@pytest.mark.parametrize("statement", LEAVE.values(), ids=LEAVE.keys())
def test_wal_mode_can_be_left(managed, fast_path, statement):
    insert(managed, 5)
    assert report(managed, "SELECT wal_checkpoint('PASSIVE')")["complete"]  # walmanager's connections are open
    assert one(managed, statement) == "delete"
    assert metrics(managed)["journal_mode"] == "delete"
    assert not os.path.exists(f"{fast_path}-wal")


@pytest.mark.parametrize("statement", LEAVE.values(), ids=LEAVE.keys())
def test_wal_mode_can_be_left_while_the_background_thread_is_there(managed, fast_path, statement):
    insert(managed, 1100)
    assert poll(lambda: metrics(managed)["checkpoints_background"] > 0, True, seconds=30)  # walmanager's connections are open
    assert one(managed, statement) == "delete"
    assert metrics(managed)["journal_mode"] == "delete"
    assert not os.path.exists(f"{fast_path}-wal")


def test_bug_the_first_statement_that_writes_and_returns_a_row_opened_walmanagers_connections_while_wal_mode_was_left(fast_path):
    """PRAGMA journal_mode is one, and it commits before it needs the database for itself."""
    for i in range(12):
        path = fast_path.parent / f"{i}.db"
        wal_database(path)
        db = connect(path)
        db.execute("PRAGMA synchronous=OFF")
        db.execute("CREATE TABLE u(payload)")
        for _ in range(1100):
            db.execute("INSERT INTO u VALUES (1)")
        assert poll(lambda: metrics(db)["checkpoints_background"] > 0, True, seconds=30)
        assert one(db, "PRAGMA journal_mode=DELETE") == "delete"
        db.close()


@pytest.mark.parametrize("origin", ["manual", "inline", "background"])
def test_wal_mode_can_be_left_where_the_trace_is_displaced(managed, origin):
    insert(managed, 5 if origin == "manual" else 900)
    if origin == "background":
        insert(managed, 200)
        assert poll(lambda: metrics(managed)["checkpoints_background"] > 0, True, seconds=30)
    managed.set_trace_callback(lambda _: None)
    if origin == "manual":
        assert report(managed, "SELECT wal_checkpoint('PASSIVE')")["complete"]
    else:
        insert(managed, 1300)
    assert one(managed, "SELECT count(*) FROM wal_checkpoints WHERE origin = ?", origin) >= 1
    assert one(managed, "PRAGMA journal_mode=DELETE") == "delete"


@pytest.fixture
def others(fast_path):
    """Two more databases to attach."""
    return [wal_database(fast_path.parent / name) for name in ("b.db", "c.db")]


def test_detach_leaves_no_connection_of_walmanager_open_where_the_trace_is_displaced(managed, worker, others):
    path = others[0]
    insert(managed, 1)
    managed.set_trace_callback(lambda _: None)
    managed.execute(f"ATTACH '{path}' AS b")
    insert(managed, 1, "b.t")
    assert report(managed, "SELECT wal_checkpoint('PASSIVE', 'b')")["complete"]
    managed.execute("DETACH b")
    assert worker(path, load=False, timeout=0).call("one(db, 'PRAGMA journal_mode=DELETE')") == "delete"
    assert not os.path.exists(f"{path}-wal")


@pytest.mark.parametrize("bare_connections", [0, 3])  # something else gets the memory that was freed
def test_schema_name_that_is_another_file_where_the_trace_is_displaced(managed, fast_path, others, bare_connections):
    first, second = others
    managed.execute(f"ATTACH '{first}' AS b")
    insert(managed, 7, "b.t")
    managed.execute("SELECT 1").fetchall()
    managed.set_trace_callback(lambda _: None)
    managed.execute("DETACH b")
    bare = [connect(fast_path, None) for _ in range(bare_connections)]
    for db in bare:
        db.execute("SELECT * FROM sqlite_schema").fetchall()
    managed.execute(f"ATTACH '{second}' AS b")
    managed.execute("PRAGMA b.synchronous=OFF")
    insert(managed, 3000, "b.t")
    row = metrics(managed, "b")
    assert (row["file"], row["commits"]) == (str(second), 3000)
    assert row["checkpoints"] >= 3
    assert row["wal_bytes"] == wal_bytes(second) <= BOUND
    for db in bare:
        db.close()
    managed.execute("DETACH b")
    managed.execute(f"ATTACH '{first}' AS b")
    row = metrics(managed, "b")
    assert (row["file"], row["commits"]) == (str(first), 7)
    assert row["checkpoints"] == 0


def test_process_wide_load_with_the_trace_displaced_before_the_first_statement(worker, tmp_path):
    process = worker()
    process.run(
        f"""
        loader = connect(":memory:", PROCESS_EXTENSION)
        db = connect({str(tmp_path / 'test.db')!r}, None)
        db.set_trace_callback(lambda _: None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
        for _ in range(100):
            db.execute("INSERT INTO t(payload) VALUES (1)")
        """
    )
    row = process.call("metrics(db)")
    assert (row["hook"], row["commits"]) == ("active", 101)


# --- what the tables say


def test_checkpoints_on_the_hosts_handle_count_the_frames_they_moved(tmp_path):
    db = connect(tmp_path / "test.db")
    try:
        assert one(db, "PRAGMA locking_mode=EXCLUSIVE") == "exclusive"
        assert one(db, "PRAGMA journal_mode=WAL") == "wal"
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
        insert(db, 2500)
        row = metrics(db)
        moved = [value for (value,) in db.execute("SELECT moved_frames FROM wal_checkpoints ORDER BY id")]
        assert row["unguarded_because"] == "locking_mode is EXCLUSIVE: no other connection can write"
        assert row["checkpoints"] == len(moved) >= 3
        assert min(moved) >= 1000
        assert row["checkpoint_frames"] == sum(moved)
        # Each began where the last one ended: together they are the log but for what is still to be moved.
        assert row["checkpoint_frames"] + row["pending_frames"] == row["frames_written"]
    finally:
        db.close()


def test_oldest_reader_on_mark_0_sees_all_of_the_log(managed, worker, fast_path):
    insert(managed, 50)
    done = report(managed, "SELECT wal_checkpoint('PASSIVE')")
    assert done["complete"] and done["wal_frames"] > 50
    reader = worker(fast_path, load=False)
    # All is in the database: it reads nothing from the log, and stands on mark 0.
    reader.run("db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()")
    row = metrics(managed)
    assert (row["wal_frames"], row["active_readers"]) == (done["wal_frames"], 1)
    assert row["oldest_reader_frame"] == done["wal_frames"]
