"""Leaks of load and close, and reads and writes out of place, as valgrind finds them. It takes minutes:
WALMANAGER_VALGRIND=8 pytest -s tests/process/test_valgrind.py"""

import os
import re
import shutil
import subprocess

import pytest

from conftest import EXTENSION, PROCESS_EXTENSION
from test_no_memory import TABLES

ROUNDS = int(os.environ.get("WALMANAGER_VALGRIND", "0"))  # connections of the longer of two runs

pytestmark = [
    pytest.mark.skipif(not ROUNDS, reason="takes minutes: WALMANAGER_VALGRIND=8 runs it"),
    pytest.mark.skipif(not shutil.which("valgrind") or not shutil.which("sqlite3"), reason="valgrind or sqlite3 is not installed"),
]

ALL = [f"SELECT count(*) FROM {table};" for table in TABLES] + [
    "SELECT wal_checkpoint('TRUNCATE');", """SELECT wal_backup('{path}-copy', '{{"overwrite":true}}');""", "SELECT wal_restore('{path}-copy');",
    "SELECT wal_configure('web');", "SELECT wal_integrity_check();", "SELECT length(wal_openmetrics());",
    """SELECT * FROM read_pool('["SELECT 1","SELECT count(*) FROM t"]');"""]


def left_at_exit(path, rounds, load, statements):
    """What the sqlite3 shell has not freed after so many connections: the bytes that are lost, and the blocks in all. No other error is found."""
    script = [".bail on"]
    for _ in range(rounds):
        script += [f".open {path}", *([f".load {load}"] if load else []), "INSERT INTO t(payload) VALUES (zeroblob(3000));", *statements]
    script.append(".open :memory:")
    done = subprocess.run(["valgrind", "--leak-check=full", "--errors-for-leak-kinds=none", "--error-exitcode=99", "--num-callers=30", "sqlite3", ":memory:"],
                          input="\n".join(script), text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    assert "ERROR SUMMARY: 0 errors" in done.stderr

    def number(words):
        found = re.search(rf"{words}:? ([\d,]+) bytes(?: in ([\d,]+) blocks)?", done.stderr)
        return [int(group.replace(",", "")) for group in found.groups()] if found else [0, 0]  # where all is freed
    assert "in use at exit: " in done.stderr
    return number("definitely lost")[0] + number("indirectly lost")[0], number("in use at exit")[1], done.stderr


@pytest.mark.parametrize("statements", [[], ALL], ids=["", "all"])
@pytest.mark.parametrize("load", [EXTENSION, PROCESS_EXTENSION], ids=["connection", "process"])
def test_more_loads_and_closes_leave_no_more(wal_path, load, statements):
    statements = [statement.format(path=wal_path) for statement in statements]
    of_shell, _, _ = left_at_exit(wal_path, 2, None, [])
    few_lost, few, _ = left_at_exit(wal_path, 3, load, statements)
    lost, many, report = left_at_exit(wal_path, ROUNDS, load, statements)
    print(f"\n{lost} bytes are lost, {of_shell} of them the shell's; {few} blocks are in use at exit after 3 connections, {many} after {ROUNDS}")
    assert few_lost == lost == of_shell, report
    assert many <= few, report
