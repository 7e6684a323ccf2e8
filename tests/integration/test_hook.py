"""The WAL hook: when walmanager sets it, takes it back or leaves it, and what the application's PRAGMA means."""

import time

import pytest

from conftest import EXTENSION, connect, inline, metrics, one
from helpers import apsw_connect, frames, python, wal_bytes, write
from waiting import copied_in_background, wait_for


@pytest.fixture
def fast(db):
    db.execute("PRAGMA synchronous=OFF")
    return db


@pytest.fixture
def fast_inline(fast):
    """Checkpoints at exact frames, in the committing thread."""
    inline(fast)
    return fast


def frames_setting(db):
    """The value of checkpoint_frames, and the process that changed it."""
    return db.execute("SELECT value, changed_by FROM wal_config WHERE name='checkpoint_frames'").fetchone()


def apsw_metrics(db, *names):
    return db.cursor().execute(f"SELECT {', '.join(names)} FROM wal_metrics").fetchall()[0]


# --- placed

def test_hook_is_active_before_and_after_the_first_commit(db):
    assert metrics(db)["hook"] == "active"
    write(db, 1)
    assert metrics(db)["hook"] == "active"


def test_hook_is_active_after_writes_that_do_not_commit(db):
    write(db, 1)
    db.execute("BEGIN")
    write(db, 3)
    assert metrics(db)["hook"] == "active"
    db.execute("ROLLBACK")
    assert metrics(db)["hook"] == "active"
    with pytest.raises(Exception, match="UNIQUE"):
        db.execute("INSERT INTO t(id) VALUES (1)")
    assert metrics(db)["hook"] == "active"


def test_hook_is_active_while_others_write(db, wal_path):
    """Growth of the log is no sign that the hook was replaced."""
    write(db, 1)
    other = connect(wal_path, load=None)
    write(other, 5)
    db.execute("UPDATE t SET payload = 1 WHERE id = -1")
    assert metrics(db)["hook"] == "active"
    write(db, 1)
    write(other, 5)
    assert metrics(db)["hook"] == "active"
    other.close()


def test_hook_is_active_after_an_autocheckpoint_restart_and_a_truncate(fast):
    write(fast, 1100)
    assert metrics(fast)["hook"] == "active"
    fast.execute("SELECT wal_checkpoint('truncate')").fetchall()
    assert metrics(fast)["hook"] == "active"
    fast.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    write(fast, 1)
    assert metrics(fast)["hook"] == "active"


def test_autocheckpoint_that_was_off_before_the_load_stays_off(wal_path):
    """Either no hook or a foreign one was there, and neither could be given back."""
    db = connect(wal_path, load=None)
    db.execute("PRAGMA wal_autocheckpoint=0")
    db.execute("PRAGMA synchronous=OFF")
    db.enable_load_extension(True)
    db.load_extension(EXTENSION)
    inline(db)
    frames(db, 1100)
    row = metrics(db)
    assert (row["hook"], row["checkpoints"], row["wal_frames"]) == ("off", 0, 1100)
    db.execute("PRAGMA wal_autocheckpoint=500")
    write(db, 1)
    row = metrics(db)
    assert (row["hook"], row["checkpoints_inline"], row["pending_frames"]) == ("active", 1, 0)
    db.close()


# --- PRAGMA wal_autocheckpoint by the application

@pytest.mark.parametrize("sql", [
    "PRAGMA wal_autocheckpoint=200",
    "pragma main.Wal_AutoCheckpoint = 200",
    "/* mine */ PRAGMA wal_autocheckpoint(200);",
    "-- mine\nPRAGMA wal_autocheckpoint=200",
])
def test_pragma_is_adopted_at_the_next_commit(fast, sql):
    inline(fast)
    fast.execute(sql).fetchall()
    write(fast, 1)
    value, changed_by = frames_setting(fast)
    assert value == 200
    assert changed_by.endswith(" PRAGMA")
    assert metrics(fast)["hook"] == "active"
    write(fast, 300)
    row = metrics(fast)
    assert row["checkpoints_inline"] == 1
    assert row["commits"] == 301
    assert row["wal_frames"] < 200  # it started over


def test_an_adopted_pragma_is_followed_by_the_thread(fast):
    fast.execute("PRAGMA wal_autocheckpoint=200").fetchall()
    write(fast, 250)
    assert copied_in_background(fast)["hook"] == "active"
    assert fast.execute("SELECT DISTINCT rule FROM wal_checkpoints").fetchall() == [("frames",)]


def test_a_later_pragma_replaces_an_adopted_one(fast):
    for frames in (200, 300, 1000):
        fast.execute(f"PRAGMA wal_autocheckpoint={frames}").fetchall()
        write(fast, 1)
        assert frames_setting(fast)[0] == frames


def test_the_pragma_does_not_replace_what_wal_set_chose(fast):
    fast.execute("SELECT wal_set('checkpoint_frames', 500)").fetchall()
    fast.execute("PRAGMA wal_autocheckpoint=200").fetchall()
    write(fast, 300)
    value, changed_by = frames_setting(fast)
    assert value == 500
    assert not changed_by.endswith("PRAGMA")
    assert metrics(fast)["checkpoints"] == 0
    assert metrics(fast)["hook"] == "active"


def test_after_going_back_to_the_default_the_pragma_counts_again(fast):
    fast.execute("SELECT wal_set('checkpoint_frames', 500)").fetchall()
    fast.execute("SELECT wal_set('checkpoint_frames', NULL)").fetchall()
    fast.execute("PRAGMA wal_autocheckpoint=200").fetchall()
    write(fast, 1)
    assert frames_setting(fast)[0] == 200


def test_wal_set_replaces_an_adopted_value(fast):
    fast.execute("PRAGMA wal_autocheckpoint=200").fetchall()
    write(fast, 1)
    fast.execute("SELECT wal_set('checkpoint_frames', 700)").fetchall()
    fast.execute("PRAGMA wal_autocheckpoint=300").fetchall()
    write(fast, 1)
    assert frames_setting(fast)[0] == 700


def test_nothing_is_adopted_at_load(wal_path):
    """Every connection opens with SQLite's default of 1000, which is no wish of the program."""
    db = connect(wal_path, load=None)
    db.execute("PRAGMA wal_autocheckpoint=300")
    db.enable_load_extension(True)
    db.load_extension(EXTENSION)
    write(db, 1)
    assert frames_setting(db) == (1000, None)
    db.close()


def test_reading_the_pragma_changes_nothing(fast_inline):
    write(fast_inline, 1)
    assert one(fast_inline, "PRAGMA wal_autocheckpoint") == 0  # walmanager's hook has replaced SQLite's
    write(fast_inline, 1100)
    assert frames_setting(fast_inline) == (1000, None)
    row = metrics(fast_inline)
    assert (row["hook"], row["commits"], row["checkpoints_inline"]) == ("active", 1101, 1)


@pytest.mark.parametrize("off", [0, -1])
def test_pragma_0_means_no_automatic_checkpoint_from_this_connection(fast, wal_path, off):
    inline(fast)
    fast.execute(f"PRAGMA wal_autocheckpoint={off}").fetchall()
    frames(fast, 1500)
    row = metrics(fast)
    assert (row["checkpointer"], row["hook"], row["checkpoints"], row["pending_frames"]) == \
        ("off", "active", 0, 1500)
    assert row["commits"] == 1500  # measured all the same
    assert frames_setting(fast) == (1000, None)
    other = connect(wal_path)
    assert metrics(other)["checkpointer"] == "inline"
    write(other, 1)
    assert metrics(other)["checkpoints_inline"] == 1
    assert metrics(fast)["pending_frames"] == 0
    other.close()


@pytest.mark.parametrize("off", [0, -1])
def test_after_pragma_0_the_thread_does_not_copy_for_this_connection(fast, wal_path, off):
    """Commits of another connection still start checkpoints."""
    fast.execute("SELECT wal_set('sample_interval_ms', 10)").fetchall()
    fast.execute(f"PRAGMA wal_autocheckpoint={off}").fetchall()
    frames(fast, 1500)
    time.sleep(0.2)  # twenty ticks
    row = metrics(fast)
    assert (row["hook"], row["checkpoints"], row["pending_frames"]) == ("active", 0, 1500)
    other = connect(wal_path)
    write(other, 1)
    copied_in_background(other)
    wait_for(lambda: write(other, 1) or metrics(other)["wal_frames"] < 1000)
    other.close()


def test_automatic_checkpoints_come_back_with_the_pragma(fast):
    inline(fast)
    fast.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    write(fast, 1200)
    fast.execute("PRAGMA wal_autocheckpoint=1000").fetchall()
    write(fast, 1)
    row = metrics(fast)
    assert (row["checkpointer"], row["checkpoints_inline"], row["pending_frames"]) == ("inline", 1, 0)


def scan(db):
    """A statement whose plan is wanted: the next statement asks the background thread for it."""
    db.execute("SELECT count(*) FROM t WHERE payload = 1").fetchall()
    db.execute("SELECT 1").fetchall()


def nothing_is_copied(db):
    """Over many ticks of the background thread."""
    before = metrics(db)
    time.sleep(0.3)
    row = metrics(db)
    assert (row["checkpoints"], row["checkpointed_frames"]) == (before["checkpoints"], before["checkpointed_frames"])
    return row


def test_bug_after_pragma_0_a_thread_that_was_wanted_for_a_plan_copied_frames(fast):
    """If every connection of a process has set 0, walmanager copies nothing, whatever started the thread."""
    fast.execute("SELECT wal_set('sample_interval_ms', 10)").fetchall()
    fast.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    write(fast, 50)
    frames(fast, 1500)
    scan(fast)
    row = nothing_is_copied(fast)
    assert (row["checkpointer"], row["checkpoints"], row["checkpointed_frames"]) == ("off", 0, 0)
    assert fast.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall() == [(0, 0, 0)]


def test_bug_a_reader_that_wants_a_plan_let_a_thread_copy_for_a_writer_that_set_0(fast, wal_path):
    """A connection that never commits would never checkpoint by itself."""
    fast.execute("SELECT wal_set('sample_interval_ms', 10)").fetchall()
    fast.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    write(fast, 50)
    frames(fast, 1500)
    reader = connect(wal_path)
    scan(reader)
    assert nothing_is_copied(fast)["checkpoints"] == 0
    plan = "SELECT plan FROM query_performance WHERE query = 'SELECT count(*) FROM t WHERE payload = ?'"
    assert wait_for(lambda: one(fast, plan)).startswith("SCAN")  # its plan is had all the same
    reader.close()


def test_bug_after_pragma_0_a_thread_of_earlier_commits_went_on(fast):
    fast.execute("SELECT wal_set('sample_interval_ms', 10)").fetchall()
    write(fast, 1100)
    copied_in_background(fast)
    fast.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    frames(fast, 1500)
    nothing_is_copied(fast)
    fast.execute("PRAGMA wal_autocheckpoint=1000").fetchall()
    before = metrics(fast)["checkpoints"]
    frames(fast, 7000)  # copying begins at 8000
    wait_for(lambda: frames(fast, 1) or metrics(fast)["checkpoints"] > before)


# --- what the PRAGMA reads, put back

def reads_0_and_turns_off(db):
    value = one(db, "PRAGMA wal_autocheckpoint")
    assert value == 0
    db.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    assert metrics(db)["checkpointer"] == "off"
    return value


def test_bug_a_program_that_put_back_what_the_pragma_read_turned_checkpoints_off_for_good(fast_inline):
    """The PRAGMA reads 0 while walmanager's hook is set in place of SQLite's."""
    value = reads_0_and_turns_off(fast_inline)
    frames(fast_inline, 1500)
    assert metrics(fast_inline)["checkpoints"] == 0
    fast_inline.execute(f"PRAGMA wal_autocheckpoint={value}").fetchall()
    assert metrics(fast_inline)["checkpointer"] == "inline"
    frames(fast_inline, 1)
    assert metrics(fast_inline)["checkpoints_inline"] == 1
    assert frames_setting(fast_inline) == (1000, None)


def test_what_the_pragma_reads_is_put_back_once_for_each_time_it_was_turned_off(fast_inline):
    reads_0_and_turns_off(fast_inline)
    for state in ("inline", "off", "inline"):
        fast_inline.execute(f"PRAGMA main.wal_autocheckpoint = '0' -- {state}").fetchall()
        assert metrics(fast_inline)["checkpointer"] == state


def test_the_pragma_counts_too_where_a_function_of_the_program_runs_it(fast_inline):
    def pragma(value):
        return str(fast_inline.execute(f"PRAGMA wal_autocheckpoint{value}").fetchall())
    fast_inline.create_function("pragma", 1, pragma)
    assert one(fast_inline, "SELECT pragma('')") == "[(0,)]"
    for state in ("off", "inline"):
        assert one(fast_inline, "SELECT pragma('=0')") == "[(0,)]"
        row = metrics(fast_inline)
        assert (row["checkpointer"], row["hook"]) == (state, "active")


@pytest.mark.parametrize("sql", [
    ["=0", "=0"],  # never read
    ["=0", "", "=0"],  # the 0 that it reads is its own
    ["=0", "", "=0", "=0"],
    ["", "=0", "=-1"],  # that is not what it read
    ["", "=-1", "=-1"],
    ["", "=off", "=off"],
])
def test_pragma_0_twice_stays_a_wish(fast_inline, sql):
    for value in sql:
        fast_inline.execute("PRAGMA wal_autocheckpoint" + value).fetchall()
    frames(fast_inline, 1100)
    row = metrics(fast_inline)
    assert (row["checkpointer"], row["checkpoints"]) == ("off", 0)


# --- the C interface, and foreign hooks

def test_sqlite3_wal_autocheckpoint_is_detected_when_metrics_are_read(wal_path):
    """No statement announces it. A read of wal_metrics finds SQLite's own hook and replaces it."""
    db = apsw_connect(wal_path)
    cursor = db.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.execute("SELECT wal_strategy('sqlite_default')").fetchall()
    cursor.execute("INSERT INTO t(payload) VALUES (1)")
    db.wal_autocheckpoint(200)
    assert apsw_metrics(db, "hook") == ("active",)
    for _ in range(250):
        cursor.execute("INSERT INTO t(payload) VALUES (1)")
    assert apsw_metrics(db, "hook", "commits", "checkpoints_inline") == ("active", 251, 1)
    value, changed_by = cursor.execute(
        "SELECT value, changed_by FROM wal_config WHERE name='checkpoint_frames'").fetchall()[0]
    assert value == 200
    assert changed_by.endswith(" PRAGMA")
    db.close()


def test_a_foreign_hook_is_reported_and_left_alone(wal_path):
    db = apsw_connect(wal_path)
    cursor = db.cursor()
    called = []

    def hook(connection, schema, pages):
        called.append((schema, pages))
        return 0

    cursor.execute("INSERT INTO t(payload) VALUES (1)")
    assert apsw_metrics(db, "hook") == ("active",)
    db.setwalhook(hook)
    cursor.execute("INSERT INTO t(payload) VALUES (1)")
    assert called == [("main", 2)]
    for _ in range(3):
        assert apsw_metrics(db, "hook") == ("displaced",)
    cursor.execute("INSERT INTO t(payload) VALUES (1)")
    cursor.execute("BEGIN")
    cursor.execute("INSERT INTO t(payload) VALUES (1)")
    cursor.execute("COMMIT")
    assert called == [("main", 2), ("main", 3), ("main", 4)]
    assert apsw_metrics(db, "hook", "wal_frames") == ("displaced", 4)
    db.close()


def test_a_foreign_hook_can_be_taken_back_with_the_pragma(wal_path):
    db = apsw_connect(wal_path)
    cursor = db.cursor()
    db.setwalhook(lambda *_: 0)
    cursor.execute("INSERT INTO t(payload) VALUES (1)")
    assert apsw_metrics(db, "hook") == ("displaced",)
    cursor.execute("PRAGMA wal_autocheckpoint=1000")
    cursor.execute("INSERT INTO t(payload) VALUES (1)")
    assert apsw_metrics(db, "hook") == ("active",)
    db.close()


def test_a_foreign_hook_on_one_connection_does_not_concern_another(wal_path, db):
    foreign = apsw_connect(wal_path)
    foreign.setwalhook(lambda *_: 0)
    foreign.cursor().execute("INSERT INTO t(payload) VALUES (1)")
    write(db, 2)
    assert metrics(db)["hook"] == "active"
    assert apsw_metrics(foreign, "hook") == ("displaced",)
    foreign.close()


@pytest.mark.parametrize("strategy", ["conversation_workload", "sqlite_default"])
def test_a_foreign_trace_leaves_counting_and_checkpoints(fast, wal_path, strategy):
    """Python's set_trace_callback takes the trace slot without notice. The thread then leaves the copying to the commits."""
    assert one(fast, "SELECT wal_strategy(?)", strategy) == strategy
    seen = []
    write(fast, 10)
    fast.set_trace_callback(seen.append)
    write(fast, 1100)
    row = metrics(fast)
    assert (row["hook"], row["commits"], row["checkpoints_inline"]) == ("active", 1110, 1)
    assert len([sql for sql in seen if sql.startswith("INSERT")]) == 1100
    assert one(fast, "PRAGMA journal_mode=DELETE") == "delete"
    assert one(fast, "PRAGMA journal_mode=WAL") == "wal"
    write(fast, 1)
    assert metrics(fast)["commits"] == 1111


def test_a_foreign_trace_from_before_the_load_is_as_good(wal_path):
    db = connect(wal_path, load=None)
    db.execute("PRAGMA synchronous=OFF")
    db.enable_load_extension(True)
    db.load_extension(EXTENSION)
    db.set_trace_callback(None)  # walmanager's trace is gone before the first statement
    write(db, 1100)
    row = metrics(db)
    assert (row["hook"], row["commits"], row["checkpoints_inline"]) == ("active", 1100, 1)
    assert row["commit_mean_ms"] is None  # no trace saw a start: unknown, not 0
    assert one(db, "PRAGMA journal_mode=DELETE") == "delete"
    db.close()


def test_a_trace_of_the_program_sees_the_program_s_statements_alone(wal_path):
    """Bug: beside a trace of the program, commits ran PRAGMA wal_autocheckpoint (after a process-wide load) and PRAGMA synchronous."""
    said = python("""
import sqlite3, sys
from conftest import PROCESS_EXTENSION, connect, metrics
first = connect(":memory:", load=PROCESS_EXTENSION)
db = connect(sys.argv[1], load=None)
seen = []
db.set_trace_callback(seen.append)
for _ in range(1100):
    db.execute("INSERT INTO t VALUES (NULL, 1)")
db.set_trace_callback(None)
row = metrics(db)
print(set(seen) == {"INSERT INTO t VALUES (NULL, 1)"} or set(seen), len(seen), row["hook"])
""", wal_path)
    assert said == "True 1100 active\n"


def test_with_a_foreign_trace_the_pragma_is_found_when_metrics_are_read(fast):
    write(fast, 1)
    fast.set_trace_callback(lambda _: None)
    fast.execute("PRAGMA wal_autocheckpoint=200").fetchall()
    assert metrics(fast)["hook"] == "active"
    write(fast, 250)
    assert frames_setting(fast)[0] == 200
    assert metrics(fast)["checkpoints_inline"] == 1


BEFORE_THE_FIRST_STATEMENT = """
import ctypes, sys
from conftest import EXTENSION
lib = ctypes.CDLL("libsqlite3.so.0")
pointer = ctypes.c_void_p
HOOK = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, ctypes.c_char_p, ctypes.c_int)
TRACE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, pointer, pointer, pointer)
ROW = ctypes.CFUNCTYPE(ctypes.c_int, pointer, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p), pointer)
called, rows = [], []
hook = HOOK(lambda argument, db, schema, pages: called.append(pages) or 0)
trace = TRACE(lambda *event: 0)
row = ROW(lambda argument, count, values, names: rows.append([values[i].decode() for i in range(count)]) or 0)
def opened(path):
    db = pointer()
    assert lib.sqlite3_open(path.encode(), ctypes.byref(db)) == 0
    return db
def run(db, sql):
    assert lib.sqlite3_exec(db, sql.encode(), row, None, None) == 0
loader = opened(":memory:")
lib.sqlite3_enable_load_extension(loader, 1)
assert lib.sqlite3_load_extension(loader, EXTENSION.encode(), b"sqlite3_walmanagerprocess_init", None) == 0
db = opened(sys.argv[1])
if "trace" in sys.argv[2]: lib.sqlite3_trace_v2(db, 1, trace, None)
if "hook" in sys.argv[2]: lib.sqlite3_wal_hook(db, hook, None)
if "off" in sys.argv[2]: lib.sqlite3_wal_autocheckpoint(db, 0)
for i in range(3):
    run(db, "INSERT INTO t(payload) VALUES (1)")
run(db, "SELECT hook, checkpointer, commits FROM wal_metrics")
print(called, *rows[0])
lib.sqlite3_close(db); lib.sqlite3_close(loader)
"""


@pytest.mark.parametrize("what, said", [
    ("hook", "[1, 2, 3] displaced off 0\n"),
    ("hook trace", "[1, 2, 3] displaced off 0\n"),
    ("off", "[] displaced off 0\n"),
    ("trace", "[] active inline 3\n"),
    ("", "[] active background 3\n"),
])
def test_bug_a_hook_that_was_set_before_the_first_statement_was_replaced_silently(wal_path, what, said):
    """After a process-wide load a hook of the program is found first, and stays."""
    assert python(BEFORE_THE_FIRST_STATEMENT, wal_path, what) == said


def test_bug_the_thread_copied_where_the_program_turned_its_hook_off(wal_path):
    """sqlite3_wal_autocheckpoint(db, 0) takes the hook without notice. Commits that the hook misses show it."""
    db = apsw_connect(wal_path)
    db.cursor().execute("PRAGMA synchronous=OFF; SELECT wal_set('sample_interval_ms', 50)").fetchall()
    insert = "INSERT INTO t(payload) VALUES (zeroblob(100))"
    for _ in range(1100):
        db.cursor().execute(insert)
    wait_for(lambda: apsw_metrics(db, "checkpoints_background")[0] > 0)
    db.wal_autocheckpoint(0)
    for _ in range(8):
        db.cursor().execute(insert)
    copied = apsw_metrics(db, "checkpoints", "wal_resets")
    for _ in range(1500):
        db.cursor().execute(insert)
    time.sleep(0.3)
    assert apsw_metrics(db, "checkpoints", "wal_resets") == copied
    assert apsw_metrics(db, "hook", "checkpointer") == ("displaced", "off")
    db.close()


def test_bug_hook_was_called_displaced_while_another_connection_committed(db, wal_path):
    """A TEMP row, or a full-text index that is checked, changes rows and commits nothing to the log."""
    other = connect(wal_path)
    db.execute("CREATE VIRTUAL TABLE f USING fts5(c)")
    db.execute("INSERT INTO f(c) VALUES ('a')")
    db.execute("CREATE TEMP TABLE own(x)")
    for statement in ("INSERT INTO own VALUES (1)", "INSERT INTO f(f) VALUES ('integrity-check')",
                      "UPDATE t SET payload = 1 WHERE id = -1", "INSERT INTO own SELECT * FROM own"):
        for _ in range(10):
            write(other, 1)
            db.execute(statement)
            write(other, 1)
            assert metrics(db)["hook"] == "active", statement
        assert one(db, "SELECT status FROM system_health WHERE check_name = 'wal_hook'") == "ok"
    db.execute("BEGIN")
    write(db, 1)
    db.execute("ROLLBACK")
    write(other, 1)
    assert metrics(db)["hook"] == "active"
    other.close()


def test_hook_is_active_beside_a_database_without_a_log(db, tmp_path):
    """Writes to that database call no hook."""
    db.execute("ATTACH ? AS other", (str(tmp_path / "rollback.db"),))
    db.execute("CREATE TABLE other.u(a)")
    write(db, 1)
    for _ in range(20):
        db.execute("INSERT INTO other.u VALUES (1)")
    assert metrics(db)["hook"] == "active"
    write(db, 1)
    assert metrics(db)["hook"] == "active"


def test_hook_is_active_in_a_shared_cache(wal_path):
    """The pages that another connection of the cache writes count as this one's."""
    pair = [connect(f"file:{wal_path}?cache=shared", uri=True) for _ in range(2)]
    for db in pair:
        write(db, 1)
    pair[0].execute("CREATE TEMP TABLE own(x)")
    for _ in range(20):
        write(pair[1], 1)
        pair[0].execute("INSERT INTO own VALUES (1)")
    assert metrics(pair[0])["hook"] == "active"
    for db in pair:
        db.close()


def test_a_foreign_hook_is_told_beside_temporary_tables(wal_path):
    db = apsw_connect(wal_path)
    cursor = db.cursor()
    cursor.execute("CREATE TEMP TABLE own(x)")
    cursor.execute("INSERT INTO t(payload) VALUES (1)")
    db.setwalhook(lambda *_: 0)
    for _ in range(3):
        cursor.execute("INSERT INTO own VALUES (1)")
        cursor.execute("INSERT INTO t(payload) VALUES (1)")
    assert apsw_metrics(db, "hook") == ("displaced",)
    db.close()


# --- times

@pytest.fixture
def napping(fast):
    """The SQL function nap(ms) sleeps for that time."""
    fast.create_function("nap", 1, lambda ms: time.sleep(ms / 1000))
    return fast


def test_a_commit_lasts_from_the_start_of_its_statement(napping):
    napping.execute("INSERT INTO t(payload) SELECT nap(30)")
    row = metrics(napping)
    assert row["commits"] == 1
    assert 30 <= row["commit_mean_ms"] == row["commit_max_ms"] < 1000
    assert row["checkpoint_stall_ms"] < row["commit_mean_ms"] - 30  # the nap was not in the hook
    # Within the resolution of the histogram's buckets.
    assert row["commit_p50_ms"] == pytest.approx(row["commit_max_ms"], rel=0.033)


def test_an_earlier_statement_of_the_transaction_is_not_part_of_the_commit(napping):
    write(napping, 1)  # the first commit makes the control file
    one(napping, "SELECT wal_metrics_reset()")
    napping.execute("BEGIN")
    napping.execute("INSERT INTO t(payload) SELECT nap(400)")
    napping.execute("COMMIT")
    assert 0 < metrics(napping)["commit_max_ms"] < 400


def test_a_statement_behind_a_comment_is_measured(napping):
    napping.execute("-- from the billing service\nINSERT INTO t(payload) SELECT nap(30)")
    assert metrics(napping)["commit_max_ms"] >= 30
    napping.execute("/* from there */ INSERT INTO t(payload) SELECT nap(60)")
    assert metrics(napping)["commit_max_ms"] >= 60


def test_a_statement_with_triggers_is_measured_from_its_own_start(napping):
    napping.execute("CREATE TABLE log(a)")
    napping.execute("CREATE TRIGGER later AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1); END")
    napping.execute("INSERT INTO t(payload) SELECT nap(30)")
    assert metrics(napping)["commit_max_ms"] >= 30


def test_the_stall_is_the_time_of_the_checkpoint(fast_inline):
    frames(fast_inline, 999)
    before = metrics(fast_inline)["checkpoint_stall_ms"]
    frames(fast_inline, 1)
    row = metrics(fast_inline)
    assert row["checkpoints_inline"] == 1
    assert row["checkpoint_stall_ms"] - before >= row["checkpoint_max_ms"] * 0.99
    assert row["commit_max_ms"] >= row["checkpoint_max_ms"]


# --- commits that the hook does not see

def returning_and_reset(db, commits):
    """The cursor is closed after its first row: SQLite commits, and calls no hook."""
    for _ in range(commits):
        db.execute("REPLACE INTO t VALUES (1, randomblob(8)) RETURNING id").close()


def test_a_returning_statement_left_half_way_is_no_displaced_hook(fast):
    returning_and_reset(fast, 5)
    row = metrics(fast)
    assert (row["hook"], row["wal_frames"], one(fast, "SELECT count(*) FROM t")) == ("active", 5, 1)


def test_the_next_commit_catches_up_with_returning_statements(fast):
    """The log is looked at every 64 such statements, and every frame is counted."""
    inline(fast)
    returning_and_reset(fast, 1500)
    frames(fast, 1)
    row = metrics(fast)
    assert (row["hook"], row["frames_written"]) == ("active", 1501)
    assert row["pending_frames"] < 1000
    assert row["checkpoints_inline"] == 1


def test_a_look_catches_up_with_returning_statements(fast):
    """SQLite calls the hook late: with the next statement that runs to its end."""
    inline(fast)
    one(fast, "SELECT wal_set('checkpoint_frames', 30)")
    returning_and_reset(fast, 50)
    fast.execute("SELECT 1").fetchall()
    assert metrics(fast)["frames_written"] == 50
    # The look does not wait for the thread, which may just then ask whether there is something to do.
    def caught_up():
        if metrics(fast)["checkpoints_inline"] == 0:
            returning_and_reset(fast, 1)
            fast.execute("SELECT 1").fetchall()
        return metrics(fast)["checkpoints_inline"]
    wait_for(caught_up)
    row = metrics(fast)
    assert (row["pending_frames"], row["checkpoints_inline"]) == (0, 1)


def test_returning_statements_alone_do_not_let_the_log_grow_without_bound(fast, wal_path):
    """Stock SQLite's log grows for ever here; the tick must catch it."""
    inline(fast)
    fast.execute("SELECT wal_set('sample_interval_ms', 10)").fetchall()
    write(fast, 1)
    returning_and_reset(fast, 5000)
    assert wal_bytes(wal_path) < 4000 * 4120


def test_returning_statements_alone_are_copied_in_the_background(fast, wal_path):
    """The same with the default strategy: the thread copies, and the limit holds however slow the disk is."""
    limit = 8 << 20
    fast.execute("SELECT wal_set('wal_limit_bytes', ?)", (limit,)).fetchall()
    write(fast, 1)
    returning_and_reset(fast, 5000)
    assert wal_bytes(wal_path) < 2 * limit
    row = copied_in_background(fast)
    wait_for(lambda: returning_and_reset(fast, 64) or metrics(fast)["wal_resets"] > row["wal_resets"], 30)


def test_a_returning_statement_read_to_its_end_calls_the_hook(db):
    assert db.execute("INSERT INTO t(payload) VALUES (1) RETURNING id").fetchall() == [(1,)]
    assert metrics(db)["commits"] == 1
