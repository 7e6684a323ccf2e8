"""A disk whose syncs take long, beside a writer that never rests."""

import json
import os
import subprocess
import sys

from conftest import BUILD
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
    assert longest < 20 * LIMIT  # 476 times as long before
