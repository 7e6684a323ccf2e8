"""An engine that was built without threads (SQLITE_THREADSAFE=0): walmanager never runs in another thread."""

import json
import os
import subprocess
import sys

from conftest import BUILD, EXTENSION

HOST = r"""
import json, os, sqlite3, sys, time

def con():
    db = sqlite3.connect(sys.argv[2], isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(sys.argv[1])
    return db

most = 0
def threads():
    global most
    most = max(most, len(os.listdir("/proc/self/task")))

db = con()
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE t(a)")
db.execute("SELECT wal_set('checkpoint_frames', 50), wal_set('slow_query_ms', 1), wal_set('sample_interval_ms', 20), wal_set('wal_limit_bytes', 1 << 20), wal_set('reader_lease_ms', 1)").fetchall()
for i in range(400):
    db.execute("INSERT INTO t VALUES (zeroblob(3000))")
    db.execute("INSERT INTO t VALUES (1) RETURNING a").fetchall()
    threads()
db.execute("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 30000) SELECT count(*) FROM n, t LIMIT 1").fetchall()
time.sleep(1.05)
db.execute("SELECT count(*) FROM t").fetchall()
threads()
rows = db.execute("SELECT data FROM read_pool('[\"SELECT count(*) AS n FROM t\", \"SELECT 1 AS n\"]')").fetchall()
threads()
for table in ("wal_readers", "connection_metrics", "wal_history"):
    db.execute("SELECT * FROM " + table).fetchall()
threads()
said = dict(zip(("checkpointer", "inline", "background"), db.execute(
    "SELECT checkpointer, checkpoints_inline, checkpoints_background FROM wal_metrics").fetchone()))
said["health"] = db.execute("SELECT status, detail FROM system_health WHERE check_name = 'threads'").fetchone()
said["version"] = json.loads(db.execute("SELECT wal_version()").fetchone()[0])["threads"]
said["rows"] = [json.loads(row[0])["n"] for row in rows]
said["most"] = most
db.close()
said["left"] = sorted(name for name in os.listdir(os.path.dirname(sys.argv[2])) if name.startswith("test.db"))
print(json.dumps(said))
"""


def run(path, **environment):
    done = subprocess.run([sys.executable, "-c", HOST, EXTENSION, str(path)], text=True, capture_output=True,
                          timeout=120, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_engine_built_without_threads_gets_no_thread_of_walmanager(tmp_path):
    said = run(tmp_path / "test.db", LD_PRELOAD=str(BUILD / "tests" / "libno_threads.so"))
    assert said["most"] == 1
    assert said["version"] is False
    assert said["checkpointer"] == "inline"
    assert said["background"] == 0 and said["inline"] > 5
    assert said["rows"] == [800, 1]
    assert said["health"][0] == "warning" and said["health"][1].startswith("SQLite was built or started single-threaded")
    assert said["left"] == ["test.db", "test.db-walmanager"]


def test_the_same_engine_with_threads_gets_the_background_thread(tmp_path):
    """The thread that the test above does not find is there if SQLite allows it."""
    said = run(tmp_path / "test.db")
    assert said["most"] > 1
    assert said["version"] is True
    assert said["checkpointer"] == "background"
