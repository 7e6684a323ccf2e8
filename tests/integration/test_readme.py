"""The README's promises: its reference, its commands and its session."""

import re
import sqlite3
import subprocess

import pytest

from conftest import EXTENSION, ROOT, connect, one

README = (ROOT / "README.md").read_text()
REFERENCE = subprocess.run([str(ROOT / "scripts" / "reference")], check=True, text=True,
                           capture_output=True).stdout
TABLES = ["wal_metrics", "query_performance", "index_candidates", "connection_metrics", "wal_readers", "wal_checkpoints",
          "wal_strategies", "wal_config", "wal_alerts", "wal_history", "wal_periods",
          "wal_environment", "stale_statistics", "read_pool", "system_health", "wal_recommendations", "wal_trends"]


def test_reference_is_that_of_the_declarations():
    subprocess.run([str(ROOT / "scripts" / "reference"), "--check"], check=True)


@pytest.mark.parametrize("table", TABLES)
def test_columns_of_the_reference_are_those_of_the_table(db, table):
    section = REFERENCE.split(f"**`{table}`**")[1].split("**`")[0].split("### ")[0]
    documented = re.findall(r"^\| `(\w+)` \| (TEXT|INTEGER|REAL) \| .+ \|$", section, re.MULTILINE)
    assert documented == [(row[1], row[2]) for row in db.execute(f"PRAGMA table_xinfo({table})")]


def test_functions_of_the_reference_are_those_that_a_load_adds(db):
    section = REFERENCE.split("### Tables")[0]
    documented = sorted(re.findall(r"^\| `(\w+)\(", section, re.MULTILINE))
    there = sorted(name for (name,) in db.execute(
        "SELECT name FROM pragma_function_list WHERE name LIKE 'wal\\_%' ESCAPE '\\'"))
    assert documented == there


def test_settings_of_the_reference_are_those_of_wal_config(db):
    section = REFERENCE.split("### Settings")[1]
    documented = re.findall(r"^\| `([\w.]+)` \| ([\w.]+) \| (.*?) \|", section, re.MULTILINE)
    assert [(name, default, unit or None) for name, default, unit in documented] == db.execute(
        "SELECT name, CAST(default_value AS TEXT), unit FROM wal_config WHERE name NOT LIKE 'learned.%'").fetchall()


def test_facts_of_a_condition_are_named_in_the_readme(db):
    with pytest.raises(sqlite3.OperationalError) as error:
        db.execute("""SELECT wal_strategy_define('x', '[{"rule":"r","priority":1,"condition":"nope"}]')""")
    names = str(error.value).split("an expression over ")[1].split(", ")
    assert [name for name in names if f"`{name}`" not in README] == []


def test_the_strategy_of_the_readme_can_be_defined(db):
    block = re.search(r"```sql\n(SELECT wal_strategy_define.*?)```", README, re.DOTALL)[1]
    db.executescript(block)
    assert one(db, "SELECT wal_strategy()") == "nightly"


def test_every_statement_of_the_session_runs(wal_path):
    connect(wal_path).close()
    session = re.search(r"```\n(\$ sqlite3 app.db.*?)```", README, re.DOTALL)[1]
    statements = re.findall(r"^sqlite> (SELECT .*)$", session, re.MULTILINE)
    assert len(statements) == 6
    db = connect(wal_path)
    for statement in statements[:-1]:
        db.execute(statement).fetchall()
    with pytest.raises(sqlite3.OperationalError) as error:
        db.execute(statements[-1])
    assert "Runtime error: " + str(error.value) in session
    db.close()


def test_every_statement_about_who_is_in_the_way_runs(db):
    session = README.split("## Statements, connections")[1].split("## ")[0]
    statements = re.findall(r"^sqlite> (SELECT .*)$", session, re.MULTILINE)
    assert len(statements) == 4
    for statement in statements:
        db.execute(statement).fetchall()


def test_the_query_that_prints_the_settings_prints_sql_that_sets_them(db, tmp_path):
    query = re.search(r"`(SELECT printf\('SELECT wal_set.*?)`", README)[1]
    db.execute("SELECT wal_set('checkpoint_frames', 321)").fetchall()
    db.execute("SELECT wal_set('sample_interval_ms', 20)").fetchall()
    db.execute("SELECT wal_set('backpressure', 'on')").fetchall()
    printed = [row[0] for row in db.execute(query)]
    other = connect(tmp_path / "other.db")
    other.execute("PRAGMA journal_mode=WAL")
    for statement in printed:
        other.execute(statement).fetchall()
    wanted = "SELECT name, value FROM wal_config WHERE changed_at IS NOT NULL ORDER BY name"
    assert other.execute(wanted).fetchall() == db.execute(wanted).fetchall() == [
        ("backpressure", "on"), ("checkpoint_frames", 321), ("sample_interval_ms", 20)]
    other.close()


def test_profiles_of_the_readme_are_those_of_the_function(db):
    with pytest.raises(sqlite3.OperationalError) as error:
        db.execute("SELECT wal_configure('?')")
    names = str(error.value).split("is not one of ")[1].split(", ")
    table = README.split("| profile | for |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == names


def test_the_python_line_loads(wal_path):
    line = re.search(r"^\| Python \| `(.*?)` \|$", README, re.MULTILINE)[1]
    db = sqlite3.connect(str(wal_path))
    exec(line.replace("./walmanager", EXTENSION), {"db": db})
    assert one(db, "SELECT count(*) FROM wal_metrics") == 1
    db.close()
