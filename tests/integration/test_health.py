"""system_health, wal_integrity_check and wal_environment: each fault for real, and exactly the right check."""

import contextlib
import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
import threading
import time

import pytest

from conftest import EXTENSION, connect, metrics, one
from helpers import Holder, Reader, error, rows_into, snapshot, write
from waiting import wait_for

# Checks that are not well beside a process without walmanager, with some versions of SQLite.
ENGINE = {"wal_reset_bug"}
# Checks that a slow machine may fail.
SPEED = {"query_latency", "query_degradation", "commit_latency", "commit_stalls", "checkpoint_duration", "probe_read",
         "sync_latency"}


def health(db, schema="main"):
    """{check_name: row} of system_health."""
    cursor = db.execute("SELECT * FROM system_health WHERE schema = ?", (schema,))
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row)) for row in cursor]
    assert len({row["check_name"] for row in rows}) == len(rows)
    return {row["check_name"]: row for row in rows}


def bad(db, speed=False):
    """The names of the checks that are not well; those of SPEED only if they are asked for."""
    return {name for name, row in health(db).items()
            if row["status"] in ("warning", "critical") and name != "overall"} - ENGINE - (set() if speed else SPEED)


@pytest.fixture
def sampled(db):
    """A managed connection whose database is sampled often."""
    db.execute("SELECT wal_set('sample_interval_ms', 20), wal_set('alert_interval_ms', 50), wal_set('alert_samples', 2)")
    return db


# --- the table itself

def test_a_healthy_database_shows_no_warning(db):
    write(db, 50)
    db.execute("PRAGMA synchronous=NORMAL")
    assert bad(db) == set()
    rows = health(db)
    assert (rows["wal_reset_bug"]["status"], rows["overall"]["status"]) == ("ok", "ok")
    assert list(rows)[-1] == "overall"



def reset_bug(db):
    row = health(db)["wal_reset_bug"]
    return row["status"], row["detail"], row["recommendation"]


ADVICE = "use SQLite 3.51.3 or newer, 3.50.7 or 3.44.6; until then leave checkpoints to walmanager, which guards its own: "


def test_bug_the_engine_s_bug_was_a_warning_that_no_operator_could_end(db, wal_path):
    """Each cause of an unguarded checkpoint is a warning, and only as long as it is there."""
    if not one(db, "SELECT wal_reset_bug FROM wal_environment"):
        pytest.skip(f"SQLite {sqlite3.sqlite_version} does not have the WAL-reset bug")
    write(db, 1)
    begins = f"SQLite {sqlite3.sqlite_version} can lose committed pages when checkpoints race; "
    guarded = ("ok", begins + "walmanager guards its checkpoints, and every process that has the database open is managed",
               None)
    assert reset_bug(db) == guarded
    with Holder(wal_path):
        assert reset_bug(db) == (
            "warning", begins + "1 process has the database open without walmanager, and nothing guards the checkpoints there",
            ADVICE + "load it in every process")
    assert reset_bug(db) == guarded
    for times in ("once", "2 times"):
        db.execute("PRAGMA wal_checkpoint").fetchall()
        assert reset_bug(db) == (
            "warning", begins + f"programs ran PRAGMA wal_checkpoint {times} in the last hour, which walmanager cannot guard",
            ADVICE + "call wal_checkpoint() in the place of the PRAGMA")
    db.execute("SELECT wal_metrics_reset('wal')")
    assert reset_bug(db) == guarded
    db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    write(db, 1)
    db.execute("SELECT wal_checkpoint('passive')")
    because = metrics(db)["unguarded_because"]
    assert because.startswith("locking_mode is EXCLUSIVE")
    assert reset_bug(db) == ("warning", begins + "checkpoints of walmanager run without its guard: " + because,
                             ADVICE + "see checkpoint_guard")


def test_an_engine_without_the_bug_is_well(db):
    if one(db, "SELECT wal_reset_bug FROM wal_environment"):
        pytest.skip(f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug")
    write(db, 1)
    db.execute("PRAGMA wal_checkpoint").fetchall()
    assert reset_bug(db) == ("ok", f"SQLite {sqlite3.sqlite_version} does not have the WAL-reset bug", None)


def test_areas_and_columns(db):
    write(db, 1)
    rows = health(db)
    areas = {row["area"] for row in rows.values()}
    assert {"configuration", "WAL size", "checkpointing", "commits", "queries", "integrity", "storage", "cache",
            "connections", "engine", "backup", "overall"} <= areas
    for row in rows.values():
        assert row["status"] in ("ok", "warning", "critical", "unknown")
        assert row["score"] == {"ok": 100, "warning": 50, "critical": 0, "unknown": None}[row["status"]] \
            or row["check_name"] == "overall"
        assert row["detail"]
        assert (row["recommendation"] is None) or row["status"] != "ok"
        assert one(db, "SELECT julianday(?)", row["checked_at"]) is not None


def test_the_score_of_overall_follows_its_formula(db):
    write(db, 1)
    rows = health(db)
    statuses = [row["status"] for name, row in rows.items() if name != "overall"]
    expected = max(0, 100 - 40 * statuses.count("critical") - 10 * statuses.count("warning") - 2 * statuses.count("unknown"))
    assert rows["overall"]["score"] == expected
    assert expected < 100, "what is unknown does not count as well"


def test_every_threshold_is_a_setting_and_is_followed(db):
    write(db, 1)
    for name, row in health(db).items():
        for which in ("warning", "critical"):
            stored = db.execute("SELECT value FROM wal_config WHERE name = ?", (f"{name}.{which}",)).fetchall()
            assert row[f"{which}_at"] == (stored[0][0] if stored else None)
    assert health(db)["disk_free"]["status"] == "ok"
    db.execute("SELECT wal_set('disk_free.warning', 1e9)")
    assert health(db)["disk_free"]["status"] == "warning"
    db.execute("SELECT wal_set('disk_free.critical', 1e8)")
    assert health(db)["disk_free"]["status"] == "critical"
    db.execute("SELECT wal_set('disk_free.warning', NULL), wal_set('disk_free.critical', NULL)")
    assert health(db)["disk_free"]["status"] == "ok"


def test_thresholds_name_checks_that_exist(db):
    write(db, 1)
    checks = set(health(db))
    names = {row[0].rsplit(".", 1)[0] for row in
             db.execute("SELECT name FROM wal_config WHERE name LIKE '%.warning' OR name LIKE '%.critical'")}
    assert names <= checks, names - checks


def test_reading_system_health_leaves_no_read_transaction(db):
    write(db, 1)
    health(db)
    other = connect(db.execute("PRAGMA database_list").fetchone()[2], load=None, timeout=0)
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    other.close()


def test_in_memory_and_other_databases():
    db = connect(":memory:")
    assert [row["status"] for row in health(db).values()] == ["unknown"]


def test_a_database_in_rollback_mode(tmp_path):
    db = connect(tmp_path / "rollback.db")
    db.execute("CREATE TABLE t(x)")
    assert bad(db) == {"journal_mode"}
    assert health(db)["journal_mode"]["detail"] == "journal_mode is delete"
    for change, back in (("wal_set('slow_query_ms', 50)", "wal_set('slow_query_ms', NULL)"),
                         ("wal_strategy('low_latency')", "wal_strategy('conversation_workload')")):
        db.execute(f"SELECT {change}").fetchall()
        assert health(db)["journal_mode"]["detail"] == (
            "journal_mode is delete: what was set with wal_set() or wal_strategy() ends with this process")
        db.execute(f"SELECT {back}").fetchall()
    assert not os.path.exists(tmp_path / "rollback.db-walmanager")


def test_attached_databases_have_rows_of_their_own(db, tmp_path):
    write(db, 1)
    db.execute(f"ATTACH '{tmp_path / 'other.db'}' AS other")
    db.execute("CREATE TABLE other.u(x)")
    assert health(db, "other")["journal_mode"]["status"] == "warning"
    assert health(db)["journal_mode"]["status"] == "ok"


def test_it_does_not_need_the_database_to_itself(db, wal_path):
    write(db, 1)
    other = connect(wal_path, load=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO t(payload) VALUES (1)")
    assert bad(db) == set() or bad(db) == {"unmanaged_processes"}
    other.execute("ROLLBACK")


# --- one fault each

def test_configuration(db):
    write(db, 1)
    db.execute("PRAGMA synchronous=OFF")
    assert bad(db) == {"synchronous"}
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA cache_size=10")
    assert bad(db) == {"cache_size"}
    db.execute("PRAGMA cache_size=-2000")
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent)")
    assert bad(db) == {"foreign_keys"}
    db.execute("PRAGMA foreign_keys=ON")
    assert bad(db) == set()


def test_foreign_keys_are_judged_on_connections_that_write(sampled, wal_path):
    """A shell that only looks on has foreign keys off, like every new connection."""
    db = sampled
    # Reading the checks takes long on a busy machine, and is a statement, too.
    db.execute("SELECT wal_set('query_latency.critical', 3600000), wal_set('query_latency.warning', 3600000)").fetchall()
    db.execute("PRAGMA foreign_keys=ON")
    db.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES t)")
    write(db, 5)
    db.execute("PRAGMA synchronous=NORMAL")
    onlooker = connect(wal_path)
    wait_for(lambda: (db.execute("SELECT 1").fetchall(), bad(onlooker) == set())[1])  # told once a second
    onlooker.execute("INSERT INTO t(payload) VALUES (1)")
    assert bad(onlooker) == {"foreign_keys"}
    assert bad(db) == {"foreign_keys"}
    onlooker.close()
    assert bad(db) == set()


def test_a_table_of_the_user_that_shadows_a_walmanager_table(db):
    write(db, 1)
    db.execute("CREATE TABLE wal_metrics(x)")
    assert bad(db) == {"shadowing"}
    assert "wal_metrics" in health(db)["shadowing"]["detail"]
    db.execute("DROP TABLE wal_metrics")
    assert bad(db) == set()


def test_strategy_off(db):
    write(db, 1)
    db.execute("SELECT wal_strategy('off')")
    assert bad(db) == {"strategy"}
    db.execute("SELECT wal_strategy('conversation_workload')")
    assert bad(db) == set()


def test_a_displaced_hook(wal_path):
    apsw = pytest.importorskip("apsw")
    from helpers import apsw_connect
    db = apsw_connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES (1)")
    db.setwalhook(lambda *_: apsw.SQLITE_OK)
    for _ in range(3):
        db.execute("INSERT INTO t(payload) VALUES (1)")
    def status():
        return db.execute("SELECT status FROM system_health WHERE check_name = 'wal_hook'").fetchone()[0]
    assert status() == "warning"
    db.execute("PRAGMA wal_autocheckpoint=1000")
    db.execute("INSERT INTO t(payload) VALUES (1)")
    assert status() == "ok"
    db.close()


def test_a_taken_trace(db):
    write(db, 1)
    db.set_trace_callback(lambda sql: None)
    for _ in range(3):
        db.execute("INSERT INTO t(payload) VALUES (1)")
    assert "trace" in bad(db)
    db.execute("SELECT wal_trace('take')")
    assert "trace" not in bad(db)


def test_private_statistics(tmp_path):
    path = tmp_path / "links.db"
    bare = connect(path, load=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    os.link(path, tmp_path / "another name.db")
    db = connect(path)
    db.execute("INSERT INTO t(payload) VALUES (1)")
    assert "statistics_file" in bad(db)
    assert "hard links" in health(db)["statistics_file"]["detail"]


def test_a_log_beyond_its_limit_and_the_reader_that_pins_it(db, wal_path):
    db.execute("SELECT wal_set('wal_limit_bytes', 65536)")
    with Holder(wal_path) as holder:
        write(db, 300, 3000)
        db.execute("PRAGMA synchronous=NORMAL")
        found = bad(db)
        assert {"wal_size", "log_pinned"} <= found
        assert found <= {"wal_size", "log_pinned", "unmanaged_processes", "checkpoint_partial"}
        assert health(db)["wal_size"]["status"] == "critical"
        detail = health(db)["log_pinned"]["detail"]
        assert re.fullmatch(r"one reader is \d+ frames behind \(3\.\d MB\); no frame after its frame 0 can be copied: "
                            rf"pid {holder.pid}", detail)
        assert metrics(db)["oldest_reader_pid"] == holder.pid
    wait_for(lambda: (write(db, 1), bad(db) == set())[1])
    assert metrics(db)["oldest_reader_pid"] is None


def test_the_reader_that_pins_the_log_is_named_with_its_statement(db, wal_path):
    write(db, 5)
    with Reader(wal_path, 'cursor = db.execute("SELECT id FROM t WHERE id > 1"); cursor.fetchone()') as reader:
        write(db, 1)
        assert health(db)["log_pinned"]["detail"].endswith(
            f" can be copied: report job (pid {reader.pid}), SELECT id FROM t WHERE id > ?")
        assert metrics(db)["oldest_reader_pid"] == reader.pid
    assert health(db)["log_pinned"]["detail"] == "no reader is behind"


def test_checkpoints_in_a_row_that_left_frames_are_counted(db, wal_path):
    db.execute("PRAGMA busy_timeout=0")

    def detail():
        return health(db)["checkpoint_partial"]["detail"]

    write(db, 1)
    assert detail() == "no checkpoint is in wal_checkpoints"
    db.execute("SELECT wal_checkpoint('passive')")
    assert detail() == "the last checkpoint copied the whole log"
    reader = snapshot(wal_path)
    write(db, 1)
    db.execute("SELECT wal_checkpoint('passive')")
    assert detail() == "the last checkpoint copied less than the whole log"
    db.execute("SELECT wal_checkpoint('full')")
    assert detail() == "the last 2 checkpoints in a row copied less than the whole log"
    reader.close()


def test_pending_frames_that_a_reader_keeps_from_being_copied(db, wal_path):
    db.execute("SELECT wal_set('checkpoint_frames', 10), wal_set('checkpoint_progress.warning', 0.2)")
    reader = snapshot(wal_path)
    write(db, 99, 1000)
    wait_for(lambda: "checkpoint_progress" in bad(db))
    reader.close()
    wait_for(lambda: (write(db, 1), "checkpoint_progress" not in bad(db))[1])


def test_slow_statements(sampled):
    db = sampled
    write(db, 10)
    db.execute("SELECT wal_set('query_latency.warning', 5)")
    db.create_function("pause", 1, lambda ms: time.sleep(ms / 1000))
    for _ in range(40):
        db.execute("SELECT pause(10)").fetchall()
    wait_for(lambda: "query_latency" in bad(db, speed=True))
    assert 8.8 < health(db)["query_latency"]["value"] < 1000


def test_slow_commits(sampled):
    db = sampled
    write(db, 10)
    db.execute("SELECT wal_set('commit_latency.warning', 5)")
    db.create_function("pause", 1, lambda ms: time.sleep(ms / 1000))
    for _ in range(20):
        db.execute("INSERT INTO t(payload) SELECT pause(10)")
    wait_for(lambda: "commit_latency" in bad(db, speed=True))


def test_connections(db, wal_path):
    write(db, 1)
    db.execute("SELECT wal_set('idle_in_transaction.warning', 100), wal_set('long_transaction.warning', 100)")
    other = connect(wal_path)
    other.execute("SELECT wal_application_name('the sleeper')").fetchall()
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM t").fetchall()
    wait_for(lambda: bad(db) == {"idle_in_transaction", "long_transaction"})
    assert "the sleeper" in health(db)["idle_in_transaction"]["detail"]
    other.execute("COMMIT")
    assert bad(db) == set()
    other.close()


def test_bug_a_statement_in_its_first_step_was_no_transaction(db, wal_path):
    """An aggregate, a sort or an INSERT from a SELECT spends all its time there."""
    write(db, 1)
    db.execute("SELECT wal_set('long_transaction.warning', 1100)")
    other = connect(wal_path, check_same_thread=False)
    other.execute("SELECT wal_application_name('the report')").fetchall()
    endless = "SELECT count(*) FROM t, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)"

    def report():
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            other.execute(endless).fetchall()
    thread = threading.Thread(target=report)
    thread.start()
    wait_for(lambda: "long_transaction" in bad(db))
    assert re.match("one transaction is open for .* s: the report .*WITH RECURSIVE", health(db)["long_transaction"]["detail"])
    oldest = re.search(r'\nwalmanager_oldest_transaction_seconds\{.*\} ([0-9.]+)\n', one(db, "SELECT wal_openmetrics()"))
    assert float(oldest[1]) > 1
    other.interrupt()
    thread.join()
    assert "long_transaction" not in bad(db)
    other.close()


def test_bug_checkpoints_that_waited_for_a_reader_were_the_disks_fault(db, wal_path):
    reader = connect(wal_path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    write(db, 1)
    db.execute("PRAGMA busy_timeout=1")
    db.execute("SELECT wal_set('checkpoint_duration.warning', 0.0001)")
    for _ in range(12):
        result = json.loads(one(db, "SELECT wal_checkpoint('FULL')"))
        assert (result["busy"], result["moved_frames"]) == (1, 0)
    assert health(db)["checkpoint_duration"]["detail"] == "no program waited for a checkpoint in the last hour"
    reader.close()


def test_an_unfinished_statement(sampled, wal_path):
    db = sampled
    write(db, 20)
    db.execute("SELECT wal_set('unfinished_statement.warning', 100)")
    other = connect(wal_path)
    cursor = other.execute("SELECT id FROM t")
    cursor.fetchone()
    wait_for(lambda: bad(db) == {"unfinished_statement"})
    assert "SELECT id FROM t" in health(db)["unfinished_statement"]["detail"]
    cursor.fetchone()
    wait_for(lambda: bad(db) == set())
    cursor.close()
    wait_for(lambda: bad(db) == set())
    other.close()


def test_a_process_that_is_not_managed(db, wal_path):
    write(db, 1)
    with Holder(wal_path):
        assert bad(db) == {"unmanaged_processes"}
        row = health(db)["unmanaged_processes"]
        assert row["detail"] == "1 process has the database open without walmanager: " \
                                "its statements are not measured, and its checkpoints are not guarded"
        assert row["recommendation"] == "load walmanager in this process, too"
        with Holder(wal_path):
            row = health(db)["unmanaged_processes"]
            assert row["detail"] == "2 processes have the database open without walmanager: " \
                                    "their statements are not measured, and their checkpoints are not guarded"
            assert row["recommendation"] == "load walmanager in these processes, too"
    assert bad(db) == set()


def test_upgrades(sampled, wal_path):
    db = sampled
    write(db, 10)
    db.execute("SELECT wal_set('transactions_upgraded.warning', 3)")
    for _ in range(5):
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM t").fetchall()
        db.execute("INSERT INTO t(payload) VALUES (1)")
        db.execute("COMMIT")
    wait_for(lambda: "transactions_upgraded" in bad(db))


def test_free_pages(db):
    db.execute("PRAGMA synchronous=NORMAL")
    write(db, 400, 4000)
    db.execute("PRAGMA synchronous=NORMAL")
    assert bad(db) == set()
    db.execute("DELETE FROM t")
    assert bad(db) == {"freelist"}
    db.execute("VACUUM")
    assert bad(db) == set()


def test_a_corrupt_page(tmp_path):
    path = tmp_path / "corrupt.db"
    bare = connect(path, load=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    bare.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
                 "INSERT INTO t SELECT i, zeroblob(100) FROM n")
    bare.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    bare.close()
    with open(path, "r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xff" * 4096)
    db = connect(path)
    db.execute("PRAGMA synchronous=NORMAL")
    assert health(db)["integrity"]["status"] == "unknown"
    for kind in ("quick", "full"):
        text = one(db, f"SELECT wal_integrity_check('{kind}')")
        assert text != "ok"
        row = health(db)["integrity"]
        assert row["status"] == "critical"
        assert text.splitlines()[0][:40] in row["detail"]
    assert "integrity" in bad(db)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "none.db"
    path.write_bytes(b"not a database at all" * 500)
    db = connect(path)
    assert "not a database" in one(db, "SELECT wal_integrity_check()")


# --- wal_integrity_check

def test_integrity_is_kept_as_evidence(db):
    write(db, 1)
    assert health(db)["integrity"]["status"] == "unknown"
    assert one(db, "SELECT wal_integrity_check()") == "ok"
    row = health(db)["integrity"]
    assert row["status"] == "ok" and "(quick)" in row["detail"]
    assert one(db, "SELECT wal_integrity_check('full')") == "ok"
    assert one(db, "SELECT integrity_kind FROM wal_environment") == "full"
    assert one(db, "SELECT integrity_findings FROM wal_environment") == 0


def test_bug_what_the_first_connection_found_was_kept_for_nobody(wal_path):
    """The database had no control file yet."""
    with contextlib.closing(connect(wal_path)) as first:
        assert one(first, "SELECT wal_integrity_check()") == "ok"
    with contextlib.closing(connect(wal_path)) as second:
        assert health(second)["integrity"]["status"] == "ok"


def test_foreign_keys_are_part_of_it(db):
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent)")
    db.execute("INSERT INTO child VALUES (5, 7)")
    assert one(db, "SELECT wal_integrity_check()") == "foreign key: table child row 5 refers to a row that is not in parent"
    assert health(db)["integrity"]["status"] == "critical"
    db.execute("INSERT INTO parent VALUES (7)")
    assert one(db, "SELECT wal_integrity_check()") == "ok"
    assert health(db)["integrity"]["status"] == "ok"


def test_a_million_broken_references_are_a_hundred_lines(db):
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent)")
    rows_into(db, 100, "child", payload="i")
    assert len(one(db, "SELECT wal_integrity_check()").splitlines()) == 100
    rows_into(db, 1_000_000, "child", first=101, payload="i")
    lines = one(db, "SELECT wal_integrity_check()").splitlines()
    assert len(lines) == 101 and lines[-1] == "there are more findings than these 100"
    assert one(db, "SELECT integrity_findings FROM wal_environment") == 101


def test_integrity_check_can_be_interrupted(db):
    db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) "
               "INSERT INTO t SELECT i, i FROM n")
    db.execute("CREATE INDEX by_payload ON t(payload)")
    one(db, "SELECT wal_integrity_check()")
    before = one(db, "SELECT integrity_at FROM wal_environment")
    steps = []
    db.set_progress_handler(lambda: len(steps) > 20 or steps.append(1), 1000)
    assert "interrupted" in error(db, "SELECT wal_integrity_check('full')")
    db.set_progress_handler(None, 0)
    assert one(db, "SELECT integrity_at FROM wal_environment") == before


def test_integrity_check_of_a_wrong_kind_an_unknown_schema_and_memory(db, tmp_path):
    assert error(db, "SELECT wal_integrity_check('deep')") == \
        "wal_integrity_check: kind 'deep' is not 'quick' or 'full'"
    assert "not one of main" in error(db, "SELECT wal_integrity_check('quick', 'nowhere')")
    assert one(connect(":memory:"), "SELECT wal_integrity_check()") == "ok"


def test_an_old_integrity_check_is_a_warning(db):
    write(db, 1)
    one(db, "SELECT wal_integrity_check()")
    db.execute("SELECT wal_set('integrity.warning', 0)")
    assert bad(db) == {"integrity"}


def test_an_old_backup_is_a_warning(db, tmp_path):
    write(db, 1)
    db.execute("PRAGMA synchronous=NORMAL")
    assert health(db)["backup_age"]["status"] == "unknown"
    one(db, "SELECT wal_backup(?)", str(tmp_path / "copy.db"))
    assert health(db)["backup_age"]["status"] == "ok"
    assert str(tmp_path / "copy.db") in health(db)["backup_age"]["detail"]
    db.execute("SELECT wal_set('backup_age.warning', 0)")
    assert bad(db) == {"backup_age"}
    assert "wal_backup" in health(db)["backup_age"]["recommendation"]


# --- wal_environment

def test_environment(db, wal_path):
    write(db, 10)
    cursor = db.execute("SELECT * FROM wal_environment")
    row = dict(zip([column[0] for column in cursor.description], cursor.fetchone()))
    assert row["sqlite_version"] == sqlite3.sqlite_version
    assert (row["tables"], row["tables_with_references"], row["tables_with_statistics"]) == (1, 0, 0)
    assert row["page_count"] == one(db, "PRAGMA page_count")
    assert row["cache_size_bytes"] == 2000 * 1024
    stat = os.statvfs(wal_path)
    assert row["file_system_bytes"] == stat.f_blocks * stat.f_frsize
    assert row["file_system"]
    db.execute("ANALYZE")
    assert one(db, "SELECT tables_with_statistics FROM wal_environment") in (0, 1)




# --- recommendations that are followed to the letter

def mended(db, check, schema="main"):
    """Runs the statement that a check recommends, up to its explanation."""
    db.execute(health(db, schema)[check]["recommendation"].split(":")[0]).fetchall()
    assert health(db, schema)[check]["status"] == "ok"


def test_a_recommendation_names_the_database_that_it_is_about(db, tmp_path):
    write(db, 1)
    db.execute("ATTACH ? AS \"it's\"", (str(tmp_path / "other.db"),))
    db.execute('CREATE TABLE "it\'s".u(x)')
    mended(db, "journal_mode", "it's")
    db.execute('PRAGMA "it\'s".synchronous=OFF')
    db.execute("SELECT wal_strategy('off', ?)", ("it's",))
    mended(db, "synchronous", "it's")
    mended(db, "strategy", "it's")
    mended(db, "integrity", "it's")
    assert health(db)["integrity"]["status"] == "unknown"


def test_a_column_whose_name_ends_in_references_is_no_foreign_key(db):
    write(db, 1)
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("CREATE TABLE users(id INTEGER PRIMARY KEY, preferences TEXT, \"references\" TEXT /* REFERENCES t */)")
    assert bad(db) == set()
    assert one(db, "SELECT tables_with_references FROM wal_environment") == 0
    db.execute("CREATE TABLE child(parent REFERENCES users)")
    assert health(db)["foreign_keys"]["detail"].startswith("1 table declares foreign keys, which 1 connection that writes does not enforce: ")


def test_a_check_without_a_measurement_recommends_nothing(db):
    write(db, 1)
    for name, row in health(db).items():
        assert row["status"] != "unknown" or row["recommendation"] is None or name == "integrity"


def test_a_log_that_starts_over_at_the_next_commit_is_well(db):
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("SELECT wal_set('wal_limit_bytes', 65536), wal_set('checkpoint_frames', 100000000)")
    db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
               "INSERT INTO t(payload) SELECT zeroblob(3000) FROM n")
    wait_for(lambda: metrics(db)["pending_frames"] == 0)
    assert metrics(db)["wal_frames"] > 200
    row = health(db)["wal_size"]
    assert row["status"] == "ok" and "the next commit starts it over" in row["detail"], row
    assert bad(db) == set()


def test_frames_have_not_waited_since_before_they_were_written(db, wal_path):
    db.execute("SELECT wal_set('checkpoint_frames', 10), wal_set('checkpoint_progress.warning', 2)")
    write(db, 99, 1000)
    wait_for(lambda: metrics(db)["pending_frames"] <= 10)
    time.sleep(2.5)
    reader = snapshot(wal_path)
    db.execute("INSERT INTO t(payload) SELECT zeroblob(3000) FROM t")
    assert metrics(db)["pending_frames"] > 10
    # Until a checkpoint has met the reader, it is not known since when it is there.
    wait_for(lambda: one(db, "SELECT result FROM wal_checkpoints LIMIT 1") == "partial" and
         health(db)["checkpoint_progress"]["status"] == "ok", seconds=1.9)
    wait_for(lambda: "checkpoint_progress" in bad(db))
    reader.close()


def test_one_slow_statement_or_commit_is_no_percentile(sampled):
    db = sampled
    db.execute("SELECT wal_set('query_latency.warning', 5), wal_set('commit_latency.warning', 5)")
    db.create_function("pause", 1, lambda ms: time.sleep(ms / 1000))
    db.execute("INSERT INTO t(payload) SELECT pause(20)")
    wait_for(lambda: health(db)["commit_latency"]["status"] != "unknown")
    wait_for(lambda: "fewer than 10" in health(db)["commit_latency"]["detail"])
    assert not bad(db, speed=True) & {"commit_latency", "query_latency"}


def test_the_history_has_the_score_that_is_shown(sampled):
    db = sampled
    db.execute("PRAGMA synchronous=NORMAL")
    write(db, 50)
    db.execute("PRAGMA synchronous=NORMAL")
    wait_for(lambda: health(db)["overall"]["score"] ==
         one(db, "SELECT (SELECT health_score FROM wal_history WHERE resolution_ms = 20 ORDER BY at DESC LIMIT 1)"))


def test_an_empty_database(tmp_path):
    db = connect(tmp_path / "empty.db")
    assert health(db)["freelist"]["status"] == "ok"
    assert health(db)["freelist"]["detail"] == "the database is empty"


def test_numbers_have_the_type_that_is_declared(db):
    write(db, 1)
    for column in ("value", "warning_at", "critical_at"):
        found = db.execute(f"SELECT DISTINCT typeof({column}) FROM system_health").fetchall()
        assert set(found) <= {("real",), ("null",)}, column


# --- findings, a line each

def test_each_line_is_a_finding(db, wal_path):
    db.execute("CREATE INDEX by_payload ON t(payload)")
    write(db, 200, 400)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA writable_schema=ON")
    db.execute("DELETE FROM sqlite_schema WHERE name = 'by_payload'")
    db.close()
    db = connect(wal_path)
    lines = one(db, "SELECT wal_integrity_check()").splitlines()
    assert len(lines) > 5 and all(line.endswith("is never used") for line in lines)
    assert one(db, "SELECT integrity_findings FROM wal_environment") == len(lines)
    assert one(db, "SELECT integrity_finding FROM wal_environment") == lines[0]


def test_the_same_error_is_one_finding(tmp_path):
    path = tmp_path / "none.db"
    path.write_bytes(b"not a database at all" * 500)
    assert one(connect(path), "SELECT wal_integrity_check()") == "file is not a database"


def test_a_foreign_key_that_cannot_be_checked_is_a_finding_and_hides_none(db):
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY, name)")
    db.execute("CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent)")
    db.execute("CREATE TABLE \"the other's\"(name REFERENCES parent(name))")
    db.execute("INSERT INTO child VALUES (5, 7)")
    assert one(db, "SELECT wal_integrity_check()").splitlines() == [
        "foreign key: table child row 5 refers to a row that is not in parent",
        "foreign key mismatch - \"the other's\" referencing \"parent\""]
    row = health(db)["integrity"]
    assert row["detail"].startswith("2 findings at ")
    assert row["recommendation"].startswith("PRAGMA foreign_key_check shows them") and "backup" not in row["recommendation"]
    db.execute("CREATE UNIQUE INDEX parent_name ON parent(name)")
    db.execute("DELETE FROM child")
    assert one(db, "SELECT wal_integrity_check()") == "ok"


def test_evidence_of_before_the_control_file_goes_into_it(tmp_path):
    path = tmp_path / "quiet.db"
    db = connect(path)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    assert one(db, "SELECT wal_integrity_check()") == "ok"
    assert not os.path.exists(f"{path}-walmanager")  # it is in rollback mode
    db.execute("PRAGMA journal_mode=WAL")
    write(db, 1)
    assert health(db)["integrity"]["status"] == "ok"
    assert health(connect(path))["integrity"]["status"] == "ok"


def test_a_process_of_another_pid_namespace_is_managed(db, wal_path):
    code = f"""
import sqlite3, sys
db = sqlite3.connect({str(wal_path)!r}, isolation_level=None)
db.enable_load_extension(True); db.load_extension({EXTENSION!r})
db.execute("INSERT INTO t(payload) VALUES (1)")
print("ready", flush=True); sys.stdin.readline()
"""
    write(db, 1)
    child = subprocess.Popen(["unshare", "-p", "-f", "--mount-proc", sys.executable, "-c", code], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if child.stdout.readline() != "ready\n":
        child.communicate()
        pytest.skip("a pid namespace is not permitted here")
    db.execute("PRAGMA synchronous=NORMAL")
    assert (metrics(db)["processes"], metrics(db)["unmanaged_processes"]) == (2, 0)
    assert bad(db) == set()
    child.communicate("\n")


# --- what a program asked for and SQLite ignored

def test_page_size_and_auto_vacuum_that_had_no_effect(wal_path):
    db = connect(wal_path)
    write(db, 5)
    assert health(db)["page_layout"]["status"] == "ok"
    db.execute("PRAGMA page_size=4096")  # as it is
    db.execute("PRAGMA auto_vacuum=NONE")
    assert health(db)["page_layout"]["status"] == "ok"
    db.execute("PRAGMA page_size=8192")
    row = health(db)["page_layout"]
    assert (row["status"], row["detail"]) == \
        ("warning", "a program set PRAGMA page_size=8192, the pages of the database have 4096 bytes")
    assert "PRAGMA journal_mode=DELETE, PRAGMA page_size=8192, VACUUM, PRAGMA journal_mode=WAL" in row["recommendation"]
    db.execute("PRAGMA main.auto_vacuum = 'incremental'")
    assert health(db)["page_layout"]["detail"].endswith("PRAGMA auto_vacuum=incremental, which had no effect, either")
    # A connection that looks later sees it, too.
    other = connect(wal_path)
    assert other.execute("SELECT page_size_wished, auto_vacuum_wished FROM wal_environment").fetchall() == \
        [(8192, "incremental")]
    other.close()
    # The recommendation cures it.
    for sql in ("journal_mode=DELETE", "page_size=8192", "auto_vacuum=incremental"):
        db.execute(f"PRAGMA {sql}").fetchall()
    db.execute("VACUUM")
    assert db.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    assert health(db)["page_layout"]["status"] == "ok"
    assert one(db, "PRAGMA page_size") == 8192 and one(db, "PRAGMA auto_vacuum") == 2
    db.close()


def test_page_size_set_before_the_first_page_is_no_finding(tmp_path):
    db = connect(tmp_path / "new.db")
    for sql in ("page_size=8192", "auto_vacuum=FULL", "journal_mode=WAL"):
        db.execute(f"PRAGMA {sql}").fetchall()
    db.execute("CREATE TABLE t(payload)")
    assert health(db)["page_layout"]["status"] == "ok"
    db.close()
    late = connect(tmp_path / "late.db")
    for sql in ("journal_mode=WAL", "page_size=8192", "auto_vacuum=FULL"):
        late.execute(f"PRAGMA {sql}").fetchall()
    late.execute("CREATE TABLE t(payload)")
    assert late.execute("SELECT page_size_wished, auto_vacuum_wished FROM wal_environment").fetchall() == [(8192, "full")]
    late.close()


# --- what surrounds the database

def test_a_database_file_that_is_mounted_without_its_directory(tmp_path):
    outside, inside = tmp_path / "outside.db", tmp_path / "container" / "my data.db"
    inside.parent.mkdir()
    outside.touch()
    inside.touch()
    made = subprocess.run(["mount", "--bind", outside, inside], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip("no bind mount can be made here: " + made.stderr.strip())
    try:
        db = connect(inside)
        db.execute("PRAGMA journal_mode=WAL").fetchall()
        db.execute("CREATE TABLE t(payload)")
        row = health(db)["mounted_alone"]
        assert (row["status"], row["area"]) == ("critical", "storage")
        assert row["detail"].startswith(f"only the database file is mounted at {inside}: its log lies in the directory")
        assert row["recommendation"] == "mount the directory that holds the database, not the file"
        assert one(db, "SELECT mounted_alone FROM wal_environment") == 1
        db.close()
    finally:
        subprocess.run(["umount", "-l", inside], check=True)


def test_a_database_in_a_directory_that_is_mounted_is_no_finding(db):
    write(db, 1)
    assert (one(db, "SELECT mounted_alone FROM wal_environment"), health(db)["mounted_alone"]["status"]) == (0, "ok")


TWO_COPIES = """
import ctypes, json, shutil, sqlite3, sys
path, extension, directory = sys.argv[1:]
def health(db):
    return db.execute("SELECT status, value, detail FROM system_health WHERE check_name = 'engine_copies'").fetchone()
db = sqlite3.connect(path, isolation_level=None)
db.enable_load_extension(True)
db.load_extension(extension)
db.execute("INSERT INTO t(payload) VALUES (1)")
# Several connections of one copy are one copy.
others = [sqlite3.connect(path) for _ in range(3)]
for other in others: other.execute("SELECT count(*) FROM t").fetchall()
one_copy = health(db)
library = next(line.split()[-1] for line in open("/proc/self/maps") if "libsqlite3" in line)
shutil.copy(library, directory + "/copy.so")
copy = ctypes.CDLL(directory + "/copy.so")
handle = ctypes.c_void_p()
assert copy.sqlite3_open(path.encode(), ctypes.byref(handle)) == 0
assert copy.sqlite3_exec(handle, b"SELECT count(*) FROM t", None, None, None) == 0
print(json.dumps([one_copy, health(db)]))
sys.stdout.flush()
import os; os._exit(0)
"""


def test_two_copies_of_sqlite_in_one_process_have_the_database_open(wal_path, tmp_path):
    ran = subprocess.run([sys.executable, "-c", TWO_COPIES, str(wal_path), EXTENSION, str(tmp_path)],
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    one_copy, two_copies = json.loads(ran.stdout)
    assert one_copy == ["ok", 1, "one copy of SQLite in this process has the log open"]
    assert two_copies[:2] == ["critical", 2]
    assert two_copies[2].startswith("2 copies of SQLite in this process have the log open")

