"""Input of an enemy: what tests/README.md promises under "Security" and no other test shows.
More databases of changed bytes: WALMANAGER_CHANGED_DATABASES=2000 pytest -s tests/process/test_hostile.py"""

import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import sys

import pytest

from conftest import connect
from test_control_file import as_nobody, commit, control_of, make_database, needs_root, open_directory  # noqa: F401
from test_system_calls import FUNCTIONS
from workers import TESTS, fast_path, integrity, worker  # noqa: F401 (fixtures among them)

CHANGED = int(os.environ.get("WALMANAGER_CHANGED_DATABASES", "24"))


# --- a hostile author of SQL

def test_an_authorizer_of_the_program_refuses_each_function_and_table(wal_path):
    """A program that runs the SQL of strangers forbids walmanager's names as it forbids those of SQLite."""
    bare, db = connect(wal_path, None), connect(wal_path)
    modules = "SELECT name FROM pragma_module_list"
    tables = {name for name, in set(db.execute(modules)) - set(bare.execute(modules))}
    assert len(tables) > 15

    def refuse(action, first, second, *_):
        if action == sqlite3.SQLITE_FUNCTION and second.startswith("wal_") or action == sqlite3.SQLITE_READ and first in tables:
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK
    db.set_authorizer(refuse)
    for name in FUNCTIONS:
        arguments = FUNCTIONS[name][0].format(d=wal_path.parent, open=1) if name != "wal_strategy_define" else FUNCTIONS[name][0]
        with pytest.raises(sqlite3.DatabaseError, match=f"not authorized to use function: {name}"):
            db.execute(f"SELECT {name}{arguments}")
    for name in tables:
        with pytest.raises(sqlite3.DatabaseError, match=f"access to {name}.* is prohibited"):
            db.execute(f"SELECT * FROM {name}('SELECT 1')" if name == "read_pool" else f"SELECT * FROM {name}")
    assert {entry.name for entry in wal_path.parent.iterdir()} <= {"test.db" + end for end in ("", "-wal", "-shm", "-walmanager")}


# --- a hostile database

PLAY = """
import glob
SQL = '''SELECT count(*), sum(length(payload)) FROM t
SELECT id, typeof(payload), length(payload) FROM t WHERE k = 7 ORDER BY id
SELECT * FROM v
INSERT INTO t(k, payload) VALUES (7, zeroblob(900))
UPDATE t SET payload = 'new' WHERE k = 5
DELETE FROM t WHERE k = 6
PRAGMA integrity_check(3)
PRAGMA foreign_key_check
SELECT count(*) FROM t
CREATE INDEX more ON t(payload)
SELECT max(payload) FROM t'''.splitlines()
TABLES = TABLES_HERE
def play(path, load):
    told = []
    db = None
    def run(sql):
        try:
            return db.execute(sql).fetchall()
        except sqlite3.Error as problem:
            return str(problem)
        except UnicodeDecodeError:
            return "not UTF-8"
    try:
        db = connect(path, load)
    except sqlite3.Error as problem:
        return ["cannot be loaded: " + str(problem)]
    for sql in SQL:
        told.append(repr(run(sql)))
    if load:
        run("SELECT wal_set('checkpoint_frames', 4)")
        for table in TABLES:
            run("SELECT * FROM " + table)
        for call in ("wal_integrity_check()", "wal_checkpoint('TRUNCATE')", "wal_backup('%s-copy')" % path, "wal_openmetrics()"):
            run("SELECT " + call)
        run('SELECT * FROM read_pool(\\'["SELECT count(*) FROM t","SELECT * FROM v"]\\')')
    told.append(repr(run("SELECT count(*) FROM t")))
    db.close()
    return told
"""


def test_a_database_of_changed_bytes_fails_as_without_walmanager(worker, fast_path):  # noqa: F811
    """Each statement of the program has the rows or the error that it has without walmanager, and nothing ends the process."""
    folder = fast_path.parent / "changed"
    folder.mkdir()
    source = folder / "source.db"
    db = connect(source, None)
    db.executescript("""
        PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
        CREATE TABLE t(id INTEGER PRIMARY KEY, k INT, payload); CREATE INDEX t_k ON t(k); CREATE VIEW v AS SELECT k, count(*) FROM t GROUP BY k;
        CREATE TABLE _litestream_seq(id INTEGER PRIMARY KEY, seq INTEGER);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150) INSERT INTO t(k, payload) SELECT i % 9, zeroblob(i * 3) FROM n;
        ANALYZE; PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t(k, payload) SELECT k, payload FROM t LIMIT 40;""")
    files = {end: pathlib.Path(f"{source}{end}").read_bytes() for end in ("", "-wal")}
    db.close()
    process = worker()
    bare = connect(":memory:", None)
    modules = "SELECT name FROM pragma_module_list"
    tables = {name for name, in set(connect(":memory:").execute(modules)) - set(bare.execute(modules))} - {"read_pool"}
    process.run(PLAY.replace("TABLES_HERE", repr(sorted(tables))))
    failed = 0
    for seed in range(CHANGED):
        chance = random.Random(seed)
        changed = {end: bytearray(content) for end, content in files.items()}
        of = "-wal" if seed % 4 == 0 else ""
        if seed % 4 == 1:
            changed["-wal"].clear()
        for _ in range(chance.choice([1, 3, 20])):
            # Often where a page or a frame begins: there are the headers, and in the first page the schema.
            page, offset = chance.randrange(len(changed[of]) // 1024), chance.randrange(chance.choice([40, 1024]))
            changed[of][page * 1024 + offset] = chance.choice([0, 255, chance.randrange(256)])
        told = []
        for load in False, True:
            place = folder / f"{seed}-{load}"
            place.mkdir()
            for end, content in changed.items():
                pathlib.Path(f"{place}/x.db{end}").write_bytes(content)
            told.append(process.call(f"play({str(place / 'x.db')!r}, {'EXTENSION' if load else None})"))
            shutil.rmtree(place)
        assert told[1] == told[0], seed
        failed += any("malformed" in text or "not a database" in text for text in told[0])
    print(f"\n{CHANGED} databases, {failed} of them too damaged for some statement")
    assert failed > CHANGED / 8
    assert process.end() == 0


# --- a hostile control file

def replaced(path, before, after):
    """Puts `after`, filled up with blanks, in the place of the text `before` of the control file."""
    content = control_of(path).read_bytes()
    assert content.count(before.encode()) > 0
    control_of(path).write_bytes(content.replace(before.encode(), after.ljust(len(before)).encode()))


def test_sql_in_the_control_file_is_not_run(worker, wal_path):  # noqa: F811
    """A statement's text is planned where it can do nothing, and a rule's condition is compiled as one that is defined is."""
    process = worker(wal_path)
    statement = "SELECT count(*) FROM t WHERE payload > ? AND payload < ? AND payload <> ? AND id > ? AND id < ? AND id <> ?"
    condition = "pending_frames > 111111111 + 222222222 + 333333333 + 444444444"
    process.run(f"for i in range(50): db.execute({statement!r}, [i] * 6).fetchall()")
    process.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    process.call(f"""one(db, "SELECT wal_strategy_define('mine', '[{{\\"rule\\":\\"r\\",\\"condition\\":\\"{condition}\\",\\"mode\\":\\"PASSIVE\\"}}]')")""")
    process.call("one(db, \"SELECT wal_strategy('mine')\")")
    assert process.end() == 0
    target = wal_path.parent / "x.db"
    replaced(wal_path, statement, f"ATTACH '{target}' AS x"[:len(statement)])
    replaced(wal_path, condition, "wal_set('slow_query_ms', 4321)")
    process = worker(wal_path)
    commit(process, 30)
    for table in ("index_candidates", "wal_recommendations", "wal_strategies", "system_health"):
        process.run(f"db.execute('SELECT * FROM {table}').fetchall()")
    process.run("db.execute('SELECT query, plan FROM query_performance').fetchall()")
    assert "4321" in process.call("one(db, \"SELECT condition FROM wal_strategies WHERE strategy = 'mine'\")")  # it is what was written
    assert "4321" not in process.call("json.dumps(db.execute('SELECT query FROM query_performance').fetchall())")
    assert "ATTACH" in process.call("json.dumps(db.execute('SELECT query FROM query_performance').fetchall())")
    assert process.call("one(db, \"SELECT value FROM wal_config WHERE name = 'slow_query_ms'\")") == 100
    assert process.call("[row[1] for row in db.execute('PRAGMA database_list') if row[2]]") == ["main"]
    assert process.end() == 0
    assert not target.exists()
    assert integrity(wal_path) == "ok"


# --- a local user

@needs_root
@pytest.mark.parametrize("begun", [False, True])
def test_locks_of_a_user_who_may_only_read_hold_up_no_commit(worker, as_nobody, open_directory, begun):  # noqa: F811
    """A read lock on all of the control file refuses walmanager each lock. Statistics may be private, commits do not wait, and the log stays short."""
    path = make_database(open_directory / "test.db")
    process = worker(path)
    commit(process)
    process.run("db.execute(\"SELECT wal_set('checkpoint_frames', 50), wal_set('wal_limit_bytes', 1048576)\").fetchall()")
    if not begun:
        assert process.end() == 0
    reader = as_nobody(":memory:")
    reader.run(f"""
        import fcntl
        file = os.open({str(control_of(path))!r}, os.O_RDONLY)
        def hold(start, length):
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, length, start)
            except OSError:
                pass  # a byte that a process has
        for start in range(1 << 40, (1 << 40) + 64): hold(start, 1)
        for start in range((1 << 40) + 64, (1 << 40) + 4096): hold(start, 1)
        """)
    try:
        if not begun:
            process = worker(path)
        process.run("""
            def commit():
                begun = time.monotonic()
                db.execute("INSERT INTO t(payload) VALUES (1)")
                return time.monotonic() - begun
            """)
        assert max(process.call("[commit() for _ in range(300)]")) < 0.5
        process.run("for _ in range(700): db.execute('INSERT INTO t(payload) VALUES (zeroblob(3000))')")
        row = process.call("metrics(db)")
        if begun:  # no process may copy in the background, so commits do
            assert row["wal_bytes_max"] < 3 << 20 and row["checkpoints_inline"] > 0
        else:
            assert row["private_because"] == "another process is making the control file, or has locked it"
        process.run("before = time.monotonic(); db.close()")
        assert process.call("time.monotonic() - before") < 0.5
    finally:
        reader.end()
    assert process.end() == 0
    assert integrity(path) == "ok"


# --- a network file system

@needs_root
@pytest.mark.parametrize("kind, status", [("nfs4", "critical"), ("fuse.sshfs", "critical"), ("9p", "warning"), ("ext4", "ok")])
def test_a_database_on_a_network_file_system_is_said_to_be_in_danger(wal_path, kind, status):
    """The system's table of mounts, as this process sees it, has another type for the place of the database."""
    device = f"{os.major(wal_path.stat().st_dev)}:{os.minor(wal_path.stat().st_dev)}"
    mounts = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        if fields[2] == device:
            fields[fields.index("-") + 1] = kind
        mounts.append(" ".join(fields) + "\n")
    table = wal_path.parent / "mounts"
    table.write_text("".join(mounts))
    code = (f"import sys; sys.path.insert(0, {str(TESTS)!r}); from conftest import connect; db = connect({str(wal_path)!r});"
            "print(*db.execute(\"SELECT status, detail FROM system_health WHERE check_name = 'file_system'\").fetchone())")
    seen = subprocess.run(["unshare", "--mount", "sh", "-c", f"mount --bind {table} /proc/$$/mountinfo && exec {sys.executable} -c \"$0\"", code],
                          text=True, capture_output=True)
    if "mount" in seen.stderr or "unshare" in seen.stderr:
        pytest.skip("nothing can be mounted here: " + seen.stderr.strip())
    assert seen.stdout.strip() == f"{status} the database is on {kind}", seen.stderr
