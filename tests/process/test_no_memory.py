"""Out of memory: a failed allocation, alone or with all that follow, never ends or hangs the program, leaves signals
blocked or a descriptor open, or keeps a later statement from working. The program is no_memory_host.cc."""

import pathlib
import re
import subprocess

import pytest

from conftest import BUILD, EXTENSION
from workers import fast_path  # noqa: F401 (a fixture)

HOST = BUILD / "tests" / "no_memory_host"

TABLES = """connection_metrics index_candidates query_performance stale_statistics system_health unused_indexes wal_alerts
wal_checkpoints wal_config wal_environment wal_help wal_history wal_lock_waits wal_metrics wal_periods wal_readers wal_recommendations
wal_strategies wal_trends""".split()

POOL = """SELECT * FROM read_pool('["SELECT count(*) FROM t WHERE k=:k","SELECT id,payload FROM t LIMIT 90"]', '{"k":3%s}')"""

CALLS = {
    "set": "SELECT wal_set('checkpoint_frames', 777)",
    "strategy": "SELECT wal_strategy('low_latency')",
    "define": """SELECT wal_strategy_define('mine', '[{{"priority":1,"rule":"a","condition":"pending_frames > 7","mode":"PASSIVE"}}]')""",
    "configure": "SELECT wal_configure('web')",
    "passive": "SELECT wal_checkpoint('PASSIVE')",
    "truncate": "SELECT wal_checkpoint('TRUNCATE')",
    "auto": "SELECT wal_checkpoint_auto()",
    "integrity": "SELECT wal_integrity_check()",
    "openmetrics": "SELECT wal_openmetrics()",
    "reset": "SELECT wal_metrics_reset()",
    "application": "SELECT wal_application_name('x y')",
    "trace": "SELECT wal_trace('take')",
    "select": "SELECT k, count(*) FROM t WHERE k > 3 AND payload IS NOT NULL GROUP BY k ORDER BY 2 DESC LIMIT 3",
    "insert": "INSERT INTO t(k) VALUES (1)",
    "begin": "BEGIN IMMEDIATE",
    "attach": "ATTACH '{folder}/b.db' AS b",
    "backup": """SELECT wal_backup('{folder}/copy.db', '{{"overwrite":true}}')""",
    "restore": "SELECT wal_restore('{folder}/template.db')",
}


def harm(folder, what, whose, how, most, sql=""):
    """The harm that up to `most` failed allocations did, one line each. At least one must have failed."""
    done = subprocess.run([HOST, pathlib.Path(EXTENSION).with_suffix(".so"), folder, what, whose, how, str(most), sql],
                          text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *lines, summary = done.stdout.splitlines()
    assert int(re.fullmatch(r"tried \d+, failed (\d+), of \d+", summary)[1]) > 0, done.stdout
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


@pytest.mark.parametrize("how, most", [("once", 300), ("always", 30)])
@pytest.mark.parametrize("what", ["first_commit", "journal_mode", "second_connection"])
def test_a_control_file_is_made_or_found(folder, what, how, most):
    """Bugs: the connection's meter wrote into a control file that was no longer mapped; a close waited for a lock that
    its own thread had; descriptors stayed open."""
    assert harm(folder, what, "host", how, most) == []


@pytest.mark.parametrize("how", ["once", "always"])
@pytest.mark.parametrize("what, whose, most", [
    ("load", "host", 30), ("process_load", "host", 30), ("process_open", "host", 50), ("close", "host", 10),
    ("close", "all", 6), ("background", "library", 12), ("background", "all", 9), ("looks", "library", 8)])
def test_a_process_begins_works_and_ends(folder, what, whose, how, most):
    """Bugs: the background thread ended the process; signals stayed blocked in the host's thread."""
    assert harm(folder, what, whose, how, most) == []


@pytest.mark.parametrize("how", ["once", "always"])
@pytest.mark.parametrize("whose", ["host", "library", "all"])
@pytest.mark.parametrize("options", ["", ',"snapshot":true'])
def test_read_pool(folder, options, whose, how):
    """Bugs: a reader ended the process; a call whose caller had no memory was never taken back from the pool."""
    assert harm(folder, "sql", whose, how, 21, POOL % options) == []


@pytest.mark.parametrize("how, most", [("once", 15), ("always", 5)])
@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_read(folder, table, how, most):
    assert harm(folder, "sql", "host", how, most, f"SELECT * FROM {table}") == []


@pytest.mark.parametrize("how, most", [("once", 15), ("always", 5)])
@pytest.mark.parametrize("call", CALLS)
def test_a_call(folder, call, how, most):
    assert harm(folder, "sql", "host", how, most, CALLS[call].format(folder=folder)) == []
