"""What the trials of the hosts have in common: a database, a program of a host that writes it, and what must be true afterwards.

A trial never fails because its host is not installed: it is skipped, and says so. `scripts/test --hosts` installs all hosts.
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from conftest import BUILD, ROOT, connect, one
from helpers import files_beside
from waiting import wait_for

FOLDER = pathlib.Path(__file__).resolve().parent
INSTALLED = pathlib.Path(os.environ.get("WALMANAGER_HOSTS", ROOT / "build" / "hosts"))
EXTENSION = BUILD / "walmanager.so"
CHECKPOINT_FRAMES = 200
SECONDS = 120  # a host that takes longer hangs


def missing(what):
    pytest.skip(f"{what} is not installed: scripts/test --hosts installs it")


def orders(tmp_path):
    """The path of a database in WAL mode with an empty table, whose log is copied every 200 frames."""
    path = tmp_path / "orders.db"
    db = connect(path)
    assert one(db, "PRAGMA journal_mode=WAL") == "wal"
    db.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT NOT NULL, total REAL NOT NULL)")
    db.execute("CREATE INDEX orders_note ON orders(note)")
    db.execute("SELECT wal_set('checkpoint_frames', ?)", (CHECKPOINT_FRAMES,)).fetchall()
    db.close()
    return path


def environment(path, **variables):
    """What a program of a host finds in its environment."""
    return {**os.environ, "DATABASE": str(path), "WALMANAGER": str(EXTENSION), "PYTHONDONTWRITEBYTECODE": "1",
            **{name: str(value) for name, value in variables.items()}}


def run(command, path, cwd=FOLDER, quiet=True, **variables):
    """Runs a program of a host to its end. Returns the JSON object that it prints in its last line, and the `seconds` it took."""
    started = time.monotonic()
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment(path, **variables), text=True,
                          capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    assert not quiet or done.stderr == ""
    return {**json.loads(done.stdout.splitlines()[-1]), "seconds": time.monotonic() - started}


def check(path, rows, answer=None, log_gone=True):
    """The host's commits are all there, and its figures have arrived in the control file. A thread needs some time to begin: where the
    program ended within two seconds, it may not have copied anything."""
    if log_gone:
        assert files_beside(path) == {"", "-walmanager"}
    bare = connect(path, load=None)
    assert one(bare, "SELECT count(*) FROM orders") == rows
    assert one(bare, "PRAGMA integrity_check") == "ok"
    bare.close()
    db = connect(path)
    commits, copied, inline, resets = db.execute(
        "SELECT commits, checkpoints_background, checkpoints_inline, wal_resets FROM wal_metrics").fetchone()
    assert commits >= rows
    if not answer or answer["seconds"] > 2:
        assert copied + inline >= 1, (copied, inline, resets)
    calls = one(db, "SELECT sum(calls) FROM query_performance WHERE query LIKE 'INSERT INTO%orders%'")
    assert calls >= rows
    db.close()


class Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket, so that no two tests want the same port."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def get(socket_path, url):
    """The body of the answer. An answer that is not 200 fails the test."""
    connection = Unix(socket_path)
    try:
        connection.request("GET", url)
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body
        return body
    finally:
        connection.close()


@contextlib.contextmanager
def served(command, path, socket_path, cwd=FOLDER, end=signal.SIGTERM, statuses=(0,), **variables):
    """A server of a host, from the moment it listens. At the end it gets a signal, and must be gone within ten seconds."""
    log = pathlib.Path(f"{socket_path}.log")
    with open(log, "w") as out:
        server = subprocess.Popen([str(part) for part in command], cwd=cwd, env=environment(path, **variables), stdout=out,
                                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)

    def listens():
        assert server.poll() is None, log.read_text()
        try:
            probe = socket.socket(socket.AF_UNIX)
            probe.connect(str(socket_path))
            probe.close()
            return True
        except OSError:
            return False
    try:
        wait_for(listens, 60)
        yield server
        server.send_signal(end)
        try:
            status = server.wait(10)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end\n{stacks(server.pid)}{log.read_text()}") from None
        assert status in statuses, log.read_text()
    except Exception as error:
        error.add_note(log.read_text())
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def stacks(pid):
    """Where the threads of a process wait, as far as the system tells."""
    lines = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            lines.append(f"{(task / 'comm').read_text().strip()}: {(task / 'wchan').read_text()}\n")
    return "".join(lines)


def requests(socket_path, url, clients, each):
    """So many clients at once, each with so many requests. Returns the JSON objects of all answers."""
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        jobs = [pool.submit(lambda: [json.loads(get(socket_path, url)) for _ in range(each)]) for _ in range(clients)]
        return [answer for job in jobs for answer in job.result()]


def python_with(module, where):
    """The Python of an environment that has the module: Debian's own, or the one with pinned versions."""
    python = pathlib.Path("/usr/bin/python3") if where == "debian" else INSTALLED / "python" / "bin" / "python"
    found = python.exists() and subprocess.run([str(python), "-I", "-c", f"import {module}"], capture_output=True).returncode == 0
    if not found:
        missing(f"{module} ({where})")
    return python


class Row:
    """What the test tells of its host in the table of README.md."""

    def __init__(self, record_property):
        self.record = record_property

    def __call__(self, host, version, sqlite, tried):
        for name, value in (("host", host), ("version", version), ("sqlite", sqlite), ("tried", tried)):
            self.record(name, value)


@pytest.fixture
def row(record_property):
    return Row(record_property)
