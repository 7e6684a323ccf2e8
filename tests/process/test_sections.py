"""The control file grows with what it holds (ext/README.md, "The control file"): a small first part, and sections
that are appended when they are first needed, beside other processes, killed ones and other versions."""

import os
import pathlib
import struct
import subprocess
import sys
import time

import pytest

from conftest import EXTENSION, connect, metrics, one
from control_sections import ENTRIES, TABLE, control_of, sections
from waiting import poll
from workers import worker  # noqa: F401 (a fixture)

FIRST, BLOCK = 196_608, 65_536
OLD_MAGIC, MAGIC_OF_7 = b"walmanager ctrl\0", b"walmanager sect\0"
OLD_BLOCK = 176_256


def run_statements(db, first, count):
    for i in range(first, first + count):
        db.execute(f"SELECT payload AS c{i} FROM t WHERE id = {i}").fetchall()


def statements(db):
    return one(db, "SELECT count(*) FROM query_performance WHERE query LIKE 'SELECT payload AS c%'")


def test_a_database_with_twenty_commits_has_a_small_file(wal_path):
    db = connect(wal_path)
    for i in range(20):
        db.execute("INSERT INTO t(payload) VALUES (zeroblob(100))")
    assert control_of(wal_path).stat().st_blocks * 512 <= 256 * 1024
    assert metrics(db)["commits"] == 20
    db.close()


def test_it_grows_with_the_statements_and_another_process_sees_them_all(worker, wal_path):
    other = worker(wal_path)
    other.run("db.execute('SELECT count(*) FROM t').fetchall()")
    other.run("db.execute(\"INSERT INTO t(payload) VALUES ('x')\")")
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES ('x')")
    size = control_of(wal_path).stat().st_size
    run_statements(db, 0, 300)
    assert statements(db) == 300
    assert control_of(wal_path).stat().st_size > size
    assert other.call("one(db, \"SELECT count(*) FROM query_performance WHERE query LIKE 'SELECT payload AS c%'\")") == 300
    # What the other process adds to an entry that this one made, and the reverse, is added up.
    other.run("db.execute('SELECT payload AS c250 FROM t WHERE id = 5').fetchall()")
    calls = "SELECT calls FROM query_performance WHERE query LIKE 'SELECT payload AS c250 %'"
    assert one(db, calls) == 2
    assert other.call(f'one(db, "{calls}")') == 2
    db.close()


def test_what_was_there_is_there_after_all_have_left(wal_path):
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES ('x')")
    run_statements(db, 0, 120)
    db.close()
    db = connect(wal_path)
    assert statements(db) == 120
    run_statements(db, 60, 120)
    assert statements(db) == 180
    db.close()


PROCESS = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[2], isolation_level=None, timeout=60)
db.enable_load_extension(True)
db.load_extension(sys.argv[1])
sys.stdin.readline()
db.execute("INSERT INTO t(payload) VALUES ('x')")
for i in range(60):
    db.execute(f"SELECT payload AS c{i} FROM t WHERE id = {i}").fetchall()
while sys.stdin.readline() == "again\\n":
    db.execute("SELECT count(*) FROM t").fetchall()
"""


def test_fifty_processes_grow_it_at_once(wal_path):
    processes = [subprocess.Popen([sys.executable, "-c", PROCESS, EXTENSION, str(wal_path)], stdin=subprocess.PIPE)
                 for _ in range(50)]
    for each in processes:
        each.stdin.write(b"go\n")
        each.stdin.flush()
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES ('x')")

    def connections():
        # A process that could not wait for the maker of the file has it after a later statement.
        for each in processes:
            each.stdin.write(b"again\n")
            each.stdin.flush()
        time.sleep(0.3)
        return metrics(db)["connections"]

    assert poll(connections, 51, seconds=60) == 51
    # An execution that ends while another process appends its section may be counted in the row "(evicted)".
    calls = "SELECT sum(calls) FROM query_performance WHERE query LIKE 'SELECT payload AS c%' OR query = '(evicted)'"
    assert poll(lambda: one(db, calls), 50 * 60, seconds=10) == 50 * 60
    assert statements(db) == 60
    assert metrics(db)["connections_not_shown"] == 0
    for each in processes:
        each.communicate(b"end\n")
        assert each.returncode == 0
    found = sections(wal_path)
    assert len(set(found)) == len(found) == len({(kind, index) for kind, index, _ in found})
    assert len({block for _, _, block in found}) == len(found)
    db.close()


def test_a_process_killed_while_it_appends_leaves_nothing_that_counts(worker, wal_path):
    keeper = worker(wal_path)
    keeper.run("db.execute(\"INSERT INTO t(payload) VALUES ('x')\")")
    # As one that was killed between its bytes on the disk and its entry in the table.
    with open(control_of(wal_path), "ab") as file:
        file.write(b"\xff" * BLOCK)
    db = connect(wal_path)
    run_statements(db, 0, 100)
    assert statements(db) == 100
    assert one(db, "SELECT sum(calls) FROM query_performance WHERE query LIKE 'SELECT payload AS c%'") == 100
    db.close()


def entry(kind, block, index=0, version=1):
    return kind | version << 8 | index << 16 | block << 32


@pytest.mark.parametrize("words", [
    pytest.param([entry(7, 0xFFFFFFFF)], id="beyond_the_end"),
    pytest.param([entry(7, 40)], id="beyond_this_file"),
    pytest.param([entry(7, 1)], id="in_the_first_part"),
    pytest.param([entry(200, 3)], id="unknown_kind"),
    pytest.param([entry(7, 3, version=9)], id="another_version"),
    pytest.param([entry(7, 3, index=60000)], id="no_such_section"),
    pytest.param([entry(7, 3), entry(7, 4), entry(7, 5)], id="one_section_thrice"),
    pytest.param([entry(7, 3), entry(4, 3), entry(8, 3), entry(3, 3)], id="all_at_one_place"),
    pytest.param([entry(1, 3), entry(7, 5), entry(4, 8)], id="within_a_longer_one"),
    pytest.param([entry(7, 3 + i % 8, index=i) for i in range(ENTRIES)], id="as_many_as_it_can_name"),
    pytest.param([entry(100 + i % 100, 3, i, 2) for i in range(ENTRIES)], id="as_many_unknown_ones"),
    pytest.param([2**64 - 1] * ENTRIES, id="all_bits"),
])
@pytest.mark.parametrize("in_use", [True, False])
def test_a_hostile_table_of_sections_harms_nobody(worker, wal_path, words, in_use):
    keeper = worker(wal_path)
    keeper.run("db.execute(\"INSERT INTO t(payload) VALUES ('x')\")")
    if not in_use:
        assert keeper.end() == 0
        keeper = worker(wal_path)
    with open(control_of(wal_path), "r+b") as file:
        file.seek(FIRST)
        file.write(bytes(9 * BLOCK))
        file.seek(TABLE)
        file.write(struct.pack(f"<{len(words)}Q", *words))
    db = connect(wal_path)
    run_statements(db, 0, 100)
    db.execute("INSERT INTO t(payload) VALUES ('x')")
    assert one(db, "SELECT count(*) FROM t") == 2
    assert one(db, "SELECT count(*) FROM query_performance") > 0
    keeper.run("db.execute(\"INSERT INTO t(payload) VALUES ('x')\")")
    db.close()
    assert keeper.end() == 0
    db = connect(wal_path)
    run_statements(db, 0, 100)
    db.execute("INSERT INTO t(payload) VALUES ('x')")
    assert one(db, "PRAGMA integrity_check") == "ok"
    # A newer version may have sections that this one does not know: these are never taken for damage.
    is_full = words[0] == entry(100, 3, 0, 2)
    because = metrics(db)["incomplete_because"]
    assert because == ("the table of sections in the control file is full or damaged" if is_full else None)
    assert statements(db) < 100 if is_full else statements(db) == 100
    db.close()


def test_where_it_cannot_grow_what_is_there_goes_on_and_a_column_says_why(worker, wal_path):
    writer = worker(wal_path)
    writer.run("db.execute(\"INSERT INTO t(payload) VALUES ('x')\")")
    writer.run("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))")
    writer.run("""
for i in range(100):
    db.execute(f"SELECT payload AS c{i} FROM t WHERE id = {i}").fetchall()
""")
    because = writer.call("one(db, 'SELECT incomplete_because FROM wal_metrics')")
    assert "RLIMIT_FSIZE" in because, because
    writer.run("db.execute(\"INSERT INTO t(payload) VALUES ('x')\")")
    assert writer.call("one(db, 'SELECT commits FROM wal_metrics')") == 2
    assert writer.call("one(db, 'SELECT queries_evicted FROM wal_metrics')") > 50
    status = "SELECT status || ': ' || detail FROM system_health WHERE check_name = 'statistics_file'"
    assert writer.call(f'one(db, "{status}")').startswith("warning: the control file cannot grow: ")
    writer.run("resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)")
    writer.run("n = 0")

    def grows_again():
        writer.run("n += 1; db.execute(f'SELECT 1 AS again{n}').fetchall()")
        return writer.call("one(db, 'SELECT incomplete_because FROM wal_metrics')") is None

    poll(grows_again, seconds=20)


# --- other versions


def old_file(path, layout):
    """A control file as versions up to layout 6 made it, with one setting."""
    status = os.stat(path)
    content = bytearray(12_595_200)
    content[0:16] = OLD_MAGIC
    struct.pack_into("<QQQQQ", content, 16, layout, len(content), 1, status.st_dev, status.st_ino)
    content[56:92] = pathlib.Path("/proc/sys/kernel/random/boot_id").read_bytes()[:36]
    struct.pack_into("<Q", content, 128, 3)  # the second copy is in force
    at = 4096 + OLD_BLOCK
    content[at:at + 11] = b"low_latency"
    struct.pack_into("<QQ", content, at + 112, 1, 0)
    entry = at + 128
    content[entry:entry + 13] = b"slow_query_ms"
    struct.pack_into("<qq", content, entry + 64, 77, 1)
    control_of(path).write_bytes(content)


@pytest.mark.parametrize("layout", [5, 6])
def test_a_file_of_an_older_version_is_made_anew_and_its_settings_stay(wal_path, layout):
    old_file(wal_path, layout)
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES ('x')")
    assert control_of(wal_path).stat().st_size < 1 << 20
    assert one(db, "SELECT value FROM wal_config WHERE name = 'slow_query_ms'") == 77
    assert metrics(db)["strategy"] == "low_latency"
    assert metrics(db)["private_because"] is None
    db.close()


def test_a_file_of_the_version_before_is_made_anew_and_all_its_settings_stay(wal_path):
    """More of them than the first part of the file holds."""
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES ('x')")
    db.execute("SELECT wal_set(name, value * 1.01) FROM wal_config "
               "WHERE name LIKE '%.warning' OR name LIKE '%.critical'").fetchall()
    read = "SELECT name, value FROM wal_config WHERE changed_at IS NOT NULL ORDER BY name"
    before = db.execute(read).fetchall()
    assert len(before) > 24
    db.close()
    with open(control_of(wal_path), "r+b") as file:
        file.write(MAGIC_OF_7 + struct.pack("<Q", 7))
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES ('x')")
    assert db.execute(read).fetchall() == before
    assert (metrics(db)["commits"], metrics(db)["private_because"]) == (1, None)  # counted anew
    db.close()


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, (1 << 40) + 1)
print("held", flush=True)
sys.stdin.readline()
"""


def test_beside_a_process_of_an_older_version_it_stays_private_until_alone(wal_path):
    old_file(wal_path, 6)
    before = control_of(wal_path).read_bytes()
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(control_of(wal_path))], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES ('x')")
    because = metrics(db)["private_because"]
    assert because == (f"process {holder.pid} uses the control file with another version of walmanager (layout 6, here 8)")
    assert control_of(wal_path).read_bytes() == before
    holder.communicate(b"\n")

    def shared():
        db.execute("INSERT INTO t(payload) VALUES ('x')")
        return metrics(db)["private_because"] is None

    poll(shared, seconds=30)
    assert one(db, "SELECT value FROM wal_config WHERE name = 'slow_query_ms'") == 77
    db.close()


def test_an_older_version_takes_the_file_for_a_foreign_one(wal_path):
    """Bug: a version of layout 7 made a file of layout 8 anew, without the user's settings. A version leaves a file alone
    that does not begin with a magic that it knows."""
    db = connect(wal_path)
    db.execute("INSERT INTO t(payload) VALUES ('x')")
    db.close()
    assert control_of(wal_path).read_bytes()[:16] not in (OLD_MAGIC, MAGIC_OF_7)


def test_connections_beyond_the_first_part_and_beyond_256_are_all_shown(wal_path):
    main = connect(wal_path)
    main.execute("INSERT INTO t(payload) VALUES ('x')")
    others = [connect(wal_path, check_same_thread=False) for _ in range(300)]
    for i, other in enumerate(others):
        one(other, "SELECT count(*) FROM t")
    assert metrics(main)["connections"] == 301
    assert one(main, "SELECT count(*) FROM connection_metrics WHERE role = 'application'") == 301
    others[299].execute("INSERT INTO t(payload) VALUES ('y')")
    assert metrics(main)["commits"] == 2
    for other in others:
        other.close()
    assert metrics(main)["connections"] == 1
    main.close()
