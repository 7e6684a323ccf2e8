"""Beside the real Litestream: the replica holds all commits, the log stays small, and who checkpoints is always told.

litestream.py installs the programs and says where they are looked for.
"""

import hashlib
import json
import os
import signal
import sqlite3
import sys
import threading
import time

import pytest

from conftest import ROOT, connect, metrics, one
from waiting import wait_for

sys.path[:0] = [str(ROOT / "tests" / "process"), str(ROOT / "tests" / "hosts")]
import litestream  # noqa: E402
from hosts import missing, row  # noqa: E402, F401 (fixture)
from workers import worker  # noqa: E402, F401 (fixture)

MINUTE_WITHOUT_A_SIGN = 60  # ReplicatorWatch::kWaitNs

# Writers with rows of their own, and readers. `errors` has what SQLite answered instead.
APPLICATION = """
import os, random
errors = []
def open_database(path, load=EXTENSION, wait=20.0):
    db = connect(path, load, timeout=wait)
    db.execute("PRAGMA synchronous=NORMAL")
    return db
def write_one(db, writer, number):
    try:
        db.execute("INSERT INTO t(writer, number, payload) VALUES (?, ?, ?)", (writer, number, os.urandom(random.randrange(20, 900))))
        if number % 7 == 0:
            db.execute("UPDATE t SET payload = ? WHERE writer = ? AND number = ?", (os.urandom(60), writer, number // 2))
        if number % 50 == 0:
            db.execute("DELETE FROM t WHERE writer = ? AND number BETWEEN ? AND ?", (writer, number - 40, number - 35))
        return True
    except sqlite3.Error as error:
        errors.append(str(error))
        return False
def write(db, writer, seconds, commits=10**9, rate=10**9):
    "For so many seconds, at most so many commits, and so many a second."
    number = one(db, f"SELECT coalesce(max(number), 0) FROM t WHERE writer = {writer}")
    begin = time.monotonic()
    done = 0
    while done < commits and (passed := time.monotonic() - begin) < seconds:
        if done >= passed * rate:
            time.sleep(0.001)
            continue
        number += 1
        done += write_one(db, writer, number)
    return done
class Reader(threading.Thread):
    def __init__(self, path, load, hold=0.02):
        super().__init__(daemon=True)
        self.path, self.load, self.hold, self.reads, self.stopped = path, load, hold, 0, threading.Event()
        self.start()
    def run(self):
        db = open_database(self.path, self.load)
        while not self.stopped.is_set():
            try:
                db.execute("BEGIN")
                db.execute("SELECT count(*), sum(length(payload)) FROM t").fetchone()
                time.sleep(self.hold)
                db.execute("COMMIT")
                self.reads += 1
            except sqlite3.Error as error:
                errors.append(str(error))
        db.close()
    def end(self):
        self.stopped.set()
        self.join()
        return self.reads
"""


@pytest.fixture(params=litestream.VERSIONS)
def program(request):
    found = litestream.find(request.param)
    if not found:
        missing(f"Litestream {request.param}")
    return found


@pytest.fixture
def replicators():
    """Makes replicators, and ends those that run."""
    made = []

    def make(program, path, **options):
        made.append(litestream.Litestream(program, path, **options))
        return made[-1]

    yield make
    for one_of_them in made:
        one_of_them.kill()


def new_database(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, writer INTEGER, number INTEGER, payload BLOB)")
    db.execute("CREATE INDEX t_of_writer ON t(writer, number)")
    db.close()
    return path


def content(db):
    """All that the application wrote: the number of rows and a hash."""
    rows, sha = 0, hashlib.sha256()
    for row in db.execute("SELECT id, writer, number, payload FROM t ORDER BY id"):
        rows += 1
        sha.update(repr(row).encode())
    return rows, sha.hexdigest()


def content_of(path):
    db = sqlite3.connect(path)
    found = content(db)
    db.close()
    return found


def application(worker, path, load=True, wait=20.0):
    process = worker()
    process.run(APPLICATION)
    process.run(f"path, load = {str(path)!r}, {'EXTENSION' if load else None}\ndb = open_database(path, load, {wait})")
    return process


def changes(db):
    return [detail for detail, in db.execute(
        "SELECT detail FROM wal_alerts WHERE check_name = 'replicator' AND status = 'changed' ORDER BY id")]


def strategy_detail(db):
    return one(db, "SELECT detail FROM system_health WHERE check_name = 'strategy'")


def own_checkpoints(db):
    """Those that were not asked for."""
    row = metrics(db)
    return row["checkpoints"] - row["checkpoints_manual"]


class LogSize(threading.Thread):
    """The largest size of a database's log while it runs."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.largest, self._log, self._stopped = 0, f"{path}-wal", threading.Event()
        self.start()

    def run(self):
        while not self._stopped.wait(0.01):
            try:
                self.largest = max(self.largest, os.stat(self._log).st_size)
            except FileNotFoundError:
                pass

    def end(self):
        self._stopped.set()
        self.join()
        return self.largest


@pytest.mark.parametrize("processes", [1, 2])
def test_the_replica_holds_all_commits(tmp_path, worker, replicators, program, row, processes):
    row("Litestream", litestream.version_of(program), sqlite3.sqlite_version, "replica of 1 and 2 processes")
    path = new_database(tmp_path / "app.db")
    replica = replicators(program, path).start()
    wait_for(replica.is_connected)
    programs = [application(worker, path) for _ in range(processes)]
    programs[0].run("reader = Reader(path, load)")
    for writer, process in enumerate(programs):
        process.start("call", f"write(db, {writer}, 2)")
    commits = [process.finish() for process in programs]
    programs[0].call("reader.end()")
    assert [process.call("errors") for process in programs] == [[]] * processes
    assert min(commits) > 100
    row = programs[0].metrics()
    assert (row["checkpointer"], row["checkpoints"]) == ("replicator", 0)
    wanted = content_of(path)
    assert replica.restored_as(wanted, content) == wanted
    # The application ends, and with it its last commits and its connections.
    programs[0].call("write(db, 0, 9, 50)")
    wanted = content_of(path)
    assert [process.end() for process in programs] == [0] * processes
    assert replica.restored_as(wanted, content) == wanted
    assert replica.stop() == 0
    assert replica.restored_as(wanted, content, 0) == wanted


def test_after_kills_the_replica_holds_all_commits(tmp_path, worker, replicators, program, row):
    """kill -9 of Litestream, of the application, and of both, while the application writes."""
    row("Litestream", litestream.version_of(program), sqlite3.sqlite_version, "kills of both")
    path = new_database(tmp_path / "app.db")
    replica = replicators(program, path).start()
    wait_for(replica.is_connected)
    for writer, killed in enumerate([("replica",), ("program",), ("replica", "program"), ("replica",)]):
        process, other = (application(worker, path) for _ in range(2))
        process.start("call", f"write(db, {writer}, 20)")
        other.start("call", f"write(db, {10 + writer}, 1.2)")
        time.sleep(0.7)
        if "replica" in killed:
            replica.kill()
        if "program" in killed:
            process.kill()
        time.sleep(0.2)
        if not replica.running:
            replica.start()
        other.finish()
        assert other.call("errors") == []
        if process.running:
            process.kill()
        assert other.metrics()["checkpointer"] == "replicator"
        assert other.end() == 0
        wanted = content_of(path)
        assert replica.restored_as(wanted, content) == wanted
    db = connect(path)
    # The last connection that closes checkpoints, as with SQLite alone, also before Litestream is back.
    own = db.execute("SELECT * FROM wal_checkpoints WHERE origin NOT IN ('manual', 'close')").fetchall()
    assert (metrics(db)["checkpointer"], own) == ("replicator", [])
    assert one(db, "PRAGMA integrity_check") == "ok"
    db.close()


def run_beside(place, program, worker, replicators, load):
    """Two writers with 200 commits a second each and a reader; commits, errors, the largest log, and its checkpoints."""
    place.mkdir()
    path = new_database(place / "app.db")
    replica = replicators(program, path).start()
    wait_for(replica.is_connected)
    programs = [application(worker, path, load) for _ in range(2)]
    programs[0].run("reader = Reader(path, load)")
    size = LogSize(path)
    for writer, process in enumerate(programs):
        process.start("call", f"write(db, {writer}, 4, rate=200)")
    commits = sum(process.finish() for process in programs)
    programs[0].call("reader.end()")
    errors = [error for process in programs for error in process.call("errors")]
    largest = size.end()
    wanted = content_of(path)
    assert replica.restored_as(wanted, content) == wanted
    for process in programs:
        process.end()
    replica.stop()
    db = sqlite3.connect(path)
    seq = one(db, "SELECT seq FROM _litestream_seq")
    db.close()
    return commits, errors, largest, seq


def test_no_busy_and_no_larger_log_than_without_the_extension(tmp_path, worker, replicators, program, row):
    row("Litestream", litestream.version_of(program), sqlite3.sqlite_version, "BUSY and the log, against SQLite alone")
    bare = run_beside(tmp_path / "bare", program, worker, replicators, False)
    managed = run_beside(tmp_path / "managed", program, worker, replicators, True)
    print("commits, errors, largest log, checkpoints of Litestream:", bare, managed)
    assert (bare[1], managed[1]) == ([], [])
    assert managed[0] > bare[0] / 2
    assert managed[2] < 2 * bare[2] + (8 << 20)
    assert managed[3] > 1


class Followed:
    """One database with a writer here, and who checkpoints it, as it tells at each step."""

    def __init__(self, place, program, replicators, number):
        place.mkdir()
        self.path = new_database(place / "app.db")
        self.replica = replicators(program, self.path)
        self.signal = number
        self.db = connect(self.path, timeout=20)
        self.db.execute("PRAGMA synchronous=NORMAL")
        one(self.db, "SELECT wal_set('wal_limit_bytes', 1000000000)")  # a log beyond its limit ends the minute
        self.told = []  # (seconds, checkpointer), where it changed
        self._begin = time.monotonic()

    def write(self, commits=5):
        for _ in range(commits):
            self.db.execute("INSERT INTO t(writer, payload) VALUES (1, randomblob(2000))")

    def step(self):
        self.write()
        checkpointer = metrics(self.db)["checkpointer"]
        if not self.told or self.told[-1][1] != checkpointer:
            self.told.append((time.monotonic(), checkpointer))
        return checkpointer

    def since(self, moment):
        return self.told[-1][0] - moment

    def replica_equals_it(self):
        wanted = content_of(self.path)
        return self.replica.restored_as(wanted, content) == wanted


def test_bug_the_log_grew_for_a_minute_after_litestream_was_gone(tmp_path, worker, replicators, program, row):
    """Litestream is killed while a program writes as fast as it can, and is started again."""
    row("Litestream", litestream.version_of(program), sqlite3.sqlite_version, "gone while a program writes as fast as it can")
    if os.readlink("/proc/self/ns/pid") != "pid:[4026531836]":  # PROC_PID_INIT_INO of the kernel
        pytest.skip("a container does not show the processes that have the database open")
    path = new_database(tmp_path / "app.db")
    replica = replicators(program, path).start()
    wait_for(replica.is_connected)
    process = application(worker, path)
    process.call("one(db, \"SELECT wal_set('wal_limit_bytes', 4000000)\")")
    process.call("write(db, 1, 9, 500)")
    replica.kill()
    process.call("write(db, 1, 10)")
    row_then = process.metrics()
    print("largest log, frames:", row_then["wal_bytes_max"], row_then["wal_frames"])
    assert row_then["checkpointer"] == "background"
    assert row_then["wal_resets"] > 0
    replica.start()
    assert wait_for(lambda: process.call("write(db, 1, 1)") and process.metrics()["checkpointer"] == "replicator")
    wanted = content_of(path)
    assert replica.restored_as(wanted, content) == wanted
    assert process.call("errors") == []


def step_until(followed, enough, seconds):
    end = time.monotonic() + seconds
    while not all(map(enough, followed)) and time.monotonic() < end:
        for one_of_them in followed:
            one_of_them.step()
        time.sleep(0.05)
    return [one_of_them.told[-1][1] for one_of_them in followed]


def test_who_checkpoints_is_always_told(tmp_path, replicators, row):
    """Litestream comes late, is stopped or killed, stays away, and returns: each version, with each signal, at once."""
    programs = {version: program for version in litestream.VERSIONS if (program := litestream.find(version))}
    if not programs:
        missing("Litestream")
    row("Litestream", " and ".join(programs), sqlite3.sqlite_version, "late, stopped, killed, gone for a minute, back")
    followed = [Followed(tmp_path / f"{version}-{number.name}", program, replicators, number)
                for version, program in programs.items() for number in (signal.SIGTERM, signal.SIGKILL)]
    count = len(followed)
    for f in followed:
        f.write(3000)
    assert step_until(followed, lambda f: own_checkpoints(f.db) > 0, 20) == ["background"] * count
    # It comes late.
    start = time.monotonic()
    for f in followed:
        f.replica.start()
    assert step_until(followed, lambda f: f.told[-1][1] == "replicator", 20) == ["replicator"] * count
    print("told after its start:", [round(f.since(start), 2) for f in followed])
    assert all(changes(f.db) == [] for f in followed)
    assert all("a replicator runs the checkpoints" in strategy_detail(f.db) for f in followed)
    before = [own_checkpoints(f.db) for f in followed]
    for f in followed:
        f.write(2500)
    assert all(f.replica_equals_it() for f in followed)
    assert [own_checkpoints(f.db) for f in followed] == before
    # It goes, and its table stays.
    step_until(followed, lambda f: False, 2)
    gone = time.monotonic()
    for f in followed:
        f.replica.stop(f.signal)
        f.write(1500)
    assert step_until(followed, lambda f: f.told[-1][1] != "replicator", MINUTE_WITHOUT_A_SIGN + 15) == ["background"] * count
    print("told after its end:", [round(f.since(gone), 2) for f in followed])
    assert all(MINUTE_WITHOUT_A_SIGN - 5 < f.since(gone) for f in followed)
    assert all("no look for 60 s found a sign" in changes(f.db)[0] for f in followed)
    assert all("but no sign of its replicator" in strategy_detail(f.db) for f in followed)
    assert wait_for(lambda: all(own_checkpoints(f.db) > b or f.write() for f, b in zip(followed, before)))
    for f in followed:  # the log starts over
        f.write(10)
        assert metrics(f.db)["wal_frames"] < 3000
    # It returns.
    start = time.monotonic()
    for f in followed:
        f.replica.start()
        f.write(2000)
    assert step_until(followed, lambda f: f.told[-1][1] == "replicator", 20) == ["replicator"] * count
    print("told after its return:", [round(f.since(start), 2) for f in followed])
    assert all(len(changes(f.db)) == 2 and changes(f.db)[1].startswith("the replicator is there") for f in followed)
    assert all(f.replica_equals_it() for f in followed)
    for f in followed:
        assert [checkpointer for _, checkpointer in f.told] == ["background", "replicator", "background", "replicator"]
        assert one(f.db, "PRAGMA integrity_check") == "ok"
        f.db.close()


def test_functions_beside_litestream(tmp_path, worker, replicators, program, row):
    """Checkpoints that the user asks for, VACUUM and wal_backup(): no error, and the replica stays right."""
    row("Litestream", litestream.version_of(program), sqlite3.sqlite_version, "checkpoints of the user, VACUUM, wal_backup()")
    path = new_database(tmp_path / "app.db")
    replica = replicators(program, path).start()
    wait_for(replica.is_connected)
    process = application(worker, path)

    def report(call):
        return json.loads(process.call(f"one(db, \"SELECT {call}\")"))

    def replica_equals_it():
        wanted = content_of(path)
        return replica.restored_as(wanted, content) == wanted

    process.call("write(db, 1, 9, 1500)")
    said = report("wal_checkpoint_auto()")
    assert (said["result"], said["busy"]) in (("skipped", False), ("partial", False), ("complete", False))
    process.run("db.execute('PRAGMA busy_timeout=300').fetchall()")
    for mode in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
        process.call("write(db, 1, 9, 100)")
        said = report(f"wal_checkpoint('{mode}')")
        # Litestream's read lock is in the way, unless it gives that up in this moment.
        assert said["result"] in ("complete", "partial" if mode == "PASSIVE" else "busy")
        assert said["result"] == "complete" or said["blocked_by_pid"] == replica.pid
        process.call(f"db.execute('PRAGMA wal_checkpoint({mode})').fetchall()")
    process.run("db.execute('PRAGMA busy_timeout=20000').fetchall()")
    assert replica_equals_it()
    process.run("db.execute('DELETE FROM t WHERE id % 3 = 0')")
    process.run("db.execute('VACUUM')")
    assert replica_equals_it()
    process.call("write(db, 1, 9, 1000)")
    copy = tmp_path / "backup.db"
    assert report(f"wal_backup('{copy}')")["verified"]
    assert content_of(copy) == content_of(path)
    assert replica_equals_it()
    assert process.metrics()["checkpointer"] == "replicator"
    assert process.call("errors") == []
