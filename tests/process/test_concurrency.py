"""Many threads of one process, each with a managed connection of its own, on one database."""

import pytest

from workers import fast_path, integrity, worker  # noqa: F401 (fixtures among them)

THREADS = """
import collections
results = collections.Counter()
errors = []
stop = threading.Event()
longest_log = 0

def reader(path):
    db = connect(path, timeout=20)
    try:
        while not stop.is_set():
            first = one(db, "SELECT count(*) FROM t")
            second = one(db, "SELECT count(*) FROM t")
            assert second >= first
            results["reads"] += 1
    except Exception as error:
        errors.append(repr(error))
    finally:
        db.close()

def writer(path, number):
    db = connect(path, timeout=20)
    db.execute("PRAGMA synchronous=NORMAL")
    written = 0
    try:
        while not stop.is_set():
            db.execute("INSERT INTO t(payload) VALUES (zeroblob(200))")
            written += 1
    except Exception as error:
        errors.append(repr(error))
    finally:
        results["writer %d" % number] = written
        db.close()

def run(path, writers, readers, seconds, least):
    # For so long, and on a busy machine until the columns of wal_metrics have come to `least`.
    global longest_log
    threads = [threading.Thread(target=writer, args=(path, n)) for n in range(writers)]
    threads += [threading.Thread(target=reader, args=(path,)) for _ in range(readers)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    def enough():
        row = metrics(db)
        return results["reads"] > 10 and row["commits"] > 100 and all(row[name] >= count for name, count in least.items())
    while time.monotonic() < deadline or (time.monotonic() < deadline + 60 and not enough()):
        longest_log = max(longest_log, os.path.getsize(path + "-wal"))
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join(20)
    if any(thread.is_alive() for thread in threads):
        errors.append("a thread hangs")
"""


STRATEGIES = ["sqlite_default", "conversation_workload"]
LIMIT = 1 << 20


@pytest.fixture(params=STRATEGIES)
def threads(worker, fast_path, request):
    """A process with the functions above, that checkpoints every 50 frames, in the committing or the background thread."""
    process = worker(fast_path)
    process.run(THREADS)
    process.call(f"one(db, \"SELECT wal_strategy('{request.param}')\")")
    process.call("one(db, \"SELECT wal_set('checkpoint_frames', 50)\")")
    process.call("one(db, \"SELECT wal_set('wal_limit_bytes', {})\")".format(LIMIT))
    process.least = {"checkpoints_inline": 5}
    if request.param == "conversation_workload":
        process.least["checkpoints_background"] = 5
    return process


def check_nothing_was_lost(process, path, writers):
    assert process.call("errors") == []
    results = process.call("results")
    written = sum(results[f"writer {n}"] for n in range(writers))
    assert written > 100
    assert process.call("one(db, 'SELECT count(*) FROM t')") == written
    row = process.call("metrics(db)")
    assert row["commits"] == written
    assert row["processes"] == 1
    failures = process.call("db.execute(\"SELECT mode, error FROM wal_checkpoints WHERE result = 'failed'\").fetchall()")
    assert (row["checkpoints_failed"], failures) == (0, [])
    for name, least in process.least.items():
        assert row[name] >= least
    assert row["unguarded_because"] is None
    assert process.end() == 0
    assert integrity(path) == "ok"
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["test.db", "test.db-walmanager"]
    return row


def test_writers_and_readers_with_small_checkpoints(threads, fast_path):
    threads.run(f"run({str(fast_path)!r}, 4, 4, 3, {threads.least})")
    assert threads.call("results['reads']") > 10
    check_nothing_was_lost(threads, fast_path, writers=4)


def test_a_rule_that_restarts_holds_the_log_at_its_limit(threads, fast_path):
    """PASSIVE alone never bounds the log under busy writers. A rule may ask for more,
    and connections with a busy timeout see no error."""
    rules = (
        '[{"priority":1,"rule":"limit","condition":"wal_bytes >= wal_limit_bytes","mode":"RESTART","runs":"inline","stall_budget_ms":500},'
        ' {"priority":2,"rule":"frames","condition":"pending_frames >= checkpoint_frames","mode":"PASSIVE","runs":"inline","stall_budget_ms":0}]'
    )
    threads.run(f"one(db, \"SELECT wal_strategy_define('bounded', ?)\", {rules!r})")
    threads.call("one(db, \"SELECT wal_strategy('bounded')\")")
    threads.least = {"checkpoints_inline": 5, "checkpoints_restart": 1}
    threads.run(f"run({str(fast_path)!r}, 4, 4, 3, {threads.least})")
    longest = threads.call("longest_log")
    row = check_nothing_was_lost(threads, fast_path, writers=4)
    assert longest < 12 << 20  # twelve times the limit, where without it 3 s bring a hundred
    assert row["wal_bytes_max"] < 12 << 20


def test_connections_that_come_and_go_in_threads(worker, fast_path):
    process = worker(fast_path)
    process.call("one(db, \"SELECT wal_set('checkpoint_frames', 20)\")")
    process.run(
        f"""
        errors = []
        def churn(n):
            try:
                for _ in range(40):
                    own = connect({str(fast_path)!r}, timeout=20)
                    own.execute("PRAGMA synchronous=OFF")
                    for _ in range(5):
                        own.execute("INSERT INTO t(payload) VALUES (zeroblob(500))")
                    metrics(own)
                    one(own, "SELECT wal_set('stall_budget_ms', ?)", n)
                    own.close()
            except Exception as error:
                errors.append(repr(error))
        threads = [threading.Thread(target=churn, args=(n,)) for n in range(6)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    )
    assert process.call("errors") == []
    row = process.call("metrics(db)")
    assert (row["commits"], row["checkpoints_failed"]) == (6 * 40 * 5, 0)
    assert process.call("one(db, \"SELECT value FROM wal_config WHERE name = 'stall_budget_ms'\")") in range(6)
    assert process.end() == 0
    assert integrity(fast_path) == "ok"


def test_settings_from_several_threads_lose_none(worker, fast_path):
    process = worker(fast_path)
    process.run(
        f"""
        names = ["wal_limit_bytes", "checkpoint_frames", "checkpoint_interval_ms", "stall_budget_ms"]
        errors = []
        def change(name):
            try:
                own = connect({str(fast_path)!r}, timeout=20)
                for n in range(1, 201):
                    one(own, "SELECT wal_set(?, ?)", name, 100000 + n if name == "wal_limit_bytes" else n + 100)
                own.close()
            except Exception as error:
                errors.append(repr(error))
        threads = [threading.Thread(target=change, args=(name,)) for name in names]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        values = dict(db.execute("SELECT name, value FROM wal_config"))
        """
    )
    assert process.call("errors") == []
    assert process.call("[values[name] for name in names]") == [100200, 300, 300, 300]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("frames, commits", [(1000, 100_000), (10, 20_000)])
def test_lone_writer_without_a_busy_handler_never_sees_busy(worker, fast_path, frames, commits, strategy):
    """A second connection of any kind gave a lone writer spurious SQLITE_BUSY."""
    process = worker(fast_path, timeout=0)
    process.call(f"one(db, \"SELECT wal_strategy('{strategy}')\")")
    process.call(f"one(db, \"SELECT wal_set('checkpoint_frames', {frames})\")")
    process.run(
        f"""
        busy = 0
        insert = "INSERT INTO t(payload) VALUES (1)"
        for _ in range({commits}):
            try:
                db.execute(insert)
            except sqlite3.OperationalError:
                busy += 1
        """
    )
    assert process.call("busy") == 0
    row = process.call("metrics(db)")
    assert row["commits"] == commits
    assert row["checkpoints_failed"] == 0
    if strategy == "sqlite_default":
        assert row["checkpoints_inline"] >= commits // max(frames, 64) // 2
        assert row["checkpoints_busy"] == 0
    else:
        assert row["checkpoints_background"] >= 5
        assert row["wal_resets"] >= 5
        assert row["wal_bytes_max"] < 1.25 * row["wal_limit_bytes"]
    assert process.end() == 0
    assert integrity(fast_path) == "ok"
