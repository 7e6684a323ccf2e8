"""PHP, Perl and Tcl. test_drivers.py of tests/integration tries them further."""

import pathlib
import shutil

import pytest

from hosts import EXTENSION, FOLDER, check, missing, orders, row, run  # noqa: F401


def program(name):
    if not shutil.which(name):
        missing(name)
    return name


def php():
    return [program("php"), "-d", f"sqlite3.extension_dir={EXTENSION.parent}"]


@pytest.mark.parametrize("host, name, hooks, rows, tried", [
    ("PHP SQLite3", "sqlite3_class.php", 1, 600, "one process"),
    ("PHP SQLite3", "forks.php", 4, 602, "4 processes, forked with a connection open"),
    ("PHP PDO", "pdo.php", 2, 600, "walmanagerprocess, two connections"),
    ("Laravel's database package", "laravel.php", 1, 600, "Eloquent, walmanagerprocess")])
def test_php(host, name, hooks, rows, tried, tmp_path, row):
    if name == "laravel.php" and not pathlib.Path("/usr/share/php/Illuminate/Database/Capsule").exists():
        missing("Illuminate (Debian's package php-illuminate-database)")
    path = orders(tmp_path)
    answer = run([*php(), FOLDER / "php" / name], path)
    row(host, answer["version"], answer["sqlite"], tried)
    assert answer["hooks"] == ["active"] * hooks
    check(path, rows, answer)


def test_perl(tmp_path, row):
    path = orders(tmp_path)
    answer = run([program("perl"), FOLDER / "perl" / "dbi.pl"], path)
    row("Perl DBD::SQLite", answer["version"], answer["sqlite"], "4 processes, forked with a connection open")
    assert answer["hooks"] == ["active"] * 5
    check(path, 602, answer)


def test_tcl(tmp_path, row):
    path = orders(tmp_path)
    answer = run([program("tclsh"), FOLDER / "tcl" / "tclsqlite.tcl"], path)
    row("Tcl", answer["version"], answer["sqlite"], "one process")
    assert answer["hooks"] == ["active"]
    check(path, 600, answer)
