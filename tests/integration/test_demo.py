"""The output of the demo for a small database: a summary first, in lines that fit a terminal."""

import os
import re
import subprocess

from conftest import BUILD, ROOT

WORKLOAD = ROOT / "scripts" / "conversation_workload.py"
TITLES = ["== In short", "== What the sqlite3 shell shows beside the application, which still has the database open"]


def test_the_story_is_short_first_and_fits_a_terminal(tmp_path):
    path = tmp_path / "conversation.db"
    told = subprocess.run(
        [WORKLOAD, path, "--conversations", "2", "--messages", "150", "--extension", BUILD / "walmanager.so",
         "--then", ROOT / "scripts" / "demo", "--tour", path, "67.4 MiB"],
        env={**os.environ, "WALMANAGER_BUILD": str(BUILD)}, check=True, capture_output=True, text=True, timeout=120)
    lines = told.stdout.splitlines()
    assert [line for line in lines + told.stderr.splitlines() if len(line) > 120] == []
    assert re.search(r"^100 %  300 of 300 messages", told.stderr, re.MULTILINE)  # its progress
    assert re.fullmatch(r"1 projects, 2 conversations, 300 messages, \d+ tool uses:", lines[0])
    assert re.fullmatch(r"\d+ commits and \d+ reads in .* with walmanager", lines[1])
    assert [line for line in lines if line.startswith("==")] == TITLES
    short = lines[lines.index(TITLES[0]) + 1:lines.index(TITLES[1]) - 1]
    assert [line.split("  ")[0] for line in short] == ["The log", "", "Commits", "Checkpoints", "In the way", "Health"]
    assert re.fullmatch(r"The log      \d+\.\d MiB now, \d+\.\d MiB at most\. Without .* would be \d+\.\d MiB\.", short[0])
    assert short[1] == "             On bare SQLite, with its own checkpoints, the same work let it grow to 67.4 MiB."
    assert re.fullmatch(r"In the way   workload \(pid \d+\): a forgotten cursor has pinned the log for \d+\.\d s\.", short[4])
    assert re.fullmatch(r"Health       \d+ of 100; to look at: .*\.", short[5])
    # Each step has a sentence, its SQL and an answer; the cursor is found by name.
    steps = told.stdout.split(TITLES[1])[1].strip().split("\n\n")
    assert len(steps) == 10
    assert [step.splitlines()[0] for step in steps if not step.splitlines()[0].endswith(":")] == []
    assert [step.splitlines()[0] for step in steps if "SELECT" not in step.splitlines()[1]] == []
    pinned = next(step for step in steps if "FROM wal_readers;" in step)
    assert re.search(r"│ workload +│ SELECT id, role FROM messages +│.*│ unfinished statement │", pinned)
