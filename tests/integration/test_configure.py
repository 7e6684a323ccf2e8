"""wal_configure sets a profile completely or not at all."""

import json
import sqlite3
import subprocess
import sys

import pytest

from conftest import connect, metrics, one

PROFILES = {
    "conversation": ("normal", -65536, 536870912, "memory", 5000, 67108864, 1000),
    "high_concurrency": ("normal", -16384, 1073741824, "memory", 10000, 134217728, 4000),
    "low_latency": ("normal", -131072, 1073741824, "memory", 1000, 67108864, 1000),
    "durable": ("full", -32768, 0, "default", 10000, 67108864, 1000),
    "embedded": ("normal", -2048, 0, "file", 5000, 4194304, 256),
    "web": ("normal", -20480, 268435456, "memory", 5000, 67108864, 1000),
}
SYNCHRONOUS = {1: "normal", 2: "full"}
TEMP_STORE = {0: "default", 1: "file", 2: "memory"}
PRAGMAS = (
    "journal_mode synchronous cache_size mmap_size temp_store foreign_keys journal_size_limit "
    "busy_timeout"
).split()


def pragmas(db):
    return {name: one(db, f"PRAGMA {name}") for name in PRAGMAS}


def settings(db):
    return db.execute("SELECT name, value, changed_at, changed_by FROM wal_config").fetchall()


@pytest.fixture
def rollback_db(tmp_path):
    db = connect(tmp_path / "plain.db")
    db.execute("CREATE TABLE t(a)")
    yield db
    db.close()


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_sets_what_it_says(rollback_db, profile):
    synchronous, cache, mmap, temp_store, timeout, limit, frames = PROFILES[profile]
    before = pragmas(rollback_db)
    report = json.loads(one(rollback_db, "SELECT wal_configure(?)", profile))
    after = pragmas(rollback_db)
    assert report["profile"] == profile
    assert after["journal_mode"] == "wal"
    assert SYNCHRONOUS[after["synchronous"]] == synchronous
    assert after["cache_size"] == cache
    assert after["mmap_size"] == mmap
    assert TEMP_STORE[after["temp_store"]] == temp_store
    assert after["foreign_keys"] == 1
    assert after["journal_size_limit"] == limit
    assert after["busy_timeout"] == timeout
    config = {row[0]: row[1] for row in settings(rollback_db)}
    assert (config["wal_limit_bytes"], config["checkpoint_frames"]) == (limit, frames)
    assert report["settings"]["journal_mode"] == {"before": "delete", "after": "wal"}
    assert report["settings"]["cache_size"] == {"before": before["cache_size"], "after": cache}
    assert report["settings"]["foreign_keys"] == {"before": False, "after": True}
    assert report["settings"]["strategy"]["after"] == \
        (profile if profile in ("high_concurrency", "low_latency") else "conversation_workload")
    assert list(report["settings"]) == PRAGMAS + ["wal_limit_bytes", "checkpoint_frames", "strategy"]


def test_overrides_win(rollback_db):
    overrides = {"cache_size": -4000, "foreign_keys": False, "synchronous": "EXTRA",
                 "checkpoint_frames": 77, "strategy": "sqlite_default"}
    one(rollback_db, "SELECT wal_configure('web', ?)", json.dumps(overrides))
    after = pragmas(rollback_db)
    assert (after["cache_size"], after["foreign_keys"], after["synchronous"]) == (-4000, 0, 3)
    assert metrics(rollback_db)["strategy"] == "sqlite_default"
    assert dict((r[0], r[1]) for r in settings(rollback_db))["checkpoint_frames"] == 77


@pytest.mark.parametrize(
    "call, message",
    [
        ("wal_configure('webb')", "wal_configure: profile 'webb' is not one of conversation, "
         "high_concurrency, low_latency, durable, embedded, web"),
        ("wal_configure(NULL)", "wal_configure: profile NULL is not one of "),
        ("wal_configure('web', 'x')", "wal_configure: overrides_json is not a JSON object of settings: no JSON value at byte 1"),
        ("wal_configure('web', '[]')", "wal_configure: overrides_json is not a JSON object of settings"),
        ("wal_configure('web', '{\"x\":1}')", "wal_configure: override 'x' is not one of journal_mode, "),
        ("wal_configure('web', '{\"synchronous\":\"most\"}')",
         """wal_configure: override synchronous "most" is not one of off, normal, full, extra"""),
        ("wal_configure('web', '{\"cache_size\":\"big\"}')",
         """wal_configure: override cache_size "big" is not an integer from -2147483647 to 2147483647"""),
        ("wal_configure('web', '{\"cache_size\":\"5\"}')",
         """wal_configure: override cache_size "5" is not an integer from -2147483647 to 2147483647"""),
        ("wal_configure('web', '{\"busy_timeout\":-5}')",
         "wal_configure: override busy_timeout -5 is not an integer from 0 to 2147483647"),
        ("wal_configure('web', '{\"journal_mode\":\"delete\"}')",
         """wal_configure: override journal_mode "delete" is not one of wal"""),
        ("wal_configure('web', '{\"checkpoint_frames\":0}')",
         "wal_configure: override checkpoint_frames 0 is not an integer from 1 to 100000000"),
        ("wal_configure('web', NULL, 'nope')", "wal_configure: schema 'nope' is not one of main"),
    ],
)
def test_bad_input_changes_nothing(rollback_db, call, message):
    before = (pragmas(rollback_db), settings(rollback_db))
    with pytest.raises(sqlite3.OperationalError) as error:
        rollback_db.execute("SELECT " + call)
    assert str(error.value).startswith(message)
    assert (pragmas(rollback_db), settings(rollback_db)) == before


def test_names_are_known_in_any_case(rollback_db):
    one(rollback_db, "SELECT wal_configure('WEB', ?)", json.dumps({"Cache_Size": -4000, "Strategy": "Low_Latency"}))
    assert pragmas(rollback_db)["cache_size"] == -4000
    assert metrics(rollback_db)["strategy"] == "low_latency"


def test_a_strategy_that_is_not_there_changes_nothing(rollback_db, tmp_path):
    before = (pragmas(rollback_db), settings(rollback_db))
    with pytest.raises(sqlite3.OperationalError) as error:
        rollback_db.execute("SELECT wal_configure('embedded', '{\"strategy\":\"nope\"}')")
    assert str(error.value) == (
        "wal_configure: strategy 'nope' is not one of conversation_workload, high_concurrency, low_latency, off, "
        "sqlite_default")
    assert (pragmas(rollback_db), settings(rollback_db)) == before
    assert not (tmp_path / "plain.db-walmanager").exists()


def test_everything_is_put_back_if_a_late_setting_fails(rollback_db, tmp_path):
    """Another process holds the lock on the settings: the ninth setting fails, eight are put back."""
    one(rollback_db, "SELECT wal_configure('web')")
    one(rollback_db, "SELECT wal_set('checkpoint_frames', 777)")
    before = (pragmas(rollback_db), settings(rollback_db))
    holder = subprocess.Popen(
        [sys.executable, "-c",
         "import fcntl, sys\n"
         "file = open(sys.argv[1], 'r+b')\n"
         "fcntl.lockf(file, fcntl.LOCK_EX, 1, (1 << 40) + 2)\n"
         "print('held', flush=True)\n"
         "sys.stdin.read()", str(tmp_path / "plain.db-walmanager")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(sqlite3.OperationalError) as error:
        rollback_db.execute("SELECT wal_configure('embedded')")
    holder.communicate()
    assert str(error.value).startswith("wal_configure: wal_limit_bytes '4194304' could not be set: ")
    assert (pragmas(rollback_db), settings(rollback_db)) == before


def test_everything_is_put_back_if_wal_cannot_be_had(tmp_path):
    path = tmp_path / "plain.db"
    db = connect(path, timeout=0)
    db.execute("CREATE TABLE t(a)")
    other = sqlite3.connect(str(path), isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM t").fetchall()
    before = pragmas(db)
    with pytest.raises(sqlite3.OperationalError) as error:
        db.execute("SELECT wal_configure('web')")
    assert str(error.value) == (
        "wal_configure: journal_mode 'wal' could not be set: database is locked")
    assert pragmas(db) == before
    other.close()
    db.close()


def test_refused_inside_a_transaction(rollback_db):
    rollback_db.execute("BEGIN")
    before = pragmas(rollback_db)
    with pytest.raises(sqlite3.OperationalError) as error:
        rollback_db.execute("SELECT wal_configure('web')")
    assert str(error.value) == (
        "wal_configure: a transaction is open on this connection: end it first")
    assert pragmas(rollback_db) == before


def test_refused_in_memory_and_read_only(tmp_path, rollback_db):
    memory = connect(":memory:")
    with pytest.raises(sqlite3.OperationalError, match="schema 'main' has no file"):
        memory.execute("SELECT wal_configure('web')")
    memory.close()
    readonly = connect(f"file:{tmp_path}/plain.db?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as error:
        readonly.execute("SELECT wal_configure('web')")
    assert str(error.value) == "wal_configure: schema 'main' is read-only on this connection"
    readonly.close()


def test_temporary_tables_are_kept(rollback_db):
    rollback_db.execute("CREATE TEMP TABLE mine AS SELECT 42 AS a")
    report = json.loads(one(rollback_db, "SELECT wal_configure('web')"))
    assert report["settings"]["temp_store"] == {
        "before": "default", "after": "default",
        "skipped": "this connection has temporary tables, which it would lose"}
    assert one(rollback_db, "SELECT a FROM mine") == 42


def test_an_attached_database_is_configured_alone(tmp_path, rollback_db):
    rollback_db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    rollback_db.execute("CREATE TABLE other.t(a)")
    one(rollback_db, "SELECT wal_configure('embedded', NULL, 'other')")
    assert one(rollback_db, "PRAGMA other.journal_mode") == "wal"
    assert one(rollback_db, "PRAGMA main.journal_mode") == "delete"
    assert metrics(rollback_db, "other")["wal_limit_bytes"] == 4194304
    assert metrics(rollback_db, "main")["wal_limit_bytes"] == 67108864


def test_settings_reach_other_connections_and_last(rollback_db, tmp_path):
    one(rollback_db, "SELECT wal_configure('embedded')")
    other = connect(tmp_path / "plain.db")
    assert metrics(other)["wal_limit_bytes"] == 4194304
    other.close()
    rollback_db.execute("INSERT INTO t VALUES (1)")
    again = connect(tmp_path / "plain.db")
    assert metrics(again)["wal_limit_bytes"] == 4194304
    again.close()
