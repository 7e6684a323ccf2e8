"""What the tests of backups share: calls, the content of a copy, a call in its own thread."""

import json
import sqlite3
import threading

import pytest

from conftest import connect, one
from helpers import error, report
from waiting import wait_for

@pytest.fixture
def target(tmp_path):
    """The path of the copy, in a directory of its own."""
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies" / "copy.db"


def backup(db, path, schema="main", **options):
    return report(db, "SELECT wal_backup(?, ?, ?)", str(path), json.dumps(options), schema)


def refusal(db, path, schema="main", **options):
    return error(db, "SELECT wal_backup(?, ?, ?)", str(path), json.dumps(options), schema)


def content(path):
    bare = connect(path, load=None)
    rows = bare.execute("SELECT * FROM t ORDER BY id").fetchall()
    assert one(bare, "PRAGMA integrity_check") == "ok"
    bare.close()
    return rows


class Background:
    """A statement that runs in a thread of its own; `result` is its answer or its error."""

    def __init__(self, db, sql, *parameters):
        def run():
            try:
                self.result = db.execute(sql, parameters).fetchall()
            except Exception as failed:
                self.result = failed
        self.thread = threading.Thread(target=run)
        self.thread.start()

    def end(self):
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.result


def slow(path, **options):
    """Arguments of a backup that takes at least a second, for tests that end it earlier."""
    return ("SELECT wal_backup(?, ?)", str(path), json.dumps({"pages_per_step": 1, "pause_ms": 20, **options}))


def copying(db):
    """Waits until a copy has begun. Returns its row of connection_metrics."""
    db.row_factory = sqlite3.Row
    sql = "SELECT * FROM connection_metrics WHERE role = 'backup' AND pages_done > 0"
    return dict(wait_for(lambda: db.execute(sql).fetchone()))
