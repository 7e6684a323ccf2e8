"""The output of the demo for a small database: bare SQLite and walmanager side by side first, then a
summary, in lines that fit a terminal."""

import json
import os
import re
import sqlite3
import subprocess

from conftest import BUILD, ROOT

WORKLOAD = ROOT / "scripts" / "conversation_workload.py"
TITLES = ["== Side by side: the same work of 2 writers and 2 readers", "== In short", "== What the sqlite3 shell shows beside the application, which still has the database open"]


def test_the_story_is_short_first_and_fits_a_terminal(tmp_path):
    path = tmp_path / "conversation.db"
    work = ["--conversations", "2", "--messages", "150"]
    subprocess.run([WORKLOAD, tmp_path / "bare.db", *work, "--no-extension", "--figures", tmp_path / "bare.json"],
                   check=True, capture_output=True, timeout=120)
    told = subprocess.run(
        [WORKLOAD, path, *work, "--extension", BUILD / "walmanager.so", "--beside", tmp_path / "bare.json",
         "--then", ROOT / "scripts" / "demo", "--tour", path],
        env={**os.environ, "WALMANAGER_BUILD": str(BUILD)}, check=True, capture_output=True, text=True, timeout=120)
    lines = told.stdout.splitlines()
    assert [line for line in lines + told.stderr.splitlines() if len(line) > 120] == []
    assert re.search(r"^100 %  300 of 300 messages", told.stderr, re.MULTILINE)  # its progress
    assert re.fullmatch(r"1 projects, 2 conversations, 300 messages, \d+ tool uses:", lines[0])
    assert re.fullmatch(r"\d+ commits and \d+ reads in .* with walmanager", lines[1])
    assert [line for line in lines if line.startswith("==")] == TITLES
    beside = lines[lines.index(TITLES[0]) + 1:lines.index(TITLES[1]) - 1]
    bare = json.loads((tmp_path / "bare.json").read_text())
    assert [re.split("  +", line)[:2] for line in beside] == [
        ["", "bare SQLite"], ["largest log", f"{bare['largest_log_mib']:.1f} MiB"],
        ["commits a second", f"{bare['commits_per_s']:,.0f}"], ["slowest commit", f"{bare['slowest_commit_ms']:.1f} ms"]]
    loaded = "  ".join(re.split("  +", line)[2] for line in beside)
    assert re.fullmatch(r"with walmanager  \d+\.\d MiB  [\d,]+  \d+\.\d ms", loaded)
    assert f"largest -wal {loaded.split('  ')[1]} with walmanager" in lines[1]
    assert min(bare.values()) > 0
    short = lines[lines.index(TITLES[1]) + 1:lines.index(TITLES[2]) - 1]
    assert [line.split("  ")[0] for line in short] == ["The log", "Commits", "Checkpoints", "In the way", "Health"]
    assert re.fullmatch(r"The log      \d+\.\d MiB now, \d+\.\d MiB at most\. Without .* would be \d+\.\d MiB\.", short[0])
    assert re.fullmatch(r"In the way   workload \(pid \d+\): a forgotten cursor has pinned the log for \d+\.\d s\.", short[3])
    assert re.fullmatch(r"Health       \d+ of 100; to look at: .*\.", short[4])
    # Each step has a sentence, its SQL and an answer; the cursor is found by name.
    steps = told.stdout.split(TITLES[2])[1].strip().split("\n\n")
    assert len(steps) == 10
    assert [step.splitlines()[0] for step in steps if not step.splitlines()[0].endswith(":")] == []
    assert [step.splitlines()[0] for step in steps if "SELECT" not in step.splitlines()[1]] == []
    pinned = next(step for step in steps if "FROM wal_readers;" in step)
    assert re.search(r"│ workload +│ SELECT id, role FROM messages +│.*│ unfinished statement │", pinned)


def test_bug_a_database_of_the_users_own_was_refused_after_the_build_and_under_another_name(tmp_path):
    path = tmp_path / "own.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t(a)")
    db.close()
    before = path.read_bytes()
    done = subprocess.run([ROOT / "scripts" / "demo", path], env={**os.environ, "WALMANAGER_BUILD": str(tmp_path / "build")},
                          capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{path} is not a database of this workload, and nothing was changed: name a file that is not there yet\n"
    assert [each.name for each in tmp_path.iterdir()] == ["own.db"] and path.read_bytes() == before
