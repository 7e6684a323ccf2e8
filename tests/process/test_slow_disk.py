"""A disk whose syncs take long, beside a writer that never rests."""

import json
import os
import subprocess
import sys

import pytest

from conftest import BUILD, connect, one
from workers import TESTS

LIMIT = 1_000_000
WRITER = """
import ctypes, json, os, sys, time
from conftest import connect, one
path = sys.argv[1]
db = connect(path)
db.execute("PRAGMA journal_mode=WAL"); db.execute("PRAGMA synchronous=NORMAL")
db.execute("CREATE TABLE t(payload)")
one(db, "SELECT wal_set('wal_limit_bytes', ?)", int(sys.argv[2]))
end, longest = time.monotonic() + 4, 0
while time.monotonic() < end:
    db.execute("INSERT INTO t VALUES (randomblob(20000))")
    longest = max(longest, os.stat(path + "-wal").st_size)
slowed = ctypes.CDLL(None).slowed_calls
slowed.restype = ctypes.c_long
print(json.dumps([longest, slowed()]))
"""


def test_bug_the_log_outgrew_a_small_limit_without_a_reader(tmp_path):
    """Commits waited for the thread as long as they may wait for readers, a tenth of the time, and then no more."""
    env = {**os.environ, "LD_PRELOAD": str(BUILD / "tests" / "libslow_pages.so"), "SLOW_SYNC_US": "300000",
           "PYTHONPATH": str(TESTS)}
    done = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path / "test.db"), str(LIMIT)], text=True,
                          capture_output=True, timeout=60, env=env)
    assert done.returncode == 0, done.stderr
    longest, slowed = json.loads(done.stdout)
    assert slowed > 0
    assert longest < 10 * LIMIT  # 476 times as long before


WRITERS = 3
ONE_OF_SEVERAL = """
import os, sys, time
from conftest import connect
path, limit = sys.argv[1], int(sys.argv[2])
db = connect(path, timeout=60)
db.execute("PRAGMA synchronous=NORMAL")
print(db.execute("SELECT count(*) FROM t").fetchone(), flush=True)
sys.stdin.readline()
end, longest = time.monotonic() + 3, 0
while time.monotonic() < end:
    db.execute("INSERT INTO t VALUES (randomblob(3000))")
    longest = max(longest, os.stat(path + "-wal").st_size)
print(longest)
"""


@pytest.mark.parametrize("sync_us", [100_000, 600_000])
def test_bug_the_log_outgrew_its_limit_where_another_process_copied(tmp_path, sync_us):
    """Commits waited for a pass of their own process alone, and for none beside a reader: where the disk was slower than
    the writers of three processes, the log grew without bound."""
    limit, path = 16_000_000, str(tmp_path / "test.db")
    db = connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(payload)")
    one(db, "SELECT wal_set('wal_limit_bytes', ?)", limit)
    db.close()
    env = {**os.environ, "LD_PRELOAD": str(BUILD / "tests" / "libslow_pages.so"), "SLOW_SYNC_US": str(sync_us),
           "PYTHONPATH": str(TESTS)}
    writers = [subprocess.Popen([sys.executable, "-c", ONE_OF_SEVERAL, path, str(limit)], text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, env=env) for _ in range(WRITERS)]
    for each in writers:
        assert each.stdout.readline()
    for each in writers:
        each.stdin.write("go\n")
        each.stdin.flush()
    longest = max(int(each.communicate(timeout=60)[0]) for each in writers)
    assert [each.returncode for each in writers] == [0] * WRITERS
    # 286 MB of 16 before, with syncs of 600 ms in some runs 800 MB.
    assert limit / 2 < longest < 4 * limit
