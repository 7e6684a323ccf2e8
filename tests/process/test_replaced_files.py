"""-wal and -shm are deleted or replaced while a process has the database open: a clean-up script, a sync tool,
a restore. Commits of the process are kept as bare SQLite keeps them, and system_health says what happened."""

import json
import os
import sqlite3
import time

import pytest

from conftest import connect, metrics, one
from waiting import poll
from workers import fast_path, integrity, worker  # noqa: F401 (fixtures among them)

SECOND_PROCESS = """
db.execute("PRAGMA wal_autocheckpoint=0")
db.execute("PRAGMA synchronous=OFF")
"""


def write(db, mark, rows):
    for _ in range(rows):
        db.execute("INSERT INTO t(payload) VALUES (? || hex(randomblob(1500)))", (mark,))


def rows_of(path, mark):
    db = connect(path, None)
    try:
        return one(db, "SELECT count(*) FROM t WHERE substr(payload, 1, 1) = ?", mark)
    finally:
        db.close()


def check(db, name="files_replaced"):
    return db.execute("SELECT status, value, detail FROM system_health WHERE check_name = ?", (name,)).fetchone()


def deleted_log_bytes():
    """The size of the -wal file that this process has open and that is no longer at its path."""
    for entry in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{entry}").endswith("/test.db-wal (deleted)"):
                return os.stat(f"/proc/self/fd/{entry}").st_size
        except FileNotFoundError:
            pass
    return None


def own_connections(db):
    return one(db, "SELECT count(*) FROM connection_metrics WHERE role = 'checkpointer'")


@pytest.fixture
def managed(fast_path):
    """A connection that has written and that has no connection of the extension's beside it now."""
    db = connect(fast_path, timeout=5)
    db.execute("PRAGMA synchronous=NORMAL")
    one(db, "SELECT wal_set('checkpoint_frames', 100)")
    write(db, "a", 100)
    yield db
    db.close()


def unlink(path, *suffixes):
    for suffix in suffixes or ("-wal", "-shm"):
        os.unlink(f"{path}{suffix}")


@pytest.mark.parametrize("pause", [0, 0.05, 0.7, 1.6, 2.5])
@pytest.mark.parametrize("moved", [False, True])
def test_a_log_made_anew_by_another_process_costs_no_row(fast_path, managed, worker, pause, moved):
    if moved:
        managed.execute("PRAGMA wal_checkpoint").fetchall()
    time.sleep(pause)  # connections of the extension are open, about to close, or closed
    unlink(fast_path)
    other = worker(fast_path, load=False)
    other.run(SECOND_PROCESS + "for _ in range(300): db.execute(\"INSERT INTO t(payload) VALUES ('b' || hex(randomblob(1500)))\")")
    other.kill()
    write(managed, "a", 600)
    time.sleep(0.2)
    write(managed, "a", 100)
    found = check(managed)
    managed.close()
    assert integrity(fast_path) == "ok"
    assert rows_of(fast_path, "a") == 800
    assert found[:2] == ("critical", 1)


def test_the_log_of_a_process_whose_files_were_deleted_stays_short(fast_path, managed):
    poll(lambda: own_connections(managed), 0)
    assert own_connections(managed) == 0
    unlink(fast_path)
    write(managed, "a", 900)

    def starts_over():
        write(managed, "a", 10)
        return metrics(managed)["wal_frames"] < 200
    assert poll(starts_over, True, seconds=20)
    assert deleted_log_bytes() is not None
    assert not os.path.exists(f"{fast_path}-wal")  # none was made at its path
    row = metrics(managed)
    assert row["checkpoints_failed"] == 0
    assert row["unguarded_because"] == "the -wal file is not to be found at its path"
    status, value, detail = check(managed)
    assert (status, value) == ("critical", 1)
    assert detail.startswith("python3 (pid %d) has test.db-" % os.getpid())
    assert "test.db-wal, which was deleted" in detail and "test.db-shm, which was deleted" in detail
    managed.close()
    assert sorted(os.listdir(fast_path.parent)) == ["test.db", "test.db-walmanager"]
    assert rows_of(fast_path, "a") >= 1010


def test_a_log_that_alone_was_replaced_is_neither_copied_nor_cut(fast_path, managed):
    """-shm stays: another log lies at the path, as after a copy of another moment was put there."""
    poll(lambda: own_connections(managed), 0)
    os.rename(f"{fast_path}-wal", f"{fast_path}-before")
    with open(f"{fast_path}-before", "rb") as before, open(f"{fast_path}-wal", "wb") as log:
        log.write(before.read(32 + 4120 * 50))
    content = open(f"{fast_path}-wal", "rb").read()
    write(managed, "a", 500)
    assert json.loads(one(managed, "SELECT wal_checkpoint('TRUNCATE')"))["complete"]
    assert open(f"{fast_path}-wal", "rb").read() == content
    assert check(managed, "checkpoint_guard")[0] == "warning"
    assert one(managed, "PRAGMA integrity_check") == "ok"
    assert one(managed, "SELECT count(*) FROM t") == 600


def test_no_function_reads_or_writes_through_another_log(fast_path, managed, worker, tmp_path):
    poll(lambda: own_connections(managed), 0)
    write(managed, "a", 20)
    poll(lambda: own_connections(managed), 0)
    backup = tmp_path / "before.db"
    managed.execute("SELECT wal_backup(?)", (str(backup),)).fetchall()
    unlink(fast_path)
    other = worker(fast_path, load=False)
    other.run(SECOND_PROCESS + "db.execute(\"INSERT INTO t(payload) VALUES ('b')\")")
    write(managed, "a", 10)
    log = os.stat(f"{fast_path}-wal").st_size
    copy = tmp_path / "copy.db"
    managed.execute("SELECT wal_backup(?)", (str(copy),)).fetchall()
    assert rows_of(copy, "a") == 130 and rows_of(copy, "b") == 0
    rows = managed.execute("SELECT data FROM read_pool('SELECT count(*) AS n FROM t')").fetchall()
    assert rows == [('{"n":130}',)]
    with pytest.raises(sqlite3.Error, match="cannot be restored"):
        managed.execute("SELECT wal_restore(?)", (str(backup),)).fetchall()
    for mode in ("PASSIVE", "RESTART", "TRUNCATE"):
        assert json.loads(one(managed, f"SELECT wal_checkpoint('{mode}')"))["complete"]
    assert os.stat(f"{fast_path}-wal").st_size == log  # it is the other process's
    assert other.call("one(db, \"SELECT count(*) FROM t WHERE payload = 'b'\")") == 1


def test_another_process_says_so_too(fast_path, managed, worker):
    unlink(fast_path)
    other = worker(fast_path)
    other.run("db.execute('SELECT count(*) FROM t').fetchall()")
    status, value, detail = other.call(
        "db.execute(\"SELECT status, value, detail FROM system_health WHERE check_name = 'files_replaced'\").fetchone()")
    assert (status, value) == ("critical", 1)
    assert f"(pid {os.getpid()}) has " in detail and "test.db-wal, which is another file now" in detail
    managed.close()
    assert poll(lambda: other.call("one(db, \"SELECT status FROM system_health WHERE check_name = 'files_replaced'\")"), "ok") == "ok"


def test_files_that_are_at_their_paths_are_well(managed):
    assert check(managed)[:2] == ("ok", 0)


def test_work_goes_on_where_the_files_agree_again(fast_path, managed):
    poll(lambda: own_connections(managed), 0)
    os.rename(f"{fast_path}-wal", f"{fast_path}-away")
    write(managed, "a", 200)
    poll(lambda: metrics(managed)["unguarded_because"] is not None, True)
    os.rename(f"{fast_path}-away", f"{fast_path}-wal")
    managed.close()
    again = connect(fast_path)
    write(again, "a", 300)
    poll(lambda: metrics(again)["checkpoints_background"] > 0, True)
    assert metrics(again)["unguarded_because"] is None
    assert check(again)[0] == "ok"
    again.close()
    assert rows_of(fast_path, "a") == 600


def test_bug_a_log_that_a_transaction_had_begun_to_write_was_taken_for_another(fast_path, worker):
    """Its frames are in the file and not in the wal-index, and the first one brought new salts."""
    writer, other = worker(fast_path), worker(fast_path)
    writer.call("one(db, \"SELECT wal_checkpoint('TRUNCATE')\")")
    writer.run(
        """
        db.execute("PRAGMA cache_size=10")
        db.execute("BEGIN")
        for _ in range(200): db.execute("INSERT INTO t(payload) VALUES (randomblob(4000))")
        """
    )
    other.call("one(db, \"SELECT wal_checkpoint('RESTART')\")")
    writer.run("db.execute('ROLLBACK')")
    other.call("one(db, \"SELECT wal_checkpoint('RESTART')\")")
    row = other.call("metrics(db)")
    assert (row["unguarded_because"], row["inline_because"]) == (None, None)
    writer.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    assert integrity(fast_path) == "ok"
