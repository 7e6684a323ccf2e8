"""Datasette: a plugin of a few lines loads the extension and shows system_health."""

import json
import signal
import subprocess
import urllib.parse

from hosts import FOLDER, INSTALLED, check, connect, get, orders, python_with, requests, row, served  # noqa: F401


def test_a_plugin_shows_the_health(tmp_path, row):
    python = python_with("datasette", "pinned")
    path = orders(tmp_path)
    said = subprocess.run([python, "-m", "datasette", "--version"], text=True, capture_output=True, check=True).stdout
    db = connect(path)
    command = [python, "-m", "datasette", "serve", path, "--plugins-dir", FOLDER / "python" / "datasette_plugins", "--uds", tmp_path / "socket"]
    with served(command, path, tmp_path / "socket", statuses=(-signal.SIGTERM,)):
        for n in range(600):
            db.execute("INSERT INTO orders(note, total) VALUES ('beside', 1)")
        answers = requests(tmp_path / "socket", "/orders/health.json?_shape=array", 4, 5)
        shown = json.loads(get(tmp_path / "socket", "/orders.json?_shape=array&sql=" + urllib.parse.quote(
            "SELECT hook, commits, sqlite_version() AS sqlite FROM wal_metrics")))
        assert "overall" in get(tmp_path / "socket", "/orders/health")
    row("Datasette", said.split()[-1], shown[0]["sqlite"], "a plugin with a page of system_health, beside a writer")
    assert (shown[0]["hook"], shown[0]["commits"]) == ("active", 602)  # with the two of the schema
    assert all("overall" in [line["check_name"] for line in health] for health in answers)
    db.close()
    check(path, 600)
