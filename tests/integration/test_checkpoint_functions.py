"""wal_checkpoint and wal_checkpoint_auto: values, JSON, the log of checkpoints, readers in the way, refusals."""

import os
import sqlite3
import threading
import time

import pytest

from conftest import connect, metrics, one
from helpers import Holder, columns, error, files_beside, frames, python, report, snapshot, wal_bytes

KEYS = ("schema, strategy, rule, mode, result, busy, wal_frames, checkpointed_frames, moved_frames, complete, "
        "wal_bytes, duration_ms, skipped").split(", ")
MODES = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"]


@pytest.fixture
def fast(db):
    db.execute("PRAGMA synchronous=OFF")
    return db


def checkpoint(db, mode, *schema):
    sql = "SELECT wal_checkpoint(?, ?)" if schema else "SELECT wal_checkpoint(?)"
    return report(db, sql, mode, *schema)


def without(result, *names):
    return {name: value for name, value in result.items() if name not in names}


# --- the four modes

@pytest.mark.parametrize("mode", MODES)
def test_a_complete_checkpoint(fast, wal_path, mode):
    frames(fast, 20)
    result = checkpoint(fast, mode)
    assert list(result) == KEYS
    truncated = mode == "TRUNCATE"
    assert without(result, "duration_ms") == {
        "schema": "main", "strategy": "conversation_workload", "rule": None, "mode": mode, "result": "complete",
        "busy": False, "wal_frames": 0 if truncated else 20, "checkpointed_frames": 0 if truncated else 20,
        "moved_frames": 20, "complete": True, "wal_bytes": 0 if truncated else 32 + 20 * 4120, "skipped": None}
    assert 0 < result["duration_ms"] < 10000
    assert wal_bytes(wal_path) == result["wal_bytes"]
    bare = connect(wal_path, load=None)
    assert one(bare, "SELECT count(*) FROM t") == 1
    bare.close()


@pytest.mark.parametrize("mode", MODES)
def test_the_result_is_that_of_sqlites_own_pragma(fast, wal_path, tmp_path, mode):
    """After the same commits on a bare database PRAGMA wal_checkpoint reports the same frames as wal_checkpoint()."""
    bare = connect(tmp_path / "bare.db", load=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    bare.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for db in (bare, fast):
        frames(db, 12)
    busy, log, moved = bare.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    result = checkpoint(fast, mode)
    assert (result["busy"], result["wal_frames"], result["checkpointed_frames"]) == (bool(busy), log, moved)
    assert wal_bytes(wal_path) == wal_bytes(tmp_path / "bare.db")
    for db in (bare, fast):  # where the next commit goes is the same too
        frames(db, 1)
    assert metrics(fast)["wal_frames"] == bare.execute("PRAGMA wal_checkpoint").fetchone()[1]
    bare.close()


@pytest.mark.parametrize("mode", ["passive", "Full", "rEsTaRt", "truncate"])
def test_any_case(fast, mode):
    frames(fast, 1)
    assert checkpoint(fast, mode)["mode"] == mode.upper()


@pytest.mark.parametrize("mode", ["RESTART", "TRUNCATE"])
def test_restart_and_truncate_work_on_a_log_that_is_already_checkpointed(fast, wal_path, mode):
    frames(fast, 5)
    checkpoint(fast, "PASSIVE")
    result = checkpoint(fast, mode)
    assert (result["result"], result["moved_frames"], result["complete"]) == ("complete", 0, True)
    assert wal_bytes(wal_path) == (0 if mode == "TRUNCATE" else 32 + 5 * 4120)
    frames(fast, 1)
    assert metrics(fast)["wal_frames"] == 1


@pytest.mark.parametrize("mode", ["PASSIVE", "FULL"])
def test_nothing_to_move_is_skipped(fast, mode):
    frames(fast, 5)
    checkpoint(fast, "PASSIVE")
    result = checkpoint(fast, mode)
    assert without(result, "duration_ms", "wal_bytes") == {
        "schema": "main", "strategy": "conversation_workload", "rule": None, "mode": mode, "result": "skipped",
        "busy": False, "wal_frames": 5, "checkpointed_frames": 5, "moved_frames": 0, "complete": True,
        "skipped": "nothing to move"}
    assert one(fast, "SELECT count(*) FROM wal_checkpoints") == 1


@pytest.mark.parametrize("mode", MODES)
def test_on_an_empty_log_right_after_the_load(db, mode):
    result = checkpoint(db, mode)
    assert result["result"] in ("skipped", "complete")
    assert (result["complete"], result["moved_frames"], result["busy"]) == (True, 0, False)


def test_an_attached_schema(fast, tmp_path):
    fast.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    fast.execute("PRAGMA other.journal_mode=WAL")
    fast.execute("CREATE TABLE other.u(a)")
    frames(fast, 3)
    result = checkpoint(fast, "FULL", "other")
    assert (result["schema"], result["result"], result["moved_frames"]) == ("other", "complete", 2)
    assert metrics(fast)["pending_frames"] == 3
    assert checkpoint(fast, "FULL", "OTHER")["schema"] == "other"
    assert checkpoint(fast, "FULL", "main")["moved_frames"] == 3


def test_it_works_in_a_statement_that_reads_no_table_and_beside_an_open_cursor_elsewhere(fast, wal_path):
    frames(fast, 3)
    assert fast.execute("SELECT wal_checkpoint('passive') LIKE '%complete%', 1+1").fetchone() == (1, 2)


# --- readers in the way

def test_passive_is_partial_with_a_pinned_reader_and_not_busy(fast, wal_path):
    """A checkpoint is complete if all frames are copied, not if it was "not busy"."""
    frames(fast, 10)
    reader = snapshot(wal_path)
    frames(fast, 10)
    result = checkpoint(fast, "PASSIVE")
    assert without(result, "duration_ms") == {
        "schema": "main", "strategy": "conversation_workload", "rule": None, "mode": "PASSIVE",
        "result": "partial", "busy": False, "wal_frames": 20, "checkpointed_frames": 10, "moved_frames": 10,
        "complete": False, "wal_bytes": 32 + 20 * 4120, "skipped": None, "error": "a reader holds frame 10 of 20"}
    assert one(fast, "SELECT error FROM wal_checkpoints LIMIT 1") == "a reader holds frame 10 of 20"
    reader.close()
    result = checkpoint(fast, "PASSIVE")
    assert (result["result"], result["moved_frames"]) == ("complete", 10)


@pytest.mark.parametrize("mode", ["FULL", "RESTART", "TRUNCATE"])
def test_a_blocking_mode_is_busy_with_a_pinned_reader(fast, wal_path, mode):
    fast.execute("PRAGMA busy_timeout=0")
    frames(fast, 10)
    reader = snapshot(wal_path)
    frames(fast, 10)
    result = checkpoint(fast, mode)
    assert (result["result"], result["busy"], result["complete"]) == ("busy", True, False)
    assert (result["wal_frames"], result["checkpointed_frames"], result["moved_frames"]) == (20, 10, 10)
    assert result["duration_ms"] < 150
    reader.close()
    result = checkpoint(fast, mode)
    assert (result["result"], result["busy"], result["complete"]) == ("complete", False, True)


def test_restart_waits_for_a_reader_on_the_newest_frame_and_full_does_not(fast, wal_path):
    fast.execute("PRAGMA busy_timeout=0")
    frames(fast, 10)
    reader = snapshot(wal_path)
    assert checkpoint(fast, "FULL")["result"] == "complete"
    assert checkpoint(fast, "RESTART")["result"] == "busy"
    reader.close()
    assert checkpoint(fast, "RESTART")["result"] == "complete"


@pytest.mark.parametrize("mode", ["FULL", "RESTART", "TRUNCATE"])
def test_a_blocking_mode_waits_as_long_as_the_busy_timeout(fast, wal_path, mode):
    frames(fast, 10)
    fast.execute("PRAGMA busy_timeout=200")
    with Holder(wal_path):
        frames(fast, 10)
        start = time.monotonic()
        result = checkpoint(fast, mode)
        waited = (time.monotonic() - start) * 1000
    assert result["result"] == "busy"
    assert 195 <= result["duration_ms"] <= waited < 1000


@pytest.mark.parametrize("mode", ["FULL", "RESTART", "TRUNCATE"])
def test_a_blocking_mode_completes_when_the_reader_leaves(fast, wal_path, mode):
    frames(fast, 10)
    fast.execute("PRAGMA busy_timeout=20000")
    reader = connect(wal_path, load=None, check_same_thread=False)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    frames(fast, 10)
    leaving = threading.Timer(0.1, lambda: reader.execute("COMMIT"))
    leaving.start()
    result = checkpoint(fast, mode)
    leaving.join()
    assert (result["result"], result["busy"], result["complete"]) == ("complete", False, True)
    assert 90 <= result["duration_ms"] < 5000
    reader.close()


def test_a_passive_checkpoint_waits_for_no_other_connection(fast, wal_path):
    fast.execute("PRAGMA busy_timeout=20000")
    frames(fast, 10)
    reader = snapshot(wal_path)
    frames(fast, 10)
    assert checkpoint(fast, "PASSIVE")["duration_ms"] < 1000
    reader.close()


@pytest.mark.parametrize("mode", ["FULL", "RESTART", "TRUNCATE"])
def test_a_blocking_mode_is_busy_beside_a_writer(fast, wal_path, mode):
    fast.execute("PRAGMA busy_timeout=0")
    frames(fast, 10)
    writer = connect(wal_path, load=None)
    writer.execute("BEGIN IMMEDIATE")
    result = checkpoint(fast, mode)
    if mode == "FULL":  # what it could not wait for has nothing in the log: all is moved, and that counts
        assert (result["result"], result["complete"], result["moved_frames"]) == ("complete", True, 10)
    else:
        assert (result["result"], result["busy"]) == ("busy", True)
    writer.execute("ROLLBACK")
    assert checkpoint(fast, mode)["result"] in ("complete", "skipped")
    writer.close()


def test_passive_works_beside_a_writer(fast, wal_path):
    frames(fast, 10)
    writer = connect(wal_path, load=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO t(payload) VALUES (1)")
    assert checkpoint(fast, "PASSIVE")["result"] == "complete"
    writer.execute("COMMIT")
    assert one(fast, "SELECT count(*) FROM t") == 2
    writer.close()


# --- this connection's own transaction

def own(mode):
    return (f"wal_checkpoint: mode '{mode}' would wait for the transaction of this very connection on 'main': "
            "end it first, or use PASSIVE")


@pytest.mark.parametrize("mode", ["FULL", "RESTART", "TRUNCATE"])
def test_a_blocking_mode_in_a_transaction_of_its_own_is_refused_at_once(fast, mode):
    fast.execute("PRAGMA busy_timeout=20000")
    frames(fast, 5)
    fast.execute("BEGIN IMMEDIATE")
    frames(fast, 1)
    start = time.monotonic()
    assert error(fast, "SELECT wal_checkpoint(?)", mode.lower()) == own(mode)
    assert time.monotonic() - start < 1
    fast.execute("COMMIT")
    assert one(fast, "SELECT count(*) FROM wal_checkpoints") == 0
    assert metrics(fast)["commits"] == 6


def test_a_blocking_mode_in_a_read_transaction_of_its_own_is_refused(fast):
    frames(fast, 5)
    fast.execute("BEGIN")
    fast.execute("SELECT * FROM t").fetchall()
    assert error(fast, "SELECT wal_checkpoint('RESTART')") == own("RESTART")
    fast.execute("COMMIT")


def test_a_blocking_mode_beside_an_open_cursor_of_its_own_is_refused(fast):
    frames(fast, 5)
    fast.execute("INSERT INTO t(payload) VALUES (1)")
    cursor = fast.execute("SELECT * FROM t")
    cursor.fetchone()
    assert error(fast, "SELECT wal_checkpoint('TRUNCATE')") == own("TRUNCATE")
    cursor.fetchall()
    assert checkpoint(fast, "TRUNCATE")["result"] == "complete"


def test_a_blocking_mode_in_a_statement_that_reads_a_table_is_refused(fast):
    frames(fast, 5)
    assert error(fast, "SELECT wal_checkpoint('FULL') FROM t") == own("FULL")


def test_a_blocking_mode_in_a_transaction_that_has_not_begun_to_read_works(fast):
    frames(fast, 5)
    fast.execute("BEGIN")
    assert checkpoint(fast, "FULL")["result"] == "complete"
    fast.execute("COMMIT")


def test_a_transaction_on_another_schema_is_no_obstacle(fast, tmp_path):
    fast.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    fast.execute("PRAGMA other.journal_mode=WAL")
    fast.execute("CREATE TABLE other.u(a)")
    frames(fast, 5)
    fast.execute("BEGIN")
    fast.execute("INSERT INTO other.u VALUES (1)")
    assert checkpoint(fast, "TRUNCATE", "main")["result"] == "complete"
    fast.execute("COMMIT")


def test_passive_in_a_transaction_of_its_own_moves_what_it_may(fast):
    """It moves frames up to the snapshot of the transaction, whose own changes are not committed yet."""
    frames(fast, 5)
    fast.execute("BEGIN IMMEDIATE")
    frames(fast, 1)
    result = checkpoint(fast, "PASSIVE")
    assert (result["result"], result["moved_frames"]) == ("complete", 5)
    fast.execute("COMMIT")
    assert one(fast, "SELECT count(*) FROM t") == 1


# --- databases without a log

def no_log(strategy, reason, mode):
    return {"strategy": strategy, "rule": None, "mode": mode, "result": "skipped", "busy": False,
            "wal_frames": None, "checkpointed_frames": None, "moved_frames": 0, "complete": None,
            "wal_bytes": None, "duration_ms": 0.0, "skipped": reason}


@pytest.mark.parametrize("call, mode", [("wal_checkpoint('FULL')", "FULL"), ("wal_checkpoint_auto()", None)])
def test_an_in_memory_database_is_skipped(call, mode):
    db = connect(":memory:")
    assert report(db, f"SELECT {call}") == {"schema": "main", **no_log(None, "journal_mode is memory, not wal", mode)}
    db.close()


@pytest.mark.parametrize("call, mode", [("wal_checkpoint('truncate')", "TRUNCATE"), ("wal_checkpoint_auto()", None)])
def test_a_rollback_database_is_skipped(tmp_path, call, mode):
    db = connect(tmp_path / "rollback.db")
    db.execute("CREATE TABLE t(a)")
    assert report(db, f"SELECT {call}") == \
        {"schema": "main", **no_log("conversation_workload", "journal_mode is delete, not wal", mode)}
    db.close()
    assert files_beside(tmp_path / "rollback.db") == {""}


@pytest.mark.parametrize("call", ["wal_checkpoint('PASSIVE')", "wal_checkpoint_auto()"])
def test_a_read_only_connection_is_an_error(fast, wal_path, call):
    frames(fast, 5)
    reader = connect(f"file:{wal_path}?mode=ro", uri=True)
    assert error(reader, f"SELECT {call}") == \
        f"{call[:call.index('(')]}: schema 'main' is read-only on this connection"
    assert metrics(fast)["checkpointed_frames"] == 0
    reader.close()


@pytest.mark.parametrize("call, message", [
    ("wal_checkpoint('FAST')", "wal_checkpoint: mode 'FAST' is not one of PASSIVE, FULL, RESTART, TRUNCATE"),
    ("wal_checkpoint('')", "wal_checkpoint: mode '' is not one of PASSIVE, FULL, RESTART, TRUNCATE"),
    ("wal_checkpoint('PASSIVE ')", "wal_checkpoint: mode 'PASSIVE ' is not one of PASSIVE, FULL, RESTART, TRUNCATE"),
    ("wal_checkpoint(NULL)", "wal_checkpoint: mode NULL is not one of PASSIVE, FULL, RESTART, TRUNCATE"),
    ("wal_checkpoint(1)", "wal_checkpoint: mode 1 is not one of PASSIVE, FULL, RESTART, TRUNCATE"),
    ("wal_checkpoint(x'46554c4c')", "wal_checkpoint: mode a blob is not one of PASSIVE, FULL, RESTART, TRUNCATE"),
    ("wal_checkpoint('FULL', 'nope')", "wal_checkpoint: schema 'nope' is not one of main"),
    ("wal_checkpoint('FULL', 'temp')", "wal_checkpoint: schema 'temp' is not one of main"),
    ("wal_checkpoint('FULL', NULL)", "wal_checkpoint: schema NULL is not text"),
    ("wal_checkpoint_auto('nope')", "wal_checkpoint_auto: schema 'nope' is not one of main"),
    ("wal_checkpoint_auto(7)", "wal_checkpoint_auto: schema 7 is not text"),
])
def test_wrong_arguments(fast, call, message):
    frames(fast, 3)
    assert error(fast, f"SELECT {call}") == message
    assert metrics(fast)["checkpointed_frames"] == 0


# --- wal_checkpoint_auto

def test_auto_without_a_due_rule_says_so(fast):
    frames(fast, 5)
    result = report(fast, "SELECT wal_checkpoint_auto()")
    assert list(result) == KEYS
    assert without(result, "duration_ms") == {
        "schema": "main", "strategy": "conversation_workload", "rule": None, "mode": None, "result": "skipped",
        "busy": False, "wal_frames": 5, "checkpointed_frames": 0, "moved_frames": 0, "complete": False,
        "wal_bytes": 32 + 5 * 4120, "skipped": "no rule of the strategy holds"}
    assert one(fast, "SELECT count(*) FROM wal_checkpoints") == 0


def test_auto_with_a_due_rule_runs_its_checkpoint(fast, wal_path):
    bare = connect(wal_path, load=None)
    bare.execute("PRAGMA wal_autocheckpoint=0")
    bare.execute("PRAGMA synchronous=OFF")
    frames(bare, 1200)
    result = report(fast, "SELECT wal_checkpoint_auto('main')")
    assert without(result, "duration_ms") == {
        "schema": "main", "strategy": "conversation_workload", "rule": "frames", "mode": "PASSIVE",
        "result": "complete", "busy": False, "wal_frames": 1200, "checkpointed_frames": 1200,
        "moved_frames": 1200, "complete": True, "wal_bytes": 32 + 1200 * 4120, "skipped": None}
    assert fast.execute("SELECT origin, rule FROM wal_checkpoints").fetchall() == [("manual", "frames")]
    assert one(fast, "SELECT fired FROM wal_strategies WHERE rule='frames' AND active") == 1
    bare.close()


def test_auto_works_where_automatic_checkpoints_are_off(fast):
    fast.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    frames(fast, 1200)
    assert report(fast, "SELECT wal_checkpoint_auto()")["result"] == "complete"


def test_auto_with_the_strategy_off(fast):
    fast.execute("SELECT wal_strategy('off')").fetchall()
    frames(fast, 1200)
    result = report(fast, "SELECT wal_checkpoint_auto()")
    assert (result["strategy"], result["result"], result["skipped"]) == \
        ("off", "skipped", "no rule of the strategy holds")


def test_auto_with_a_blocking_rule_in_a_transaction_of_its_own_does_not_hang(fast):
    """Whatever the result is, the call returns at once and breaks nothing."""
    fast.execute("""SELECT wal_strategy_define('mine', '[{"rule":"r","condition":"pending_frames >= 5",
                    "mode":"TRUNCATE","runs":"inline","priority":1,"stall_budget_ms":3000}]')""").fetchall()
    frames(fast, 20)
    fast.execute("SELECT wal_strategy('mine')").fetchall()
    fast.execute("BEGIN IMMEDIATE")
    frames(fast, 1)
    start = time.monotonic()
    try:
        report(fast, "SELECT wal_checkpoint_auto()")
    except Exception as refusal:
        assert str(refusal).startswith("wal_checkpoint_auto: ")
    assert time.monotonic() - start < 1
    fast.execute("COMMIT")
    assert one(fast, "PRAGMA integrity_check") == "ok"


# --- the log of checkpoints

def test_columns_of_the_log(db):
    names = ("schema, id, at, pid, mode, origin, rule, result, wal_frames, checkpointed_frames, moved_frames, "
             "wal_bytes, duration_ms, blocked_by_pid, error").split(", ")
    texts = {"schema", "at", "mode", "origin", "rule", "result", "error"}
    assert columns(db, "wal_checkpoints") == [
        (name, "TEXT" if name in texts else "REAL" if name == "duration_ms" else "INTEGER") for name in names]


LAST = "SELECT origin, mode, result, wal_frames, checkpointed_frames, moved_frames, blocked_by_pid, error " \
       "FROM wal_checkpoints LIMIT 1"


@pytest.mark.parametrize("sql, mode", [
    ("PRAGMA wal_checkpoint", "PASSIVE"), ("pragma main.wal_checkpoint('full')", "FULL"),
    ("/* mine */ PRAGMA wal_checkpoint(RESTART);", "RESTART"), ("PRAGMA \"main\".wal_checkpoint = TRUNCATE", "TRUNCATE"),
    ("PRAGMA wal_checkpoint(9)", "PASSIVE")])
@pytest.mark.parametrize("measured", ["on", "off"])
def test_bug_the_programs_own_pragma_was_not_in_the_log(fast, sql, mode, measured):
    fast.execute("SELECT wal_set('statement_metrics', ?)", (measured,)).fetchall()
    frames(fast, 20)
    row = fast.execute(sql).fetchone()
    left = 0 if mode == "TRUNCATE" else 20
    assert row == (0, left, left)
    assert fast.execute(LAST).fetchall() == [("application", mode, "complete", left, left, 20, None, None)]
    assert one(fast, "SELECT count(*) FROM wal_checkpoints") == 1
    row = metrics(fast)
    assert (row["checkpoints"], row["checkpoints_application"], row["checkpoints_manual"]) == (1, 1, 0)


def test_bug_a_pragma_that_said_success_for_months_shows_as_busy(fast, wal_path):
    """It returns a row, and the row says busy."""
    fast.execute("PRAGMA busy_timeout=0")
    frames(fast, 5)
    with Holder(wal_path) as holder:
        frames(fast, 5)
        assert fast.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall() == [(1, 10, 5)]
        assert fast.execute(LAST).fetchall() == [("application", "TRUNCATE", "busy", 10, 5, 5, holder.pid,
                                                  "a reader holds frame 5 of 10")]
        assert fast.execute("PRAGMA wal_checkpoint").fetchall() == [(0, 10, 5)]
        assert fast.execute(LAST).fetchall() == [("application", "PASSIVE", "partial", 10, 5, 0, holder.pid,
                                                  "a reader holds frame 5 of 10")]


def test_a_pragma_that_fails_is_in_the_log(fast):
    frames(fast, 5)
    fast.execute("BEGIN IMMEDIATE")
    assert error(fast, "PRAGMA wal_checkpoint(TRUNCATE)") == "database table is locked"
    fast.execute("ROLLBACK")
    assert fast.execute(LAST).fetchall() == [("application", "TRUNCATE", "failed", None, None, None, None,
                                              "the PRAGMA failed: SQLite refuses it within a transaction")]


def test_a_pragma_is_in_the_log_of_each_database_that_it_is_for(fast, tmp_path):
    fast.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    fast.execute("PRAGMA other.journal_mode=WAL").fetchall()
    fast.execute("CREATE TABLE other.u(a)")
    frames(fast, 5)
    each = "SELECT schema, mode, result, moved_frames FROM wal_checkpoints ORDER BY schema, id"
    fast.execute("PRAGMA other.wal_checkpoint(FULL)").fetchall()
    assert fast.execute(each).fetchall() == [("other", "FULL", "complete", 2)]
    fast.execute("INSERT INTO other.u VALUES (1)")
    fast.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert fast.execute(each).fetchall() == [("main", "TRUNCATE", "complete", 5), ("other", "FULL", "complete", 2),
                                             ("other", "TRUNCATE", "complete", 1)]


def test_a_pragma_on_a_database_without_a_log_is_not(tmp_path):
    db = connect(tmp_path / "rollback.db")
    db.execute("CREATE TABLE t(a)")
    assert db.execute("PRAGMA wal_checkpoint").fetchall() == [(0, -1, -1)]
    assert db.execute("SELECT * FROM wal_checkpoints").fetchall() == []
    assert files_beside(tmp_path / "rollback.db") == {""}
    db.close()


def test_the_log_has_a_row_for_each_newest_first(fast, wal_path):
    fast.execute("PRAGMA busy_timeout=0")
    frames(fast, 5)
    checkpoint(fast, "PASSIVE")
    frames(fast, 5)
    reader = snapshot(wal_path)
    frames(fast, 5)
    checkpoint(fast, "PASSIVE")
    checkpoint(fast, "RESTART")
    reader.close()
    checkpoint(fast, "TRUNCATE")
    rows = fast.execute("SELECT schema, id, pid, mode, origin, rule, result, wal_frames, checkpointed_frames, "
                        "moved_frames, wal_bytes FROM wal_checkpoints").fetchall()
    pid, size = os.getpid(), 32 + 10 * 4120
    assert rows == [
        ("main", 4, pid, "TRUNCATE", "manual", None, "complete", 0, 0, 5, 0),
        ("main", 3, pid, "RESTART", "manual", None, "busy", 10, 5, 0, size),
        ("main", 2, pid, "PASSIVE", "manual", None, "partial", 10, 5, 5, size),
        ("main", 1, pid, "PASSIVE", "manual", None, "complete", 5, 5, 5, 32 + 5 * 4120)]
    assert fast.execute("SELECT count(*) FROM wal_checkpoints WHERE duration_ms > 0 AND "
                        "strftime('%Y-%m-%d %H:%M:%f', at) = at").fetchone() == (4,)


def test_the_log_of_another_process_is_here_too(fast, wal_path):
    frames(fast, 5)
    pid = int(python("""
import os, sys
from conftest import connect
db = connect(sys.argv[1]); db.execute("SELECT wal_checkpoint('passive')").fetchall()
print(os.getpid())
""", wal_path))
    assert fast.execute("SELECT pid, moved_frames FROM wal_checkpoints").fetchall() == [(pid, 5)]


def test_the_log_keeps_the_last_512(fast):
    for _ in range(520):
        frames(fast, 1)
        fast.execute("SELECT wal_checkpoint('passive')").fetchall()
    assert fast.execute("SELECT count(*), max(id), min(id) FROM wal_checkpoints").fetchone() == (512, 520, 9)
    assert metrics(fast)["checkpoints"] == 520
    ids = [row[0] for row in fast.execute("SELECT id FROM wal_checkpoints")]
    assert ids == sorted(ids, reverse=True)


def test_bug_a_failed_pragma_was_recorded_with_the_time_until_the_next_statement(wal_path):
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES (1)")
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t(payload) VALUES (1)")
    with pytest.raises(sqlite3.OperationalError, match="database table is locked"):
        db.execute("PRAGMA wal_checkpoint").fetchall()
    time.sleep(0.5)
    db.execute("COMMIT")
    rows = db.execute("SELECT result, duration_ms FROM wal_checkpoints WHERE origin = 'application'").fetchall()
    assert len(rows) == 1
    result, duration_ms = rows[0]
    assert result == "failed" and (duration_ms is None or duration_ms < 250)
    db.close()


@pytest.mark.parametrize("mode", MODES)
def test_bug_a_forgotten_cursor_of_the_connection_of_a_pragma_was_not_named(fast, mode):
    """SQLite refuses the PRAGMA as locked; the line in wal_checkpoints had no process and no reason."""
    fast.executemany("INSERT INTO t(payload) VALUES (?)", [(n,) for n in range(3)])
    cursor = fast.execute("SELECT id FROM t")
    cursor.fetchone()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        fast.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
    cursor.close()
    assert fast.execute("SELECT origin, result, blocked_by_pid, error FROM wal_checkpoints LIMIT 1").fetchall() == \
        [("application", "failed", os.getpid(), "the PRAGMA failed: a statement of this connection had not ended")]


@pytest.mark.parametrize("mode", MODES)
def test_bug_a_forgotten_cursor_of_the_calling_process_was_not_named(fast, wal_path, mode):
    """A statement outside of a transaction was taken for the one that makes the call."""
    fast.executemany("INSERT INTO t(payload) VALUES (?)", [(n,) for n in range(3)])
    reader = connect(wal_path)
    cursor = reader.execute("SELECT id FROM t")
    cursor.fetchone()
    frames(fast, 50)
    fast.execute("PRAGMA busy_timeout=0").fetchall()
    result = checkpoint(fast, mode)
    assert result["result"] == ("partial" if mode == "PASSIVE" else "busy")
    assert result["blocked_by_pid"] == os.getpid()
    cursor.close()
    assert "blocked_by_pid" not in checkpoint(fast, mode)
