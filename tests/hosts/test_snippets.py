"""The lines that README.md shows are those of the programs that the trials run."""

import subprocess

from hosts import FOLDER


def test_the_lines_of_the_page_are_those_of_the_programs():
    done = subprocess.run([FOLDER / "report"], text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_program_with_such_lines_is_on_the_page():
    page = (FOLDER / "README.md").read_text()
    programs = [path.relative_to(FOLDER) for path in FOLDER.rglob("*")
                if path.is_file() and path.parent != FOLDER and "[snippet" in path.read_text(errors="ignore")]
    assert len(programs) >= 18
    assert [str(path) for path in programs if f"<!-- {path}" not in page] == []


def test_the_page_has_short_lines():
    assert [line for line in (FOLDER / "README.md").read_text().splitlines() if len(line) > 160 and not line.startswith("|")] == []
