"""Go, Rust and Java: their pools, and ends of the process with and without a close. scripts/test --hosts builds the programs."""

import re
import shutil

import pytest

from hosts import FOLDER, INSTALLED, check, missing, orders, row, run  # noqa: F401

OPEN_OR_CLOSED = pytest.mark.parametrize("variables", [{}, {"HOST_LEAVES_OPEN": 1}], ids=["closes", "leaves open"])


def ending(variables):
    return ", connections open at the exit" if variables else ""


@OPEN_OR_CLOSED
def test_go(variables, tmp_path, row):
    program = INSTALLED / "go" / "trial"
    if not program.exists():
        missing("mattn/go-sqlite3")
    path = orders(tmp_path)
    answer = run([program], path, **variables)
    row("Go mattn/go-sqlite3", answer["version"], answer["sqlite"], f"16 goroutines, a pool of 4{ending(variables)}")
    assert answer["hooks"] == ["active"] * 4
    check(path, 800, answer, log_gone=not variables)


@pytest.mark.parametrize("host, hooks, rows, tried", [
    ("rusqlite", 8, 600, "8 threads, a connection for each"), ("sqlx", 4, 800, "16 tasks of tokio, a pool of 4")])
def test_rust(host, hooks, rows, tried, tmp_path, row):
    program = INSTALLED / "rust" / "debug" / f"{host}-host"
    if not program.exists():
        missing(host)
    path = orders(tmp_path)
    answer = run([program], path)
    version = re.search(rf'^{host} = .*"=([\d.]+)"', (FOLDER / "rust" / host / "Cargo.toml").read_text(), re.MULTILINE)[1]
    row(f"Rust {host}", version, answer["sqlite"], tried)
    assert answer["hooks"] == ["active"] * hooks
    check(path, rows, answer)


@OPEN_OR_CLOSED
def test_java(variables, tmp_path, row):
    if not shutil.which("java") or not (INSTALLED / "java").exists():
        missing("HikariCP")
    (driver,) = (INSTALLED / "java").glob("sqlite-jdbc-*.jar")
    (pool,) = (INSTALLED / "java").glob("HikariCP-*.jar")
    path = orders(tmp_path)
    answer = run(["java", "-cp", f"{INSTALLED}/java/*", FOLDER / "java" / "Pool.java"], path, **variables)
    version = " with HikariCP ".join(jar.stem.rsplit("-", 1)[1] for jar in (driver, pool))
    row("Java sqlite-jdbc", version, answer["sqlite"], f"8 threads, HikariCP's pool of 10{ending(variables)}")
    assert answer["hooks"] == ["active"] * 8
    check(path, 600, answer, log_gone=not variables)
