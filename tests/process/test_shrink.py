"""The -wal file shrinks to wal_limit_bytes: in commits, and also after the last commit."""

import mmap
import os
import sqlite3
import struct
import time

import pytest

from conftest import EXTENSION, connect, metrics, one
from waiting import poll
from workers import fast_path, integrity, namespaces, worker  # noqa: F401 (fixtures)

CUT_UNTIL_NS = 152  # in Header of ext/core/control/layout_header.h
LIMIT = 2_000_000
IDLE = 1.0  # seconds without a commit after which it begins


def log_bytes(path):
    return (path.parent / (path.name + "-wal")).stat().st_size


def burst(db, rows=3000):
    """One transaction far beyond the limit."""
    db.execute("BEGIN")
    db.executemany("INSERT INTO t(payload) VALUES (zeroblob(?))", [(4000,)] * rows)
    db.execute("COMMIT")


@pytest.fixture
def writer(fast_path):  # noqa: F811
    """Has no busy timeout, so it sees each SQLITE_BUSY."""
    db = connect(fast_path, timeout=0)
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("SELECT wal_set('wal_limit_bytes', ?)", (LIMIT,)).fetchall()
    yield db
    db.close()


def shrunk(path, seconds=20):
    return poll(lambda: log_bytes(path) <= LIMIT, True, seconds)


def test_bug_the_log_kept_its_size_after_the_last_commit(writer, fast_path):
    burst(writer)
    begin = time.monotonic()
    assert log_bytes(fast_path) > 6 * LIMIT
    sizes = set()
    while log_bytes(fast_path) > LIMIT and time.monotonic() < begin + 20:
        sizes.add(log_bytes(fast_path))
        time.sleep(0.002)
    assert log_bytes(fast_path) == LIMIT
    assert time.monotonic() - begin > 0.9 * IDLE
    steps = sorted(sizes)
    assert len(steps) >= 2, "it was cut all at once"
    assert poll(lambda: one(writer, "SELECT count(*) FROM connection_metrics WHERE role = 'checkpointer'"), 0, 10) == 0
    row = metrics(writer)
    assert (row["pending_frames"], row["checkpoints_truncate"]) == (0, 0)
    writer.execute("INSERT INTO t(payload) VALUES (1)")
    assert one(writer, "SELECT count(*) FROM t") == 3001
    assert integrity(fast_path) == "ok"


def test_a_log_that_has_started_over_shrinks_too(writer, fast_path):
    burst(writer)
    wanted = lambda: metrics(writer)["pending_frames"]  # noqa: E731
    assert poll(wanted, 0, 20) == 0
    writer.execute("INSERT INTO t(payload) VALUES (1)")  # it starts over
    assert metrics(writer)["wal_frames"] < 10
    assert shrunk(fast_path)
    assert one(writer, "SELECT count(*) FROM t") == 3001
    assert integrity(fast_path) == "ok"


def test_a_statement_that_comes_while_the_log_is_cut_waits_instead_of_busy(writer, fast_path):
    burst(writer, 6000)
    met = 0
    with open(f"{fast_path}-walmanager", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        for _ in range(8):
            end = time.monotonic() + 5
            while struct.unpack_from("<Q", memory, CUT_UNTIL_NS)[0] == 0 and time.monotonic() < end:
                pass
            if log_bytes(fast_path) <= LIMIT:
                break
            for _ in range(50):
                writer.execute("INSERT INTO t(payload) VALUES (1)")
            met += 1
    assert met >= 3
    assert shrunk(fast_path)


@pytest.mark.parametrize("how", ["an open statement", "a transaction that reads", "a transaction that writes", "a trace of the driver's"])
def test_it_is_not_cut_beside_a_managed_connection_that_may_need_the_write_lock(writer, fast_path, how):
    other = connect(fast_path, timeout=0)
    burst(writer)
    if how == "an open statement":  # that reads no table, so it pins nothing
        cursor = other.execute("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c")
        assert cursor.fetchone() == (1,)
    elif how == "a transaction that reads":
        poll(lambda: metrics(writer)["pending_frames"], 0, 20)  # so that it reads the database alone, and pins nothing
        other.execute("BEGIN")
        assert one(other, "SELECT count(*) FROM t") == 3000
    elif how == "a transaction that writes":
        other.execute("BEGIN IMMEDIATE")
    else:
        other.execute("INSERT INTO t(payload) VALUES (1)")
        other.set_trace_callback(lambda _: None)
        for _ in range(4):  # it is noticed at the connection's next commits
            other.execute("INSERT INTO t(payload) VALUES (1)")
        assert one(writer, "SELECT count(*) FROM connection_metrics WHERE trace = 'displaced'") == 1
    size = log_bytes(fast_path)
    time.sleep(3 * IDLE)
    assert log_bytes(fast_path) == size
    if how == "a trace of the driver's":
        return other.close()  # walmanager opens no connections for the next ten seconds
    if how == "an open statement":
        cursor.close()
    elif how == "a transaction that reads":  # a log that started over meanwhile would refuse it: SQLITE_BUSY_SNAPSHOT
        other.execute("INSERT INTO t(payload) VALUES (1)")
        other.execute("COMMIT")
    else:
        other.execute("ROLLBACK")
    writer.execute("INSERT INTO t(payload) VALUES (1)")  # walmanager may open connections again
    assert shrunk(fast_path)
    other.close()


def test_bug_an_unmanaged_connection_beside_a_managed_one_met_the_write_lock(writer, fast_path):
    """It has no busy handler, and waits for no step."""
    bare = sqlite3.connect(fast_path, timeout=0, isolation_level=None)
    burst(writer)
    assert bare.execute("SELECT count(*) FROM t").fetchone() == (3000,)
    size = log_bytes(fast_path)
    time.sleep(3 * IDLE)
    assert log_bytes(fast_path) == size
    bare.close()
    assert shrunk(fast_path)  # the descriptor that SQLite keeps of it is known to belong to no connection


HIDDEN_READS = {
    "of a second database": "db.execute('ATTACH ? AS aux', (path,)); db.execute('BEGIN'); db.execute('SELECT count(*) FROM sqlite_schema').fetchall();"
                            " db.execute('SELECT count(*) FROM aux.t').fetchall()",
    "of a blob": "db.execute('BEGIN'); blob = db.blobopen('t', 'payload', 1, readonly=True)",
    "of a connection whose trace the program has": "db.set_trace_callback(lambda _: None); db.execute('BEGIN'); db.execute('SELECT count(*) FROM t').fetchall()",
}


@pytest.mark.parametrize("read", HIDDEN_READS)
def test_bug_a_read_that_does_not_show_could_not_write_after_an_idle_log_had_started_over(writer, fast_path, tmp_path, read):
    """SQLITE_BUSY_SNAPSHOT, though no connection had committed. Such a read holds mark 0."""
    burst(writer)
    poll(lambda: metrics(writer)["pending_frames"], 0, 20)
    place = "main"
    if "second" in read:
        other = sqlite3.connect(tmp_path / "first.db", isolation_level=None, timeout=0)
        other.enable_load_extension(True)
        other.load_extension(EXTENSION)
        other.execute("PRAGMA journal_mode=WAL")
        place = "aux"
    else:
        other = connect(fast_path, timeout=0)
    exec(HIDDEN_READS[read], {"db": other, "path": str(fast_path)})
    time.sleep(3 * IDLE)
    other.execute(f"INSERT INTO {place}.t(payload) VALUES (1)")
    other.execute("COMMIT")


def test_it_is_cut_where_managed_connections_were_closed(writer, fast_path):
    """SQLite keeps their descriptors as long as the process has a lock on the database."""
    others = [connect(fast_path) for _ in range(3)]
    burst(writer)
    for other in others:
        assert one(other, "SELECT count(*) FROM t") == 3000
        other.close()
    assert shrunk(fast_path)


def test_bug_each_vain_look_for_unmanaged_connections_left_a_descriptor(writer, fast_path):
    """SQLite keeps the descriptor of a closed connection; up to 16 were left, one each second."""
    bare = sqlite3.connect(fast_path, timeout=0)
    burst(writer)
    assert bare.execute("SELECT count(*) FROM t").fetchone() == (3000,)
    def descriptors():
        return sum(os.path.realpath(f"/proc/self/fd/{fd}") == str(fast_path) for fd in os.listdir("/proc/self/fd"))
    time.sleep(2 * IDLE)
    before = descriptors()
    time.sleep(8)
    assert descriptors() - before <= 4
    bare.close()


def test_bug_commits_waited_with_the_cut_where_idle_looks_had_been_in_vain(writer, fast_path):
    """Those come later each time; commits need not know of other connections."""
    bare = sqlite3.connect(fast_path, timeout=0)
    burst(writer)
    assert bare.execute("SELECT count(*) FROM t").fetchone() == (3000,)
    time.sleep(10)  # the next look is due eight seconds after the last
    def cut_by_a_commit():
        writer.execute("INSERT INTO t(payload) VALUES (1)")
        return log_bytes(fast_path) <= LIMIT
    assert poll(cut_by_a_commit, True, 4)
    bare.close()


def test_it_is_not_cut_in_a_container(fast_path, worker, namespaces):  # noqa: F811
    """Its lock table does not show processes outside of it."""
    process = worker(fast_path, timeout=0, namespace=True)
    process.call(f"one(db, \"SELECT wal_set('wal_limit_bytes', {LIMIT})\")")
    process.run("db.execute('BEGIN')\nfor _ in range(3000): db.execute('INSERT INTO t(payload) VALUES (zeroblob(4000))')\ndb.execute('COMMIT')")
    size = log_bytes(fast_path)
    time.sleep(3 * IDLE)
    assert log_bytes(fast_path) == size > LIMIT
    assert process.end() == 0


@pytest.mark.parametrize("managed", [False, True])
def test_it_is_not_cut_beside_another_process(writer, fast_path, worker, managed):  # noqa: F811
    other = worker(fast_path, load=managed)
    other.call("one(db, 'SELECT count(*) FROM t')")
    burst(writer)
    size = log_bytes(fast_path)
    time.sleep(3 * IDLE)
    assert log_bytes(fast_path) == size
    assert other.end() == 0
    assert shrunk(fast_path)


@pytest.mark.parametrize("cut", [1.2, 1.0, 0.6, 0.3])
def test_kill_9_while_the_log_is_cut_loses_nothing(fast_path, worker, cut):  # noqa: F811
    """The frames that were cut had been moved, and recovery must not replay those before them."""
    process = worker(fast_path, timeout=0)
    process.call(f"one(db, \"SELECT wal_set('wal_limit_bytes', {LIMIT})\")")
    process.run(
        """
        db.execute("BEGIN")
        for _ in range(3000): db.execute("INSERT INTO t(payload) VALUES (zeroblob(4000))")
        db.execute("COMMIT")
        for n in range(3): db.execute("UPDATE t SET payload = zeroblob(?) WHERE id % 50 = 0", (5000 + n,))
        """
    )
    whole = log_bytes(fast_path)
    assert poll(lambda: log_bytes(fast_path) < max(cut * whole, LIMIT + 1) or cut >= 1.2, True, 20)
    process.kill()
    assert integrity(fast_path) == "ok"
    db = connect(fast_path, None)
    assert db.execute("SELECT count(*), sum(length(payload)) FROM t").fetchone() == (3000, 3000 * 4000 + 60 * 1002)
    db.close()


def test_bug_the_log_stayed_between_once_and_twice_its_limit(writer, fast_path):
    """Commits go on, so nothing is idle: VACUUM leaves a log of its own size behind."""
    burst(writer, 700)
    writer.execute("VACUUM")
    assert LIMIT < log_bytes(fast_path)
    end = time.monotonic() + 20
    while log_bytes(fast_path) > LIMIT and time.monotonic() < end:
        writer.execute("INSERT INTO t(payload) VALUES (1)")
        time.sleep(0.01)
    assert log_bytes(fast_path) == LIMIT
    assert integrity(fast_path) == "ok"


@pytest.mark.parametrize("lie", [1, (1 << 64) - 1])
def test_a_false_word_in_the_control_file_stops_no_statement(writer, fast_path, lie):
    with open(f"{fast_path}-walmanager", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        begin = time.monotonic()
        for _ in range(50):
            struct.pack_into("<Q", memory, CUT_UNTIL_NS, lie)
            writer.execute("INSERT INTO t(payload) VALUES (1)")
        assert time.monotonic() - begin < 2
        assert struct.unpack_from("<Q", memory, CUT_UNTIL_NS)[0] == 0
