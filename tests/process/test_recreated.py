"""A database is deleted and made anew at the same path, with the same inode number if the file system reuses
it. Statistics begin again with the new database, and settings stay."""

import os
import pathlib

import pytest

from conftest import connect, metrics, one
from waiting import poll
from workers import worker  # noqa: F401 (fixtures among them)


def delete(path):
    """The database and what SQLite has beside it; not the control file."""
    for suffix in ("", "-wal", "-shm"):
        pathlib.Path(f"{path}{suffix}").unlink(missing_ok=True)


def make(path, **options):
    db = connect(path, **options)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=OFF")
    return db


def commits_of(db):
    return metrics(db)["commits"]


def rewritten(path, first, second):
    """Lets first(db) live, deletes the database, and lets second(db) live in one with the same inode number."""
    for _ in range(20):
        db = make(path)
        first(db)
        db.close()
        inode = os.stat(path).st_ino
        delete(path)
        db = make(path)
        if os.stat(path).st_ino == inode:
            second(db)
            db.close()
            return
        db.close()
        delete(path)
    pytest.skip("this file system gives another number to each file")


def test_a_database_made_anew_under_the_same_inode_number_is_another_one(tmp_path):
    path = tmp_path / "app.db"

    def first(db):
        db.execute("CREATE TABLE first(x)")
        one(db, "SELECT wal_set('checkpoint_frames', 7)")
        one(db, "SELECT wal_strategy('low_latency')")
        one(db, "SELECT wal_integrity_check()")
        for _ in range(20):
            db.execute("INSERT INTO first VALUES (1)")
        assert one(db, "SELECT integrity_at FROM wal_environment") is not None

    def second(db):
        db.execute("CREATE TABLE second(x)")
        for _ in range(10):
            db.execute("INSERT INTO second VALUES (1)")
        assert commits_of(db) == 11
        assert one(db, "SELECT integrity_at FROM wal_environment") is None
        assert one(db, "SELECT count(*) FROM query_performance WHERE query LIKE '%first%'") == 0
        row = metrics(db)
        assert (row["strategy"], row["statistics_file"]) == ("low_latency", f"{path}-walmanager")
        assert one(db, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'") == 7

    rewritten(path, first, second)


def test_one_that_this_process_still_has_open_is_not_mixed_with_the_new_one(tmp_path):
    path = tmp_path / "app.db"
    old = make(path)
    old.execute("CREATE TABLE old(x)")
    one(old, "SELECT wal_set('checkpoint_frames', 300)")
    one(old, "SELECT wal_integrity_check()")
    for _ in range(50):
        old.execute("INSERT INTO old VALUES (1)")
    delete(path)
    new = make(path)
    new.execute("CREATE TABLE new(x)")
    for _ in range(20):
        new.execute("INSERT INTO new VALUES (1)")
        old.execute("INSERT INTO old VALUES (1)")
    assert commits_of(new) == 21
    assert one(new, "SELECT count(*) FROM connection_metrics WHERE role = 'application'") == 1
    assert one(new, "SELECT integrity_at FROM wal_environment") is None
    assert one(new, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'") == 300
    # The old one lets go of the control file, which then becomes the new one's.
    def let_go():
        old.execute("INSERT INTO old VALUES (1)")
        new.execute("INSERT INTO new VALUES (1)")
        return metrics(new)["statistics_file"] is not None and metrics(old)["statistics_file"] is None
    assert poll(let_go, True, seconds=10)
    assert metrics(old)["private_because"] == "the database was deleted, and another file is at its path"
    assert one(new, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'") == 300
    assert one(new, "SELECT integrity_at FROM wal_environment") is None
    assert one(new, "SELECT count(*) FROM query_performance WHERE query LIKE '%INTO old%'") == 0
    assert one(old, "PRAGMA integrity_check") == "ok" and one(new, "PRAGMA integrity_check") == "ok"
    old.close()
    new.close()


def test_another_process_that_has_the_old_one_open_lets_go_too(tmp_path, worker):
    path = tmp_path / "app.db"
    make(path).close()
    other = worker(path)
    other.run("db.execute('CREATE TABLE old(x)')\nfor _ in range(20): db.execute('INSERT INTO old VALUES (1)')")
    delete(path)
    new = make(path)
    new.execute("CREATE TABLE new(x)")

    def adopted():
        other.run("db.execute('INSERT INTO old VALUES (1)')")
        new.execute("INSERT INTO new VALUES (1)")
        return metrics(new)["statistics_file"] is not None
    assert poll(adopted, True, seconds=10)
    assert one(new, "SELECT count(*) FROM query_performance WHERE query LIKE '%old%'") == 0
    new.close()
