"""The wheel, made of the present build and installed in an empty environment without network: load() and the console command."""

import base64
import csv
import hashlib
import importlib.util
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile

import pytest

from conftest import ROOT, connect, one
from packages import INSTALLED, built_twice, refused_inputs

COMMANDS = ["health", "watch", "dashboard", "advise", "backup", "checkpoint"]
# A sqlite3 that was built without enable_load_extension, as that of many Pythons is.
CANNOT_LOAD = "class Error(Exception): pass\nclass Connection:\n    def close(self): pass\ndef connect(*_, **__): return Connection()\n"


class Environment:
    """An environment of Python in which the wheel is installed, and nothing else."""

    def __init__(self, folder, wheel):
        self.wheel = wheel
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.bin = folder / "bin"
        subprocess.run([sys.executable, "-m", "pip", "--python", self.bin / "python", "install", "--quiet", "--no-index", "--no-compile",
                        "--disable-pip-version-check", wheel], check=True)

    def run(self, program, *words, path=None, cwd=None):
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "WALMANAGER_BUILD")}
        environment.update(PYTHONIOENCODING="utf-8", PYTHONDONTWRITEBYTECODE="1", **({"PYTHONPATH": str(path)} if path else {}))
        return subprocess.Popen([str(self.bin / program), *map(str, words)], env=environment, cwd=cwd, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def python(self, code, *words, path=None, cwd=None):
        """What the code prints."""
        process = self.run("python", "-c", code, *words, path=path, cwd=cwd)
        printed, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, ""), errors
        return printed

    def told(self, *words, path=None, cwd=None):
        """Exit status, output and errors of the console command."""
        process = self.run("walmanager", *words, path=path, cwd=cwd)
        printed, errors = process.communicate(timeout=60)
        return process.returncode, printed, errors


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed: apt-get install python3-pip")
    folder = tmp_path_factory.mktemp("wheel")
    [wheel] = built_twice("python", folder).values()
    return Environment(folder / "environment", wheel)


@pytest.fixture(scope="module")
def with_apsw(tmp_path_factory):
    """A folder for PYTHONPATH: a sqlite3 that cannot load, and APSW."""
    found = importlib.util.find_spec("apsw")
    if found is None:
        pytest.skip("APSW is not installed: apt-get install python3-apsw")
    folder = tmp_path_factory.mktemp("apsw")
    (folder / "sqlite3.py").write_text(CANNOT_LOAD)
    (folder / "apsw").symlink_to(pathlib.Path(found.origin).parent)
    return folder


@pytest.fixture(scope="module")
def with_nothing(tmp_path_factory):
    """The same without APSW."""
    folder = tmp_path_factory.mktemp("nothing")
    (folder / "sqlite3.py").write_text(CANNOT_LOAD)
    return folder


def test_the_record_of_the_wheel_is_true(environment):
    assert re.fullmatch(r"walmanager-[\d.]+-py3-none-linux_\w+\.whl", environment.wheel.name)
    with zipfile.ZipFile(environment.wheel) as wheel:
        names = wheel.namelist()
        [record] = [name for name in names if name.endswith("/RECORD")]
        listed = {name: (digest, size) for name, digest, size in csv.reader(wheel.read(record).decode().splitlines())}
        assert sorted(listed) == sorted(names) and listed.pop(record) == ("", "")
        for name, (digest, size) in listed.items():
            data = wheel.read(name)
            assert digest == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=") and int(size) == len(data)
        # The scripts of the wheel are those of the tree.
        for name in names:
            if name.startswith("walmanager/scripts/") and not name.endswith(".so"):
                assert wheel.read(name) == (ROOT / "scripts" / name.removeprefix("walmanager/scripts/")).read_bytes()
    assert "walmanager/py.typed" in names and "walmanager/scripts/dashboard_files/page/index.html" in names


def test_the_builder_refuses_what_is_no_library(tmp_path):
    refused_inputs("python", tmp_path)


@pytest.mark.parametrize("page", ["README.md", "scripts/packages/python/README.md"])
def test_the_snippet_runs(page, environment, tmp_path, record_property):
    text = (ROOT / page).read_text()
    if page == "README.md":
        line = re.search(r"^\| Python, APSW \|.*`(.*?)` \|$", text, re.MULTILINE)[1]
        code = f"import sqlite3\ndb = sqlite3.connect('app.db')\n{line}\nprint(db.execute('SELECT check_name FROM system_health').fetchall())"
    else:
        code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert "journal_mode" in environment.python(code, cwd=tmp_path)
    for name, value in (("host", "Python package"), ("version", environment.wheel.name.split("-")[1]), ("sqlite", sqlite3.sqlite_version),
                        ("tried", "pip install of the wheel, load(), the console command")):
        record_property(name, value)


def test_load_leaves_the_connection_as_it_was(environment):
    said = environment.python("""
import sqlite3, walmanager
def enabled(db):
    try:
        db.load_extension(walmanager.loadable_path())
        return True
    except sqlite3.OperationalError as error:
        assert str(error) == "not authorized"
        return False
for before in (False, True):
    db = sqlite3.connect(":memory:")
    db.enable_load_extension(before)
    walmanager.load(db)
    walmanager.load(db)
    print(enabled(db) == before, db.execute("SELECT count(*) > 0 FROM wal_help").fetchone())
print(sqlite3.connect(":memory:").execute("SELECT count(*) FROM pragma_module_list WHERE name = 'wal_help'").fetchone())
walmanager.load_into_process()
print(sqlite3.connect(":memory:").execute("SELECT count(*) > 0 FROM wal_help").fetchone())
""")
    assert said.splitlines() == ["True (1,)", "True (1,)", "(0,)", "(1,)"]


def test_an_error_of_the_extension_leaves_loading_on(environment):
    said = environment.python("""
import walmanager
class Fake:
    calls = []
    def enable_load_extension(self, on): self.calls.append(on)
    def load_extension(self, name): raise ValueError(self.text)
class ExtensionLoadingError(Exception): pass
class OldApsw(Fake):
    calls = []
    def load_extension(self, name):
        if self.calls[-1:] != [True]: raise ExtensionLoadingError("ExtensionLoadingError: not authorized")
for Fake.text in ("error during initialization: not authorized", "not authorized"):
    try:
        walmanager.load(Fake())
    except walmanager.LoadError:
        print(Fake.calls)
walmanager.load(OldApsw())
print(OldApsw.calls)
""")
    assert said.splitlines() == ["[]", "[True, False]", "[True, False]"]


def test_what_cannot_be_loaded_is_told_with_what_to_do(environment, tmp_path):
    shutil.copytree(next(environment.bin.parent.glob("lib/python3*/site-packages/walmanager")), tmp_path / "walmanager")
    said = json.loads(environment.python("""
import json, os, sqlite3, struct, walmanager
path = walmanager.loadable_path()
good = open(path, "rb").read()
said = {}
def trial(name, data):
    os.unlink(path)  # what lies there may be mapped
    if data is not None:
        with open(path, "wb") as file:
            file.write(data)
    db = sqlite3.connect(":memory:")
    try:
        walmanager.load(db)
    except walmanager.LoadError as error:
        said[name] = str(error)
    db.close()
other = bytearray(good)
struct.pack_into("<H", other, 18, 40)
trial("machine", other)
trial("text", b"no library")
trial("libc", good.replace(b"\\0libc.so.6\\0", b"\\0libc.so.9\\0"))
trial("absent", None)
try:
    walmanager.load(5)
except walmanager.LoadError as error:
    said["connection"] = str(error)
class Fake:
    def enable_load_extension(self, on): pass
    def load_extension(self, name): raise ValueError("walmanager: SQLite 3.34.0 or newer is needed, this is 3.31.1")
class Asynchronous(Fake):
    async def load_extension(self, name): raise NotImplementedError
for name, connection in (("old", Fake()), ("asynchronous", Asynchronous())):
    try:
        walmanager.load(connection)
    except walmanager.LoadError as error:
        said[name] = str(error)
assert path.startswith(os.environ["PYTHONPATH"])
print(json.dumps(said))
""", path=tmp_path))
    begins, again = f"{tmp_path}/walmanager/scripts/walmanager.so: ", "pip install --force-reinstall walmanager."
    assert said["machine"].startswith(begins) and "for another machine than this one" in said["machine"] and said["machine"].endswith(again)
    assert said["text"].startswith(begins) and said["text"].endswith(f"The package is incomplete. Install it anew: {again}")
    assert "for another C library than this system has" in said["libc"]
    assert said["absent"].startswith(begins) and "The package is incomplete" in said["absent"]
    assert said["old"] == ("walmanager: SQLite 3.34.0 or newer is needed, this is 3.31.1. Use a newer Python, or APSW, which brings its own SQLite: "
                           "pip install apsw.")
    assert said["asynchronous"] == (f"The connection is asynchronous. Await its methods enable_load_extension(True), load_extension('{begins[:-5]}') "
                                    "and enable_load_extension(False) instead.")
    assert said["connection"] == "A builtins.int has no method load_extension. Pass the connection of sqlite3 or APSW that it wraps."


def test_the_commands_say_what_to_do_about_a_bad_library(environment, wal_path, tmp_path):
    shutil.copytree(next(environment.bin.parent.glob("lib/python3*/site-packages/walmanager")), tmp_path / "walmanager")
    library = tmp_path / "walmanager" / "scripts" / "walmanager.so"
    library.write_bytes(b"no library")
    for command in ("health", "dashboard"):
        assert environment.told(command, wal_path, path=tmp_path) == (
            2, "", f"walmanager {command}: SQLite {sqlite3.sqlite_version} of this Python cannot load {library}: {library}: file too short. "
                   "Install the wheel for this machine anew: pip install --force-reinstall WHEEL.\n")


def test_a_library_that_is_named_to_the_dashboard_can_be_another(environment, wal_path, tmp_path):
    (tmp_path / "bad.so").write_bytes(b"no library")
    status, printed, errors = environment.told("dashboard", wal_path, "--library", tmp_path / "bad.so")
    assert (status, printed) == (2, "") and errors.endswith(f"cannot load {tmp_path}/bad.so: {tmp_path}/bad.so: file too short. "
                                                            "Build walmanager on this machine, or name another library with --library.\n")


def test_a_report_shows_the_databases_that_can_be_read(environment, wal_path, tmp_path):
    missing, report = tmp_path / "none.db", tmp_path / "report.html"
    status, printed, errors = environment.told("dashboard", wal_path, missing, "--export", report)
    assert (status, errors) == (1, f"dashboard: {missing} does not exist. Name the file of an existing database.\n")
    assert printed.startswith(f"{report}: ") and "<title>walmanager</title>" in report.read_text()
    other = tmp_path / "other.db"
    status, printed, errors = environment.told("dashboard", missing, other, "--export", tmp_path / "never.html")
    assert (status, printed, errors) == (2, "", "".join(f"walmanager dashboard: {path} does not exist. Name the file of an existing database.\n"
                                                        for path in (missing, other)))
    assert not (tmp_path / "never.html").exists()


def test_a_folder_from_which_no_code_may_run_is_named(environment, tmp_path):
    if subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("this user may not mount file systems, not even in a namespace of its own")
    package = next(environment.bin.parent.glob("lib/python3*/site-packages/walmanager"))
    code = ("import sqlite3, walmanager\ntry:\n    walmanager.load(sqlite3.connect(':memory:'))\nexcept walmanager.LoadError as error:\n    print(error)")
    shell = f"mount -t tmpfs -o noexec none '{tmp_path}' && cp -r '{package}' '{tmp_path}' && PYTHONPATH='{tmp_path}' '{environment.bin}/python' -c \"$1\""
    done = subprocess.run(["unshare", "--map-root-user", "--mount", "sh", "-c", shell, "sh", code], text=True, capture_output=True, timeout=60)
    folder = tmp_path / "walmanager" / "scripts"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"No code may run from {folder}, whose file system is mounted noexec. Install the package in another folder.\n")


def test_the_commands_do_what_they_say(environment, wal_path, tmp_path):
    db = connect(wal_path)
    db.execute("SELECT wal_strategy('off')").fetchall()
    for _ in range(20):
        db.execute("INSERT INTO t(payload) VALUES (zeroblob(100))")

    status, printed, errors = environment.told("health", wal_path, "--all")
    assert (status, errors) == (1, "")
    counts = re.match(rf"{re.escape(str(wal_path))}: (\d+) critical, (\d+) warning, (\d+) unknown, (\d+) ok\n", printed)
    assert counts and len(re.findall(r"^(critical|warning|unknown|ok) +\w+: ", printed, re.MULTILINE)) == sum(map(int, counts.groups()))
    assert re.search(r"^warning   strategy: .+\n +→ ", printed, re.MULTILINE)
    status, printed, errors = environment.told("health", wal_path, "--json")
    assert (status, errors) == (1, "") and "strategy" in [row["check_name"] for row in json.loads(printed)]

    status, printed, errors = environment.told("advise", wal_path)
    assert (status, errors) == (0, "") and "walmanager_observed" not in printed
    assert printed.startswith(f"{wal_path}: no advice.") or "    → " in printed

    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM t").fetchall()
    beside = connect(wal_path)
    beside.execute("INSERT INTO t(payload) VALUES (1)")
    status, printed, errors = environment.told("checkpoint", wal_path)
    assert (status, errors) == (1, "") and " is in the way" in printed and " frames of the log are in the database" in printed
    db.execute("COMMIT")
    status, printed, errors = environment.told("checkpoint", wal_path)
    moved = re.search(r"(\d+) of (\d+) frames of the log are in the database, 1 of them copied now\n$", printed)
    assert (status, errors) == (0, "") and moved[1] == moved[2]

    copy = tmp_path / "copy.db"
    status, printed, errors = environment.told("backup", wal_path, copy)
    assert (status, errors) == (0, "") and re.fullmatch(rf"{copy}: \d+ bytes in \d+ pages, verified, in \d+ ms; the log grew by 0 bytes\n", printed)
    assert one(sqlite3.connect(copy), "SELECT count(*) FROM t") == 21
    assert environment.told("backup", wal_path, copy) == (2, "", f"walmanager backup: wal_backup: path '{copy}' exists: --overwrite replaces it.\n")
    assert environment.told("backup", wal_path, copy, "--overwrite")[0] == 0

    status, printed, errors = environment.told("watch", wal_path, "--once", "--interval", "0.5")
    assert (status, errors) == (0, "") and printed.startswith(f"{wal_path} at ")
    report = tmp_path / "report.html"
    status, printed, errors = environment.told("dashboard", wal_path, "--export", report)
    assert (status, errors) == (0, "") and "<title>walmanager</title>" in report.read_text()
    db.close()
    beside.close()


def test_health_does_not_say_that_all_is_well_where_it_sees_nothing(environment, wal_path):
    pathlib.Path(f"{wal_path}-walmanager").mkdir()
    status, printed, errors = environment.told("health", wal_path)
    assert (status, printed) == (2, "") and errors.startswith("walmanager health: What programs do cannot be seen: "), (status, printed, errors)


def test_wrong_input_is_told_in_a_sentence_and_makes_no_file(environment, tmp_path):
    (tmp_path / "text").write_text("This is not a database. " * 100)
    missing, text, target = tmp_path / "no.db", tmp_path / "text", tmp_path / "copy.db"
    plain = tmp_path / "plain"
    sqlite3.connect(plain).execute("CREATE TABLE t(x)").connection.close()
    tried = {}
    for command in COMMANDS:
        more = [target] if command == "backup" else []
        tried[command, missing, *more] = f"walmanager {command}: {missing} does not exist. Name the file of an existing database.\n"
        tried[command, text, *more] = f"walmanager {command}: {text} is not a SQLite database, or it is encrypted, or its first page is corrupt.\n"
    tried["nothing", missing] = "argument COMMAND: invalid choice: 'nothing' (choose from 'health', 'watch', 'dashboard', 'advise', 'backup', 'checkpoint')\n"
    tried[()] = "the following arguments are required: COMMAND\n"
    tried[("watch",)] = "the following arguments are required: DATABASE\n"
    tried["checkpoint", missing, "--mode=FAST"] = "argument --mode: invalid choice: 'FAST' (choose from 'PASSIVE', 'FULL', 'RESTART', 'TRUNCATE')\n"
    tried["checkpoint", plain] = f"walmanager checkpoint: {plain} is not in WAL mode (journal_mode is delete), so it has no log. PRAGMA journal_mode=WAL changes that.\n"
    tried["watch", plain] = "watch: watch needs a terminal. For text in a file: --once.\n"
    before = sorted(tmp_path.iterdir())
    waiting, running = list(tried.items()), []
    while waiting or running:
        while waiting and len(running) < 4:
            words, sentence = waiting.pop()
            running.append((words, sentence, environment.run("walmanager", *words)))
        words, sentence, process = running.pop(0)
        printed, errors = process.communicate(timeout=60)
        # A newer Python quotes the choices of argparse in another way.
        assert (process.returncode, printed) == (2, "") and errors.replace("'", "").endswith(sentence.replace("'", "")), (words, errors)
        assert errors.startswith("usage: ") or errors.count("\n") == 1, (words, errors)
    assert sorted(tmp_path.iterdir()) == before


def test_apsw_is_used_where_sqlite3_cannot_load(environment, with_apsw, wal_path, tmp_path):
    db = connect(wal_path)
    db.execute("INSERT INTO t VALUES (1, CAST(x'ff41' AS TEXT))")
    status, printed, errors = environment.told("health", wal_path, path=with_apsw)
    assert status in (0, 1) and errors == "" and re.match(rf"{re.escape(str(wal_path))}: \d+ critical, ", printed)
    status, printed, errors = environment.told("watch", wal_path, "--once", "--interval", "0.5", path=with_apsw)
    assert (status, errors) == (0, "") and printed.startswith(f"{wal_path} at ")
    assert environment.told("backup", wal_path, tmp_path / "copy.db", path=with_apsw)[::2] == (0, "")
    assert environment.told("backup", wal_path, tmp_path / "copy.db", path=with_apsw) == (
        2, "", f"walmanager backup: wal_backup: path '{tmp_path}/copy.db' exists: --overwrite replaces it.\n")
    assert environment.told("health", tmp_path / "no.db", path=with_apsw) == (
        2, "", f"walmanager health: {tmp_path}/no.db does not exist. Name the file of an existing database.\n")
    said = environment.python("""
import sys, apsw, sqlite3, walmanager
walmanager.load(apsw.Connection(sys.argv[1]))
from walmanager import _command
import loadable_sqlite
db = loadable_sqlite.connect(sys.argv[1], 1.0)
rows = db.execute("SELECT payload AS \\"pay load\\", 1 AS one FROM t WHERE id = :id", {"id": 1})
print([column[0] for column in rows.description], rows.fetchall())
print([column[0] for column in db.execute("SELECT 1 AS none WHERE 0").description])
try:
    walmanager.load(sqlite3.connect(sys.argv[1]))
except walmanager.LoadError as error:
    print(error)
""", wal_path, path=with_apsw)
    assert said.splitlines() == ["['pay load', 'one'] [('\ufffdA', 1)]", "['none']",
                                 "This Python's sqlite3 was built without enable_load_extension, so it cannot load extensions. Use the system's Python, "
                                 "or APSW: pip install apsw, then walmanager.load(apsw.Connection(...))."]
    db.close()


def test_a_python_that_cannot_load_at_all_is_told_what_to_do(environment, with_nothing, wal_path):
    sentence = ("This Python's sqlite3 cannot load extensions. Install APSW beside walmanager (pip install apsw), "
                "or install walmanager with another Python, such as /usr/bin/python3.\n")
    for command in ("health", "dashboard", "checkpoint"):
        assert environment.told(command, wal_path, path=with_nothing) == (2, "", f"walmanager {command}: {sentence}")


def test_the_package_has_the_types_that_it_promises(environment, tmp_path):
    mypy = INSTALLED / "python" / "bin" / "mypy"
    if not mypy.exists():
        pytest.skip("mypy is not installed: scripts/test --hosts installs it")
    # Out of site-packages, which mypy takes for the work of others.
    shutil.copytree(next(environment.bin.parent.glob("lib/python3*/site-packages/walmanager")), tmp_path / "walmanager",
                    ignore=shutil.ignore_patterns("scripts", "django"))
    (tmp_path / "program.py").write_text("import sqlite3, walmanager\nwalmanager.load(sqlite3.connect('app.db'))\npath: str = walmanager.loadable_path()\n")
    done = subprocess.run([mypy, "--strict", "--ignore-missing-imports", "--cache-dir", tmp_path / "cache", "--package", "walmanager", "--module", "program"],
                          cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
