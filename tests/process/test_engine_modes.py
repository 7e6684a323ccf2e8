"""The engine under changing conditions: the control file deleted between commits or full of false values,
other VFSs and locking modes of SQLite's own, memory-mapped reading, WAL mode left and entered again."""

import contextlib
import mmap
import os
import struct
import threading
import time

import pytest

from conftest import connect, one
from waiting import copied_in_background, poll
from workers import PATIENCE, fast_path, integrity, worker  # noqa: F401 (fixtures)

FRAME = 4096 + 24
# Offsets in the control file: in Header (layout_header.h), and in EngineState (layout_checkpoints.h).
GATE_UNTIL_NS = 232
AT_WORK_UNTIL_NS, BRAKE_FRAME = 26560 + 16, 26560 + 24

INSERTS = "for _ in range({}): db.execute('INSERT INTO t(payload) VALUES (zeroblob({}))')"


def setting(process, name, value):
    assert process.call(f"one(db, \"SELECT wal_set('{name}', {value})\")") == value


def control_of(path):
    return f"{path}-walmanager"


def until(condition, seconds=PATIENCE):
    assert poll(lambda: bool(condition()), True, seconds), "it did not happen in time"


# --- the control file is deleted between commits


def mapped(process, path):
    """The number of the control file that the process maps; None where that one is deleted. Asks it nothing."""
    with open(f"/proc/{process.pid}/maps") as maps:
        for line in maps:
            if line.rstrip("\n").endswith(control_of(path)):
                return int(line.split()[4])
    return None


def idle_with_a_thread(process):
    """A process that has copied in the background, so that it has a thread, and now does nothing."""
    setting(process, "sample_interval_ms", 50)
    setting(process, "checkpoint_frames", 20)
    process.run(INSERTS.format(30, 100))
    copied_in_background(process)
    process.run(INSERTS.format(3, 100))


@contextlib.contextmanager
def deleted(path):
    """The control file is; its number is not given to another one meanwhile."""
    with open(control_of(path), "rb"):
        os.unlink(control_of(path))
        yield


@pytest.mark.parametrize("another", [False, True], ids=["makes it anew", "attaches to another's"])
def test_control_file_deleted_in_idle_time_is_back_by_the_tick(worker, fast_path, another):
    application = worker(fast_path)
    idle_with_a_thread(application)
    before = os.stat(control_of(fast_path)).st_ino
    assert mapped(application, fast_path) == before
    with deleted(fast_path):
        shell = worker(fast_path)
        if another:
            setting(shell, "checkpoint_frames", 500)
        until(lambda: os.path.exists(control_of(fast_path)), 10)
        now = os.stat(control_of(fast_path)).st_ino
        until(lambda: mapped(application, fast_path) == now, 10)
        assert now != before
    # The application asks nothing: what is set elsewhere is in its next commits.
    setting(shell, "sample_interval_ms", 50)
    setting(shell, "checkpoint_frames", 30)
    shell.run("inline(db)")
    until(lambda: application.run(INSERTS.format(100, 100)) or shell.call("metrics(db)['checkpoints_inline']") >= 2)
    row = shell.call("metrics(db)")
    rows = shell.call("one(db, 'SELECT count(*) FROM t')")
    assert (row["commits"], row["processes"], row["strategy"]) == (rows - 33, 2, "sqlite_default")
    assert shell.call("db.execute('SELECT DISTINCT rule, pid FROM wal_checkpoints').fetchall()") == \
        [["autocheckpoint", application.pid]]
    # And without a commit: its thread follows.
    setting(shell, "checkpoint_frames", 1000)
    assert shell.call("one(db, \"SELECT wal_strategy('conversation_workload')\")") == "conversation_workload"
    application.run(INSERTS.format(5, 100))
    assert shell.call("metrics(db)['pending_frames']") > 0
    setting(shell, "checkpoint_interval_ms", 100)
    until(lambda: shell.call("metrics(db)['pending_frames']") == 0)
    assert shell.call("db.execute('SELECT origin, rule, pid FROM wal_checkpoints LIMIT 1').fetchall()") == \
        [["background", "interval", application.pid]]


def test_frames_that_were_pending_when_the_control_file_was_deleted_are_copied_at_the_interval(worker, fast_path):
    """What commits have told of the log went with the file; the log is still there, and the interval passes."""
    application = worker(fast_path)
    idle_with_a_thread(application)
    setting(application, "checkpoint_frames", 1000)
    application.run(INSERTS.format(5, 100))
    assert application.call("metrics(db)['pending_frames']") > 0
    with deleted(fast_path):
        until(lambda: os.path.exists(control_of(fast_path)), 10)
        now = os.stat(control_of(fast_path)).st_ino
        until(lambda: mapped(application, fast_path) == now, 10)
    shell = worker(fast_path)
    setting(shell, "checkpoint_interval_ms", 100)
    assert poll(lambda: shell.call("metrics(db)['pending_frames']"), 0, 5) == 0


# --- the control file lies


def word(path, offset):
    with open(control_of(path), "rb") as file:
        return struct.unpack("<Q", os.pread(file.fileno(), 8, offset))[0]


@contextlib.contextmanager
def liar(path):
    """lie(offset, value) puts a word into the control file, as a process that runs wild would."""
    file = os.open(control_of(path), os.O_RDWR)
    yield lambda offset, value: os.pwrite(file, struct.pack("<Q", value), offset)
    os.close(file)


def in_an_hour():
    return time.monotonic_ns() + 3600 * 10**9


LIES = {"2^63": lambda: 1 << 63, "all ones": lambda: (1 << 64) - 1, "in an hour": in_an_hour}

TIMED = """
def commit():
    begin = time.monotonic()
    db.execute("INSERT INTO t(payload) VALUES (1)")
    return time.monotonic() - begin
def commits(n): return [commit() for _ in range(n)]
def commits_for(seconds):
    times, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline: times.append(commit())
    return [len(times), max(times)]
"""


@pytest.fixture
def committer(worker, fast_path):
    """A process that times its commits; so few that there is nothing to copy yet."""
    process = worker(fast_path)
    process.run(TIMED)
    process.call("commits(10)")
    return process


@pytest.mark.parametrize("strategy, budget_ms", [("conversation_workload", 20), ("high_concurrency", 50)])
@pytest.mark.parametrize("value", LIES.values(), ids=LIES.keys())
def test_a_gate_that_no_process_opens_costs_one_commit_its_budget(committer, fast_path, strategy, budget_ms, value):
    assert committer.call(f"one(db, \"SELECT wal_strategy('{strategy}')\")") == strategy
    waits = []
    with liar(fast_path) as lie:
        stalled = committer.call("metrics(db)['checkpoint_stall_ms']")

        def waited_for_the_budget():  # once a commit has looked at the strategy
            lie(GATE_UNTIL_NS, value())
            waits.append(committer.call("commit()"))
            assert word(fast_path, GATE_UNTIL_NS) == 0
            return waits[-1] >= budget_ms / 1000

        until(waited_for_the_budget)
        assert max(waits) < 1
        assert committer.call("metrics(db)['checkpoint_stall_ms']") - stalled >= budget_ms
        stalled = committer.call("metrics(db)['checkpoint_stall_ms']")
        others = committer.call("commits(500)")
        assert sum(others) / len(others) < 0.005
        assert word(fast_path, GATE_UNTIL_NS) == 0
    assert committer.call("metrics(db)['checkpoint_stall_ms']") - stalled < 500 * 5


def test_a_gate_is_not_waited_for_by_a_connection_that_reads(committer, fast_path):
    """The commit that finishes might wait for this reader. The word stays, and the first commit that may wait clears it."""
    committer.run("cursor = db.execute('SELECT id FROM t'); cursor.fetchone()")
    with liar(fast_path) as lie:
        stalled = committer.call("metrics(db)['checkpoint_stall_ms']")
        lie(GATE_UNTIL_NS, 1 << 63)
        assert len(committer.call("commits(200)")) == 200
        assert committer.call("metrics(db)['checkpoint_stall_ms']") - stalled < 200 * 5
        assert word(fast_path, GATE_UNTIL_NS) == 1 << 63
        committer.run("cursor.close()")
        assert 0.020 <= committer.call("commit()") < 1
        assert word(fast_path, GATE_UNTIL_NS) == 0


def test_a_brake_that_is_never_released_costs_each_commit_a_pause(committer, fast_path):
    """at_work_until_ns is believed for the second to come, and is set anew before each commit."""
    committer.run(
        f"""
        file = os.open({control_of(fast_path)!r}, os.O_RDWR)  # never closed: that would drop this process's locks
        def put(offset, value): os.pwrite(file, value.to_bytes(8, "little"), offset)
        def braked(n):
            put({BRAKE_FRAME}, 1)
            times = []
            for _ in range(n):
                put({AT_WORK_UNTIL_NS}, time.monotonic_ns() + 900_000_000)
                times.append(commit())
            return times
        """
    )
    setting(committer, "sample_interval_ms", 10)  # the next commit looks, and sees the brake
    before = committer.call("metrics(db)")
    times = committer.call("braked(500)")
    after = committer.call("metrics(db)")
    stalled = after["checkpoint_stall_ms"] - before["checkpoint_stall_ms"]
    assert after["wal_frames"] < 1000 and after["checkpoints"] == 0  # no thread copied
    assert 500 * 0.040 <= stalled < 500 * 1  # 50 µs in the mean: the lie was believed, and cost no more
    assert max(times) < 1


def test_bug_commits_were_braked_while_a_reader_held_the_log(worker, wal_path):
    """Pauses of commits cannot let the log start over before the reader leaves. After it has left, they brake again."""
    writer, reader = worker(wal_path), worker(wal_path)
    writer.run(TIMED)
    setting(writer, "wal_limit_bytes", 1 << 20)
    reader.run("db.execute('BEGIN'); one(db, 'SELECT count(*) FROM t')")
    until(lambda: writer.call("len(commits(500))") and writer.call("metrics(db)['checkpoints_skipped']") > 1)
    skipped = writer.call("metrics(db)['checkpoints_skipped']")
    writer.start("call", "commits_for(2)")
    seen, until_then = [], time.monotonic() + 1.5
    with open(control_of(wal_path), "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        while time.monotonic() < until_then:
            seen.append(struct.unpack_from("<Q", memory, BRAKE_FRAME)[0])
    writer.finish()
    assert writer.call("metrics(db)['checkpoints_skipped']") > skipped  # it was tried meanwhile
    assert not any(seen)
    reader.run("db.execute('COMMIT')")
    writer.call("len(commits(2000))")
    copied_in_background(writer)


def test_bug_commits_paused_while_frames_were_copied_far_below_the_limit(worker, wal_path):
    """A pause in each commit cost up to two thirds of the throughput and bounded nothing: the limit is what bounds."""
    writer = worker(wal_path)
    writer.run(TIMED)
    limit = 8 << 20
    setting(writer, "wal_limit_bytes", limit)
    setting(writer, "checkpoint_frames", 100)
    writer.start("call", "commits_for(2)")
    seen, until_then = set(), time.monotonic() + 1.5
    with open(control_of(wal_path), "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        while time.monotonic() < until_then:
            seen.add(struct.unpack_from("<Q", memory, BRAKE_FRAME)[0])
    writer.finish()
    assert seen - {0}, "no thread copied during the look"
    assert min(seen - {0}) >= limit // FRAME * 15 // 16


@pytest.mark.parametrize("value", LIES.values(), ids=LIES.keys())
def test_a_brake_with_a_time_that_cannot_be_is_not_believed(committer, fast_path, value):
    setting(committer, "sample_interval_ms", 10)
    before = committer.call("metrics(db)")
    with liar(fast_path) as lie:
        lie(BRAKE_FRAME, 1)
        lie(AT_WORK_UNTIL_NS, value())
        times = committer.call("commits(500)")
        after = committer.call("metrics(db)")
        assert after["checkpoint_stall_ms"] - before["checkpoint_stall_ms"] < 500 * 1
        assert max(times) < 1
        # The next thread that copies sets the words right again.
        committer.call("len(commits(1000))")
        copied_in_background(committer)
        until(lambda: [word(fast_path, BRAKE_FRAME), word(fast_path, AT_WORK_UNTIL_NS)] == [0, 0])


def test_false_words_in_the_control_file_stop_no_process(worker, fast_path):
    """Two processes commit and copy while the test writes false values into gate and brake. They only get slower."""
    workers = [worker(fast_path) for _ in range(2)]
    setting(workers[0], "checkpoint_frames", 50)
    for each in workers:
        each.run(TIMED)
        each.call("commits(10)")
    stop = threading.Event()
    rounds = 0

    def lie_on():
        nonlocal rounds
        with liar(fast_path) as lie:
            while not stop.is_set():
                lie(GATE_UNTIL_NS, [1 << 63, (1 << 64) - 1, in_an_hour()][rounds % 3])
                lie(BRAKE_FRAME, [1, (1 << 64) - 1, 0][rounds // 3 % 3])
                lie(AT_WORK_UNTIL_NS, [time.monotonic_ns() + 900_000_000, 1 << 63][rounds // 9 % 2])
                rounds += 1
                stop.wait(0.005)

    thread = threading.Thread(target=lie_on)
    thread.start()
    try:
        for each in workers:
            each.start("call", "commits_for(1.5)")
        counts, longest = zip(*[each.finish() for each in workers])
    finally:
        stop.set()
        thread.join()
    assert rounds > 20
    assert min(counts) > 20 and max(longest) < 2
    times = workers[0].call("commits(500)")
    assert sum(times) / 500 < 0.010
    assert word(fast_path, GATE_UNTIL_NS) == 0
    copied_in_background(workers[0])
    poll(lambda: workers[0].run("commits(20)") or workers[0].call("metrics(db)['wal_resets']") > 0, True)
    row = workers[0].call("metrics(db)")
    assert (row["commits"], row["checkpoints_failed"]) == (workers[0].call("one(db, 'SELECT count(*) FROM t')"), 0)
    assert row["wal_resets"] >= 1
    assert integrity(fast_path) == "ok"


# --- VFSs of SQLite's own, by name


PLAY = """
seen = []
def note(what, statement):
    try:
        seen.append([what, statement()])
    except sqlite3.Error as error:
        seen.append([what, "%s: %s" % (type(error).__name__, error)])
def write(connection, n):
    for _ in range(n): connection.execute("INSERT INTO t(payload) VALUES (zeroblob(500))")
    return one(connection, "SELECT count(*) FROM t")
def opened(): return connect(uri, load, uri=True, timeout=0)
def look():
    other = opened()
    try: return [one(other, "SELECT count(*) FROM t"), write(other, 500)]
    finally: other.close()
db = opened()
note("locking_mode", lambda: one(db, "PRAGMA locking_mode=" + locking))
note("journal_mode", lambda: one(db, "PRAGMA journal_mode=WAL"))
db.execute("PRAGMA synchronous=OFF")
db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
if load:
    one(db, "SELECT wal_set('checkpoint_frames', 50)")
    one(db, "SELECT wal_set('wal_limit_bytes', 1048576)")
note("written", lambda: write(db, commits))
note("a second connection", look)
note("written", lambda: write(db, 500))
"""


# Without shared memory SQLite allows WAL mode only for a connection that has the database alone.
@pytest.mark.parametrize("vfs, locking, mode, checkpointer", [
    ("unix", "NORMAL", "wal", "background"),
    ("unix-excl", "NORMAL", "wal", "background"),  # the wal-index is on the heap, for one process
    ("unix-excl", "EXCLUSIVE", "wal", "inline"),
    ("unix-none", "EXCLUSIVE", "wal", "inline"),
    ("unix-dotfile", "EXCLUSIVE", "wal", "inline"),
    ("unix-none", "NORMAL", "delete", None),
    ("unix-dotfile", "NORMAL", "delete", None),
])
def test_vfs_by_name(worker, fast_path, vfs, locking, mode, checkpointer):
    commits = 20_000 if mode == "wal" else 1000

    def play(name, load):
        directory = fast_path.parent / name
        directory.mkdir()
        uri = f"file:{directory}/v.db?vfs={vfs}"
        process = worker()
        process.run(f"uri, load, locking, commits = {uri!r}, {load}, {locking!r}, {commits}")
        process.run(PLAY)
        row = process.call("metrics(db)") if load != "None" else None
        files = {entry.name for entry in directory.iterdir()} - {"v.db-walmanager"}
        # Another process finds the database as locked, or as open to it, as without the extension.
        outsider = worker()
        outsider.run(f"uri, load, seen = {uri!r}, None, []\n" + PLAY[PLAY.index("def note"):PLAY.index("db = ")])
        outsider.run("note('another process', look)")
        seen = process.call("seen") + outsider.call("seen")
        seen.append(["integrity", process.call("one(db, 'PRAGMA integrity_check')")])
        process.run("db.close()")
        left = {entry.name for entry in directory.iterdir()}
        outsider.run("note('afterwards', look)")
        seen.append(outsider.call("seen")[-1])
        assert outsider.end() == process.end() == 0
        seen.append(["integrity afterwards", integrity(directory / "v.db")])
        return seen, files, left, row

    seen, open_files, left, row = play("managed", "EXTENSION")
    assert (seen, open_files) == play("bare", "None")[:2]
    assert seen[:3] == [["locking_mode", locking.lower()], ["journal_mode", mode], ["written", commits]]
    assert [value for what, value in seen if what.startswith("integrity")] == ["ok", "ok"]
    if mode != "wal":
        assert (row["commits"], row["hook"]) == (0, None)
        assert left == {"v.db"}
        return
    assert left == {"v.db", "v.db-walmanager"}
    second = 500 if locking == "NORMAL" else 0
    assert row["commits"] == commits + 501 + second
    assert (row["checkpointer"], row["checkpoints_failed"]) == (checkpointer, 0)
    assert row[f"checkpoints_{checkpointer}"] >= 10
    assert row["wal_resets"] >= 10
    assert row["wal_bytes_max"] < commits * FRAME / 2  # far beyond wal_limit_bytes only where the thread gets no CPU


# --- memory-mapped reading


MAPPED = """
def mapped_connection():
    own = connect(path, load, timeout=20)
    own.execute("PRAGMA synchronous=NORMAL")
    assert one(own, "PRAGMA mmap_size=268435456") == 268435456
    return own
def is_mapped():
    return any(line.rstrip().endswith(path) for line in open("/proc/self/maps"))
def check(own):
    own.execute("BEGIN")
    total, accounts = own.execute("SELECT sum(balance), count(*) FROM account").fetchone()
    assert (total, accounts) == (0, 500), (total, accounts)
    wrong = "SELECT count(*) FROM (SELECT * FROM entry ORDER BY id DESC LIMIT 300) WHERE text IS NOT printf('%.700c', id % 10)"
    assert one(own, wrong) == 0
    first, last, rows = own.execute("SELECT min(id), max(id), count(*) FROM entry").fetchone()
    assert rows == (0 if last is None else last - first + 1), (first, last, rows)
    if not mapped and is_mapped(): mapped.append(1)
    own.execute("COMMIT")
def read(reads):
    own = mapped_connection()
    try:
        while not stop.is_set():
            check(own)
            reads.append(1)
            time.sleep(0.05)  # readers that leave no gap keep any log from starting over
    except Exception as error:
        errors.append(repr(error))
    finally:
        own.close()
sys.setswitchinterval(0.0005)  # a reader that waits for Python holds its snapshot
errors, reads, mapped, stop = [], [], [], threading.Event()
"""


def test_memory_mapped_readers_beside_the_engine(worker, fast_path):
    """The thread writes the database file that others map, and cuts it shorter when it is vacuumed."""
    path = str(fast_path.parent / "mapped.db")
    process, outsider = worker(), worker()
    process.run(f"path, load = {path!r}, EXTENSION\n" + MAPPED.strip())
    outsider.run(f"path, load = {path!r}, None\n" + MAPPED.strip())
    process.run(
        """
        db = mapped_connection()
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        assert one(db, "PRAGMA journal_mode=WAL") == "wal"
        db.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER)")
        db.execute("CREATE TABLE entry(id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)")
        db.execute("WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 499) INSERT INTO account SELECT i, 0 FROM n")
        one(db, "SELECT wal_set('checkpoint_frames', 100)")
        one(db, "SELECT wal_set('wal_limit_bytes', 1048576)")
        def transfer(i):
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE account SET balance = balance - 1 WHERE id = ?", (i * 7 % 500,))
            db.execute("UPDATE account SET balance = balance + 1 WHERE id = ?", (i * 13 % 500,))
            db.execute("INSERT INTO entry(text) SELECT printf('%.700c', (seq + 1) % 10) FROM (SELECT coalesce(max(id), 0) AS seq FROM entry)")
            db.execute("COMMIT")
        transfer(0)
        threads = [threading.Thread(target=read, args=(reads,)) for _ in range(2)]
        """
    )
    outsider.run("thread = threading.Thread(target=read, args=(reads,)); thread.start()")
    process.run(
        """
        for thread in threads: thread.start()
        sizes, i = [], 0
        while i < 6000 or (len(reads) < 20 and not errors):
            i += 1
            transfer(i)
            if i % 1500 == 0:
                sizes.append(one(db, "PRAGMA page_count"))
                db.execute("DELETE FROM entry WHERE id < (SELECT max(id) FROM entry) - 300")
                db.execute("PRAGMA incremental_vacuum").fetchall()
                sizes.append(one(db, "PRAGMA page_count"))
        """
    )
    for each in (process, outsider):  # all in the log, there is nothing to map
        until(lambda: each.call("len(mapped) > 0 or errors != []"))
    process.run("stop.set(); [thread.join() for thread in threads]")
    outsider.run("stop.set(); thread.join()")
    assert process.call("errors") + outsider.call("errors") == []
    assert process.call("len(reads)") >= 20 and outsider.call("len(reads)") >= 3
    sizes = process.call("sizes")
    assert all(after < before for before, after in zip(sizes[::2], sizes[1::2]))
    process.run("check(db)")
    # Where processors are short the thread makes fewer passes, which are longer: there is work until it has made five.
    until(lambda: process.run("i += 1\ntransfer(i)") or process.call("metrics(db)['checkpoints_background']") >= 5)
    row = copied_in_background(process, 5)
    assert (row["checkpoints_failed"], row["unguarded_because"]) == (0, None)
    assert row["wal_resets"] >= 2
    assert row["wal_bytes_max"] < row["frames_written"] * FRAME / 2
    assert process.call("one(db, 'SELECT sum(balance) FROM account')") == 0
    assert process.call("one(db, 'SELECT seq FROM sqlite_sequence') - i") == 1
    assert [process.end(), outsider.end()] == [0, 0]
    assert not os.path.exists(path + "-wal")
    assert integrity(path) == "ok"


# --- modes left and entered again


GO_ON = """
def insert(n):
    for _ in range(n): db.execute("INSERT INTO t(payload) VALUES (zeroblob(500))")
def goes_on(by="checkpoints_background", times=1):
    '''Commits until there were so many more checkpoints, and the log has started over as often.'''
    names = (by, "wal_resets")
    before = [metrics(db)[name] for name in names]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        insert(20)
        now = metrics(db)
        if all(now[name] >= was + times for name, was in zip(names, before)): return True
        time.sleep(0.001)
    return [before, now]
"""


@pytest.fixture
def at_work(worker, fast_path):
    process = worker(fast_path)
    setting(process, "checkpoint_frames", 50)
    process.run(GO_ON)
    assert process.call("goes_on()") is True
    return process


def test_locking_mode_exclusive_entered_and_left_while_the_engine_is_at_work(at_work, worker, fast_path):
    for turn in range(8):
        at_work.run(f"insert({60 + 13 * turn})")  # the thread has just been called
        before = at_work.call("metrics(db)")
        assert at_work.call("one(db, 'PRAGMA locking_mode=EXCLUSIVE')") == "exclusive"
        assert at_work.call("goes_on('checkpoints_inline', 5)") is True
        row = at_work.call("metrics(db)")
        assert row["unguarded_because"] == "locking_mode is EXCLUSIVE: no other connection can write"
        assert row["checkpoints_background"] <= before["checkpoints_background"] + 1  # that which was at work
        assert row["wal_frames"] <= 100
        assert at_work.call("one(db, 'PRAGMA locking_mode=NORMAL')") == "normal"
        at_work.call("one(db, 'SELECT count(*) FROM t')")  # with it the lock goes
        other = connect(fast_path, None, timeout=0)
        assert one(other, "SELECT count(*) FROM t") == at_work.call("one(db, 'SELECT count(*) FROM t')")
        other.close()
        assert at_work.call("goes_on()") is True
        assert at_work.call("metrics(db)['unguarded_because']") is None
    row = at_work.call("metrics(db)")
    assert (row["checkpoints_failed"], row["checkpointer"]) == (0, "background")
    assert row["commits"] == at_work.call("one(db, 'SELECT count(*) FROM t')")
    assert at_work.end() == 0
    assert integrity(fast_path) == "ok"


def test_wal_mode_left_and_entered_again_while_the_engine_is_at_work(at_work, worker, fast_path):
    rows = at_work.call("one(db, 'SELECT count(*) FROM t')")
    for turn in range(8):
        at_work.run(f"insert({60 + 13 * turn})")
        assert at_work.call("one(db, 'PRAGMA journal_mode=DELETE')") == "delete"
        assert not os.path.exists(f"{fast_path}-wal")
        before = at_work.call("metrics(db)['commits']")
        at_work.run("insert(100)")  # no log, nothing of the engine's
        assert at_work.call("metrics(db)['commits']") == before
        assert not os.path.exists(f"{fast_path}-wal")
        assert at_work.call("one(db, 'PRAGMA journal_mode=WAL')") == "wal"
        assert at_work.call("goes_on()") is True
        rows += 160 + 13 * turn
    row = at_work.call("metrics(db)")
    assert (row["checkpoints_failed"], row["checkpointer"], row["unguarded_because"]) == (0, "background", None)
    assert row["wal_bytes_max"] < 4 << 20
    assert at_work.call("one(db, 'SELECT count(*) FROM t')") >= rows + 8 * 20
    assert at_work.end() == 0
    assert not os.path.exists(f"{fast_path}-wal")
    assert integrity(fast_path) == "ok"
