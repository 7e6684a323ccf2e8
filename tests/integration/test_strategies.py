"""Strategies as rows: the built-in ones, your own, what a condition may say, and what fires when."""

import json
import time

import pytest

from conftest import connect, inline, metrics, one
from helpers import columns, error, frames, python, report, snapshot, started_over, wal_bytes, write
from waiting import copied_in_background, wait_for

FACTS = ("pending_frames, pending_bytes, wal_frames, wal_bytes, page_size, readers, oldest_reader_lag, idle_ms, "
         "since_checkpoint_ms, last_checkpoint_ms, commits_since_checkpoint, commit_rate, due_frames").split(", ")
SETTINGS = ("wal_limit_bytes, checkpoint_frames, checkpoint_interval_ms, stall_budget_ms, backpressure, slow_query_ms, "
            "statement_metrics, sample_interval_ms, max_queries, auto_optimize, read_pool_size, "
            "read_pool_timeout_ms, alert_interval_ms, alert_samples, replicator, reader_lease_ms, lock_metrics, lock_wait_ms, allow_cancel").split(", ")


@pytest.fixture
def fast(wal_path):
    """Tests here count looks at the log. So no rule about time and no plan to capture, not even of these statements, starts
    the thread, unless a test's strategy does. While it looks at the log commits go on without a look, on a
    starved machine hundreds of them."""
    before = connect(wal_path)
    before.execute("SELECT wal_strategy('off'), wal_set('statement_metrics', 'off')").fetchall()
    before.close()
    db = connect(wal_path)
    db.execute("PRAGMA synchronous=OFF")
    yield db
    db.close()


@pytest.fixture
def by_default(fast):
    """A connection with the default strategy."""
    fast.execute("SELECT wal_strategy('conversation_workload')").fetchall()
    return fast


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One managed connection for many definitions, all of which are refused."""
    connection = connect(tmp_path_factory.mktemp("shared") / "shared.db")
    connection.execute("PRAGMA journal_mode=WAL")
    yield connection
    connection.close()


def rule(condition, name="r", priority=10, mode="PASSIVE", **more):
    return {"priority": priority, "rule": name, "condition": condition, "mode": mode, "runs": "inline", **more}


def define(db, *rules, name="mine"):
    assert one(db, "SELECT wal_strategy_define(?, ?)", name, json.dumps(rules)) == name


def use(db, *rules, name="mine"):
    """Makes a strategy of these rules the active one from the next commit on."""
    define(db, *rules, name=name)
    assert one(db, "SELECT wal_strategy(?)", name) == name


def refused(db, *rules, name="mine"):
    """The error message of a definition, which must change nothing."""
    before = db.execute("SELECT * FROM wal_strategies").fetchall()
    message = error(db, "SELECT wal_strategy_define(?, ?)", name, json.dumps(rules))
    assert db.execute("SELECT * FROM wal_strategies").fetchall() == before
    return message


def look_often(db):
    """Between thresholds a strategy is evaluated every checkpoint_frames/16 frames: here, each."""
    db.execute("SELECT wal_set('checkpoint_frames', 16)").fetchall()


def fired(db, name="mine"):
    return dict(db.execute("SELECT rule, fired FROM wal_strategies WHERE strategy=?", (name,)).fetchall())


# --- the table

def test_columns(db):
    assert columns(db, "wal_strategies") == [
        ("strategy", "TEXT"), ("priority", "INTEGER"), ("rule", "TEXT"), ("condition", "TEXT"), ("mode", "TEXT"),
        ("runs", "TEXT"), ("stall_budget_ms", "REAL"), ("builtin", "INTEGER"), ("active", "INTEGER"),
        ("fired", "INTEGER"), ("last_fired_at", "TEXT"), ("schema", "TEXT")]


def test_built_in_strategies(db):
    rows = db.execute("SELECT strategy, rule, condition, mode, runs, stall_budget_ms, active FROM wal_strategies "
                      "WHERE builtin ORDER BY strategy, priority").fetchall()
    limit = "pending_frames > 0 AND wal_frames * (page_size + 24) >= wal_limit_bytes"
    near = limit + " / 16 * 15"
    interval = "pending_frames > 0 AND since_checkpoint_ms >= checkpoint_interval_ms"
    assert rows == [
        ("conversation_workload", "limit", near, "PASSIVE", "inline", 300.0, 1),
        ("conversation_workload", "frames",
         "pending_frames >= due_frames", "PASSIVE", "background", 0.0, 1),
        ("conversation_workload", "interval", interval, "PASSIVE", "background", 0.0, 1),
        ("high_concurrency", "limit", limit + " / 2", "PASSIVE", "inline", 300.0, 0),
        ("high_concurrency", "frames",
         "pending_frames >= checkpoint_frames OR pending_bytes >= wal_limit_bytes / 4", "PASSIVE", "background", 0.0, 0),
        ("high_concurrency", "interval", interval, "PASSIVE", "background", 0.0, 0),
        ("low_latency", "limit", near, "PASSIVE", "inline", 10.0, 0),
        ("low_latency", "frames",
         "pending_frames >= due_frames AND (pending_frames >= 4 * checkpoint_frames OR "
         "pending_bytes >= wal_limit_bytes / 4)", "PASSIVE", "background", 0.0, 0),
        ("low_latency", "interval", interval, "PASSIVE", "background", 0.0, 0),
        ("off", "never", "0", "PASSIVE", "inline", 0.0, 0),
        ("sqlite_default", "autocheckpoint", "wal_frames >= checkpoint_frames", "PASSIVE", "inline", 0.0, 0)]


def test_built_in_strategies_are_these(db):
    assert {row[0] for row in db.execute("SELECT strategy FROM wal_strategies WHERE builtin")} == \
        {"conversation_workload", "high_concurrency", "low_latency", "sqlite_default", "off"}
    assert one(db, "SELECT group_concat(DISTINCT strategy) FROM wal_strategies WHERE active") == \
        "conversation_workload"


def test_no_built_in_strategy_holds_the_write_lock_while_it_waits(db):
    assert one(db, "SELECT count(*) FROM wal_strategies WHERE mode <> 'PASSIVE'") == 0


def test_each_database_has_its_own(db, tmp_path):
    db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    db.execute("PRAGMA other.journal_mode=WAL")
    db.execute("CREATE TABLE other.u(a)")
    assert one(db, "SELECT wal_strategy('off', 'other')") == "off"
    assert one(db, "SELECT wal_strategy()") == "conversation_workload"
    assert metrics(db, "other")["strategy"] == "off"
    assert db.execute("SELECT DISTINCT schema, strategy FROM wal_strategies WHERE active").fetchall() == \
        [("main", "conversation_workload"), ("other", "off")]


# --- which one is active

def test_the_strategy_is_set_and_lasts(wal_path):
    db = connect(wal_path)
    assert one(db, "SELECT wal_strategy()") == "conversation_workload"
    assert one(db, "SELECT wal_strategy('sqlite_default')") == "sqlite_default"
    assert metrics(db)["strategy"] == "sqlite_default"
    db.close()
    db = connect(wal_path)
    assert one(db, "SELECT wal_strategy()") == "sqlite_default"
    assert one(db, "SELECT group_concat(DISTINCT strategy) FROM wal_strategies WHERE active") == "sqlite_default"
    db.close()


def test_a_strategy_set_by_another_process_is_in_force_at_once(fast, wal_path):
    frames(fast, 10)
    python("""
import sys, json
from conftest import connect
db = connect(sys.argv[1])
db.execute("SELECT wal_strategy_define('theirs', ?)", (json.dumps(
    [{"rule": "r", "condition": "pending_frames >= 50", "mode": "passive", "runs": "inline", "priority": 1}]),)).fetchall()
db.execute("SELECT wal_strategy('theirs')").fetchall()
""", wal_path)
    assert one(fast, "SELECT wal_strategy()") == "theirs"
    frames(fast, 200)
    assert fired(fast, "theirs")["r"] >= 2


def test_an_unknown_strategy_is_refused_with_the_names(db):
    define(db, rule("0"), name="mine")
    assert error(db, "SELECT wal_strategy('nope')") == (
        "wal_strategy: strategy 'nope' is not one of "
        "conversation_workload, high_concurrency, low_latency, off, sqlite_default, mine")
    assert one(db, "SELECT wal_strategy()") == "conversation_workload"


# --- making your own

def test_define_shows_the_rules_in_priority_order(db):
    define(db, rule("pending_frames > 20", "second", 20, "full", stall_budget_ms=2.5),
           rule("pending_frames > 10", "first", -5, runs="BACKGROUND"))
    assert db.execute("SELECT priority, rule, condition, mode, runs, stall_budget_ms, builtin, active, fired, "
                      "last_fired_at FROM wal_strategies WHERE strategy='mine'").fetchall() == [
        (-5, "first", "pending_frames > 10", "PASSIVE", "background", 0.0, 0, 0, 0, None),
        (20, "second", "pending_frames > 20", "FULL", "inline", 2.5, 0, 0, 0, None)]


def test_define_replaces(db):
    define(db, rule("1", "a"), rule("0", "b", 11))
    define(db, rule("0", "c"))
    assert fired(db) == {"c": 0}


def test_a_replaced_active_strategy_is_in_force_at_the_next_look(fast):
    use(fast, rule("0"))
    frames(fast, 500)
    assert metrics(fast)["checkpoints"] == 0
    define(fast, rule("pending_frames >= 10"))
    frames(fast, 100)
    assert metrics(fast)["pending_frames"] < 74  # a look at least every 62 frames


def test_definitions_last(wal_path):
    db = connect(wal_path)
    use(db, rule("pending_frames > 7", mode="restart"))
    db.close()
    db = connect(wal_path)
    assert db.execute("SELECT condition, mode, active FROM wal_strategies WHERE strategy='mine'").fetchall() == \
        [("pending_frames > 7", "RESTART", 1)]
    db.close()


def test_drop(db):
    define(db, rule("0"))
    assert one(db, "SELECT wal_strategy_drop('mine')") == "mine"
    assert fired(db) == {}
    assert error(db, "SELECT wal_strategy_drop('mine')") == (
        "wal_strategy_drop: strategy 'mine' does not exist: no strategy of your own is defined")
    define(db, rule("0"), name="yours")
    define(db, rule("0"), name="hers")
    assert error(db, "SELECT wal_strategy_drop('mine')") == \
        "wal_strategy_drop: strategy 'mine' is not one of your own, which are yours, hers"


def test_names_of_strategies_are_known_in_any_case(db):
    """As names are to SQLite; the answer is the name as it was defined."""
    assert one(db, "SELECT wal_strategy('LOW_LATENCY')") == one(db, "SELECT wal_strategy()") == "low_latency"
    assert refused(db, rule("1"), name="OFF") == \
        "wal_strategy_define: strategy 'OFF' is built in and fixed; give yours another name"
    define(db, rule("0"), name="Mine")
    assert one(db, "SELECT wal_strategy('mINE')") == "Mine"
    assert one(db, "SELECT wal_strategy_define('MINE', ?)", json.dumps([rule("0", "again")])) == "Mine"
    assert fired(db, "Mine") == {"again": 0}
    assert "is active" in error(db, "SELECT wal_strategy_drop('mine')")
    one(db, "SELECT wal_strategy('Off')")
    assert one(db, "SELECT wal_strategy_drop('mine')") == "Mine"


def test_fields_of_rules_are_known_in_any_case(db):
    one(db, "SELECT wal_strategy_define('mine', ?)", '[{"Rule":"r","CONDITION":"0","Mode":"full","priority":3}]')
    assert db.execute("SELECT rule, priority, mode FROM wal_strategies WHERE strategy = 'mine'").fetchall() == \
        [("r", 3, "FULL")]
    assert error(db, "SELECT wal_strategy_define('mine', ?)", '[{"rule":"r","condition":"0","Rule":"s"}]') == \
        "wal_strategy_define: rule 'r': field 'Rule' is there twice"


def test_drop_of_the_active_and_of_built_in_strategies_is_refused(db):
    use(db, rule("0"))
    assert error(db, "SELECT wal_strategy_drop('mine')") == \
        "wal_strategy_drop: strategy 'mine' is active; choose another with wal_strategy first"
    assert error(db, "SELECT wal_strategy_drop('off')") == \
        "wal_strategy_drop: strategy 'off' is built in and cannot be dropped"
    assert fired(db) == {"r": 0}
    assert one(db, "SELECT wal_strategy('off')") == "off"
    assert one(db, "SELECT wal_strategy_drop('mine')") == "mine"


@pytest.mark.parametrize("name", ["off", "sqlite_default", "conversation_workload", "high_concurrency", "low_latency"])
def test_built_in_strategies_are_fixed(db, name):
    assert refused(db, rule("1"), name=name) == \
        f"wal_strategy_define: strategy '{name}' is built in and fixed; give yours another name"


@pytest.mark.parametrize("name", ["", "with space", "x'y", "ä", "a" * 64, "a.b"])
def test_names_are_letters_digits_and_underscores(shared, name):
    for what, message in (("name", refused(shared, rule("1"), name=name)),
                          ("rule", refused(shared, rule("1", name=name)))):
        assert message.startswith(f"wal_strategy_define: {what} '{name[:60]}")  # a long one may be cut
        assert message.endswith("' is not 1 to 63 letters, digits or underscores")


def test_the_longest_name(db):
    define(db, rule("1", name="r" * 63), name="s" * 63)
    assert fired(db, "s" * 63) == {"r" * 63: 0}


@pytest.mark.parametrize("rules, message", [
    ("", "wal_strategy_define: rules_json is not a JSON array of rules: the JSON ends too early at byte 1"),
    ("[{]", "wal_strategy_define: rules_json is not a JSON array of rules: a name in double quotes is missing at byte 3"),
    ("{}", "wal_strategy_define: rules_json is not a JSON array of rules"),
    ("7", "wal_strategy_define: rules_json is not a JSON array of rules"),
    ("null", "wal_strategy_define: rules_json is not a JSON array of rules"),
    ("[]", "wal_strategy_define: rules_json has no rule, at least one is needed"),
    ("[1]", "wal_strategy_define: rule 0 is not a JSON object"),
    ('[{"rule":"a","condition":"1"}, null]', "wal_strategy_define: rule 1 is not a JSON object"),
    ("[{}]", "wal_strategy_define: rule 0: its name, field rule, is missing"),
    ('[{"rule":"a"}]', "wal_strategy_define: rule 'a': condition has 0 bytes, allowed are 1 to 1023"),
    ('[{"rule":1,"condition":"1"}]', "wal_strategy_define: rule 0: rule 1 is not text"),
    ('[{"rule":"a","condition":1}]', "wal_strategy_define: rule 'a': condition 1 is not text"),
    ('[{"rule":"a","condition":null}]', "wal_strategy_define: rule 'a': condition null is not text"),
    ('[{"rule":"a","condition":"1","mode":"FAST"}]',
     """wal_strategy_define: rule 'a': mode "FAST" is not one of PASSIVE, FULL, RESTART, TRUNCATE"""),
    ('[{"rule":"a","condition":"1","runs":"later"}]',
     """wal_strategy_define: rule 'a': runs "later" is not one of inline, background"""),
    ('[{"rule":"a","condition":"1","priority":"1"}]',
     """wal_strategy_define: rule 'a': priority "1" is not an integer"""),
    ('[{"rule":"a","condition":"1","priority":1.5}]',
     "wal_strategy_define: rule 'a': priority 1.5 is not an integer"),
    ('[{"rule":"a","condition":"1","stall_budget_ms":"x"}]',
     """wal_strategy_define: rule 'a': stall_budget_ms "x" is not a number from 0 to 10000"""),
    ('[{"rule":"a","condition":"1","stall_budget_ms":-1}]',
     "wal_strategy_define: rule 'a': stall_budget_ms -1.0 is not a number from 0 to 10000"),
    ('[{"rule":"a","condition":"1","stall_budget_ms":10001}]',
     "wal_strategy_define: rule 'a': stall_budget_ms 10001.0 is not a number from 0 to 10000"),
    ('[{"rule":"a","condition":"1"},{"rule":"a","condition":"0"}]',
     "wal_strategy_define: rule 'a' is there twice"),
    ('[{"rule":"a","condition":"1","color":"red"}]',
     "wal_strategy_define: rule 'a': field 'color' is not one of priority, rule, condition, mode, runs, "
     "stall_budget_ms"),
])
def test_wrong_rules_are_refused_in_words(shared, rules, message):
    assert error(shared, "SELECT wal_strategy_define('mine', ?)", rules) == message
    assert fired(shared) == {}


def test_too_many_rules_are_refused_and_nothing_changes(db):
    many = [rule("0", f"r{i}") for i in range(129)]
    message = refused(db, *many)
    assert message.startswith("wal_strategy_define: ")
    assert "128" in message
    define(db, *many[:128])
    assert len(fired(db)) == 128
    assert "128" in refused(db, rule("0"), name="one_more")
    use(db, rule("0"), name="mine")  # a replacement makes room
    define(db, *many[:127], name="full")


# --- conditions

def condition_error(db, condition):
    message = refused(db, rule(condition))
    start = f"wal_strategy_define: rule 'r': condition '{condition}': "
    end = f"; a condition is an expression over {', '.join(FACTS + SETTINGS)}"
    assert message.startswith(start), message
    assert message.endswith(end), message
    return message[len(start):-len(end)]


@pytest.mark.parametrize("condition", FACTS + SETTINGS + [
    "1", "0", "NULL", "pending_frames > 10 AND (readers = 0 OR NOT readers)",
    "CASE WHEN readers > 3 THEN pending_frames > 100 ELSE pending_frames > 1000 END",
    "coalesce(commit_rate, 0) < 5 -- slow", "/* all */ 1", "pending_frames BETWEEN 1 AND 5",
    "max(pending_frames, wal_frames) > 3", "abs(idle_ms) > 1e3", "iif(readers, 1, 0)", "PENDING_FRAMES > 1",
    "\"pending_frames\" > 1", "[pending_frames] > 1", "pending_frames IN (1, 2, 3)", "typeof(readers) = 'integer'",
])
def test_conditions_that_are_allowed(shared, condition):
    define(shared, rule(condition), name="allowed")
    assert one(shared, "SELECT condition FROM wal_strategies WHERE strategy='allowed'") == condition


@pytest.mark.parametrize("condition, words", [
    ("pending_frames >", "near"),
    ("pending_frames pending_frames", "near"),
    ("1)", "near"),
    ("(1", "incomplete input"),
    ("'open", "unrecognized token"),
    ("pages > 10", "no such column: pages"),
    ("t.pending_frames > 1", "no such column: t.pending_frames"),
    ('"yes"', "no such column: yes"),
    ("nosuch(1)", "no such function: nosuch"),
    ("(SELECT 1)", "subqueries are not allowed"),
    ("EXISTS (SELECT 1)", "subqueries are not allowed"),
    ("1 IN (SELECT 1)", "subqueries are not allowed"),
    ("(VALUES (1))", "subqueries are not allowed"),
    ("pending_frames > (SELECT count(*) FROM sqlite_schema)", "not allowed"),
    ("1 IN sqlite_schema", "not allowed"),
    ("random() > 0", "function random() is not allowed"),
    ("load_extension('x')", "function load_extension() is not allowed"),
    ("wal_set('checkpoint_frames', 1)", "no such function: wal_set"),
    ("count(*) > 1", "not allowed"),
    ("sum(pending_frames) OVER () > 1", "not allowed"),
    ("randomblob(1000000000)", "function randomblob() is not allowed"),
    ("zeroblob(1000000000)", "function zeroblob() is not allowed"),
    ("?1 > 1", "parameters are not allowed"),
    ("? > 1", "parameters are not allowed"),
    (":a > 1", "parameters are not allowed"),
    ("?18", "parameters are not allowed"),
    ("1); DROP TABLE t; SELECT (1", "not one expression"),
    ("1, 2", ""),
    ("1) FROM (SELECT 1", ""),
    ("x) FROM (SELECT 1 AS x", ""),
    ("1) FROM sqlite_schema; --", ""),
    ("1) UNION SELECT (2", ""),
    ("1) WHERE (1", ""),
    ("1) LIMIT (0", ""),
    ("1) GROUP BY (2", ""),
    ("1) AS (2", ""),
    ("1)), ((1", ""),
    ("1)) FROM (SELECT ((1", ""),
    ("1)) AS ((2", ""),
    (":pending_frames > 1", "parameters are not allowed"),
    ("*", ""),
    ("-- nothing", ""),
    (" ", ""),
    ("RAISE(ABORT, 'x')", ""),
])
def test_conditions_that_are_refused(shared, condition, words):
    assert words in condition_error(shared, condition)


def test_an_own_parameter_number_is_not_a_way_to_a_fact(shared):
    """Inside of walmanager's query ?3 is a fact. For the author of the condition it is a parameter."""
    for number in range(1, len(FACTS + SETTINGS) + 2):
        assert condition_error(shared, f"?{number} > 0") == "parameters are not allowed"


def test_the_longest_condition(db):
    longest = "1".ljust(1023)
    define(db, rule(longest))
    assert one(db, "SELECT condition FROM wal_strategies WHERE strategy='mine'") == longest
    assert refused(db, rule(longest + " ")) == \
        "wal_strategy_define: rule 'r': condition has 1024 bytes, allowed are 1 to 1023"


def test_a_condition_too_deep_for_the_engine_is_refused(db):
    message = refused(db, rule("(" * 500 + "1" + ")" * 500))
    assert message.startswith("wal_strategy_define: rule 'r': condition '(((")


def test_a_condition_that_is_null_does_not_hold(fast):
    use(fast, rule("NULL", "null", 1), rule("readers + NULL > 0", "sum", 2), rule("pending_frames >= 100", "real", 3))
    frames(fast, 200)
    assert fired(fast)["null"] == fired(fast)["sum"] == 0
    assert fired(fast)["real"] >= 1


def test_of_conditions_that_fail_when_they_are_evaluated_the_others_still_count(fast):
    overflow = "abs(-9223372036854775807 - (pending_frames > 0)) > 0"
    use(fast, rule(overflow, "fails", 1), rule("pending_frames >= 100", "real", 2), rule(overflow, "fails_too", 3))
    frames(fast, 200)
    assert fired(fast)["fails"] == fired(fast)["fails_too"] == 0
    assert fired(fast)["real"] >= 1


def test_bug_a_condition_that_failed_was_silent(fast, wal_path):
    use(fast, rule("abs(-9223372036854775807 - (pending_frames > 0)) > 0", "fails", 1), rule("pending_frames >= 100", "real", 2))
    assert metrics(fast)["strategy_error"] is None
    frames(fast, 200)
    said = "strategy 'mine': rule 'fails': condition 'abs(-9223372036854775807 - (pending_frames > 0)) > 0': " \
           "integer overflow; it does not hold then"
    assert metrics(fast)["strategy_error"] == said
    assert fast.execute("SELECT status, detail FROM system_health WHERE check_name = 'strategy'").fetchall() == [("warning", said)]
    # Another process sees it at once.
    assert python("from conftest import *\nimport sys\n"
                  "print(one(connect(sys.argv[1]), \"SELECT status || ' ' || detail FROM wal_alerts WHERE check_name = 'strategy' LIMIT 1\"))",
                  wal_path).strip() == "warning " + said
    use(fast, rule("pending_frames >= 100", "real", 2))
    frames(fast, 1)
    assert metrics(fast)["strategy_error"] is None


def test_comments_that_reach_from_one_condition_to_the_next_are_refused(db):
    assert refused(db, rule("1) /*", "a", 1), rule("*/, (1", "b", 2)) \
        .startswith("wal_strategy_define: rule 'a': condition '1) /*': ")


def test_an_unknown_fact_is_null(fast):
    """Before the first checkpoint the duration of the last one is not known."""
    use(fast, rule("last_checkpoint_ms IS NULL AND pending_frames >= 10", "first", 1),
        rule("last_checkpoint_ms >= 0 AND pending_frames >= 10", "later", 2))
    frames(fast, 200)
    assert fired(fast)["first"] == 1
    assert fired(fast)["later"] >= 1


def test_a_condition_that_is_text_does_not_hold(fast):
    use(fast, rule("'pending'"))
    frames(fast, 100)
    assert fired(fast) == {"r": 0}


# --- what fires

def test_the_first_rule_by_priority_decides(fast):
    use(fast, rule("pending_frames >= 10", "low", 30, "FULL"), rule("pending_frames >= 10", "high", 10),
        rule("pending_frames >= 10", "middle", 20, "RESTART"))
    frames(fast, 200)
    assert fired(fast)["high"] >= 2
    assert fired(fast)["middle"] == fired(fast)["low"] == 0
    assert {row[0] for row in fast.execute("SELECT rule FROM wal_checkpoints")} == {"high"}


def test_fired_and_last_fired_at(fast):
    look_often(fast)
    use(fast, rule("pending_frames >= 100"))
    assert fast.execute("SELECT fired, last_fired_at FROM wal_strategies WHERE strategy='mine'").fetchone() == (0, None)
    frames(fast, 450)
    row = metrics(fast)
    assert fired(fast) == {"r": row["checkpoints_inline"]} == {"r": 4}
    assert one(fast, "SELECT abs(julianday('now') - julianday(last_fired_at)) * 86400 < 60 "
                     "FROM wal_strategies WHERE strategy='mine'") == 1


@pytest.mark.parametrize("mode", ["FULL", "RESTART", "TRUNCATE"])
def test_blocking_modes_in_rules_run_in_the_committing_thread(fast, wal_path, mode):
    look_often(fast)
    use(fast, rule("pending_frames >= 100", mode=mode.lower()))
    frames(fast, 100)
    row = metrics(fast)
    assert (row["checkpoints_inline"], row[f"checkpoints_{mode.lower()}"]) == (1, 1)
    assert fast.execute("SELECT mode, origin, rule, result FROM wal_checkpoints").fetchall() == \
        [(mode, "inline", "r", "complete")]
    assert row["pending_frames"] == 0
    if mode == "TRUNCATE":
        assert wal_bytes(wal_path) == 0
    frames(fast, 1)
    assert metrics(fast)["wal_frames"] == 1  # the log started over
    assert one(fast, "PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("mode", ["FULL", "RESTART", "TRUNCATE"])
def test_a_commit_does_not_wait_for_a_cursor_of_its_own_connection(fast, mode):
    """The commit would wait for itself, for the whole budget."""
    look_often(fast)
    frames(fast, 1)
    fast.execute("INSERT INTO t(id) VALUES (2), (3)")
    use(fast, rule("pending_frames >= 10", mode=mode, stall_budget_ms=3000))
    cursor = fast.execute("SELECT id FROM t")
    cursor.fetchone()
    start = time.monotonic()
    frames(fast, 20)
    assert time.monotonic() - start < 1
    assert len(cursor.fetchall()) == 2
    frames(fast, 1)
    assert one(fast, "PRAGMA integrity_check") == "ok"


def test_the_stall_budget_is_the_most_that_a_commit_waits_for_readers(fast, wal_path):
    look_often(fast)
    frames(fast, 1)
    use(fast, rule("pending_frames >= 10", mode="FULL", stall_budget_ms=100))
    reader = snapshot(wal_path)
    start = time.monotonic()
    frames(fast, 10)
    assert 0.09 < time.monotonic() - start < 1
    assert fast.execute("SELECT mode, result FROM wal_checkpoints").fetchall()[-1] == ("FULL", "busy")
    reader.close()


def test_off_checkpoints_nothing(fast):
    assert one(fast, "SELECT wal_strategy('off')") == "off"
    frames(fast, 3000)
    row = metrics(fast)
    assert (row["checkpointer"], row["checkpoints"], row["pending_frames"], row["commits"]) == ("off", 0, 3000, 3000)


# What conversation_workload says of frames and of time, in the committing thread.
FRAMES = rule("pending_frames >= checkpoint_frames OR pending_bytes >= wal_limit_bytes", "frames", 20)
INTERVAL = rule("pending_frames > 0 AND since_checkpoint_ms >= checkpoint_interval_ms", "interval", 30)


@pytest.mark.parametrize("strategy", ["sqlite_default", "mine"])
def test_1000_frames_are_met_exactly(fast, strategy):
    define(fast, FRAMES, INTERVAL)
    assert one(fast, "SELECT wal_strategy(?)", strategy) == strategy
    frames(fast, 999)
    assert metrics(fast)["pending_frames"] == 999
    frames(fast, 1)
    row = metrics(fast)
    assert (row["wal_frames"], row["pending_frames"], row["checkpoints_inline"]) == (1000, 0, 1)
    frames(fast, 999)
    row = metrics(fast)
    assert (row["wal_frames"], row["pending_frames"], row["checkpoints_inline"]) == (999, 999, 1)
    frames(fast, 1)
    assert metrics(fast)["checkpoints_inline"] == 2


@pytest.mark.parametrize("strategy, name", [("sqlite_default", "autocheckpoint"), ("mine", "frames")])
@pytest.mark.parametrize("setting", [1, 2, 7, 63, 64, 65, 500])
def test_checkpoint_frames_is_met_exactly(fast, setting, strategy, name):
    define(fast, FRAMES)
    assert one(fast, "SELECT wal_strategy(?)", strategy) == strategy
    fast.execute("SELECT wal_set('checkpoint_frames', ?)", (setting,)).fetchall()
    frames(fast, 10 * setting if setting < 100 else setting)
    rows = fast.execute("SELECT DISTINCT rule, moved_frames FROM wal_checkpoints").fetchall()
    assert rows == [(name, setting)]


def test_wal_limit_bytes_wins_where_it_is_smaller(fast):
    use(fast, FRAMES)
    limit = 100 * (4096 + 24)
    fast.execute("SELECT wal_set('wal_limit_bytes', ?)", (limit,)).fetchall()
    frames(fast, 99)
    assert metrics(fast)["checkpoints"] == 0
    frames(fast, 1)
    assert fast.execute("SELECT rule, origin, moved_frames FROM wal_checkpoints").fetchall() == [("frames", "inline", 100)]


def test_the_thread_begins_at_half_of_a_limit_that_is_smaller(by_default):
    by_default.execute("SELECT wal_set('wal_limit_bytes', ?)", (200 * (4096 + 24),)).fetchall()
    frames(by_default, 99)
    time.sleep(0.1)
    assert metrics(by_default)["checkpoints"] == 0
    frames(by_default, 1)
    wait_for(lambda: metrics(by_default)["checkpoints"] > 0)
    assert by_default.execute("SELECT rule, origin, moved_frames FROM wal_checkpoints").fetchall() == \
        [("frames", "background", 100)]


def test_a_log_beyond_the_limit_is_looked_at_again_and_again(by_default, wal_path):
    """A reader kept the log from starting over; once it is gone, little is pending, and it goes on at once."""
    by_default.execute("SELECT wal_set('wal_limit_bytes', 65536)").fetchall()
    frames(by_default, 5)
    reader = snapshot(wal_path)
    frames(by_default, 300)
    reader.close()
    wait_for(lambda: frames(by_default, 1) or metrics(by_default)["wal_frames"] < 100)


@pytest.mark.parametrize("strategy, origin", [("conversation_workload", "background"), ("mine", "inline")])
def test_the_interval_rule(fast, strategy, origin):
    define(fast, FRAMES, INTERVAL)
    assert one(fast, "SELECT wal_strategy(?)", strategy) == strategy
    fast.execute("SELECT wal_set('sample_interval_ms', 10)").fetchall()
    fast.execute("SELECT wal_set('checkpoint_interval_ms', 100)").fetchall()
    log = "SELECT rule, origin, mode FROM wal_checkpoints ORDER BY id"
    first = wait_for(lambda: frames(fast, 1) or fast.execute(log).fetchall())[0]
    assert first == ("interval", origin, "PASSIVE")
    assert fired(fast, strategy)["interval"] >= 1
    assert metrics(fast)["wal_frames"] < 1000


# --- with the background thread

BACKGROUND = ["conversation_workload", "high_concurrency", "low_latency"]


def use_background(db, strategy):
    """The frames at which the strategy has the thread copy, met exactly."""
    assert one(db, "SELECT wal_strategy(?)", strategy) == strategy
    if strategy != "low_latency":
        return 1000
    look_often(db)
    return 4 * 16


@pytest.mark.parametrize("strategy", BACKGROUND)
def test_the_thread_copies_and_the_next_commits_start_the_log_over(fast, wal_path, strategy):
    """Nothing is copied before the threshold. Then all but a remainder is copied, which a commit finishes under the same rule."""
    threshold = use_background(fast, strategy)
    frames(fast, threshold - 1)
    time.sleep(0.05)
    assert metrics(fast)["checkpoints"] == 0
    frames(fast, 1)
    row = copied_in_background(fast)
    assert (row["checkpoints_background"], row["wal_resets"], row["checkpoint_frames"]) == (1, 0, threshold)
    assert row["pending_frames"] == 0
    assert fired(fast, strategy) == {"limit": 0, "frames": 1, "interval": 0}
    frames(fast, 1)
    row = metrics(fast)
    assert (row["wal_frames"], row["wal_resets"]) == (1, 1)
    assert wal_bytes(wal_path) == 32 + threshold * 4120
    assert fast.execute("SELECT mode, origin, rule, result, wal_frames, checkpointed_frames, moved_frames "
                        "FROM wal_checkpoints").fetchall() == \
        [("PASSIVE", "background", "frames", "complete", threshold, threshold, threshold)]
    assert one(fast, "PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("strategy", BACKGROUND)
def test_a_commit_finishes_what_the_thread_left(fast, wal_path, strategy):
    """A reader keeps the thread from copying the last frames. The first commits after the reader copy them inline."""
    threshold = use_background(fast, strategy)
    frames(fast, threshold - 10)
    reader = snapshot(wal_path)
    frames(fast, 10)
    row = copied_in_background(fast)
    assert (row["checkpointed_frames"], row["pending_frames"], row["wal_resets"]) == (threshold - 10, 10, 0)
    reader.close()
    frames(fast, 1)
    rows = fast.execute("SELECT origin, rule, result, moved_frames FROM wal_checkpoints ORDER BY id").fetchall()
    assert rows == [("background", "frames", "partial", threshold - 10), ("inline", "frames", "complete", 11)]
    row = metrics(fast)
    assert (row["checkpoints_inline"], row["pending_frames"], row["wal_frames"]) == (1, 0, threshold + 1)
    frames(fast, 1)
    assert metrics(fast)["wal_frames"] == 1


@pytest.mark.parametrize("strategy", BACKGROUND)
def test_the_log_is_bounded_under_a_busy_writer(fast, wal_path, strategy):
    """The commits have no pause and are faster than any disk. The limit holds however late the thread comes."""
    assert one(fast, "SELECT wal_strategy(?)", strategy) == strategy
    limit = 8 << 20
    fast.execute("SELECT wal_set('wal_limit_bytes', ?)", (limit,)).fetchall()
    frames(fast, 20_000)
    row = metrics(fast)
    assert row["wal_bytes_max"] < 1.25 * limit
    assert row["wal_resets"] >= 20_000 * 4120 // (1.25 * limit)
    assert (row["checkpoints_failed"], row["frames_written"]) == (0, 20_000)
    assert one(fast, "PRAGMA integrity_check") == "ok"


def test_a_rule_of_ones_own_may_run_in_the_background(fast):
    look_often(fast)
    use(fast, rule("pending_frames >= 100", runs="background"))
    frames(fast, 99)
    time.sleep(0.05)
    assert metrics(fast)["checkpoints"] == 0
    frames(fast, 1)
    row = copied_in_background(fast)
    assert (row["checkpoint_frames"], row["checkpoints_inline"]) == (100, 0)
    assert fired(fast) == {"r": 1}
    frames(fast, 1)
    assert metrics(fast)["wal_frames"] == 1


@pytest.mark.parametrize("change", ["strategy", "setting"])
def test_the_thread_follows_what_is_changed(by_default, change):
    frames(by_default, 1000)
    copied_in_background(by_default)
    frames(by_default, 1)
    if change == "strategy":
        one(by_default, "SELECT wal_strategy('off')")
    else:
        one(by_default, "SELECT wal_set('checkpoint_frames', 5000)")
    before = metrics(by_default)["checkpoints"]
    frames(by_default, 3000)
    time.sleep(0.1)
    row = metrics(by_default)
    assert (row["checkpoints"], row["pending_frames"]) == (before, 3001)
    if change == "strategy":
        one(by_default, "SELECT wal_strategy('conversation_workload')")
    else:
        one(by_default, "SELECT wal_set('checkpoint_frames', NULL)")
    frames(by_default, 1)
    copied_in_background(by_default, 2)
    assert started_over(by_default, 2)["wal_frames"] < 1000


# --- as SQLite does it


def test_sqlite_default_does_what_sqlite_does(tmp_path):
    """The log is the same after each commit, with and without the extension."""
    sizes = {}
    for load in (True, False):
        path = tmp_path / f"{load}.db"
        db = connect(path, **({} if load else {"load": None}))
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=OFF")
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
        if load:
            db.execute("SELECT wal_strategy('sqlite_default')").fetchall()
        sizes[load] = []
        for number in range(90):
            db.execute("BEGIN")
            write(db, 100 if number % 3 else 7, payload=1500)
            db.execute("COMMIT")
            sizes[load].append((wal_bytes(path), path.stat().st_size))
        db.close()
    assert sizes[True] == sizes[False]


def test_sqlite_default_tries_on_while_a_reader_pins_the_log(fast, wal_path):
    """SQLite's own checkpoint runs at every commit beyond the threshold, and copies as soon as the reader leaves."""
    fast.execute("SELECT wal_strategy('sqlite_default')").fetchall()
    frames(fast, 10)
    reader = snapshot(wal_path)
    frames(fast, 1500)
    assert metrics(fast)["checkpointed_frames"] == 10
    reader.close()
    wait_for(lambda: frames(fast, 1) or metrics(fast)["wal_frames"] < 1000)


def test_settings_in_conditions(fast):
    use(fast, rule("pending_frames >= checkpoint_frames / 10"))
    frames(fast, 99)
    assert fired(fast) == {"r": 0}
    fast.execute("SELECT wal_set('checkpoint_frames', 500)").fetchall()
    frames(fast, 100)
    assert fired(fast)["r"] >= 1


def test_readers_in_conditions(fast, wal_path):
    frames(fast, 2)
    use(fast, rule("readers > 0 AND oldest_reader_lag >= 50"))
    frames(fast, 200)
    assert fired(fast) == {"r": 0}
    reader = snapshot(wal_path)
    frames(fast, 200)
    assert fired(fast)["r"] >= 1
    reader.close()


def test_commits_in_conditions(fast):
    use(fast, rule("commits_since_checkpoint >= 150"))
    frames(fast, 149)
    assert fired(fast) == {"r": 0}
    frames(fast, 70)
    assert fired(fast) == {"r": 1}


def test_wal_bytes_and_page_size_in_conditions(fast, wal_path):
    use(fast, rule("wal_bytes >= 100 * (page_size + 24) + 32"))
    frames(fast, 99)
    assert fired(fast) == {"r": 0}
    frames(fast, 63)
    assert fired(fast)["r"] >= 1


def test_the_budget_of_a_built_in_rule_is_capped_by_the_setting(db):
    shown = "SELECT stall_budget_ms FROM wal_strategies WHERE strategy = 'conversation_workload' AND rule = 'limit'"
    assert one(db, shown) == 300.0
    db.execute("SELECT wal_set('stall_budget_ms', 5)").fetchall()
    assert one(db, shown) == 5.0
    db.execute("SELECT wal_set('stall_budget_ms', 500)").fetchall()
    assert one(db, shown) == 300.0
