"""wal_set, wal_config and wal_metrics_reset: ranges, the record of changes, and what a reset deletes."""

import json
import os
import time

import sqlite3

import pytest

from conftest import connect, inline, metrics, one
from helpers import columns, error, files_beside, frames, python, write

# name, default, least, most, unit
SETTINGS = [
    ("wal_limit_bytes", 64 * 1024 * 1024, 65536, 1024**4, "bytes"),
    ("checkpoint_frames", 1000, 1, 100_000_000, "frames"),
    ("checkpoint_interval_ms", 60_000, 100, 86_400_000, "ms"),
    ("stall_budget_ms", 300, 0, 10_000, "ms"),
    ("slow_query_ms", 100, 0, 3_600_000, "ms"),
    ("sample_interval_ms", 1000, 10, 3_600_000, "ms"),
    ("max_queries", 1000, 10, 1024, None),
    ("read_pool_size", 20, 0, 256, None),
    ("read_pool_timeout_ms", 30_000, 1, 3_600_000, "ms"),
    ("alert_interval_ms", 5000, 50, 3_600_000, "ms"),
    ("alert_samples", 3, 1, 100, None),
    ("reader_lease_ms", 0, 0, 86_400_000, "ms"),
    ("lock_wait_ms", 100, 0, 3_600_000, "ms"),
]
# The same of real numbers.
THRESHOLDS = [
    ("checkpoint_duration.warning", 200.0, 0, 3_600_000, "ms"),
    ("checkpoint_duration.critical", 1000.0, 0, 3_600_000, "ms"),
    ("query_latency.warning", 100.0, 0, 3_600_000, "ms"),
    ("query_latency.critical", 1000.0, 0, 3_600_000, "ms"),
]
# Of each check of system_health: unit, warning, critical.
CHECKS = {
    "cache_size": ("bytes", 262144, None), "wal_size": (None, 1.5, 4), "log_pinned": (None, 0.5, 2),
    "checkpoint_progress": ("s", 60, 600), "checkpoint_partial": (None, 20, None),
    "checkpoint_duration": ("ms", 200, 1000), "commit_latency": ("ms", 100, 1000), "commit_stalls": (None, 0.1, 0.5),
    "query_latency": ("ms", 100, 1000), "query_degradation": (None, 2, 5), "integrity": ("days", 30, None),
    "disk_free": ("MB", 1000, 100), "freelist": (None, 0.25, 0.75), "probe_read": ("ms", 100, 1000),
    "sync_latency": ("ms", 100, 1000), "io_errors": (None, 1, 10),
    "cache_hit_ratio": (None, 0.5, None), "idle_in_transaction": ("ms", 10_000, 60_000),
    "long_transaction": ("ms", 60_000, 600_000), "unfinished_statement": ("ms", 10_000, 60_000),
    "transactions_upgraded": (None, 100, None), "lock_waits": ("ms", 1000, 10_000), "busy_errors": (None, 10, 1000),
    "unmanaged_processes": (None, 1, None), "backup_age": ("h", 168, None),
}
OF_CHECKS = [(f"{check}.{status}", float(value), unit) for check, (unit, *values) in CHECKS.items()
             for status, value in zip(("warning", "critical"), values) if value is not None]
LOWER_IS_WORSE = {"cache_size", "disk_free", "cache_hit_ratio"}
CHOICES = {"replicator": ("auto", "always", "never")}  # the first is the default
SWITCHES = {"backpressure": "off", "statement_metrics": "on", "auto_optimize": "off", "lock_metrics": "on", "allow_cancel": "on"}
ORDER = ("wal_limit_bytes checkpoint_frames checkpoint_interval_ms stall_budget_ms backpressure slow_query_ms "
         "statement_metrics sample_interval_ms max_queries auto_optimize read_pool_size "
         "read_pool_timeout_ms alert_interval_ms alert_samples replicator reader_lease_ms lock_metrics lock_wait_ms allow_cancel").split()
ORDER += [name for name, *_ in OF_CHECKS]
NAMES = ORDER


def setting(db, name, schema="main"):
    return db.execute("SELECT value, changed_at, changed_by FROM wal_config WHERE name=? AND schema=?",
                      (name, schema)).fetchone()


# --- the table

def test_columns(db):
    assert columns(db, "wal_config") == [
        ("name", "TEXT"), ("value", "INTEGER"), ("default_value", "INTEGER"), ("unit", "TEXT"),
        ("description", "TEXT"), ("changed_at", "TEXT"), ("changed_by", "TEXT"), ("schema", "TEXT")]


def test_the_defaults(db):
    rows = db.execute("SELECT name, value, default_value, unit, changed_at, changed_by, schema FROM wal_config "
                      "WHERE name NOT LIKE 'learned.%'").fetchall()
    wanted = {name: (name, default, default, unit, None, None, "main") for name, default, _, _, unit in SETTINGS}
    wanted |= {name: (name, default, default, unit, None, None, "main") for name, default, unit in OF_CHECKS}
    wanted |= {name: (name, default, default, None, None, None, "main") for name, default in SWITCHES.items()}
    wanted |= {name: (name, words[0], words[0], None, None, None, "main") for name, words in CHOICES.items()}
    assert rows == [wanted[name] for name in ORDER]


@pytest.mark.parametrize("name, default", SWITCHES.items())
def test_a_switch_takes_on_and_off(db, name, default):
    for given, kept in (("on", "on"), ("off", "off"), (1, "on"), (0, "off"), ("ON", "on"), ("Off", "off"), ("1", "on"),
                        ("0", "off")):
        assert one(db, "SELECT wal_set(?, ?)", name, given) == kept
        assert one(db, "SELECT value FROM wal_config WHERE name = ?", name) == kept
    assert one(db, "SELECT wal_set(?, NULL)", name) == default
    for wrong, shown in (("maybe", "'maybe'"), (2, "2"), (0.5, "0.5"), (b"on", "a blob")):
        with pytest.raises(sqlite3.OperationalError) as error:
            db.execute("SELECT wal_set(?, ?)", (name, wrong)).fetchall()
        assert str(error.value) == f"wal_set: {name} {shown} is not 'on' or 'off'"
    assert one(db, "SELECT value FROM wal_config WHERE name = ?", name) == default


@pytest.mark.parametrize("name, words", CHOICES.items())
def test_a_choice_takes_its_words(db, name, words):
    for word in words:
        assert one(db, "SELECT wal_set(?, ?)", name, word) == word
        assert one(db, "SELECT value FROM wal_config WHERE name = ?", name) == word
        assert one(db, "SELECT wal_set(?, ?)", name, word.upper()) == word
    assert one(db, "SELECT wal_set(?, NULL)", name) == words[0]
    allowed = "'auto', 'always' or 'never'"
    for wrong, shown in (("on", "'on'"), (1, "1"), ("auto ", "'auto '")):
        assert error(db, "SELECT wal_set(?, ?)", name, wrong) == f"wal_set: {name} {shown} is not {allowed}"
    assert one(db, "SELECT description FROM wal_config WHERE name = ?", name).endswith(f"Allowed: {allowed}.")


def test_a_condition_reads_a_choice_as_text(db):
    rules = '[{"rule": "if_never", "priority": 1, "condition": "replicator = \'never\'", "mode": "passive"}]'
    one(db, "SELECT wal_strategy_define('mine', ?)", rules)
    one(db, "SELECT wal_strategy('mine')")
    db.execute("INSERT INTO t(payload) VALUES (1)")
    assert json.loads(one(db, "SELECT wal_checkpoint_auto()"))["rule"] is None
    one(db, "SELECT wal_set('replicator', 'never')")
    assert json.loads(one(db, "SELECT wal_checkpoint_auto()"))["rule"] == "if_never"


@pytest.mark.parametrize("name, default, least, most, unit", SETTINGS)
def test_the_description_states_the_range(db, name, default, least, most, unit):
    description = one(db, "SELECT description FROM wal_config WHERE name=?", name)
    assert description.endswith(f"Allowed: an integer from {least} to {most}.")


# --- wal_set

@pytest.mark.parametrize("name, default, least, most, unit", SETTINGS)
def test_the_ends_of_the_range(db, name, default, least, most, unit):
    for value in (least, most):
        assert one(db, "SELECT wal_set(?, ?)", name, value) == value
        assert setting(db, name)[0] == value
    for value in (least - 1, most + 1, 2**63 - 1, -2**63):
        assert error(db, "SELECT wal_set(?, ?)", name, value) == \
            f"wal_set: {name} {value} is not an integer from {least} to {most}"
    assert setting(db, name)[0] == most
    assert one(db, "SELECT wal_set(?, NULL)", name) == default
    assert setting(db, name) == (default, None, None)


@pytest.mark.parametrize("value, shown", [
    ("500 frames", "'500 frames'"), ("0", "'0'"), ("1.5", "'1.5'"), ("", "''"), ("many", "'many'"), (1.5, "1.5"), (b"\x01", "a blob"),
    (float("inf"), "inf"), (1e30, "1e+30"), ("x" * 100, "'" + "x" * 60 + "…'"),
])
def test_values_of_the_wrong_type(db, value, shown):
    assert error(db, "SELECT wal_set('checkpoint_frames', ?)", value) == \
        f"wal_set: checkpoint_frames {shown} is not an integer from 1 to 100000000"
    assert setting(db, "checkpoint_frames") == (1000, None, None)


def at_a_value(name, unit):
    least = "or less" if name.split(".")[0] in LOWER_IS_WORSE else "or more"
    return f"at this many {unit} {least}" if unit else f"at this value {least}"


def leave_room_beside(db, name, least, most):
    """Sets the other threshold of the check, if it has one, to the end of its range."""
    check, which = name.split(".")
    other = f"{check}.{'critical' if which == 'warning' else 'warning'}"
    if other in NAMES:
        one(db, "SELECT wal_set(?, ?)", other, most if (which == "warning") is (check not in LOWER_IS_WORSE) else least)


@pytest.mark.parametrize("name, default, least, most, unit", THRESHOLDS)
def test_a_threshold_is_a_real_number(db, name, default, least, most, unit):
    shown = "SELECT typeof(value), value, typeof(default_value), default_value FROM wal_config WHERE name=?"
    assert db.execute(shown, (name,)).fetchone() == ("real", default, "real", default)
    leave_room_beside(db, name, least, most)
    for value in (least, most, 0.125, 1e-9, 50, 0.1 + 0.2):
        assert db.execute("SELECT typeof(s), s FROM (SELECT wal_set(?, ?) AS s)", (name, value)).fetchone() == \
            ("real", float(value))
        assert db.execute(shown, (name,)).fetchone() == ("real", float(value), "real", default)
    for wrong, said in ((-0.001, "-0.001"), (-1, "-1"), (most + 0.5, f"{most}.5"), (float("inf"), "inf"),
                        (-2**63, str(-2**63)), ("-1", "'-1'"), ("on", "'on'"), (b"1", "a blob")):
        assert error(db, "SELECT wal_set(?, ?)", name, wrong) == \
            f"wal_set: {name} {said} is not a number from {least} to {most}"
    assert setting(db, name)[0] == 0.1 + 0.2
    assert one(db, "SELECT wal_set(?, NULL)", name) == default
    assert setting(db, name) == (default, None, None)
    description, measured = db.execute("SELECT description, unit FROM wal_config WHERE name=?", (name,)).fetchone()
    status = name.split(".")[1]
    assert description.endswith(
        f"; system_health reports {status} {at_a_value(name, unit)}. Allowed: a number from {least} to {most}.")
    assert measured == unit


def test_each_threshold_says_its_unit_and_direction(db):
    for name, _, unit in OF_CHECKS:
        assert f"; system_health reports {name.split('.')[1]} {at_a_value(name, unit)}." in \
            one(db, "SELECT about FROM wal_help WHERE name = ?", name), name
    write(db, 1)
    for name in (name for name, *_ in OF_CHECKS if name.endswith(".warning")):
        warning, critical = db.execute("SELECT warning_at, critical_at FROM system_health WHERE check_name = ?",
                                       (name.split(".")[0],)).fetchone()
        assert critical is None or (critical < warning) is (name.split(".")[0] in LOWER_IS_WORSE), name


@pytest.mark.parametrize("name, value, allowed", [
    ("query_latency.critical", 99, "100.0 or more, which is query_latency.warning now; set query_latency.warning first to move both"),
    ("query_latency.warning", 1000.5, "1000.0 or less, which is query_latency.critical now; set query_latency.critical first to move both"),
    ("disk_free.critical", 1001, "1000.0 or less, which is disk_free.warning now; set disk_free.warning first to move both"),
    ("disk_free.warning", 99.5, "100.0 or more, which is disk_free.critical now; set disk_free.critical first to move both"),
])
def test_bug_the_critical_threshold_could_be_reached_before_the_warning(db, name, value, allowed):
    assert error(db, "SELECT wal_set(?, ?)", name, value) == f"wal_set: {name} {value} is not {allowed}"
    assert setting(db, name)[1] is None


def test_thresholds_are_compared_with_those_in_force(db):
    for name, value in (("query_latency.critical", 5000), ("query_latency.warning", 5000), ("query_latency.warning", 7),
                        ("query_latency.critical", 8), ("disk_free.critical", 0), ("disk_free.warning", 0)):
        assert one(db, "SELECT wal_set(?, ?)", name, value) == value
    assert "is not 8.0 or less" in error(db, "SELECT wal_set('query_latency.warning', 9)")
    # Back to the defaults, in any order.
    for name in ("query_latency.warning", "query_latency.critical"):
        assert one(db, "SELECT wal_set(?, NULL)", name) == setting(db, name)[0]


def test_another_process_reads_the_same_real_number(db, wal_path):
    one(db, "SELECT wal_set('query_latency.warning', 0.1)")
    assert python("""
import sys
from conftest import *
print(repr(one(connect(sys.argv[1]), "SELECT value FROM wal_config WHERE name='query_latency.warning'")))
""", wal_path).strip() == "0.1"


def test_a_condition_cannot_name_a_threshold(db):
    rules = '[{"rule":"r","priority":1,"condition":"query_latency.warning > 1"}]'
    message = error(db, "SELECT wal_strategy_define('x', ?)", rules)
    assert "no such column: query_latency.warning" in message
    assert message.endswith("alert_interval_ms, alert_samples, replicator, reader_lease_ms, lock_metrics, lock_wait_ms, allow_cancel")


def test_a_whole_real_is_an_integer(db):
    assert one(db, "SELECT wal_set('checkpoint_frames', 500.0)") == 500
    assert one(db, "SELECT typeof(value) FROM wal_config WHERE name='checkpoint_frames'") == "integer"


@pytest.mark.parametrize("text", ["500", "500.0", "5e2"])
def test_text_that_is_exactly_a_number_is_that_number(db, text):
    """As in a column with numeric affinity."""
    assert db.execute("SELECT typeof(s), s FROM (SELECT wal_set('checkpoint_frames', ?) AS s)", (text,)).fetchone() == \
        ("integer", 500)
    assert db.execute("SELECT typeof(s), s FROM (SELECT wal_set('query_latency.warning', ?) AS s)", (text,)).fetchone() == \
        ("real", 500.0)


@pytest.mark.parametrize("name", ["Checkpoint_Frames", "CHECKPOINT_FRAMES"])
def test_names_of_settings_are_known_in_any_case(db, name):
    assert one(db, "SELECT wal_set(?, 500)", name) == 500
    assert setting(db, "checkpoint_frames")[0] == 500
    assert one(db, "SELECT wal_set(upper('query_latency.warning'), 7)") == 7.0
    assert setting(db, "query_latency.warning")[0] == 7.0


@pytest.mark.parametrize("name, shown", [("nope", "'nope'"), ("", "''"), ("checkpoint_frames ", "'checkpoint_frames '")])
def test_an_unknown_name_is_refused_with_the_names(db, name, shown):
    assert error(db, "SELECT wal_set(?, 1)", name) == f"wal_set: name {shown} is not one of " + \
        ", ".join(NAMES[:-len(OF_CHECKS)]) + ", or a threshold of wal_config such as cache_size.warning"


@pytest.mark.parametrize("sql, message", [
    ("SELECT wal_set(NULL, 1)", "wal_set: name NULL is not text"),
    ("SELECT wal_set(1, 1)", "wal_set: name 1 is not text"),
    ("SELECT wal_set('checkpoint_frames', 5, 'nope')", "wal_set: schema 'nope' is not one of main"),
    ("SELECT wal_set('checkpoint_frames', 5, NULL)", "wal_set: schema NULL is not text"),
    ("SELECT wal_set('checkpoint_frames', 5, 'temp')", "wal_set: schema 'temp' is not one of main"),
])
def test_wrong_arguments(db, sql, message):
    assert error(db, sql) == message
    assert setting(db, "checkpoint_frames")[0] == 1000


def test_the_process_and_the_time_of_a_change(db):
    one(db, "SELECT wal_set('checkpoint_frames', 500)")
    value, changed_at, changed_by = setting(db, "checkpoint_frames")
    assert value == 500
    with open("/proc/self/comm") as comm:
        assert changed_by == f"{comm.read().strip()} (pid {os.getpid()})"
    assert one(db, "SELECT abs(julianday('now') - julianday(?)) * 86400 < 60", changed_at) == 1
    assert one(db, "SELECT strftime('%Y-%m-%d %H:%M:%f', ?)", changed_at) == changed_at
    assert setting(db, "wal_limit_bytes")[1:] == (None, None)


def test_two_connections_see_the_same_setting(db, wal_path):
    other = connect(wal_path)
    one(db, "SELECT wal_set('checkpoint_frames', 500)")
    assert setting(other, "checkpoint_frames") == setting(db, "checkpoint_frames")
    one(other, "SELECT wal_set('checkpoint_frames', 600)")
    assert setting(db, "checkpoint_frames")[0] == 600
    other.close()


def test_another_process_sees_it_and_changes_it(db, wal_path):
    inline(db)
    one(db, "SELECT wal_set('checkpoint_frames', 500)")
    seen, pid = python("""
import os, sys
from conftest import *
db = connect(sys.argv[1])
print(one(db, "SELECT value FROM wal_config WHERE name='checkpoint_frames'"), os.getpid())
one(db, "SELECT wal_set('checkpoint_frames', 20)")
""", wal_path).split()
    assert seen == "500"
    value, _, changed_by = setting(db, "checkpoint_frames")
    assert (value, changed_by.endswith(f"(pid {pid})")) == (20, True)
    db.execute("PRAGMA synchronous=OFF")
    frames(db, 100)
    assert metrics(db)["checkpoints_inline"] == 5  # and it is in force


def test_a_setting_outlives_its_connection(wal_path):
    db = connect(wal_path)
    one(db, "SELECT wal_set('checkpoint_frames', 500)")
    kept = setting(db, "checkpoint_frames")
    db.close()
    db = connect(wal_path)
    assert setting(db, "checkpoint_frames") == kept
    db.close()


def test_an_attached_database_has_settings_of_its_own(db, tmp_path):
    db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    db.execute("PRAGMA other.journal_mode=WAL")
    assert one(db, "SELECT wal_set('checkpoint_frames', 77, 'other')") == 77
    assert setting(db, "checkpoint_frames", "other")[0] == 77
    assert setting(db, "checkpoint_frames", "main") == (1000, None, None)
    assert error(db, "SELECT wal_set('checkpoint_frames', 5, 'nope')") == \
        "wal_set: schema 'nope' is not one of main, other"
    assert one(db, "SELECT count(*) FROM wal_config WHERE name NOT LIKE 'learned.%'") == 2 * len(ORDER)


def test_a_setting_makes_the_control_file(db, wal_path):
    assert "-walmanager" not in files_beside(wal_path)
    one(db, "SELECT wal_set('checkpoint_frames', 500)")
    assert "-walmanager" in files_beside(wal_path)


def test_a_rollback_database_keeps_settings_in_memory(tmp_path):
    db = connect(tmp_path / "rollback.db")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    assert one(db, "SELECT wal_set('checkpoint_frames', 50)") == 50
    assert setting(db, "checkpoint_frames")[0] == 50
    assert files_beside(tmp_path / "rollback.db") == {""}
    # They go along when the database becomes WAL.
    db.execute("PRAGMA journal_mode=WAL")
    frames(db, 1)
    assert setting(db, "checkpoint_frames")[0] == 50
    assert metrics(db)["statistics_file"] is not None
    db.close()


def test_an_in_memory_database_has_no_settings():
    db = connect(":memory:")
    assert db.execute("SELECT * FROM wal_config").fetchall() == []
    assert error(db, "SELECT wal_set('checkpoint_frames', 5)") == \
        "wal_set: schema 'main' has no file: settings and statistics belong to one"
    db.close()


def test_it_works_inside_a_transaction_and_is_not_rolled_back(db):
    db.execute("BEGIN IMMEDIATE")
    assert one(db, "SELECT wal_set('checkpoint_frames', 500)") == 500
    db.execute("ROLLBACK")
    assert setting(db, "checkpoint_frames")[0] == 500


def test_it_does_not_take_the_write_lock(db, wal_path):
    writer = connect(wal_path, load=None)
    writer.execute("BEGIN IMMEDIATE")
    assert one(db, "SELECT wal_set('checkpoint_frames', 500)") == 500
    writer.execute("ROLLBACK")
    writer.close()


# --- wal_metrics_reset

@pytest.fixture
def used(db):
    db.execute("PRAGMA synchronous=OFF")
    inline(db)
    one(db, "SELECT wal_set('checkpoint_frames', 100)")
    for _ in range(50):
        frames(db, 350)
        row = metrics(db)
        if (row["commits"], row["checkpoints"], row["wal_frames"]) == (350, 3, 50):
            return db
        # The thread was at work just then, on a busy machine for long: those commits went on without a look.
        one(db, "SELECT wal_checkpoint('TRUNCATE')")
        one(db, "SELECT wal_metrics_reset()")
    pytest.fail("no 350 commits in a row found the thread at rest")


@pytest.mark.parametrize("call", ["wal_metrics_reset('wal')", "wal_metrics_reset('all')", "wal_metrics_reset()",
                                  "wal_metrics_reset('wal', 'main')"])
def test_reset_forgets_statistics_and_keeps_settings(used, call):
    before = metrics(used)["statistics_since"]
    time.sleep(0.002)  # the next millisecond
    forgotten = one(used, f"SELECT {call}")
    assert forgotten == 3 if "'wal'" in call else forgotten > 3  # statements and a connection, too
    row = metrics(used)
    for name in ("commits", "frames_written", "bytes_written", "checkpoints", "checkpoints_inline",
                 "checkpoint_frames", "checkpoint_stall_ms", "wal_resets"):
        assert row[name] == 0, name
    for name in ("commit_mean_ms", "commit_p50_ms", "commit_max_ms", "checkpoint_mean_ms", "last_checkpoint_at",
                 "last_checkpoint_mode"):
        assert row[name] is None, name
    assert row["statistics_since"] > before
    assert row["wal_frames"] == 50  # the log itself is what it is
    assert used.execute("SELECT * FROM wal_checkpoints").fetchall() == []
    assert setting(used, "checkpoint_frames")[0] == 100
    again = one(used, f"SELECT {call}")
    assert again == 0 if "'wal'" in call else again > 0
    frames(used, 200)
    row = metrics(used)
    assert (row["commits"], row["frames_written"]) == (200, 200)
    assert row["checkpoints"] <= 2


@pytest.mark.parametrize("what, least", [("queries", 3), ("Queries", 3), ("connections", 1), ("history", 0), ("alerts", 0)])
def test_reset_of_something_else_keeps_the_log_statistics(used, what, least):
    assert one(used, "SELECT wal_metrics_reset(?)", what) >= least
    assert (metrics(used)["commits"], metrics(used)["checkpoints"]) == (350, 3)


def test_reset_is_for_all_connections(used, wal_path):
    other = connect(wal_path)
    frames(other, 5)
    one(other, "SELECT wal_metrics_reset()")
    assert metrics(used)["commits"] == 0
    frames(used, 2)
    frames(other, 3)
    assert metrics(used)["commits"] == metrics(other)["commits"] == 5
    other.close()


def test_reset_of_one_schema_keeps_the_other(used, tmp_path):
    used.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    used.execute("PRAGMA other.journal_mode=WAL")
    used.execute("CREATE TABLE other.u(a)")
    one(used, "SELECT wal_metrics_reset('all', 'other')")
    assert (metrics(used)["commits"], metrics(used, "other")["commits"]) == (350, 0)


@pytest.mark.parametrize("argument, shown", [("'logs'", "'logs'"), ("'WAL '", "'WAL '"), ("''", "''")])
def test_reset_of_an_unknown_kind_is_refused(used, argument, shown):
    assert error(used, f"SELECT wal_metrics_reset({argument})") == \
        f"wal_metrics_reset: what {shown} is not one of queries, wal, connections, history, alerts, all"
    assert metrics(used)["commits"] == 350


@pytest.mark.parametrize("argument, shown", [("NULL", "NULL"), ("1", "1"), ("x'616c6c'", "a blob")])
def test_reset_of_what_is_no_text_is_refused(used, argument, shown):
    assert error(used, f"SELECT wal_metrics_reset({argument})") == f"wal_metrics_reset: what {shown} is not text"
    assert metrics(used)["commits"] == 350
