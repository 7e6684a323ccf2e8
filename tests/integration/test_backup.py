"""wal_backup: a plain database with the content of one moment, made beside writers, visible while it runs, and interruptible."""

import json
import os
import pathlib
import threading
import time

import pytest

from backups import Background, backup, content, copying, refusal, slow, target  # noqa: F401 (a fixture among them)
from conftest import connect, one
from helpers import apsw_connect, error, rows_into
from waiting import wait_for

FIELDS = ["path", "pages", "bytes", "duration_ms", "verified", "wal_growth_bytes"]


# --- what it makes

def test_the_copy_is_a_plain_database(db, wal_path, target):
    rows_into(db, 300)
    before = content(wal_path)
    done = backup(db, target)
    assert list(done) == FIELDS
    assert (done["path"], done["verified"], done["wal_growth_bytes"]) == (str(target), True, 0)
    assert done["bytes"] == target.stat().st_size == done["pages"] * 4096
    assert os.listdir(target.parent) == ["copy.db"]
    assert target.read_bytes()[18:20] == b"\1\1"
    assert content(target) == before
    assert os.listdir(target.parent) == ["copy.db"]
    assert target.stat().st_mode == pathlib.Path(wal_path).stat().st_mode
    assert one(db, "PRAGMA journal_mode") == "wal"


@pytest.mark.parametrize("page_size", [512, 1024, 65536])
def test_page_sizes(tmp_path, target, page_size):
    db = connect(tmp_path / "sized.db")
    db.execute(f"PRAGMA page_size={page_size}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    rows_into(db, 50)
    done = backup(db, target, pages_per_step=7)
    assert done["bytes"] == done["pages"] * page_size
    assert len(content(target)) == 50
    db.close()


def test_a_database_without_any_page_backs_up_as_an_empty_one(tmp_path, target):
    for name, pragma in ("rollback.db", "PRAGMA page_size=1024"), (":memory:", "PRAGMA cache_size=10"):
        db = connect(tmp_path / name if name != ":memory:" else name)
        db.execute(pragma)
        done = backup(db, target, overwrite=True)
        assert (done["pages"], done["verified"]) == (1, True)
        assert done["bytes"] == target.stat().st_size == one(db, "PRAGMA page_size")
        copy = connect(target, load=None)
        assert copy.execute("SELECT * FROM sqlite_master").fetchall() == []
        assert one(copy, "PRAGMA integrity_check") == "ok"
        copy.close()
        db.close()


def test_a_relative_path_is_told_in_full(db, target, monkeypatch):
    monkeypatch.chdir(target.parent)
    assert backup(db, "copy.db", verify=False)["path"] == str(target)
    assert target.exists()


def test_the_last_backup_is_in_wal_environment_and_health(db, target):
    sql = "SELECT backup_at IS NOT NULL, backup_path, backup_bytes FROM wal_environment"
    age = "SELECT status FROM system_health WHERE check_name = 'backup_age'"
    assert db.execute(sql).fetchall() == [(0, None, None)]
    done = backup(db, target)
    assert db.execute(sql).fetchall() == [(1, str(target), done["bytes"])]
    assert db.execute(age).fetchall() == [("ok",)]


def test_databases_that_walmanager_cannot_open_are_copied_on_the_programs_connection(tmp_path, wal_path, target):
    def copied(db, schema="main"):
        backup(db, target, schema, overwrite=True, pages_per_step=3)
        return len(content(target))
    db = connect(wal_path)
    rows_into(db, 40)
    db.execute("ATTACH ':memory:' AS m")
    db.execute("CREATE TABLE m.t(id INTEGER PRIMARY KEY, payload)")
    rows_into(db, 30, "m.t")
    db.execute("ATTACH ? AS rollback", (str(tmp_path / "rollback.db"),))
    db.execute("CREATE TABLE rollback.t(id INTEGER PRIMARY KEY, payload)")
    rows_into(db, 20, "rollback.t")
    assert (copied(db, "m"), copied(db, "rollback"), copied(db)) == (30, 20, 40)
    db.close()
    alone = connect(wal_path)
    alone.execute("PRAGMA locking_mode=EXCLUSIVE")
    rows_into(alone, 5, first=100)
    assert copied(alone) == 45
    alone.close()
    read_only = connect(f"file:{wal_path}?mode=ro", uri=True)
    assert copied(read_only) == 45
    read_only.close()


def test_through_a_vfs_of_the_hosts(wal_path, target):
    import apsw
    opened = []

    class Vfs(apsw.VFS):
        def __init__(self):
            super().__init__("mine", "unix")

        def xOpen(self, name, flags):
            opened.append(name.filename() if isinstance(name, apsw.URIFilename) else name)
            return super().xOpen(name, flags)

    vfs = Vfs()
    db = apsw_connect(wal_path, vfs="mine")
    rows_into(db, 40)
    message = error(db, "SELECT wal_restore(?)", str(wal_path))
    assert "is the database itself" in message
    backup(db, target, pages_per_step=1)
    assert any(str(name).startswith(f"{target}-walmanager-") for name in opened)
    assert len(content(target)) == 40
    assert error(db, "SELECT wal_restore(?)", str(target)).endswith(
        "wal_restore: schema 'main' cannot be restored: the VFS 'mine' is the host's own")
    db.close()
    vfs.unregister()


# --- beside writers

def test_a_writer_that_commits_all_the_time_does_not_starve_it(db, wal_path, target):
    """SQLite's own stepped backup starts over at each commit of another connection, and would never end here."""
    rows_into(db, 1600, payload="zeroblob(1000)")
    db.execute("CREATE TABLE pair(a, b)")
    db.execute("INSERT INTO pair VALUES (0, 0)")
    stop = threading.Event()
    commits = [0]

    def write():
        writer = connect(wal_path, timeout=20)
        writer.execute("PRAGMA synchronous=OFF")
        while not stop.is_set():
            writer.execute("UPDATE pair SET a = a + 1, b = b + 1")
            commits[0] += 1
        writer.close()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait_for(lambda: commits[0] > 10)
        first = commits[0]
        done = backup(db, target, pages_per_step=5, pause_ms=1)
        last = commits[0]
    finally:
        stop.set()
        thread.join()
    steps = done["pages"] // 5
    assert last - first > steps >= 80
    copy = connect(target, load=None)
    a, b = copy.execute("SELECT a, b FROM pair").fetchone()
    copy.close()
    # The copy is of the moment of its start: it lacks most commits made meanwhile.
    assert a == b and first <= a < (first + last) / 2
    assert len(content(target)) == 1600


def test_pages_that_are_read_along_are_of_the_snapshot(db, wal_path, target):
    """The source is read in pieces of many pages, beside commits in all of it and SQLite's own checkpoints."""
    db.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER, filling BLOB)")
    db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 4000) "
               "INSERT INTO account SELECT i, 0, zeroblob(900) FROM n")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stop = threading.Event()
    moved = [0, 0]

    def transfer():
        writer = connect(wal_path, load=None, timeout=20)
        writer.execute("PRAGMA synchronous=OFF")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        while not stop.is_set():
            writer.execute("WITH c(a, b) AS MATERIALIZED (SELECT abs(random()) % 2000 + 1, abs(random()) % 2000 + 2001) "
                           "UPDATE account SET amount = amount + iif(id > 2000, 1, -1) FROM c WHERE id IN (a, b)")
            moved[0] += 1
        writer.close()

    def checkpoint():
        other = connect(wal_path, load=None, timeout=20)
        while not stop.is_set():
            moved[1] += other.execute("PRAGMA wal_checkpoint").fetchone()[2] > 0
            time.sleep(0.001)
        other.close()
    threads = [threading.Thread(target=run) for run in (transfer, checkpoint)]
    for thread in threads:
        thread.start()
    try:
        assert wait_for(lambda: moved[0] > 0)  # the first copy has some of it, too
        for pages_per_step in (30, 100, 1000, 30):
            before = list(moved)
            backup(db, target, pages_per_step=pages_per_step, pause_ms=1, overwrite=True)
            assert wait_for(lambda: moved[0] > before[0] and moved[1] > before[1])
            copy = connect(target, load=None)
            assert copy.execute("SELECT sum(amount), sum(id > 2000) FROM account").fetchone() == (0, 2000)
            assert copy.execute("SELECT sum(abs(amount)) FROM account").fetchone()[0] > 0
            copy.close()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_growth_of_the_log_is_told_and_bounded(db, wal_path, target):
    rows_into(db, 300)
    observer = connect(wal_path)
    running = Background(connect(wal_path, check_same_thread=False), *slow(target, max_wal_growth_bytes=100_000))
    copying(observer)
    rows_into(observer, 1, first=1000, payload="zeroblob(300000)")
    message = str(running.end())
    growth = int(message.split("grown by ")[1].split()[0])
    assert message == (f"wal_backup: the -wal file has grown by {growth} bytes during the copy; "
                       "max_wal_growth_bytes is 100000")
    assert growth >= 300_000
    assert os.listdir(target.parent) == []
    options = {"pages_per_step": 1, "pause_ms": 10}
    running = Background(connect(wal_path, check_same_thread=False), "SELECT wal_backup(?, ?)", str(target),
                         json.dumps(options))
    copying(observer)
    rows_into(observer, 1, first=1001, payload="zeroblob(1000000)")
    assert json.loads(running.end()[0][0])["wal_growth_bytes"] > 500_000
    assert len(content(target)) == 301
    observer.close()


def test_a_backup_is_in_connection_metrics_while_it_runs(db, wal_path, target):
    rows_into(db, 300)
    copier = connect(wal_path, check_same_thread=False)
    running = Background(copier, *slow(target))
    row = copying(db)
    assert (row["role"], row["application"], row["file"]) == ("backup", "walmanager backup", str(wal_path))
    assert row["transaction_state"] == "read"
    assert 0 < row["pages_done"] < row["pages_total"]
    rows_into(db, 1, first=1000)
    readers = {row["application"]: row for row in db.execute("SELECT * FROM wal_readers")}
    assert readers["walmanager backup"]["blocks"] == "checkpoint"
    assert readers["walmanager backup"]["pid"] == os.getpid()
    copier.interrupt()
    assert str(running.end()) == "wal_backup: interrupted"
    assert list(db.execute("SELECT 1 FROM connection_metrics WHERE role = 'backup'")) == []
    assert [tuple(row) for row in db.execute("SELECT DISTINCT pages_done, pages_total FROM connection_metrics")] \
        == [(None, None)]


@pytest.mark.parametrize("options", [{}, {"pages_per_step": 1000, "pause_ms": 20_000}])
def test_an_interrupt_ends_it_and_nothing_is_left(db, wal_path, target, options):
    rows_into(db, 8000, payload="zeroblob(1000)")
    copier = connect(wal_path, check_same_thread=False)
    running = Background(copier, *slow(target, **options))
    copying(db)
    copier.interrupt()
    assert str(running.end()) == "wal_backup: interrupted"
    assert os.listdir(target.parent) == []
    assert one(copier, "SELECT count(*) FROM t") == 8000


def test_a_progress_handler_ends_it(db, target):
    rows_into(db, 300)
    calls = []
    db.set_progress_handler(lambda: calls.append(1) or len(calls) > 20, 1000)
    sql, *parameters = slow(target)
    assert error(db, sql, *parameters) == "wal_backup: interrupted"
    db.set_progress_handler(None, 0)
    assert os.listdir(target.parent) == []
