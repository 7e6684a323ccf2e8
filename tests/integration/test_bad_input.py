"""Every function and table with arguments of every wrong kind: an error that begins with its name, nothing changed."""

import json

import sqlite3

import pytest

from conftest import EXTENSION, connect, metrics, one
from helpers import columns, error, frames, python

PRIVATE = "walmanager_connection_lifetime"
TABLES = ["wal_metrics", "query_performance", "index_candidates", "unused_indexes", "connection_metrics", "wal_readers", "wal_lock_waits", "wal_io",
          "wal_checkpoints",
          "wal_strategies", "wal_config", "wal_alerts", "wal_history", "wal_periods",
          "wal_environment", "stale_statistics", "wal_help", "system_health", "wal_recommendations", "wal_trends"]
RULES = '[{"rule":"r","condition":"0","mode":"PASSIVE","runs":"inline","priority":1}]'
# name: least and most arguments, arguments that are right.
CALLS = {
    "wal_version": (0, 0, ""),
    "wal_strategy": (0, 2, "'off'"),
    "wal_strategy_define": (2, 3, f"'mine', '{RULES}'"),
    "wal_strategy_drop": (1, 2, "'theirs'"),
    "wal_set": (2, 3, "'checkpoint_frames', 500"),
    "wal_checkpoint_auto": (0, 1, ""),
    "wal_checkpoint": (1, 2, "'PASSIVE'"),
    "wal_configure": (1, 3, "'conversation'"),
    "wal_application_name": (0, 1, "'me'"),
    "wal_cancel": (1, 1, "1"),
    "wal_trace": (0, 1, "'take'"),
    "wal_openmetrics": (0, 1, ""),
    "wal_metrics_reset": (0, 2, "'all'"),
    "wal_integrity_check": (0, 2, "'quick'"),
    "wal_backup": (1, 3, "'/nowhere/copy.db'"),
    "wal_restore": (1, 2, "'/nowhere/copy.db'"),
}
ACTING = sorted(set(CALLS) - {"wal_version"})
SIGNATURES = {
    "wal_version": "wal_version()",
    "wal_strategy": "wal_strategy([name [, schema]])",
    "wal_strategy_define": "wal_strategy_define(name, rules_json [, schema])",
    "wal_strategy_drop": "wal_strategy_drop(name [, schema])",
    "wal_set": "wal_set(name, value [, schema])",
    "wal_checkpoint_auto": "wal_checkpoint_auto([schema])",
    "wal_checkpoint": "wal_checkpoint(mode [, schema])",
    "wal_configure": "wal_configure(profile [, overrides_json [, schema]])",
    "wal_application_name": "wal_application_name([name])",
    "wal_cancel": "wal_cancel(connection_id)",
    "wal_trace": "wal_trace([action])",
    "wal_openmetrics": "wal_openmetrics([schema])",
    "wal_metrics_reset": "wal_metrics_reset([what [, schema]])",
    "wal_integrity_check": "wal_integrity_check([kind [, schema]])",
    "wal_backup": "wal_backup(path [, options_json [, schema]])",
    "wal_restore": "wal_restore(backup_path [, schema])",
}


@pytest.fixture
def state(db):
    """A connection with settings and statistics, and a function that reads everything that a call could change."""
    db.execute("PRAGMA synchronous=OFF")
    one(db, "SELECT wal_strategy_define('theirs', ?)", RULES)
    frames(db, 5)
    bare = connect(metrics(db)["file"], load=None)
    kept = ("wal_frames", "checkpointed_frames", "wal_bytes", "strategy", "commits", "checkpoints",
            "statistics_since", "hook", "journal_mode")
    pragmas = ("synchronous", "cache_size", "mmap_size", "temp_store", "foreign_keys", "journal_size_limit",
               "busy_timeout", "locking_mode")

    def look():
        row = metrics(db)
        return ([row[name] for name in kept], db.execute("SELECT * FROM wal_config").fetchall(),
                db.execute("SELECT * FROM wal_strategies").fetchall(),
                [one(db, f"PRAGMA {pragma}") for pragma in pragmas],
                bare.execute("SELECT * FROM t").fetchall(), bare.execute("SELECT * FROM sqlite_schema").fetchall())

    yield db, look
    bare.close()


def our_functions(db):
    names = {row[0] for row in db.execute("PRAGMA function_list") if row[0].startswith("wal")}
    return names - {PRIVATE}


def test_this_file_knows_every_function_and_table(db):
    assert our_functions(db) == set(CALLS) == set(SIGNATURES)
    bare = connect(":memory:", load=None)
    assert {row[0] for row in db.execute("PRAGMA module_list")} - {row[0] for row in bare.execute("PRAGMA module_list")} \
        == set(TABLES) | {"read_pool"}  # which has tests of its own
    bare.close()


# --- numbers of arguments

@pytest.mark.parametrize("name", sorted(CALLS))
def test_too_few_and_too_many_arguments(state, name):
    db, look = state
    before = look()
    least, most, _ = CALLS[name]
    for count in [*range(least), most + 1, most + 2, 100]:
        arguments = ", ".join(["'main'"] * count)
        assert error(db, f"SELECT {name}({arguments})") == \
            f"{name}: {count} argument{'' if count == 1 else 's'} given; call it as {SIGNATURES[name]}"
    assert look() == before


# --- kinds of arguments

WRONG = ["NULL", "7", "-1", "1.5", "9e999", "x'00'", "x''", "zeroblob(100000)", "''", "'no such thing'",
         "'a' || char(0) || 'b'", "'ä€'", "printf('%.*c', 100000, 'x')", "'[]'", "'{}'"]
# What is allowed among these, by function and position of the argument.
ALLOWED = {("wal_set", 1): ["NULL", "7"], ("wal_configure", 1): ["NULL", "'{}'"],
           ("wal_strategy_define", 0): [],
           ("wal_backup", 0): ["'no such thing'", "'ä€'", "'[]'", "'{}'"], ("wal_backup", 1): ["NULL", "'{}'"],
           ("wal_application_name", 0): ["''", "'no such thing'", "'ä€'", "'[]'", "'{}'"]}


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"wal_version"}))
def test_wrong_values_in_each_place(state, name):
    db, look = state
    before = look()
    least, most, right = CALLS[name]
    good = {"wal_strategy": ["'off'", "'main'"], "wal_strategy_define": ["'mine'", f"'{RULES}'", "'main'"],
            "wal_strategy_drop": ["'theirs'", "'main'"], "wal_set": ["'checkpoint_frames'", "500", "'main'"],
            "wal_checkpoint_auto": ["'main'"], "wal_checkpoint": ["'PASSIVE'", "'main'"],
            "wal_configure": ["'conversation'", "'{}'", "'main'"], "wal_application_name": ["'me'"],
            "wal_cancel": ["1"], "wal_trace": ["'take'"], "wal_integrity_check": ["'quick'", "'main'"],
            "wal_backup": ["'/nowhere/copy.db'", "'{}'", "'main'"], "wal_restore": ["'/nowhere/copy.db'", "'main'"],
            "wal_openmetrics": ["'main'"], "wal_metrics_reset": ["'all'", "'main'"]}[name]
    assert len(good) == most
    for place in range(most):
        for wrong in WRONG:
            if wrong in ALLOWED.get((name, place), []):
                continue
            arguments = ", ".join([*good[:place], wrong, *good[place + 1:]])
            message = error(db, f"SELECT {name}({arguments})")
            assert message.startswith(f"{name}: "), (arguments, message)
    assert look() == before


ON_A_SCHEMA = sorted(set(ACTING) - {"wal_application_name", "wal_cancel", "wal_trace"})


@pytest.mark.parametrize("name", ON_A_SCHEMA)
def test_an_unknown_schema_is_named_with_those_there_are(state, name):
    db, look = state
    before = look()
    _, most, right = CALLS[name]
    arguments = [right] if right else []
    if name in ("wal_configure", "wal_backup"):
        arguments.append("'{}'")
    arguments.append("'nope'")
    assert error(db, f"SELECT {name}({', '.join(arguments)})") == f"{name}: schema 'nope' is not one of main"
    assert look() == before


@pytest.mark.parametrize("name", ON_A_SCHEMA)
def test_a_memory_schema_has_nothing_to_act_on(state, name):
    db, look = state
    db.execute("ATTACH ':memory:' AS memory")
    before = look()
    _, most, right = CALLS[name]
    arguments = [right] if right else []
    if name in ("wal_configure", "wal_backup"):
        arguments.append("'{}'")
    sql = f"SELECT {name}({', '.join([*arguments, chr(39) + 'memory' + chr(39)])})"
    if name.startswith("wal_checkpoint"):
        assert json.loads(one(db, sql))["skipped"] == "journal_mode is memory, not wal"
    elif name == "wal_integrity_check":
        assert one(db, sql) == "ok"
    elif name == "wal_openmetrics":
        assert one(db, sql).count("\n") == 3
    elif name == "wal_backup":  # it copies that, too
        assert error(db, sql).startswith("wal_backup: path '/nowhere/copy.db' cannot be written: ")
    else:
        assert error(db, sql).startswith(f"{name}: schema 'memory' ")
    assert look() == before


def test_the_private_function_does_nothing(state):
    """The function exists only for its destructor."""
    db, look = state
    before = look()
    assert one(db, f"SELECT {PRIVATE}()") is None
    assert error(db, f"SELECT {PRIVATE}(1)") == f"wrong number of arguments to function {PRIVATE}()"
    assert look() == before


# --- stored in the database

@pytest.mark.parametrize("name", [*ACTING, PRIVATE])
def test_functions_that_act_are_refused_in_a_stored_view(state, name):
    db, look = state
    right = CALLS[name][2] if name in CALLS else ""
    db.execute(f"CREATE VIEW v AS SELECT {name}({right}) AS result")
    before = look()
    assert error(db, "SELECT * FROM v") == f"unsafe use of {name}()"
    assert look() == before


@pytest.mark.parametrize("name", [*ACTING, PRIVATE])
def test_functions_that_act_are_refused_in_a_trigger(state, name):
    db, look = state
    right = CALLS[name][2] if name in CALLS else ""
    db.execute(f"CREATE TRIGGER bad AFTER UPDATE ON t BEGIN SELECT {name}({right}); END")
    before = look()
    assert error(db, "UPDATE t SET payload = 0") == f"unsafe use of {name}()"
    assert look() == before


def test_functions_that_act_are_allowed_in_a_temporary_view(db):
    """The user made the view; no database file contains it."""
    db.execute("CREATE TEMP VIEW v AS SELECT wal_set('checkpoint_frames', 500) AS result")
    assert one(db, "SELECT * FROM v") == 500


@pytest.mark.parametrize("table", ["wal_checkpoints", "wal_config"])
def test_tables_that_name_processes_are_refused_in_stored_views(db, table):
    db.execute(f"CREATE VIEW v AS SELECT * FROM {table}")
    with pytest.raises(sqlite3.OperationalError) as refused:
        db.execute("SELECT * FROM v")
    assert str(refused.value) == f'unsafe use of virtual table "{table}"'


@pytest.mark.parametrize("table", ["wal_metrics", "wal_strategies"])
def test_tables_can_be_read_in_stored_views(db, table):
    """These tables show nothing of other connections."""
    db.execute(f"CREATE VIEW v AS SELECT * FROM {table}")
    assert db.execute("SELECT count(*) FROM v").fetchone() == db.execute(f"SELECT count(*) FROM {table}").fetchone()


def test_wal_version_can_be_used_in_a_stored_view(db):
    db.execute("CREATE VIEW v AS SELECT wal_version() AS result")
    assert one(db, "SELECT * FROM v") == one(db, "SELECT wal_version()")


# --- tables

@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("sql", ["DELETE FROM {}", "UPDATE {} SET schema = 'x'", "INSERT INTO {}(schema) VALUES ('x')",
                                 "REPLACE INTO {}(schema) VALUES ('x')"])
def test_tables_are_read_only(state, table, sql):
    db, look = state
    before = look()
    assert error(db, sql.format(table)) == f"table {table} may not be modified"
    assert look() == before


@pytest.mark.parametrize("table", sorted(set(TABLES) - {"query_performance"}))
def test_tables_take_no_arguments(db, table):
    assert error(db, f"SELECT * FROM {table}('main')") == f"too many arguments on {table}() - max 0"


def test_an_argument_is_compared_with_the_hidden_column(db):
    """SQLite makes the first hidden column the first argument."""
    frames(db, 3)
    assert db.execute("SELECT * FROM query_performance('no such plan')").fetchall() == []


# connection_metrics and wal_help have no schema; some have rows only if something is wrong; query_performance gets
# a row by each query, and other values change with each query.
CHANGING = {"query_performance", "connection_metrics", "wal_help", "wal_environment", "system_health", "wal_history", "wal_periods",
            "wal_trends", "wal_recommendations"}
SELDOM = {"wal_readers", "wal_lock_waits", "index_candidates", "unused_indexes", "stale_statistics", "wal_alerts"}


@pytest.mark.parametrize("table", sorted(set(TABLES) - CHANGING - SELDOM))
def test_tables_can_be_filtered_sorted_and_joined(db, table):
    frames(db, 3)
    db.execute("SELECT wal_checkpoint('passive')").fetchall()
    names = [name for name, _ in columns(db, table)]
    rows = db.execute(f"SELECT * FROM {table}").fetchall()
    assert rows
    assert db.execute(f"SELECT * FROM {table} WHERE schema = 'main'").fetchall() == rows
    assert db.execute(f"SELECT * FROM {table} WHERE schema = 'nope' OR schema IS NULL").fetchall() == []
    assert db.execute(f"SELECT a.{names[0]} FROM {table} a JOIN {table} b ON a.rowid = b.rowid").fetchall() == \
        [row[:1] for row in rows]
    assert sorted(row[0] for row in db.execute(f"SELECT rowid FROM {table}")) == list(range(1, len(rows) + 1))
    assert db.execute(f"SELECT * FROM {table} ORDER BY rowid DESC").fetchall() == rows[::-1]


# --- inside transactions

@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "SAVEPOINT s"])
def test_tables_and_reports_work_inside_a_transaction(db, begin):
    frames(db, 2)
    db.execute(begin)
    for table in TABLES:
        db.execute(f"SELECT * FROM {table}").fetchall()
    assert metrics(db)["commits"] == 2
    assert one(db, "SELECT wal_strategy()") == "conversation_workload"
    assert json.loads(one(db, "SELECT wal_checkpoint_auto()"))["result"] == "skipped"
    assert json.loads(one(db, "SELECT wal_version()"))["sqlite_version"] == one(db, "SELECT sqlite_version()")
    db.execute("INSERT INTO t(payload) VALUES (1)")
    for table in TABLES:
        db.execute(f"SELECT * FROM {table}").fetchall()
    db.execute("ROLLBACK")
    assert metrics(db)["commits"] == 2
    assert db.in_transaction is False


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"wal_configure"}))
def test_errors_inside_a_transaction_do_not_end_it(db, name):
    frames(db, 2)
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t(id) VALUES (77)")
    error(db, f"SELECT {name}(1, 2, 3, 4, 5)")
    assert db.in_transaction
    db.execute("COMMIT")
    assert one(db, "SELECT count(*) FROM t WHERE id = 77") == 1
    assert metrics(db)["commits"] == 3


def test_version(db):
    version = json.loads(one(db, "SELECT wal_version()"))
    assert list(version)[:5] == ["version", "build", "sqlite_version", "wal_reset_bug", "threads"]
    assert version["sqlite_version"] == one(db, "SELECT sqlite_version()")
    number = tuple(int(part) for part in version["sqlite_version"].split("."))
    fixed = number >= (3, 51, 3) or (3, 50, 7) <= number < (3, 51) or (3, 44, 6) <= number < (3, 45)
    assert version["wal_reset_bug"] is not fixed
    assert version["threads"] is True


def test_bug_a_file_that_is_no_database_took_settings(tmp_path):
    """They went nowhere."""
    (tmp_path / "text").write_text("hello " * 1000)
    db = connect(tmp_path / "text")
    for call in "wal_set('slow_query_ms', 5)", "wal_strategy('off')", f"wal_strategy_define('mine', '{RULES}')":
        assert error(db, f"SELECT {call}") == \
            f"{call[:call.index('(')]}: schema 'main' cannot be read: file is not a database"
    db.close()


def test_words_are_known_in_any_case(db):
    """As modes, strategies and settings are."""
    assert one(db, "SELECT wal_integrity_check('Quick')") == "ok"
    assert one(db, "SELECT wal_trace('TAKE')") == "active"
    assert json.loads(one(db, "SELECT wal_checkpoint('Passive')"))["mode"] == "PASSIVE"
    assert error(db, """SELECT wal_backup('/nowhere/copy.db', '{"Verify":1}')""") == \
        "wal_backup: option verify 1 is not true or false"


def test_a_long_value_is_cut_between_characters(db):
    """Messages stay UTF-8, which drivers insist on."""
    for before in range(56, 64):
        message = error(db, "SELECT wal_set('checkpoint_frames', ?)", "x" * before + "€" * 20)
        assert message.startswith("wal_set: checkpoint_frames 'xxx"), before
        assert message.endswith("…' is not an integer from 1 to 100000000"), before


@pytest.mark.parametrize("call", [
    "wal_strategy({})", "wal_strategy_define({}, '[]')", "wal_strategy_drop({})", "wal_set({}, 1)",
    "wal_set('checkpoint_frames', {})", "wal_checkpoint({})", "wal_checkpoint_auto({})", "wal_configure({})",
    "wal_metrics_reset({})", "wal_checkpoint('FULL', {})"])
def test_a_long_value_is_cut_in_every_message(db, call):
    long = "printf('%.*c', 100000, 'x')"
    message = error(db, f"SELECT {call.format(long)}")
    assert "xxx" in message
    assert len(message) < 500


def in_the_schema(db, sql):
    """Puts a table into the schema as a hostile file could have it, even where CREATE TABLE would refuse it."""
    db.execute("PRAGMA writable_schema=ON")
    db.execute("CREATE TABLE hostile(a, b)")
    db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'hostile'", (sql,))
    db.execute("PRAGMA writable_schema=OFF")


@pytest.mark.parametrize("name", [*ACTING, PRIVATE])
@pytest.mark.parametrize("place", ["CHECK", "DEFAULT", "generated", "stored", "index", "partial index", "column check"])
def test_functions_that_act_are_refused_in_what_a_table_brings(db, wal_path, name, place):
    """Bug: SQLite 3.40.1 lets a CHECK constraint call a function that is DIRECTONLY, at an INSERT of the program."""
    call = f"{name}({CALLS[name][2] if name in CALLS else ''})"
    bare = connect(wal_path, load=None)
    if "index" in place:
        bare.execute("CREATE TABLE hostile(a, b)")
        bare.execute("CREATE INDEX sly ON hostile(a)")
        bare.execute("PRAGMA writable_schema=ON")
        sql = f"CREATE INDEX sly ON hostile({call})" if place == "index" else f"CREATE INDEX sly ON hostile(a) WHERE {call}"
        bare.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'sly'", (sql,))
    else:
        in_the_schema(bare, {
            "CHECK": f"CREATE TABLE hostile(a, b, CHECK ({call} IS NOT 0))",
            "column check": f"CREATE TABLE hostile(a, b CHECK (b OR {call} IS NOT 0))",
            "DEFAULT": f"CREATE TABLE hostile(a, b DEFAULT ({call}))",
            "generated": f"CREATE TABLE hostile(a, b AS ({call}))",
            "stored": f"CREATE TABLE hostile(a, b AS ({call}) STORED)"}[place])
    bare.close()
    db.close()
    managed = connect(wal_path)
    if place in ("generated", "stored", "index", "partial index"):  # such a schema cannot be read at all
        for sql in "INSERT INTO hostile(a) VALUES (1)", "SELECT b FROM hostile", "PRAGMA integrity_check":
            assert "non-deterministic functions prohibited" in error(managed, sql)
        managed.close()
        return
    rows = "SELECT name, value FROM wal_config", "SELECT * FROM wal_strategies"
    before = [sorted(managed.execute(row).fetchall(), key=repr) for row in rows]
    application = one(managed, "SELECT wal_application_name()")
    for sql in ("INSERT INTO hostile(a) VALUES (1)", "INSERT INTO hostile(a) VALUES (2), (3)", "SELECT b FROM hostile",
                "UPDATE hostile SET a = 4", "REPLACE INTO hostile(a) VALUES (5)", "PRAGMA integrity_check",
                "PRAGMA quick_check", "VACUUM", "SELECT wal_integrity_check()"):
        try:
            managed.execute(sql).fetchall()
        except sqlite3.DatabaseError as refused:
            message = str(refused)
            assert "unsafe use of" in message or "malformed" in message, message
    assert [sorted(managed.execute(row).fetchall(), key=repr) for row in rows] == before
    assert one(managed, "SELECT wal_application_name()") == application
    assert one(managed, "SELECT last_checkpoint_mode FROM wal_metrics") != "TRUNCATE"
    managed.close()


def test_a_check_is_refused_beside_a_statement_that_waits(db):
    """A statement that has called the function and was not reset is not the statement that calls it now."""
    waiting = db.execute("SELECT wal_set('checkpoint_frames', 500) UNION ALL SELECT 2 UNION ALL SELECT 3")
    assert waiting.fetchone() == (500,)
    db.execute("CREATE TABLE hostile(a, CHECK (wal_set('checkpoint_frames', 700) > 0))")
    assert error(db, "INSERT INTO hostile VALUES (1)") == "unsafe use of wal_set()"
    waiting.fetchall()
    assert one(db, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'") == 500


def test_a_check_does_not_make_a_function_run_within_itself(db):
    """The statement names the function, and PRAGMA integrity_check within it evaluates the constraint."""
    db.execute("CREATE TABLE hostile(a, CHECK (wal_integrity_check() IS NOT NULL))")
    db.execute("PRAGMA ignore_check_constraints=ON")
    db.execute("INSERT INTO hostile VALUES (1)")
    db.execute("PRAGMA ignore_check_constraints=OFF")
    assert "unsafe use of wal_integrity_check()" in error(db, "SELECT wal_integrity_check()")
    assert one(db, "SELECT 1") == 1


@pytest.mark.parametrize("call", ['wal_set (', '"wal_set"(', "[wal_set](", "`wal_set`/* */(", "WAL_SET--\n("])
def test_a_call_of_the_host_is_known_however_it_is_written(db, call):
    assert one(db, f"SELECT {call}'checkpoint_frames', 500)") == 500
    assert one(db, f"WITH x AS MATERIALIZED (SELECT {call}'checkpoint_frames', 600) AS v) SELECT v FROM x") == 600
    db.execute(f"INSERT INTO t(payload) SELECT {call}'checkpoint_frames', 700)")
    assert one(db, "SELECT payload FROM t") == 700


def test_functions_that_act_are_allowed_in_a_temporary_trigger(db):
    db.execute("CREATE TEMP TRIGGER mine AFTER INSERT ON t BEGIN SELECT wal_set('checkpoint_frames', 500); END")
    db.execute("INSERT INTO t(payload) VALUES (1)")
    assert one(db, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'") == 500


# --- what may not be written

@pytest.mark.parametrize("call", ["wal_set('checkpoint_frames', 500)", "wal_strategy('off')", "wal_metrics_reset('all')",
                                  f"wal_strategy_define('mine', '{RULES}')", "wal_strategy_drop('theirs')",
                                  "wal_configure('web')"])
def test_nothing_that_is_shared_changes_under_query_only(state, call):
    """Bug: PRAGMA query_only did not stop what changes the database's settings for all processes."""
    db, look = state
    db.execute("PRAGMA query_only=ON")
    before = look()
    name = call[:call.index("(")]
    assert error(db, f"SELECT {call}") == f"{name}: this connection may not write: PRAGMA query_only is on"
    assert look() == before
    assert one(db, "SELECT wal_strategy()") == "conversation_workload"
    assert json.loads(one(db, "SELECT wal_checkpoint('PASSIVE')"))["result"] == "complete"  # as PRAGMA wal_checkpoint
    db.execute("PRAGMA query_only=OFF")
    one(db, f"SELECT {call}")


@pytest.mark.parametrize("call", ["wal_set('checkpoint_frames', 500)", "wal_strategy('off')", "wal_metrics_reset('all')",
                                  f"wal_strategy_define('mine', '{RULES}')", "wal_strategy_drop('theirs')"])
def test_bug_a_read_only_connection_changed_what_is_shared(state, wal_path, call):
    _, look = state
    before = look()
    reader = sqlite3.connect(f"file:{wal_path}?mode=ro", uri=True, isolation_level=None)
    reader.enable_load_extension(True)
    reader.load_extension(EXTENSION)
    name = call[:call.index("(")]
    assert error(reader, f"SELECT {call}") == f"{name}: schema 'main' is read-only on this connection"
    assert one(reader, "SELECT wal_strategy()") == "conversation_workload"
    reader.close()
    assert look() == before


@pytest.mark.parametrize("field", ["rule", "condition", "mode", "runs"])
def test_no_field_of_a_rule_is_cut_at_a_nul(state, field):
    """Bug: the rule 'r\\u0000x' was defined as 'r', and the condition '1\\u0000y' as '1'."""
    db, look = state
    before = look()
    rule = {"rule": "r", "condition": "1", "mode": "PASSIVE", "runs": "inline"}
    rule[field] += "\0x"
    message = error(db, "SELECT wal_strategy_define('mine', ?)", json.dumps([rule]))
    assert message.startswith("wal_strategy_define: ")
    assert "\\0x" in message or "\\u0000x" in message  # JSON is shown as it was written
    assert look() == before


@pytest.mark.parametrize("overrides", [{"synchronous": "off\0x"}, {"sync\0hronous": "off"}, {"strategy": "off\0x"}])
def test_no_override_is_cut_at_a_nul(state, overrides):
    db, look = state
    before = look()
    message = error(db, "SELECT wal_configure('web', ?)", json.dumps(overrides))
    assert "\\0" in message or "\\u0000" in message
    assert look() == before


@pytest.mark.parametrize("name", ["a\x1b[31mred", "two\nlines", "tab\t", "\x7f", "\u009b31m", "nul\0", "a\u202eb", "two\u2028lines"])
def test_an_application_name_has_no_control_characters(db, name):
    """Bug: a terminal that shows connection_metrics or an alert obeyed them."""
    message = error(db, "SELECT wal_application_name(?)", name)
    assert message.startswith("wal_application_name: name '") and message.endswith(
        "bytes of UTF-8, without control characters")
    assert not any(ord(c) < 32 for c in message)
    assert one(db, "SELECT wal_application_name()") is None


def test_rules_are_counted_before_they_are_compiled(db):
    """Bug: three thousand rules were compiled, for seconds, and then refused for their number."""
    rules = [{"rule": f"r{i}", "condition": "no such fact", "mode": "PASSIVE", "runs": "inline"} for i in range(3000)]
    assert error(db, "SELECT wal_strategy_define('mine', ?)", json.dumps(rules)) == \
        "wal_strategy_define: rules_json has 3000 rules, at most 128 are allowed"


# --- depth and length that the caller chooses

SMALL_STACK = """
import json, sqlite3, sys, threading, time
from conftest import connect
def run():
    db = connect(sys.argv[1])
    nested = "[" * 64 + "]" * 64
    deep = "SELECT " + "(" * 90 + "1" + ")" * 90
    for sql, parameters in [
            ("SELECT wal_set(CAST(zeroblob(3000) AS TEXT), 1)", ()), ("SELECT wal_set(CAST(zeroblob(1000000) AS TEXT), 1)", ()),
            ("SELECT wal_backup('/nowhere/x', ?)", (nested,)), ("SELECT * FROM read_pool('SELECT ?', ?)", (nested,)),
            ("SELECT * FROM read_pool(?)", (nested,)), ("SELECT wal_configure('web', ?)", (nested,)),
            ("SELECT wal_strategy_define('m', ?)", (nested,)),
            ("SELECT wal_strategy_define('m', ?)", (json.dumps([{"rule": "r", "condition": "(" * 90 + "1" + ")" * 90}]),)),
            ("SELECT wal_strategy_define('m', ?)", (json.dumps([{"rule": "r", "condition": "1" + "+1" * 400}]),)),
            (deep, ()), ("SELECT * FROM read_pool(?)", (deep,))]:
        try:
            db.execute(sql, parameters).fetchall()
        except sqlite3.Error:
            pass
    db.execute("SELECT * FROM query_performance").fetchall()
    db.close()
    print("lived")
threading.stack_size(256 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


def test_depth_that_the_caller_chooses_fits_a_small_stack(wal_path):
    """Bug: a message recursed once for each NUL in an argument: three thousand overflowed a stack of 256 KB."""
    assert python(SMALL_STACK, wal_path) == "lived\n"


def test_a_process_name_has_no_control_characters(wal_path):
    """Bug: a process may give itself any name, and connection_metrics of another one showed it as it was."""
    assert python("""
import ctypes, sys
from conftest import *
ctypes.CDLL(None).prctl(15, b"a\\x1b[31m\\nb", 0, 0, 0)
db = connect(sys.argv[1])
db.execute("INSERT INTO t(payload) VALUES (1)")
print([row[0] for row in db.execute("SELECT DISTINCT process FROM connection_metrics")])
""", wal_path) == "['a?[31m']\n"
