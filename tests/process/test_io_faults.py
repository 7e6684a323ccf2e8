"""Each call on each file fails in turn, below SQLite's own VFS: a call of the host's fails it as it fails a bare SQLite,
a call of walmanager's does not reach it, and afterwards the database is sound and has every row that was acknowledged.
By hand, each call and not only some: WALMANAGER_IO_FAULTS=100000 pytest -s tests/process/test_io_faults.py"""

import errno
import os
import pathlib

import pytest

from conftest import BUILD
from workers import fast_path, worker  # noqa: F401 (fixtures)

FAULTS = int(os.environ.get("WALMANAGER_IO_FAULTS", "4"))  # of each kind of call on each file
SHORT = -1

# What a program does. Statements of walmanager's own may say what failed; the others belong to the host.
HOST = """
import ctypes, glob
faults = ctypes.CDLL(None)
def trial(path, load, end, call, skip, times, error):
    for name in glob.glob(path + "*") + glob.glob(os.path.dirname(path) + "/copy.db*"):
        os.unlink(name)
    arm = lambda: faults.io_faults_arm(end.encode(), call.encode(), ctypes.c_long(skip), ctypes.c_long(times), error)
    if end == "-walmanager":
        arm()
    db = sqlite3.connect(path, isolation_level=None, timeout=1)
    if load:
        db.enable_load_extension(True)
        db.load_extension(EXTENSION)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA cache_size=4")  # so that it reads
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    other = sqlite3.connect(path, isolation_level=None, timeout=1)
    if load:
        for setting in ("'lock_metrics', 'off'", "'checkpoint_frames', 15"):
            try:
                db.execute("SELECT wal_set(%s)" % setting).fetchall()
            except sqlite3.Error:
                assert end == "-walmanager"
    else:
        db.execute("PRAGMA wal_autocheckpoint=15")
    steps = [("insert %d" % n, "INSERT INTO t VALUES (%d, zeroblob(%d))" % (n, n * 331 % 3000)) for n in range(1, 31)]
    steps[10:10] = [("begin", "BEGIN"), ("cursor", "SELECT count(*) FROM t"), ("commit", "COMMIT")]
    if load:
        steps[20:20] = [("own", "SELECT count(*) FROM " + table) for table in ("wal_metrics", "system_health", "wal_readers", "wal_io")]
        steps.append(("own", "SELECT wal_checkpoint('TRUNCATE')"))
        steps.append(("own", "SELECT wal_backup('%s/copy.db', '{\\"overwrite\\":true}')" % os.path.dirname(path)))
    else:
        steps.append(("other", "PRAGMA wal_checkpoint(TRUNCATE)"))
    steps.append(("update", "UPDATE t SET payload = zeroblob(10) WHERE id % 3 = 0"))
    told, rows = [], set()
    if end != "-walmanager":
        arm()
    for name, sql in steps:
        try:
            (other if name == "other" else db).execute(sql).fetchall()
            if name.startswith("insert"):
                rows.add(int(name[7:]))
        except sqlite3.Error as problem:
            if name not in ("own", "other"):
                told.append([name.split()[0], str(problem)])
    try:
        other.close()
        db.close()
    except sqlite3.Error as problem:
        told.append(["close", str(problem)])
    seen, host, own = faults.io_faults_seen(), faults.io_faults_in_host(), faults.io_faults_in_extension()
    faults.io_faults_disarm()
    beside = sorted(os.path.basename(name) for name in glob.glob(os.path.dirname(path) + "/copy.db?*"))
    copy = os.path.dirname(path) + "/copy.db"
    if os.path.exists(copy):
        whole = sqlite3.connect(copy)
        copied = whole.execute("SELECT count(*) FROM t").fetchone()[0], whole.execute("PRAGMA integrity_check").fetchone()[0]
        whole.close()
    else:
        copied = None
    db = sqlite3.connect(path, isolation_level=None)
    if load:
        db.enable_load_extension(True)
        db.load_extension(EXTENSION)
    sound = db.execute("PRAGMA integrity_check").fetchone()[0]
    missing = sorted(rows - {row[0] for row in db.execute("SELECT id FROM t")})
    db.execute("INSERT INTO t(payload) VALUES ('life goes on')")
    if load:
        db.execute("SELECT * FROM wal_metrics").fetchall()
    db.close()
    return dict(seen=seen, host=host, own=own, told=told, sound=sound, missing=missing, beside=beside, copied=copied)
"""

# What SQLite says of a call that failed, whichever it was. Other messages must be seen of bare SQLite, too.
FAILED = {"disk I/O error", "unable to open database file", "database or disk is full"}
KINDS = [(file, call, error)
         for file, calls in {"test.db": "open read write sync truncate stat", "-wal": "open read write sync truncate stat unlink",
                             "-shm": "open write truncate stat mmap unlink",
                             "-walmanager": "open read write sync truncate allocate stat mmap unlink rename",
                             "*copy.db": "open read write sync truncate stat unlink rename"}.items()
         for call in calls.split()
         for error in {"open": (errno.EMFILE,), "mmap": (errno.ENOMEM,), "read": (errno.EIO, errno.EINTR, SHORT),
                       "write": (errno.EIO, errno.ENOSPC, errno.EINTR, SHORT)}.get(call, (errno.EIO,))]


def named(error):
    return "short" if error == SHORT else errno.errorcode[error]


@pytest.mark.parametrize("file", ["test.db", "-wal", "-shm", "-walmanager", "*copy.db"])
def test_a_call_that_fails(worker, fast_path, file):  # noqa: F811
    process = worker(LD_PRELOAD=str(BUILD / "tests" / "libio_faults.so"))
    process.run(HOST)
    folder = fast_path.parent / "faults"
    folder.mkdir()
    path = str(folder / "test.db")

    def trial(load, call, skip, times, error):
        return process.call(f"trial({path!r}, {load}, {file!r}, {call!r}, {skip}, {times}, {error})")

    injected = own = 0
    for of, call, error in KINDS:
        if of != file:
            continue
        calls = trial(True, call, 1 << 40, 0, error)["seen"]
        bare = set(FAILED)
        if file in ("test.db", "-wal", "-shm"):
            of_bare = trial(False, call, 1 << 40, 0, error)["seen"]
            for skip in range(of_bare) if of_bare <= 3 * FAULTS else range(0, of_bare, of_bare // (3 * FAULTS)):
                for times in (1, 1000) if error != errno.EINTR else (1,):
                    bare |= {text for _, text in trial(False, call, skip, times, error)["told"]}
        for skip in range(calls) if calls <= FAULTS else range(0, calls, calls // FAULTS):
            for times in (1, 1000) if error != errno.EINTR else (1,):
                told = trial(True, call, skip, times, error)
                case = f"{file}: {call} {skip} of {calls}, {times} times, {named(error)}: {told}"
                assert told["sound"] == "ok" and told["missing"] == [], case
                # A copy is whole, or it is not there.
                assert told["copied"] is None or told["copied"][1] == "ok" and told["copied"][0] >= 30 - len(told["told"]), case
                assert told["beside"] == [] or call in ("unlink", "stat"), case
                if told["host"] == 0:
                    assert told["told"] == [], case
                else:
                    assert {text for _, text in told["told"]} <= bare, f"{case}; bare SQLite: {bare - FAILED}"
                injected += told["host"] + told["own"]
                own += told["own"]
    print(f"\n{file}: {injected} calls failed, {own} of them walmanager's")
    assert injected > 0
