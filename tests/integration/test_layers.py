"""A source includes headers of lower folders only: never of a higher one, and never of a neighbour."""

import pathlib
import re

import pytest

from conftest import ROOT

# Each room, and the rooms that it may include besides itself.
CORE = ["ext/core/base"]
ROOMS = {"ext/core/base": []}
for room, above in (("text", []), ("format", []), ("policy", ["format"]), ("control", ["text", "format", "policy"])):
    ROOMS[f"ext/core/{room}"] = CORE + [f"ext/core/{other}" for other in above]
below = list(ROOMS)
for room in ("system", "engine", "checkpoint", "database", "connection"):
    ROOMS[f"ext/{room}"] = list(below)
    below.append(f"ext/{room}")
SUBJECTS = ["ext/read_pool", "ext/backup", "ext/advisor"]
for room in SUBJECTS:
    ROOMS[room] = list(below)
ROOMS["vtab/module"] = below + SUBJECTS
ROOMS["sql"] = below + SUBJECTS
ROOMS["vtab"] = ROOMS["vtab/module"] + ["vtab/module", "sql"]  # wal_help lists the functions
ROOMS["vtab/openmetrics"] = ROOMS["vtab"]
ROOMS["ext/process_wide"] = []
ROOMS["ext"] = [room for room in ROOMS if room != "ext"]


def sources():
    return [path for top in ("ext", "vtab", "sql") for path in sorted((ROOT / top).rglob("*")) if path.suffix in (".h", ".cc")]


def room_of(path):
    return str(pathlib.PurePosixPath(path).parent)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_includes_only_rooms_below_it(room):
    files = [path for path in sources() if room_of(path.relative_to(ROOT)) == room]
    assert files, "a room that is not there"
    wrong = []
    for path in files:
        for included in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE):
            if room_of(included) not in [room, *ROOMS[room]]:
                wrong.append(f"{path.relative_to(ROOT)} includes {included}")
    assert wrong == []


def test_every_source_is_in_a_room():
    assert {room_of(path.relative_to(ROOT)) for path in sources()} == set(ROOMS)


def test_sqlite_is_included_in_one_place_and_core_knows_the_standard_library_alone():
    for path in sources():
        text, name = path.read_text(), str(path.relative_to(ROOT))
        if "sqlite3ext.h" in re.findall(r"^#include [<\"]([^>\"]+)", text, re.MULTILINE):
            assert name in ("ext/engine/sqlite.h", "ext/process_wide/walmanagerprocess.cc")
        if name.startswith("ext/core/"):
            system = [header for header in re.findall(r"^#include <([^>]+)>", text, re.MULTILINE) if "." in header]
            assert set(system) <= {"xxhash.h"}, name
