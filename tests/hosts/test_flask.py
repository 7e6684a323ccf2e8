"""Flask: a connection for each request, in gunicorn's workers, forked from a process that has one open."""

import pytest

from hosts import FOLDER, check, orders, python_with, requests, row, served  # noqa: F401


@pytest.mark.parametrize("where", ["debian", "pinned"])
def test_workers_of_gunicorn_that_were_forked(where, tmp_path, row):
    python = python_with("flask", where)
    python_with("gunicorn", where)
    path = orders(tmp_path)
    command = [python, "-m", "gunicorn", "--preload", "--workers", 2, "--threads", 4, "--bind", f"unix:{tmp_path}/socket",
               "--worker-tmp-dir", tmp_path, "flask_app:application"]
    with served(command, path, tmp_path / "socket", cwd=FOLDER / "python", HOST_PRELOAD=1):
        answers = requests(tmp_path / "socket", "/write", 8, 60)
    row("Flask", answers[0]["version"], answers[0]["sqlite"], "gunicorn, 2 workers of 4 threads, forked with a connection open")
    assert {answer["hook"] for answer in answers} == {"active"}
    assert len({answer["pid"] for answer in answers}) == 2
    check(path, 481, log_gone=False)
