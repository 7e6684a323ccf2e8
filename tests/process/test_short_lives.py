"""Programs that open a database, ask once and exit, as shells, cron jobs and CGI programs do."""

import os
import shutil
import statistics
import subprocess
import time

import pytest

from conftest import EXTENSION, connect, metrics, one
from waiting import wait_for
from workers import fast_path, worker  # noqa: F401 (fixtures)

SHELL = shutil.which("sqlite3")
pytestmark = pytest.mark.skipif(not SHELL, reason="there is no sqlite3 shell")

INSERT = "INSERT INTO t(payload) VALUES ('a')"
SELECT = "SELECT count(*) FROM t"


def command(path, sql, load=True):
    loading = ["-cmd", f".load '{EXTENSION}'"] if load else []
    return [SHELL, "-batch", "-init", os.devnull, *loading, str(path), sql]


def run(path, sql, load=True):
    """Seconds from its start to its end."""
    began = time.monotonic()
    done = subprocess.run(command(path, sql, load), capture_output=True, text=True, timeout=60)
    took = time.monotonic() - began
    assert (done.returncode, done.stderr) == (0, "")
    return took


def counted(path):
    db = connect(path)
    calls = dict(db.execute("SELECT query, calls FROM query_performance WHERE query LIKE '% t%'").fetchall())
    found = metrics(db)["commits"], calls
    db.close()
    return found


def test_each_statement_is_counted(wal_path):
    """Also the first one, whose process makes the control file."""
    for _ in range(10):
        run(wal_path, INSERT)
        run(wal_path, SELECT)
    assert counted(wal_path) == (10, {"INSERT INTO t (payload) VALUES (?)": 10, "SELECT count(*) FROM t": 10})


@pytest.mark.parametrize("there", [False, True], ids=["the first of them makes the control file", "it is there"])
def test_each_statement_of_processes_at_once_is_counted(wal_path, there):
    if there:
        run(wal_path, INSERT)
    at_once = 8
    sql = f"PRAGMA busy_timeout=20000; {INSERT}; {INSERT}"
    for _ in range(3):
        shells = [subprocess.Popen(command(wal_path, sql), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                  for _ in range(at_once)]
        for shell in shells:
            assert (shell.communicate(timeout=60)[1], shell.returncode) == ("", 0)
    commits, calls = counted(wal_path)
    assert commits == 6 * at_once + there
    assert calls["INSERT INTO t (payload) VALUES (?)"] == 6 * at_once + there


@pytest.mark.parametrize("sql", [SELECT, INSERT])
def test_nothing_is_waited_for(wal_path, sql):
    """What it costs is measured by `wal_bench scale`, one or two milliseconds; here a wait would show."""
    more = []
    run(wal_path, INSERT)
    for _ in range(15):
        more.append(run(wal_path, sql) - run(wal_path, sql, load=False))
    assert statistics.median(more) < 0.02


def test_it_has_no_thread(wal_path):
    shell = subprocess.Popen([*command(wal_path, INSERT)[:-1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    began = time.monotonic()
    shell.stdin.write(f"{INSERT};{INSERT};{SELECT};\n")
    shell.stdin.flush()
    assert shell.stdout.readline() == "2\n"
    threads = len(os.listdir(f"/proc/{shell.pid}/task"))
    early = time.monotonic() - began < 0.9
    shell.communicate(timeout=60)
    if early:
        assert threads == 1
    assert one(connect(wal_path, None), SELECT) == 2


def test_bug_a_program_that_came_to_rest_in_its_first_second_got_no_plans(fast_path, worker):  # noqa: F811
    """No thread takes a request then, and the connection begins no statement later."""
    process = worker(fast_path)
    process.run("""
        path = db.execute("PRAGMA database_list").fetchone()[2]
        db.execute("BEGIN")
        for number in range(100):
            db.execute("INSERT INTO t(payload) VALUES (?)", (number,))
        time.sleep(0.15)
        db.execute("INSERT INTO t(payload) VALUES (7)")
        db.execute("COMMIT")
        for number in range(2):
            db.execute("SELECT id FROM t WHERE payload = ?", (number,)).fetchall()
            time.sleep(0.12)
        db.execute("SELECT 1").fetchall()
        time.sleep(0.8)
        other = connect(path)
    """)
    asker = connect(fast_path)
    def plan():
        process.run("other.execute('SELECT 2').fetchall()")  # the process is in use, but not by its first connection
        return one(asker, "SELECT plan FROM query_performance WHERE query = 'SELECT id FROM t WHERE payload = ?'")
    assert wait_for(plan, 10) == "SCAN t"
    asker.close()
