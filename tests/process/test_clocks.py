"""Clocks that are set, and clocks of another time namespace: statements work and do not wait, each commit is counted
once, the log is copied, and samples go on."""

import subprocess

import pytest

from conftest import BUILD, one
from waiting import poll, wait_for
from workers import fast_path, integrity, worker  # noqa: F401 (fixtures among them)

COMMITS = 300
WORK = """
import time
longest = 0
for _ in range({commits}):
    began = time.perf_counter()
    db.execute("INSERT INTO t(payload) VALUES (zeroblob(2000))")
    longest = max(longest, time.perf_counter() - began)
"""
LOOKS = ("wal_metrics", "wal_checkpoints", "wal_history", "wal_periods", "wal_alerts", "system_health", "connection_metrics",
         "wal_readers", "query_performance", "wal_lock_waits")


def work(processes, commits=COMMITS):
    for process in processes:
        process.start("run", WORK.format(commits=commits))
    for process in processes:
        process.finish()
        assert process.call("longest") < 5, "a commit waited"


def look(process):
    """Each table can be read, and shows no time of the future and no negative time."""
    for name in LOOKS:
        process.run(f"db.execute('SELECT * FROM {name}').fetchall()")
    assert process.call("one(db, \"SELECT count(*) FROM connection_metrics WHERE min(coalesce(transaction_ms, 0), coalesce(query_ms, 0), coalesce(waiting_ms, 0)) < 0\")") == 0


def samples(process):
    return process.call("one(db, 'SELECT count(*) FROM wal_history WHERE resolution_ms < 60000')")


def check_work_goes_on(processes, path, before):
    """After `before` commits."""
    work(processes)
    total = before + COMMITS * len(processes)
    first = processes[0]
    assert first.metrics()["commits"] == total
    assert first.call("one(db, 'SELECT count(*) FROM t')") == total
    taken = samples(first)
    for process in processes:
        look(process)
    def has_samples():
        work(processes[:1], 1)
        return samples(first) > taken
    assert poll(has_samples)
    def is_copied():
        work(processes[:1], 1)
        return any(process.metrics()["pending_frames"] <= 500 for process in processes)
    assert poll(is_copied)
    assert integrity(path) == "ok"


@pytest.mark.parametrize("seconds", [-3600, -40, 86_400])
def test_the_wall_clock_is_set_while_two_processes_work(fast_path, worker, seconds):
    processes = [worker(fast_path, LD_PRELOAD=str(BUILD / "tests/libother_clock.so")) for _ in range(2)]
    processes[0].run("db.execute(\"SELECT wal_set('sample_interval_ms', 20), wal_set('checkpoint_frames', 100)\").fetchall()")
    work(processes)
    wait_for(lambda: samples(processes[0]) > 1)
    for process in processes:
        process.run(f"import ctypes; clock = ctypes.CDLL(None); clock.set_wall_clock({seconds})")
    check_work_goes_on(processes, fast_path, COMMITS * 2)
    assert all(process.call("clock.times_told()") > 0 for process in processes)
    counted = processes[0].call("one(db, 'SELECT sum(commits) FROM wal_history WHERE resolution_ms < 60000')")
    assert counted <= processes[0].metrics()["commits"]


@pytest.fixture
def time_namespace():
    inside = ["unshare", "--time", "--fork", "--kill-child"]
    made = subprocess.run([*inside, "--monotonic", "1", "true"], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip("no time namespace can be made here: " + made.stderr.strip())
    return inside


@pytest.mark.parametrize("here_first", [True, False])
def test_the_monotonic_clocks_of_two_containers_are_a_day_apart(fast_path, worker, time_namespace, here_first):
    """Both are of one boot, so the times that one writes into the control file seem to the other to be of the future."""
    inside = [*time_namespace, "--monotonic", "86400", "--boottime", "86400"]
    processes = [worker(fast_path, namespace=None if here else inside) for here in (here_first, not here_first)]
    now = [process.call("time.monotonic()") for process in processes]
    assert abs(now[0] - now[1]) > 80_000
    work(processes[:1])
    processes[0].run("db.execute(\"SELECT wal_set('sample_interval_ms', 20), wal_set('checkpoint_frames', 100)\").fetchall()")
    check_work_goes_on(processes, fast_path, COMMITS)
    later = now[1] > now[0]
    assert processes[later].end() == 0
    left = processes[1 - later]
    check_work_goes_on([left], fast_path, left.metrics()["commits"])
