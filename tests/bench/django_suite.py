#!/usr/bin/env python3
"""Runs a part of Django's own test suite on a database file in WAL mode, with and without walmanager.

    /usr/bin/python3 tests/bench/django_suite.py --build build

Makes a virtual environment in a temporary directory and has pip fetch Django and its sources there.
SQLite alone, SQLite alone once more, and SQLite with walmanager take turns. The measure is the user
time of the processor. The Python that runs this must be able to load extensions.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

DJANGO = "5.2.19"
APPS = ["backends", "transactions", "aggregation"]
VARIANTS = ["SQLite", "SQLite again", "walmanager"]
ASKED = 1.1

SETTINGS = '''
import os
from django.db.backends.signals import connection_created

def database(alias):
    name = os.path.join(os.environ["BENCH_DIRECTORY"], alias + ".sqlite3")
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL"},
        "TEST": {"NAME": name},
    }

DATABASES = {alias: database(alias) for alias in ("default", "other")}
SECRET_KEY = "bench"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False

EXTENSION = os.environ.get("BENCH_EXTENSION")

def load(connection, **kwargs):
    if connection.vendor == "sqlite":
        connection.connection.enable_load_extension(True)
        connection.connection.load_extension(EXTENSION)

if EXTENSION:
    connection_created.connect(load, weak=False)
'''


def prepare(directory, version):
    """Returns the Python of the virtual environment and the directory of Django's tests."""
    print(f"fetching Django {version}", file=sys.stderr)
    environment = directory / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(pip + ["install", f"Django=={version}"], check=True)
    download = ["download", "--no-deps", "--no-binary", "Django", "--dest", directory]
    subprocess.run(pip + download + [f"Django=={version}"], check=True)
    (archive,) = directory.glob("[dD]jango-*.tar.gz")
    subprocess.run(["tar", "xzf", archive, "-C", directory], check=True)
    tests = directory / archive.name.removesuffix(".tar.gz") / "tests"
    (tests / "bench_settings.py").write_text(SETTINGS)
    return python, tests


def run(python, tests, apps, databases, extension):
    """Seconds of user time, system time and elapsed time of one run of the suite."""
    environment = dict(os.environ, BENCH_DIRECTORY=databases)
    environment.pop("BENCH_EXTENSION", None)
    if extension:
        environment["BENCH_EXTENSION"] = extension
    command = [python, "runtests.py", "--settings=bench_settings", "--parallel=1", "--noinput", *apps]
    started = time.monotonic()
    with open(Path(databases) / "output", "w+") as output:
        process = subprocess.Popen(
            command, cwd=tests, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            sys.exit(f"{output.read()[-4000:]}\nthe suite failed, extension: {extension}")
    return usage.ru_utime, usage.ru_stime, time.monotonic() - started


def middle_half(values):
    quarters = statistics.quantiles(values, n=4)
    return quarters[2] - quarters[0]


def report(turns):
    lines = ["| seconds | SQLite | walmanager | ratio | spread of SQLite against itself |"]
    lines.append("|---|---|---|---|---|")
    figures = {}
    for which, name in enumerate(("user time", "system time", "elapsed")):
        ratios = [turn["walmanager"][which] / turn["SQLite"][which] for turn in turns]
        spread = middle_half([turn["SQLite again"][which] / turn["SQLite"][which] for turn in turns])
        medians = [
            statistics.median(turn[variant][which] for turn in turns)
            for variant in ("SQLite", "walmanager")
        ]
        figures[name] = (statistics.median(ratios), spread)
        lines.append(
            f"| {name} | {medians[0]:.2f} | {medians[1]:.2f} | {statistics.median(ratios):.3f} "
            f"| {spread:.1%} |"
        )
    ratio, spread = figures["user time"]
    result = "met" if ratio <= ASKED + spread / 2 else "missed"
    if spread > 0.1:
        result = "not decidable in this run"
    lines.append(f"\nuser time: at most {ASKED} times is asked: {result} ({len(turns)} turns)")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", help="directory with walmanager.so")
    parser.add_argument("--pairs", type=int, default=10, help="turns of each variant")
    parser.add_argument("--django", default=DJANGO, help="version of Django")
    parser.add_argument("--dir", help="directory for the databases and for Django")
    parser.add_argument("--json", help="file for the figures of every turn")
    parser.add_argument("apps", nargs="*", default=APPS, help="parts of Django's test suite")
    options = parser.parse_args()
    extension = (Path(options.build) / "walmanager.so").resolve(strict=True)
    if options.pairs < 2:
        parser.error("--pairs: at least 2, for the spread")
    with tempfile.TemporaryDirectory(dir=options.dir) as scratch:
        python, tests = prepare(Path(scratch), options.django)
        turns = []
        for i in range(options.pairs + 1):
            turn = {}
            for step in range(len(VARIANTS)):
                variant = VARIANTS[(step + i) % len(VARIANTS)]
                with tempfile.TemporaryDirectory(dir=scratch) as databases:
                    loaded = str(extension) if variant == "walmanager" else None
                    turn[variant] = run(python, tests, options.apps, databases, loaded)
            if i == 0:  # it compiles what later ones find
                continue
            turns.append(turn)
            print(", ".join(f"{v}: {turn[v][0]:.2f} s" for v in VARIANTS), file=sys.stderr)
    print(report(turns))
    if options.json:
        Path(options.json).write_text(json.dumps(turns))


if __name__ == "__main__":
    main()
