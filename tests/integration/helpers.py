"""What several integration tests need beside conftest: other processes, APSW, polling, messages."""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from conftest import EXTENSION, connect, metrics
from waiting import wait_for

TESTS = pathlib.Path(__file__).resolve().parents[1]
STRANGE = """it's "odd" [ü] %s"""  # a name


def error(db, sql, *parameters):
    """The message with which a statement fails. If it does not fail, the test does."""
    with pytest.raises(Exception) as caught:
        db.execute(sql, parameters).fetchall()
    return str(caught.value).removeprefix("SQLError: ")


def report(db, sql, *parameters):
    """The JSON object that a function returns, as a dict in the same order."""
    rows = db.execute(sql, parameters).fetchall()
    assert len(rows) == 1 and len(rows[0]) == 1, rows
    return json.loads(rows[0][0])


def columns(db, table):
    """Name and declared type of each column, in order."""
    return [(row[1], row[2]) for row in db.execute(f"PRAGMA table_info({table})")]


def files_beside(path):
    """The suffixes of the files beside the database, such as {'', '-wal', '-shm', '-walmanager'}."""
    path = pathlib.Path(path)
    return {entry.name[len(path.name):] for entry in path.parent.iterdir()
            if entry.name.startswith(path.name)}


def locks(path):
    """The POSIX locks that this process holds on the file, as the system's lock table shows them."""
    inode = os.stat(path).st_ino
    lines = [line.split() for line in open("/proc/locks")]
    return sorted(tuple(line[1:4] + line[6:]) for line in lines
                  if line[4] == str(os.getpid()) and line[5].endswith(f":{inode}"))


def wal_bytes(path):
    """The size of the -wal file, or 0 if there is none."""
    try:
        return os.stat(f"{path}-wal").st_size
    except FileNotFoundError:
        return 0


def write(db, commits, payload=100):
    """Makes so many commits of one row. A row on a new page makes more than one frame. Many commits do not wait for the disk."""
    if commits >= 100 and not db.in_transaction:
        db.execute("PRAGMA synchronous=OFF")
    for _ in range(commits):
        db.execute(f"INSERT INTO t(payload) VALUES (zeroblob({payload}))")


def rows_into(db, count, table="t", first=1, payload="zeroblob(100)"):
    """Inserts so many rows in one transaction."""
    db.execute(f"WITH RECURSIVE n(i) AS (VALUES ({first}) UNION ALL SELECT i + 1 FROM n WHERE i < {first + count - 1}) "
               f"INSERT INTO {table} SELECT i, {payload} FROM n")


def quoted(name):
    """The name, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def frames(db, commits):
    """Makes so many commits of exactly one frame each."""
    for _ in range(commits):
        db.execute("REPLACE INTO t VALUES (1, randomblob(8))")


def started_over(db, resets=1, seconds=30):
    """Commits row after row until the log has started over so often. Returns the row of wal_metrics."""
    def row_then():
        row = metrics(db)
        if row["wal_resets"] >= resets:
            return row
        time.sleep(0.002)
        db.execute("INSERT INTO t(payload) VALUES (1)")
    return wait_for(row_then, seconds)


def environment(**variables):
    """The environment in which a child process finds conftest and helpers."""
    paths = os.pathsep.join([str(TESTS), str(TESTS / "integration")])
    return {**os.environ, "PYTHONPATH": paths, **variables}


def python(code, *arguments, **variables):
    """Runs Python in a child process and returns what it printed. If the process fails, the test does."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], text=True,
                          capture_output=True, timeout=60, env=environment(**variables))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", done.stderr
    return done.stdout


class Holder:
    """A process that holds a snapshot of a database until release()."""

    CODE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN"); db.execute("SELECT count(*) FROM t").fetchall()
print("ready", flush=True); sys.stdin.readline(); db.execute("COMMIT")
"""

    def __init__(self, path):
        self.process = subprocess.Popen([sys.executable, "-c", self.CODE, str(path)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate("\n", timeout=10)


class Reader:
    """A managed process named report job that runs the code and then waits."""

    CODE = """
import os, sys
from conftest import EXTENSION, connect, one
db = connect(sys.argv[1])
one(db, "SELECT wal_application_name('report job')")
%s
print(os.getpid(), flush=True)
sys.stdin.readline()
"""

    def __init__(self, path, code):
        self.process = subprocess.Popen([sys.executable, "-c", self.CODE % code, str(path)], text=True, env=environment(),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate("\n", timeout=10)


def snapshot(path):
    """A bare connection that holds a snapshot of the current moment."""
    reader = connect(path, load=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    return reader


def apsw_connect(path, load=EXTENSION, **options):
    """An APSW connection, managed unless load is None. APSW missing is a failure, not a skip."""
    import apsw
    db = apsw.Connection(str(path), **options)
    if load:
        db.enableloadextension(True)
        db.loadextension(load)
    return db
