"""Everything works with a SQLite without JSON functions (before 3.38 they are a build option)."""

import json
import re
import sqlite3

import pytest

from conftest import ROOT, one

RULES = '[{"rule":"r","priority":1,"condition":"pending_frames > 7","mode":"PASSIVE","runs":"inline"}]'


@pytest.fixture
def without_json(db):
    """A connection that may not call JSON functions, and the calls that it has tried."""
    tried = []

    def authorize(action, first, name, *_):
        if action != sqlite3.SQLITE_FUNCTION or not name.startswith("json"):
            return sqlite3.SQLITE_OK
        tried.append(name)
        return sqlite3.SQLITE_DENY

    db.set_authorizer(authorize)
    with pytest.raises(sqlite3.DatabaseError, match="not authorized to use function: json_extract"):
        db.execute("SELECT json_extract('{}', '$.a')")
    tried.clear()
    yield db, tried
    db.set_authorizer(None)


def test_functions_that_take_json_read_it(without_json, tmp_path):
    db, tried = without_json
    report = json.loads(one(db, "SELECT wal_configure('web', ?)", '{"cache_size": -3000, "foreign_keys": false}'))
    assert report["settings"]["cache_size"]["after"] == -3000
    assert report["settings"]["foreign_keys"]["after"] is False
    assert one(db, "SELECT wal_strategy_define('mine', ?)", RULES) == "mine"
    assert db.execute("SELECT rule, condition FROM wal_strategies WHERE strategy = 'mine'").fetchall() == [
        ("r", "pending_frames > 7")]
    backup = json.loads(one(db, "SELECT wal_backup(?, ?)", str(tmp_path / "copy.db"), '{"verify": false}'))
    assert backup["path"] == str(tmp_path / "copy.db")
    db.execute("INSERT INTO t(payload) VALUES ('x')")
    assert db.execute("SELECT data FROM read_pool('SELECT payload FROM t WHERE id = :id', '{\"id\": 1}')").fetchall() == [
        ('{"payload":"x"}',)]
    assert tried == []


def test_functions_that_tell_json_write_it(without_json):
    db, tried = without_json
    for call in ("wal_version()", "wal_checkpoint('PASSIVE')", "wal_checkpoint_auto()"):
        assert isinstance(json.loads(one(db, f"SELECT {call}")), dict)
    assert tried == []


def test_tables_are_read(without_json):
    db, tried = without_json
    names = [name for (name,) in db.execute("SELECT name FROM wal_help WHERE kind = 'table' AND name <> 'read_pool'")]
    assert len(names) >= 17
    for name in names:
        db.execute(f"SELECT * FROM {name}").fetchall()
    assert tried == []


def test_no_statement_of_walmanager_calls_a_json_function():
    """The program's authorizer does not see walmanager's own connections, so the test reads the sources."""
    files = [path for folder in ("ext", "vtab", "sql") for path in (ROOT / folder).rglob("*")
             if path.suffix in (".cc", ".h", ".sql") and "workloads" not in path.parts]
    assert len(files) > 100
    calls = [(path.name, call) for path in files for call in re.findall(r"\bjson(?:_\w+)?\(|->>", path.read_text())]
    assert calls == []
