"""ActiveRecord and Sequel with their pools, and puma's forked workers."""

import shutil
import subprocess

import pytest

from hosts import FOLDER, check, missing, orders, requests, row, run, served  # noqa: F401

RUBY = FOLDER / "ruby"


def needs(*libraries):
    for library in libraries:
        if not shutil.which("ruby") or subprocess.run(["ruby", "-e", f"require '{library}'"], capture_output=True).returncode:
            missing(f"{library} (Debian's package ruby-{library.replace('_', '')})")


@pytest.mark.parametrize("host, library, program", [("ActiveRecord", "active_record", "active_record.rb"), ("Sequel", "sequel", "sequel_pool.rb")])
def test_each_connection_of_the_pool_has_the_extension(host, library, program, tmp_path, row):
    needs(library)
    path = orders(tmp_path)
    answer = run(["ruby", RUBY / program], path)
    row(host, answer["version"], answer["sqlite"], "8 threads, a pool of 4")
    assert answer["hooks"] == ["active"] * 8
    check(path, 600, answer)


def test_workers_of_puma_that_were_forked(tmp_path, row):
    needs("active_record")
    if not shutil.which("puma"):
        missing("puma")
    path = orders(tmp_path)
    command = ["puma", "--workers", 2, "--threads", "2:2", "--preload", "--bind", f"unix://{tmp_path}/socket", "--environment", "production",
               RUBY / "config.ru"]
    with served(command, path, tmp_path / "socket", statuses=(0, -15)):
        answers = requests(tmp_path / "socket", "/", 8, 60)
    row("puma", answers[0]["version"], answers[0]["sqlite"], "2 preloaded workers of 2 threads over ActiveRecord")
    assert {answer["hook"] for answer in answers} == {"active"}
    assert len({answer["pid"] for answer in answers}) == 2
    check(path, 480, log_gone=False)
