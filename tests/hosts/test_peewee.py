"""peewee: a pool, and a connection for each thread."""

import pytest

from hosts import FOLDER, check, orders, python_with, row, run  # noqa: F401


@pytest.mark.parametrize("where", ["debian", "pinned"])
@pytest.mark.parametrize("pool", [True, False], ids=["a pool", "no pool"])
def test_each_connection_has_the_extension(where, pool, tmp_path, row):
    path = orders(tmp_path)
    answer = run([python_with("peewee", where), FOLDER / "python" / "peewee_models.py"], path, HOST_POOL=int(pool))
    row("peewee", answer["version"], answer["sqlite"], f"8 threads, {'a pool' if pool else 'a connection for each'}")
    assert answer["hooks"] == ["active"] * 8
    check(path, 600, answer)
