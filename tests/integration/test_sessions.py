"""The sessions in the READMEs: each statement is run in the sqlite3 shell beside the program that they
tell of, and what the shell shows is compared, but for numbers and times that change."""

import json

import pytest

import sessions
from conftest import ROOT, connect, one

DOCUMENTS = ("README.md", "vtab/README.md")
ENGINE_BUG = "can lose committed pages"  # shown by engines that have it


def without_the_bug(lines):
    """A box without the row about the engine's bug, which an engine that is mended does not show."""
    rows, row = [lines[:2]], []
    for line in lines[2:]:
        if line[0] in "├└":
            rows.append(row)
            row = []
        row.append(line)
    return [line for part in rows + [row] if ENGINE_BUG not in " ".join(part) for line in part]


@pytest.fixture
def program(tmp_path):
    running = sessions.OrdersProgram(tmp_path / "app.db")
    yield running
    running.close()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_shell_shows_what_the_document_shows(program, document):
    steps = sessions.steps((ROOT / document).read_text())
    assert len(steps) >= 6
    other = connect(":memory:")
    has_bug = json.loads(one(other, "SELECT wal_version()"))["wal_reset_bug"]
    other.close()
    differences = []
    for dots, statement, documented in steps:
        shown = sessions.play(program.path, dots, statement)
        if not has_bug and documented[0].startswith("┌"):
            documented = without_the_bug(documented)
        differences.append(sessions.difference(statement, documented, shown))
    assert "".join(differences) == ""


def test_a_word_that_drifts_is_found():
    box = ["┌───────┬───────┐", "│ calls │ query │", "├───────┼───────┤", "│ 10    │ a 1   │", "└───────┴───────┘"]
    assert sessions.difference("SELECT", box, [line.replace("a 1", "a 7") for line in box]) == ""
    assert sessions.difference("SELECT", box, [line.replace("a 1", "b 1") for line in box]) != ""
    assert sessions.difference("SELECT", box, [line.replace("10", "11") for line in box]) != ""
    assert sessions.difference("SELECT", box, box[:3] + box[4:]) != ""
    assert sessions.difference("SELECT * FROM system_health", box, box[:3] + box[3:4] * 2 + box[4:]) == ""
    assert sessions.difference("SELECT", ["Runtime error: a"], ["Runtime error: b"]) != ""
