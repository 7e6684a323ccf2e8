"""Django: a receiver or the application walmanager.django, threads, gunicorn's workers, manage.py walmanager health."""

import re
import subprocess

import pytest

from hosts import EXTENSION, FOLDER, ROOT, check, connect, environment, orders, python_with, requests, row, run, served  # noqa: F401

SITE = FOLDER / "python" / "django_site.py"
WHERE = ["debian", "pinned"]


def version_and_sqlite(python):
    code = "import django, sqlite3; print(django.get_version(), sqlite3.sqlite_version)"
    return subprocess.run([python, "-I", "-c", code], text=True, capture_output=True, check=True).stdout.split()


@pytest.mark.parametrize("where", WHERE)
def test_each_thread_has_the_extension(where, tmp_path, row):
    python = python_with("django", where)
    path = orders(tmp_path)
    answer = run([python, SITE, "trial"], path)
    row("Django", answer["version"], answer["sqlite"], "a receiver, 5 threads")
    assert answer["hooks"] == ["active"] * 5
    check(path, 601, answer)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("stay", [False, True], ids=["a connection a request", "connections stay"])
def test_workers_of_gunicorn_that_were_forked(where, stay, tmp_path, row):
    python = python_with("django", where)
    python_with("gunicorn", where)
    path = orders(tmp_path)
    row("Django", *version_and_sqlite(python), f"gunicorn, 2 preloaded workers of 4 threads, {'connections stay' if stay else 'a connection a request'}")
    command = [python, "-m", "gunicorn", "--preload", "--workers", 2, "--threads", 4, "--bind", f"unix:{tmp_path}/socket",
               "--worker-tmp-dir", tmp_path, "django_site:application"]
    variables = {"HOST_CONNECTIONS_STAY": 1} if stay else {}
    with served(command, path, tmp_path / "socket", cwd=SITE.parent, HOST_PRELOAD=1, **variables):
        answers = requests(tmp_path / "socket", "/write", 8, 60)
        assert {answer["hook"] for answer in answers} == {"active"}
        assert len({answer["pid"] for answer in answers}) == 2
    check(path, 480, log_gone=not stay)


@pytest.fixture
def package(tmp_path):
    """The path of Python modules with walmanager.django in it, and beside it a `walmanager.load` that loads the library under test."""
    folder = tmp_path / "modules" / "walmanager"
    folder.mkdir(parents=True)
    (folder / "django").symlink_to(ROOT / "scripts/packages/python/walmanager/django")
    (folder / "__init__.py").write_text(f"""
def load(connection):
    connection.enable_load_extension(True)
    connection.load_extension({str(EXTENSION)!r})
""")
    return folder.parent


@pytest.mark.parametrize("where", WHERE)
def test_the_application_loads_and_tells_the_health(where, package, tmp_path, row):
    python = python_with("django", where)
    path = orders(tmp_path)
    row("Django", *version_and_sqlite(python), "the application walmanager.django, manage.py walmanager health")

    def health(*options):
        return subprocess.run([python, SITE, "walmanager", "--no-color", "health", *options], text=True, capture_output=True,
                              timeout=60, env=environment(path, HOST_APP=1, PYTHONPATH=package))
    said = health()
    assert (said.returncode, said.stderr) == (0, "")
    assert re.search(r"^\w+  overall: 0 critical, \d+ warnings?, \d+ unknown, \d+ ok$", said.stdout, re.MULTILINE)
    every = health("--all").stdout
    db = connect(path)
    assert [line.split(":")[0].split()[1] for line in every.splitlines() if not line.startswith(" ")] == [
        name for (name,) in db.execute("SELECT check_name FROM system_health")]
    db.execute("SELECT wal_set('disk_free.warning', 1e8), wal_set('disk_free.critical', 1e8)").fetchall()
    db.close()
    critical = health()
    assert (critical.returncode, critical.stderr) == (1, "CommandError: a check is critical\n")
    assert "critical  disk_free: " in critical.stdout
    unknown = health("--database", "other")
    assert (unknown.returncode, unknown.stderr) == (1, "CommandError: walmanager: database 'other' is not one of default\n")
    answer = run([python, SITE, "trial"], path, HOST_APP=1, PYTHONPATH=package)
    assert answer["hooks"] == ["active"] * 5
    check(path, 601, answer)
