"""Loading: both entry points, every kind of database, and the files that are left (none that were not there)."""

import ctypes
import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, EXTENSION, PROCESS_EXTENSION, connect, inline, metrics, one
from helpers import apsw_connect, error, files_beside, python, wal_bytes, write
from waiting import copied_in_background, wait_for

LIBRARY = BUILD / "walmanager.so"

FUNCTIONS = {
    "wal_version", "wal_strategy", "wal_strategy_define", "wal_strategy_drop", "wal_set",
    "wal_checkpoint_auto", "wal_checkpoint", "wal_configure", "wal_openmetrics", "wal_metrics_reset", "wal_application_name", "wal_cancel", "wal_trace",
    "wal_integrity_check", "wal_backup", "wal_restore",
    "walmanager_connection_lifetime",  # private: its destructor tells of the close
}
TABLES = {"wal_metrics", "query_performance", "index_candidates", "unused_indexes", "connection_metrics", "wal_readers", "wal_lock_waits", "wal_io",
          "wal_checkpoints", "wal_strategies",
          "wal_config", "wal_alerts", "wal_history", "wal_periods", "wal_environment", "stale_statistics", "wal_help",
          "system_health", "wal_recommendations", "wal_trends"}
WITH_ARGUMENTS = {"read_pool"}  # tables, too


def names(db, pragma):
    return {row[0] for row in db.execute(f"PRAGMA {pragma}")}

# Checkpoints in the committing thread, at exact frames, and in the background thread.
STRATEGIES = ["sqlite_default", "conversation_workload"]


def use(db, strategy, schema="main"):
    assert one(db, "SELECT wal_strategy(?, ?)", strategy, schema) == strategy
    if strategy == "conversation_workload":  # at its default the thread begins when it has learned to
        one(db, "SELECT wal_set('checkpoint_frames', 999, ?)", schema)


def checkpointed(db, times, schema="main"):
    """Waits for so many automatic checkpoints, in the committing or the background thread. Returns the row of wal_metrics."""
    row = metrics(db, schema)
    if row["strategy"] != "sqlite_default":
        return copied_in_background(db, times, schema)
    assert row["checkpoints_inline"] == times
    return row


# --- what a load adds

def test_a_load_adds_exactly_these_functions_and_tables(wal_path):
    db = connect(wal_path, load=None)
    functions, modules = names(db, "function_list"), names(db, "module_list")
    schema = db.execute("SELECT * FROM sqlite_schema").fetchall()
    db.enable_load_extension(True)
    db.load_extension(EXTENSION)
    assert names(db, "function_list") - functions == FUNCTIONS
    assert names(db, "module_list") - modules == TABLES | WITH_ARGUMENTS
    assert db.execute("SELECT * FROM sqlite_schema").fetchall() == schema
    db.close()


@pytest.mark.parametrize("table", sorted(TABLES))
def test_tables_are_there_without_create(db, table):
    db.execute(f"SELECT * FROM {table}").fetchall()
    assert error(db, f"CREATE VIRTUAL TABLE mine USING {table}") == f"no such module: {table}"
    assert one(db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'wal%'") == 0


def test_the_library_exports_its_entry_points_and_nothing_else():
    listed = subprocess.run(["nm", "-D", "--defined-only", str(LIBRARY)], capture_output=True,
                            text=True, check=True).stdout
    symbols = {line.split()[-1].split("@")[0] for line in listed.splitlines()
               if " A " not in line}  # A: the name of the version itself
    assert symbols == {"sqlite3_walmanager_init", "sqlite3_walmanagerprocess_init"}


def test_the_library_needs_only_what_every_system_has():
    dynamic = subprocess.run(["readelf", "-d", str(LIBRARY)], capture_output=True, text=True,
                             check=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert "libc.so.6" in needed
    assert {name for name in needed if not name.startswith("ld-linux")} <= {"libc.so.6", "libm.so.6"}


def test_the_second_file_is_a_small_library_of_its_own():
    """Bug: as a link it was the first one to a host that follows links, and a second whole library in an archive."""
    second = BUILD / "walmanagerprocess.so"
    assert not second.is_symlink() and second.stat().st_nlink == 1
    assert second.stat().st_size < 40_000 < LIBRARY.stat().st_size
    listed = subprocess.run(["nm", "-D", "--defined-only", str(second)], capture_output=True, text=True, check=True).stdout
    assert {line.split()[-1].split("@")[0] for line in listed.splitlines() if " A " not in line} == \
        {"sqlite3_walmanagerprocess_init"}
    dynamic = subprocess.run(["readelf", "-d", str(second)], capture_output=True, text=True, check=True).stdout
    assert {name for name in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic) if not name.startswith("ld-linux")} == {"libc.so.6"}


# --- both entry points

def test_load_extension_manages_this_connection(wal_path):
    db = connect(wal_path)
    write(db, 3)
    row = metrics(db)
    assert (row["hook"], row["checkpointer"], row["commits"]) == ("active", "background", 3)
    db.close()


def test_load_extension_manages_no_other_connection(wal_path, db):
    other = connect(wal_path, load=None)
    assert error(other, "SELECT wal_version()") == "no such function: wal_version"
    write(other, 1)
    write(db, 1)
    assert metrics(db)["commits"] == 1  # the other's were not seen
    other.close()


PROCESS_WIDE = """
import sys
from conftest import *
import sqlite3
first = connect(sys.argv[1], load=PROCESS_EXTENSION)
second = connect(sys.argv[1], load=None)
assert metrics(second)["hook"] == "active", metrics(second)["hook"]
second.execute("INSERT INTO t(payload) VALUES (zeroblob(10))")
second.execute("INSERT INTO t(payload) VALUES (zeroblob(10))")
row = metrics(second)
assert (row["hook"], row["checkpointer"], row["commits"]) == ("active", "background", 2), row
first.execute("INSERT INTO t(payload) VALUES (zeroblob(10))")
assert metrics(first)["commits"] == 3
first.close()
# It stays so after the connection that loaded it is gone, also for other databases.
third = connect(sys.argv[1] + "2", load=None)
third.execute("PRAGMA journal_mode=WAL")
third.execute("CREATE TABLE t(a)")
assert metrics(third)["commits"] == 1
# Automatic checkpoints of a connection that did not load the extension itself.
second.execute("PRAGMA synchronous=OFF")
inline(second)
for _ in range(1200):
    second.execute("INSERT INTO t(payload) VALUES (zeroblob(10))")
assert metrics(second)["checkpoints_inline"] == 1
# And in the background thread, whose own connections are not managed.
before = metrics(second)
second.execute("SELECT wal_strategy('conversation_workload')").fetchall()
for _ in range(1200):
    second.execute("INSERT INTO t(payload) VALUES (zeroblob(10))")
from waiting import copied_in_background
row = copied_in_background(second)
assert (row["commits"], row["processes"]) == (before["commits"] + 1200, 1), row
second.close(); third.close()
print("ok")
"""


def test_process_wide_load_manages_later_connections(wal_path):
    assert python(PROCESS_WIDE, wal_path) == "ok\n"
    assert files_beside(wal_path) - {"2", "2-walmanager"} == {"", "-walmanager"}


def test_process_wide_load_by_entry_point(wal_path):
    """A host that can name entry points needs no second file name."""
    assert python("""
import sys, apsw
from conftest import EXTENSION
first = apsw.Connection(sys.argv[1]); first.enableloadextension(True)
first.loadextension(EXTENSION, "sqlite3_walmanagerprocess_init")
second = apsw.Connection(sys.argv[1])
second.cursor().execute("INSERT INTO t(payload) VALUES (1)")
print(second.cursor().execute("SELECT hook, commits FROM wal_metrics").fetchall())
second.close(); first.close()
""", wal_path) == "[('active', 1)]\n"


def test_process_wide_load_keeps_a_connection_without_automatic_checkpoints_as_it_is(wal_path):
    """PRAGMA wal_autocheckpoint=0 is a wish of the program, also if it comes after the load."""
    assert python("""
import sys
from conftest import *
first = connect(sys.argv[1], load=PROCESS_EXTENSION)
second = connect(sys.argv[1], load=None)
second.execute("PRAGMA wal_autocheckpoint=0")
second.execute("PRAGMA synchronous=OFF")
for _ in range(1200):
    second.execute("INSERT INTO t(payload) VALUES (zeroblob(10))")
row = metrics(second)
print(row["checkpointer"], row["checkpoints"], row["commits"])
""", wal_path) == "off 0 1200\n"


PROCESS_WIDE_FROM = """
import sys
from conftest import *
first = connect(sys.argv[1], load=sys.argv[2])
second = connect(sys.argv[1], load=None)
second.execute("INSERT INTO t(payload) VALUES (1)")
print(metrics(second)["commits"])
"""


@pytest.mark.parametrize("way", ["elsewhere", "a link to it", "both linked"])
def test_the_second_file_finds_the_first_beside_itself(wal_path, tmp_path, way):
    place = tmp_path / "installed"
    place.mkdir()
    for name in "walmanager.so", "walmanagerprocess.so":
        if way == "both linked":
            (place / name).symlink_to(BUILD / name)
        else:
            shutil.copy(BUILD / name, place)
    path = place / "walmanagerprocess.so"
    if way == "a link to it":
        path = tmp_path / "walmanagerprocess.so"
        path.symlink_to(place / "walmanagerprocess.so")
    assert python(PROCESS_WIDE_FROM, wal_path, path) == "1\n"


def test_the_second_file_alone_says_what_it_needs(wal_path, tmp_path):
    shutil.copy(BUILD / "walmanagerprocess.so", tmp_path)
    db = connect(wal_path, load=None)
    db.enable_load_extension(True)
    with pytest.raises(Exception, match="walmanagerprocess.so needs walmanager.so beside it: .*No such file") as refused:
        db.load_extension(str(tmp_path / "walmanagerprocess.so"))
    assert str(tmp_path / "walmanager.so") in str(refused.value)
    assert one(db, "SELECT count(*) FROM t") == 0


# --- two copies of the library in one process

TWO_COPIES = """
import os, sys
from conftest import *
from helpers import locks
first_load, second_load, path = sys.argv[1:]
control = path + "-walmanager"
a = connect(path, load=first_load)
a.execute("INSERT INTO t(payload) VALUES (1)")
assert metrics(a)["hook"] == "active"
before = locks(control)
assert before
b = connect(path, load=second_load)
b.execute("INSERT INTO t(payload) VALUES (1)")
rows = a.execute("SELECT count(*) FROM connection_metrics WHERE role = 'application'").fetchone()[0]
assert (metrics(b)["commits"], metrics(b)["processes"], rows) == (2, 1, 2), (metrics(b), rows)
assert metrics(b)["hook"] == "active"
c = connect(path, load=None)
wide = bool(c.execute("SELECT 1 FROM pragma_function_list WHERE name = 'wal_set'").fetchall())
c.close()
b.close()
assert set(before) <= set(locks(control)), (before, locks(control))
maps = {line.split()[-1] for line in open("/proc/self/maps") if line.strip().endswith("walmanager.so")}
rows = a.execute("SELECT count(*) FROM connection_metrics WHERE role = 'application'").fetchone()[0]
a.execute("INSERT INTO t(payload) VALUES (1)")
print(len(maps), rows, metrics(a)["commits"], wide)
"""


@pytest.mark.parametrize("first, second, wide", [("walmanager", "walmanager", False), ("walmanagerprocess", "walmanager", True),
                                                 ("walmanager", "walmanagerprocess", True)])
def test_a_second_copy_hands_over_to_the_first(wal_path, tmp_path, first, second, wide):
    """Bug: the close of the second copy's connection dropped the first's locks on the control file."""
    for name in "walmanager.so", "walmanagerprocess.so":
        shutil.copy(BUILD / name, tmp_path)
    assert python(TWO_COPIES, BUILD / first, tmp_path / second, wal_path) == f"2 1 3 {wide}\n"


# --- loading twice

@pytest.mark.parametrize("again", [EXTENSION, str(BUILD / "walmanager.so")])
def test_second_load_is_quiet_and_changes_nothing(db, again):
    write(db, 2)
    functions = db.execute("PRAGMA function_list").fetchall()
    db.load_extension(again)
    write(db, 2)
    assert metrics(db)["commits"] == 4
    assert db.execute("PRAGMA function_list").fetchall() == functions


def test_second_load_is_quiet_while_a_statement_runs(db):
    """Redefining a function would fail with SQLITE_BUSY here."""
    write(db, 3)
    running = db.execute("SELECT id FROM t")
    assert running.fetchone() == (1,)
    db.load_extension(EXTENSION)
    assert one(db, "SELECT load_extension(?)", EXTENSION) is None
    assert running.fetchall() == [(2,), (3,)]


def test_first_load_by_sql_while_a_statement_runs(wal_path):
    db = connect(wal_path, load=None)
    write(db, 3)
    running = db.execute("SELECT id FROM t")
    running.fetchone()
    db.enable_load_extension(True)
    assert one(db, "SELECT load_extension(?)", EXTENSION) is None
    assert running.fetchall() == [(2,), (3,)]
    write(db, 1)
    assert metrics(db)["commits"] == 1
    db.close()


def test_first_load_inside_a_transaction(wal_path):
    db = connect(wal_path, load=None)
    db.enable_load_extension(True)
    db.execute("BEGIN IMMEDIATE")
    write(db, 1)
    db.load_extension(EXTENSION)
    db.execute("COMMIT")
    assert metrics(db)["commits"] == 1
    db.close()


# --- databases of every kind

def test_in_memory_database():
    db = connect(":memory:")
    db.execute("CREATE TABLE t(a)")
    assert metrics(db)["journal_mode"] == "memory"
    assert metrics(db)["file"] is None
    db.close()


def test_temporary_database():
    db = connect("")
    db.execute("CREATE TABLE t(a)")
    row = metrics(db)
    assert (row["schema"], row["file"], row["hook"], row["commits"]) == ("main", None, None, None)
    db.close()


@pytest.fixture
def rollback_path(tmp_path):
    path = tmp_path / "rollback.db"
    db = connect(path, load=None)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.close()
    return path


def test_rollback_mode_leaves_nothing_beside_the_database(rollback_path):
    db = connect(rollback_path)
    write(db, 3)
    row = metrics(db)
    assert (row["journal_mode"], row["hook"], row["wal_bytes"], row["wal_frames"]) == \
        ("delete", None, None, None)
    for table in sorted(TABLES):
        db.execute(f"SELECT * FROM {table}").fetchall()
    assert files_beside(rollback_path) == {""}
    db.close()
    assert files_beside(rollback_path) == {""}


def test_read_only_wal_database(wal_path, db):
    write(db, 2)
    reader = connect(f"file:{wal_path}?mode=ro", uri=True)
    assert one(reader, "SELECT count(*) FROM t") == 2
    row = metrics(reader)
    assert (row["journal_mode"], row["wal_frames"]) == ("wal", metrics(db)["wal_frames"])
    assert row["commits"] == 2  # those of the other connection
    reader.close()


def test_read_only_leaves_what_sqlite_leaves(wal_path, tmp_path):
    """A read-only connection on a database whose log is gone: the same files as without the extension."""
    shutil.copy(wal_path, tmp_path / "bare.db")
    left = {}
    for path, load in ((wal_path, EXTENSION), (tmp_path / "bare.db", None)):
        reader = connect(f"file:{path}?mode=ro", load=load, uri=True)
        reader.execute("SELECT count(*) FROM t").fetchall()
        if load:
            for table in sorted(TABLES):
                reader.execute(f"SELECT * FROM {table}").fetchall()
        reader.close()
        left[load] = files_beside(path)
    assert left[EXTENSION] == left[None]


def test_read_only_rollback_database(rollback_path):
    db = connect(f"file:{rollback_path}?mode=ro", uri=True)
    assert metrics(db)["journal_mode"] == "delete"
    db.close()
    assert files_beside(rollback_path) == {""}


def test_immutable_database(wal_path):
    db = connect(f"file:{wal_path}?immutable=1", uri=True)
    assert one(db, "SELECT count(*) FROM t") == 0
    assert metrics(db)["schema"] == "main"
    db.close()
    assert files_beside(wal_path) == {""}


def test_database_that_becomes_wal_later(rollback_path):
    db = connect(rollback_path)
    write(db, 1)
    assert one(db, "PRAGMA journal_mode=WAL") == "wal"
    write(db, 3)
    row = metrics(db)
    assert (row["journal_mode"], row["hook"], row["commits"]) == ("wal", "active", 3)
    assert row["statistics_file"] == f"{rollback_path}-walmanager"
    db.close()
    assert files_beside(rollback_path) == {"", "-walmanager"}


def test_new_database_that_becomes_wal(tmp_path):
    db = connect(tmp_path / "new.db")
    assert metrics(db)["journal_mode"] == "delete"
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(a)")
    assert metrics(db)["commits"] == 1
    db.close()


def test_attached_database_is_managed(wal_path, tmp_path, db):
    other = tmp_path / "other.db"
    db.execute("ATTACH ? AS other", (str(other),))
    db.execute("PRAGMA other.journal_mode=WAL")
    db.execute("CREATE TABLE other.t(a)")
    db.execute("INSERT INTO other.t VALUES (1)")
    row = metrics(db, "other")
    assert (row["hook"], row["commits"], row["file"]) == ("active", 2, str(other))
    assert metrics(db)["commits"] == 0
    assert files_beside(other) == {"", "-wal", "-shm", "-walmanager"}


def test_database_attached_before_the_load(wal_path, tmp_path):
    db = connect(wal_path, load=None)
    db.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    db.execute("PRAGMA other.journal_mode=WAL")
    db.enable_load_extension(True)
    db.load_extension(EXTENSION)
    db.execute("CREATE TABLE other.t(a)")
    assert metrics(db, "other")["commits"] == 1
    db.close()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_attached_databases_get_automatic_checkpoints(db, tmp_path, strategy):
    path = tmp_path / "other.db"
    db.execute("ATTACH ? AS other", (str(path),))
    db.execute("PRAGMA other.journal_mode=WAL")
    db.execute("PRAGMA other.synchronous=OFF")
    db.execute("CREATE TABLE other.u(a)")
    use(db, strategy, "other")
    for _ in range(1100):
        db.execute("INSERT INTO other.u VALUES (1)")
    checkpointed(db, 1, "other")
    db.execute("DETACH other")
    assert files_beside(path) == {"", "-walmanager"}


# --- versions that are too old

OLD_ENGINE = r"""
import ctypes, ctypes.util, re, sys
from conftest import BUILD
header = open("/usr/include/sqlite3ext.h").read()
body = header[header.index("struct sqlite3_api_routines {"):]
# Function pointers and nothing else, a declaration each: its name is the first "(*name)".
declarations = body[:body.index("\n};")].split(";")
slots = [re.search(r"\(\*\s*(\w+)\)", text).group(1) for text in declarations if "(*" in text]
sqlite = ctypes.CDLL(ctypes.util.find_library("sqlite3"))
number = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: int(sys.argv[1]))
text = ctypes.create_string_buffer(sys.argv[2].encode())
version = ctypes.CFUNCTYPE(ctypes.c_void_p)(lambda: ctypes.addressof(text))
table = (ctypes.c_void_p * (len(slots) + 50))()
for name, function in (("libversion_number", number), ("libversion", version),
                       ("mprintf", sqlite.sqlite3_mprintf)):
    table[slots.index(name)] = ctypes.cast(function, ctypes.c_void_p).value
if sys.argv[3:4] == ["without"]:  # the functions of an engine, but for one that was left out
    for slot, there in enumerate(table[:len(slots)]):
        if not there and slots[slot] != sys.argv[4]:
            table[slot] = ctypes.cast(number, ctypes.c_void_p).value
elif len(sys.argv) > 3:
    from conftest import connect
    loaded = connect(":memory:")
library = ctypes.CDLL(str(BUILD / "walmanager.so"))
for entry in (library.sqlite3_walmanager_init, library.sqlite3_walmanagerprocess_init):
    message = ctypes.c_char_p()
    rc = entry(None, ctypes.byref(message), table)
    print(rc, message.value.decode())
    print(entry(None, None, table))  # a program that asks for no message
"""


def test_an_engine_below_3_34_is_refused_with_a_message():
    message = "1 walmanager: SQLite 3.34.0 or newer is needed, this is 3.33.0\n1\n"
    assert python(OLD_ENGINE, 3033000, "3.33.0") == 2 * message


@pytest.mark.parametrize("function, option", [
    ("wal_hook", "WAL"), ("create_module_v2", "VIRTUALTABLE"), ("set_authorizer", "AUTHORIZATION")])
def test_an_engine_without_a_function_that_is_needed_is_refused_with_a_message(function, option):
    message = f"1 walmanager: sqlite3_{function}() is needed, and this SQLite was built with SQLITE_OMIT_{option}\n1\n"
    assert python(OLD_ENGINE, 3040001, "3.40.1", "without", function) == 2 * message


def test_a_second_copy_of_sqlite_in_one_process_is_refused_with_a_message():
    message = "1 walmanager: already loaded into another copy of SQLite in this process\n1\n"
    assert python(OLD_ENGINE, 3040001, "3.40.1", "load first") == 2 * message


THREADING = """
import ctypes, ctypes.util, sys
s = ctypes.CDLL(ctypes.util.find_library("sqlite3"))
assert s.sqlite3_config(int(sys.argv[2])) == 0  # before anything else uses SQLite
db, st, m = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_char_p()
s.sqlite3_open(sys.argv[1].encode(), ctypes.byref(db))
s.sqlite3_db_config(db, 1005, 1, None)
assert s.sqlite3_load_extension(db, sys.argv[3].encode(), None, ctypes.byref(m)) == 0, m.value
s.sqlite3_column_text.restype = ctypes.c_char_p
def ask(sql):
    assert s.sqlite3_prepare_v2(db, sql, -1, ctypes.byref(st), None) == 0
    assert s.sqlite3_step(st) == 100
    value = s.sqlite3_column_text(st, 0).decode()
    s.sqlite3_finalize(st)
    return value
s.sqlite3_exec(db, b"PRAGMA synchronous=OFF", None, None, None)
assert ask(b"SELECT wal_strategy('%s')" % sys.argv[4].encode()) == sys.argv[4]
for _ in range(1100):
    assert s.sqlite3_exec(db, b"INSERT INTO t(payload) VALUES (1)", None, None, None) == 0
if len(sys.argv) > 5:  # what the thread does takes its time
    import time
    deadline = time.monotonic() + 30
    while ask(b"SELECT checkpoints_background > 0 FROM wal_metrics") == "0" and time.monotonic() < deadline:
        time.sleep(0.002)
print(ask(b"SELECT wal_version()"))
print(ask(b"SELECT (checkpoints_inline > 0) || (checkpoints_background > 0) FROM wal_metrics" if len(sys.argv) > 5 else
          b"SELECT checkpoints_inline || checkpoints_background FROM wal_metrics"))
print(s.sqlite3_close(db))
"""


@pytest.mark.parametrize("mode, threads", [(1, "false"), (2, "true"), (3, "true")])
def test_sqlite_in_each_threading_mode(wal_path, mode, threads):
    """SQLITE_CONFIG_SINGLETHREAD, MULTITHREAD and SERIALIZED: the extension works in each, and wal_version() says which it is."""
    version, checkpoints, closed = python(THREADING, wal_path, mode, EXTENSION, "sqlite_default").splitlines()
    assert version.endswith(f'"threads":{threads}}}')
    assert (checkpoints, closed) == ("10", "0")
    assert files_beside(wal_path) == {"", "-walmanager"}


@pytest.mark.parametrize("mode, threads", [(1, "false"), (2, "true"), (3, "true")])
def test_the_default_strategy_in_each_threading_mode(wal_path, mode, threads):
    """If SQLite may not be called from another thread, the committing thread does the work of the background thread."""
    wait = ["wait"] if threads == "true" else []
    version, checkpoints, closed = python(THREADING, wal_path, mode, EXTENSION, "conversation_workload",
                                          *wait).splitlines()
    assert version.endswith(f'"threads":{threads}}}')
    assert checkpoints in (("01", "11") if wait else ("10",))
    assert closed == "0"
    assert files_beside(wal_path) == {"", "-walmanager"}


# --- the last close

@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_log_is_removed_at_the_last_close(wal_path, strategy):
    first, second = connect(wal_path), connect(wal_path)
    use(first, strategy)
    write(first, 1100)  # automatic checkpoints have run: walmanager has connections open
    write(second, 10)
    checkpointed(first, 1)
    first.close()
    assert "-wal" in files_beside(wal_path)
    second.close()
    assert files_beside(wal_path) == {"", "-walmanager"}
    bare = connect(wal_path, load=None)
    assert one(bare, "SELECT count(*) FROM t") == 1110
    assert one(bare, "PRAGMA integrity_check") == "ok"
    bare.close()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_log_is_removed_when_a_bare_connection_closes_last(wal_path, strategy):
    managed, bare = connect(wal_path), connect(wal_path, load=None)
    use(managed, strategy)
    write(managed, 1100)
    managed.close()
    assert one(bare, "SELECT count(*) FROM t") == 1100
    bare.close()
    assert files_beside(wal_path) == {"", "-walmanager"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_log_is_removed_when_the_managed_connection_closes_last(wal_path, strategy):
    managed, bare = connect(wal_path), connect(wal_path, load=None)
    use(managed, strategy)
    write(managed, 1100)
    bare.execute("SELECT count(*) FROM t").fetchall()
    bare.close()
    managed.close()
    assert files_beside(wal_path) == {"", "-walmanager"}


@pytest.mark.parametrize("wait", [True, False], ids=["after the thread", "while it works"])
def test_the_log_is_removed_at_the_last_close_with_a_thread(wal_path, wait):
    """Many times: the close ends the thread whether it works, has just worked, or has not begun."""
    rows = 0
    for round in range(20):
        db = connect(wal_path)
        if round == 0:
            one(db, "SELECT wal_set('checkpoint_frames', 900)")  # not as the thread learns
        write(db, 1000 + round)
        rows += 1000 + round
        if wait:
            copied_in_background(db, round + 1)
        db.close()
        assert files_beside(wal_path) == {"", "-walmanager"}
    bare = connect(wal_path, load=None)
    assert one(bare, "SELECT count(*) FROM t") == rows
    assert one(bare, "PRAGMA integrity_check") == "ok"
    bare.close()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("reason", ["the trace is displaced", "two schemas are one file"])
def test_the_log_is_removed_at_a_close_that_was_not_seen_to_come(wal_path, strategy, reason):
    """walmanager's connections are still open when those of the program close. Their close then does what SQLite's would have done."""
    db = connect(wal_path)
    use(db, strategy)
    if reason == "two schemas are one file":
        db.execute("ATTACH ? AS again", (str(wal_path),))
    write(db, 1100)
    checkpointed(db, 1)
    write(db, 10)
    if reason == "the trace is displaced":
        db.set_trace_callback(None)
    db.close()
    assert files_beside(wal_path) == {"", "-walmanager"}
    bare = connect(wal_path, load=None)
    assert one(bare, "SELECT count(*) FROM t") == 1110
    bare.close()


def test_the_close_is_in_the_checkpoint_log(wal_path):
    db = connect(wal_path)
    inline(db)
    write(db, 1100)
    db.close()
    db = connect(wal_path)
    rows = db.execute("SELECT origin, result, wal_frames = checkpointed_frames FROM wal_checkpoints").fetchall()
    assert rows == [("close", "complete", 1), ("inline", "complete", 1)]
    db.close()


def test_the_close_is_in_the_checkpoint_log_with_a_thread(wal_path):
    db = connect(wal_path)
    write(db, 1100)
    copied_in_background(db)
    write(db, 10)
    pending = metrics(db)["pending_frames"]
    assert pending > 0
    db.close()
    db = connect(wal_path)
    rows = db.execute("SELECT origin, result, wal_frames = checkpointed_frames, moved_frames "
                      "FROM wal_checkpoints").fetchall()
    assert rows[0] == ("close", "complete", 1, pending)
    assert [row[0] for row in rows].count("close") == 1
    db.close()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_close_with_an_open_statement_is_refused_and_management_goes_on(wal_path, strategy):
    """sqlite3_close that fails has already called the trace with TRACE_CLOSE, so management must not end there."""
    origin = "checkpoints_inline" if strategy == "sqlite_default" else "checkpoints_background"
    assert python("""
import sys, ctypes, ctypes.util, time
from conftest import BUILD
s = ctypes.CDLL(ctypes.util.find_library("sqlite3"))
db, st, m = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_char_p()
s.sqlite3_open(sys.argv[1].encode(), ctypes.byref(db))
s.sqlite3_db_config(db, 1005, 1, None)
assert s.sqlite3_load_extension(db, str(BUILD / "walmanager").encode(), None, ctypes.byref(m)) == 0
s.sqlite3_exec(db, b"SELECT wal_strategy('%s')" % sys.argv[2].encode(), None, None, None)
if sys.argv[2] == "conversation_workload":
    s.sqlite3_exec(db, b"SELECT wal_set('checkpoint_frames', 999)", None, None, None)
def refused_close():
    s.sqlite3_prepare_v2(db, b"SELECT 1", -1, ctypes.byref(st), None)
    s.sqlite3_step(st)
    print(s.sqlite3_close(db))
    s.sqlite3_finalize(st)
def insert(n):
    for _ in range(n):
        assert s.sqlite3_exec(db, b"INSERT INTO t(payload) VALUES (1)", None, None, None) == 0
def look():
    s.sqlite3_prepare_v2(db, b"SELECT hook || %s || commits FROM wal_metrics" % sys.argv[3].encode(), -1,
                         ctypes.byref(st), None)
    s.sqlite3_step(st)
    s.sqlite3_column_text.restype = ctypes.c_char_p
    seen = s.sqlite3_column_text(st, 0).decode()
    s.sqlite3_finalize(st)
    return seen
def wait_for(wanted):
    deadline = time.monotonic() + 30
    while look() != wanted and time.monotonic() < deadline:
        time.sleep(0.002)
    print(look())
refused_close()
s.sqlite3_exec(db, b"PRAGMA synchronous=OFF", None, None, None)
insert(1000)
wait_for("active11000")
insert(100)
refused_close()  # now with connections of walmanager and a thread
print(look())
insert(900)
wait_for("active22000")
print(s.sqlite3_close(db))
""", wal_path, strategy, origin) == "5\nactive11000\n5\nactive11100\nactive22000\n0\n"
    assert files_beside(wal_path) == {"", "-walmanager"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_persist_wal_is_followed(wal_path, strategy):
    import apsw
    db = apsw_connect(wal_path)
    on = ctypes.c_int(1)
    assert db.filecontrol("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(on))
    cursor = db.cursor()
    cursor.execute("SELECT wal_strategy(?)", (strategy,)).fetchall()
    cursor.execute("PRAGMA synchronous=OFF")
    for _ in range(1100):
        cursor.execute("INSERT INTO t(payload) VALUES (1)")
    db.close()
    assert "-wal" in files_beside(wal_path)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_checkpoint_on_close_is_followed(wal_path, strategy):
    import apsw
    db = apsw_connect(wal_path)
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    cursor = db.cursor()
    cursor.execute("SELECT wal_strategy(?)", (strategy,)).fetchall()
    cursor.execute("PRAGMA synchronous=OFF")
    for _ in range(1100):
        cursor.execute("INSERT INTO t(payload) VALUES (1)")
    commits = 1100
    while not cursor.execute("SELECT pending_frames FROM wal_metrics").fetchall()[0][0]:
        cursor.execute("INSERT INTO t(payload) VALUES (1)")  # the thread has just copied them all
        commits += 1
    frames = wal_bytes(wal_path)
    db.close()
    assert wal_bytes(wal_path) == frames
    db = connect(wal_path, load=None)
    assert one(db, "SELECT count(*) FROM t") == commits
    db.close()


# --- what the host does to its database while it is managed

@pytest.fixture(params=STRATEGIES)
def busy_db(db, request):
    """Automatic checkpoints have run, so walmanager may have connections open, and its thread may be working with them."""
    use(db, request.param)
    write(db, 1100)
    checkpointed(db, 1)
    return db


def test_journal_mode_delete_by_the_host(busy_db, wal_path):
    assert one(busy_db, "PRAGMA journal_mode=DELETE") == "delete"
    write(busy_db, 1)
    assert metrics(busy_db)["journal_mode"] == "delete"
    assert "-wal" not in files_beside(wal_path)
    assert one(busy_db, "PRAGMA journal_mode=WAL") == "wal"
    write(busy_db, 1100)
    checkpointed(busy_db, 2)
    assert one(busy_db, "SELECT count(*) FROM t") == 2201


def test_the_mode_can_be_changed_at_any_moment_of_the_threads_work(db, wal_path):
    """There is no error and nothing is left behind, whatever the thread is doing."""
    for round in range(30):
        write(db, 1000 + 7 * round)
        assert one(db, "PRAGMA journal_mode=DELETE") == "delete"
        assert files_beside(wal_path) == {"", "-walmanager"}
        assert one(db, "PRAGMA journal_mode=WAL") == "wal"
        write(db, 1000 + 7 * round)
        assert one(db, "PRAGMA locking_mode=EXCLUSIVE") == "exclusive"
        write(db, 3)
        assert one(db, "PRAGMA locking_mode=NORMAL") == "normal"
        write(db, 1)
    assert one(db, "PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("sql", [
    "pragma Main.journal_mode = 'delete'",
    "/* a comment */ PRAGMA journal_mode(DELETE)",
    "-- a line\n PRAGMA \"main\".\"journal_mode\"=DELETE",
    "  PRAGMA/**/journal_mode=truncate",
])
def test_journal_mode_in_any_spelling(busy_db, sql):
    assert one(busy_db, sql) in ("delete", "truncate")


def test_bug_where_no_thread_may_copy_a_commit_copied_eight_times_what_sqlite_would(db):
    write(db, 1100)
    wait_for(lambda: metrics(db)["due_frames"] > 1000)  # copying was measured
    assert one(db, "PRAGMA locking_mode=EXCLUSIVE") == "exclusive"
    write(db, 1100)
    row = metrics(db)
    assert row["checkpoints_inline"] >= 1
    assert row["pending_frames"] < 1100


def test_locking_mode_exclusive_by_the_host(busy_db):
    assert one(busy_db, "PRAGMA locking_mode=EXCLUSIVE") == "exclusive"
    write(busy_db, 1100)
    row = metrics(busy_db)
    assert row["commits"] == 2200
    if row["strategy"] == "sqlite_default":
        assert row["checkpoints_inline"] == 2
    else:  # a thread cannot open it: the program's connection checkpoints, in its own thread
        assert row["checkpoints_background"] == 1
        assert row["checkpoints_inline"] >= 1
        assert row["pending_frames"] < 1100
    assert row["hook"] == "active"
    assert one(busy_db, "PRAGMA locking_mode=NORMAL") == "normal"
    write(busy_db, 10)
    assert metrics(busy_db)["commits"] == 2210
    assert one(busy_db, "PRAGMA integrity_check") == "ok"


def test_locking_mode_exclusive_before_the_first_access(wal_path):
    """There is no wal-index file then. The log is still checkpointed, and no -shm appears."""
    db = connect(wal_path, load=None)
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.enable_load_extension(True)
    db.load_extension(EXTENSION)
    write(db, 2200)
    row = metrics(db)
    assert row["commits"] == 2200
    assert row["checkpoints_inline"] >= 1
    assert row["wal_bytes"] < 1200 * 4120
    assert "-shm" not in files_beside(wal_path)
    db.close()
    assert files_beside(wal_path) == {"", "-walmanager"}


def test_detach_by_the_host(busy_db, tmp_path):
    path = tmp_path / "other.db"
    busy_db.execute("ATTACH ? AS other", (str(path),))
    busy_db.execute("PRAGMA other.journal_mode=WAL")
    busy_db.execute("PRAGMA other.synchronous=OFF")
    busy_db.execute("CREATE TABLE other.u(a)")
    use(busy_db, one(busy_db, "SELECT wal_strategy()"), "other")
    for _ in range(1100):
        busy_db.execute("INSERT INTO other.u VALUES (1)")
    checkpointed(busy_db, 1, "other")
    busy_db.execute("DETACH other")
    assert files_beside(path) == {"", "-walmanager"}
    # Another file under the same name is another database.
    again = tmp_path / "again.db"
    busy_db.execute("ATTACH ? AS other", (str(again),))
    busy_db.execute("PRAGMA other.journal_mode=WAL")
    busy_db.execute("CREATE TABLE other.u(a)")
    row = metrics(busy_db, "other")
    assert (row["file"], row["commits"]) == (str(again), 1)


def test_vacuum_and_page_size_change_by_the_host(busy_db):
    busy_db.execute("VACUUM")
    assert one(busy_db, "PRAGMA journal_mode=DELETE") == "delete"
    busy_db.execute("PRAGMA page_size=8192")
    busy_db.execute("VACUUM")
    busy_db.execute("PRAGMA journal_mode=WAL")
    write(busy_db, 1)
    assert metrics(busy_db)["page_size"] == 8192
