"""Processes to test with: each runs Python that the test sends it over a pipe, one line at a time.

A worker's namespace has `connect`, `one`, `metrics`, `inline` of conftest.py. `call` evaluates an expression
there and returns its value, `run` executes statements, `start` sends without waiting and `finish`
collects the answer. Lines that the worker prints itself are acknowledgements: `lines` has them.
"""

import json
import os
import pathlib
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import pytest

from conftest import connect

TESTS = pathlib.Path(__file__).resolve().parents[1]
PATIENCE = 30  # seconds after which a worker that says nothing is an error
NOBODY = pwd.getpwnam("nobody")

BOOT = textwrap.dedent(
    """
    import json, os, resource, signal, sqlite3, sys, threading, time, types
    sys.path.insert(0, {tests!r})
    # conftest.py wants pytest for its fixtures alone, and pytest takes longer to import than all else.
    sys.modules["pytest"] = types.SimpleNamespace(fixture=lambda function: function)
    from conftest import EXTENSION, PROCESS_EXTENSION, connect, inline, metrics, one, threads_named
    scope = dict(globals())
    while True:
        request = sys.stdin.readline()
        if not request:
            break
        try:
            kind, text = json.loads(request)
            value = eval(text, scope) if kind == "call" else exec(text, scope)
            answer = {{"value": value}}
        except Exception as error:
            answer = {{"error": type(error).__name__ + ": " + str(error)}}
        print("=" + json.dumps(answer), flush=True)
    """
)


class WorkerError(Exception):
    """What the code in the worker raised; args[0] is 'Type: message'."""


class Worker:
    def __init__(self, user=None, umask=None, namespace=False, **environment):
        """`namespace`: as pid 1 of a PID namespace of its own, as in a container; or the command that makes another one."""
        options = {}
        inside = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"] if namespace is True else namespace or []
        if user:
            options.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        if umask is not None:
            options.update(umask=umask)
        self.lines = []
        self._buffer = b""
        self._process = subprocess.Popen(
            [*inside, sys.executable, "-c", BOOT.format(tests=str(TESTS))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            cwd="/",
            **options,
        )
        self.pid = self._process.pid

    def start(self, kind, text):
        request = json.dumps([kind, textwrap.dedent(text).strip()]) + "\n"
        self._process.stdin.write(request.encode())
        self._process.stdin.flush()

    def finish(self):
        while True:
            line = self.read_line()
            if line is None:
                raise WorkerError(f"worker ended with {self._process.wait()}")
            if not line.startswith("="):
                self.lines.append(line)
                continue
            answer = json.loads(line[1:])
            if "error" in answer:
                raise WorkerError(answer["error"])
            return answer["value"]

    def call(self, expression):
        self.start("call", expression)
        return self.finish()

    def run(self, statements):
        self.start("run", statements)
        self.finish()

    def metrics(self):
        """The row of wal_metrics that its connection `db` sees."""
        return self.call("metrics(db)")

    def read_line(self):
        """The next line that the worker prints; None at its end."""
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            if not select.select([descriptor], [], [], PATIENCE)[0]:
                self.kill()
                raise WorkerError(f"worker {self.pid} said nothing for {PATIENCE} s")
            more = os.read(descriptor, 65536)
            if not more:
                return None
            self._buffer += more
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode()

    def answers_within(self, seconds):
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def wait_for_lines(self, count):
        while len(self.lines) < count:
            line = self.read_line()
            assert line is not None and not line.startswith("="), line
            self.lines.append(line)

    def kill(self):
        """kill -9; what it had printed by then is in `lines`."""
        self._process.send_signal(signal.SIGKILL)
        while (line := self.read_line()) is not None:
            self.lines.append(line)
        self._process.wait()
        self._close()

    def end(self):
        """Ends it as a program ends; its exit status."""
        if self._process.poll() is None:
            self._process.stdin.close()
        status = self._process.wait(PATIENCE)
        self._close()
        return status

    def _close(self):
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    @property
    def running(self):
        return self._process.poll() is None


@pytest.fixture
def worker():
    """Makes workers: `worker(path)` has a managed connection `db` to path; all are ended.

    synchronous is NORMAL: kill -9 does not take what the system has, and commits need no sync.
    """
    made = []

    def make(path=None, load=True, timeout=20, **options):
        process = Worker(**options)
        made.append(process)
        if path is not None:
            loaded = "EXTENSION" if load else "None"
            process.run(
                f"""
                db = connect({str(path)!r}, {loaded}, timeout={timeout})
                db.execute("PRAGMA synchronous=NORMAL")
                """
            )
        return process

    yield make
    for process in made:
        if process.running:
            process.kill()


@pytest.fixture
def fast_path(tmp_path):
    """As wal_path, in memory where the system has such a place: thousands of checkpoints sync."""
    memory = pathlib.Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="walmanager-", dir=memory if usable else tmp_path))
    path = directory / "test.db"
    db = connect(path, None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.close()
    yield path
    shutil.rmtree(directory)


@pytest.fixture
def namespaces():
    """For tests with workers in PID namespaces of their own."""
    made = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip("no PID namespace can be made here: " + made.stderr.strip())


def grow_up():
    """Waits until walmanager has been loaded for over a second in all workers: before that no thread looks there."""
    time.sleep(1.1)


def integrity(path):
    """What the bare engine says about the database."""
    db = connect(path, None, timeout=20)
    try:
        return db.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        db.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system that holds the control file, a small database and a log."""
    mount = tmp_path / "small"
    mount.mkdir()
    if os.system(f"mount -t tmpfs -o size=24m tmpfs {mount} 2>/dev/null") != 0:
        pytest.skip("mount is not permitted here")
    yield mount
    os.system(f"umount -l {mount}")
