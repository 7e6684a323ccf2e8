"""A connection that is soon closed again costs little: what is not used is not made."""

import json
import os
import subprocess
import sys

import pytest

from conftest import EXTENSION, PROCESS_EXTENSION

HOST = """
import json, resource, sqlite3, sys
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def request():
    db = sqlite3.connect(sys.argv[2], isolation_level=None)
    db.execute("SELECT count(*) FROM t").fetchall()
    db.close()
loader = sqlite3.connect(":memory:")
if sys.argv[1]:
    loader.enable_load_extension(True)
    loader.load_extension(sys.argv[1])
db = sqlite3.connect(sys.argv[2])
db.execute("PRAGMA journal_mode=" + sys.argv[3])
db.execute("CREATE TABLE t(a)")
db.close()
for _ in range(20): request()
before = faults()
for _ in range(100): request()
print(json.dumps((faults() - before) / 100))
"""


def faults(path, load, mode):
    done = subprocess.run([sys.executable, "-c", HOST, load, str(path), mode], text=True, capture_output=True, timeout=120,
                          env={**os.environ, "MALLOC_TRIM_THRESHOLD_": "100000000", "MALLOC_MMAP_THRESHOLD_": "100000000"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_private_regions_are_not_filled_before_they_are_used(tmp_path, mode):
    """An open, a SELECT and a close took 75 page faults for a database of which the process had no other connection."""
    bare = faults(tmp_path / "bare.db", "", mode)
    managed = faults(tmp_path / "managed.db", PROCESS_EXTENSION, mode)
    assert managed - bare < 40


RULES = """
import ctypes, json, sqlite3, sys, time
used = ctypes.CDLL("libsqlite3.so.0").sqlite3_memory_used
used.restype = ctypes.c_int64
grown = []
for _ in range(5):
    db = sqlite3.connect(sys.argv[2], isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(sys.argv[1])
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=OFF")
    db.execute("CREATE TABLE IF NOT EXISTS t(a)")
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("INSERT INTO t VALUES (1)")
    early = used()
    end = time.monotonic() + 5
    while used() - early <= 20_000 and time.monotonic() < end:
        time.sleep(0.1)
    grown.append(used() - early)
    db.close()
    if grown[-1] > 20_000:
        break
print(json.dumps(grown))
"""


def test_no_rules_are_compiled_by_the_first_commits(tmp_path):
    """The thread does it a moment later, for those that stay: a connection of its own in memory holds them."""
    done = subprocess.run([sys.executable, "-c", RULES, EXTENSION, str(tmp_path / "test.db")], text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    # Where the machine stands still between commit and look, the thread was first.
    assert max(json.loads(done.stdout)) > 20_000
