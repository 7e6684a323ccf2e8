"""wal_help: each function, table, column and setting once, with the sentence of its declaration."""

import re
import sqlite3

import pytest

from conftest import ROOT, connect, one

# Words that name no actor, or one that a reader does not know.
VAGUE = re.compile(r"\b(nobody|somebody|anybody|whoever|who|ours|our|we|theirs)\b", re.IGNORECASE)
# A sentence that begins so is understood only with the row above it.
REFERS_BACK = re.compile(r"(of (these|those|that|this)|these|those|the same|likewise)\b", re.IGNORECASE)
MODULES = "SELECT name FROM pragma_module_list"


@pytest.fixture
def added(db):
    """The tables that the load has added."""
    plain = {name for (name,) in sqlite3.connect(":memory:").execute(MODULES)}
    return sorted({name for (name,) in db.execute(MODULES)} - plain)


def test_columns_and_kinds(db):
    assert [(row[1], row[2]) for row in db.execute("PRAGMA table_info(wal_help)")] == [
        (name, "INTEGER" if name == "default_value" else "TEXT")
        for name in ("kind", "name", "member", "type", "about", "default_value", "allowed")]
    assert {kind for (kind,) in db.execute("SELECT kind FROM wal_help")} == {
        "function", "table", "column", "hidden column", "setting", "fact"}


def test_functions_are_those_that_a_load_adds(db):
    rows = db.execute("SELECT name, member, type FROM wal_help WHERE kind = 'function' ORDER BY name").fetchall()
    assert [name for name, _, _ in rows] == [name for (name,) in db.execute(
        "SELECT DISTINCT name FROM pragma_function_list WHERE name LIKE 'wal\\_%' ESCAPE '\\' ORDER BY name")]
    assert all(call.startswith(f"{name}(") and call.endswith(")") and kind is None for name, call, kind in rows)
    assert db.execute("SELECT member, about FROM wal_help WHERE kind = 'function' AND name = 'wal_set'").fetchall() == [
        ("wal_set(name, value [, schema])",
         "Changes a setting for all processes at once; NULL sets it back to the default.")]


def test_tables_are_those_that_a_load_adds(db, added):
    assert [name for (name,) in db.execute("SELECT name FROM wal_help WHERE kind = 'table' ORDER BY name")] == added
    assert db.execute("SELECT * FROM wal_help WHERE kind = 'table' AND name = 'wal_config'").fetchall() == [
        ("table", "wal_config", None, None, 
         "The settings of each database, which wal_set() changes, and what the engine has learned.", None, None)]


def test_columns_are_those_of_the_tables(db, added):
    for table in added:
        there = [(row[1], row[2], "hidden column" if row[6] else "column")
                 for row in db.execute(f"PRAGMA table_xinfo({table})")]
        assert db.execute("SELECT member, type, kind FROM wal_help WHERE kind LIKE '%column' AND name = ?",
                          (table,)).fetchall() == there


def test_settings_are_those_of_wal_config(db):
    rows = db.execute("SELECT name, type, default_value, member, about, allowed FROM wal_help WHERE kind = 'setting'").fetchall()
    config = db.execute("""SELECT name, upper(typeof(default_value)), default_value, description FROM wal_config
                           WHERE name NOT LIKE 'learned.%'""").fetchall()
    assert [row[:3] for row in rows] == [row[:3] for row in config]
    for (*_, member, about, allowed), (*_, description) in zip(rows, config):
        assert member is None and description == f"{about} Allowed: {allowed}."


def test_facts_are_those_of_a_condition(db):
    """With the sentences of sql/README.md."""
    rows = db.execute("SELECT name, type, about, member FROM wal_help WHERE kind = 'fact'").fetchall()
    with pytest.raises(sqlite3.OperationalError) as error:
        db.execute("""SELECT wal_strategy_define('x', '[{"rule":"r","priority":1,"condition":"nope"}]')""")
    named = str(error.value).split("an expression over ")[1].split(", ")
    assert named[:len(rows)] == [row[0] for row in rows] and len(rows) >= 12
    readme = (ROOT / "sql" / "README.md").read_text()
    for name, type_, about, member in rows:
        told = re.search(rf"^\| `{name}` \| (.*) \|$", readme, re.MULTILINE)[1]
        assert about == told[0].upper() + told[1:] + "." and member is None
        assert (type_ == "REAL") == name.endswith(("_ms", "_rate"))


def test_default_and_range_are_those_of_settings_alone(db):
    assert one(db, "SELECT count(*) FROM wal_help WHERE kind <> 'setting' AND (default_value IS NOT NULL OR allowed IS NOT NULL)") == 0
    assert db.execute("SELECT default_value, allowed FROM wal_help WHERE name = 'checkpoint_frames' AND kind = 'setting'").fetchall() == \
        [(1000, "an integer from 1 to 100000000")]


def test_each_is_there_once_and_has_a_sentence(db):
    rows = db.execute("SELECT kind, name, member, about FROM wal_help").fetchall()
    assert len({row[:3] for row in rows}) == len(rows)
    assert [row for row in rows if not row[3]] == []


def test_each_sentence_is_understood_alone_and_names_the_actor(db):
    """wal_help and wal_config: four words or more, none of them vague, and no reference to another row."""
    rows = db.execute("""SELECT kind, name, member, about FROM wal_help
                         UNION ALL SELECT 'description', name, NULL, description FROM wal_config""").fetchall()
    assert len(rows) > 300
    wrong = [row for row in rows
             if len(row[3].split()) < 4 or VAGUE.search(row[3]) or REFERS_BACK.match(row[3])]
    assert wrong == []


def test_no_two_columns_of_a_table_have_the_same_sentence(db):
    assert db.execute("""SELECT name, about, group_concat(member) FROM wal_help WHERE kind LIKE '%column'
                         GROUP BY name, about HAVING count(*) > 1""").fetchall() == []


@pytest.mark.parametrize("query", sorted((ROOT / "sql/queries").glob("*.sql")), ids=lambda path: path.stem)
def test_findings_and_advice_name_the_actor(query):
    """The texts that system_health, wal_recommendations and wal_trends put together."""
    assert [line for line in query.read_text().splitlines() if VAGUE.search(line)] == []


def test_a_table_of_a_query_tells_its_columns(db):
    """The sentences of a .sql file."""
    assert db.execute("SELECT type, about FROM wal_help WHERE name = 'wal_trends' AND member = 'samples'").fetchall() == [
        ("INTEGER", "number of samples that the straight line goes through")]


def test_a_shell_user_asks_what_a_table_has(db):
    """As README says: SELECT member, about FROM wal_help WHERE name = 'wal_metrics'."""
    rows = db.execute("SELECT member, about FROM wal_help WHERE name = 'wal_metrics'").fetchall()
    assert rows[0][0] is None and len(rows) == 1 + len(db.execute("PRAGMA table_info(wal_metrics)").fetchall())
    assert dict(rows)["schema"] == "name of the database on this connection: main, or the name given to ATTACH"


def test_it_needs_no_database_in_wal_mode_and_may_stand_in_a_view(db):
    memory = connect(":memory:")
    count = one(memory, "SELECT count(*) FROM wal_help")
    assert count == one(db, "SELECT count(*) FROM wal_help")
    memory.execute("CREATE VIEW help AS SELECT member, about FROM wal_help")
    assert one(memory, "SELECT count(*) FROM help") == count
    memory.close()
