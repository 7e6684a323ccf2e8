"""What another program does to the control file while processes have it mapped: it fills it with lies, replaces it or
cuts it. No statement of theirs fails or waits for long, and no row is lost; where the file is cut, what reads behind
its end is killed, as with SQLite's own -shm, and the database is sound."""

import os
import random
import signal
import time

import pytest

from conftest import connect
from waiting import poll
from workers import WorkerError, fast_path, integrity, worker  # noqa: F401 (fixtures among them)

PROCESSES = 2
LOOKS = ("wal_metrics", "wal_checkpoints", "wal_strategies", "wal_config", "wal_history", "wal_periods", "wal_alerts", "wal_io",
         "system_health", "connection_metrics", "wal_readers", "query_performance", "wal_lock_waits", "wal_recommendations",
         "wal_trends")
# Commits and looks for a time, or until there are enough. The longest commit, and how many there were.
WORK = """
import time
from itertools import cycle
longest, commits, looks = 0, 0, cycle({looks!r})
until = time.monotonic() + {seconds}
while time.monotonic() < until:
    began = time.perf_counter()
    db.execute("INSERT INTO t(payload) VALUES (zeroblob(500))")
    longest = max(longest, time.perf_counter() - began)
    commits += 1
    if commits % 20 == 0:
        db.execute(f"SELECT * FROM {{next(looks)}} LIMIT 100").fetchall()
"""


def control_of(path):
    return path.with_name(path.name + "-walmanager")


def work_while(processes, path, disturb, seconds=1.5):
    """All processes commit and look; `disturb` is called again and again meanwhile. Then all rows are there."""
    for process in processes:
        process.start("run", WORK.format(looks=LOOKS, seconds=seconds))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        disturb()
        time.sleep(0.001)
    commits = 0
    for process in processes:
        process.finish()
        # A gate that nobody opens holds a commit up for as long as a checkpoint may, 0.3 s, and is cleared then.
        assert process.call("longest") < 3, "a commit waited"
        commits += process.call("commits")
    assert commits >= PROCESSES
    bare = connect(path, None)
    assert bare.execute("SELECT count(*) FROM t").fetchone()[0] == commits
    bare.close()
    assert integrity(path) == "ok"


def check_recovers(processes, path):
    """Once the file is deleted, all of them share a new one."""
    control_of(path).unlink(missing_ok=True)

    def shared():
        for process in processes:
            process.run("db.execute(\"SELECT wal_set('sample_interval_ms', 10)\").fetchall()\n"
                        "db.execute('INSERT INTO t(payload) VALUES (1)')")
        return [process.metrics()["processes"] for process in processes]

    assert poll(shared, [len(processes)] * len(processes)) == [len(processes)] * len(processes)
    assert [process.end() for process in processes] == [0] * len(processes)
    assert integrity(path) == "ok"


@pytest.fixture
def processes(worker, fast_path):  # noqa: F811
    made = [worker(fast_path) for _ in range(PROCESSES)]
    for process in made:
        process.run("db.execute('INSERT INTO t(payload) VALUES (1)'); db.execute('DELETE FROM t')")
    assert made[0].metrics()["processes"] == PROCESSES
    return made


@pytest.mark.parametrize("lies", ["noise", "ones", "zeros", "words of the future"])
@pytest.mark.parametrize("from_byte", [0, 96])  # with the identity of the file, or after it
def test_lies_while_in_use(processes, fast_path, lies, from_byte):  # noqa: F811
    rng = random.Random(from_byte)
    length = control_of(fast_path).stat().st_size
    word = time.monotonic_ns() + 3600 * 10**9

    def lie():
        size = min(rng.choice([8, 64, 4096, 65536]), length - from_byte)
        at = rng.randrange(from_byte, length - size + 1) // 8 * 8
        content = {"noise": rng.randbytes(size), "ones": b"\xff" * size, "zeros": bytes(size),
                   "words of the future": word.to_bytes(8, "little") * (size // 8)}[lies]
        with open(control_of(fast_path), "r+b") as file:
            file.seek(at)
            file.write(content)
            file.truncate(max(length, os.fstat(file.fileno()).st_size))

    work_while(processes, fast_path, lie, 0.7)
    check_recovers(processes, fast_path)


@pytest.mark.parametrize("word", [2**63 - 1, -2**63, -1])
def test_bug_system_health_failed_where_counters_had_any_values(processes, fast_path, word):  # noqa: F811
    """A sum() of them overflowed."""
    with open(control_of(fast_path), "r+b") as file:
        length = os.fstat(file.fileno()).st_size
        file.seek(96)
        file.write((word % 2**64).to_bytes(8, "little") * ((length - 96) // 8))
    for look in LOOKS:  # they failed here
        processes[0].run(f"db.execute('SELECT * FROM {look}').fetchall()")
    work_while(processes, fast_path, lambda: None, 0.3)
    check_recovers(processes, fast_path)


@pytest.mark.parametrize("content", ["an older copy", "another database's", "no control file", "nothing"])
def test_replaced_while_in_use(processes, fast_path, worker, content):  # noqa: F811
    if content == "another database's":
        other = fast_path.with_name("other.db")
        connect(other, None).execute("PRAGMA journal_mode=WAL")
        process = worker(other)
        process.run("db.execute('CREATE TABLE u(a)')")
        assert process.end() == 0
    contents = {"an older copy": control_of(fast_path).read_bytes, "nothing": bytes,
                "no control file": lambda: b"This is somebody's file." * 1000,
                "another database's": lambda: control_of(other).read_bytes()}
    replacement, new = contents[content](), fast_path.with_name("replacement")

    def replace():
        new.write_bytes(replacement)
        os.replace(new, control_of(fast_path))
        time.sleep(0.02)

    work_while(processes, fast_path, replace)
    check_recovers(processes, fast_path)


def test_deleted_again_and_again_while_in_use(processes, fast_path):  # noqa: F811
    work_while(processes, fast_path, lambda: control_of(fast_path).unlink(missing_ok=True))
    check_recovers(processes, fast_path)


def test_cut_while_in_use_the_shared_memory_of_sqlite_ends_a_bare_process(worker, fast_path):  # noqa: F811
    """So it is no other risk that the control file does so, too: who may write to one may write to the other."""
    process = worker(fast_path, load=False)
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    os.truncate(fast_path.with_name(fast_path.name + "-shm"), 0)
    with pytest.raises(WorkerError, match=str(-signal.SIGBUS)):
        process.run("db.execute('INSERT INTO t(payload) VALUES (1)')")


@pytest.mark.parametrize("length", [0, 4096, 100_000])
def test_cut_while_in_use_the_database_is_sound(processes, fast_path, worker, length):  # noqa: F811
    for process in processes:
        process.start("run", WORK.format(looks=LOOKS, seconds=1).replace("commits += 1", "commits += 1; print(commits, flush=True)"))
    for process in processes:
        process.wait_for_lines(30)
    os.truncate(control_of(fast_path), length)
    acknowledged = 0
    for process in processes:
        try:
            process.finish()
        except WorkerError as error:
            assert str(-signal.SIGBUS) in str(error)
        acknowledged += len(process.lines)
    bare = connect(fast_path, None)
    count = bare.execute("SELECT count(*) FROM t").fetchone()[0]
    bare.close()
    assert acknowledged <= count <= acknowledged + PROCESSES  # one may be killed before it says so
    assert integrity(fast_path) == "ok"
    for process in processes:
        if process.running:
            process.kill()
    after = worker(fast_path)
    after.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    assert after.metrics()["statistics_file"] == str(control_of(fast_path))
