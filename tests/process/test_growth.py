"""A control file that cannot grow for a while, for the kinds of sections that a program needs within seconds: its process
is killed at each step, the disk is full, or a write does not return. No call of the program fails, or waits."""

import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from conftest import BUILD, EXTENSION, connect, metrics, one
from control_sections import TABLE, control_of, sections
from waiting import poll
from workers import fast_path, integrity, small_disk, worker  # noqa: F401 (fixtures among them)

PRELOAD = str(BUILD / "tests" / "libfailing_calls.so")

# What needs a section, and the number of its kind.
NEEDS = """
import json, time

def statements():
    for i in range(30): db.execute(f"SELECT payload AS c{i} FROM t WHERE id = {i}").fetchall()

def counters():
    for _ in range(20): db.execute("SELECT count(*) FROM t").fetchall()

def connections():
    others.extend(again() for _ in range(8))
    for other in others: other.execute("SELECT count(*) FROM t").fetchall()

def checkpoints():
    for _ in range(70):
        db.execute("UPDATE t SET payload = payload + 1 WHERE id = 1")
        db.execute("SELECT wal_checkpoint('PASSIVE')").fetchall()

def alerts():
    for i in range(20): db.execute("SELECT wal_set('checkpoint_frames', ?)", (500 + i,)).fetchall()

def settings():
    rules = [{"priority": i, "rule": f"r{i}", "condition": "wal_frames > 1000000", "mode": "PASSIVE", "runs": "inline"}
             for i in range(10)]
    db.execute("SELECT wal_strategy_define('mine', ?)", (json.dumps(rules),)).fetchall()

def samples():
    end = time.monotonic() + 10
    while time.monotonic() < end and db.execute("SELECT count(*) FROM wal_history").fetchone()[0] < 2:
        db.execute("SELECT count(*) FROM t").fetchall()
        time.sleep(0.02)
"""
KINDS = {"settings": 1, "checkpoints": 2, "connections": 3, "counters": 4, "statements": 7, "samples": 8, "alerts": 11}


class Program:
    """What NEEDS has, on a database of this process."""

    def __init__(self, path):
        self.scope = {"again": lambda: connect(path), "others": []}
        self.scope["db"] = self.db = connect(path)
        exec(NEEDS, self.scope)

    def need(self, what):
        self.scope[what]()

    def close(self):
        for each in [*self.scope["others"], self.db]:
            each.close()


KILLED = """
import ctypes, sqlite3, sys
path, extension, preload, calls, what = sys.argv[1], sys.argv[2], ctypes.CDLL(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
def again():
    db = sqlite3.connect(path, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(extension)
    return db
db, others = again(), []
db.execute("UPDATE t SET payload = 2 WHERE id = 1")
preload.kill_after(calls)
""" + NEEDS + """
globals()[what]()
"""


@pytest.mark.parametrize("what", ["statements", "connections", "checkpoints", "settings", "alerts"])
def test_a_process_killed_at_any_step_of_a_growth_leaves_a_file_that_grows(fast_path, what):
    """The steps: a lock, half of the zeros, all of them, two mappings, the end of the lock."""
    db = connect(fast_path, None)
    db.execute("INSERT INTO t VALUES (1, 0)")
    db.close()
    steps = range(14 if what == "settings" else 8)  # its section is written in six parts
    paths = [fast_path.with_name(f"{step}.db") for step in steps]
    for path in paths:
        shutil.copy(fast_path, path)
    # Half of them beside a process that has the file open, which is not made whole by the next one then.
    keepers = [Program(path) if step % 2 else None for step, path in zip(steps, paths)]
    for keeper in filter(None, keepers):
        keeper.db.execute("UPDATE t SET payload = 1 WHERE id = 1")
    killed = [subprocess.Popen([sys.executable, "-c", KILLED, str(path), EXTENSION, PRELOAD, str(step), what],
                               env=dict(os.environ, LD_PRELOAD=PRELOAD), stderr=subprocess.PIPE)
              for step, path in zip(steps, paths)]
    ends = [process.communicate(timeout=60) and process.returncode for process in killed]
    assert ends[:6] == [-9] * 6
    for keeper, path in zip(keepers, paths):
        program = keeper or Program(path)
        program.need(what)
        assert metrics(program.db)["incomplete_because"] is None
        found = sections(path)
        assert KINDS[what] in {kind for kind, _, _ in found}
        assert len({(kind, index) for kind, index, _ in found}) == len({block for _, _, block in found}) == len(found)
        program.close()
        assert integrity(path) == "ok"


def test_on_a_full_disk_nothing_fails_and_each_section_comes_once_there_is_room(small_disk):
    path = small_disk / "test.db"
    program = Program(path)
    db = program.db
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.execute("INSERT INTO t VALUES (1, 0)")
    # The log is long enough for what follows, also where it cannot start over at each checkpoint.
    reader = connect(path, None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    for _ in range(200):
        db.execute("UPDATE t SET payload = payload + 1 WHERE id = 1")
    reader.close()
    assert one(db, "SELECT json_extract(wal_checkpoint('PASSIVE'), '$.result')") == "complete"
    db.execute("SELECT wal_set('sample_interval_ms', 10)").fetchall()
    there = {kind for kind, _, _ in sections(path)}
    assert metrics(db)["private_because"] is None
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        with pytest.raises(OSError):
            while True:
                file.write(bytes(4096))
    size = control_of(path).stat().st_size
    for what in ("statements", "counters", "connections", "checkpoints", "alerts"):
        program.need(what)
    with pytest.raises(sqlite3.OperationalError) as refused:  # what was set must not be lost
        program.need("settings")
    assert "strategy" in str(refused.value)
    assert control_of(path).stat().st_size == size
    assert {kind for kind, _, _ in sections(path)} == there
    because = metrics(db)["incomplete_because"]
    assert "on the disk" in because
    assert one(db, "SELECT status || ': ' || detail FROM system_health WHERE check_name = 'statistics_file'") == \
        f"warning: the control file cannot grow: {because}"
    assert one(db, "SELECT payload FROM t") == 200 + 70
    assert metrics(db)["connections_not_shown"] > 0
    filler.unlink()
    poll(lambda: program.need("statements") or metrics(db)["incomplete_because"], None, seconds=10)
    for what in KINDS:
        program.need(what)
    assert {kind for kind, _, _ in sections(path)} >= set(KINDS.values())
    assert metrics(db)["incomplete_because"] is None
    assert one(db, "SELECT status FROM system_health WHERE check_name = 'statistics_file'") == "ok"
    program.close()
    assert integrity(path) == "ok"


def test_a_write_that_does_not_return_holds_up_one_thread_alone(worker, wal_path):
    """As on a file system that does not answer: the threads that need a section as well do without."""
    process = worker(wal_path, LD_PRELOAD=PRELOAD)
    process.run(
        f"""
        import ctypes
        preload = ctypes.CDLL({PRELOAD!r})
        path = {str(wal_path)!r}
        others = [connect(path, timeout=20, check_same_thread=False) for _ in range(3)]
        for each in [db, *others]:
            each.execute("PRAGMA synchronous=OFF")
            each.execute("INSERT INTO t(payload) VALUES (1)")
        def select(each, name):
            for i in range(30): each.execute(f"SELECT payload AS {{name}}{{i}} FROM t WHERE id = {{i}}").fetchall()
        preload.hold_writes(True)
        stuck = threading.Thread(target=select, args=(others[0], "a"))
        stuck.start()
        end = time.monotonic() + 10
        while preload.held_writes() == 0 and time.monotonic() < end: time.sleep(0.001)
        start = time.monotonic()
        for i in range(100): db.execute("INSERT INTO t(payload) VALUES (1)")
        select(db, "b")
        more = [connect(path) for _ in range(8)]
        for each in more: each.execute("INSERT INTO t(payload) VALUES (1)")
        for each in more: each.close()
        row = metrics(db)
        took = time.monotonic() - start
        hangs = stuck.is_alive()
        preload.hold_writes(False)
        stuck.join()
        """
    )
    assert process.call("hangs")
    assert process.call("took") < 2
    assert process.call("row")["incomplete_because"] == "a write to the control file does not end"
    process.run("select(db, 'b'); select(others[1], 'c')")
    assert process.call("metrics(db)")["incomplete_because"] is None
    assert process.call("one(db, \"SELECT count(*) FROM query_performance WHERE query LIKE 'SELECT payload AS b%'\")") == 30
    assert process.call("one(db, 'SELECT commits FROM wal_metrics')") == 4 + 100 + 8
    assert process.end() == 0
    assert integrity(wal_path) == "ok"
