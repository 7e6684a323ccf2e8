"""The walks of data in ext/README.md name functions that exist, follow the calls of the code, and stay short."""

import functools
import re

import pytest

from conftest import ROOT

SECTION = (ROOT / "ext/README.md").read_text().split("## Walks of data")[1].split("\n## ")[0]
# The most functions that a value may pass.
LIMITS = {
    "From a commit to `wal_metrics.commits`": 8,
    "From the trace to `query_performance.query`": 9,
    "From `wal_strategy_define` to the checkpoint that it causes": 12,
    "From a call of `read_pool` to a row": 10,
}
# Functions that no function of the walk calls by name: they are handed to SQLite, to a table or to the list of functions.
HANDED_OVER = {
    "OnWal": "ext/connection/connection_events.h",
    "OnTrace": "ext/connection/connection_events.cc",
    "ReadRows": "vtab/module/module.cc",
    "StartStream": "vtab/module/module.cc",
    "ColumnAt": "vtab/module/module.cc",
    "WalStrategyDefine": "sql/functions.cc",
}


def steps_of(title):
    walk = SECTION.split(f"### {title}\n")[1].split("\n### ")[0]
    steps = re.findall(r"^(\d+)\. `(?:(\w+)::)?(\w+)` \(`([\w/.]+)`\)", walk, re.MULTILINE)
    assert [int(step[0]) for step in steps] == list(range(1, len(steps) + 1))
    assert len(steps) == len(re.findall(r"^\d+\. ", walk, re.MULTILINE)), "a step without a function or a file"
    return [step[1:] for step in steps]


@functools.cache
def code_of(file):
    """Without comments and texts."""
    text = re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', (ROOT / file).read_text())
    return re.sub(r"//[^\n]*", "", text)


def defines(file, owner, function):
    code = code_of(file)
    if not owner:
        return re.search(rf"^(?:\S.* |  [\w<>: ]+ ){function}\(", code, re.MULTILINE)
    return re.search(rf"\b{owner}::{function}\(", code) or (
        re.search(rf"\bclass {owner} (?:final )?[:{{]", code) and re.search(rf"\b{function}\([^;]*\) ?(?:const )?\{{", code))


def calls(file, function):
    """A definition begins at the start of its line or stands behind a type; a call does neither."""
    for line in code_of(file).splitlines():
        for found in re.finditer(rf"\b{function}\(", line):
            before = line[:found.start()].rstrip()
            if line.startswith(" ") and (re.search(r"(?:->|[^\w>]|\breturn|\belse)$", before) or not before):
                return True
    return False


@functools.cache
def files_that_define(owner, function):
    return [str(path.relative_to(ROOT)) for top in ("ext", "vtab", "sql") for path in sorted((ROOT / top).rglob("*"))
            if path.suffix in (".h", ".cc") and defines(path.relative_to(ROOT), owner, function)]


def ways():
    """The ways of threads: `A` → `B` → `C`, as pairs of (owner, function)."""
    name = r"`(?:(?:\w+::)?\w+)`"
    for way in re.findall(rf"{name}(?:\s+→\s+{name})+", SECTION):
        ends = [re.fullmatch(r"`(?:(\w+)::)?(\w+)`", end).groups(default="") for end in re.split(r"\s+→\s+", way)]
        yield from zip(ends, ends[1:])


def test_there_are_these_walks():
    assert re.findall(r"^### (.*)$", SECTION, re.MULTILINE) == list(LIMITS)


@pytest.mark.parametrize("title", LIMITS)
def test_a_walk_is_no_longer_than_its_limit(title):
    assert 3 <= len(steps_of(title)) <= LIMITS[title]


@pytest.mark.parametrize("title", LIMITS)
def test_functions_of_a_walk_are_where_it_says(title):
    assert [step for step in steps_of(title) if not defines(step[2], step[0], step[1])] == []


@pytest.mark.parametrize("title", LIMITS)
def test_a_step_of_a_walk_is_called_by_an_earlier_one_or_called_by_the_next_which_gets_the_value_back(title):
    steps = steps_of(title)
    led_to = {end for _, end in ways()}
    loose = []
    for number, (owner, function, _) in enumerate(steps):
        callers = [file for _, _, file in steps[:number] + steps[number + 1:number + 2]]
        if function in HANDED_OVER:
            if not re.search(rf"\b{function}\b\s*[,;)}}]", code_of(HANDED_OVER[function])):
                loose.append(function)
        elif (owner, function) not in led_to and not any(calls(file, function) for file in callers):
            loose.append(function)
    assert loose == []


def test_ways_of_threads_follow_the_calls():
    pairs = list(ways())
    assert len(pairs) >= 15
    wrong = [(caller, callee) for caller, callee in pairs
             if not any(calls(file, callee[1]) for file in files_that_define(*caller)) or not files_that_define(*callee)]
    assert wrong == []


def test_a_call_is_told_from_a_definition():
    assert not calls("vtab/wal_metrics.cc", "ReadRows")
    assert not calls("ext/database/control_owner.cc", "ChangeSettings"), "it is defined there, and called elsewhere"
    assert calls("sql/strategy_functions.cc", "ChangeSettings")
    assert calls("vtab/wal_metrics.cc", "ReadRow")
    assert not defines("ext/database/control_owner.cc", "ControlOwner", "Forget")
