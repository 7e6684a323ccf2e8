"""What is read, written and synced: counted exactly, by file and origin, with what fails."""

import errno
import os
import sqlite3

import pytest

from conftest import BUILD, connect, inline, metrics, one
from waiting import copied_in_background, poll
from workers import Worker, fast_path, worker  # noqa: F401 (fixtures among them)

INSERT = "INSERT INTO t(payload) VALUES (1)"
FIGURES = ("reads", "read_bytes", "writes", "written_bytes", "syncs", "errors")
TIMES = ("read_ms", "write_ms", "sync_ms", "sync_p50_ms", "sync_p99_ms", "sync_max_ms")
FRAME = 24 + 4096


def io(db, schema="main"):
    """{(file, origin): row} of wal_io."""
    cursor = db.execute("SELECT * FROM wal_io WHERE schema = ?", (schema,))
    names = [column[0] for column in cursor.description]
    return {(row[1], row[2]): dict(zip(names, row)) for row in cursor.fetchall()}


def figures(row):
    return {name: row[name] for name in FIGURES}


def reset(db):
    one(db, "SELECT wal_metrics_reset('wal')")


@pytest.fixture
def db(fast_path):
    """A connection whose commits sync nothing, and that runs no checkpoint."""
    connection = connect(fast_path, check_same_thread=False)
    connection.execute("PRAGMA synchronous=OFF")
    one(connection, "SELECT wal_strategy('off')")
    connection.execute(INSERT)
    reset(connection)
    yield connection
    connection.close()


def test_commits_and_reads_are_counted_exactly(db, fast_path):
    for _ in range(10):
        db.execute(INSERT)
    frames = metrics(db)["frames_written"]
    assert frames == 10
    found = io(db)
    log, file = found["wal", "application"], found["database", "application"]
    assert figures(log) == {"reads": 0, "read_bytes": 0, "writes": 20, "written_bytes": 10 * FRAME, "syncs": 0, "errors": 0}
    assert figures(file) == dict.fromkeys(FIGURES, 0)
    assert log["write_ms"] > 0 and log["read_ms"] == 0
    # What SQLite has in its cache costs no read.
    db.execute("SELECT count(*) FROM t").fetchall()
    assert io(db) == found
    # The program's own checkpoint.
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    found = io(db)
    # Of each page that was written the newest frame.
    assert found["wal", "application"]["reads"] > 0
    assert (found["database", "application"]["writes"], found["database", "application"]["written_bytes"]) == (1, 4096)
    # Another connection reads the whole of it from the file.
    db.execute("WITH n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300) "
               "INSERT INTO t(payload) SELECT zeroblob(1000) FROM n")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    pages = one(db, "PRAGMA page_count")
    reset(db)
    other = connect(fast_path)
    other.execute("SELECT sum(length(payload)) FROM t").fetchall()
    read = io(db)["database", "application"]
    # The first page twice: it says that there is a log, which may have another one.
    assert (read["reads"], read["read_bytes"]) == (pages + 1, (pages + 1) * 4096)
    assert read["read_ms"] > 0
    other.close()


def test_an_integrity_check_counts_as_the_programs(db):
    """README of vtab: `wal_integrity_check()` reads as a statement of the program does, and counts as the program's."""
    db.execute("PRAGMA cache_size=10")
    db.execute("WITH n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300) "
               "INSERT INTO t(payload) SELECT zeroblob(1000) FROM n")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    pages = one(db, "PRAGMA page_count")
    reset(db)
    assert one(db, "SELECT wal_integrity_check('full')") == "ok"
    found = io(db)
    assert found["database", "application"]["reads"] >= pages - 10
    assert found["database", "walmanager"]["reads"] == 0


def test_what_cannot_be_seen_is_null(db):
    found = io(db)
    assert sorted(found) == [("database", "application"), ("database", "walmanager"), ("journal", "application"),
                             ("shm", "application"), ("shm", "walmanager"), ("wal", "application"), ("wal", "walmanager")]
    for file in ("journal", "shm"):
        row = found[file, "application"]
        assert [row[name] for name in FIGURES[:-1] + TIMES] == [None] * 11
    assert found["journal", "application"]["errors"] is None and found["shm", "application"]["errors"] == 0
    log = found["wal", "application"]
    assert log["sync_ms"] == 0 and [log[name] for name in TIMES[3:]] == [None] * 3
    assert log["last_error"] is None and log["last_error_at"] is None


def test_a_commit_syncs_the_log_under_full_and_not_under_normal(db):
    db.execute("PRAGMA synchronous=NORMAL")
    for _ in range(5):
        db.execute(INSERT)
    assert io(db)["wal", "application"]["syncs"] == 0
    db.execute("PRAGMA synchronous=FULL")
    for _ in range(5):
        db.execute(INSERT)
    log = io(db)["wal", "application"]
    assert log["syncs"] == 5
    assert 0 < log["sync_p50_ms"] <= log["sync_p99_ms"] <= log["sync_max_ms"] <= log["sync_ms"]
    assert io(db)["database", "application"]["syncs"] == 0
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    found = io(db)
    assert found["database", "application"]["syncs"] == 1 and found["wal", "application"]["syncs"] == 6
    assert found["database", "walmanager"]["syncs"] == 0


def test_processes_and_connections_are_summed(db, fast_path, worker):
    other = worker()
    other.run(f"""
        db = connect({str(fast_path)!r})
        db.execute("PRAGMA synchronous=OFF")
        for _ in range(7): db.execute({INSERT!r})
    """)
    # More than the first part of the control file has room for; some have closed again.
    many = [connect(fast_path) for _ in range(9)]
    for each in many:
        each.execute("PRAGMA synchronous=OFF")
        each.execute(INSERT)
    for each in many[::2]:
        each.close()
    db.execute(INSERT)
    assert metrics(db)["frames_written"] == 17
    writes = io(db)["wal", "application"]
    assert (writes["writes"], writes["written_bytes"]) == (34, 17 * FRAME)
    assert figures(other.call("dict(zip([c[0] for c in db.execute('SELECT * FROM wal_io').description], "
                              "db.execute(\"SELECT * FROM wal_io WHERE file = 'wal'\").fetchone()))")) == figures(writes)
    other.kill()
    assert figures(io(db)["wal", "application"]) == figures(writes)
    for each in many[1::2]:
        each.close()
    reset(db)
    assert figures(io(db)["wal", "application"]) == dict.fromkeys(FIGURES, 0)
    db.execute(INSERT)
    assert io(db)["wal", "application"]["writes"] == 2


def test_copying_in_the_background_is_walmanagers(db):
    one(db, "SELECT wal_strategy('conversation_workload')")
    one(db, "SELECT wal_set('checkpoint_frames', 20)")
    db.execute("PRAGMA synchronous=NORMAL")
    reset(db)
    for _ in range(40):
        db.execute("INSERT INTO t(payload) VALUES (zeroblob(4000))")
    copied_in_background(db)
    assert poll(lambda: io(db)["database", "walmanager"]["syncs"] > 0)
    found = io(db)
    database, log = found["database", "walmanager"], found["wal", "walmanager"]
    assert 20 <= database["writes"] <= one(db, "PRAGMA page_count")
    assert database["written_bytes"] == database["writes"] * 4096
    assert log["reads"] >= database["writes"] and log["writes"] == 0
    assert database["sync_max_ms"] > 0
    assert found["database", "application"]["writes"] == 0
    assert found["database", "application"]["syncs"] == 0


def test_reads_of_the_pool_and_of_a_backup_are_walmanagers(db, tmp_path):
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    reset(db)
    db.execute("SELECT * FROM read_pool('SELECT count(*) FROM t')").fetchall()
    assert poll(lambda: io(db)["database", "walmanager"]["reads"] >= 2)
    before = io(db)["database", "walmanager"]["read_bytes"]
    one(db, "SELECT wal_backup(?)", str(tmp_path / "copy.db"))
    assert io(db)["database", "walmanager"]["read_bytes"] >= before + 4096 * one(db, "PRAGMA page_count")
    assert io(db)["database", "application"]["reads"] == 0


def test_walmanagers_own_looks_count_nowhere(db):
    for table in ("wal_metrics", "system_health", "wal_environment", "connection_metrics"):
        db.execute(f"SELECT * FROM {table}").fetchall()
    assert figures(io(db)["wal", "application"]) == dict.fromkeys(FIGURES, 0)
    assert figures(io(db)["database", "application"]) == dict.fromkeys(FIGURES, 0)


def test_a_connection_without_a_control_file_counts_for_itself(fast_path):
    alone = Worker(WALMANAGER_FILE="off")
    alone.run(f"""
        db = connect({str(fast_path)!r})
        db.execute("PRAGMA synchronous=FULL")
        for _ in range(3): db.execute({INSERT!r})
        found = db.execute("SELECT writes, syncs FROM wal_io WHERE file = 'wal' AND origin = 'application'").fetchone()
    """)
    # The head of a new log comes once, with a sync of its own.
    assert alone.call("found") == [7, 4]
    alone.kill()


def test_what_was_counted_before_the_control_file_was_made_goes_there(fast_path):
    db = connect(fast_path)
    assert not os.path.exists(f"{fast_path}-walmanager")
    db.execute("SELECT count(*) FROM t").fetchall()
    reads = io(db)["database", "application"]["reads"]
    assert reads >= 2
    db.execute(INSERT)
    assert metrics(db)["statistics_file"]
    found = io(db)
    assert found["database", "application"]["reads"] == reads
    assert (found["wal", "application"]["writes"], found["wal", "application"]["written_bytes"]) == (3, 32 + FRAME)
    db.close()


def test_off_counts_no_more(db):
    one(db, "SELECT wal_set('lock_metrics', 'off')")
    for _ in range(3):
        db.execute(INSERT)
    before = io(db)["wal", "application"]["writes"]
    db.execute(INSERT)
    assert io(db)["wal", "application"]["writes"] == before
    one(db, "SELECT wal_set('lock_metrics', 'on')")
    db.execute(INSERT)
    db.execute(INSERT)
    assert io(db)["wal", "application"]["writes"] > before


def test_the_journal_mode_changes_back_and_forth(db):
    for _ in range(2):
        assert one(db, "PRAGMA journal_mode=DELETE") == "delete"
        reset(db)
        db.execute(INSERT)
        found = io(db)
        assert found["wal", "application"]["writes"] == 0
        # The page, and the counter in the first one.
        assert found["database", "application"]["writes"] == 2
        assert one(db, "PRAGMA journal_mode=WAL") == "wal"
        reset(db)
        db.execute(INSERT)
        found = io(db)
        assert found["wal", "application"]["writes"] == 3  # and the head of the new log
        assert found["database", "application"]["writes"] == 0
    assert one(db, "PRAGMA integrity_check") == "ok"


def test_attached_databases_have_rows_of_their_own(db, fast_path):
    second = f"{fast_path}2"
    db.execute("ATTACH ? AS other", (second,))
    assert one(db, "PRAGMA other.journal_mode=WAL") == "wal"
    db.execute("PRAGMA other.synchronous=OFF")
    db.execute("CREATE TABLE other.t(id INTEGER PRIMARY KEY, payload)")
    db.execute("INSERT INTO other.t VALUES (1, 1)")
    one(db, "SELECT wal_metrics_reset('wal', 'other')")
    db.execute("UPDATE other.t SET payload = 2")
    assert io(db, "other")["wal", "application"]["writes"] == 2
    assert figures(io(db)["wal", "application"]) == dict.fromkeys(FIGURES, 0)
    db.execute("DETACH other")
    assert io(db, "other") == {}
    db.execute(INSERT)
    db.execute("ATTACH ? AS other", (second,))
    db.execute("UPDATE other.t SET payload = 3")
    # Detaching has copied the log.
    found = io(db, "other")
    assert found["database", "application"]["writes"] >= 1
    assert found["wal", "application"]["writes"] == 5
    db.execute("DETACH other")


def test_threads_take_turns(db):
    import threading
    for _ in range(3):
        thread = threading.Thread(target=db.execute, args=(INSERT,))
        thread.start()
        thread.join()
        db.execute(INSERT)
    assert io(db)["wal", "application"]["writes"] == 12


def test_a_forked_child_counts_nothing_of_its_parents(db):
    db.execute(INSERT)
    before = figures(io(db)["wal", "application"])
    child = os.fork()
    if child == 0:
        try:
            db.execute("SELECT count(*) FROM t").fetchall()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert figures(io(db)["wal", "application"]) == before
    db.execute(INSERT)
    assert io(db)["wal", "application"]["writes"] == before["writes"] + 2


@pytest.mark.parametrize("was_wal", [False, True])
def test_bug_a_shared_page_cache_hung(worker, tmp_path, was_wal):
    """The second connection of the cache opened the log, and within that walmanager asked the first one."""
    process = worker()
    process.run(f"""
        address = {f"file:{tmp_path / 'shared.db'}?cache=shared"!r}
        db = connect(address, uri=True)
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
        db.execute({INSERT!r})
        one(db, "SELECT journal_mode FROM wal_metrics")
        if {was_wal}:
            one(db, "PRAGMA journal_mode=WAL")
            db.execute({INSERT!r})
        bare = connect(address, None, uri=True)
        if {was_wal}: one(bare, "PRAGMA journal_mode=DELETE")
        one(bare, "PRAGMA journal_mode=WAL")
        bare.execute({INSERT!r})
    """)
    assert process.call("one(db, 'SELECT count(*) FROM t')") == (3 if was_wal else 2)
    # Alone again, the connection goes on.
    process.run(f"bare.close(); db.execute({INSERT!r})")
    assert process.call("one(db, 'PRAGMA integrity_check')") == "ok"


# --- a disk that fails

@pytest.fixture
def failing(fast_path, worker):
    """A process on a disk that fails when it is told to: fail(end of the file's name, reads=, writes=, syncs=)."""
    process = worker(LD_PRELOAD=str(BUILD / "tests" / "libfailing_disk.so"))
    process.run(f"""
        import ctypes
        def fail(end, reads=0, writes=0, syncs=0):
            ctypes.CDLL(None).fail(end.encode(), reads, writes, syncs)
        def error(sql):
            try:
                db.execute(sql).fetchall()
                return None
            except sqlite3.Error as caught:
                return str(caught)
        db = connect({str(fast_path)!r})
    """)
    yield process
    process.kill()


def errors_of(process, file, origin="application"):
    return process.call(f"db.execute(\"SELECT errors, last_error, last_error_at > datetime('now', '-1 minute') FROM wal_io "
                        f"WHERE file = '{file}' AND origin = '{origin}'\").fetchone()")


def test_io_errors_are_counted_with_what_the_system_says(failing, fast_path):
    failing.run(f"db.execute('PRAGMA synchronous=FULL'); db.execute({INSERT!r})")
    failing.run(f"fail('-wal', writes={errno.EIO}); wrote = error({INSERT!r}); fail('')")
    assert failing.call("wrote") == "disk I/O error"
    assert errors_of(failing, "wal") == [1, "SQLITE_IOERR_WRITE: " + os.strerror(errno.EIO), 1]
    failing.run(f"fail('-wal', writes={errno.ENOSPC}); wrote = error({INSERT!r}); fail('')")
    assert failing.call("wrote") == "database or disk is full"
    assert errors_of(failing, "wal") == [2, "SQLITE_FULL: the disk is full", 1]
    failing.run(f"fail('-wal', syncs={errno.EIO}); wrote = error({INSERT!r}); fail('')")
    assert failing.call("wrote") == "disk I/O error"
    assert errors_of(failing, "wal") == [3, "SQLITE_IOERR_FSYNC: " + os.strerror(errno.EIO), 1]
    assert errors_of(failing, "database") == [0, None, None]
    # Another process sees them, too.
    other = connect(fast_path)
    status, value, detail, action = other.execute(
        "SELECT status, value, detail, recommendation FROM system_health WHERE check_name = 'io_errors'").fetchone()
    assert (status, value) == ("warning", 3)
    assert detail.startswith("3 calls of the files of this database failed since statistics_since; the last one, "
                             "SQLITE_IOERR_FSYNC: Input/output error, of the wal file at ")
    assert "wal_integrity_check('quick')" in action
    assert io(other)["wal", "application"]["errors"] == 3
    assert one(other, "SELECT count(*) FROM t") == 1
    other.close()


def test_a_read_that_fails(failing, fast_path):
    other = connect(fast_path)
    other.execute("INSERT INTO t(payload) VALUES (zeroblob(50000))")
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    failing.run("db.execute('PRAGMA schema_version').fetchall(); db.execute('SELECT count(*) FROM sqlite_schema').fetchall()")
    failing.run(f"fail('.db', reads={errno.EIO}); read = error('SELECT hex(payload) FROM t'); fail('')")
    # SQLite's words for it, which do not tell that the disk has failed.
    assert failing.call("read") == "database disk image is malformed"
    found = errors_of(failing, "database")
    assert found[0] >= 1 and found[1:] == ["SQLITE_IOERR_CORRUPTFS: " + os.strerror(errno.EIO), 1]
    other.close()


def test_shared_memory_that_cannot_be_had(failing):
    failing.run(f"fail('-shm', writes={errno.ENOSPC}); read = error('SELECT count(*) FROM t'); fail('')")
    assert failing.call("read") is not None
    found = errors_of(failing, "shm")
    assert found[0] >= 1 and found[1].startswith("SQLITE_IOERR_SHMSIZE") and found[2] == 1
    assert failing.call("error('SELECT count(*) FROM t')") is None


def test_shared_memory_that_cannot_be_opened_is_no_error_of_the_disk(worker, tmp_path):
    """Bug: one SQLITE_CANTOPEN, as of a directory that is read-only, warned of a disk that fails."""
    path = tmp_path / "closed.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload)")
    db.close()
    os.symlink("nowhere", f"{path}-shm")  # SQLite does not follow it
    process = worker()
    process.run(f"db = connect({str(path)!r})")
    process.run("try: db.execute('SELECT count(*) FROM t')\nexcept sqlite3.OperationalError as error: said = str(error)")
    assert process.call("said") == "unable to open database file"
    os.unlink(f"{path}-shm")
    assert errors_of(process, "shm") == [0, None, None]
    assert process.call("one(db, \"SELECT status FROM system_health WHERE check_name = 'io_errors'\")") == "ok"


def test_errors_of_the_background_are_walmanagers(failing):
    failing.run(f"""
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("SELECT wal_set('checkpoint_frames', 10)").fetchall()
        fail('.db', writes={errno.EIO})
        for _ in range(40): db.execute("INSERT INTO t(payload) VALUES (zeroblob(4000))")
    """)
    assert poll(lambda: (errors_of(failing, "database", "walmanager")[0] > 0))
    failing.run("fail('')")
    assert errors_of(failing, "database", "walmanager")[1] == "SQLITE_IOERR_WRITE: " + os.strerror(errno.EIO)
    assert failing.call("one(db, 'PRAGMA integrity_check')") == "ok"
