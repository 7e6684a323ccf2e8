"""The sessions in the READMEs: each statement is run in the sqlite3 shell beside the program that they
tell of, and what the shell shows is compared, but for numbers and times that change."""

import re

import pytest

import sessions
from conftest import ROOT
from waiting import ask_until

DOCUMENTS = ("README.md", "vtab/README.md")


@pytest.fixture
def program(tmp_path):
    running = sessions.OrdersProgram(tmp_path / "app.db")
    yield running
    running.close()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_shell_shows_what_the_document_shows(program, document):
    steps = sessions.steps((ROOT / document).read_text())
    assert len(steps) >= 6
    differences = []
    for dots, statement, documented in steps:
        def difference(dots=dots, statement=statement, documented=documented):
            return sessions.difference(statement, documented, sessions.play(program.path, dots, statement))

        # The program's threads may need a moment to show a plan.
        differences.append(ask_until(difference, lambda found: not found, 10))
    assert "".join(differences) == ""


def test_the_waits_for_locks_that_are_shown(tmp_path):
    program = sessions.StockProgram(tmp_path / "stock.db")
    try:
        steps = sessions.steps((ROOT / "vtab/README.md").read_text(), "stock.db")
        assert len(steps) == 9
        differences = []
        for dots, statement, documented in steps:
            def difference(dots=dots, statement=statement, documented=documented):
                return sessions.difference(statement, documented, sessions.play(program.path, dots, statement))

            # What wal_cancel has done is seen a moment later.
            differences.append(difference() if "wal_cancel" in statement else ask_until(difference, lambda found: not found, 5))
    finally:
        program.close()
    assert "".join(differences) == ""


def test_the_backup_that_is_shown(wal_path, tmp_path):
    lines = (ROOT / "ext/backup/README.md").read_text().split("```")[1].strip().splitlines()
    statements, answers = [line[len(sessions.PROMPT):] for line in lines[::2]], lines[1::2]
    assert len(statements) == len(answers) == 2
    copy = str(tmp_path / "backup.db")
    for statement, documented in zip(statements, answers):
        shown = sessions.play(wal_path, [".load ./walmanager"], statement.replace("/tmp/load/backup.db", copy))
        shown = [line.replace(copy, "/tmp/load/backup.db") for line in shown]
        assert sessions.without_numbers("\n".join(shown)) == sessions.without_numbers(documented)


def test_the_first_look_of_the_installation_runs(wal_path):
    commands = re.findall(r"^sqlite> (.*)$", (ROOT / "README.md").read_text().split("## Load")[0], re.MULTILINE)
    assert commands[0] == ".load ./walmanager" and len(commands) == 3
    shown = sessions.play(wal_path, [".load ./walmanager"], "\n".join([".mode box"] + commands[1:]))
    assert sessions.cells(shown[3]) == ["wal"]
    assert sessions.cells(shown[6])[:2] == ["check_name", "status"]
    assert sessions.cells(shown[-2])[:2] == ["overall", "ok"]


def test_a_changed_word_in_a_session_is_found():
    box = ["┌───────┬───────┐", "│ calls │ query │", "├───────┼───────┤", "│ 10    │ a 1   │", "└───────┴───────┘"]
    assert sessions.difference("SELECT", box, [line.replace("a 1", "a 7") for line in box]) == ""
    assert sessions.difference("SELECT", box, [line.replace("a 1", "b 1") for line in box]) != ""
    assert sessions.difference("SELECT", box, [line.replace("10", "11") for line in box]) != ""
    assert sessions.difference("SELECT", box, box[:3] + box[4:]) != ""
    assert sessions.difference("SELECT * FROM system_health", box, box[:3] + box[3:4] * 2 + box[4:]) == ""
    assert sessions.difference("SELECT", ["Runtime error: a"], ["Runtime error: b"]) != ""
