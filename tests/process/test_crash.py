"""kill -9 of managed writers under load: every acknowledged row is there, and the file is sound.
By hand, 125 rounds for each of the four strategies: WALMANAGER_KILL_ROUNDS=125 pytest -s tests/process/test_crash.py"""

import os
import random
import time

import pytest

from conftest import EXTENSION, connect, metrics, one
from waiting import poll
from workers import fast_path, integrity, worker  # noqa: F401 (fixtures among them)

ROUNDS = int(os.environ.get("WALMANAGER_KILL_ROUNDS", "4"))

# A row is acknowledged after its commit: its key and the length of its payload.
WRITE = """
import random
rng = random.Random({seed})
for n in range({first}, {first} + 1000000):
    length = rng.choice((10, 300, 3000, 9000))
    while True:
        try:
            db.execute("INSERT INTO t(id, payload) VALUES (?, zeroblob(?))", (n, length))
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
    if n % 5 == 0:
        db.execute("UPDATE t SET payload = zeroblob(length(payload)) WHERE id = ?", (n - 3,))
    print(n, length, flush=True)
"""

READ = """
while True:
    one(db, "SELECT count(*) FROM t")
    print("read", flush=True)
"""


def check(path, acknowledged):
    assert integrity(path) == "ok"
    db = connect(path, None)
    rows = dict(db.execute("SELECT id, length(payload) FROM t"))
    db.close()
    missing = {key: length for key, length in acknowledged.items() if rows.get(key) != length}
    assert missing == {}
    return len(rows)


def acknowledged_by(process):
    return {int(key): int(length) for key, length in (line.split() for line in process.lines)}


@pytest.mark.parametrize("strategy", ["conversation_workload", "sqlite_default", "low_latency", "high_concurrency"])
def test_all_writers_killed_at_a_random_moment(worker, fast_path, strategy):
    rng = random.Random(strategy)
    db = connect(fast_path, EXTENSION)
    db.execute("CREATE INDEX by_length ON t(length(payload))")
    one(db, "SELECT wal_set('checkpoint_frames', 20)")
    one(db, f"SELECT wal_strategy('{strategy}')")
    db.close()
    acknowledged = {}
    for round in range(ROUNDS):
        writers = [worker(fast_path) for _ in range(3)]
        reader = worker(fast_path)
        for i, writer in enumerate(writers):
            first = (round * 10 + i + 1) * 1_000_000
            writer.start("run", WRITE.format(seed=rng.randrange(1 << 30), first=first))
        reader.start("run", READ)
        for writer in writers:
            writer.wait_for_lines(20)
        time.sleep(rng.random() * 0.1)  # not a wait: the random moment
        for process in rng.sample(writers + [reader], 4):
            process.kill()
        for writer in writers:
            acknowledged.update(acknowledged_by(writer))
        rows = check(fast_path, acknowledged)
        # At most the row in flight of each killed writer was there and not acknowledged.
        assert len(acknowledged) <= rows <= len(acknowledged) + 3 * (round + 1)
    print(f"\n{strategy}: {4 * ROUNDS} processes killed in {ROUNDS} rounds, {len(acknowledged)} rows acknowledged, all there")
    db = connect(fast_path, EXTENSION)
    row = metrics(db)
    assert row["checkpoints_inline" if strategy == "sqlite_default" else "checkpoints_background"] >= 4
    assert row["checkpoints_failed"] == 0
    assert row["processes"] == 1
    assert one(db, "SELECT wal_strategy()") == strategy
    db.close()
    assert not (fast_path.parent / "test.db-wal").exists()


def test_one_of_several_writers_killed_while_the_others_go_on(worker, fast_path):
    """The survivors notice nothing: no error, and no wait for the locks of the dead process."""
    rng = random.Random(3)
    control = worker(fast_path)
    control.call("one(db, \"SELECT wal_set('checkpoint_frames', 20)\")")
    survivors = [worker(fast_path) for _ in range(2)]
    for i, survivor in enumerate(survivors):
        survivor.start("run", WRITE.format(seed=i, first=(i + 1) * 1_000_000).replace("1000000)", "400)"))
    acknowledged = {}
    for round in range(6):
        victim = worker(fast_path)
        victim.start("run", WRITE.format(seed=round, first=(round + 5) * 1_000_000))
        victim.wait_for_lines(10)
        time.sleep(rng.random() * 0.05)
        victim.kill()
        acknowledged.update(acknowledged_by(victim))
    for survivor in survivors:
        survivor.finish()
        assert len(survivor.lines) == 400
        acknowledged.update(acknowledged_by(survivor))
        assert survivor.end() == 0
    assert poll(lambda: control.call("metrics(db)['processes']"), 1) == 1
    assert control.call("metrics(db)['checkpoints_failed']") == 0
    check(fast_path, acknowledged)
    assert control.end() == 0
    check(fast_path, acknowledged)
