"""Versions and builds of SQLite: a program with its own, which four threads use, and every table and function of the extension."""

import platform
import re
import subprocess
import sys

import pytest

from conftest import ROOT
from hosts import EXTENSION, FOLDER, INSTALLED, SECONDS, missing, row  # noqa: F401

sys.path.insert(0, str(FOLDER / "versions"))
import builds  # noqa: E402
import debian  # noqa: E402

REFUSED = {"OMIT_WAL": "sqlite3_wal_hook() is needed", "OMIT_AUTHORIZATION": "sqlite3_set_authorizer() is needed"}


@pytest.mark.parametrize("version, name", list(builds.builds()), ids=" ".join)
def test_sqlite(version, name, tmp_path, row):
    program = builds.program(INSTALLED / "versions", version, name)
    if not program.exists():
        missing("SQLite in other versions")
    tried = {"as it is": "4 threads, every table"}.get(name, name)
    row("SQLite", version, version, f"{tried}, refused with a sentence" if name in REFUSED else tried)
    done = subprocess.run([program, EXTENSION, tmp_path / "t.db"], text=True, capture_output=True, timeout=SECONDS)
    lines = done.stdout.splitlines()
    if name in REFUSED:
        assert lines == [f"load: error during initialization: walmanager: {REFUSED[name]}, and this SQLite was built with SQLITE_{name}"]
        return
    assert (done.returncode, done.stderr, lines[-1]) == (0, "", "ok"), done.stdout
    assert re.match(f"SQLite {re.escape(version)}, \\d+ tables with \\d+ rows", lines[-2])


@pytest.mark.parametrize("number", list(debian.SUITES))
def test_debian(number, tmp_path, row):
    """The libraries of a release of Debian, and the library that scripts/release builds for it."""
    command = debian.command(INSTALLED / "versions", number)
    library = ROOT / "dist" / f"linux-{platform.machine()}-glibc" / "walmanager.so"
    if not command:
        missing("SQLite in other versions")
    if not library.exists():
        pytest.skip("the library of scripts/release is not installed: scripts/release builds it")
    done = subprocess.run([*command, library, tmp_path / "t.db"], text=True, capture_output=True, timeout=SECONDS)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, lines[-1]) == (0, "", "ok"), done.stdout
    row(f"Debian {number}", f"glibc {libc_version(command[0])}", lines[-2].split()[1].rstrip(","), "4 threads, every table, the library of scripts/release")


def libc_version(loader):
    said = subprocess.run([loader, debian.found(loader.parent, "libc.so.6")], text=True, capture_output=True).stdout
    return re.search(r"release version ([\d.]+?)\.?\n", said)[1]
