"""wal_history and wal_periods: what several processes do is counted once, by one of them at a time."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from conftest import EXTENSION, connect, one
from waiting import poll
from workers import TESTS, fast_path, grow_up, integrity, worker  # noqa: F401 (fixtures among them)

INTERVAL = 20
FINEST = "resolution_ms < 60000"

# So many commits, each with two statements; a PRAGMA came before.
WORK = """
for n in range({commits}):
    db.execute("INSERT INTO t(payload) VALUES (?)", (n,))
    db.execute("SELECT payload FROM t WHERE id = ?", (n,)).fetchall()
"""
THREADS = "len(threads_named('walmanager'))"


def onlooker(path):
    """A connection whose statements do not count there, since the database is not its main one."""
    db = connect(":memory:", timeout=20)
    db.execute("ATTACH ? AS w", (str(path),))
    return db


def set_to(db, name, value, schema):
    db.execute("SELECT wal_set(?, ?, ?)", (name, value, schema)).fetchall()


def rows(db, schema="w"):
    """The finest samples as dicts, oldest first."""
    cursor = db.execute(f"SELECT * FROM wal_history WHERE schema = ? AND {FINEST}", (schema,))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def total(db, column, schema="w"):
    return sum(row[column] for row in rows(db, schema))


def quiet(db, schema="w"):
    """Stops the samples, and returns the rows."""
    set_to(db, "sample_interval_ms", 3_600_000, schema)
    # A thread that had asked for the interval before takes one more.
    poll(lambda: rows(db, schema)[-1]["at"] < one(db, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now', '-0.1 seconds')"))
    return rows(db, schema)


def ms_between(db, first, last):
    return one(db, "SELECT (julianday(?) - julianday(?)) * 86400000", last, first)


@pytest.fixture
def looker(fast_path):
    """A connection that only looks, and took the first sample before anything was counted."""
    db = onlooker(fast_path)
    set_to(db, "sample_interval_ms", INTERVAL, "w")
    assert poll(lambda: len(rows(db)) > 0)
    first = rows(db)[0]
    assert (first["commits"], first["statements"], first["samples"]) == (0, 0, 1)
    yield db
    db.close()


# --- sums

def test_n_processes_times_m_commits_and_statements(looker, fast_path, worker):
    processes = [worker(fast_path) for _ in range(4)]
    grow_up()
    for process in processes:
        process.start("run", WORK.format(commits=500))
    for process in processes:
        process.finish()
    assert poll(lambda: total(looker, "commits"), 4 * 500) == 4 * 500
    assert poll(lambda: total(looker, "statements"), 4 * 1001) == 4 * 1001
    found = rows(looker)
    assert sum(row["frames_written"] for row in found) == \
        one(looker, "SELECT frames_written FROM wal_metrics WHERE schema = 'w'")
    assert len([row for row in found if row["commits"] > 0]) > 1
    # That processes end, and how, changes nothing.
    processes[0].kill()
    processes[1].end()
    set_to(looker, "sample_interval_ms", 10, "w")
    count = len(rows(looker))
    poll(lambda: len(rows(looker)) > count + 3)
    assert (total(looker, "commits"), total(looker, "statements")) == (4 * 500, 4 * 1001)


def test_commits_of_those_that_come_and_go_are_counted_once(looker, fast_path, worker):
    for _ in range(3):
        processes = [worker(fast_path) for _ in range(3)]
        for process in processes:
            process.start("run", WORK.format(commits=40))
        for process in processes:
            process.finish()
            process.end()
    assert poll(lambda: total(looker, "commits"), 9 * 40) == 9 * 40
    assert poll(lambda: total(looker, "statements"), 9 * 81) == 9 * 81


def test_wal_periods_has_the_sums_of_wal_history(looker, fast_path, worker):
    processes = [worker(fast_path) for _ in range(2)]
    for process in processes:
        process.run(WORK.format(commits=200))
    poll(lambda: total(looker, "commits") == 400)
    poll(lambda: total(looker, "statements") == 802)
    found = quiet(looker)
    sums = ("commits", "statements", "covers_ms", "samples", "frames_written", "commit_ms", "checkpoint_ms",
            "checkpoint_stall_ms", "checkpoints", "slow_statements", "cache_pages")
    for period in ("minute", "hour", "day", "week"):
        row = looker.execute(f"SELECT {', '.join(sums)}, wal_bytes_max, begins_at, ends_at FROM wal_periods "
                             "WHERE schema = 'w' AND period = ? AND part = 'current'", (period,)).fetchone()
        assert list(row[:len(sums)]) == pytest.approx([sum(each[name] for each in found) for name in sums])
        assert row[-3] == max(each["wal_bytes_max"] for each in found)
        assert row[-2] < found[0]["at"] <= found[-1]["at"] <= row[-1]
    assert one(looker, "SELECT count(*) FROM wal_periods WHERE part <> 'current'") == 0


def test_percentiles_of_statements_of_10_ms(looker, fast_path, worker):
    process = worker(fast_path)
    process.run("""
        times = []
        db.create_function("pause", 1, lambda ms: time.sleep(ms / 1000))
        for n in range(100):
            began = time.perf_counter()
            db.execute("SELECT pause(10)").fetchall()
            times.append((time.perf_counter() - began) * 1000)
    """)
    times = sorted(process.call("times"))
    poll(lambda: total(looker, "statements") == 101)
    statements, p95, slow = looker.execute(
        "SELECT statements, query_p95_ms, slow_statements FROM wal_periods "
        "WHERE schema = 'w' AND period = 'minute' AND part = 'current'").fetchone()
    assert statements == 101
    # Of the machine's own, which may not wake in time; one rank more or less.
    assert times[93] * 0.88 < p95 < times[96] * 1.12
    assert slow == len([each for each in times if each >= 100])
    for row in rows(looker):
        if row["statements"] > 1:
            assert 10 * 0.88 < row["query_p95_ms"] < times[-1] * 1.12
        elif row["statements"] == 0:
            assert row["query_p95_ms"] is None


# --- one sampler

def test_one_process_at_a_time_takes_samples(looker, fast_path, worker):
    set_to(looker, "sample_interval_ms", 10, "w")
    processes = [worker(fast_path) for _ in range(4)]
    for process in processes:
        process.start("run", f"""
            start = time.monotonic()
            seen = samples = 0
            while time.monotonic() < start + (1.5 if samples >= 60 else 20):
                db.execute("INSERT INTO t(payload) VALUES (1)")
                samples = one(db, "SELECT count(*) FROM wal_history")
                seen = max(seen, {THREADS})
        """)
    for process in processes:
        process.finish()
        assert process.call("seen") == 2  # one copies, one watches
    found = rows(looker)[1:]
    assert len(found) > 30
    # Of no stretch of time shorter than the interval, and no stretch twice.
    assert min(row["covers_ms"] for row in found) >= 10
    apart = [ms_between(looker, a["at"], b["at"]) for a, b in zip(found, found[1:])]
    assert sorted(apart)[len(apart) // 20] >= 9 - 1  # of the wall clock, cut to milliseconds
    assert sum(row["covers_ms"] for row in found[1:]) == pytest.approx(sum(apart), rel=0.02, abs=30)  # a sampler may wait between its two clocks
    assert [row["samples"] for row in found] == [1] * len(found)


def test_bug_a_process_that_was_held_up_took_a_sample_too_early(looker, fast_path, worker):
    """It had asked for the time before another took a sample: one of the future counted as one of another boot."""
    set_to(looker, "sample_interval_ms", 10, "w")
    processes = [worker(fast_path) for _ in range(3)]
    for process in processes:
        process.start("run", """
            start, samples = time.monotonic(), 0
            while time.monotonic() < start + (2 if samples >= 60 else 20):
                for _ in range(20): db.execute("SELECT 1 FROM wal_alerts").fetchall()
                samples = one(db, "SELECT count(*) FROM wal_history")
        """)
    rng = random.Random(3)
    while not any(process.answers_within(0) for process in processes):
        held_up = rng.choice(processes).pid
        os.kill(held_up, signal.SIGSTOP)
        time.sleep(rng.uniform(0.002, 0.018))  # not a wait: how long it is held up
        os.kill(held_up, signal.SIGCONT)
    for process in processes:
        process.finish()
    found = rows(looker)[1:]
    assert len(found) > 30
    assert min(row["covers_ms"] for row in found) >= 10


def test_samples_go_on_while_a_transaction_is_open(looker, fast_path, worker):
    process = worker(fast_path)
    grow_up()
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)'); db.execute('BEGIN')")
    assert poll(lambda: process.call(THREADS), 2) == 2
    def taken_meanwhile():
        count = len(rows(looker))
        time.sleep(20 * INTERVAL / 1000)  # the time without a query
        return len(rows(looker)) - count
    # The query takes a sample, and the thread of its own process two more.
    assert poll(lambda: taken_meanwhile() >= 8)
    found = rows(looker)
    assert (found[-1]["connections"], found[-1]["commits"]) == (2, 0)
    process.run("db.execute('COMMIT')")
    assert poll(lambda: taken_meanwhile() <= 5)


# --- lifetime

def test_it_outlives_all_processes_and_says_how_long_none_ran(fast_path, worker):
    first = worker(fast_path)
    first.run("db.execute(\"SELECT wal_set('sample_interval_ms', 20)\").fetchall()\n"
              "db.execute('SELECT * FROM wal_history').fetchall()" + WORK.format(commits=300))
    def taken():
        return first.call("[dict(zip(('at', 'commits', 'covers_ms'), row)) for row in "
                          f"db.execute('SELECT at, commits, covers_ms FROM wal_history WHERE {FINEST}')]")
    assert poll(lambda: len(taken()) > 0)
    before = taken()
    first.run(WORK.format(commits=7))
    first.end()
    ended = time.monotonic()
    assert not os.path.exists(f"{fast_path}-wal")
    time.sleep(0.4)  # the time in which no process runs
    db = onlooker(fast_path)
    idle_ms = (time.monotonic() - ended) * 1000
    found = rows(db)
    assert [{name: row[name] for name in before[0]} for row in found[:len(before)]] == before
    # None of the time in between, and the first one after it covers it.
    gaps = [row for row in found if row["covers_ms"] >= idle_ms]
    assert gaps == [found[-1]]
    assert ms_between(db, found[-2]["at"], found[-1]["at"]) == pytest.approx(found[-1]["covers_ms"], abs=3)
    # What was done after the last sample of the one that ended is in it.
    assert total(db, "commits") == 307
    poll(lambda: len(rows(db)) > len(found) + 1)
    assert all(row["covers_ms"] < idle_ms for row in rows(db)[len(found):])
    assert total(db, "commits") == 307
    db.close()


def test_reset_forgets_the_samples_and_what_was_counted_before(looker, fast_path, worker):
    process = worker(fast_path)
    process.run(WORK.format(commits=50))
    poll(lambda: total(looker, "commits") == 50)
    before = quiet(looker)
    count = one(looker, "SELECT count(*) FROM wal_history WHERE schema = 'w'")
    assert count >= len(before) > 1
    assert one(looker, "SELECT wal_metrics_reset('history', 'w')") == count
    set_to(looker, "sample_interval_ms", INTERVAL, "w")
    # The next one is a first one again: it counts nothing of what was before.
    poll(lambda: len(rows(looker)) > 0)
    found = rows(looker)
    assert (found[0]["commits"], found[0]["statements"], found[0]["covers_ms"]) == (0, 0, 0)
    process.run(WORK.format(commits=5))
    assert poll(lambda: total(looker, "commits"), 5) == 5
    assert one(looker, "SELECT commits FROM wal_metrics WHERE schema = 'w'") == 55
    assert one(looker, "SELECT commits FROM wal_periods WHERE schema = 'w' AND period = 'hour'") == 5


def test_a_killed_sampler_does_no_harm(looker, fast_path, worker):
    set_to(looker, "sample_interval_ms", 10, "w")
    rng = random.Random(7)
    killed = 0
    for _ in range(5):
        processes = [worker(fast_path) for _ in range(3)]
        for process in processes:
            process.start("run", """
                n = 0
                while True:
                    n += 1
                    db.execute("INSERT INTO t(payload) VALUES (1)")
                    db.execute("SELECT count(*) FROM wal_history").fetchall()
                    if n % 10 == 0: print(n, flush=True)
            """)
        for process in processes:
            process.wait_for_lines(2)
        time.sleep(rng.random() * 0.03)  # not a wait: the random moment
        for process in processes:
            process.kill()
            killed += 1
        # The next process takes samples, and what was counted is in them.
        count = len(rows(looker))
        assert poll(lambda: len(rows(looker)) > count)
        done, counted = one(looker, "SELECT count(*) FROM w.t"), total(looker, "commits")
        # A commit is not counted if its process was killed before it could count it.
        assert done - killed <= counted <= done
        found = rows(looker)
        assert [row["at"] for row in found] == sorted(row["at"] for row in found)
        assert one(looker, "SELECT commits FROM wal_metrics WHERE schema = 'w'") == counted
    assert integrity(fast_path) == "ok"


def test_an_interrupted_reader_does_no_harm(looker, fast_path, worker):
    process = worker(fast_path)
    process.start("run", WORK.format(commits=600))
    db = connect(fast_path, timeout=20, check_same_thread=False)
    stop = threading.Event()
    def interrupt():
        while not stop.wait(0.001):
            db.interrupt()
    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    interrupted = 0
    try:
        for _ in range(60):
            try:
                db.execute("SELECT count(*) FROM wal_history a, wal_history b, wal_periods, wal_alerts").fetchall()
            except sqlite3.OperationalError as error:
                assert "interrupted" in str(error)
                interrupted += 1
    finally:
        stop.set()
        interrupting.join()
        db.close()
    process.finish()
    assert interrupted > 0
    assert poll(lambda: total(looker, "commits"), 600) == 600


# --- processes that only look

def test_a_process_that_never_commits_takes_samples_when_it_asks(fast_path):
    code = """
import json, sys, time
from conftest import connect, EXTENSION
db = connect(sys.argv[1])
db.execute("SELECT wal_set('sample_interval_ms', 20)").fetchall()
deadline = time.monotonic() + 5
found = []
while len(found) < 5:
    found = db.execute("SELECT commits, samples, wal_bytes, pending_frames, connections FROM wal_history "
                       "WHERE resolution_ms < 60000").fetchall()
    assert time.monotonic() < deadline
print(json.dumps(found))
"""
    bare = connect(fast_path, load=None)
    bare.execute("INSERT INTO t(payload) VALUES (1)")  # by one that is not managed
    done = subprocess.run([sys.executable, "-c", code, str(fast_path)], text=True, capture_output=True, timeout=30,
                          env={**os.environ, "PYTHONPATH": str(TESTS)})
    assert done.returncode == 0, done.stderr
    size = os.stat(f"{fast_path}-wal").st_size
    pending = bare.execute("PRAGMA wal_checkpoint").fetchone()[1]
    assert size > 0 and pending > 0
    for commits, samples, wal_bytes, pending_frames, connections in json.loads(done.stdout):
        assert (commits, samples, wal_bytes, pending_frames, connections) == (0, 1, size, pending, 1)
    bare.close()


def test_a_read_only_connection_sees_it(looker, fast_path, worker):
    process = worker(fast_path)
    process.run(WORK.format(commits=10))
    poll(lambda: total(looker, "commits") == 10)
    process.run(f"""
        ro = sqlite3.connect("file:{fast_path}?mode=ro", uri=True, isolation_level=None)
        ro.enable_load_extension(True); ro.load_extension(EXTENSION)
    """)
    assert process.call(f"one(ro, 'SELECT sum(commits) FROM wal_history WHERE {FINEST}')") == 10


def test_without_a_control_file_it_is_of_this_process_alone(fast_path, worker):
    processes = [worker(fast_path, WALMANAGER_FILE="off") for _ in range(2)]
    count = f"one(db, 'SELECT coalesce(sum(commits), 0) FROM wal_history WHERE {FINEST}')"
    for process in processes:
        process.run("db.execute(\"SELECT wal_set('sample_interval_ms', 20)\").fetchall()")
        assert process.call(count) == 0
    for n, process in enumerate(processes):
        process.run(WORK.format(commits=10 + n))
    assert poll(lambda: processes[0].call(count), 10) == 10
    assert poll(lambda: processes[1].call(count), 11) == 11
    assert processes[0].call("one(db, \"SELECT wal_metrics_reset('history')\")") > 0
    assert processes[1].call(count) == 11
    assert not os.path.exists(f"{fast_path}-walmanager")
