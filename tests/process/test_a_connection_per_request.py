"""A program with a connection for each request: what is kept between two of them, for how long, and what is not."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from conftest import BUILD, EXTENSION, connect, metrics, one
from waiting import poll
from workers import worker  # noqa: F401 (fixtures among them)

HOST = """
def request(path=path):
    db = connect(path)
    db.execute("PRAGMA synchronous=OFF")
    db.execute("SELECT count(*) FROM t").fetchone()
    for _ in range(2): db.execute("INSERT INTO t(payload) VALUES (1)")
    db.close()

def requests(count=20):
    for _ in range(count): request()

def threads():
    return threads_named("walmanager")

def files():  # of databases, that this process has open
    found = []
    for number in os.listdir("/proc/self/fd"):
        try: target = os.readlink(f"/proc/self/fd/{number}")
        except OSError: continue
        if ".db" in target: found.append(os.path.basename(target))
    return found

def maps():
    return open("/proc/self/maps").read().count(".db")
"""


@pytest.fixture
def host(worker, wal_path):
    """A process that is older than its first second, in which walmanager starts no thread."""
    process = worker()
    process.run(f"path = {str(wal_path)!r}" + HOST)
    process.run("request()")
    time.sleep(1.1)
    return process


def commits(path):
    db = connect(path)
    count = metrics(db)["commits"]
    db.close()
    return count


def test_between_two_requests_the_control_file_stays_and_nothing_of_the_database(host, wal_path):
    host.run("requests()")
    assert host.call("files()") == [f"{wal_path.name}-walmanager"]
    assert sorted(path.name for path in wal_path.parent.iterdir()) == [wal_path.name, f"{wal_path.name}-walmanager"]
    assert poll(lambda: host.call("(files(), maps())"), [[], 0], 5) == [[], 0]
    # The threads end with the last file that is kept, and not five seconds later.
    assert poll(lambda: host.call("threads()"), [], 2) == []
    host.run("requests(); time.sleep(2.5)")
    host.run("request()")  # the first after a pause: nothing is kept
    assert host.call("(files(), threads())") == [[], []]


def test_the_threads_stay_between_two_requests(host):
    host.run("requests()")
    before = host.call("threads()")
    assert 1 <= len(before) <= 2
    host.run("requests(100)")
    assert host.call("threads()") == before


def test_a_database_that_is_closed_once_leaves_nothing(host):
    time.sleep(2.1)
    host.run("request()")
    assert host.call("(files(), maps(), threads())") == [[], 0, []]


def test_a_process_in_its_first_second_keeps_nothing(worker, wal_path):
    process = worker()
    process.run(f"path = {str(wal_path)!r}" + HOST)
    process.run("began = time.monotonic(); requests(5); left = files(), threads(); took = time.monotonic() - began")
    if process.call("took") < 0.9:
        assert process.call("left") == [[], []]


def test_everything_is_counted(host, wal_path):
    before = commits(wal_path)
    host.run("requests(50)")
    assert commits(wal_path) - before == 100
    db = connect(wal_path)
    assert one(db, "SELECT sum(calls) FROM query_performance WHERE query LIKE 'INSERT INTO t %'") == 2 * 51
    assert metrics(db)["statistics_file"] == f"{wal_path}-walmanager"


def test_samples_are_taken_though_no_connection_lives_for_long(host, wal_path):
    db = connect(wal_path)
    one(db, "SELECT wal_set('sample_interval_ms', 50)")
    db.close()
    host.run("deadline = time.monotonic() + 2\nwhile time.monotonic() < deadline: request(); time.sleep(0.005)")
    db = connect(wal_path)
    assert one(db, "SELECT count(*) FROM wal_history WHERE resolution_ms < 60000 AND commits > 0") >= 5


def test_a_setting_of_another_process_is_followed(host, wal_path):
    host.run("requests()")
    db = connect(wal_path)
    one(db, "SELECT wal_set('statement_metrics', 'off')")
    db.close()
    host.run("requests(10)")
    db = connect(wal_path)
    assert one(db, "SELECT sum(calls) FROM query_performance WHERE query LIKE 'INSERT INTO t %'") == 2 * 21
    assert metrics(db)["commits"] >= 62


# --- what may have happened since the last close


def make_anew(path):
    path.unlink()
    db = connect(path, None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.close()


CHANGES = {
    "nothing": lambda path, control: None,
    "the database is made anew": lambda path, control: make_anew(path),
    "another database takes its place": lambda path, control: (
        make_anew(path.parent / "other.db") if (path.parent / "other.db").exists() else None,
        shutil.copy(path, path.parent / "other.db"), os.replace(path.parent / "other.db", path)),
    "the control file is deleted": lambda path, control: control.unlink(),
    "both are deleted": lambda path, control: (control.unlink(), make_anew(path)),
    "the control file is cut short": lambda path, control: os.truncate(control, 65536),
    "the control file is emptied": lambda path, control: os.truncate(control, 0),
    "the control file is another one": lambda path, control: (
        shutil.copy(control, f"{control}.copy"), os.replace(f"{control}.copy", control)),
    "the database is for its owner alone": lambda path, control: path.chmod(0o600),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_since_the_last_close_is_found(host, wal_path, change):
    db = connect(wal_path)
    one(db, "SELECT wal_set('checkpoint_frames', 777)")
    db.close()
    host.run("requests()")
    assert len(host.call("files()")) == 1
    control = pathlib.Path(f"{wal_path}-walmanager")
    before = commits(wal_path)
    CHANGES[change](wal_path, control)
    host.run("requests(10)")
    db = connect(wal_path)
    row = metrics(db)
    assert (row["statistics_file"], row["private_because"]) == (str(control), None)
    anew = change not in ("nothing", "the control file is another one", "the database is for its owner alone")
    assert row["commits"] == (20 if anew else before + 20)
    gone = change in ("the control file is deleted", "both are deleted", "the control file is emptied")
    setting = one(db, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'")
    assert (setting == 777) == (not gone)
    assert control.stat().st_mode & 0o777 == wal_path.stat().st_mode & 0o666
    assert one(db, "PRAGMA integrity_check") == "ok"


def test_rollback_mode_meanwhile(host, wal_path):
    host.run("requests()")
    db = connect(wal_path, None)
    assert one(db, "PRAGMA journal_mode=DELETE") == "delete"
    db.close()
    before = commits(wal_path)
    host.run("requests(3)")
    assert not pathlib.Path(f"{wal_path}-wal").exists()
    db = connect(wal_path, None)
    assert one(db, "PRAGMA journal_mode=WAL") == "wal"
    db.close()
    host.run("requests(3)")
    assert commits(wal_path) == before + 6


def test_another_process_that_makes_the_database_anew_has_the_file_at_once(host, wal_path):
    """What is kept has no lock: to other processes it is as closed as the database."""
    host.run("requests()")
    make_anew(wal_path)
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES (1)")
    assert host.call("len(files())") == 1
    assert (metrics(db)["commits"], metrics(db)["statistics_file"]) == (1, f"{wal_path}-walmanager")
    host.run("requests(10)")
    assert metrics(db)["commits"] == one(db, "SELECT count(*) FROM t") == 21


def test_a_file_that_another_process_has_made_grow_is_followed(host, wal_path):
    host.run("requests()")
    db = connect(wal_path)
    before = os.path.getsize(f"{wal_path}-walmanager")
    for n in range(300):
        db.execute(f"SELECT id AS a{n} FROM t WHERE id = 1").fetchall()
    assert os.path.getsize(f"{wal_path}-walmanager") > before
    host.run("requests(10)")
    assert one(db, "SELECT sum(calls) FROM query_performance WHERE query LIKE 'INSERT INTO t %'") == 2 * 31


def test_threads_with_a_request_each(host, wal_path):
    before = commits(wal_path)
    host.run("""
        def some():
            for _ in range(60):
                try: request()
                except sqlite3.OperationalError as error: errors.append(str(error))
        errors = []
        hosts = [threading.Thread(target=some) for _ in range(4)]
        for each in hosts: each.start()
        for each in hosts: each.join()
    """)
    assert [error for error in host.call("errors") if "locked" not in error] == []
    db = connect(wal_path)
    assert metrics(db)["commits"] == one(db, "SELECT count(*) FROM t")
    assert commits(wal_path) > before


# --- the host


def test_a_fork_finds_nothing_kept(host, wal_path):
    host.run("""
        requests()
        between = files()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                found = f"{files()} {maps()} {threads()}"
                requests(3)
                os.write(writer, found.encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        seen = os.read(reader, 1000).decode()
        requests()
    """)
    assert len(host.call("between")) == 1
    assert host.call("seen") == "[] 0 []"
    db = connect(wal_path)
    assert metrics(db)["commits"] == one(db, "SELECT count(*) FROM t")


def test_a_process_that_needs_its_descriptors_keeps_none(host):
    host.run("resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); taken = [os.dup(0) for _ in range(35)]")
    host.run("requests()")
    assert host.call("files()") == []


@pytest.mark.parametrize("file_system", ["FUSE", "NFS"])
def test_bug_a_fork_could_wait_for_a_server_that_a_kept_file_is_on(worker, wal_path, file_system):
    """A fork closes what is kept. On these file systems a close waits for a server, and a deleted file that is open
    leaves a hidden one in its directory."""
    preload = str(BUILD / "tests" / "libfailing_calls.so")
    process = worker(LD_PRELOAD=preload)
    process.run(f"path = {str(wal_path)!r}" + HOST)
    process.run(f"import ctypes; preload = ctypes.CDLL({preload!r}); request(); time.sleep(1.1); requests()")
    assert process.call("files()") == [f"{wal_path.name}-walmanager"]
    process.run(f"preload.tell_file_system(ctypes.c_long({dict(FUSE=0x65735546, NFS=0x6969)[file_system]}))")
    process.run("requests()")
    assert process.call("files()") == []
    assert process.call("preload.changed_calls()") > 0


def test_of_many_databases_some_dozens_are_kept_at_most(host, tmp_path):
    host.run(f"""
        paths = [{str(tmp_path)!r} + f"/{{i}}.db" for i in range(50)]
        for each in paths:
            db = connect(each)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
            db.close()
        most = 0
        for _ in range(4):
            for each in paths:
                request(each)
                most = max(most, len(files()))
    """)
    assert 2 <= host.call("most") <= 32
    assert poll(lambda: host.call("(files(), maps())"), [[], 0], 10) == [[], 0]


def test_the_host_may_close_the_descriptor(host, wal_path):
    """As a program does that becomes a daemon."""
    host.run("requests()")
    host.run("os.closerange(3, 200); mine = [os.open('/dev/null', os.O_RDWR) for _ in range(50)]")
    before = commits(wal_path)
    host.run("requests(3)")
    assert commits(wal_path) == before + 6
    assert poll(lambda: host.call("(files(), maps())"), [[], 0], 5) == [[], 0]
    host.run("for each in mine: os.close(each)")


EXITS = """
import os, sqlite3, sys, time
sys.path.insert(0, sys.argv[1])
from conftest import connect
path = sys.argv[2]
""" + HOST + """
request(); time.sleep(1.1); requests()
assert len(files()) == 1
"""


def test_an_exit_right_after_a_request(wal_path):
    tests = pathlib.Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", EXITS, tests, wal_path], text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
