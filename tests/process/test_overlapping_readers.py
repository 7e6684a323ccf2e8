"""Readers that follow each other without a gap: commits wait for them near the log's limit, and the log starts over."""

import pytest

from workers import fast_path, worker  # noqa: F401 (fixtures)

LIMIT = 2 << 20

READER = """
db.execute("PRAGMA cache_size=-200")
def read(pause, seconds):
    end = time.monotonic() + seconds
    time.sleep(pause)
    while time.monotonic() < end:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM (SELECT 1 FROM t LIMIT 5)").fetchone()
        time.sleep(0.02)
        db.execute("COMMIT")
"""


def write_beside_readers(worker, path, megabytes):
    """So much is committed to the log while three processes read; the largest log, in bytes."""
    writer = worker(path)
    writer.run(f"one(db, \"SELECT wal_set('wal_limit_bytes', {LIMIT})\")")
    writer.run("for _ in range(20): db.execute('INSERT INTO t(payload) VALUES (1)')")
    readers = [worker(path) for _ in range(3)]
    for i, reader in enumerate(readers):
        reader.run(READER)
        reader.start("exec", f"read({i * 0.007}, 60)")
    # About 2 MB a second, so that a wait of 40 ms is a twentieth of the time of one growth.
    writer.run(
        f"""
        largest = 0
        begin = time.monotonic()
        for i in range({megabytes} * 60):
            late = begin + i / 120 - time.monotonic()
            if late > 0: time.sleep(late)
            db.execute("INSERT INTO t(payload) VALUES (zeroblob(16000))")
            largest = max(largest, os.path.getsize({str(path)!r} + "-wal"))
        longest = metrics(db)["commit_max_ms"]
        """
    )
    return writer


@pytest.mark.parametrize("budget", [300, 0])
def test_the_limit_is_kept_while_readers_end(worker, fast_path, budget):
    first = worker(fast_path)
    one_set = f"one(db, \"SELECT wal_set('stall_budget_ms', {budget})\")"
    assert first.call(one_set) == budget
    writer = write_beside_readers(worker, fast_path, 16)
    largest = writer.call("largest")
    if budget == 0:
        assert largest > 3 * LIMIT  # as with SQLite alone: what the test is about
    else:
        assert largest < 3 * LIMIT  # 1.25 where processors are free
        assert writer.call("longest") < 1000
