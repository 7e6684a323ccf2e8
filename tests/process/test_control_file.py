"""The control file `<db>-walmanager`: when it is made, how it looks, and that without it statistics and
settings are private to the process, the reason is told, and everything else works (ext/README.md, decision 1)."""

import ctypes
import fcntl
import json
import os
import pathlib
import random
import shutil
import sqlite3
import stat
import struct
import subprocess
import sys
import tempfile
import time

import pytest

from conftest import BUILD, EXTENSION, connect
from waiting import poll
from workers import NOBODY, integrity, worker  # noqa: F401 (worker is a fixture)

MAGIC = b"walmanager lay8\0"
# Offsets in the header (ext/core/control/layout_header.h).
LAYOUT_NUMBER, FILE_BYTES, READY, INODE, BOOT_ID = 16, 24, 32, 48, 56
LAST_COMMIT_NS = 200  # and after it the time of the last checkpoint
LOCK_MAKE = 1 << 40
FIRST_PART = 196_608
HEADER_OF_WORDS = 96  # from here on counters, settings and records; before it the identity

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as several users")


def control_of(path):
    return pathlib.Path(f"{path}-walmanager")


def word(path, offset):
    with open(control_of(path), "rb") as file:
        file.seek(offset)
        return struct.unpack("<Q", file.read(8))[0]


def overwrite(path, offset, content):
    with open(control_of(path), "r+b") as file:
        file.seek(offset)
        file.write(content)


def make_database(path):
    db = sqlite3.connect(str(path), isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.close()
    return path


def commit(process, count=1, name="db"):
    process.run(f"for _ in range({count}): {name}.execute('INSERT INTO t(payload) VALUES (zeroblob(100))')")


def set_value(process, name, value):
    assert process.call(f"one(db, \"SELECT wal_set('{name}', {value})\")") == value


def value_of(process, name):
    return process.call(f"one(db, \"SELECT value FROM wal_config WHERE name = '{name}'\")")


def leave_control_file(worker, path, commits=5):
    """A complete control file with some statistics and a setting, and no process attached."""
    process = worker(path)
    commit(process, commits)
    set_value(process, "checkpoint_frames", 777)
    assert process.end() == 0
    return control_of(path).read_bytes()


def check_works_privately(process, path, reason, earlier_commits=0):
    """Commits, settings, strategies and checkpoints of a process without a control file."""
    commit(process, 20)
    row = process.call("metrics(db)")
    assert row["statistics_file"] is None
    assert reason in row["private_because"]
    assert row["commits"] == earlier_commits + 20
    assert row["processes"] == 1
    assert row["strategy"] == "conversation_workload"

    set_value(process, "checkpoint_frames", 30)
    assert value_of(process, "checkpoint_frames") == 30
    assert process.call("one(db, \"SELECT wal_strategy('sqlite_default')\")") == "sqlite_default"
    report = json.loads(process.call("one(db, \"SELECT wal_checkpoint('PASSIVE')\")"))
    assert (report["result"], report["complete"]) == ("complete", True)
    before = process.call("metrics(db)")
    commit(process, 100)
    row = process.call("metrics(db)")
    assert row["statistics_file"] is None
    assert row["commits"] == earlier_commits + 120
    assert row["checkpoints_manual"] == before["checkpoints_manual"] == 1
    # Commits that find the thread at work go on without a look, and the next one looks.
    def checkpointed():
        commit(process, 1)
        row = process.call("metrics(db)")
        return row["checkpoints_inline"] - before["checkpoints_inline"] >= 3 and row["wal_frames"] <= 60
    assert poll(checkpointed, True, 20)
    assert process.call("one(db, 'SELECT count(DISTINCT pid) FROM wal_checkpoints')") == 1
    assert process.call("one(db, \"SELECT wal_set('checkpoint_frames', NULL)\")") == 1000
    assert process.call("one(db, \"SELECT wal_strategy('conversation_workload')\")") == "conversation_workload"


def check_commits_privately(process, reason):
    """The same where there is room for little."""
    commit(process, 5)
    row = process.call("metrics(db)")
    assert row["statistics_file"] is None
    assert reason in row["private_because"]
    assert row["commits"] == 5


def check_shared(process, path):
    row = process.call("metrics(db)")
    assert row["private_because"] is None
    assert row["statistics_file"] == str(control_of(path))
    content = control_of(path).read_bytes()
    assert content[:16] == MAGIC
    assert struct.unpack_from("<Q", content, FILE_BYTES)[0] == FIRST_PART <= len(content)
    assert struct.unpack_from("<Q", content, READY)[0] == 1
    return row


@pytest.fixture
def open_directory():
    """A directory that every user may write to, as tmp_path is not."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="walmanager-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def as_nobody(worker):
    """Makes workers of the user `nobody`."""

    def make(path, **options):
        process = worker(user=NOBODY, **options)
        try:
            process.run("probe = connect(':memory:')")
        except Exception as error:
            connect(":memory:").close()  # fails if no other user can load it either
            pytest.skip(f"the user nobody cannot load the extension: {error}")
        process.run(f"db = connect({str(path)!r})")
        return process

    return make


# --- when it is made


def test_made_at_the_first_commit_and_not_by_looking(worker, wal_path):
    process = worker(wal_path)
    row = process.call("metrics(db)")
    assert row["statistics_file"] is None
    assert "first commit" in row["private_because"]
    for table in ("wal_config", "wal_strategies", "wal_checkpoints"):
        process.call(f"db.execute('SELECT * FROM {table}').fetchall() and None")
    process.call("one(db, 'SELECT wal_strategy()')")
    process.call("one(db, 'SELECT count(*) FROM t')")
    process.run("db.execute('BEGIN'); db.execute('INSERT INTO t VALUES (1, NULL)'); db.execute('ROLLBACK')")
    assert not control_of(wal_path).exists()
    commit(process)
    assert control_of(wal_path).exists()
    assert check_shared(process, wal_path)["commits"] == 1


@pytest.mark.parametrize(
    "call", ["wal_set('checkpoint_frames', 500)", "wal_strategy('sqlite_default')"]
)
def test_made_at_the_first_setting(worker, wal_path, call):
    process = worker(wal_path)
    process.call(f'one(db, "SELECT {call}")')
    assert check_shared(process, wal_path)["commits"] == 0


def test_a_setting_that_fails_does_not_need_the_file(worker, wal_path):
    process = worker(wal_path)
    for call in ("wal_set('checkpoint_frames', -1)", "wal_set('nothing', 1)"):
        with pytest.raises(Exception, match="wal_set"):
            process.call(f'one(db, "SELECT {call}")')
    assert process.call("metrics(db)")["commits"] == 0


def test_never_for_a_rollback_journal(worker, tmp_path):
    path = tmp_path / "rollback.db"
    process = worker(path)
    process.run("db.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)')")
    commit(process, 5)
    process.call("metrics(db)")
    set_value(process, "checkpoint_frames", 500)
    assert value_of(process, "checkpoint_frames") == 500
    assert process.end() == 0
    assert os.listdir(tmp_path) == ["rollback.db"]


def test_made_when_a_rollback_database_becomes_wal(worker, tmp_path):
    path = tmp_path / "later.db"
    process = worker(path)
    process.run("db.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)')")
    assert not control_of(path).exists()
    process.run("db.execute('PRAGMA journal_mode=WAL')")
    commit(process)
    assert check_shared(process, path)["commits"] == 1


def test_never_in_memory(worker):
    process = worker(":memory:")
    process.run("db.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)')")
    commit(process, 3)
    assert process.call("metrics(db)")["statistics_file"] is None
    assert not pathlib.Path("/:memory:-walmanager").exists()
    assert not pathlib.Path("/-walmanager").exists()


def test_never_for_a_read_only_connection(worker, wal_path):
    keeper = sqlite3.connect(str(wal_path))  # keeps the -wal, which a reader cannot make
    keeper.execute("SELECT count(*) FROM t").fetchone()
    process = worker()
    process.run(f"db = connect('file:{wal_path}?mode=ro', uri=True)")
    assert process.call("one(db, 'SELECT count(*) FROM t')") == 0
    row = process.call("metrics(db)")
    assert (row["statistics_file"], row["commits"]) == (None, 0)
    process.run(
        """
        try:
            one(db, "SELECT wal_set('checkpoint_frames', 500)")
        except sqlite3.Error:
            pass
        """
    )
    assert not control_of(wal_path).exists()
    keeper.close()


def test_made_for_an_attached_database(worker, wal_path, tmp_path):
    other = make_database(tmp_path / "other.db")
    process = worker(wal_path)
    process.run(f"db.execute(\"ATTACH '{other}' AS other\")")
    process.run("db.execute('INSERT INTO other.t(payload) VALUES (1)')")
    assert control_of(other).exists() and not control_of(wal_path).exists()
    assert process.call("metrics(db, 'other')")["commits"] == 1
    assert process.call("metrics(db, 'main')")["commits"] == 0


# --- how it looks


@pytest.mark.parametrize("umask, mode", [(0o022, 0o600), (0o022, 0o666), (0o077, 0o644), (0o077, 0o660)])
def test_size_owner_and_permissions(worker, wal_path, umask, mode):
    wal_path.chmod(mode)
    process = worker(wal_path, umask=umask)
    commit(process)
    made, database = control_of(wal_path).stat(), wal_path.stat()
    assert stat.S_IMODE(made.st_mode) == mode
    assert (made.st_uid, made.st_gid) == (database.st_uid, database.st_gid)
    assert made.st_size == word(wal_path, FILE_BYTES)
    assert made.st_size % 4096 == 0
    assert made.st_size == FIRST_PART  # README: 192 KB at first
    assert made.st_blocks * 512 >= made.st_size  # no hole: a full disk cannot kill the host later
    assert made.st_nlink == 1


@needs_root
def test_root_gives_it_to_the_owner_of_the_database(worker, as_nobody, open_directory):
    path = make_database(open_directory / "test.db")
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    path.chmod(0o600)
    root = worker(path)
    commit(root)
    made = control_of(path).stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (NOBODY.pw_uid, NOBODY.pw_gid, 0o600)
    owner = as_nobody(path)
    commit(owner)
    assert check_shared(owner, path)["commits"] == 2
    assert root.call("metrics(db)")["processes"] == 2


@needs_root
def test_made_by_the_owner_under_a_strict_umask_and_shared_with_root(worker, as_nobody, open_directory):
    path = make_database(open_directory / "test.db")
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    path.chmod(0o640)
    owner = as_nobody(path, umask=0o077)
    commit(owner)
    made = control_of(path).stat()
    assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (NOBODY.pw_uid, 0o640)
    root = worker(path)
    commit(root)
    assert check_shared(root, path)["commits"] == 2


# --- where it cannot be had


def test_switched_off_by_the_environment(worker, wal_path):
    process = worker(wal_path, WALMANAGER_FILE="off")
    check_works_privately(process, wal_path, "WALMANAGER_FILE=off")
    assert not control_of(wal_path).exists()


@needs_root
def test_directory_read_only(as_nobody, worker, open_directory):
    path = make_database(open_directory / "test.db")
    path.chmod(0o666)
    # The -wal and -shm exist and stay: without them the user nobody could not write at all.
    keeper = sqlite3.connect(str(path))
    keeper.execute("SELECT count(*) FROM t").fetchone()
    for suffix in ("-wal", "-shm"):
        os.chmod(f"{path}{suffix}", 0o666)
    open_directory.chmod(0o755)
    process = as_nobody(path)
    check_works_privately(process, path, f"the control file {control_of(path)} cannot be made: Permission denied")
    assert process.end() == 0
    keeper.close()
    assert not control_of(path).exists()


FOREIGN = {
    "text": b"keep me: these are my notes\n",
    "a page": os.urandom(4096),
    "one byte": b"x",
    "as long as a control file": b"\x01" * (1 << 22),
    "zeros, but too long": bytes(17 << 20),
    "a database": None,
}


@pytest.mark.parametrize("content", FOREIGN, ids=lambda name: name.replace(" ", "_"))
def test_foreign_content_is_left_as_it_is(worker, wal_path, content):
    foreign = FOREIGN[content] if content != "a database" else wal_path.read_bytes()
    control_of(wal_path).write_bytes(foreign)
    control_of(wal_path).chmod(0o640)
    process = worker(wal_path)
    check_works_privately(process, wal_path, "not a control file")
    assert process.end() == 0
    assert control_of(wal_path).read_bytes() == foreign
    assert stat.S_IMODE(control_of(wal_path).stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "length, frames", [(0, 1000), (10, 1000), (100, 1000), (4096, 1000), (100_000, 777), (-4096, 777)])
def test_truncated_while_no_process_uses_it_is_made_anew(worker, wal_path, length, frames):
    """Settings stay as far as they are there."""
    whole = leave_control_file(worker, wal_path)
    os.truncate(control_of(wal_path), length % len(whole))
    process = worker(wal_path)
    commit(process, 3)
    assert check_shared(process, wal_path)["commits"] == 3
    assert control_of(wal_path).stat().st_size == len(whole)
    assert value_of(process, "checkpoint_frames") == frames
    assert control_of(wal_path).stat().st_blocks * 512 >= len(whole)


def test_truncated_with_another_process_attached(worker, wal_path):
    other = worker(wal_path)
    other.call("one(db, \"SELECT wal_set('sample_interval_ms', 3600000)\")")  # nor does its thread look there
    commit(other)
    size = control_of(wal_path).stat().st_size
    os.truncate(control_of(wal_path), size - 4096)  # the other process is not asked anything from here on
    process = worker(wal_path)
    check_works_privately(process, wal_path, "truncated")
    assert control_of(wal_path).stat().st_size == size - 4096
    process.end()
    os.truncate(control_of(wal_path), size)
    assert other.end() == 0


def test_symbolic_link(worker, wal_path, tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"")
    control_of(wal_path).symlink_to(target)
    process = worker(wal_path)
    check_works_privately(process, wal_path, "symbolic link")
    assert target.read_bytes() == b""
    assert control_of(wal_path).is_symlink()


def test_dangling_symbolic_link(worker, wal_path, tmp_path):
    control_of(wal_path).symlink_to(tmp_path / "nothing")
    process = worker(wal_path)
    check_works_privately(process, wal_path, "symbolic link")
    assert not (tmp_path / "nothing").exists()


def test_directory(worker, wal_path):
    control_of(wal_path).mkdir()
    process = worker(wal_path)
    check_works_privately(process, wal_path, "directory")
    assert control_of(wal_path).is_dir()


def test_fifo(worker, wal_path):
    os.mkfifo(control_of(wal_path))
    process = worker(wal_path)
    check_works_privately(process, wal_path, "not a regular file")
    assert stat.S_ISFIFO(control_of(wal_path).stat().st_mode)


def test_database_itself_by_hard_link(worker, wal_path):
    os.link(wal_path, control_of(wal_path))
    process = worker(wal_path)
    check_works_privately(process, wal_path, "hard links")
    assert process.end() == 0
    assert integrity(wal_path) == "ok"


def test_database_with_several_hard_links(worker, wal_path, tmp_path):
    os.link(wal_path, tmp_path / "second.db")
    process = worker(wal_path)
    check_works_privately(process, wal_path, "hard links")
    assert not control_of(wal_path).exists()


def test_control_file_with_several_hard_links(worker, wal_path, tmp_path):
    leave_control_file(worker, wal_path)
    os.link(control_of(wal_path), tmp_path / "second")
    process = worker(wal_path)
    check_works_privately(process, wal_path, "one name")


@pytest.mark.parametrize("suffix", ["-shm", "-wal"])
def test_hard_link_to_a_file_of_sqlite_drops_none_of_its_locks(worker, wal_path, suffix):
    """Decision 7: never open or close the database, -wal or -shm: POSIX drops the process's locks."""
    process = worker(wal_path, load=False)
    process.run("db.execute('SELECT count(*) FROM t').fetchone()")
    os.link(f"{wal_path}{suffix}", control_of(wal_path))
    process.run(
        f"""
        db.execute("BEGIN IMMEDIATE")
        managed = connect({str(wal_path)!r})
        metrics(managed)
        """
    )
    other = worker(wal_path, load=False, timeout=0)
    with pytest.raises(Exception, match="locked"):
        other.run("db.execute('BEGIN IMMEDIATE')")


@pytest.mark.parametrize("size", ["small", "that of a control file"])
def test_a_database_of_that_name_drops_none_of_its_locks(worker, wal_path, size):
    """Bug: a database that this process had open under the name lost its locks, when it was opened and closed."""
    process = worker(wal_path, load=False)
    control = control_of(wal_path)
    process.run(f"bare = connect({str(control)!r}, load=None); bare.execute('CREATE TABLE mine(x)')")
    if size != "small":
        other_path = make_database(wal_path.parent / "other.db")
        commit(worker(other_path))
        os.truncate(control, control_of(other_path).stat().st_size)
    process.run(
        f"""
        bare.execute("BEGIN"); bare.execute("SELECT * FROM mine").fetchall()
        managed = connect({str(wal_path)!r})
        managed.execute("INSERT INTO t(payload) VALUES (1)")
        """
    )
    other = worker(control, load=False, timeout=0)
    with pytest.raises(Exception, match="locked"):
        other.run("db.execute('BEGIN EXCLUSIVE')")
    assert process.call("one(managed, 'SELECT statistics_file FROM wal_metrics')") is None


def test_other_layout_alone_is_made_anew(worker, wal_path):
    whole = leave_control_file(worker, wal_path)
    overwrite(wal_path, LAYOUT_NUMBER, struct.pack("<Q", 9999))
    process = worker(wal_path)
    commit(process, 3)
    assert check_shared(process, wal_path)["commits"] == 3
    assert control_of(wal_path).read_bytes()[16:24] == whole[16:24]
    assert value_of(process, "checkpoint_frames") == 1000


def test_other_layout_in_use(worker, wal_path):
    other = worker(wal_path)
    commit(other)
    number = word(wal_path, LAYOUT_NUMBER)
    overwrite(wal_path, LAYOUT_NUMBER, struct.pack("<Q", 9999))
    process = worker(wal_path)
    check_works_privately(process, wal_path, "another version of walmanager (layout 9999")
    assert word(wal_path, LAYOUT_NUMBER) == 9999
    # The process that has it mapped goes on.
    overwrite(wal_path, LAYOUT_NUMBER, struct.pack("<Q", number))
    commit(other, 2)
    assert other.call("metrics(db)")["commits"] >= 3


@pytest.mark.parametrize("length", ["whole", "half", "three bytes"])
def test_unfinished_zeros_are_made_anew(worker, wal_path, length):
    size = len(leave_control_file(worker, wal_path))
    zeros = bytes({"whole": size, "half": size // 2, "three bytes": 3}[length])
    control_of(wal_path).write_bytes(zeros)
    process = worker(wal_path)
    commit(process, 2)
    assert check_shared(process, wal_path)["commits"] == 2
    assert control_of(wal_path).stat().st_size == size


def test_header_without_the_ready_mark_is_made_anew(worker, wal_path):
    leave_control_file(worker, wal_path)
    overwrite(wal_path, READY, struct.pack("<Q", 0))
    process = worker(wal_path)
    commit(process, 2)
    assert check_shared(process, wal_path)["commits"] == 2
    assert value_of(process, "checkpoint_frames") == 1000


def test_hostile_bytes_end_in_defaults(worker, wal_path):
    """Everything behind the identity is noise: no crash, no error, settings in their ranges."""
    whole = leave_control_file(worker, wal_path)
    noise = random.Random(20).randbytes(len(whole) - HEADER_OF_WORDS)
    overwrite(wal_path, HEADER_OF_WORDS, noise)
    process = worker(wal_path)
    commit(process, 50)
    row = process.call("metrics(db)")
    assert row["strategy"] == "conversation_workload"
    assert value_of(process, "checkpoint_frames") >= 1
    process.call("db.execute('SELECT * FROM wal_checkpoints').fetchall() and None")
    process.call("db.execute('SELECT * FROM wal_strategies').fetchall() and None")
    set_value(process, "checkpoint_frames", 50)
    assert value_of(process, "checkpoint_frames") == 50
    report = json.loads(process.call("one(db, \"SELECT wal_checkpoint('PASSIVE')\")"))
    assert report["result"] == "complete"
    assert process.end() == 0
    assert integrity(wal_path) == "ok"


def test_file_size_limit_leaves_nothing_behind(worker, wal_path):
    process = worker(wal_path)
    process.run(
        """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
        """
    )
    check_commits_privately(process, "RLIMIT_FSIZE")
    assert not control_of(wal_path).exists()
    # Later there is room: found at the next tick, without a word.
    process.run("resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)")
    set_value(process, "sample_interval_ms", 10)

    def shared():
        commit(process)
        return process.call("metrics(db)")["statistics_file"]

    assert poll(shared, str(control_of(wal_path))) == str(control_of(wal_path))
    assert value_of(process, "sample_interval_ms") == 10  # came along from private memory


@needs_root
def test_full_disk_leaves_nothing_behind(worker, tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if os.system(f"mount -t tmpfs -o size=220k tmpfs {mount} 2>/dev/null") != 0:
        pytest.skip("mount is not permitted here")
    try:
        path = make_database(mount / "test.db")
        process = worker(path)
        check_commits_privately(process, "stay free")
        assert sorted(os.listdir(mount)) == ["test.db", "test.db-shm", "test.db-wal"]
        assert process.end() == 0
        assert integrity(path) == "ok"
    finally:
        os.system(f"umount -l {mount}")  # lazily: after a failure the worker is still there


def test_settings_in_private_memory_outlive_another_reason(worker, wal_path):
    control_of(wal_path).mkdir()
    process = worker(wal_path)
    set_value(process, "sample_interval_ms", 200)  # the tick makes no file between the next two steps
    set_value(process, "checkpoint_frames", 321)
    commit(process)
    assert "directory" in process.call("metrics(db)")["private_because"]
    control_of(wal_path).rmdir()
    control_of(wal_path).symlink_to("/nowhere")

    def reason():
        commit(process)
        return "symbolic link" in process.call("metrics(db)")["private_because"]

    poll(reason)  # whether or not the new reason is told
    assert value_of(process, "checkpoint_frames") == 321
    control_of(wal_path).unlink()

    def shared():
        commit(process)
        return process.call("metrics(db)")["statistics_file"]

    assert poll(shared, str(control_of(wal_path))) == str(control_of(wal_path))
    assert value_of(process, "checkpoint_frames") == 321


PLAIN = """
db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
db.execute("SELECT wal_set('checkpoint_frames', 321)").fetchall()
db.execute("SELECT wal_strategy_define('mine', '[{\\"rule\\":\\"r\\",\\"condition\\":\\"0\\"}]')").fetchall()
db.execute("SELECT wal_strategy('mine')").fetchall()
"""


@pytest.mark.parametrize("after", ["commit", "close", "table", "statement"])
def test_what_is_set_before_wal_mode_goes_into_the_file(worker, tmp_path, after):
    """Bug: without a commit before the close it was lost."""
    path = tmp_path / "plain.db"
    process = worker(path)
    process.run(PLAIN)
    assert not control_of(path).exists()
    assert process.call("metrics(db)")["private_because"].startswith("journal_mode is delete")
    process.run("db.execute('PRAGMA journal_mode=WAL').fetchall()")
    if after == "commit":
        commit(process)
    elif after == "table":
        assert process.call("metrics(db)")["private_because"] is None
    elif after == "statement":
        assert poll(lambda: process.call("one(db, 'SELECT count(*) FROM t')") or control_of(path).exists(), True)
    assert after == "close" or control_of(path).exists()
    assert process.end() == 0
    other = worker(path)
    assert value_of(other, "checkpoint_frames") == 321
    assert other.call("one(db, 'SELECT wal_strategy()')") == "mine"
    assert other.call("one(db, \"SELECT condition FROM wal_strategies WHERE active\")") == "0"


def test_without_wal_mode_what_is_set_ends_with_the_process(worker, tmp_path):
    path = tmp_path / "plain.db"
    process = worker(path)
    process.run(PLAIN)
    assert process.end() == 0
    assert sorted(os.listdir(tmp_path)) == ["plain.db"]
    other = worker(path)
    assert value_of(other, "checkpoint_frames") == 1000
    assert other.call("one(db, 'SELECT wal_strategy()')") == "conversation_workload"


def test_bug_what_another_process_had_set_before_wal_mode_was_lost(worker, tmp_path):
    """The process that made the file had its own settings in it; of both, the later change counts."""
    path = tmp_path / "plain.db"
    first, second = worker(path), worker(path)
    first.run(PLAIN)
    set_value(first, "slow_query_ms", 5)
    time.sleep(0.01)
    set_value(second, "checkpoint_frames", 222)
    second.run("db.execute('PRAGMA journal_mode=WAL').fetchall()")
    commit(second)
    assert value_of(second, "slow_query_ms") == 100
    commit(first)
    for each in first, second:
        assert [value_of(each, name) for name in ("slow_query_ms", "checkpoint_frames")] == [5, 222]
        assert each.call("one(db, 'SELECT wal_strategy()')") == "mine"


# --- what happens to it while it is in use, or between uses


def test_deleted_while_mapped_is_reattached_at_the_next_tick(worker, wal_path):
    process, other = worker(wal_path), worker(wal_path)
    for each in (process, other):
        commit(each)
    set_value(process, "sample_interval_ms", 10)
    old = control_of(wal_path).stat().st_ino
    held = open(control_of(wal_path), "rb")  # so that the new file cannot have the old number
    control_of(wal_path).unlink()

    def attached(each):
        set_value(each, "sample_interval_ms", 10)  # settings went with the file
        commit(each)
        return each.call("metrics(db)")["processes"]

    assert poll(lambda: [attached(each) for each in (process, other)], [2, 2]) == [2, 2]
    assert control_of(wal_path).stat().st_ino != old
    before = check_shared(process, wal_path)["commits"]
    assert before == other.call("metrics(db)")["commits"]
    commit(process, 5)
    commit(other, 5)
    assert process.call("metrics(db)")["commits"] == before + 10
    held.close()


def test_deleted_while_mapped_is_noticed_by_a_process_that_only_looks(worker, wal_path):
    writer, reader = worker(wal_path), worker(wal_path)
    commit(writer, 1000)
    set_value(writer, "sample_interval_ms", 10)
    assert reader.call("metrics(db)")["commits"] == 1000
    control_of(wal_path).unlink()
    commit(writer)

    def agree():
        set_value(writer, "sample_interval_ms", 10)
        commit(writer)
        counts = [each.call("metrics(db)")["commits"] for each in (writer, reader)]
        return counts[0] < 1000 and counts[0] == counts[1]

    assert poll(agree) is True


def test_made_by_another_process_is_found_by_one_that_looked_before(worker, wal_path):
    reader = worker(wal_path)
    assert reader.call("metrics(db)")["statistics_file"] is None
    writer = worker(wal_path)
    commit(writer, 7)
    set_value(writer, "checkpoint_frames", 500)
    assert poll(lambda: reader.call("metrics(db)")["commits"], 7) == 7
    assert value_of(reader, "checkpoint_frames") == 500
    assert reader.call("metrics(db)")["statistics_file"] == str(control_of(wal_path))


def test_deleted_between_uses_loses_settings_and_no_data(worker, wal_path):
    leave_control_file(worker, wal_path, commits=5)
    control_of(wal_path).unlink()
    process = worker(wal_path)
    assert value_of(process, "checkpoint_frames") == 1000
    assert process.call("metrics(db)")["commits"] == 0
    assert process.call("one(db, 'SELECT count(*) FROM t')") == 5


def test_other_database_at_the_path_starts_statistics_anew_and_keeps_settings(worker, wal_path, tmp_path):
    leave_control_file(worker, wal_path, commits=5)
    replacement = make_database(tmp_path / "new.db")
    os.replace(replacement, wal_path)
    process = worker(wal_path)
    row = check_shared(process, wal_path)
    assert (row["commits"], row["frames_written"], row["checkpoints"]) == (0, 0, 0)
    assert process.call("one(db, 'SELECT count(*) FROM wal_checkpoints')") == 0
    assert value_of(process, "checkpoint_frames") == 777
    commit(process, 2)
    assert process.call("metrics(db)")["commits"] == 2
    assert word(wal_path, INODE) == wal_path.stat().st_ino


def test_other_boot_keeps_statistics_and_settings(worker, wal_path):
    leave_control_file(worker, wal_path, commits=5)
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip().encode()
    assert control_of(wal_path).read_bytes()[BOOT_ID : BOOT_ID + 36] == boot
    overwrite(wal_path, BOOT_ID, b"00000000-0000-0000-0000-000000000000")
    process = worker(wal_path)
    assert check_shared(process, wal_path)["commits"] == 5
    commit(process, 2)
    assert process.call("metrics(db)")["commits"] == 7
    assert value_of(process, "checkpoint_frames") == 777
    assert control_of(wal_path).read_bytes()[BOOT_ID : BOOT_ID + 36] == boot


def test_other_boot_voids_monotonic_times(worker, wal_path):
    """A checkpoint of the boot before, on another clock, neither delays the next nor calls for it."""
    leave_control_file(worker, wal_path, commits=5)
    overwrite(wal_path, BOOT_ID, b"00000000-0000-0000-0000-000000000000")
    last_commit, last_checkpoint = 200, 208
    for offset in (last_commit, last_checkpoint):
        overwrite(wal_path, offset, struct.pack("<Q", 2**62))
    process = worker(wal_path)
    process.call("metrics(db)")
    assert word(wal_path, last_commit) == 0
    assert 0 < word(wal_path, last_checkpoint) < 2**62


def test_extension_in_this_process_leaves_other_workers_alone(wal_path, worker):
    """The file made by one process is the same for one that attaches and leaves again and again."""
    keeper = worker(wal_path)
    commit(keeper)
    for _ in range(20):
        db = connect(wal_path, EXTENSION)
        db.execute("INSERT INTO t(payload) VALUES (1)")
        db.close()
    assert keeper.call("metrics(db)")["commits"] == 21
    assert keeper.call("metrics(db)")["processes"] == 1


# --- each adoption checks the file again


def test_bug_a_wrong_size_in_the_header_was_never_repaired(worker, wal_path):
    """Each second process stayed private for good."""
    whole = leave_control_file(worker, wal_path)
    overwrite(wal_path, FILE_BYTES, struct.pack("<Q", 99))
    first = worker(wal_path)
    commit(first)
    assert word(wal_path, FILE_BYTES) == len(whole)
    second = worker(wal_path)
    commit(second)
    assert check_shared(second, wal_path)["processes"] == 2
    assert value_of(second, "checkpoint_frames") == 777


def test_bug_times_yet_to_come_were_adopted(worker, wal_path):
    """With a last commit in the future the log was never idle, and what was left in it never moved."""
    leave_control_file(worker, wal_path)
    overwrite(wal_path, LAST_COMMIT_NS, struct.pack("<QQ", 1 << 62, 1 << 62))
    process = worker(wal_path)
    process.call("metrics(db)")
    assert word(wal_path, LAST_COMMIT_NS) == 0
    assert word(wal_path, LAST_COMMIT_NS + 8) < 1 << 62


UNUSED = 192_512, 4096  # the last page of the first part


def punch(path, offset, length):
    """A hole in the control file, as a copy that leaves out zeros makes it."""
    libc = ctypes.CDLL(None, use_errno=True)
    keep_size, punch_hole = 1, 2
    with open(control_of(path), "r+b") as file:
        if libc.fallocate(file.fileno(), keep_size | punch_hole, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
            pytest.skip("no holes on this file system")
        os.fsync(file.fileno())


def has_holes(path):
    with open(control_of(path), "rb") as file:
        return os.lseek(file.fileno(), 0, os.SEEK_HOLE) < os.fstat(file.fileno()).st_size


def test_bug_holes_left_by_a_copy_were_mapped(worker, wal_path):
    """A store into one ends the host with SIGBUS where the disk is full."""
    size = len(leave_control_file(worker, wal_path, commits=5))
    punch(wal_path, *UNUSED)
    assert has_holes(wal_path)
    process = worker(wal_path)
    row = check_shared(process, wal_path)
    assert not has_holes(wal_path)
    assert control_of(wal_path).stat().st_size == size
    assert row["commits"] == 5 and value_of(process, "checkpoint_frames") == 777
    # The same where another process has it mapped: what that one counts stays.
    punch(wal_path, *UNUSED)
    commit(process, 2)
    other = worker(wal_path)
    assert check_shared(other, wal_path)["commits"] == 7
    assert not has_holes(wal_path)


@needs_root
def test_bug_a_file_with_holes_was_mapped_where_the_disk_had_no_room_for_them(worker, tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if os.system(f"mount -t tmpfs -o size=4m tmpfs {mount} 2>/dev/null") != 0:
        pytest.skip("mount is not permitted here")
    try:
        path = make_database(mount / "test.db")
        leave_control_file(worker, path)
        punch(path, *UNUSED)
        filler = mount / "filler"
        space = os.statvfs(mount)
        filler.write_bytes(bytes(space.f_bavail * space.f_frsize - 180_000))  # of which 210,000 are to stay free
        process = worker(path)
        check_works_privately(process, path, "stay free")
        filler.unlink()
        assert poll(lambda: commit(process) or process.call("metrics(db)")["private_because"], None) is None
        assert value_of(process, "checkpoint_frames") == 777
        assert process.end() == 0
    finally:
        os.system(f"umount -l {mount}")


def test_bug_a_longer_file_lost_its_settings(worker, wal_path):
    size = len(leave_control_file(worker, wal_path))
    os.truncate(control_of(wal_path), size + 5000)
    process = worker(wal_path)
    assert check_shared(process, wal_path)["commits"] == 5
    assert control_of(wal_path).stat().st_size == size
    assert value_of(process, "checkpoint_frames") == 777
    # Never made shorter while another process maps it: that one may be about to append a section.
    os.truncate(control_of(wal_path), size + 5000)
    other = worker(wal_path)
    assert check_shared(other, wal_path)["commits"] >= 5
    assert control_of(wal_path).stat().st_size == size + 5000


def test_bug_permissions_of_before_stayed(worker, wal_path):
    """The statements of a database that is private by now could be read by all."""
    wal_path.chmod(0o644)
    leave_control_file(worker, wal_path)
    assert stat.S_IMODE(control_of(wal_path).stat().st_mode) == 0o644
    wal_path.chmod(0o600)
    process = worker(wal_path)
    check_shared(process, wal_path)
    assert stat.S_IMODE(control_of(wal_path).stat().st_mode) == 0o600
    wal_path.chmod(0o664)
    check_shared(worker(wal_path), wal_path)
    assert stat.S_IMODE(control_of(wal_path).stat().st_mode) == 0o664


@needs_root
def test_bug_the_owner_of_a_copy_stayed(worker, as_nobody, open_directory):
    """The owner of the database could not use the control file that root had copied with it."""
    path = make_database(open_directory / "test.db")
    leave_control_file(worker, path)
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    path.chmod(0o600)
    check_shared(worker(path), path)
    made = control_of(path).stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (NOBODY.pw_uid, NOBODY.pw_gid, 0o600)
    owner = as_nobody(path)
    commit(owner)
    check_shared(owner, path)


# --- what fails half-way


# One fstat of a control file fails, after `calls` others. Prints how many have failed.
FAILING = """
import ctypes, os, sqlite3, sys
path, extension, preload, calls = sys.argv[1], sys.argv[2], ctypes.CDLL(sys.argv[3]), int(sys.argv[4])
def connect():
    db = sqlite3.connect(path, isolation_level=None); db.enable_load_extension(True); db.load_extension(extension)
    return db
def descriptors():
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return sum(os.readlink(link).endswith("-walmanager") for link in links if os.path.lexists(link))
preload.fail_after(ctypes.c_long(calls))
db = connect()
db.execute("INSERT INTO t VALUES (NULL, 1)")
db.execute("SELECT wal_set('checkpoint_frames', 700)").fetchall()
db.close()
preload.fail_after(ctypes.c_long(-1))
for _ in range(2):
    db = connect()
    db.execute("INSERT INTO t VALUES (NULL, 1)")
    assert db.execute("SELECT private_because, incomplete_because FROM wal_metrics").fetchone() == (None, None)
    assert db.execute("SELECT value FROM wal_config WHERE name = 'checkpoint_frames'").fetchone() == (700,)
    assert descriptors() == 1
    db.close()
print(preload.changed_calls())
"""


def test_bug_a_call_that_failed_once_let_the_next_open_wait_for_ever(wal_path):
    """The close left its entry in the process's registry, or its descriptor; also where the file is opened it fails
    once."""
    preload = str(BUILD / "tests" / "libfailing_calls.so")
    calls, failed = 0, 1
    while failed:
        path = wal_path.with_name(f"{calls}.db")
        shutil.copy(wal_path, path)
        done = subprocess.run([sys.executable, "-c", FAILING, str(path), EXTENSION, preload, str(calls)], text=True,
                              capture_output=True, timeout=30, env=dict(os.environ, LD_PRELOAD=preload))
        assert done.returncode == 0, f"after {calls} calls: {done.stderr}"
        assert integrity(path) == "ok"
        failed = int(done.stdout)
        calls += failed
    assert calls >= 5


# The same while a file that was cut short is made anew. Prints also how many rules there are then.
CUT_SHORT = """
import ctypes, sqlite3, sys
path, extension, preload, calls = sys.argv[1], sys.argv[2], ctypes.CDLL(sys.argv[3]), int(sys.argv[4])
def commit():
    db = sqlite3.connect(path, isolation_level=None); db.enable_load_extension(True); db.load_extension(extension)
    db.execute("INSERT INTO t VALUES (NULL, 1)")
    return db
preload.fail_after(ctypes.c_long(calls))
commit().close()
preload.fail_after(ctypes.c_long(-1))
db = commit()
rules, = db.execute("SELECT count(*) FROM wal_strategies WHERE strategy = 'mine'").fetchone()
print(preload.changed_calls(), rules)
"""


def test_bug_a_call_that_failed_once_lost_the_settings_beyond_the_first_part(wal_path):
    rules = [{"rule": f"r{i}", "priority": i, "condition": "pending_frames > 900"} for i in range(10)]
    db = connect(wal_path)
    db.execute("SELECT wal_strategy_define('mine', ?)", (json.dumps(rules),)).fetchall()
    for i in range(100):
        db.execute(f"SELECT id AS a{i} FROM t").fetchall()  # sections behind that of the rules
    db.close()
    os.truncate(control_of(wal_path), control_of(wal_path).stat().st_size - 4096)
    preload = str(BUILD / "tests" / "libfailing_calls.so")
    calls, failed = 0, 1
    while failed:
        path = wal_path.with_name(f"{calls}.db")
        shutil.copy(wal_path, path)
        shutil.copy(control_of(wal_path), control_of(path))
        done = subprocess.run([sys.executable, "-c", CUT_SHORT, str(path), EXTENSION, preload, str(calls)], text=True,
                              capture_output=True, timeout=30, env=dict(os.environ, LD_PRELOAD=preload))
        assert done.returncode == 0, done.stderr
        failed, kept = map(int, done.stdout.split())
        assert kept == 10, f"after {calls} calls"
        calls += failed
    assert calls >= 5


@pytest.mark.parametrize("taken", [False, True])
def test_bug_a_descriptor_that_could_not_be_looked_at_stayed_open_for_ever(worker, wal_path, taken):
    """And every later connection was private. It is closed once it is known to be the file's; where the program has
    given its number to another file, that is not closed."""
    preload = str(BUILD / "tests" / "libfailing_calls.so")
    process = worker(wal_path, LD_PRELOAD=preload)
    process.run(
        f"""
        import ctypes
        preload = ctypes.CDLL({preload!r})
        path, control = {str(wal_path)!r}, {str(control_of(wal_path))!r}
        def numbers():
            links = {{fd: f"/proc/self/fd/{{fd}}" for fd in map(int, os.listdir("/proc/self/fd"))}}
            return [fd for fd, link in links.items() if os.path.lexists(link) and os.readlink(link) == control]
        db.execute("INSERT INTO t(payload) VALUES (1)")
        (number,) = numbers()
        preload.fail_all(True)
        db.close()
        left = numbers()
        db = connect(path)
        db.execute("INSERT INTO t(payload) VALUES (1)")
        because = metrics(db)["private_because"]
        changed = preload.changed_calls()
        if {taken}:
            os.dup2(os.open("/dev/null", os.O_RDONLY), number)
        preload.fail_all(False)
        """
    )
    assert process.call("left == [number]")
    assert process.call("changed") >= 2
    assert process.call("because") == f"the descriptor that this process had of the control file {control_of(wal_path)} cannot be closed yet"
    assert poll(lambda: commit(process) or process.call("metrics(db)")["private_because"], None) is None
    assert process.call("len(numbers())") == 1
    assert process.call("os.readlink(f'/proc/self/fd/{number}') == ('/dev/null' if %r else control)" % taken)


def test_bug_commits_waited_for_a_setting_that_waited_for_the_file(worker, wal_path):
    """The close waited for up to a second, while another process was making the file."""
    process = worker(wal_path)
    process.run(f"second = connect({str(wal_path)!r}, check_same_thread=False)")
    control_of(wal_path).write_bytes(b"")
    maker = os.open(control_of(wal_path), os.O_RDWR)
    try:
        fcntl.lockf(maker, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LOCK_MAKE)
        process.run(
            """
            def set_value():
                try:
                    one(second, "SELECT wal_set('checkpoint_frames', 700)")
                except sqlite3.Error:
                    pass
            setting = threading.Thread(target=set_value)
            setting.start()
            time.sleep(0.2)
            start = time.monotonic()
            db.execute("INSERT INTO t(payload) VALUES (1)")
            took = time.monotonic() - start
            still_waits = setting.is_alive()
            setting.join()
            """
        )
    finally:
        os.close(maker)
    assert process.call("still_waits") is True
    assert process.call("took") < 0.4
    control_of(wal_path).unlink()
    assert poll(lambda: commit(process) or process.call("metrics(db)")["private_because"], None) is None


def test_bug_a_last_close_waited_a_second_for_a_process_that_made_the_file(worker, wal_path):
    """Each close waited while that process stood still. The counts until then are not worth a wait."""
    control_of(wal_path).write_bytes(b"")
    maker = os.open(control_of(wal_path), os.O_RDWR)
    try:
        fcntl.lockf(maker, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LOCK_MAKE)
        process = worker(wal_path)
        process.run(
            """
            db.execute("INSERT INTO t(payload) VALUES (1)")
            start = time.monotonic()
            db.close()
            took = time.monotonic() - start
            """
        )
    finally:
        os.close(maker)
    assert process.call("took") < 0.6


SECOND_COPY = """
import os, sqlite3, sys
path, extension, copy = sys.argv[1:4]
def connect(name):
    db = sqlite3.connect(path, isolation_level=None); db.enable_load_extension(True); db.load_extension(name)
    return db
first = connect(extension)
first.execute("INSERT INTO t VALUES (NULL, 1)")
assert first.execute("SELECT statistics_file FROM wal_metrics").fetchone() != (None,)
try:
    second = connect(copy)
    second.execute("INSERT INTO t VALUES (NULL, 1)")
    second.execute("SELECT * FROM wal_metrics").fetchall()
    second.close()
except sqlite3.OperationalError:
    pass  # refused
print(os.getpid(), flush=True)
sys.stdin.readline()
"""


def test_bug_a_second_copy_in_a_process_dropped_the_locks_of_the_first(worker, wal_path, tmp_path):
    """For other processes the connection of the first copy was gone, and no process used the file."""
    copy = tmp_path / "another" / "walmanager.so"
    copy.parent.mkdir()
    shutil.copy(f"{EXTENSION}.so", copy)
    with subprocess.Popen([sys.executable, "-c", SECOND_COPY, str(wal_path), EXTENSION, str(copy)[:-3]], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        pid = int(process.stdout.readline())
        other = worker(wal_path)
        commit(other)
        assert other.call("metrics(db)")["processes"] == 2
        assert pid in other.call("[row[0] for row in db.execute('SELECT pid FROM connection_metrics')]")
        process.communicate("\n")
