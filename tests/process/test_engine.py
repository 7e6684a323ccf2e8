"""The checkpoint engine: a thread that copies, commits that finish, and what each promises. The tests force each
mechanism: they hold a reader, kill the process with the lease, or make the disk slow."""

import json
import os
import subprocess
import time

import pytest

from conftest import connect, metrics, one
from workers import NOBODY, fast_path, integrity, worker  # noqa: F401 (fixtures among them)

LEASE = (1 << 40) + 3  # layout::kLockLease
FRAME = 4096 + 24


def insert(db, commits, payload=100):
    for _ in range(commits):
        db.execute("INSERT INTO t(payload) VALUES (zeroblob(?))", (payload,))


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)
    return value


def value(db, name):
    return one(db, "SELECT value FROM wal_config WHERE name = ?", name)


def setting(db, name, to):
    return one(db, "SELECT wal_set(?, ?)", name, to)


def wal_file(path):
    return os.stat(f"{path}-wal").st_size


def threads():
    return len(os.listdir("/proc/self/task"))


@pytest.fixture
def fast(fast_path):
    db = connect(fast_path)
    db.execute("PRAGMA synchronous=NORMAL")
    yield db
    db.close()


@pytest.fixture
def pin(fast_path):
    """Makes bare readers that hold the newest snapshot."""
    made = []

    def begin():
        reader = connect(fast_path, None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchall()
        made.append(reader)
        return reader

    yield begin
    for reader in made:
        reader.close()


# --- the two parts

def test_all_frames_are_copied_and_the_log_starts_over(fast):
    insert(fast, 20_000)
    row = wait_for(lambda: (row := metrics(fast))["checkpoints_background"] > 0 and row)
    assert row["wal_resets"] >= 1
    assert row["wal_bytes_max"] < row["wal_limit_bytes"]
    assert row["checkpoints_failed"] == 0
    assert row["checkpointer"] == "background"


def test_what_was_learned_is_in_wal_config(fast):
    before = dict(fast.execute("SELECT name, value FROM wal_config WHERE name LIKE 'learned.%'"))
    assert set(before) == {"learned.write_rate", "learned.frame_us", "learned.sync_ms", "learned.reader_ms",
                           "learned.finish_ms", "learned.read_page_us", "learned.mapped_page_us"}
    assert set(before.values()) == {None}
    def learned():
        insert(fast, 500)
        return value(fast, "learned.frame_us") and value(fast, "learned.finish_ms")
    wait_for(learned)
    assert 0 < value(fast, "learned.frame_us") < 10_000
    assert 0 < value(fast, "learned.finish_ms") < 10_000


def test_what_is_learned_cannot_be_set(fast):
    with pytest.raises(Exception) as error:
        setting(fast, "learned.sync_ms", 1)
    assert str(error.value) == \
        "wal_set: name 'learned.sync_ms' is not a setting: what is learned follows from what happens"


@pytest.mark.parametrize("page_size", [512, 1024, 4096, 65536])
def test_page_sizes(tmp_path, page_size):
    path = tmp_path / "pages.db"
    db = connect(path)
    db.execute(f"PRAGMA page_size={page_size}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=OFF")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    setting(db, "checkpoint_frames", 50)
    setting(db, "wal_limit_bytes", 400 * (page_size + 24))
    def reset():
        insert(db, 60, page_size // 2)
        return metrics(db)["wal_resets"] >= 3
    wait_for(reset)
    rows = one(db, "SELECT count(*) FROM t")
    assert metrics(db)["page_size"] == page_size
    db.close()
    assert integrity(path) == "ok"
    bare = connect(path, None)
    assert one(bare, "SELECT count(*) FROM t") == rows
    bare.close()


def test_attached_databases_have_an_engine_each(fast, fast_path):
    other = fast_path.parent / "other.db"
    fast.execute("ATTACH ? AS other", (str(other),))
    fast.execute("PRAGMA other.journal_mode=WAL")
    fast.execute("CREATE TABLE other.u(id INTEGER PRIMARY KEY, payload BLOB)")
    def both():
        for _ in range(300):
            fast.execute("INSERT INTO t(payload) VALUES (zeroblob(2000))")
            fast.execute("INSERT INTO other.u(payload) VALUES (zeroblob(2000))")
        return all(metrics(fast, schema)["wal_resets"] >= 2 for schema in ("main", "other"))
    wait_for(both)


# --- the tick

def test_the_interval_passes_without_commits(fast):
    setting(fast, "sample_interval_ms", 20)
    setting(fast, "checkpoint_interval_ms", 200)
    insert(fast, 5)
    assert metrics(fast)["pending_frames"] > 0
    wait_for(lambda: metrics(fast)["pending_frames"] == 0)
    assert fast.execute("SELECT origin, rule, result FROM wal_checkpoints").fetchall() == \
        [("background", "interval", "complete")]


def test_commits_that_reach_no_hook_are_copied(fast):
    """RETURNING, fetched once and reset: no hook is called, and no commit finishes; the thread sees the log grow."""
    setting(fast, "sample_interval_ms", 20)
    setting(fast, "checkpoint_frames", 999)  # not as the thread learns
    insert(fast, 1100)
    wait_for(lambda: metrics(fast)["checkpoints_background"] > 0)
    copied = metrics(fast)["checkpoint_frames"]
    for _ in range(1500):
        cursor = fast.execute("INSERT INTO t(payload) VALUES (zeroblob(3000)) RETURNING id")
        cursor.fetchone()
        cursor.close()
    wait_for(lambda: metrics(fast)["checkpoint_frames"] >= copied + 1400)


def test_a_few_commits_that_reach_no_hook_are_copied_at_a_time_rule(fast):
    """Too few for the look that every 64th of them takes: only the file has changed."""
    setting(fast, "sample_interval_ms", 20)
    setting(fast, "checkpoint_interval_ms", 200)
    for _ in range(10):
        cursor = fast.execute("INSERT INTO t(payload) VALUES (zeroblob(3000)) RETURNING id")
        cursor.fetchone()
        cursor.close()
    wait_for(lambda: fast.execute("SELECT origin, rule, result, checkpointed_frames FROM wal_checkpoints").fetchall()
             == [("background", "interval", "complete", metrics(fast)["wal_frames"])])
    row = metrics(fast)
    assert row["pending_frames"] == 0
    assert row["frames_written"] == row["wal_frames"] >= 10


# --- what the program's connection notices

def test_the_host_is_asked_about_synchronous_once_and_after_each_change(fast):
    setting(fast, "checkpoint_frames", 999)  # not as the thread learns
    asked = []
    fast.set_authorizer(lambda action, arg, value, *rest:
                        (asked.append((arg, value)), 0)[1] if action == 19 and arg == "synchronous" else 0)
    insert(fast, 5000)
    assert asked == [("synchronous", None)]
    fast.execute("PRAGMA synchronous=FULL")
    insert(fast, 5000)
    assert asked == [("synchronous", None), ("synchronous", "FULL"), ("synchronous", None)]


# --- one checkpointer at a time

def test_the_process_with_the_lease_copies_and_when_it_is_killed_the_next_one_does(fast, fast_path, worker):
    insert(fast, 1)  # the control file is there
    holder = worker()
    holder.run(
        f"""
        import fcntl, struct
        fd = os.open({str(fast_path) + "-walmanager"!r}, os.O_RDWR)
        fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, {LEASE}, 1, 0))
        """
    )
    insert(fast, 1200)
    time.sleep(0.3)
    assert metrics(fast)["checkpoints_background"] == 0
    holder.kill()
    wait_for(lambda: metrics(fast)["checkpoints_background"] == 1)


def test_several_processes_copy_in_turn_and_keep_the_limit(fast_path, worker):
    workers = [worker(fast_path) for _ in range(3)]
    one_of_them = workers[0]
    one_of_them.call("one(db, \"SELECT wal_set('wal_limit_bytes', 8388608)\")")
    for each in workers:
        each.start("run", "for _ in range(6000): db.execute('INSERT INTO t(payload) VALUES (zeroblob(1000))')")
    for each in workers:
        each.finish()
    row = one_of_them.call("metrics(db)")
    assert row["commits"] == 18_000
    assert row["checkpoints_failed"] == 0
    assert row["wal_resets"] >= 2
    assert row["wal_bytes_max"] <= 2 * 8388608
    for each in workers:
        each.end()
    assert integrity(fast_path) == "ok"
    db = connect(fast_path, None)
    assert one(db, "SELECT count(*) FROM t") == 18_000
    db.close()


# --- the thread

THREADS = """
def threads(): return len(os.listdir("/proc/self/task"))
before = threads()
db = connect(path)
db.execute("PRAGMA synchronous=OFF")
time.sleep(1.1)  # in its first second a process has a thread only to copy
"""


def test_the_thread_is_there_when_needed_and_ends_with_the_last_connection(fast_path, worker):
    process = worker()
    process.run(f"path = {str(fast_path)!r}" + THREADS)
    assert process.call("threads() - before") == 0
    process.run("for _ in range(1100): db.execute('INSERT INTO t(payload) VALUES (1)')")
    assert process.call("threads() - before") == 2  # one copies, one watches
    process.run("second = connect(path); second.execute('INSERT INTO t(payload) VALUES (1)'); db.close()")
    assert process.call("threads() - before") == 2
    process.run("second.close()")
    assert process.call("threads() - before") == 0


@pytest.mark.parametrize("strategy", ["sqlite_default", "off"])
def test_a_strategy_that_needs_no_thread_has_but_that_which_watches(fast_path, worker, strategy):
    process = worker()
    process.run(f"path = {str(fast_path)!r}" + THREADS)
    process.run(f"one(db, \"SELECT wal_strategy('{strategy}')\")")
    process.run("for _ in range(2100): db.execute('INSERT INTO t(payload) VALUES (1)')")
    assert process.call("threads() - before") == 1
    process.run("db.close()")
    assert process.call("threads() - before") == 0


def test_a_read_only_connection_has_no_thread(fast_path, worker):
    writer = worker(fast_path)
    writer.run("for _ in range(50): db.execute('INSERT INTO t(payload) VALUES (1)')")
    process = worker()
    process.run(
        f"""
        def threads(): return len(os.listdir("/proc/self/task"))
        before = threads()
        db = sqlite3.connect("file:{fast_path}?mode=ro", uri=True)
        db.enable_load_extension(True)
        db.load_extension(EXTENSION)
        rows = [one(db, "SELECT count(*) FROM t") for _ in range(100)]
        """
    )
    assert process.call("threads() - before") == 0


def test_the_host_may_leave_wal_mode_while_the_thread_works(fast_path, worker):
    """PRAGMA journal_mode and locking_mode work as without the extension, at any moment of the thread's work."""
    process = worker(fast_path)
    process.run(
        """
        modes = set()
        one(db, "SELECT wal_set('checkpoint_frames', 999)")  # not as the thread learns
        for turn in range(30):
            for _ in range(1000 + turn): db.execute('INSERT INTO t(payload) VALUES (zeroblob(500))')
            if turn % 2:
                modes.add(one(db, "PRAGMA journal_mode=DELETE"))
                modes.add(one(db, "PRAGMA journal_mode=WAL"))
            else:
                modes.add(one(db, "PRAGMA locking_mode=EXCLUSIVE"))
                db.execute("INSERT INTO t(payload) VALUES (1)")
                modes.add(one(db, "PRAGMA locking_mode=NORMAL"))
                db.execute("SELECT count(*) FROM t").fetchall()
        """
    )
    assert process.call("sorted(modes)") == ["delete", "exclusive", "normal", "wal"]
    assert process.call("metrics(db)['checkpoints_background']") > 5
    assert process.call("metrics(db)['checkpoints_failed']") == 0
    assert process.end() == 0
    assert integrity(fast_path) == "ok"


# --- readers in the way

def test_a_long_reader_costs_next_to_nothing_and_the_log_comes_back(fast, pin):
    limit = 4 << 20
    setting(fast, "wal_limit_bytes", limit)
    insert(fast, 500)
    reader = pin()
    waits, stalled = 0, metrics(fast)["checkpoint_stall_ms"]
    for _ in range(4000):
        begin = time.monotonic()
        insert(fast, 1, 1500)
        if time.monotonic() - begin > 0.015:
            before, stalled = stalled, metrics(fast)["checkpoint_stall_ms"]
            waits += stalled - before > 10  # else the machine was busy with something else
    row = metrics(fast)
    assert row["wal_frames"] * FRAME > limit  # it could not be kept
    assert row["oldest_reader_frame"] is not None
    # A wait is one stall budget, at first; then it is known that the reader stays.
    assert waits <= 3
    assert row["checkpoint_stall_ms"] < 400
    def names_the_reader():  # of attempts in vain a line is kept now and then
        log = fast.execute("SELECT error FROM wal_checkpoints WHERE result = 'partial'").fetchall()
        return any(error.startswith("a reader holds frame") for error, in log)
    wait_for(lambda: insert(fast, 1) or names_the_reader())
    reader.rollback()
    resets = row["wal_resets"]
    begin = time.monotonic()
    wait_for(lambda: insert(fast, 1) or metrics(fast)["wal_resets"] > resets)
    assert time.monotonic() - begin < 1


def test_a_log_far_beyond_its_limit_is_shrunk_without_disturbing_other_connections(fast, fast_path, pin):
    limit = 1 << 20
    setting(fast, "wal_limit_bytes", limit)
    insert(fast, 100)
    reader = pin()
    insert(fast, 2000, 1500)
    reader.rollback()
    assert wal_file(fast_path) > 3 * limit
    bare = connect(fast_path, None)
    def shrunk():
        insert(fast, 20)
        assert one(bare, "SELECT count(*) FROM t") > 0
        return wal_file(fast_path) <= 2 * limit
    wait_for(shrunk)
    bare.close()
    rows = one(fast, "SELECT count(*) FROM t")
    fast.close()
    assert integrity(fast_path) == "ok"
    check = connect(fast_path, None)
    assert one(check, "SELECT count(*) FROM t") == rows
    check.close()


def test_backpressure_slows_commits_and_only_if_asked(fast, pin):
    setting(fast, "wal_limit_bytes", 1 << 20)
    insert(fast, 10)
    pin()
    def seconds(commits):
        begin = time.monotonic()
        insert(fast, commits, 3000)
        return time.monotonic() - begin
    seconds(400)  # well beyond the limit
    free = seconds(100)
    setting(fast, "backpressure", "on")
    wait_for(lambda: seconds(1) > 0.05)  # a commit follows that cannot look while the thread is at work
    slowed = seconds(5)
    assert slowed > 5 * 0.1 > 5 * free / 100
    setting(fast, "backpressure", "off")
    assert seconds(5) < slowed / 3


# --- guests

def test_beside_a_replicator_it_only_looks(fast):
    fast.execute("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
    insert(fast, 3000)
    time.sleep(0.2)
    row = metrics(fast)
    assert (row["checkpointer"], row["checkpoints"]) == ("replicator", 0)
    assert row["pending_frames"] >= 3000
    assert "replicator" in one(fast, "SELECT wal_checkpoint_auto()") or row["pending_frames"] > 0
    fast.execute("DROP TABLE _litestream_seq")
    wait_for(lambda: insert(fast, 10) or metrics(fast)["checkpoints_background"] > 0)
    assert metrics(fast)["checkpointer"] == "background"


def test_auto_optimize_runs_in_idle_time_if_asked(fast):
    setting(fast, "sample_interval_ms", 50)
    fast.execute("CREATE INDEX t_payload ON t(payload)")
    insert(fast, 200)
    assert metrics(fast)["optimized_at"] is None
    setting(fast, "auto_optimize", "on")
    insert(fast, 1)
    wait_for(lambda: metrics(fast)["optimized_at"], 30)
    wait_for(lambda: one(fast, "SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'"))
    wait_for(lambda: one(fast, "SELECT count(*) FROM sqlite_stat1"))
    assert one(fast, "SELECT idx FROM sqlite_stat1") == "t_payload"


# --- what would have kept checkpoints from ever completing

def test_connections_that_set_wal_mode_again_and_again_do_not_starve_it(fast_path, worker):
    """A start-up PRAGMA on every connection, as ORMs have it: it changes nothing, and stops nothing."""
    process = worker(fast_path)
    process.run(
        f"""
        one(db, "SELECT wal_set('wal_limit_bytes', 8388608)")
        stop = False
        def churn():
            while not stop:
                other = connect({str(fast_path)!r}, timeout=20)
                other.execute("PRAGMA journal_mode=WAL").fetchall()
                other.execute("SELECT 1 FROM t LIMIT 1").fetchall()
                other.close()
                time.sleep(0.001)
        threads = [threading.Thread(target=churn) for _ in range(2)]
        for thread in threads: thread.start()
        for _ in range(20000): db.execute("INSERT INTO t(payload) VALUES (zeroblob(1500))")
        stop = True
        for thread in threads: thread.join()
        """
    )
    row = process.call("metrics(db)")
    assert row["wal_bytes_max"] < 4 * 8388608
    assert row["wal_resets"] > 0


def test_writers_whose_trace_a_driver_has_do_not_stop_each_other(fast_path, worker):
    process = worker(fast_path)
    process.run(
        f"""
        def write():
            own = connect({str(fast_path)!r}, timeout=20)
            own.execute("PRAGMA synchronous=NORMAL")
            own.set_trace_callback(lambda sql: None)
            for _ in range(6000): own.execute("INSERT INTO t(payload) VALUES (zeroblob(1500))")
            own.close()
        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    )
    row = process.call("metrics(db)")
    assert row["commits"] == 18_000
    assert row["wal_resets"] > 0
    assert row["checkpoint_frames"] > 9_000


@pytest.mark.parametrize("mode", ["PASSIVE", "TRUNCATE"])
def test_the_programs_own_checkpoint_is_never_busy_beside_the_thread(fast_path, worker, mode):
    """One connection, no busy handler: its PRAGMA wal_checkpoint is never busy, whatever the thread does."""
    process = worker(fast_path, timeout=0)
    process.run(
        f"""
        answers = set()
        for turn in range(60):
            for _ in range(1000 + 17 * turn): db.execute("INSERT INTO t(payload) VALUES (1)")
            answers.add(db.execute("PRAGMA wal_checkpoint({mode})").fetchone()[0])
        """
    )
    assert process.call("sorted(answers)") == [0]
    assert process.call("metrics(db)['checkpoints_background']") > 0


def test_a_replicator_that_goes_is_forgotten_also_after_the_host_needed_the_database(fast):
    fast.execute("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
    setting(fast, "sample_interval_ms", 50)
    insert(fast, 1500)
    time.sleep(0.2)
    fast.execute("PRAGMA wal_checkpoint").fetchall()  # walmanager has no connection open from here on
    fast.execute("DROP TABLE _litestream_seq")
    before = metrics(fast)["checkpoints"]
    wait_for(lambda: insert(fast, 100) or metrics(fast)["checkpoints"] > before)


def test_a_process_out_of_descriptors_checkpoints_on_the_hosts_handle(fast_path, worker):
    process = worker(fast_path)
    process.run(
        """
        one(db, "SELECT wal_set('wal_limit_bytes', 8388608)")
        db.execute("INSERT INTO t(payload) VALUES (1)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        files = []
        try:
            while True: files.append(open("/dev/null"))
        except OSError: pass
        begin = time.monotonic()
        while time.monotonic() < begin + 2.5: db.execute("INSERT INTO t(payload) VALUES (1)")
        written = one(db, "SELECT count(*) FROM t")
        for file in files: file.close()
        """
    )
    row = process.call("metrics(db)")
    assert row["checkpoint_frames"] > 0
    assert row["unguarded_because"] is not None


def test_a_host_under_a_system_call_filter_lives(fast_path, worker):
    """systemd's SystemCallFilter=~@resources ends a process that asks for a priority."""
    if os.uname().machine != "x86_64":
        pytest.skip("the filter is written for x86_64")
    process = worker(fast_path)
    process.run(
        """
        import ctypes, struct
        forbidden = [141, 144, 251]  # setpriority, sched_setscheduler, ioprio_set
        load, jump, answer = 0x20, 0x15, 0x06
        code = [(load, 0, 0, 0)]
        code += [(jump, len(forbidden) - i, 0, number) for i, number in enumerate(forbidden)]
        code += [(answer, 0, 0, 0x7fff0000), (answer, 0, 0, 0x80000000)]  # allow; kill the process
        program = b"".join(struct.pack("HBBI", *line) for line in code)
        buffer = ctypes.create_string_buffer(program)
        filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer)))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        assert libc.prctl(22, 2, filter, 0, 0) == 0, ctypes.get_errno()  # PR_SET_SECCOMP, a filter
        for _ in range(1100): db.execute("INSERT INTO t(payload) VALUES (1)")
        deadline = time.monotonic() + 20
        while metrics(db)["checkpoints_background"] == 0 and time.monotonic() < deadline: time.sleep(0.01)
        """
    )
    assert process.call("metrics(db)['checkpoints_background']") == 1


# --- a disk that fails

SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
/* While the file named by FAIL is there, a sync of the database says EIO, as often as it is asked. */
static int fails(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  const char* wanted = getenv("FAIL");
  return wanted && access(wanted, F_OK) == 0 && n > 8 && !strcmp(path + n - 8, "/test.db");
}
int fdatasync(int fd) {
  if (fails(fd)) return errno = EIO, -1;
  return syscall(SYS_fdatasync, fd);
}
int fsync(int fd) {
  if (fails(fd)) return errno = EIO, -1;
  return syscall(SYS_fsync, fd);
}
"""


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shim")
    (directory / "shim.c").write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", directory / "shim.so", directory / "shim.c"], check=True)
    return str(directory / "shim.so")


def test_what_a_failed_sync_may_have_lost_is_copied_again(fast_path, worker, shim):
    """A system says only once that it lost what was written. The log is kept, and all of it written again."""
    fail = fast_path.parent / "fail"
    process = worker(fast_path, LD_PRELOAD=shim, FAIL=str(fail))
    process.run(
        """
        one(db, "SELECT wal_set('checkpoint_frames', 100)")
        one(db, "SELECT wal_checkpoint('TRUNCATE')")
        size = os.stat(one(db, "SELECT file FROM wal_metrics")).st_size
        """
    )
    size = process.call("size")
    reader = connect(fast_path, None)  # keeps passes from being complete, so that walmanager does the sync
    process.run("for _ in range(30): db.execute('INSERT INTO t(payload) VALUES (zeroblob(3000))')")
    assert process.call("metrics(db)['checkpointed_frames']") == 0
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    fail.touch()
    process.run("for _ in range(200): db.execute('INSERT INTO t(payload) VALUES (zeroblob(3000))')")
    wait_for(lambda: process.call("metrics(db)['checkpoints_failed']") > 0)
    resets, copied = process.call("[metrics(db)[name] for name in ('wal_resets', 'checkpointed_frames')]")
    assert copied > 0
    reader.close()
    process.run("for _ in range(300): db.execute('INSERT INTO t(payload) VALUES (zeroblob(3000))')")
    row = process.call("metrics(db)")
    assert (row["wal_resets"], row["checkpointed_frames"]) == (resets, copied)  # the log is kept
    assert process.call("one(db, \"SELECT DISTINCT error FROM wal_checkpoints WHERE result = 'failed'\")") == \
        "syncing what was copied failed: the log is kept, and copied again"
    # What the system has lost: all that was copied into the database since.
    wiper = worker()
    wiper.run(
        f"""
        with open({str(fast_path)!r}, "r+b") as file:
            end = file.seek(0, 2)
            file.seek({size})
            file.write(bytes(end - {size}))
        """
    )
    wiper.end()
    fail.unlink()
    wait_for(lambda: process.run("db.execute('INSERT INTO t(payload) VALUES (1)')") or
             process.call("metrics(db)['wal_resets']") > resets)
    rows = process.call("one(db, 'SELECT count(*) FROM t')")
    process.end()
    assert integrity(fast_path) == "ok"
    bare = connect(fast_path, None)
    assert one(bare, "SELECT count(*) FROM t") == rows
    bare.close()


def log_salt(path):
    """The first salt in the header of the -wal file, which counts up when the log starts over."""
    with open(f"{path}-wal", "rb") as log:
        return int.from_bytes(log.read(20)[16:], "big")


def test_a_read_by_walmanager_does_not_let_go_of_a_log_whose_copy_may_be_lost(fast_path, worker, shim):
    """After a failed sync the log is pinned on mark 1. The look for a replicator reads on the same connection, and
    ended the pin where its reader came to sit on that mark, too."""
    fail = fast_path.parent / "fail"
    process = worker(fast_path, LD_PRELOAD=shim, FAIL=str(fail))
    process.run(
        """
        one(db, "SELECT wal_set('checkpoint_frames', 100)")
        one(db, "SELECT wal_checkpoint('TRUNCATE')")
        db.execute("INSERT INTO t(payload) VALUES (1)")
        """
    )
    first, second = connect(fast_path, None), connect(fast_path, None)
    first.execute("BEGIN")
    first.execute("SELECT count(*) FROM t").fetchall()  # mark 1
    process.run("for _ in range(30): db.execute('INSERT INTO t(payload) VALUES (zeroblob(3000))')")
    second.execute("BEGIN")
    second.execute("SELECT count(*) FROM t").fetchall()  # mark 2, which keeps the pass from being complete
    first.close()
    fail.touch()
    # One transaction, and no commit after it: the guard of the pass sets mark 1 to the newest frame.
    process.run(
        """
        db.execute("BEGIN")
        for _ in range(200): db.execute("INSERT INTO t(payload) VALUES (zeroblob(3000))")
        db.execute("COMMIT")
        """
    )
    wait_for(lambda: process.call("metrics(db)['checkpoints_failed']") > 0)
    time.sleep(2.5)  # the look for a replicator comes once in a second
    second.close()
    salt = log_salt(fast_path)
    other = connect(fast_path, None, timeout=5)
    wait_for(lambda: other.execute("PRAGMA wal_checkpoint").fetchone()[0] == 0)
    busy, frames, moved = other.execute("PRAGMA wal_checkpoint").fetchone()
    assert (busy, frames) == (0, moved)  # all of it is in the database, as far as SQLite knows
    for _ in range(3):
        other.execute("INSERT INTO t(payload) VALUES (1)")
    other.close()
    assert log_salt(fast_path) == salt


@pytest.mark.skipif(os.getuid() != 0, reason="gives its privileges up")
def test_what_the_effective_user_may_not_open_is_known_at_once(fast_path, worker):
    """A daemon that began as root and goes on as another user, with seteuid: what counts is the effective user."""
    fast_path.parent.chmod(0o755)
    process = worker(fast_path)
    process.run(
        f"""
        db.execute("INSERT INTO t(payload) VALUES (1)")
        os.chmod({str(fast_path)!r}, 0o600)
        os.seteuid({NOBODY.pw_uid})
        """
    )
    report = json.loads(process.call("one(db, \"SELECT wal_checkpoint('PASSIVE')\")"))
    assert (report["result"], report["busy"]) == ("complete", False)


# --- all together

@pytest.mark.parametrize("seconds", [int(os.environ.get("WALMANAGER_STRESS_S", "6"))])
def test_mixed_load_by_several_processes(fast_path, worker, seconds):
    """Writers, readers with long and short snapshots, one that is killed and comes again; WALMANAGER_STRESS_S=600
    for the ten minutes of a release. Every acknowledged row is there."""
    write = f"""
    import random
    deadline = time.monotonic() + {seconds}
    written = 0
    while time.monotonic() < deadline:
        db.execute("INSERT INTO t(payload) VALUES (zeroblob(?))", (random.choice([10, 200, 3000]),))
        written += 1
        if written % 50 == 0: time.sleep(0.02)  # so that ten minutes fit into memory
    """
    read = f"""
    import random
    deadline = time.monotonic() + {seconds}
    while time.monotonic() < deadline:
        db.execute("BEGIN")
        db.execute("SELECT sum(length(payload)) FROM (SELECT payload FROM t ORDER BY id DESC LIMIT 100)").fetchall()
        time.sleep(random.choice([0, 0.001, 0.02, 0.2]))
        db.execute("COMMIT")
        time.sleep(random.choice([0, 0.02, 0.2]))  # readers that leave no gap keep any log from starting over
    """
    writers = [worker(fast_path) for _ in range(3)]
    readers = [worker(fast_path), worker(fast_path), worker(fast_path, load=False)]
    victim = worker(fast_path)
    writers[0].call("one(db, \"SELECT wal_set('wal_limit_bytes', 16777216)\")")
    for each in writers:
        each.start("run", write)
    for each in readers:
        each.start("run", read)
    acknowledged = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        victim.start("run", "for _ in range(10**9): db.execute('INSERT INTO t(payload) VALUES (1)'); print('.', flush=True); time.sleep(0.001)")
        time.sleep(min(1, seconds / 5))
        victim.kill()
        acknowledged += len(victim.lines)
        victim = worker(fast_path)
    for each in writers + readers:
        each.finish()
    acknowledged += sum(each.call("written") for each in writers)
    row = writers[0].call("metrics(db)")
    assert row["checkpoints_failed"] == 0
    assert row["wal_resets"] > 0
    for each in writers + readers + [victim]:
        each.end()
    assert integrity(fast_path) == "ok"
    db = connect(fast_path, None)
    assert one(db, "SELECT count(*) FROM t") >= acknowledged
    db.close()


def test_a_log_that_commits_sync_stays_short(fast_path):  # noqa: F811
    """A commit that syncs a log that grows takes twice as long as one to a log that is written again."""
    def write(seconds, pause=0.0):
        end, longest = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            db.execute("INSERT INTO t(payload) VALUES (zeroblob(3000))")
            longest = max(longest, os.path.getsize(str(fast_path) + "-wal"))
            time.sleep(pause)
        return longest

    db = connect(fast_path, timeout=20)
    db.execute("PRAGMA synchronous=NORMAL")
    wait_for(lambda: (write(0.1), metrics(db)["due_frames"] > 6000)[1])  # copying was measured
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.execute("PRAGMA synchronous=FULL")
    assert write(3, 0.0001) < 7500 * FRAME  # 8000 and more before
    row = metrics(db)
    assert row["due_frames"] == max(1000, 4000 - row["checkpointed_frames"])
