"""wal_restore replaces the content of a live database by that of a backup, completely or not at all."""

import json
import os
import sqlite3

import pytest

from conftest import connect, metrics, one
from helpers import error, files_beside, locks, report, rows_into, snapshot


@pytest.fixture
def saved(db, tmp_path):
    """A backup of `db` with 100 rows; `db` has 7 other rows since."""
    path = tmp_path / "saved.db"
    rows_into(db, 100)
    one(db, "SELECT wal_backup(?)", str(path))
    db.execute("DELETE FROM t")
    rows_into(db, 7, first=1000)
    return path


def refusal(db, path, schema="main"):
    return error(db, "SELECT wal_restore(?, ?)", str(path), schema)


def ids(db):
    return [row[0] for row in db.execute("SELECT id FROM t ORDER BY id")]


OLD, NEW = list(range(1000, 1007)), list(range(1, 101))


def test_the_content_is_that_of_the_backup(db, wal_path, saved):
    size = saved.stat().st_size
    other = connect(wal_path, load=None)
    assert ids(other) == OLD
    done = report(db, "SELECT wal_restore(?)", str(saved))
    assert list(done) == ["path", "pages", "bytes", "duration_ms", "verified"]
    assert (done["path"], done["bytes"], done["verified"]) == (str(saved), size, True)
    assert ids(db) == ids(other) == NEW
    for each in (db, other):
        assert one(each, "PRAGMA journal_mode") == "wal"
        assert one(each, "PRAGMA integrity_check") == "ok"
        each.execute("INSERT INTO t VALUES (NULL, 'after')")
    assert len(ids(db)) == 102
    other.close()
    assert saved.stat().st_size == size and files_beside(saved) == {""}


def test_the_schema_of_the_backup_is_seen_by_all(db, wal_path, saved):
    other = connect(wal_path, load=None)
    other.execute("CREATE TABLE later(x)")
    db.execute("CREATE INDEX payloads ON t(payload)")
    one(db, "SELECT wal_restore(?)", str(saved))
    for each in (db, other):
        assert [row[0] for row in each.execute("SELECT name FROM sqlite_schema")] == ["t"]
        assert "no such table: later" in error(each, "SELECT * FROM later")
    other.close()


def test_a_reader_keeps_its_snapshot(db, wal_path, saved):
    reader = snapshot(wal_path)
    one(db, "SELECT wal_restore(?)", str(saved))
    assert ids(reader) == OLD
    assert ids(db) == NEW
    reader.execute("COMMIT")
    assert ids(reader) == NEW
    reader.close()


def test_the_log_is_kept_and_moved_as_ever(db, wal_path, saved):
    one(db, "SELECT wal_restore(?)", str(saved))
    assert json.loads(one(db, "SELECT wal_checkpoint('TRUNCATE')"))["complete"]
    db.close()
    assert files_beside(wal_path) == {"", "-walmanager"}
    assert open(wal_path, "rb").read()[18:20] == b"\2\2"
    bare = connect(wal_path, load=None)
    assert ids(bare) == NEW
    bare.close()


def test_another_schema(db, tmp_path, saved):
    db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    assert one(db, "PRAGMA other.journal_mode=WAL") == "wal"
    one(db, "SELECT wal_restore(?, 'other')", str(saved))
    assert one(db, "SELECT count(*) FROM other.t") == 100
    assert ids(db) == OLD


def test_a_backup_in_wal_mode(db, tmp_path):
    path = tmp_path / "live.db"
    live = connect(path, load=None)
    live.execute("PRAGMA journal_mode=WAL")
    live.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    rows_into(live, 9)
    one(db, "SELECT wal_restore(?)", str(path))
    assert len(ids(db)) == 9
    assert one(db, "PRAGMA journal_mode") == "wal"
    rows_into(live, 1, first=10)
    assert len(ids(db)) == 9
    live.close()


OF_THE_HOST = {  # a table, and SQLite's message if the program's collation and functions are not known
    "key": ("CREATE TABLE own(a TEXT COLLATE mine PRIMARY KEY) WITHOUT ROWID", "no such collation sequence: mine"),
    "index": ("CREATE TABLE own(a TEXT COLLATE mine UNIQUE)", "no such collation sequence: mine"),
    "check": ("CREATE TABLE own(a CHECK (twice(a) > 0 AND thrice(a) > 0))", "unknown function: thrice()"),
    "generated": ("CREATE TABLE own(a, b AS (twice(a)) NOT NULL)", "unknown function: twice()")}


def hosted(path, kind):
    """A database with a table of that kind, and one that needs nothing of the program."""
    db = connect(path)
    db.create_collation("mine", lambda a, b: (a < b) - (a > b))
    for name, factor in ("twice", 2), ("thrice", 3):
        db.create_function(name, 1, lambda a, by=factor: by * int(a), deterministic=True)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(OF_THE_HOST[kind][0])
    db.execute("CREATE TABLE \"it's 5\"(id INTEGER PRIMARY KEY, payload CHECK (payload IS NOT 7))")
    db.executemany("INSERT INTO own(a) VALUES (?)", [(str(1000 + i),) for i in range(500)])
    rows_into(db, 500, "\"it's 5\"")
    return db


@pytest.mark.parametrize("kind", OF_THE_HOST)
def test_what_needs_the_hosts_collations_and_functions_is_restored_unverified(tmp_path, kind):
    db = hosted(tmp_path / "hosted.db", kind)
    saved = tmp_path / "saved.db"
    one(db, "SELECT wal_backup(?, '{\"verify\":false}')", str(saved))
    db.execute("DELETE FROM own")
    done = report(db, "SELECT wal_restore(?)", str(saved))
    assert list(done) == ["path", "pages", "bytes", "duration_ms", "verified", "unverified_because"]
    assert done["verified"] is False and done["unverified_because"] == OF_THE_HOST[kind][1]
    assert one(db, "SELECT count(*) FROM own") == 500
    assert one(db, "PRAGMA integrity_check") == "ok"
    assert one(db, "SELECT integrity_kind FROM wal_environment") is None
    db.close()


@pytest.mark.parametrize("kind", OF_THE_HOST)
def test_what_can_be_checked_without_the_host_is(tmp_path, kind):
    db = hosted(tmp_path / "hosted.db", kind)
    saved, damaged = tmp_path / "saved.db", tmp_path / "damaged.db"
    one(db, "SELECT wal_backup(?, '{\"verify\":false}')", str(saved))
    whole = saved.read_bytes()
    roots = db.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0").fetchall()
    assert len(roots) == (3 if kind == "index" else 2)

    def refused(why):
        message = refusal(db, damaged)
        assert message.startswith(f"wal_restore: backup '{damaged}': {why}"), message
        assert one(db, "SELECT count(*) FROM own") == 0
    db.execute("DELETE FROM own")
    for _, root in roots:
        damaged.write_bytes(whole[:(root - 1) * 4096] + b"\xff" * 4096 + whole[root * 4096:])
        refused("quick_check: ")
    damaged.write_bytes(whole[:-4096])
    refused("database disk image is malformed")
    for change, why in {
            "INSERT INTO \"it's 5\" VALUES (1000, 7)": "quick_check: CHECK constraint failed in it's 5",
            "UPDATE sqlite_master SET sql = 'CREATE TABLE own(a,' WHERE name = 'own'": "malformed database schema"}.items():
        damaged.write_bytes(whole)
        other = connect(damaged, load=None)
        other.executescript(f"PRAGMA ignore_check_constraints=ON; PRAGMA writable_schema=ON; {change}")
        other.close()
        refused(why)
    db.close()


def test_what_an_integrity_check_had_found_is_over(db, saved):
    one(db, "SELECT wal_restore(?)", str(saved))
    assert db.execute("SELECT integrity_kind, integrity_findings FROM wal_environment").fetchall() == [("quick", 0)]


# --- refused, and nothing changed

@pytest.mark.parametrize("pragma, name, has, wanted", [
    ("page_size=8192", "page_size", "8192", "4096"), ("encoding='UTF-16le'", "encoding", "UTF-16le", "UTF-8")])
def test_a_backup_with_another_layout_is_refused(db, saved, tmp_path, pragma, name, has, wanted):
    path = tmp_path / "other.db"
    other = connect(path, load=None)
    other.execute(f"PRAGMA {pragma}")
    other.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    other.execute("INSERT INTO t VALUES (1, 'hällo')")
    other.close()
    assert refusal(db, path) == (f"wal_restore: backup '{path}': its {name} is {has}, the database's is {wanted}: "
                                 "a database that others may have open cannot change it; a new one has it by "
                                 f"PRAGMA {name}='{has}' and a first table, before WAL mode")
    assert ids(db) == OLD
    # Not even an empty one. The advice of the message helps.
    empty = connect(tmp_path / "empty.db")
    empty.execute("PRAGMA journal_mode=WAL")
    advice = refusal(empty, path).split(" has it by ")[1].split(" and a first table")[0]
    empty.close()
    new = connect(tmp_path / "new.db")
    new.execute(advice)
    new.execute("CREATE TABLE first(x)")
    new.execute("PRAGMA journal_mode=WAL")
    one(new, "SELECT wal_restore(?)", str(path))
    assert new.execute("SELECT * FROM t").fetchall() == [(1, "hällo")] and str(one(new, f"PRAGMA {name}")) == has
    new.close()


def test_what_is_no_backup(db, wal_path, saved, tmp_path):
    damaged, short, empty, text = (tmp_path / name for name in ("damaged", "short", "empty", "text"))
    whole = saved.read_bytes()
    damaged.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    short.write_bytes(whole[:-4096])
    empty.write_bytes(b"")
    text.write_text("hello " * 1000)
    (tmp_path / "link").symlink_to(wal_path)
    for name, why in {"damaged": "quick_check: ", "short": "", "empty": "is empty", "text": "file is not a database",
                      "missing": "cannot be looked at: No such file or directory", ".": "is not a file", "../..": "is not a file",
                      "link": "is the database itself, or one of the files beside it",
                      "test.db": "is the database itself, or one of the files beside it",
                      "test.db-wal": "is the database itself, or one of the files beside it"}.items():
        path = f"{tmp_path}/{name}"
        assert refusal(db, path).startswith(f"wal_restore: backup '{path}': {why}"), name
        assert ids(db) == OLD, name
    assert refusal(db, "") == "wal_restore: backup_path '' is not the path of a file"
    assert one(db, "PRAGMA integrity_check") == "ok"
    assert not any(name.startswith("missing") for name in os.listdir(tmp_path))


def test_in_a_transaction_of_its_own(db, saved):
    for begin in ("BEGIN", "BEGIN IMMEDIATE"):
        db.execute(begin)
        assert refusal(db, saved) == "wal_restore: this connection is in a transaction: end it first"
        db.execute("ROLLBACK")
    assert error(db, "SELECT wal_restore(?) FROM t", str(saved)) == \
        "wal_restore: this connection is in a transaction: end it first"
    assert ids(db) == OLD


def test_a_connection_that_may_not_write(db, saved):
    db.execute("PRAGMA query_only=ON")
    assert refusal(db, saved) == "wal_restore: this connection may not write: PRAGMA query_only is on"
    db.execute("PRAGMA query_only=OFF")
    assert ids(db) == OLD


def test_a_writer_is_waited_for_as_long_as_busy_timeout_says(db, wal_path, saved):
    writer = connect(wal_path, load=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO t VALUES (1, 1)")
    db.execute("PRAGMA busy_timeout=50")
    with pytest.raises(sqlite3.OperationalError, match="^wal_restore: database is locked$"):
        db.execute("SELECT wal_restore(?)", (str(saved),)).fetchall()
    writer.execute("ROLLBACK")
    assert ids(db) == OLD
    one(db, "SELECT wal_restore(?)", str(saved))
    assert ids(db) == NEW
    writer.close()


def test_an_interrupt_leaves_the_old_content(db, tmp_path):
    saved = tmp_path / "large.db"
    rows_into(db, 3000)
    one(db, "SELECT wal_backup(?)", str(saved))
    db.execute("DELETE FROM t")
    rows_into(db, 7, first=1000)
    calls = []
    db.set_progress_handler(lambda: calls.append(1) or True, 1000)
    assert error(db, "SELECT wal_restore(?)", str(saved)).endswith("interrupted")
    db.set_progress_handler(None, 0)
    assert ids(db) == OLD
    rows_into(db, 1, first=1007)
    assert len(ids(db)) == 8


def test_restore_is_refused_outside_of_wal_mode_and_where_walmanager_cannot_open_the_database(db, wal_path, saved, tmp_path):
    db.execute("ATTACH ? AS rollback", (str(tmp_path / "rollback.db"),))
    db.execute("CREATE TABLE rollback.t(id INTEGER PRIMARY KEY)")
    assert refusal(db, saved, "rollback") == ("wal_restore: schema 'rollback' is in journal_mode 'delete': only one "
                                              "in WAL mode can be restored while others have it open")
    db.close()
    alone = connect(wal_path)
    alone.execute("PRAGMA locking_mode=EXCLUSIVE")
    rows_into(alone, 1)
    assert refusal(alone, saved) == ("wal_restore: schema 'main' cannot be restored: locking_mode is EXCLUSIVE: "
                                     "no other connection can write")
    alone.close()
    read_only = connect(f"file:{wal_path}?mode=ro", uri=True)
    assert refusal(read_only, saved) == "wal_restore: schema 'main' is read-only on this connection"
    read_only.close()


def test_the_commit_is_counted(db, saved):
    before = metrics(db)["wal_frames"]
    one(db, "SELECT wal_restore(?)", str(saved))
    assert metrics(db)["wal_frames"] >= before + 4


@pytest.mark.parametrize("suffix", ["-shm", "-wal"])
@pytest.mark.parametrize("way", ["itself", "hard link", "beside"])
def test_a_file_that_another_database_uses_is_not_opened(db, tmp_path, saved, suffix, way):
    """Bug: SQLite opened the -shm of another database of this process as a database, and its close dropped the locks."""
    path = tmp_path / "other.db"
    other = connect(path, load=None)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("CREATE TABLE mine(x)")
    live = source = f"{path}{suffix}"
    if way == "hard link":
        source = tmp_path / "innocent.db"
        os.link(live, source)
    if way == "beside":
        source = saved
        os.link(live, f"{saved}-journal")
    before = locks(f"{path}-shm")
    assert before
    message = refusal(db, source)
    assert message.startswith(f"wal_restore: backup '{source}': ")
    assert "file that this process has open" in message or "file which this process has open" in message
    assert locks(f"{path}-shm") == before
    other.close()


def test_another_name_of_a_database_in_use_is_no_backup(db, tmp_path, saved):
    path = tmp_path / "other.db"
    other = connect(path, load=None)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    os.link(path, tmp_path / "another.db")
    assert "that has several names" in refusal(db, tmp_path / "another.db")
    assert ids(db) == OLD
    (tmp_path / "another.db").unlink()
    one(db, "SELECT wal_restore(?)", str(path))  # by its one name it is a backup as any other
    assert ids(db) == []
    other.close()
