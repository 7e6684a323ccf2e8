"""Out of memory: a failed allocation, alone or with all that follow, never ends or hangs the program, leaves signals
blocked or anything behind, or keeps a later statement from working. A statement of the host's fails only where an
allocation of SQLite's does. The program is no_memory_host.cc.
By hand, each allocation and not only some: WALMANAGER_NO_MEMORY=1000000 pytest -s tests/process/test_no_memory.py"""

import os
import pathlib
import re
import subprocess

import pytest

from conftest import BUILD, EXTENSION, connect
from workers import fast_path  # noqa: F401 (a fixture)

HOST = BUILD / "tests" / "no_memory_host"
BY_HAND = int(os.environ.get("WALMANAGER_NO_MEMORY", "0"))  # so many allocations fail in each test, at most

TABLES = """connection_metrics index_candidates query_performance stale_statistics system_health unused_indexes wal_alerts
wal_checkpoints wal_config wal_environment wal_help wal_history wal_io wal_lock_waits wal_metrics wal_periods wal_readers
wal_recommendations wal_strategies wal_trends""".split()

POOL = """SELECT * FROM read_pool('["SELECT count(*) FROM t WHERE k=:k","SELECT id,payload FROM t LIMIT 90"]', '{"k":3%s}')"""

CALLS = {  # of walmanager's functions
    "version": "SELECT wal_version()",
    "set": "SELECT wal_set('checkpoint_frames', 777)",
    "strategy": "SELECT wal_strategy('low_latency')",
    "define": """SELECT wal_strategy_define('mine', '[{{"priority":1,"rule":"a","condition":"pending_frames > 7","mode":"PASSIVE"}}]')""",
    "drop": """SELECT wal_strategy_define('mine', '[{{"rule":"a","condition":"1","mode":"PASSIVE"}}]'), wal_strategy_drop('mine')""",
    "configure": "SELECT wal_configure('web')",
    "passive": "SELECT wal_checkpoint('PASSIVE')",
    "truncate": "SELECT wal_checkpoint('TRUNCATE')",
    "auto": "SELECT wal_checkpoint_auto()",
    "integrity": "SELECT wal_integrity_check()",
    "openmetrics": "SELECT wal_openmetrics()",
    "reset": "SELECT wal_metrics_reset()",
    "application": "SELECT wal_application_name('x y')",
    "trace": "SELECT wal_trace('take')",
    "cancel": "SELECT wal_cancel(connection_id) FROM connection_metrics WHERE role = 'checkpointer'",
    "backup": """SELECT wal_backup('{folder}/copy.db', '{{"overwrite":true}}')""",
    "restore": "SELECT wal_restore('{folder}/template.db')",
}


HOSTS = {  # statements that SQLite alone could run
    "select": "SELECT k, count(*) FROM t WHERE k > 3 AND payload IS NOT NULL GROUP BY k ORDER BY 2 DESC LIMIT 3",
    "insert": "INSERT INTO t(k) VALUES (1)",
    "begin": "BEGIN IMMEDIATE",
    "create": "CREATE TABLE IF NOT EXISTS more(x)",
    "attach": "ATTACH '{folder}/b.db' AS b",
    "checkpoint": "PRAGMA wal_checkpoint(TRUNCATE)",
    "exclusive": "PRAGMA locking_mode=EXCLUSIVE",
    "vacuum": "VACUUM",
}

figures = {"tried": 0, "failed": 0}


@pytest.fixture(autouse=True, scope="module")
def printed_figures():
    yield
    print(f"\n{figures['tried']} runs, in {figures['failed']} of them an allocation, a mapping or a thread failed")


def harm(folder, what, whose, how, most, sql=""):
    """The harm that up to `most` failed allocations did, one line each. At least one must have failed."""
    done = subprocess.run([HOST, pathlib.Path(EXTENSION).with_suffix(".so"), folder, what, whose, how, str(BY_HAND or most), sql],
                          text=True, capture_output=True, timeout=None if BY_HAND else 60)
    assert done.returncode == 0, done.stderr
    *lines, summary = done.stdout.splitlines()
    tried, failed = re.fullmatch(r"tried (\d+), failed (\d+), of \d+", summary).groups()
    # Where a thread was fast, a close finds nothing to do.
    assert int(failed) > 0 or what == "close", done.stdout
    figures["tried"] += int(tried)
    figures["failed"] += int(failed)
    return lines


@pytest.fixture
def folder(fast_path):
    made = fast_path.parent / "no_memory"
    made.mkdir()
    return made


def test_no_thread_local_storage():
    """The system allocates it when a thread first asks for it, and glibc ends the process where it cannot: the C++
    library's own was asked for by the first exception of a thread, which is that memory has ended."""
    headers = subprocess.run(["readelf", "-lW", BUILD / "walmanager.so"], text=True, capture_output=True, check=True)
    assert "LOAD" in headers.stdout
    assert "TLS" not in headers.stdout


@pytest.mark.parametrize("how, most", [("once", 40), ("always", 5)])
@pytest.mark.parametrize("what", ["first_commit", "journal_mode", "second_connection"])
def test_a_control_file_is_made_or_found(folder, what, how, most):
    """Bugs: the connection's meter wrote into a control file that was no longer mapped; a close waited for a lock that
    its own thread had; descriptors stayed open."""
    assert harm(folder, what, "host", how, most) == []


@pytest.mark.parametrize("how", ["once", "always"])
@pytest.mark.parametrize("what, whose, most", [
    ("load", "host", 12), ("process_load", "host", 6), ("process_open", "host", 20), ("close", "host", 4),
    ("close", "all", 4), ("background", "library", 4), ("background", "all", 3), ("looks", "library", 2)])
def test_a_process_begins_works_and_ends(folder, what, whose, how, most):
    """Bugs: the background thread ended the process; signals stayed blocked in the host's thread."""
    assert harm(folder, what, whose, how, most) == []


@pytest.mark.parametrize("how", ["once", "always"])
@pytest.mark.parametrize("whose", ["host", "library", "all"])
@pytest.mark.parametrize("options", ["", ',"snapshot":true'])
def test_read_pool(folder, options, whose, how):
    """Bugs: a reader ended the process; a call whose caller had no memory was never taken back from the pool."""
    assert harm(folder, "sql", whose, how, 7, POOL % options) == []


@pytest.mark.parametrize("how, most", [("once", 5), ("always", 2)])
@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_read(folder, table, how, most):
    assert harm(folder, "sql", "host", how, most, f"SELECT * FROM {table}") == []


@pytest.mark.parametrize("how, most", [("once", 5), ("always", 2)])
@pytest.mark.parametrize("call", CALLS)
def test_a_call(folder, call, how, most):
    assert harm(folder, "sql", "host", how, most, CALLS[call].format(folder=folder)) == []


@pytest.mark.parametrize("how, most", [("once", 5), ("always", 2)])
@pytest.mark.parametrize("statement", HOSTS)
def test_a_statement_of_the_host(folder, statement, how, most):
    assert harm(folder, "host_sql", "host", how, most, HOSTS[statement].format(folder=folder)) == []


@pytest.mark.parametrize("how, most", [("once", 15), ("always", 3)])
def test_a_commit_that_runs_a_checkpoint(folder, how, most):
    assert harm(folder, "inline_commit", "host", how, most, "INSERT INTO t(k) VALUES (1)") == []


@pytest.mark.parametrize("how, most", [("once", 6), ("always", 3)])
def test_a_fork(folder, how, most):
    """The child opens the database, and its parent goes on."""
    assert harm(folder, "fork", "host", how, most) == []


@pytest.mark.parametrize("how", ["once", "always"])
@pytest.mark.parametrize("what, whose, most, sql", [
    ("first_commit", "mapping", 6, ""), ("journal_mode", "mapping", 6, ""),
    ("fork", "mapping", 3, ""),
    ("background", "thread", 2, ""), ("looks", "thread", 1, ""), ("sql", "thread", 3, POOL % "")])
def test_no_mapping_and_no_thread(folder, what, whose, most, how, sql):
    assert harm(folder, what, whose, how, most, sql) == []


def test_each_function_and_table_is_here(wal_path):
    bare, managed = connect(wal_path, None), connect(wal_path)
    modules, functions = "SELECT name FROM pragma_module_list", "SELECT name FROM pragma_function_list"
    assert set(managed.execute(modules)) - set(bare.execute(modules)) == {(name,) for name in [*TABLES, "read_pool"]}
    added = {name for name, in set(managed.execute(functions)) - set(bare.execute(functions)) if name.startswith("wal_")}
    assert added - set(re.findall(r"\w+(?=\()", " ".join(CALLS.values()))) == set()
