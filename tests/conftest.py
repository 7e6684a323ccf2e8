"""What every test needs: the extension's path, a database directory, and managed connections."""

import os
import pathlib
import sqlite3

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("WALMANAGER_BUILD", ROOT / "build"))
EXTENSION = str(BUILD / "walmanager")
PROCESS_EXTENSION = str(BUILD / "walmanagerprocess")


def connect(path, load=EXTENSION, **options):
    """A connection in autocommit mode, managed unless load is None."""
    db = sqlite3.connect(str(path), isolation_level=None, **options)
    if load:
        db.enable_load_extension(True)
        db.load_extension(load)
    return db


def one(db, sql, *parameters):
    """The only value of the only row."""
    rows = db.execute(sql, parameters).fetchall()
    assert len(rows) == 1 and len(rows[0]) == 1, rows
    return rows[0][0]


def threads_named(name, pid="self"):
    """The ids of the process's threads of that name, in their order."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/comm") as comm:
                if comm.read().strip() == name:
                    found.append(int(task))
        except OSError:
            pass  # it has just ended
    return sorted(found)


def metrics(db, schema="main"):
    """The row of wal_metrics as a dict."""
    cursor = db.execute("SELECT * FROM wal_metrics WHERE schema = ?", (schema,))
    names = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    assert len(rows) == 1, rows
    return dict(zip(names, rows[0]))


def inline(db, schema="main"):
    """From here on checkpoints run as SQLite's own would: in the commit that reaches checkpoint_frames."""
    assert one(db, "SELECT wal_strategy('sqlite_default', ?)", schema) == "sqlite_default"


@pytest.fixture
def wal_path(tmp_path):
    """The path of an empty database in WAL mode."""
    path = tmp_path / "test.db"
    db = sqlite3.connect(str(path), isolation_level=None)
    assert db.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.close()
    return path


@pytest.fixture
def db(wal_path):
    """A managed connection to it."""
    connection = connect(wal_path)
    yield connection
    connection.close()
