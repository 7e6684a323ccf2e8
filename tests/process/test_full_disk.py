"""A disk that is full, for real: system_health and wal_alerts have the engine's words, nothing is lost, and it passes."""

import os

import pytest

from conftest import connect, one
from waiting import poll
from workers import integrity, small_disk, worker  # noqa: F401 (fixtures among them)

CHECKS = "SELECT status, detail FROM system_health WHERE check_name = ?"


def check(db, name):
    return db.execute(CHECKS, (name,)).fetchone()


def grow_the_log(db):
    """Rows that the database file has no room for yet."""
    db.execute("SELECT wal_strategy('off'), wal_set('alert_interval_ms', 50), wal_set('sample_interval_ms', 10), "
               "wal_set('alert_samples', 2), wal_set('disk_free.critical', 1), wal_set('disk_free.warning', 2)").fetchall()
    db.execute("BEGIN")
    db.executemany("INSERT INTO t(payload) VALUES (randomblob(3000))", [()] * 1000)
    db.execute("COMMIT")


def test_a_full_disk_is_told_in_the_engines_words(small_disk):
    path = small_disk / "test.db"
    db = connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    grow_the_log(db)
    count = one(db, "SELECT count(*) FROM t")
    assert check(db, "checkpoint_failures") == ("ok", "no checkpoint failed in the last hour")
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        with pytest.raises(OSError):
            while True:
                file.write(bytes(4096))
    assert one(db, "SELECT json_extract(wal_checkpoint('PASSIVE'), '$.error')") == "database or disk is full"
    status, detail = check(db, "checkpoint_failures")
    assert status == "critical" and detail.startswith("a checkpoint failed at ") and "database or disk is full" in detail
    assert check(db, "disk_free") == ("critical", "0 of 25 MB are free on the file system")
    assert poll(lambda: one(db, "SELECT count(*) FROM wal_alerts WHERE check_name = 'checkpoint_failures' AND status = 'critical'")) == 1
    # Every table can be read; nothing is lost.
    for table in ("system_health", "wal_alerts", "wal_history", "wal_trends", "wal_recommendations", "wal_metrics", "query_performance"):
        db.execute(f"SELECT * FROM {table}").fetchall()
    assert one(db, "SELECT count(*) FROM t") == count
    filler.unlink()
    assert one(db, "SELECT json_extract(wal_checkpoint('PASSIVE'), '$.result')") == "complete"
    assert check(db, "checkpoint_failures")[0] == "warning"  # the newest did not fail
    assert check(db, "disk_free")[0] == "ok"
    db.close()
    assert integrity(path) == "ok"


def test_a_file_that_may_not_grow_is_told_in_the_engines_words(worker, wal_path):
    """The same where nothing may be mounted: the system refuses what is beyond a file's limit."""
    process = worker(wal_path)
    process.run(f"""
        db.execute("SELECT wal_strategy('off')").fetchall()
        db.executemany("INSERT INTO t(payload) VALUES (randomblob(3000))", [()] * 300)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize({str(wal_path)!r}), resource.RLIM_INFINITY))
        """)
    assert process.call("one(db, \"SELECT json_extract(wal_checkpoint('PASSIVE'), '$.result')\")") == "failed"
    status, detail = process.call(f"db.execute({CHECKS!r}, ('checkpoint_failures',)).fetchone()")
    assert status == "critical" and "disk I/O error" in detail
    process.run("resource.setrlimit(resource.RLIMIT_FSIZE, before)")
    assert process.call("one(db, \"SELECT json_extract(wal_checkpoint('PASSIVE'), '$.result')\")") == "complete"
    assert process.call(f"db.execute({CHECKS!r}, ('checkpoint_failures',)).fetchone()")[0] == "warning"
    assert process.end() == 0
    assert integrity(wal_path) == "ok"
