"""wal_recommendations: each cause is made for real, gives exactly one advice, and the advice cures it."""

import json
import os
import sqlite3
import threading
import time

import pytest

import injected_history
from conftest import EXTENSION, connect, one
from helpers import STRANGE, Holder, Reader, columns, error, files_beside, quoted, rows_into, write
from waiting import wait_for

COLUMNS = [("schema", "TEXT"), ("priority", "INTEGER"), ("area", "TEXT"), ("finding", "TEXT"), ("evidence", "TEXT"),
           ("action", "TEXT"), ("sql_to_run", "TEXT"), ("total_ms", "REAL")]
# Advice that only comes from a busy machine.
SLOW = ("query_latency", "query_degradation", "commit_latency", "commit_stalls", "checkpoint_duration", "probe_read",
        "sync_latency")
BUSY = {f"system_health: {check} is {status}" for check in SLOW for status in ("warning", "critical")}


def advice(db, schema="main", engine=False):
    """The rows of a schema as dicts, without that about SQLite's own bug. Checks their order."""
    cursor = db.execute("SELECT * FROM wal_recommendations")
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row)) for row in cursor]
    mine = [row for row in rows if row["schema"] == schema]
    assert [row["priority"] for row in mine] == list(range(1, len(mine) + 1))
    costs = [-1 if row["total_ms"] is None else row["total_ms"] for row in mine]
    assert costs == sorted(costs, reverse=True)
    return [row for row in mine if (engine or row["area"] != "engine") and row["evidence"] not in BUSY]


def only(db, schema="main"):
    """The only row."""
    rows = advice(db, schema)
    assert len(rows) == 1, rows
    return rows[0]


def found(db, schema="main"):
    return {row["finding"] for row in advice(db, schema)}


def follow(db, row):
    """Runs the SQL of the row."""
    db.execute(row["sql_to_run"]).fetchall()


def sample(db, **settings):
    """Samples at short intervals, with settings by their names."""
    for name, value in {"sample_interval_ms": 20, **settings}.items():
        db.execute("SELECT wal_set(?, ?)", (name, value))


@pytest.fixture
def other_path(tmp_path):
    """A second database in WAL mode, with the table t."""
    path = tmp_path / "other.db"
    bare = connect(path, load=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    bare.close()
    return path


@pytest.fixture(params=["other", STRANGE])
def attached(db, other_path, request):
    """(db, schema, connection): a second database, attached to db and open as the main one of another connection."""
    db.execute("ATTACH ? AS " + quoted(request.param), (str(other_path),))
    there = connect(other_path)
    there.execute("PRAGMA synchronous=OFF")
    # The PRAGMAs of a connection that only looks on say nothing about the working connections.
    for _ in range(100):
        db.execute("SELECT 1").fetchall()
    yield db, request.param, there
    there.close()


# --- the table itself

def test_columns_are_those_of_the_contract(db):
    assert columns(db, "wal_recommendations") == COLUMNS


def test_a_healthy_database_needs_no_advice(db, wal_path):
    db.execute("PRAGMA synchronous=NORMAL")
    other = connect(wal_path)
    for i in range(300):
        db.execute("INSERT INTO t(payload) VALUES (?)", (i,))
        db.execute("SELECT payload FROM t WHERE id = ?", (i,)).fetchall()
    for i in range(50):
        other.execute("BEGIN IMMEDIATE")
        other.execute("SELECT max(id) FROM t").fetchall()
        other.execute("UPDATE t SET payload = 0 WHERE id = ?", (i,))
        other.execute("COMMIT")
    wait_for(lambda: one(db, "SELECT count(*) FROM wal_history"))
    assert advice(db, engine=True) == []
    other.close()


def test_values_have_the_types_that_are_declared(db, wal_path):
    """With a row of every source that has a cost, and of several without one."""
    sample(db)
    write(db, 1)
    rows_into(db, 2000, first=10, payload="i")
    db.execute("SELECT * FROM t WHERE payload = 7").fetchall()
    db.execute("CREATE TABLE wal_metrics(x)")  # shadows walmanager's table: a check that is not well
    types = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float,)}
    rows = advice(db, engine=True)
    assert {row["area"] for row in rows} >= {"indexes", "configuration"}
    for row in rows:
        for name, declared in COLUMNS:
            may_be_null = name in ("sql_to_run", "total_ms")
            assert isinstance(row[name], types[declared]) or (may_be_null and row[name] is None), (name, row)
            assert row[name] != ""


def test_what_costs_most_comes_first_and_what_costs_nothing_last(db):
    rows_into(db, 2000, payload="i")
    db.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, a)")
    rows_into(db, 2000, table="u", payload="i")
    db.execute("CREATE TABLE wal_readers(x)")
    db.create_function("pause", 1, lambda ms: time.sleep(ms / 1000))
    db.execute("SELECT id FROM u WHERE a = 3 AND pause(60) IS NULL").fetchall()
    db.execute("SELECT id FROM t WHERE payload = 3 AND pause(5) IS NULL").fetchall()
    def order():
        return [row["finding"] for row in advice(db) if row["area"] == "indexes"]
    assert order() == ["u has no index on a", "t has no index on payload"]
    for _ in range(3):
        db.execute("SELECT id FROM t WHERE payload = 3 AND pause(60) IS NULL").fetchall()
    assert order() == ["t has no index on payload", "u has no index on a"]
    rows = advice(db, engine=True)
    assert rows[0]["total_ms"] > 180 > rows[1]["total_ms"] > 60
    assert [row["total_ms"] for row in rows[2:]] == [None] * (len(rows) - 2)
    assert any("wal_readers is found in the place of walmanager's" in row["finding"] for row in rows[2:])


def test_reading_it_changes_nothing_and_leaves_no_lock(db, wal_path):
    sample(db)
    write(db, 20)
    db.execute("ANALYZE")
    rows_into(db, 500, first=1000)
    bare = connect(wal_path, load=None, timeout=0)
    def seen():
        return (one(bare, "PRAGMA data_version"), db.total_changes, one(db, "PRAGMA schema_version"),
                one(db, "SELECT wal_frames FROM wal_metrics"), files_beside(wal_path), db.in_transaction)
    before = seen()
    assert found(db) == {"the statistics of t are old"}
    assert seen() == before
    assert bare.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    bare.execute("BEGIN EXCLUSIVE")
    bare.execute("ROLLBACK")
    bare.close()


def test_it_does_not_wait_for_a_writer_and_may_be_read_within_a_transaction(db, wal_path):
    write(db, 5)
    db.execute("PRAGMA busy_timeout=0")
    bare = connect(wal_path, load=None)
    bare.execute("BEGIN IMMEDIATE")
    bare.execute("INSERT INTO t(payload) VALUES (1)")
    assert advice(db) == []
    bare.execute("COMMIT")
    bare.close()
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t(payload) VALUES (2)")
    assert advice(db) == []
    db.execute("COMMIT")


@pytest.mark.parametrize("make", [
    lambda path: None,
    lambda path: connect(path, load=None).execute("CREATE TABLE t(a)"),
])
def test_an_empty_database_and_one_in_rollback_mode(tmp_path, make):
    path = tmp_path / "rollback.db"
    make(path)
    db = connect(path)
    db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    row = only(db)
    assert (row["area"], row["evidence"]) == ("configuration", "system_health: journal_mode is warning")
    assert row["action"].startswith("PRAGMA journal_mode=WAL: ")
    assert advice(db, engine=True) == [row]  # the bug is one of WAL mode
    assert files_beside(path) <= {""}
    db.execute("PRAGMA journal_mode=WAL")
    assert advice(db) == []


def test_databases_in_memory_have_no_advice():
    db = connect(":memory:")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    rows_into(db, 3000, payload="zeroblob(1000)")
    db.execute("ANALYZE")
    db.execute("DELETE FROM t")
    db.execute("SELECT * FROM t WHERE payload = 5").fetchall()
    assert db.execute("SELECT * FROM wal_recommendations").fetchall() == []


def test_a_connection_that_may_only_read(db, wal_path):
    rows_into(db, 2000, payload="i")
    db.execute("SELECT * FROM t WHERE payload = 7").fetchall()
    expected = [row["finding"] for row in advice(db)]
    assert expected == ["t has no index on payload"]
    reader = sqlite3.connect(f"file:{wal_path}?mode=ro", uri=True, isolation_level=None)
    reader.enable_load_extension(True)
    reader.load_extension(EXTENSION)
    assert [row["finding"] for row in advice(reader)] == expected
    assert reader.total_changes == 0
    reader.close()


def test_a_file_that_is_no_database_and_a_corrupt_schema(tmp_path):
    path = tmp_path / "none.db"
    path.write_bytes(b"not a database at all" * 500)
    db = connect(path)
    assert error(db, "SELECT * FROM wal_recommendations") == "file is not a database"
    corrupt = tmp_path / "corrupt.db"
    bare = connect(corrupt, load=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    rows_into(bare, 1000)
    bare.execute("ANALYZE")
    bare.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    bare.close()
    with open(corrupt, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 8)
    db = connect(corrupt)
    assert one(db, "SELECT wal_integrity_check()") != "ok"
    row = only(db)
    assert (row["area"], row["evidence"]) == ("integrity", "system_health: integrity is critical")
    db.close()


# --- indexes and statistics

def test_a_missing_index(db):
    rows_into(db, 2000, payload="i")
    for i in range(3):
        db.execute("SELECT * FROM t WHERE payload = ?", (i,)).fetchall()
    row = only(db)
    assert (row["area"], row["finding"]) == ("indexes", "t has no index on payload")
    query = "SELECT * FROM t WHERE payload = ?"
    total = one(db, "SELECT total_ms FROM query_performance WHERE query = ?", query)
    assert row["total_ms"] == total
    assert row["evidence"].startswith(
        f"3 executions of {query} took {total:.1f} ms. Plan without: SCAN t. Plan with: SEARCH t")
    follow(db, row)
    db.execute("SELECT * FROM t WHERE payload = ?", (5,)).fetchall()
    assert advice(db) == []


def test_a_missing_index_of_an_attached_database(attached):
    db, schema, there = attached
    rows_into(there, 2000, payload="i")
    there.execute("SELECT * FROM t WHERE payload = 5").fetchall()
    there.execute("SELECT 1").fetchall()
    assert advice(db) == []
    row = only(db, schema)
    assert row["finding"] == "t has no index on payload"
    follow(db, row)
    assert one(db, f"SELECT count(*) FROM {quoted(schema)}.sqlite_schema WHERE type = 'index'") == 1
    assert one(db, "SELECT count(*) FROM main.sqlite_schema WHERE type = 'index'") == 0
    assert advice(db, schema) == []


def many_seconds_of_reads(path, sql, connections=15, pause=0.75):
    """So many connections at the same time, each of which is halted in a statement: more than ten seconds together."""
    def read():
        pauses = [pause]
        db = connect(path)
        db.set_progress_handler(lambda: pauses and time.sleep(pauses.pop()), 100)
        db.execute(sql).fetchall()
        assert pauses == []
        db.set_progress_handler(None, 0)
        one(db, "SELECT count(plan) FROM query_performance")  # its plan is kept by the connection that executed it
        db.close()
    threads = [threading.Thread(target=read) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


JOIN = "SELECT count(*) FROM t JOIN u ON u.id = t.id"


@pytest.fixture
def joined(db):
    """Tables t and u with rows, and e without any."""
    db.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, a)")
    db.execute("CREATE TABLE e(id INTEGER PRIMARY KEY, a)")
    db.execute("CREATE VIEW v AS SELECT * FROM t")
    rows_into(db, 500)
    rows_into(db, 500, table="u")
    return db


def test_analyze_was_never_run(joined, wal_path):
    db = joined
    many_seconds_of_reads(wal_path, JOIN, connections=5)
    assert advice(db) == []  # less than ten seconds: too little to advise anything
    many_seconds_of_reads(wal_path, JOIN)
    row = only(db)
    assert (row["area"], row["finding"], row["sql_to_run"]) == ("statistics", "ANALYZE was never run", 'ANALYZE "main"')
    # The query of the test is a read, too.
    assert 15_000 < row["total_ms"] < one(db, "SELECT sum(total_ms) FROM query_performance WHERE kind = 'read'")
    follow(db, row)
    assert advice(db) == []  # also for the table without rows, of which ANALYZE keeps nothing
    db.execute("CREATE TABLE later(id INTEGER PRIMARY KEY, a)")
    assert advice(db) == []
    rows_into(db, 50, table="later")
    row = only(db)
    assert row["finding"] == "ANALYZE has not looked at 1 of 4 tables"
    follow(db, row)
    assert advice(db) == []


def test_analyze_is_not_missed_where_every_plan_is_one_step(joined, wal_path):
    many_seconds_of_reads(wal_path, "SELECT count(*) FROM t WHERE id > 0")
    assert one(joined, "SELECT sum(total_ms) > 10000 FROM query_performance WHERE kind = 'read'") == 1
    assert advice(joined) == []


def test_statistics_that_are_old(db):
    rows_into(db, 50)
    db.execute("ANALYZE")
    assert advice(db) == []
    rows_into(db, 449, first=51)
    assert advice(db) == []
    rows_into(db, 1, first=500)
    row = only(db)
    assert (row["area"], row["finding"]) == ("statistics", "the statistics of t are old")
    assert row["evidence"] == "ANALYZE saw 50 rows, there are 500 or more now"
    assert row["sql_to_run"] == 'ANALYZE "main"."t"'
    follow(db, row)
    assert advice(db) == []
    db.execute("DELETE FROM t WHERE id > 50")
    row = only(db)
    assert row["evidence"] == "ANALYZE saw 500 rows, there are 50 now"
    follow(db, row)
    assert advice(db) == []


def test_statistics_of_an_attached_database_that_are_old(attached):
    db, schema, there = attached
    for name in ("t", STRANGE):
        there.execute(f"CREATE TABLE IF NOT EXISTS {quoted(name)}(id INTEGER PRIMARY KEY, payload)")
        rows_into(there, 10, table=quoted(name))
    there.execute("ANALYZE")
    assert advice(db, schema) == []
    for name in ("t", STRANGE):
        rows_into(there, 90, table=quoted(name), first=11)
    assert found(db) == set()
    rows = advice(db, schema)
    assert {row["sql_to_run"] for row in rows} == \
        {f"ANALYZE {quoted(schema)}.{quoted(name)}" for name in ("t", STRANGE)}
    follow(db, rows[0])
    assert only(db, schema)["sql_to_run"] == rows[1]["sql_to_run"]
    follow(db, rows[1])
    assert advice(db, schema) == []


# --- configuration

def hour(db, column):
    """What was counted in the last hour; 0 if there is no sample."""
    rows = db.execute(f"SELECT {column} FROM wal_periods WHERE period = 'hour' AND part = 'current'").fetchall()
    return rows[0][0] if rows else 0


def larger_than_a_cache(db):
    """Twelve megabytes in the database file, not in its log."""
    sample(db)
    rows_into(db, 3000, payload="zeroblob(3000)")
    wait_for(lambda: '"complete":true' in one(db, "SELECT wal_checkpoint('full')"))


def random_reads(db, pages=120_000):
    """Reads rows all over the table, until the statements that were looked at have wanted so many pages."""
    rows = one(db, "SELECT max(id) FROM t")
    def wanted():
        db.execute(f"WITH RECURSIVE n(i, k) AS (SELECT 1, 1 UNION ALL SELECT i + 1, (i * 7919) % {rows} + 1 FROM n "
                   "WHERE i < 15000) SELECT count((SELECT payload FROM t WHERE t.id = n.k)) FROM n").fetchall()
        return hour(db, "cache_pages") >= pages
    wait_for(wanted)


CACHE, MMAP = "the page cache is too small for the work", "pages are copied into each connection's cache"


def test_a_page_cache_that_is_too_small_and_mmap(db):
    larger_than_a_cache(db)
    db.execute("PRAGMA cache_size=-2000")
    random_reads(db)
    rows = {row["finding"]: row for row in advice(db) if not row["evidence"].startswith("system_health: ")}
    assert set(rows) == {CACHE, MMAP}
    checks = {row["evidence"] for row in advice(db) if row["evidence"].startswith("system_health: ")}
    assert {check.split()[1] for check in checks} <= {"cache_hit_ratio"}
    bytes_ = one(db, "SELECT database_bytes FROM wal_metrics")
    ratio = hour(db, "cache_hit_ratio")
    assert ratio < 0.9
    cache, mmap = rows[CACHE], rows[MMAP]
    assert cache["area"] == mmap["area"] == "configuration"
    assert f"cache of 2.0 MB; the database has {bytes_ / 1e6:.1f} MB" in cache["evidence"]
    assert float(cache["evidence"].split(" %")[0]) == pytest.approx(ratio * 100, abs=0.5)
    assert cache["sql_to_run"] == f'PRAGMA "main".cache_size=-{min(8000, bytes_ // 1024)}'
    assert mmap["sql_to_run"] == f'PRAGMA "main".mmap_size={2 * bytes_}'
    follow(db, mmap)
    assert one(db, "PRAGMA mmap_size") == 2 * bytes_
    assert MMAP not in found(db) and CACHE in found(db)
    while CACHE in found(db):
        row, = (row for row in advice(db) if row["finding"] == CACHE)
        before = one(db, "SELECT cache_size_bytes FROM wal_environment")
        follow(db, row)
        assert one(db, "SELECT cache_size_bytes FROM wal_environment") > before
    assert one(db, "SELECT cache_size_bytes FROM wal_environment") >= bytes_


def test_a_page_cache_of_next_to_nothing_becomes_one_of_the_usual_size(db):
    larger_than_a_cache(db)
    db.execute("PRAGMA cache_size=0")
    random_reads(db)
    row, = (row for row in advice(db) if row["finding"] == CACHE)
    assert row["sql_to_run"] == 'PRAGMA "main".cache_size=-2000'
    follow(db, row)
    assert one(db, "PRAGMA cache_size") == -2000


def test_a_database_that_fits_into_the_cache_needs_no_larger_one(db):
    """Pages that are read for the first time are not in a cache, however large it is."""
    larger_than_a_cache(db)
    db.execute("PRAGMA cache_size=10")
    random_reads(db)
    assert CACHE in found(db)
    db.execute("PRAGMA cache_size=-100000")
    assert not {CACHE, MMAP} & found(db)


def test_a_page_cache_of_an_attached_database(attached):
    db, schema, there = attached
    larger_than_a_cache(there)
    there.execute("SELECT wal_metrics_reset('history')")  # the commits that filled it
    there.execute("PRAGMA cache_size=-2000")
    db.execute(f"PRAGMA {quoted(schema)}.cache_size=-2000")
    random_reads(there)
    assert not {CACHE, MMAP} & found(db)
    rows = {row["finding"]: row for row in advice(db, schema)}
    for finding in (CACHE, MMAP):
        follow(db, rows[finding])
    assert one(db, f"PRAGMA {quoted(schema)}.cache_size") == -8000
    assert one(db, f"PRAGMA {quoted(schema)}.mmap_size") > 0
    assert (one(db, "PRAGMA main.cache_size"), one(db, "PRAGMA main.mmap_size")) == (-2000, 0)


def test_pragmas_of_a_connection_that_only_looks_on_are_not_judged(db, wal_path):
    larger_than_a_cache(db)
    # The commits that filled it: where several connections commit, a larger cache is not advised.
    db.execute("SELECT wal_metrics_reset('history')")
    random_reads(db)
    onlooker = connect(wal_path)
    assert {CACHE, MMAP} <= found(db)
    assert not {CACHE, MMAP} & found(onlooker)
    onlooker.close()


SLOW_COMMITS = "every commit waits for the disk"


def slow_commits(db, commits, ms=1.3):
    db.create_function("pause", 1, lambda ms: time.sleep(ms / 1000))
    for _ in range(commits):
        db.execute("INSERT INTO t(payload) SELECT pause(?)", (ms,))


@pytest.mark.parametrize("level", ["FULL", "EXTRA"])
def test_synchronous_full_with_slow_commits(db, level):
    db.execute("PRAGMA synchronous=OFF")
    slow_commits(db, 999)
    db.execute(f"PRAGMA synchronous={level}")
    assert advice(db) == []
    slow_commits(db, 1)
    row = only(db)
    assert (row["area"], row["finding"]) == ("configuration", SLOW_COMMITS)
    mean = one(db, "SELECT commit_mean_ms FROM wal_metrics")
    assert row["evidence"] == f"synchronous is {level.lower()}; 1000 commits took {mean:.2f} ms in the mean"
    assert row["total_ms"] > 1000
    follow(db, row)
    assert one(db, "PRAGMA synchronous") == 1
    assert advice(db) == []


def test_slow_commits_of_an_attached_database(attached):
    db, schema, there = attached
    slow_commits(there, 1000)
    assert advice(db) == []
    follow(db, only(db, schema))
    assert (one(db, f"PRAGMA {quoted(schema)}.synchronous"), one(db, "PRAGMA main.synchronous")) == (1, 2)
    assert advice(db, schema) == []


def test_fast_commits_may_be_full(db):
    write(db, 1100)
    db.execute("PRAGMA synchronous=FULL")
    assert one(db, "SELECT commit_mean_ms < 1 FROM wal_metrics") == 1
    assert advice(db) == []


@pytest.fixture
def pinned_by_a_reader(db, wal_path):
    """A reader keeps the log from starting over, so commits that wait for it wait in vain."""
    frames_to_pin(db)
    db.execute("SELECT wal_set('checkpoint_frames', NULL)")
    reader = connect(wal_path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    yield db
    reader.close()


def test_commits_that_wait_for_checkpoints(pinned_by_a_reader):
    db = pinned_by_a_reader
    sample(db)
    wait_for(lambda: hour(db, "samples"))  # what came before is not counted
    db.execute("""SELECT wal_strategy_define('waits', '[{"rule": "each", "priority": 1, "mode": "RESTART",
                  "condition": "pending_frames > 0", "runs": "inline", "stall_budget_ms": 1200}]')""")
    db.execute("SELECT wal_strategy('waits')")
    write(db, 1)
    assert one(db, "SELECT checkpoint_stall_ms FROM wal_metrics") >= 1200
    waits = "commits wait for checkpoints"
    wait_for(lambda: waits in found(db))
    row, = (row for row in advice(db) if row["finding"] == waits)
    # The check of system_health finds the same, and its advice is not said again.
    assert one(db, "SELECT status FROM system_health WHERE check_name = 'commit_stalls'") != "ok"
    assert [each["finding"] for each in advice(db) if "commits waited" in each["finding"]] == []
    assert row["area"] == "configuration"
    assert row["sql_to_run"] == "SELECT wal_strategy('low_latency', 'main')"
    assert 1200 <= float(row["evidence"].split()[2]) < 4000
    assert row["total_ms"] == one(
        db, "SELECT sum(total_ms) FROM query_performance WHERE kind IN ('write', 'transaction')")
    follow(db, row)
    assert one(db, "SELECT wal_strategy()") == "low_latency"
    assert waits not in found(db)


def test_checkpoints_that_take_long(db, wal_path):
    frames_to_pin(db)
    db.execute("SELECT wal_set('checkpoint_frames', NULL)")
    db.execute("PRAGMA busy_timeout=220")
    reader = connect(wal_path)
    long = "checkpoints take long"
    for _ in range(10):
        assert long not in found(db)
        write(db, 1)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchall()
        assert json.loads(one(db, "SELECT wal_checkpoint('restart')"))["moved_frames"] > 0  # and then it waits
        reader.execute("COMMIT")
    reader.close()
    for frames in (250, 100):
        row, = (row for row in advice(db) if row["finding"] == long)
        assert [each for each in advice(db) if "checkpoint_duration" in each["evidence"]] == []
        count, p95 = db.execute("SELECT checkpoints, checkpoint_p95_ms FROM wal_metrics").fetchone()
        assert row["evidence"] == f"95 % of {count} checkpoints took up to {p95:.0f} ms" and p95 >= 200
        assert row["sql_to_run"] == f"SELECT wal_set('checkpoint_frames', {frames}, 'main')"
        follow(db, row)
        assert one(db, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'") == frames
    assert long not in found(db)


BEYOND = "the log exceeds its limit though no reader pins it"


def one_large_transaction(db):
    """A megabyte where 64 KiB are the limit."""
    sample(db, wal_limit_bytes=65_536)
    write(db, 1)
    wait_for(lambda: hour(db, "samples"))  # what came before is not counted
    rows_into(db, 1000, first=10, payload="zeroblob(1000)")


def test_a_log_beyond_its_limit_though_no_reader_pins_it(db, wal_path):
    one_large_transaction(db)
    wait_for(lambda: BEYOND in found(db))
    row, = (row for row in advice(db) if row["finding"] == BEYOND)
    largest = hour(db, "wal_bytes_max")
    assert largest > 1_000_000
    assert row["evidence"].startswith(f"the log was up to {largest / 1e6:.1f} MB, its limit is 0.1 MB; ")
    assert row["sql_to_run"] == f"SELECT wal_set('wal_limit_bytes', {2 * largest}, 'main')"
    follow(db, row)
    assert one(db, "SELECT wal_limit_bytes FROM wal_metrics") == 2 * largest
    assert BEYOND not in found(db)


def test_a_setting_of_an_attached_database(attached):
    db, schema, there = attached
    one_large_transaction(there)
    wait_for(lambda: BEYOND in found(db, schema))
    assert BEYOND not in found(db)
    row, = (row for row in advice(db, schema) if row["finding"] == BEYOND)
    follow(db, row)
    assert BEYOND not in found(db, schema)
    limits = dict(db.execute("SELECT schema, wal_limit_bytes FROM wal_metrics"))
    assert limits == {"main": 64 << 20, schema: int(row["sql_to_run"].split(", ")[1])}


# --- transactions

def test_busy_timeout_0_with_two_writing_connections(db, wal_path):
    write(db, 5)
    db.execute("PRAGMA busy_timeout=0")
    other = connect(wal_path)
    other.execute("SELECT count(*) FROM t").fetchall()
    assert advice(db) == []  # one writes, one reads
    write(other, 1)
    row = only(db)
    assert (row["area"], row["finding"]) == ("configuration", "a lock of another connection is an error at once")
    assert row["evidence"] == "busy_timeout is 0 on this connection; 2 connections are open"
    assert row["sql_to_run"] == "PRAGMA busy_timeout=5000"
    assert row["total_ms"] > 0
    follow(db, row)
    assert one(db, "PRAGMA busy_timeout") == 5000
    assert advice(db) == []
    other.close()


def test_transactions_that_begin_with_a_read_and_then_write(db):
    write(db, 3)
    for _ in range(2):
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM t").fetchall()
        db.execute("UPDATE t SET payload = 'secret' WHERE id = 1")
        db.execute("UPDATE t SET payload = 'other' WHERE id = 2")
        db.execute("COMMIT")
    row = only(db)
    query = "UPDATE t SET payload = ? WHERE id = ?"
    assert (row["area"], row["finding"]) == ("transactions", "transactions that begin with a read and then write")
    assert row["evidence"] == f"2 times in this statement: {query}"
    assert row["total_ms"] == one(db, "SELECT total_ms FROM query_performance WHERE query = ?", query)
    assert "BEGIN IMMEDIATE" in row["action"]
    assert row["sql_to_run"] is None, "run as it stands it would keep all other writers out"


def test_an_hour_without_such_transactions_ends_the_advice(tmp_path):
    path = injected_history.database(tmp_path / "test.db")
    db = connect(path)
    for sql in ("INSERT INTO t VALUES (1, 1)", "BEGIN", "SELECT count(*) FROM t", "UPDATE t SET payload = 2", "COMMIT"):
        db.execute(sql).fetchall()
    upgrades = "transactions that begin with a read and then write"
    assert upgrades in found(db)
    db.close()
    for upgraded in (0, 1):
        injected_history.inject(path, [{"at": at, "transactions_upgraded": upgraded}
                                       for at in injected_history.times(2 * injected_history.HOUR, injected_history.MINUTE)])
        db = connect(path)
        assert (upgrades in found(db)) == (upgraded == 1)
        db.close()


def test_transactions_of_statements_that_had_to_make_room_name_no_statement(db):
    db.execute("SELECT wal_set('max_queries', 10)")
    write(db, 1)
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM t").fetchall()
    db.execute("UPDATE t SET payload = 5 WHERE id = 1")
    db.execute("COMMIT")
    for i in range(1, 41):
        db.execute("SELECT " + ", ".join(["id"] * i) + " FROM t").fetchall()
    assert one(db, "SELECT transactions_upgraded FROM query_performance WHERE query = '(evicted)'") == 1
    assert only(db)["evidence"] == "once in statements that had to make room in query_performance"


# --- readers

def frames_to_pin(db):
    """Frames that no checkpoint copies. A reader that begins now pins the log; a lag of up to 10 frames is small."""
    db.execute("SELECT wal_strategy('off'), wal_set('checkpoint_frames', 10)")
    write(db, 5)


def pinned(db, action):
    """Waits for the row about readers."""
    def rows_now():
        return [row for row in advice(db) if row["area"] == "readers"]
    row, = wait_for(rows_now)
    assert row["action"].startswith(action)
    assert row["sql_to_run"] is None
    return row


@pytest.mark.parametrize("code, finding, action", [
    ('cursor = db.execute("SELECT id FROM t WHERE id > 0"); cursor.fetchone()',
     "unfinished statement of report job (pid {pid}) keeps the log from being copied", "fetch all its rows"),
    ('db.execute("BEGIN"); db.execute("SELECT id FROM t WHERE id > 0").fetchall()',
     "open transaction of report job (pid {pid}) keeps the log from being copied", "commit or roll back"),
])
def test_a_reader_that_pins_the_log_is_named(db, wal_path, code, finding, action):
    frames_to_pin(db)
    with Reader(wal_path, code) as reader:
        write(db, 5)
        assert [row for row in advice(db) if row["area"] == "readers"] == []  # not behind by much
        write(db, 15)
        row = pinned(db, action)
        assert row["finding"] == finding.format(pid=reader.pid)
        lag = one(db, "SELECT lag_frames FROM wal_readers")
        assert lag >= 20
        assert row["evidence"].startswith(f"{lag} frames behind ({lag * 4120 / 1e6:.1f} MB), for ")
        assert row["evidence"].endswith(" s: SELECT id FROM t WHERE id > ?")
        assert row["total_ms"] == one(
            db, "SELECT total_ms FROM query_performance WHERE query LIKE 'SELECT id FROM t WHERE%'")
    write(db, 1)
    assert [row for row in advice(db) if row["area"] == "readers"] == []


def test_a_process_that_is_not_managed_and_pins_the_log(db, wal_path):
    frames_to_pin(db)
    with Holder(wal_path) as holder:
        write(db, 30)
        row = pinned(db, "load walmanager there")
        name = one(db, "SELECT process FROM wal_readers")
        assert row["finding"] == f"unmanaged process of {name} (pid {holder.pid}) keeps the log from being copied"
        lag = one(db, "SELECT lag_frames FROM wal_readers")
        assert row["evidence"] == f"{lag} frames behind ({lag * 4120 / 1e6:.1f} MB)"  # since when is not known
        assert "1 process has the database open" in next(
            r["finding"] for r in advice(db) if "unmanaged_processes" in r["evidence"])
    write(db, 1)
    assert [row for row in advice(db) if row["area"] == "readers"] == []


def test_every_reader_that_may_pin_the_log_is_named(db, wal_path):
    """Two connections of a process came to the same mark."""
    frames_to_pin(db)
    readers = [connect(wal_path) for _ in range(2)]
    for reader in readers:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchall()
    write(db, 30)
    rows = [row for row in advice(db) if row["area"] == "readers"]
    assert one(db, "SELECT count(*) FROM wal_readers WHERE NOT certain") == 2
    assert len(rows) == 2
    assert all(f"(pid {os.getpid()}) may keep the log from being copied" in row["finding"] for row in rows)
    for reader in readers:
        reader.close()


def test_a_reader_that_is_not_measured_has_no_verdict(db, wal_path):
    frames_to_pin(db)
    bare = connect(wal_path, load=None)  # of this process, which is managed
    bare.execute("BEGIN")
    bare.execute("SELECT count(*) FROM t").fetchall()
    write(db, 30)
    verdict = one(db, "SELECT verdict FROM wal_readers")
    row, = (row for row in advice(db) if row["area"] == "readers")
    assert row["finding"].startswith(verdict or "a reader")
    assert ", for 0.0 s" not in row["evidence"]
    bare.close()


# --- storage

def free_pages(db, table="t"):
    rows_into(db, 400, table=table, payload="zeroblob(4000)")
    db.execute(f"DELETE FROM {table}")


def test_pages_that_hold_nothing(db):
    rows_into(db, 400, payload="zeroblob(4000)")
    assert advice(db) == []
    db.execute("DELETE FROM t")
    row = only(db)
    free, pages = one(db, "PRAGMA freelist_count"), one(db, "PRAGMA page_count")
    assert (row["area"], row["finding"]) == ("storage", f"{free * 4096 / 1e6:.1f} MB of the database hold nothing")
    assert row["evidence"] == f"{free} of {pages} pages are free"
    assert (row["sql_to_run"], row["total_ms"]) == ('VACUUM "main"', None)
    follow(db, row)
    assert one(db, "PRAGMA freelist_count") == 0
    assert advice(db) == []


def test_pages_that_hold_nothing_with_incremental_vacuum(tmp_path):
    path = tmp_path / "incremental.db"
    db = connect(path)
    db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    free_pages(db)
    row = only(db)
    assert row["sql_to_run"] == 'PRAGMA "main".incremental_vacuum'
    db.executescript(row["sql_to_run"])  # which, unlike execute, steps to the end where there are no columns
    assert one(db, "PRAGMA freelist_count") == 0
    assert advice(db) == []
    db.close()


# SQLite itself cannot VACUUM a schema with an apostrophe in its name.
@pytest.mark.parametrize("attached", ["other", STRANGE.replace("'", "")], indirect=True)
def test_pages_of_an_attached_database_that_hold_nothing(attached):
    db, schema, _ = attached
    free_pages(db)
    free_pages(db, quoted(schema) + ".t")
    assert only(db)["sql_to_run"] == 'VACUUM "main"'
    row = only(db, schema)
    assert row["sql_to_run"] == "VACUUM " + quoted(schema)
    follow(db, row)
    assert advice(db, schema) == []
    assert only(db)["sql_to_run"] == 'VACUUM "main"'


def test_pages_that_hold_nothing_follow_their_threshold(db):
    rows_into(db, 400, payload="zeroblob(4000)")
    db.execute("DELETE FROM t WHERE id <= 60")
    assert advice(db) == []
    db.execute("SELECT wal_set('freelist.warning', 0.1)")
    assert only(db)["sql_to_run"] == 'VACUUM "main"'
    db.execute("SELECT wal_set('freelist.warning', NULL)")
    assert advice(db) == []


def test_a_small_database_may_be_empty(db):
    rows_into(db, 200, payload="zeroblob(4000)")
    db.execute("DELETE FROM t")
    assert one(db, "PRAGMA freelist_count") > 100
    assert advice(db) == []


# --- statements

def test_literals_in_the_place_of_parameters(db):
    for i in range(200):
        db.execute(f"INSERT INTO t(payload) VALUES ({i})")
        db.execute("SELECT payload FROM t WHERE id = ?", (i,)).fetchall()
    row = only(db)
    assert (row["area"], row["finding"]) == ("statements", "literals in the place of parameters")
    texts = one(db, "SELECT texts FROM query_performance WHERE query = 'INSERT INTO t (payload) VALUES (?)'")
    assert 190 <= texts <= 200
    assert row["evidence"] == f"{texts} different texts in 200 executions: INSERT INTO t (payload) VALUES (?)"
    assert (row["sql_to_run"], row["total_ms"] > 0) == (None, True)
    assert row["action"].startswith("bind parameters")
    assert one(db, "SELECT wal_metrics_reset('queries')") > 0
    for i in range(200):
        db.execute("INSERT INTO t(payload) VALUES (?)", (i,))
    assert advice(db) == []


def test_mostly_bound_parameters_give_no_advice(db):
    for i in range(300):
        db.execute("SELECT payload FROM t WHERE id = ?", (i,)).fetchall()
        if i % 3 == 0:
            db.execute(f"SELECT payload FROM t WHERE id = {i}").fetchall()
            db.execute("SELECT payload FROM t WHERE id = ?", (i,)).fetchall()
    calls, texts = db.execute(
        "SELECT calls, texts FROM query_performance WHERE query LIKE 'SELECT payload%'").fetchone()
    assert calls == 500 and texts <= 250
    assert advice(db) == []


# --- system_health

def test_checks_that_are_not_well_appear_with_what_they_recommend(db):
    write(db, 1)
    db.execute("SELECT wal_strategy('off')")
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent)")
    bad = {row[0]: row[1:] for row in db.execute(
        "SELECT check_name, area, detail, 'system_health: ' || check_name || ' is ' || status, recommendation "
        "FROM system_health WHERE status IN ('warning', 'critical')")
        if row[0] not in ("overall", *SLOW)}
    assert set(bad) == {"strategy", "foreign_keys"}
    rows = advice(db)
    assert sorted((row["area"], row["finding"], row["evidence"], row["action"]) for row in rows) == sorted(bad.values())
    assert [(row["sql_to_run"], row["total_ms"]) for row in rows] == [(None, None)] * 2
    db.execute("PRAGMA foreign_keys=ON")
    db.execute("SELECT wal_strategy('conversation_workload')")
    assert advice(db) == []


def test_an_index_for_several_statements_says_so(db):
    rows_into(db, 2000, payload="i")
    for i in range(3):
        db.execute("SELECT * FROM t WHERE payload = ?", (i,)).fetchall()
        db.execute("SELECT count(*) FROM t WHERE payload = ?", (i,)).fetchall()
    row = only(db)
    assert row["evidence"].startswith("6 executions of SELECT ") and " and 1 other statement took " in row["evidence"]
