"""SQLAlchemy: its pool with threads, a pool that is left open at the exit, the asynchronous engine."""

import pytest

from hosts import FOLDER, check, orders, python_with, row, run  # noqa: F401

ENGINE = FOLDER / "python" / "sqlalchemy_engine.py"


@pytest.mark.parametrize("where, sqlite", [("debian", "sqlite3"), ("pinned", "sqlite3"), ("pinned", "pysqlite3")])
def test_each_connection_of_the_pool_has_the_extension(where, sqlite, tmp_path, row):
    python = python_with("sqlalchemy", where)
    python_with(sqlite, where)
    path = orders(tmp_path)
    answer = run([python, ENGINE], path, HOST_SQLITE=sqlite)
    row("SQLAlchemy", answer["version"], answer["sqlite"], "8 threads, a pool of 6")
    assert answer["hooks"] == ["active"] * 6
    check(path, 600, answer)


@pytest.mark.parametrize("where", ["debian", "pinned"])
def test_a_pool_that_is_open_at_the_exit(where, tmp_path, row):
    path = orders(tmp_path)
    answer = run([python_with("sqlalchemy", where), ENGINE], path, HOST_LEAVES_POOL_OPEN=1)
    row("SQLAlchemy", answer["version"], answer["sqlite"], "a pool open at the exit")
    check(path, 600, answer, log_gone=False)


def test_the_asynchronous_engine(tmp_path, row):
    python = python_with("sqlalchemy", "pinned")
    python_with("aiosqlite", "pinned")
    path = orders(tmp_path)
    answer = run([python, FOLDER / "python" / "sqlalchemy_async.py"], path)
    row("SQLAlchemy", answer["version"], answer["sqlite"], "6 tasks over aiosqlite, a pool of 4")
    assert answer["hooks"] == ["active"] * 4
    check(path, 600, answer)
