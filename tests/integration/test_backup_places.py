"""wal_backup: where a copy may go, which options it knows, and what it refuses to copy."""

import json
import os
import pathlib

import pytest

from backups import Background, backup, content, copying, refusal, target  # noqa: F401 (a fixture among them)
from conftest import connect, one
from helpers import error, files_beside, locks, rows_into



def test_nothing_is_overwritten_unless_that_is_asked_for(db, target):
    target.write_text("mine")
    assert refusal(db, target) == f"wal_backup: path '{target}' exists: {{\"overwrite\":true}} replaces it"
    assert target.read_text() == "mine"
    backup(db, target, overwrite=True)
    assert content(target) == []
    assert os.listdir(target.parent) == ["copy.db"]


def test_a_file_that_appears_meanwhile_is_kept(db, wal_path, target):
    rows_into(db, 300)
    running = Background(connect(wal_path, check_same_thread=False), "SELECT wal_backup(?, ?)", str(target),
                         json.dumps({"pages_per_step": 1, "pause_ms": 10}))
    copying(db)
    target.write_text("mine")
    assert str(running.end()) == \
        f"wal_backup: path '{target}' exists by now: {{\"overwrite\":true}} replaces it"
    assert target.read_text() == "mine"
    assert os.listdir(target.parent) == ["copy.db"]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", "-walmanager"])
@pytest.mark.parametrize("way", ["itself", "directory", "hard link"])
def test_the_database_and_what_is_beside_it_are_no_target(db, wal_path, target, suffix, way):
    rows_into(db, 10)
    path = pathlib.Path(f"{wal_path}{suffix}")
    if way == "hard link" and suffix == "-journal":
        return  # there is none
    if way == "directory":
        (target.parent / "link").symlink_to(path.parent)
        path = target.parent / "link" / path.name
    if way == "hard link":
        os.link(path, target)
        path = target
    before = files_beside(wal_path)
    assert refusal(db, path, overwrite=True) == \
        f"wal_backup: path '{path}' is the database itself, or one of the files beside it"
    assert files_beside(wal_path) == before
    assert one(db, "SELECT count(*) FROM t") == 10


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", "-walmanager"])
def test_what_is_beside_another_database_is_no_target(db, target, suffix):
    """SQLite takes a -journal or -wal for that of the other database, and deletes it."""
    other = connect(target, load=None)
    other.execute("CREATE TABLE mine(x)")
    path = f"{target}{suffix}"
    for overwrite in False, True:
        assert refusal(db, path, overwrite=overwrite) == \
            f"wal_backup: path '{path}' would be taken for the {suffix} of '{target}', which exists: choose another name"
    assert os.listdir(target.parent) == ["copy.db"]
    other.close()
    target.unlink()
    assert backup(db, path)["path"] == path  # a name as any other, where nothing is there
    assert content(path) == []


def test_options_need_no_json_of_the_engine(db, target):
    """Engines before 3.38 may lack it; here it fails."""
    db.create_function("json_type", 1, lambda text: None)
    assert backup(db, target, verify=False)["verified"] is False
    assert backup(db, target, overwrite=True, pages_per_step=1)["verified"] is True


@pytest.mark.parametrize("text, why", [
    ("fast", "options_json is not a JSON object of options: no JSON value at byte 1"),
    ("", "options_json is not a JSON object of options: the JSON ends too early at byte 1"),
    ('{"verify":true', "options_json is not a JSON object of options: ',' or '}' is missing at byte 15"),
    ("[]", "options_json is not a JSON object of options"), ("1", "options_json is not a JSON object of options"),
    ('{"pause_ms":"5"}', """option pause_ms "5" is not an integer from 0 to 60000"""),
    ('{"pause_ms":true}', "option pause_ms true is not an integer from 0 to 60000"),
    ('{"pause_ms":1.0}', "option pause_ms 1.0 is not an integer from 0 to 60000"),
    ('{"overwrite":{"a": 1}}', """option overwrite {"a": 1} is not true or false"""),
    ('{"verify":"true"}', """option verify "true" is not true or false""")])
def test_text_that_is_not_an_object_of_options_is_refused(db, target, text, why):
    assert error(db, "SELECT wal_backup(?, ?)", str(target), text) == f"wal_backup: {why}"
    assert os.listdir(target.parent) == []


def test_links_directories_and_other_things_are_no_target(db, wal_path, target):
    (target.parent / "link").symlink_to(wal_path)
    (target.parent / "dangling").symlink_to(target)
    (target.parent / "directory").mkdir()
    os.mkfifo(target.parent / "pipe")
    before = sorted(os.listdir(target.parent))
    for name, why in {"link": "is the database itself, or one of the files beside it",
                      "dangling": "is a symbolic link: name the file itself",
                      "directory": "is a directory: name a file in it", "pipe": "is not a file",
                      "missing/copy.db": "cannot be written: No such file or directory",
                      "x" * 250: "cannot be written: File name too long"}.items():
        path = target.parent / name
        shown = str(path) if len(name) < 200 else None
        message = refusal(db, path, overwrite=True)
        assert message.startswith("wal_backup: path ") and message.endswith(f" {why}")
        assert shown is None or len(shown) > 60 or f"'{shown}'" in message
    assert sorted(os.listdir(target.parent)) == before


def test_a_database_in_use_is_no_target(db, target):
    """A -wal of another database beside the copy would be read as the copy's."""
    other = connect(target, load=None)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("CREATE TABLE mine(x)")
    assert "has a -wal beside it" in refusal(db, target, overwrite=True)
    assert list(other.execute("SELECT * FROM mine")) == []
    other.close()
    managed = connect(target)
    managed.execute("PRAGMA journal_mode=DELETE")
    assert "is a database that this process has open" in refusal(db, target, overwrite=True)
    managed.close()


@pytest.mark.parametrize("options, why", [
    ({"speed": 1}, "option 'speed' is not one of overwrite, verify, pages_per_step, pause_ms, max_wal_growth_bytes"),
    ({"overwrite": 1}, "option overwrite 1 is not true or false"),
    ({"verify": "no"}, """option verify "no" is not true or false"""),
    ({"verify": None}, "option verify null is not true or false"),
    ({"pages_per_step": 0}, "option pages_per_step 0 is not an integer from 1 to 1000000"),
    ({"pages_per_step": 1.5}, "option pages_per_step 1.5 is not an integer from 1 to 1000000"),
    ({"pause_ms": [1]}, "option pause_ms [1] is not an integer from 0 to 60000"),
    ({"max_wal_growth_bytes": -1}, "option max_wal_growth_bytes -1 is not an integer from 0 to 70368744177664"),
])
def test_wrong_options_are_refused(db, target, options, why):
    assert refusal(db, target, **options) == f"wal_backup: {why}"
    assert os.listdir(target.parent) == []


def test_changes_that_are_not_committed_are_not_left_out_in_silence(db, target):
    db.execute("BEGIN")
    rows_into(db, 5)
    assert refusal(db, target) == ("wal_backup: this connection has changes in schema 'main' that would not be "
                                   "in the copy: commit them first")
    db.execute("ROLLBACK")
    db.execute("BEGIN")
    assert list(db.execute("SELECT * FROM t")) == []
    backup(db, target)
    db.execute("COMMIT")


def test_a_damaged_database_is_no_backup(db, wal_path, target):
    rows_into(db, 300)
    one(db, "SELECT wal_checkpoint('TRUNCATE')")
    db.close()
    with open(wal_path, "r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    damaged = connect(wal_path)
    assert refusal(damaged, target).startswith("wal_backup: quick_check of the copy: ")
    assert os.listdir(target.parent) == []
    assert backup(damaged, target, verify=False)["verified"] is False
    damaged.close()


def test_a_collation_of_the_hosts_cannot_be_checked(tmp_path, target):
    db = connect(tmp_path / "collated.db")
    db.create_collation("mine", lambda a, b: (a > b) - (a < b))
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload TEXT COLLATE mine UNIQUE)")
    message = refusal(db, target)
    assert message.startswith("wal_backup: the copy cannot be checked (") and "mine" in message
    assert os.listdir(target.parent) == []
    assert backup(db, target, verify=False)["pages"] == 3
    db.close()


@pytest.mark.parametrize("suffix", ["", "-shm"])
def test_a_left_over_that_is_a_live_file_keeps_its_locks(db, wal_path, target, suffix):
    """Bug: the file was opened and closed under the name of an abandoned copy, which dropped the process's POSIX locks."""
    rows_into(db, 10)
    live = f"{wal_path}{suffix}"
    left_over = target.parent / "copy.db-walmanager-4194303-1"
    os.link(live, left_over)
    before = locks(live)
    assert before
    backup(db, target)
    assert locks(live) == before
    assert os.path.samefile(left_over, live)


def test_a_left_over_that_this_process_has_open_keeps_its_locks(db, target):
    """An unmanaged connection has it open; the file has no other name."""
    left_over = target.parent / "copy.db-walmanager-4194303-1"
    bare = connect(left_over, load=None)
    bare.execute("CREATE TABLE mine(x)")
    bare.execute("BEGIN")
    assert list(bare.execute("SELECT * FROM mine")) == []
    before = locks(left_over)
    assert before
    backup(db, target)
    assert locks(left_over) == before and left_over.exists()
    bare.execute("COMMIT")
    bare.close()
    backup(db, target, overwrite=True)
    assert not left_over.exists()  # now it is abandoned


def test_what_stands_beside_the_name_of_a_copy_is_not_opened(db, wal_path, target):
    """Bug: SQLite took the file for that of the copy, and deleted it."""
    rows_into(db, 10)
    name = f"{target}-walmanager-{os.getpid()}-"
    for number in range(1, 200):
        os.link(f"{wal_path}-shm", f"{name}{number}-journal")
    before = locks(f"{wal_path}-shm")
    assert before
    backup(db, target)
    assert locks(f"{wal_path}-shm") == before
    assert os.stat(f"{wal_path}-shm").st_nlink == 200


def test_a_database_that_this_process_has_open_unmanaged_is_no_target(db, target):
    other = connect(target, load=None)
    other.execute("CREATE TABLE mine(x)")
    assert "is a database that this process has open" in refusal(db, target, overwrite=True)
    other.execute("INSERT INTO mine VALUES (1)")
    other.close()
    backup(db, target, overwrite=True)
