"""wal_metrics: every column, against the file system, SQLite's own PRAGMAs, and other connections."""

import os
import sqlite3
import subprocess
import sys

import pytest

from conftest import EXTENSION, connect, inline, metrics, one
from helpers import (Holder, apsw_connect, columns, environment, python, report, snapshot, started_over, wal_bytes,
                     write)
from waiting import copied_in_background, wait_for

# As the contract has it, in its order.
CONTRACT = """
schema, file, journal_mode, page_size, database_bytes, wal_bytes, wal_frames, checkpointed_frames, pending_frames,
pending_bytes, wal_limit_bytes, active_readers, oldest_reader_frame, strategy, hook, checkpointer, commits,
frames_written, bytes_written, commit_mean_ms, commit_p50_ms, commit_p99_ms, commit_max_ms, checkpoint_stall_ms,
checkpoints, checkpoints_passive, checkpoints_full, checkpoints_restart, checkpoints_truncate, checkpoints_inline,
checkpoints_background, checkpoints_manual, checkpoints_busy, checkpoints_partial, checkpoints_skipped,
checkpoints_failed, checkpoint_frames, checkpoint_mean_ms, checkpoint_p95_ms, checkpoint_max_ms, last_checkpoint_at,
last_checkpoint_mode, wal_resets, wal_bytes_max, processes, unmanaged_processes, statistics_file, statistics_since
""".replace("\n", " ").strip().split(", ")
CONTRACT = [name.strip() for name in CONTRACT]
ADDED = ["private_because", "unguarded_because", "strategy_error", "optimized_at", "queries_evicted",
         "pool_connections", "pool_calls", "pool_waits", "pool_timeouts", "pool_retries", "pool_replaced",
         "pool_utilization", "inline_because", "checkpoints_application", "connections", "connections_not_shown",
         "incomplete_because", "oldest_reader_pid", "due_frames", "lock_waits", "lock_wait_p99_ms",
         "lock_wait_max_ms", "busy_errors", "snapshot_conflicts"]
NUMBERS = {"queries_evicted", "checkpoints_application", "connections", "connections_not_shown", "oldest_reader_pid", "due_frames",
           "lock_waits", "lock_wait_p99_ms", "lock_wait_max_ms", "busy_errors", "snapshot_conflicts",
           *(name for name in ADDED if name.startswith("pool_"))}  # of those
TEXT = {"schema", "file", "journal_mode", "strategy", "hook", "checkpointer", "last_checkpoint_at",
        "last_checkpoint_mode", "statistics_file", "statistics_since", *ADDED} - NUMBERS


def declared_type(name):
    return "TEXT" if name in TEXT else "REAL" if name.endswith(("_ms", "_utilization")) else "INTEGER"


@pytest.fixture
def fast(db):
    """A managed connection that does not wait for the disk."""
    db.execute("PRAGMA synchronous=OFF")
    return db


# --- the columns

def test_columns_are_the_contracts_in_its_order(db):
    expected = [(name, declared_type(name)) for name in CONTRACT + ADDED]
    assert columns(db, "wal_metrics") == expected


def test_values_have_the_declared_types(fast):
    write(fast, 1100)
    report(fast, "SELECT wal_checkpoint('full')")
    row = metrics(fast)
    python_types = {"TEXT": str, "REAL": float, "INTEGER": int}
    unknown = set()
    for name, value in row.items():
        if value is None:
            unknown.add(name)
        else:
            assert type(value) is python_types[declared_type(name)], (name, value)
    # No reader, guarded and shared, no pool: the rest is known.
    assert unknown == ({"oldest_reader_frame", *ADDED} - NUMBERS) | {"oldest_reader_pid", "pool_utilization", "lock_wait_p99_ms", "lock_wait_max_ms"}


def test_the_first_statement_of_a_connection_finds_the_log(wal_path):
    """Before its first read a connection has no wal-index, so walmanager makes it read once."""
    writer = connect(wal_path, load=None)
    write(writer, 3)
    frames = writer.execute("PRAGMA wal_checkpoint").fetchone()[1]
    write(writer, 1)
    db = connect(wal_path)
    row = metrics(db)
    assert (row["wal_frames"], row["checkpointed_frames"], row["active_readers"]) == (1, 0, 0)
    assert frames == 3
    db.close()
    writer.close()


def test_the_first_statement_of_a_connection_that_is_alone(db):
    row = metrics(db)
    assert [row[name] for name in ("wal_bytes", "wal_frames", "checkpointed_frames", "pending_frames",
                                   "pending_bytes", "active_readers")] == [0, 0, 0, 0, 0, 0]


def test_a_database_without_commits_has_zeros_and_unknown_times(db, wal_path):
    row = metrics(db)
    zeros = {name for name, value in row.items() if value == 0}
    assert zeros >= {"commits", "frames_written", "bytes_written", "checkpoints", "checkpoint_frames",
                     "wal_resets", "checkpoint_stall_ms", "checkpoints_failed"}
    unknown = {name for name, value in row.items() if value is None}
    assert unknown >= {"commit_mean_ms", "commit_p50_ms", "commit_p99_ms", "commit_max_ms",
                       "checkpoint_mean_ms", "checkpoint_p95_ms", "checkpoint_max_ms",
                       "last_checkpoint_at", "last_checkpoint_mode", "oldest_reader_frame"}
    assert (row["strategy"], row["wal_limit_bytes"]) == ("conversation_workload", 64 * 1024 * 1024)
    assert row["private_because"] == "the first commit to the log or the first setting makes the control file"
    assert row["statistics_file"] is None


# --- the log, against the truth

def test_frames_and_bytes_are_those_of_the_log(db, wal_path):
    write(db, 20, payload=9000)
    row = metrics(db)
    busy, log, checkpointed = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert (busy, row["wal_frames"], log) == (0, log, checkpointed)
    assert row["checkpointed_frames"] == 0
    assert row["pending_frames"] == log
    assert row["pending_bytes"] == log * (4096 + 24)
    assert row["wal_bytes"] == os.stat(f"{wal_path}-wal").st_size == 32 + log * (4096 + 24)
    assert row["database_bytes"] == 8192
    row = metrics(db)
    assert (row["wal_frames"], row["checkpointed_frames"], row["pending_frames"], row["pending_bytes"]) == \
        (log, log, 0, 0)
    assert row["database_bytes"] == os.stat(wal_path).st_size


def test_the_file_is_named_as_sqlite_names_it(db, wal_path):
    row = metrics(db)
    assert (row["file"], row["journal_mode"]) == (str(wal_path), "wal")


@pytest.mark.parametrize("page_size", [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
def test_every_page_size(tmp_path, page_size):
    path = tmp_path / "pages.db"
    db = connect(path)
    db.execute(f"PRAGMA page_size={page_size}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    write(db, 5, payload=1000)
    row = metrics(db)
    frames = db.execute("PRAGMA wal_checkpoint").fetchone()[1]
    assert frames > 0
    assert row["page_size"] == page_size
    assert row["wal_frames"] == row["frames_written"] == frames
    assert row["wal_bytes"] == wal_bytes(path) == 32 + frames * (page_size + 24)
    assert row["pending_bytes"] == row["bytes_written"] == frames * (page_size + 24)
    db.close()


def test_commits_and_frames_written_count_on_when_the_log_starts_over(fast):
    write(fast, 10)
    first = metrics(fast)["wal_frames"]
    assert fast.execute("PRAGMA wal_checkpoint").fetchone() == (0, first, first)
    write(fast, 3)
    row = metrics(fast)
    assert row["wal_resets"] == 1
    assert row["wal_frames"] < first
    assert row["commits"] == 13
    assert row["frames_written"] == first + row["wal_frames"]
    assert row["bytes_written"] == row["frames_written"] * (4096 + 24)


def test_a_commit_of_many_statements_is_one(db):
    db.execute("BEGIN")
    write(db, 50)
    db.execute("COMMIT")
    assert metrics(db)["commits"] == 1


def test_a_rollback_and_an_empty_transaction_are_no_commits(db):
    db.execute("BEGIN")
    write(db, 50)
    db.execute("ROLLBACK")
    db.execute("BEGIN IMMEDIATE")
    db.execute("COMMIT")
    db.execute("SELECT count(*) FROM t").fetchall()
    row = metrics(db)
    assert (row["commits"], row["frames_written"]) == (0, 0)


def test_savepoints_commit_at_the_outermost_release(db):
    db.execute("SAVEPOINT a")
    write(db, 2)
    db.execute("SAVEPOINT b")
    write(db, 2)
    db.execute("RELEASE b")
    assert metrics(db)["commits"] == 0
    db.execute("RELEASE a")
    assert metrics(db)["commits"] == 1


def test_wal_bytes_max_never_falls(db, wal_path):
    write(db, 30)
    largest = wal_bytes(wal_path)
    assert metrics(db)["wal_bytes_max"] == largest
    assert report(db, "SELECT wal_checkpoint('TRUNCATE')")["result"] == "complete"
    row = metrics(db)
    assert (row["wal_bytes"], wal_bytes(wal_path)) == (0, 0)
    assert row["wal_bytes_max"] == largest


def test_the_log_as_others_write_it(db, wal_path):
    """The wal-index also has the commits of a bare connection."""
    bare = connect(wal_path, load=None)
    write(bare, 7)
    frames = bare.execute("PRAGMA wal_checkpoint").fetchone()[1]
    row = metrics(db)
    assert (row["wal_frames"], row["checkpointed_frames"], row["commits"]) == (frames, frames, 0)
    bare.close()


# --- schemas

def test_attached_databases_have_rows_of_their_own_main_first(db, tmp_path):
    db.execute("ATTACH ? AS \"other one\"", (str(tmp_path / "other.db"),))
    db.execute("ATTACH ':memory:' AS memory")
    db.execute("PRAGMA \"other one\".journal_mode=WAL")
    db.execute("CREATE TABLE \"other one\".u(a)")
    db.execute("CREATE TEMP TABLE v(a)")
    write(db, 2)
    assert [row[0] for row in db.execute("SELECT schema FROM wal_metrics")] == ["main", "other one", "memory"]
    assert metrics(db)["commits"] == 2
    other = metrics(db, "other one")
    assert (other["commits"], other["file"]) == (1, str(tmp_path / "other.db"))
    assert other["statistics_file"] == str(tmp_path / "other.db-walmanager")


def test_a_transaction_over_two_databases_is_a_commit_in_each(db, tmp_path):
    db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    db.execute("PRAGMA other.journal_mode=WAL")
    db.execute("CREATE TABLE other.u(a)")
    db.execute("BEGIN")
    write(db, 1)
    db.execute("INSERT INTO other.u VALUES (1)")
    db.execute("COMMIT")
    assert (metrics(db)["commits"], metrics(db, "other")["commits"]) == (1, 2)


def test_a_database_in_memory_has_a_row_of_nulls():
    db = connect(":memory:")
    row = metrics(db)
    assert {name: value for name, value in row.items() if value is not None} == \
        {"schema": "main", "journal_mode": "memory",
         "private_because": "the database has no file: it is in memory or temporary"}
    db.close()


def statistics_file(db):
    return db.execute("SELECT status, recommendation FROM system_health WHERE check_name = 'statistics_file'").fetchall()


def test_bug_the_control_file_was_promised_where_it_is_never_made(db, wal_path, tmp_path):
    """It said that the first commit or setting makes it."""
    rollback = connect(tmp_path / "rollback.db")
    rollback.execute("CREATE TABLE t(a)")
    assert metrics(rollback)["private_because"] == (
        "journal_mode is delete, and walmanager makes the control file in WAL mode: until PRAGMA journal_mode=WAL, "
        "settings and statistics end with this process")
    rollback.close()
    db.execute("SELECT * FROM t").fetchall()
    reader = connect(f"file:{wal_path}?mode=ro", uri=True)
    assert metrics(reader)["private_because"] == (
        "this connection is read-only: a connection that may write makes the control file at its first commit to the log")
    assert statistics_file(reader) == statistics_file(db) == [("ok", None)]
    reader.close()


def test_a_user_table_of_the_same_name_shadows_wal_metrics(db):
    db.execute("CREATE TABLE wal_metrics(a)")
    assert db.execute("SELECT * FROM wal_metrics").fetchall() == []
    assert db.execute("SELECT schema FROM temp.wal_metrics").fetchall() == [("main",)]


# --- readers

def readers(db):
    row = metrics(db)
    return row["active_readers"], row["oldest_reader_frame"]


def test_a_database_without_readers(db):
    write(db, 3)
    assert readers(db) == (0, None)


def test_the_connection_that_asks_is_not_counted(db):
    write(db, 3)
    assert db.execute("SELECT active_readers, count(*) FROM t, wal_metrics").fetchall() == [(0, 3)]
    assert db.execute("SELECT active_readers, oldest_reader_frame FROM t, wal_metrics LIMIT 1").fetchall() == \
        [(0, None)]


def test_a_reader_in_this_process_on_the_newest_frame(db, wal_path):
    write(db, 3)
    frames = metrics(db)["wal_frames"]
    reader = connect(wal_path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    assert readers(db) == (1, frames)
    reader.execute("COMMIT")
    assert readers(db) == (0, None)
    reader.close()


def test_a_bare_reader_in_this_process_on_the_newest_frame_is_not_told_from_the_asker(db, wal_path):
    """The two share one mark and one lock, so they count as one reader. It is on the newest frame and blocks nothing."""
    write(db, 3)
    reader = snapshot(wal_path)
    assert readers(db) == (0, None)
    write(db, 1)  # now it is behind, and seen
    assert readers(db) == (1, 3)
    reader.close()


def test_a_reader_in_this_process_that_fell_behind(db, wal_path):
    write(db, 3)
    frames = metrics(db)["wal_frames"]
    reader = snapshot(wal_path)
    write(db, 3)
    assert readers(db) == (1, frames)
    reader.close()
    assert readers(db) == (0, None)


def test_readers_on_several_marks(db, wal_path):
    frames, held = [], []
    for _ in range(3):
        write(db, 2)
        frames.append(metrics(db)["wal_frames"])
        held.append(snapshot(wal_path))
    write(db, 2)
    assert readers(db) == (3, frames[0])
    held[0].close()
    assert readers(db) == (2, frames[1])
    for reader in held:
        reader.close()


def test_readers_of_one_frame_share_a_mark(db, wal_path):
    write(db, 3)
    held = [snapshot(wal_path), snapshot(wal_path)]
    write(db, 1)
    assert readers(db)[0] == 1
    held[0].close()
    assert readers(db)[0] == 1
    held[1].close()
    assert readers(db)[0] == 0


def test_a_reader_in_another_process(db, wal_path):
    write(db, 3)
    frames = metrics(db)["wal_frames"]
    with Holder(wal_path):
        assert readers(db) == (1, frames)
        write(db, 3)
        assert readers(db) == (1, frames)
    assert readers(db) == (0, None)


def test_readers_are_found_after_an_automatic_checkpoint(fast, wal_path):
    """walmanager has a connection open now, and tests the locks instead of reading the system's lock table."""
    inline(fast)
    write(fast, 1100)
    assert metrics(fast)["checkpoints_inline"] == 1
    assert readers(fast) == (0, None)
    frames = metrics(fast)["wal_frames"]
    with Holder(wal_path):
        assert readers(fast) == (1, frames)
    reader = snapshot(wal_path)
    write(fast, 1)
    assert readers(fast) == (1, frames)
    reader.close()
    assert readers(fast) == (0, None)


def test_walmanagers_own_connections_are_no_readers_while_the_thread_copies(fast):
    """There is no reader. Only walmanager's guard holds a mark, and it does not pin the log."""
    seen = set()
    one(fast, "SELECT wal_set('checkpoint_frames', 999)")
    for round in range(1, 11):
        write(fast, 1100)
        wait_for(lambda: seen.add(readers(fast)) or metrics(fast)["checkpoints_background"] >= round, 30)
        started_over(fast, round)
    assert seen == {(0, None)}


# --- commits

def test_commit_times_are_measured(db):
    write(db, 50)
    row = metrics(db)
    assert 0 < row["commit_mean_ms"] <= row["commit_max_ms"]
    assert 0 < row["commit_p50_ms"] <= row["commit_p99_ms"] <= row["commit_max_ms"]
    assert 0 < row["checkpoint_stall_ms"] < 50 * row["commit_mean_ms"]


def test_commits_of_another_process_are_counted(db, wal_path):
    write(db, 2)
    python("""
import sys
from conftest import connect
db = connect(sys.argv[1])
for _ in range(5): db.execute("INSERT INTO t(payload) VALUES (1)")
db.close()
""", wal_path)
    row = metrics(db)
    assert (row["commits"], row["frames_written"]) == (7, row["wal_frames"])


def test_processes_that_share_the_statistics(db, wal_path):
    write(db, 1)
    assert metrics(db)["processes"] == 1
    other = subprocess.Popen([sys.executable, "-c", """
import sys
from conftest import connect
db = connect(sys.argv[1]); db.execute("INSERT INTO t(payload) VALUES (1)")
print("ready", flush=True); sys.stdin.readline()
""", str(wal_path)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    assert other.stdout.readline() == "ready\n"
    assert metrics(db)["processes"] == 2
    other.kill()
    other.communicate()
    assert metrics(db)["processes"] == 1
    assert metrics(db)["commits"] == 2


def test_statistics_last_over_a_close(wal_path):
    db = connect(wal_path)
    write(db, 4)
    since = metrics(db)["statistics_since"]
    db.close()
    db = connect(wal_path)
    row = metrics(db)
    assert (row["commits"], row["statistics_since"]) == (4, since)
    db.close()


def test_walmanager_file_off_keeps_statistics_private(wal_path):
    assert python("""
import os, sys
from conftest import *
db = connect(sys.argv[1]); db.execute("INSERT INTO t(payload) VALUES (1)")
row = metrics(db)
print(row["commits"], row["statistics_file"], row["private_because"], os.path.exists(sys.argv[1] + "-walmanager"))
other = connect(sys.argv[1])
print(metrics(other)["commits"])
""", wal_path, WALMANAGER_FILE="off") == "1 None WALMANAGER_FILE=off False\n1\n"


# --- checkpoints

def test_checkpoints_are_counted_by_mode(fast, wal_path):
    for mode in ("passive", "full", "full", "restart", "truncate", "truncate", "truncate"):
        write(fast, 2)
        assert report(fast, "SELECT wal_checkpoint(?)", mode)["result"] == "complete"
    row = metrics(fast)
    assert [row[f"checkpoints_{mode}"] for mode in ("passive", "full", "restart", "truncate")] == [1, 2, 1, 3]
    assert (row["checkpoints"], row["checkpoints_manual"]) == (7, 7)
    assert (row["checkpoints_inline"], row["checkpoints_background"]) == (0, 0)
    assert row["last_checkpoint_mode"] == "TRUNCATE"


def test_checkpoint_frames_are_those_that_were_moved(fast):
    moved = 0
    for _ in range(3):
        write(fast, 10)
        moved += report(fast, "SELECT wal_checkpoint('passive')")["moved_frames"]
    row = metrics(fast)
    assert row["checkpoint_frames"] == moved == row["frames_written"]
    assert 0 < row["checkpoint_mean_ms"] <= row["checkpoint_max_ms"]
    assert 0 < row["checkpoint_p95_ms"] <= row["checkpoint_max_ms"]


def test_checkpoints_that_readers_hinder(fast, wal_path):
    inline(fast)
    write(fast, 1)
    fast.execute("SELECT wal_set('checkpoint_frames', 10)").fetchall()
    reader = snapshot(wal_path)
    write(fast, 300)
    row = metrics(fast)
    assert row["checkpoints_partial"] >= 1
    assert row["checkpoints_partial"] + row["checkpoints_busy"] == row["checkpoints"]
    assert row["checkpoints_skipped"] >= 1  # the last had moved nothing: a pause
    assert row["checkpoints_failed"] == 0
    assert row["checkpointed_frames"] == row["oldest_reader_frame"] == 1
    reader.close()


def test_background_checkpoints_that_a_reader_hinders(fast, wal_path):
    """The thread tries again and again, at longer and longer intervals; once the reader is gone the log starts over."""
    write(fast, 1)
    fast.execute("SELECT wal_set('checkpoint_frames', 10)").fetchall()
    reader = snapshot(wal_path)
    write(fast, 300)
    row = wait_for(lambda: (row := metrics(fast))["checkpoints_skipped"] >= 3 and row["checkpoints"] >= 1 and row, 30)
    assert row["checkpoints_partial"] + row["checkpoints_busy"] == row["checkpoints"]
    assert one(fast, "SELECT count(*) FROM wal_checkpoints WHERE error LIKE 'a reader holds frame 1 of %'") >= 1
    assert (row["checkpoints_failed"], row["wal_resets"]) == (0, 0)
    assert row["checkpointed_frames"] == row["oldest_reader_frame"] == 1
    reader.close()
    assert started_over(fast)["wal_frames"] < 300


def test_times_are_what_sqlites_date_functions_read(fast):
    write(fast, 2)
    fast.execute("SELECT wal_checkpoint('passive')").fetchall()
    assert fast.execute(
        "SELECT strftime('%Y-%m-%d %H:%M:%f', last_checkpoint_at) = last_checkpoint_at,"
        "       strftime('%Y-%m-%d %H:%M:%f', statistics_since) = statistics_since,"
        "       abs(julianday('now') - julianday(last_checkpoint_at)) * 86400 < 60,"
        "       datetime(statistics_since) <= datetime(last_checkpoint_at)"
        "  FROM wal_metrics").fetchall() == [(1, 1, 1, 1)]


# --- no I/O

@pytest.fixture
def counting(wal_path):
    """A managed APSW connection over a VFS in Python, and the reads that it saw: file suffix → number."""
    import apsw
    reads = {"": 0, "-wal": 0}

    class File(apsw.VFSFile):
        def __init__(self, name, flags):
            text = name.filename() if isinstance(name, apsw.URIFilename) else name
            self.suffix = text[len(str(wal_path)):] if text else None
            super().__init__("unix", name, flags)

        def xRead(self, amount, offset):
            if self.suffix in reads:
                reads[self.suffix] += 1
            return super().xRead(amount, offset)

    class Vfs(apsw.VFS):
        def __init__(self):
            super().__init__("counting", "unix")

        def xOpen(self, name, flags):
            return File(name, flags)

    vfs = Vfs()
    db = apsw_connect(wal_path, vfs="counting")
    yield db, reads
    db.close()
    vfs.unregister()


def select_metrics(db):
    return db.cursor().execute("SELECT wal_frames, commits, hook, active_readers FROM wal_metrics").fetchall()


def test_a_second_select_reads_neither_database_nor_log(counting):
    db, reads = counting
    db.cursor().execute("INSERT INTO t(payload) VALUES (1)")
    assert select_metrics(db) == [(1, 1, "active", 0)]
    assert reads[""] > 0  # the VFS does count
    reads.update({"": 0, "-wal": 0})
    assert select_metrics(db) == [(1, 1, "active", 0)]
    assert reads == {"": 0, "-wal": 0}


def test_a_select_after_others_wrote_reads_page_1_at_most(counting, wal_path):
    """SQLite itself reads page 1 when a statement begins after another connection wrote. The extension adds no read,
    but once in a second at most one of four bytes, to hand over the statements that have no plan yet."""
    db, reads = counting
    db.cursor().execute("INSERT INTO t(payload) VALUES (1)")
    select_metrics(db)
    other = connect(wal_path, load=None)
    counts = []
    for _ in range(3):
        write(other, 50)
        reads.update({"": 0, "-wal": 0})
        assert select_metrics(db)[0][0] > 50
        counts.append(sum(reads.values()))
    assert sorted(counts)[1] <= 1 and max(counts) <= 2
    reads.update({"": 0, "-wal": 0})
    assert select_metrics(db)[0][0] > 50
    assert reads == {"": 0, "-wal": 0}
    other.close()


# --- why committing threads do the copying

def checkpointer(db):
    return db.execute("SELECT checkpointer, inline_because FROM wal_metrics WHERE schema = 'main'").fetchall()


def strategy_check(db):
    return db.execute("SELECT status, detail FROM system_health WHERE schema = 'main' AND check_name = 'strategy'").fetchall()


def test_a_vfs_of_the_hosts_is_said_before_the_first_checkpoint(counting):
    """libsql has such a VFS. Bug: checkpointer was background until a checkpoint was due, then inline, and nothing said why."""
    cursor = counting[0].cursor()
    why = "the VFS 'counting' is the host's own"
    assert checkpointer(cursor) == [("inline", why)]
    cursor.execute("INSERT INTO t(payload) VALUES (1)")
    assert checkpointer(cursor) == [("inline", why)]
    assert strategy_check(cursor) == [("warning", "strategy conversation_workload, checkpointer inline, so commits wait for the copying: " + why)]


def test_exclusive_locking_is_why_committing_threads_copy_and_no_warning(db):
    db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    db.execute("INSERT INTO t(payload) VALUES (1)")
    assert checkpointer(db) == [("inline", "locking_mode is EXCLUSIVE: no other connection can write")]
    assert strategy_check(db) == [("ok", "strategy conversation_workload, checkpointer inline")]


def test_a_strategy_without_background_rules_is_why_committing_threads_copy_and_no_warning(db):
    inline(db)
    assert checkpointer(db) == [("inline", "every rule of the strategy runs inline")]
    assert strategy_check(db) == [("ok", "strategy sqlite_default, checkpointer inline")]


def test_a_lost_trace_is_why_committing_threads_copy(db):
    write(db, 1)
    assert checkpointer(db) == [("background", None)]
    db.set_trace_callback(lambda sql: None)
    write(db, 2)
    assert checkpointer(db) == [("inline", "another callback has taken the trace of a connection that commits: its PRAGMA journal_mode would not be announced")]


def test_there_is_no_reason_where_the_background_thread_copies(db, wal_path):
    write(db, 1)
    assert checkpointer(db) == [("background", None)]
    assert strategy_check(db) == [("ok", "strategy conversation_workload, checkpointer background")]
    reader = connect(f"file:{wal_path}?mode=ro", uri=True)
    assert checkpointer(reader) == [("background", None)]  # of the others, which may write
    reader.close()
    memory = connect(":memory:")
    assert checkpointer(memory) == [(None, None)]
    memory.close()


def test_a_select_never_checkpoints(fast, wal_path):
    """Not even where a checkpoint is due by every rule."""
    bare = connect(wal_path, load=None)
    bare.execute("PRAGMA wal_autocheckpoint=0")
    bare.execute("PRAGMA synchronous=OFF")
    write(bare, 1500)
    for _ in range(3):
        row = metrics(fast)
    assert row["checkpointed_frames"] == 0
    assert row["pending_frames"] >= 1500
    bare.close()


def test_a_vfs_of_the_hosts_own_gets_checkpoints_on_the_hosts_handle(counting, wal_path):
    """walmanager opens no connection through a VFS that is not SQLite's. The checkpoint is unguarded, and the column says so."""
    db, _ = counting
    cursor = db.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    for _ in range(1100):
        cursor.execute("INSERT INTO t(payload) VALUES (1)")
    assert cursor.execute("SELECT checkpoints_inline, commits, unguarded_because FROM wal_metrics").fetchall() == \
        [(1, 1100, "the VFS 'counting' is the host's own")]
    assert wal_bytes(wal_path) < 1100 * 4120
