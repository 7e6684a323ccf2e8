"""Writers, readers and analytics of several processes at once: every row that was acknowledged is
there, the file is sound, and the log stays within its limit. By hand for longer, and on other machines:
WALMANAGER_LOAD_SECONDS=600 taskset -c 0 pytest tests/process/test_mixed_load.py -s"""

import os

import workers
from conftest import connect
from workers import integrity, worker  # noqa: F401 (a fixture)

SECONDS = float(os.environ.get("WALMANAGER_LOAD_SECONDS", "10"))
LIMIT = 16 << 20 if SECONDS < 60 else 64 << 20
# Readers may last a twentieth of the time in which the log grows by its limit: with it, each writer rests so long.
REST = 0.004 if SECONDS < 60 else 0.001

WRITE = """
db.execute("PRAGMA synchronous=NORMAL")
def write(seconds, writer, rest):
    rows, end, longest = 0, time.monotonic() + seconds, 0
    while time.monotonic() < end:
        begin = time.monotonic()
        if rows % 50 == 49:
            db.execute("BEGIN IMMEDIATE")
            for _ in range(20):
                db.execute("INSERT INTO m(writer, n, text) VALUES (?, ?, ?)", (writer, rows, "word " * (rows % 60)))
                rows += 1
            db.execute("COMMIT")
        else:
            db.execute("INSERT INTO m(writer, n, text) VALUES (?, ?, ?)", (writer, rows, "word " * (rows % 60)))
            rows += 1
        longest = max(longest, time.monotonic() - begin)
        time.sleep(rest)
        if rows % 7 == 0:
            db.execute("UPDATE m SET text = text || '!' WHERE id = (SELECT max(id) - ? FROM m)", (rows % 5000,))
    return rows, longest
"""

READ = """
db.execute("PRAGMA cache_size=-4000")
def read(seconds, query):
    reads, end, longest = 0, time.monotonic() + seconds, 0
    while time.monotonic() < end:
        begin = time.monotonic()
        db.execute(query, (reads * 7919 % 20000,)).fetchall()
        reads, longest = reads + 1, max(longest, time.monotonic() - begin)
    return reads, longest
"""
POINT = "SELECT text FROM m WHERE id = ?"
ANALYTICS = "SELECT writer, count(*), sum(length(text)) FROM (SELECT * FROM m ORDER BY id DESC LIMIT 500 + ? % 7) GROUP BY writer"


def test_every_row_is_there_and_the_log_stays_within_its_limit(worker, wal_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(workers, "PATIENCE", SECONDS + 60)
    db = connect(wal_path, timeout=20)
    db.execute("CREATE TABLE m(id INTEGER PRIMARY KEY, writer INTEGER, n INTEGER, text TEXT)")
    db.execute("CREATE INDEX m_text ON m(text)")
    db.execute(f"SELECT wal_set('wal_limit_bytes', {LIMIT})")
    writers, readers = [worker(wal_path) for _ in range(3)], [worker(wal_path) for _ in range(4)]
    for each in writers:
        each.run(WRITE)
    for each in readers:
        each.run(READ)
    for i, each in enumerate(writers):
        each.start("call", f"write({SECONDS}, {i}, {REST})")
    for i, each in enumerate(readers):
        each.start("call", f"read({SECONDS}, {(POINT if i % 2 else ANALYTICS)!r})")
    written, reads = [each.finish() for each in writers], [each.finish() for each in readers]
    (largest,) = db.execute("SELECT wal_bytes_max FROM wal_metrics").fetchone()
    print(f"\n{sum(rows for rows, _ in written)} rows, longest write {max(longest for _, longest in written):.3f} s; "
          f"{sum(count for count, _ in reads)} reads, longest {max(longest for _, longest in reads):.3f} s; "
          f"largest log {largest / LIMIT:.2f} of its limit")
    for i, (rows, _) in enumerate(written):
        there = db.execute("SELECT count(*), count(DISTINCT n), max(n) FROM m WHERE writer = ?", (i,)).fetchone()
        assert there == (rows, rows, rows - 1)
    assert integrity(wal_path) == "ok"
    assert largest <= 1.25 * LIMIT
