"""Beside a replicator such as Litestream, and after it: which program checkpoints, and how walmanager reports it."""

import mmap
import os
import struct
import subprocess
import time

import pytest

from conftest import connect, metrics, one
from waiting import poll
from workers import fast_path, grow_up, integrity, namespaces, worker  # noqa: F401 (fixtures)

# As Litestream works: a read transaction keeps the log, and is given up for a moment at each of its checkpoints,
# after which its table changes.
REPLICATOR = """
holder = connect(path, None, timeout=20)
def hold():
    holder.execute("BEGIN")
    holder.execute("SELECT count(1) FROM _litestream_seq").fetchall()
def checkpoint():
    holder.rollback()
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    db.execute("INSERT INTO _litestream_seq(id, seq) VALUES (1, 1) ON CONFLICT(id) DO UPDATE SET seq = seq + 1")
    hold()
hold()
"""


def database(path):
    """One that was once used with Litestream; a managed connection to it."""
    db = connect(path, None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
    db.execute("CREATE TABLE _litestream_lock (id INTEGER)")
    db.execute("INSERT INTO _litestream_seq VALUES (1, 1)")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.close()
    db = connect(path, timeout=20)
    db.execute("PRAGMA synchronous=NORMAL")
    return db


def replicator(worker, path, **options):
    process = worker(path, load=False, **options)
    process.run(f"path = {str(path)!r}")
    process.run(REPLICATOR)
    return process


def insert(db, commits=1500):
    for _ in range(commits):
        db.execute("INSERT INTO t(payload) VALUES (zeroblob(100))")


def checkpoints(db):
    """Those that were not asked for."""
    row = metrics(db)
    return row["checkpoints"] - row["checkpoints_manual"]


def changes(db):
    return [detail for detail, in db.execute(
        "SELECT detail FROM wal_alerts WHERE check_name = 'replicator' AND status = 'changed' ORDER BY id")]


def has_namespaces():
    return subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True).returncode == 0


def test_bug_a_replicator_that_is_gone_kept_the_log_for_ever(fast_path, worker):
    """A minute on several databases at once: with no replicator, with one, with one that returns, and what was wished."""
    def place(name):
        return fast_path.parent / f"{name}.db"
    gone, alive, quiet, off, always = (database(place(name)) for name in ("gone", "alive", "quiet", "off", "always"))
    writing, still = replicator(worker, place("alive")), replicator(worker, place("quiet"))
    off.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    assert one(always, "SELECT wal_set('replicator', 'always')") == "always"
    every = [gone, alive, quiet, off, always]
    hidden = None
    if has_namespaces():
        hidden = database(place("hidden"))
        sidecar = replicator(worker, place("hidden"), namespace=True)
        every.append(hidden)
    begin = time.monotonic()
    for db in every:
        insert(db)
    assert [metrics(db)["checkpointer"] for db in every] == ["replicator"] * len(every)
    # One works, the others only hold their mark or are not there.
    while time.monotonic() < begin + 57:
        for db in every:
            insert(db, 5)
        writing.run("checkpoint()")
        time.sleep(0.5)
    assert [checkpoints(db) for db in every] == [0] * len(every)
    assert [metrics(db)["checkpointer"] for db in every] == ["replicator"] * len(every)
    assert changes(gone) == []
    while time.monotonic() < begin + 66:
        for db in every:
            metrics(db)
            insert(db, 5)
        writing.run("checkpoint()")
        time.sleep(0.5)
    assert poll(lambda: insert(gone, 5) or checkpoints(gone) > 0, True, 10)
    assert metrics(gone)["checkpointer"] == "background"
    assert len(changes(gone)) == 1 and "no look for 60 s found a sign" in changes(gone)[0]
    for db in every[1:]:
        assert checkpoints(db) == 0
    for db in (alive, quiet, always):
        assert (metrics(db)["checkpointer"], changes(db)) == ("replicator", [])
    assert metrics(off)["checkpointer"] == "off"  # no replicator, and the program wants no checkpoints
    if hidden:
        assert (metrics(hidden)["checkpointer"], changes(hidden)) == ("replicator", [])
    # It returns: with its read mark, or with its first checkpoint.
    returned = replicator(worker, place("gone"))
    assert poll(lambda: insert(gone, 300) or metrics(gone)["checkpointer"], "replicator", 10) == "replicator"
    assert len(changes(gone)) == 2 and changes(gone)[1].startswith("the replicator is there")
    before = checkpoints(gone)
    insert(gone, 2000)
    time.sleep(0.5)
    insert(gone, 10)
    assert checkpoints(gone) == before
    # Now ignored: at once.
    one(gone, "SELECT wal_set('replicator', 'never')")
    assert metrics(gone)["checkpointer"] == "background"
    assert poll(lambda: insert(gone, 5) or checkpoints(gone) > before, True, 10)
    # And back.
    one(gone, "SELECT wal_set('replicator', 'auto')")
    assert poll(lambda: insert(gone, 300) or metrics(gone)["checkpointer"], "replicator", 10) == "replicator"
    for process in (writing, still, returned):
        process.end()
    for db in every:
        db.close()
    assert integrity(place("gone")) == "ok"
    if not hidden:
        pytest.skip("all but the replicator in another PID namespace: none can be made here")


def shows_all_processes():
    return os.readlink("/proc/self/ns/pid") == "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel


def test_bug_a_log_beyond_its_limit_grew_for_a_minute_though_no_replicator_could_be_there(fast_path, worker):
    """One without a replicator, one whose replicator holds no mark, one with another process that has it open."""
    if not shows_all_processes():
        pytest.skip("a container does not show the processes that have the database open")
    def place(name):
        return fast_path.parent / f"{name}.db"
    gone, opened, small = (database(place(name)) for name in ("gone", "opened", "small"))
    other = worker(place("opened"), load=False)
    other.call("one(db, 'SELECT count(*) FROM t')")
    for db in (gone, opened):
        one(db, "SELECT wal_set('wal_limit_bytes', 4000000)")
    begin = time.monotonic()
    for db in (gone, opened, small):
        insert(db)
    assert [metrics(db)["checkpointer"] for db in (gone, opened, small)] == ["replicator"] * 3
    def took_over():
        for db in (gone, opened, small):
            insert(db, 5)
            metrics(db)
        return checkpoints(gone) > 0
    assert poll(took_over, True, 20)
    assert 3 <= time.monotonic() - begin < 15
    assert metrics(gone)["checkpointer"] == "background"
    detail, = changes(gone)
    assert "the log is beyond wal_limit_bytes, and no process has the database open that could be the replicator" in detail
    assert "but no sign of its replicator" in one(gone, "SELECT detail FROM system_health WHERE check_name = 'strategy'")
    for db in (opened, small):
        assert (metrics(db)["checkpointer"], checkpoints(db), changes(db)) == ("replicator", 0, [])
    assert other.end() == 0
    for db in (gone, opened, small):
        db.close()


def test_bug_the_advice_was_to_load_the_extension_into_the_replicator(fast_path, worker):
    db = database(fast_path.parent / "advice.db")
    beside = replicator(worker, fast_path.parent / "advice.db")
    insert(db, 2500)
    if metrics(db)["unmanaged_processes"] is None:
        pytest.skip("the system does not say which processes have the database open")

    def health(check):
        return db.execute("SELECT status, value, detail, recommendation FROM system_health WHERE check_name = ?", (check,)).fetchone()
    assert poll(lambda: metrics(db)["checkpointer"], "replicator") == "replicator"
    assert health("unmanaged_processes") == ("ok", 0, "every process that has the database open is managed, except for the replicator", None)
    status, _, detail, advice = health("wal_reset_bug")
    if status == "warning":
        assert detail.endswith("the replicator runs them with its own SQLite, and nothing guards them")
        assert advice.startswith("run a replicator whose own SQLite is 3.51.3 or newer")
    advice = one(db, "SELECT action FROM wal_recommendations WHERE finding LIKE 'unmanaged process%keeps the log from being copied'")
    assert advice == ("see why the replicator does not checkpoint; if it is another process, "
                      "load walmanager there to see which statement it is")
    other = worker(fast_path.parent / "advice.db", load=False)
    other.call("one(db, 'SELECT count(*) FROM t')")
    status, value, detail, advice = health("unmanaged_processes")
    assert (status, value, advice) == ("warning", 1, "load walmanager in this process, too")
    assert detail.startswith("1 process has the database open without walmanager")
    for process in (beside, other):
        process.end()
    db.close()


ENDLESS = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n)"
HOSTILE_TABLES = {
    "computed": "CREATE TABLE _litestream_seq(id INTEGER PRIMARY KEY, seq AS (length(hex(zeroblob(200000000))))); INSERT INTO _litestream_seq(id) VALUES (1)",
    "long": "CREATE TABLE _litestream_seq(id INTEGER PRIMARY KEY, seq); INSERT INTO _litestream_seq VALUES (1, zeroblob(60000000))",
    # A virtual table whose columns are those of a view.
    "endless": f"CREATE VIEW v AS SELECT 1 AS rowid, 1 AS id, {ENDLESS} AS seq; CREATE VIRTUAL TABLE _litestream_seq USING fts5(id, seq, content='v')",
    "view": f"CREATE VIEW _litestream_seq AS SELECT 1 AS id, {ENDLESS} AS seq",
}


def test_bug_a_hostile_table_of_that_name_took_any_memory_and_time(fast_path, worker):
    """A look at the table reads integers alone, and none that SQLite computes. It took 1 GB and 180 MB, and no end."""
    most = "int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    processes = []
    for name, schema in HOSTILE_TABLES.items():
        path = fast_path.parent / f"{name}.db"
        db = connect(path, None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
        db.executescript(schema)
        db.close()
        process = worker(path)
        process.run("db.execute(\"SELECT wal_set('checkpoint_frames', 50)\").fetchall()")
        processes.append((process, process.call(most), name))
    grow_up()
    for process, _, name in processes:
        process.run("for _ in range(200): db.execute('INSERT INTO t(payload) VALUES (zeroblob(3000))')")
        # None of these is the replicator's but the one that has both columns: the thread copies.
        expected = "replicator" if name == "long" else "background"
        assert poll(lambda: process.call("db.execute('SELECT checkpointer FROM wal_metrics').fetchone()[0]"), expected) == expected
        if name != "long":
            looked = "db.execute(\"SELECT count(*) FROM wal_checkpoints WHERE origin = 'background'\").fetchone()[0]"
            assert poll(lambda: process.call(looked) > 0)
    for process, before, _ in processes:
        assert process.call(most) - before < 40_000  # KB
        process.end()


def test_replicator_never_ignores_the_table(fast_path):
    db = database(fast_path.parent / "never.db")
    insert(db)
    time.sleep(0.2)
    assert (metrics(db)["checkpointer"], checkpoints(db)) == ("replicator", 0)
    one(db, "SELECT wal_set('replicator', 'never')")
    assert metrics(db)["checkpointer"] == "background"
    assert poll(lambda: insert(db, 10) or checkpoints(db) > 0, True, 10)
    one(db, "SELECT wal_set('replicator', 'always')")
    assert metrics(db)["checkpointer"] == "replicator"
    poll(lambda: metrics(db)["checkpointer"], "replicator", 5)
    insert(db, 10)
    before = checkpoints(db)
    insert(db, 3000)
    time.sleep(0.3)
    insert(db, 10)
    assert checkpoints(db) == before
    db.close()


def test_a_new_process_takes_over_what_others_found(fast_path, worker):
    """The state is the database's: a process that has not looked shows what the last look of another found."""
    path = fast_path.parent / "shared.db"
    db = database(path)
    insert(db)
    assert poll(lambda: metrics(db)["checkpointer"], "replicator") == "replicator"
    other = worker(path)
    assert other.call("metrics(db)['checkpointer']") == "replicator"
    one(db, "SELECT wal_set('replicator', 'never')")
    assert other.call("metrics(db)['checkpointer']") in ("background", "inline")
    db.close()


def forget_looks(path):
    """Makes the looks of all processes lie long ago: ReplicatorWords of ext/core/control/layout_checkpoints.h."""
    there, now = 2, time.monotonic_ns()
    with open(f"{path}-walmanager", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        def is_recent(time_ns):
            return now - 60_000_000_000 < time_ns <= now
        at, = [at for at in range(0, len(memory) - 40, 8)
               if struct.unpack_from("<Q", memory, at)[0] == there and all(map(is_recent, struct.unpack_from("<QQ", memory, at + 16)))]
        struct.pack_into("<QQ", memory, at + 16, 1, 1)


def test_bug_a_replicator_of_an_earlier_run_was_believed_for_ever_where_no_look_is_possible(fast_path, worker):
    """Through a VFS of the program's, so that no connection of the extension can be opened."""
    place = fast_path.parent / "replicated.db"
    db = database(place)
    insert(db)
    assert poll(lambda: metrics(db)["checkpointer"], "replicator", 10) == "replicator"
    program = worker()
    program.run(
        f"""
        import apsw
        vfs = apsw.VFS("mine", "unix")
        host = apsw.Connection({str(place)!r}, vfs="mine")
        host.enableloadextension(True)
        host.loadextension(EXTENSION)
        cursor = host.cursor()
        cursor.execute("PRAGMA synchronous=NORMAL")
        def write():
            for _ in range(3000): cursor.execute("INSERT INTO t(payload) VALUES (zeroblob(100))")
            return cursor.execute("SELECT pending_frames, checkpointer FROM wal_metrics").fetchone()
        """
    )
    frames, checkpointer = program.call("write()")
    assert frames > 4000 and checkpointer == "replicator"  # what this process saw is believed
    db.close()
    forget_looks(place)
    frames, checkpointer = program.call("write()")
    assert frames < 2000 and checkpointer == "inline"
    assert program.end() == 0
