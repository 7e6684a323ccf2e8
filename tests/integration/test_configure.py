"""wal_configure sets a profile completely or not at all."""

import json
import os
import sqlite3
import subprocess
import sys
import time

import pytest

from conftest import BUILD, connect, metrics, one
from waiting import wait_for

# What each sets; mmap_size only where mapping pays.
PROFILES = {
    "conversation": ("normal", -65536, 536870912, "memory", 5000, 67108864, 1000),
    "high_concurrency": ("normal", -16384, 1073741824, "memory", 10000, 134217728, 4000),
    "low_latency": ("normal", -131072, 1073741824, "memory", 1000, 67108864, 1000),
    "durable": ("full", -32768, 0, "default", 10000, 67108864, 1000),
    "embedded": ("normal", -2048, 0, "file", 5000, 16777216, 1000),
    "web": ("normal", -2000, 268435456, "memory", 5000, 67108864, 1000),
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
    assert after["mmap_size"] == 0
    assert report["settings"]["mmap_size"] == ({"before": 0, "after": 0} if mmap == 0 else {
        "before": 0, "after": 0,
        "because": "what a mapped page costs was not measured: the database file has fewer than 81 pages"})
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


# Configures a database of about 1000 pages as a profile says, and prints the report and PRAGMA mmap_size.
CONFIGURE = """
import ctypes, json, sqlite3, sys
path, extension, profile, overrides = sys.argv[1:5]
slowed = ctypes.CDLL(None).slowed_calls
before = slowed()
db = sqlite3.connect(path, isolation_level=None)
db.enable_load_extension(True)
db.load_extension(extension)
cursor = db.execute("SELECT * FROM t") if "busy" in sys.argv else None
if cursor:
    cursor.fetchone()
report = db.execute("SELECT wal_configure(?, ?)", (profile, overrides)).fetchone()[0]
slow_calls = slowed() - before
learned = dict(db.execute("SELECT name, value FROM wal_config WHERE name LIKE 'learned.%page_us'").fetchall())
if cursor:
    cursor.close()
size = db.execute("PRAGMA mmap_size").fetchone()[0]
rows = db.execute("SELECT count(*), sum(length(a)) FROM t").fetchone()
print(json.dumps([json.loads(report)["settings"]["mmap_size"], size, learned, rows, slow_calls]))
"""


@pytest.fixture
def configured(tmp_path):
    """Configures a database on a machine where reads or mappings take so much longer (slow_pages.cc)."""
    path = tmp_path / "large.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(a)")
    db.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,) for _ in range(1000)])
    db.commit()
    db.close()

    def configure(profile, overrides="{}", *more, **slow):
        env = {"LD_PRELOAD": str(BUILD / "tests" / "libslow_pages.so"), **{name: str(us) for name, us in slow.items()}}
        done = subprocess.run([sys.executable, "-c", CONFIGURE, str(path), str(BUILD / "walmanager"), profile, overrides, *more],
                              capture_output=True, text=True, timeout=60, env=dict(os.environ, **env))
        assert done.returncode == 0, done.stderr
        report, size, learned, rows, slow_calls = json.loads(done.stdout)
        assert rows == [1000, 3_000_000]
        # A mapping of a database that is not to be mapped is no call at all.
        assert (slow_calls > 0) == bool(slow) or "mmap_size" in overrides
        assert report["after"] == size
        return report, learned

    return configure


def test_mmap_size_is_set_where_a_mapped_page_costs_no_more_than_one_that_is_read(configured):
    report, learned = configured("web", SLOW_READ_US=15)
    assert report["because"] == "a mapped page costs no more than one that is read"
    assert report["after"] == 268435456
    assert report["read_page_us"] >= 15
    assert report["mapped_page_us"] <= report["read_page_us"]
    assert learned == {"learned.read_page_us": pytest.approx(report["read_page_us"], abs=0.01),
                       "learned.mapped_page_us": pytest.approx(report["mapped_page_us"], abs=0.01)}


def test_mmap_size_stays_0_where_a_mapped_page_costs_more(configured):
    report, learned = configured("conversation", SLOW_MAP_US=1600)
    assert report["because"] == "a mapped page costs more than one that is read"
    assert report["after"] == 0
    assert report["mapped_page_us"] >= 100  # its share of the mapping alone
    assert report["mapped_page_us"] > report["read_page_us"] > 0
    assert learned["learned.mapped_page_us"] > learned["learned.read_page_us"]


def test_mmap_size_stays_0_where_the_database_is_not_in_the_systems_cache(configured):
    report, learned = configured("conversation", SLOW_READ_US=1000)
    assert report == {"before": 0, "after": 0, "because":
                      "what a mapped page costs was not measured: the database is not in the system's cache"}
    assert learned == {"learned.read_page_us": None, "learned.mapped_page_us": None}


def test_a_few_reads_that_lost_the_processor_are_no_disk(configured):
    report, _ = configured("web", SLOW_READ_US=25000, SLOW_EVERY=40)
    assert 0 < report["read_page_us"] < 1000


def test_mmap_size_stays_0_while_a_statement_reads(configured):
    """Nothing is mapped and unmapped under a cursor."""
    report, _ = configured("web", '{"temp_store": "default"}', "busy")
    assert report == {"before": 0, "after": 0, "because":
                      "what a mapped page costs was not measured: a statement of this connection is reading the database"}


def test_bug_the_programs_authorizer_was_asked_about_statements_of_the_measurement(configured, tmp_path):
    def asked_of(overrides, answer):
        db, asked = connect(tmp_path / "large.db"), set()
        db.execute("SELECT count(*) FROM t").fetchall()
        db.set_authorizer(lambda action, first, second, *_: asked.add((action, first, second)) or answer(action))
        report = json.loads(one(db, "SELECT wal_configure('web', ?)", overrides))
        db.set_authorizer(None)
        db.close()
        return report["settings"]["mmap_size"], {each for each in asked if each[1] != "mmap_size"}

    _, without = asked_of('{"mmap_size": 0}', lambda action: sqlite3.SQLITE_OK)
    report, asked = asked_of("{}", lambda action: sqlite3.SQLITE_OK)
    assert report["read_page_us"] > 0
    assert asked == without
    report, _ = asked_of("{}", lambda action: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_READ else sqlite3.SQLITE_OK)
    assert report["read_page_us"] > 0


def test_bug_a_page_cache_that_connections_share_was_measured(configured, tmp_path):
    """The other connection may be in another thread."""
    address = f"file:{tmp_path / 'large.db'}?cache=shared"
    alone = connect(address, uri=True)
    assert json.loads(one(alone, "SELECT wal_configure('web')"))["settings"]["mmap_size"]["read_page_us"] > 0
    other = connect(address, uri=True)
    assert json.loads(one(alone, "SELECT wal_configure('web', '{\"mmap_size\": 0}')"))["settings"]["mmap_size"]["after"] == 0
    report = json.loads(one(alone, "SELECT wal_configure('web')"))["settings"]["mmap_size"]
    assert report == {"before": 0, "after": 0, "because": "what a mapped page costs was not measured: other connections use "
                      "the page cache of this one (shared-cache mode)"}
    other.close()
    alone.close()


def test_an_mmap_size_that_is_named_is_set_and_not_measured(configured):
    report, learned = configured("web", '{"mmap_size": 1048576}', SLOW_MAP_US=1600)
    assert report == {"before": 0, "after": 1048576}
    assert learned == {"learned.read_page_us": None, "learned.mapped_page_us": None}


def test_advice_knows_what_a_mapped_page_costs(configured, tmp_path):
    finding = "mapped pages cost more than pages that are read"

    def advice(db):
        for _ in range(100):
            db.execute("SELECT max(rowid) FROM t").fetchall()
        return db.execute("SELECT evidence, sql_to_run FROM wal_recommendations WHERE finding = ?", (finding,)).fetchall()

    configured("low_latency", '{"mmap_size": 0}')  # its strategy makes the control file
    db = connect(tmp_path / "large.db")
    db.execute("PRAGMA mmap_size=1048576")
    assert advice(db) == []
    _, learned = configured("low_latency", SLOW_MAP_US=1600)
    (evidence, sql), = wait_for(lambda: advice(db))
    assert evidence == (f"a mapped page took {learned['learned.mapped_page_us']:.1f} us and a page that is read "
                        f"{learned['learned.read_page_us']:.1f} us; mmap_size is 1048576")
    db.execute(sql).fetchall()
    assert one(db, "PRAGMA mmap_size") == 0
    assert advice(db) == []
    db.close()


def test_what_was_measured_before_there_is_a_control_file_goes_into_it(configured, tmp_path):
    db = connect(tmp_path / "large.db")
    one(db, "SELECT wal_configure('web')")  # all its settings are the defaults
    assert one(db, "SELECT private_because FROM wal_metrics")
    known = "SELECT value FROM wal_config WHERE name = 'learned.mapped_page_us'"
    measured = one(db, known)
    assert measured > 0
    db.execute("INSERT INTO t VALUES (1)")
    wait_for(lambda: one(db, "SELECT private_because IS NULL FROM wal_metrics"))
    assert one(db, known) == measured
    db.close()


def test_a_measurement_takes_about_a_millisecond(configured, tmp_path):
    configured("web")
    db = connect(tmp_path / "large.db")
    took = []
    for _ in range(20):
        start = time.monotonic()
        one(db, "SELECT wal_configure('web')")
        measured = time.monotonic()
        one(db, "SELECT wal_configure('web', '{\"mmap_size\": 0}')")
        took.append(measured - start - (time.monotonic() - measured))
    db.close()
    assert sorted(took)[5] < 0.005  # generous: other tests run beside this one


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
    assert str(error.value).startswith("wal_configure: wal_limit_bytes '16777216' could not be set: ")
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
    assert metrics(rollback_db, "other")["wal_limit_bytes"] == 16777216
    assert metrics(rollback_db, "main")["wal_limit_bytes"] == 67108864


def test_settings_reach_other_connections_and_last(rollback_db, tmp_path):
    one(rollback_db, "SELECT wal_configure('embedded')")
    other = connect(tmp_path / "plain.db")
    assert metrics(other)["wal_limit_bytes"] == 16777216
    other.close()
    rollback_db.execute("INSERT INTO t VALUES (1)")
    again = connect(tmp_path / "plain.db")
    assert metrics(again)["wal_limit_bytes"] == 16777216
    again.close()
