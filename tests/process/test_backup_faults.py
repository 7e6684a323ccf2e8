"""Backup and restore killed half-way, and on a disk that is full: nothing is harmed, nothing is left."""

import os
import time

import pytest

from conftest import connect, one
from waiting import poll
from workers import NOBODY, WorkerError, fast_path, small_disk, worker  # noqa: F401 (fixtures among them)

ROWS = 3000  # of a thousand bytes


@pytest.fixture
def filled(fast_path):
    db = connect(fast_path)
    db.execute("PRAGMA synchronous=OFF")
    db.execute(f"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) "
               "INSERT INTO t SELECT i, zeroblob(1000) FROM n")
    yield db
    db.close()


def copies(directory):
    return sorted(name for name in os.listdir(directory) if name.startswith("copy"))


def begun(db, application):
    sql = f"SELECT count(*) FROM connection_metrics WHERE application = '{application}' AND pages_done > 0"
    assert poll(lambda: one(db, sql), 1) == 1


def state(db):
    assert one(db, "PRAGMA integrity_check") == "ok"
    return db.execute("SELECT count(*), min(payload), max(payload) FROM t").fetchall()[0]


def test_a_killed_backup_harms_nothing_and_the_next_one_sweeps(worker, filled, fast_path):
    directory = fast_path.parent
    copier = worker(fast_path)
    copier.start("run", f"""db.execute("SELECT wal_backup('{directory}/copy.db', '{{\\"pages_per_step\\":5,\\"pause_ms\\":20}}')")""")
    begun(filled, "walmanager backup")
    copier.kill()
    left = copies(directory)
    assert left and all(name.startswith(f"copy.db-walmanager-{copier.pid}-") for name in left)
    assert poll(lambda: one(filled, "SELECT count(*) FROM connection_metrics WHERE role = 'backup'"), 0) == 0
    assert state(filled)[0] == ROWS
    # Not those of a backup that goes on, of this process or of another.
    other = worker(fast_path)
    other.start("run", f"""db.execute("SELECT wal_backup('{directory}/copy.db', '{{\\"pages_per_step\\":5,\\"pause_ms\\":20}}')")""")
    begun(filled, "walmanager backup")
    one(filled, "SELECT wal_backup(?)", f"{directory}/copy.db")
    rest = copies(directory)
    assert rest[0] == "copy.db" and {name.split("-")[2] for name in rest[1:]} == {str(other.pid)}
    other.kill()
    one(filled, "SELECT wal_backup(?, '{\"overwrite\":true}')", f"{directory}/copy.db")
    assert copies(directory) == ["copy.db"]


@pytest.mark.parametrize("after", [0, 0.002, 0.01, 0.05])
def test_a_killed_restore_leaves_the_old_content_or_the_new(worker, filled, fast_path, after):
    copy = f"{fast_path.parent}/copy.db"
    one(filled, "SELECT wal_backup(?)", copy)
    filled.execute("UPDATE t SET payload = 7")
    filled.execute("DELETE FROM t WHERE id > 100")
    old, new = (100, 7, 7), (ROWS, bytes(1000), bytes(1000))
    assert state(filled) == old
    restorer = worker(fast_path)
    restorer.start("run", f"db.execute(\"SELECT wal_restore('{copy}')\")")
    # The write transaction of the restore has begun, or the restore has ended.
    sql = "SELECT count(*) FROM connection_metrics WHERE application = 'walmanager restore'"
    poll(lambda: one(filled, sql) == 1 or restorer.answers_within(0))
    time.sleep(after)
    restorer.kill()
    assert state(filled) in (old, new)
    filled.execute("INSERT INTO t VALUES (NULL, 7)")
    one(filled, "SELECT wal_restore(?)", copy)
    assert state(filled) == new


def test_a_fork_during_a_backup_stops_no_process(worker, filled, fast_path):
    process = worker(fast_path)
    process.run(f"""
        answers = []
        other = connect({str(fast_path)!r}, check_same_thread=False)
        options = '{{"pages_per_step":20,"pause_ms":5}}'
        thread = threading.Thread(target=lambda: answers.append(
            other.execute("SELECT wal_backup('{fast_path.parent}/copy.db', ?)", (options,)).fetchall()))
        thread.start()
        """)
    begun(filled, "walmanager backup")
    process.run(f"""
        children = []
        for number in range(3):
            child = os.fork()
            if child == 0:
                mine = connect({str(fast_path)!r})
                mine.execute("SELECT wal_backup('{fast_path.parent}/copy-" + str(number) + ".db')").fetchall()
                os._exit(0)
            children.append(child)
        codes = [os.waitpid(child, 0)[1] for child in children]
        thread.join()
        """)
    assert process.call("codes") == [0, 0, 0]
    assert process.call("len(answers)") == 1
    assert copies(fast_path.parent) == ["copy-0.db", "copy-1.db", "copy-2.db", "copy.db"]
    assert state(filled)[0] == ROWS


FORK_DURING_A_BACKUP = """
def fork_and_look(bursts):
    longest, hung = 0, 0
    for _ in range(bursts):
        children = []
        for _ in range(3):
            began = time.monotonic()
            child = os.fork()
            if child == 0:
                connect(path).execute("SELECT count(*) FROM t").fetchall()
                os._exit(0)
            longest = max(longest, time.monotonic() - began)
            children.append(child)
        deadline = time.monotonic() + 15
        while children and time.monotonic() < deadline:
            children = [child for child in children if os.waitpid(child, os.WNOHANG) == (0, 0)]
            time.sleep(0.001)
        for child in children:
            hung += 1
            os.kill(child, 9)
            os.waitpid(child, 0)
        if hung:
            break
    return longest, hung
"""


def backs_up(worker, path, options):
    """A process whose connection `other` makes backups in a thread until `stop`; how many it made is `made`."""
    process = worker(path)
    process.run(f"path = {str(path)!r}")
    process.run(FORK_DURING_A_BACKUP)
    process.run(f"""
        stop, made, options = False, [], {options!r}
        other = connect(path, check_same_thread=False)
        def back_up():
            while not stop:
                made.append(other.execute("SELECT wal_backup(?, ?)", ({str(path.parent)!r} + "/copy.db", options)).fetchall())
        thread = threading.Thread(target=back_up)
        """)
    return process


def test_bug_a_child_forked_during_a_backup_hung_in_its_first_statement(worker, filled, fast_path):
    """The host's thread was inside SQLite's memory allocator, whose lock nothing releases in the child."""
    process = backs_up(worker, fast_path, '{"pages_per_step":20,"pause_ms":5,"overwrite":true}')
    process.run("thread.start()")
    begun(filled, "walmanager backup")
    process.run("longest, hung = fork_and_look(20); stop = True; thread.join()")
    assert process.call("hung") == 0
    assert process.call("len(made)") > 0
    assert state(filled)[0] == ROWS


def test_a_fork_does_not_wait_for_a_callback_that_waits_for_the_forking_thread(worker, filled, fast_path):
    """The thread that forks has the interpreter's lock, and the backup calls the program's progress handler, which wants
    it: the fork goes on after half a second, as it would beside SQLite's own backup."""
    process = backs_up(worker, fast_path, '{"pages_per_step":20,"pause_ms":5,"overwrite":true}')
    process.run("other.set_progress_handler(lambda: 0, 1); thread.start()")
    begun(filled, "walmanager backup")
    process.run("longest, hung = fork_and_look(2); stop = True; thread.join()")
    assert process.call("hung") == 0
    assert process.call("longest") < 5
    assert process.call("len(made)") > 0


def test_a_callback_within_a_backup_may_fork(worker, filled, fast_path):
    """The thread of the backup itself forks. It waits for nothing, and the backup goes on."""
    process = backs_up(worker, fast_path, '{"pages_per_step":20,"pause_ms":5,"overwrite":true}')
    process.run("""
        forks = []
        def handler():
            if len(forks) < 10:
                began = time.monotonic()
                child = os.fork()
                if child == 0:
                    os._exit(0)
                forks.append((time.monotonic() - began, os.waitpid(child, 0)[1]))
            return 0
        other.set_progress_handler(handler, 100)
        other.execute("SELECT wal_backup(?, ?)", (path.replace("test.db", "copy.db"), options)).fetchall()
        """)
    assert process.call("[status for _, status in forks]") == [0] * 10
    assert process.call("sorted(took for took, _ in forks)[5]") < 0.4
    assert state(filled)[0] == ROWS


def limited(process, bytes_of_a_file):
    """As on a full disk: no file of that process grows beyond this."""
    process.run(f"""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes_of_a_file}, resource.RLIM_INFINITY))
        """)


def test_a_backup_on_a_full_disk(worker, filled, fast_path):
    process = worker(fast_path)
    process.run("one(db, 'SELECT count(*) FROM wal_metrics')")
    limited(process, 1_000_000)
    with pytest.raises(WorkerError) as refused:
        process.call(f"one(db, \"SELECT wal_backup('{fast_path.parent}/copy.db')\")")
    assert "wal_backup: " in str(refused.value) and ("full" in str(refused.value) or "I/O" in str(refused.value))
    assert copies(fast_path.parent) == []
    assert state(filled)[0] == ROWS


def test_a_restore_on_a_full_disk(worker, filled, fast_path):
    copy = f"{fast_path.parent}/copy.db"
    one(filled, "SELECT wal_backup(?)", copy)
    filled.execute("DELETE FROM t WHERE id > 100")
    one(filled, "SELECT wal_checkpoint('TRUNCATE')")
    old = state(filled)
    process = worker(fast_path)
    process.run("one(db, 'SELECT count(*) FROM wal_metrics')")
    limited(process, 1_000_000)
    with pytest.raises(WorkerError) as refused:
        process.call(f"one(db, \"SELECT wal_restore('{copy}')\")")
    assert "wal_restore: " in str(refused.value) and ("full" in str(refused.value) or "I/O" in str(refused.value))
    assert process.call("one(db, 'SELECT count(*) FROM t')") == 100
    assert state(filled) == old
    filled.execute("INSERT INTO t VALUES (NULL, 7)")
    one(filled, "SELECT wal_restore(?)", copy)
    assert state(filled)[0] == ROWS


def test_a_restore_that_the_disk_has_no_room_for_is_refused_before(small_disk, tmp_path):
    """Otherwise the log would be left, grown over all free space."""
    saved = tmp_path / "saved.db"
    large = connect(saved, load=None)
    large.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    large.execute("INSERT INTO t VALUES (1, zeroblob(15000000))")
    pages = one(large, "PRAGMA page_count")
    db = connect(small_disk / "test.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.execute("SELECT wal_strategy('off')").fetchall()
    db.execute("INSERT INTO t VALUES (1, zeroblob(2000000))")

    def refused(reused):
        disk, wal = os.statvfs(small_disk), os.path.getsize(small_disk / "test.db-wal")
        with pytest.raises(Exception) as caught:
            db.execute("SELECT wal_restore(?)", (str(saved),)).fetchall()
        growth = pages * 4096 - os.path.getsize(small_disk / "test.db")
        assert str(caught.value) == (
            f"wal_restore: backup '{saved}': needs {32 + pages * 4120} bytes in the log and {growth} more in the "
            f"database; {disk.f_bavail * disk.f_frsize} are free on the file system, and the -wal file has "
            f"{wal if reused else 0} to use again")
        assert os.statvfs(small_disk).f_bavail == disk.f_bavail
        assert os.path.getsize(small_disk / "test.db-wal") == wal
        assert one(db, "SELECT sum(length(payload)) FROM t") == 2000000
    refused(reused=False)
    assert one(db, "SELECT json_extract(wal_checkpoint('PASSIVE'), '$.complete')") == 1
    refused(reused=True)
    large.execute("UPDATE t SET payload = zeroblob(3000000)")
    large.execute("VACUUM")
    large.close()
    one(db, "SELECT wal_restore(?)", str(saved))
    assert one(db, "SELECT sum(length(payload)) FROM t") == 3000000
    assert one(db, "SELECT json_extract(wal_checkpoint('TRUNCATE'), '$.result')") == "complete"
    db.close()


@pytest.mark.parametrize("plenty", [True, False])
def test_room_for_the_copy_is_taken_only_where_twice_as_much_is_free(small_disk, filled, worker, fast_path, plenty):
    """Other programs on the same file system must not find it full as soon as a copy begins."""
    assert one(filled, "SELECT json_extract(wal_checkpoint('TRUNCATE'), '$.result')") == "complete"
    copy = os.path.getsize(fast_path)

    def free():
        disk = os.statvfs(small_disk)
        return disk.f_bavail * disk.f_frsize
    with open(small_disk / "filler", "wb") as filler:
        filler.write(bytes(free() - int(copy * (2.5 if plenty else 1.5))))
    before = free()
    process = worker(fast_path)
    process.start("run", f"""
        db.execute("SELECT wal_backup(?, ?)", ({str(small_disk / "copy.db")!r}, '{{"pages_per_step":20,"pause_ms":20}}')).fetchall()
    """)
    begun(filled, "walmanager backup")
    taken = before - free()
    assert taken >= copy if plenty else taken < copy / 2
    process.finish()
    assert one(connect(small_disk / "copy.db", load=None), "SELECT count(*) FROM t") == ROWS
    assert before - free() <= copy + 65536


def test_a_directory_that_cannot_be_written(worker, filled, fast_path):
    fast_path.parent.chmod(0o755)
    os.chmod(fast_path, 0o666)
    closed = fast_path.parent / "closed"
    closed.mkdir(mode=0o755)
    process = worker(user=NOBODY, WALMANAGER_FILE="off")
    process.run(f"db = connect('file:{fast_path}?mode=ro', uri=True)")
    with pytest.raises(WorkerError, match="cannot be written: Permission denied"):
        process.call(f"one(db, \"SELECT wal_backup('{closed}/copy.db')\")")
    assert os.listdir(closed) == []
