"""Databases that come and go: a process that has used and closed 400 of them has nothing left of them."""

import json
import subprocess
import sys

import pytest

from conftest import EXTENSION

HOST = """
import ctypes, json, os, sqlite3, sys, time

class Info(ctypes.Structure):  # struct mallinfo2
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info

def use(number):
    path = os.path.join(sys.argv[2], f"{number}.db")
    db = sqlite3.connect(path, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(sys.argv[1])
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(a)")
    for _ in range(3): db.execute("INSERT INTO t VALUES (1)")
    assert db.execute("SELECT count(*) FROM t").fetchone() == (3,)
    assert db.execute("SELECT commits FROM wal_metrics").fetchone()[0] >= 4
    db.close()
    for ending in ("-wal", "-shm"): assert not os.path.exists(path + ending)
    if not kept: remove(path)

def remove(path):
    for ending in ("", "-walmanager"):
        if os.path.exists(path + ending): os.remove(path + ending)

def threads():
    return len(os.listdir("/proc/self/task"))

def mapped():
    return open("/proc/self/maps").read()

def left():
    deadline = time.monotonic() + 12
    while (threads() > 1 or ".db" in mapped()) and time.monotonic() < deadline: time.sleep(0.05)
    info = libc.mallinfo2()
    return {"memory": info.uordblks + info.hblkhd, "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": threads(), "mappings": mapped().count("\\n"), "of databases": mapped().count(".db")}

kept = sys.argv[3] == "kept"
seen = []
for first in range(0, 400, 100):
    for number in range(first, first + 100): use(number)
    seen.append(left())
print(json.dumps(seen))
"""


@pytest.mark.parametrize("files", ["kept", "removed"])
def test_nothing_stays_of_databases_that_were_closed(tmp_path, files):
    """Where the files are removed, the system gives the same inode numbers to the next databases."""
    done = subprocess.run([sys.executable, "-c", HOST, EXTENSION, str(tmp_path), files], text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    before, after = seen[0], seen[-1]
    assert (after["threads"], after["of databases"]) == (1, 0)
    assert after["descriptors"] == before["descriptors"]
    assert after["mappings"] - before["mappings"] <= 8  # of the allocator
    # The allocator fills caches of its own, in one hundred or another: what each database leaves grows in every hundred.
    grown = [later["memory"] - earlier["memory"] for earlier, later in zip(seen, seen[1:])]
    assert min(grown) < 100 * 50
    assert sum(grown) < 100_000


IDLE_HOST = """
import json, os, re, sqlite3, sys, time

def threads():
    return len(os.listdir("/proc/self/task"))

def resident():
    rss, of_control = 0, False
    for line in open("/proc/self/smaps"):
        if re.match("[0-9a-f]+-[0-9a-f]+ ", line): of_control = line.rstrip().endswith(".db-walmanager")
        elif of_control and line.startswith("Rss:"): rss += int(line.split()[1])
    return rss

connections = []
for number in range(20):
    db = sqlite3.connect(os.path.join(sys.argv[2], f"{number}.db"), isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(sys.argv[1])
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("SELECT wal_set('checkpoint_interval_ms', 1000)")
    db.execute("CREATE TABLE t(a)")
    connections.append(db)
time.sleep(1.1)
for db in connections:
    for _ in range(20): db.execute("INSERT INTO t VALUES (1)")
in_use = resident()
deadline = time.monotonic() + 80
while threads() > 1 and time.monotonic() < deadline: time.sleep(0.1)
idle = resident()
for db in connections: db.execute("INSERT INTO t VALUES (1)")
commits = [db.execute("SELECT commits FROM wal_metrics").fetchone()[0] for db in connections]
calls = [db.execute("SELECT calls FROM query_performance WHERE query LIKE 'INSERT%'").fetchone()[0] for db in connections]
print(json.dumps({"in use": in_use, "idle": idle, "commits": commits, "calls": calls}))
"""


def test_an_idle_database_has_no_page_of_its_control_file_in_memory(tmp_path):
    done = subprocess.run([sys.executable, "-c", IDLE_HOST, EXTENSION, str(tmp_path)], text=True,
                          capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["in use"] > 0
    assert seen["idle"] == 0
    assert seen["commits"] == [22] * 20
    assert seen["calls"] == [21] * 20
