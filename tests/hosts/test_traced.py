"""Drivers that carry a newer SQLite, in a program with a trace of its own."""

import pytest

from hosts import FOLDER, connect, one, orders, python_with, row, run  # noqa: F401


@pytest.mark.parametrize("host, driver", [("APSW", "apsw"), ("pysqlite3", "pysqlite3")])
def test_a_trace_of_the_program_sees_the_program_s_statements_alone(host, driver, tmp_path, row):
    path = orders(tmp_path)
    answer = run([python_with(driver, "pinned"), FOLDER / "python" / "traced.py"], path, HOST_SQLITE=driver)
    row(host, answer["version"], answer["sqlite"], "walmanagerprocess beside a trace of the program")
    assert (answer["hooks"], answer["strangers"]) == (["active"], [])
    assert answer["traced"] >= 600
    db = connect(path)
    assert one(db, "SELECT commits FROM wal_metrics") >= 600
    db.close()
