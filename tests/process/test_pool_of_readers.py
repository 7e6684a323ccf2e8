"""read_pool() among processes: one commit for all under a writer, forks, broken connections, hosts without threads."""

import os
import subprocess
import sys

import pytest

from conftest import BUILD, EXTENSION
from workers import fast_path, integrity, worker  # noqa: F401 (fixtures among them)

BOOT = """
def fill(n):
    db.execute("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
               "INSERT INTO t SELECT i, zeroblob(100) FROM n", (n,))
def pool(statements, parameters="null", connection=None):
    sql = statements if isinstance(statements, str) else json.dumps(statements)
    return [json.loads(data) for data, in (connection or db).execute(
        "SELECT data FROM read_pool(?, ?)", (sql, parameters)).fetchall()]
"""


@pytest.fixture
def process(worker, fast_path):
    made = worker(fast_path)
    made.run(BOOT + f"path = {str(fast_path)!r}")
    return made


def test_a_snapshot_is_one_commit_under_a_writer_that_never_pauses(process, worker, fast_path):
    """Each commit sets all rows to its number: a statement that sees another commit sees another number."""
    process.run("fill(20)")
    writer = worker(fast_path)
    writer.run(f"path = {str(fast_path)!r}")
    writer.run(
        """
        stop = False
        def write():
            connection, i = connect(path, timeout=20), 0
            connection.execute("PRAGMA synchronous=OFF")
            while not stop:
                i += 1
                connection.execute("UPDATE t SET payload = ?", (i,))
            connection.close()
        thread = threading.Thread(target=write)
        thread.start()
        """)
    process.run(
        """
        seen, statements = [], ["SELECT min(payload) AS n FROM t", "SELECT max(payload) AS n FROM t WHERE id > 3"] * 4
        for _ in range(100):
            found = {row["n"] if isinstance(row["n"], int) else 0 for row in pool(statements, '{"snapshot":true}')}
            assert len(found) == 1, found
            seen.append(found.pop())
        """)
    writer.run("stop = True; thread.join()")
    assert process.call("seen == sorted(seen) and len(set(seen)) > 5")
    assert process.call("db.in_transaction") is False
    assert process.call("one(db, \"SELECT count(*) FROM connection_metrics WHERE role = 'reader' AND transaction_state <> 'none'\")") == 0


def test_a_fork_while_readers_work(process, fast_path):
    """The child opens its own connection and uses its own pool; what it has of the parent's is refused."""
    process.run(
        """
        fill(3000)
        half_way = db.execute("SELECT data FROM read_pool('SELECT a.id FROM t a, t b')")
        half_way.fetchone()
        other = connect(path)
        answers, end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                half_way.fetchall()
                text = "no error"
            except Exception as error:
                text = str(error)
            mine = connect(path)
            os.write(end, json.dumps([text, pool(["SELECT count(*) AS n FROM t"] * 3, connection=mine)]).encode())
            os._exit(0)
        answer = json.loads(os.read(answers, 65536))
        status = os.waitpid(child, 0)[1]
        rest = len(half_way.fetchmany(5000))
        half_way.close()
        """)
    text, found = process.call("answer")
    assert text == "read_pool: this connection was opened before a fork, in the parent"
    assert found == [{"n": 3000}] * 3
    assert process.call("[status, rest]") == [0, 5000]
    assert process.call("pool(['SELECT count(*) AS n FROM t'] * 2)") == [{"n": 3000}] * 2
    assert integrity(fast_path) == "ok"


def test_forks_do_not_wait_for_readers(process):
    """A reader that works for a long time releases its locks between two pieces of its work."""
    process.run(
        """
        fill(2000)
        def read():
            connection = connect(path)
            connection.execute("SELECT data FROM read_pool('SELECT count(*) FROM t a, t b, t c') LIMIT 1").fetchall()
        db.execute("SELECT wal_set('read_pool_timeout_ms', 1500)").fetchall()
        def quietly():
            try:
                read()
            except sqlite3.OperationalError:
                pass
        thread, longest = threading.Thread(target=quietly), 0
        thread.start()
        while not db.execute("SELECT 1 FROM connection_metrics WHERE role = 'reader' AND state = 'active'").fetchall():
            time.sleep(0.005)
        for _ in range(5):
            began = time.monotonic()
            child = os.fork()
            if child == 0:
                os._exit(0)
            longest = max(longest, time.monotonic() - began)
            os.waitpid(child, 0)
        thread.join()
        """)
    assert process.call("longest") < 1


def test_a_broken_connection_is_replaced(process):
    """Its descriptor of the log is another file's: the next read fails, and the statement runs on a new one."""
    process.run(
        """
        db.execute("SELECT wal_strategy('off')").fetchall()  # no other connection opens it
        fill(3000)
        db.execute("SELECT wal_set('read_pool_size', 1)").fetchall()
        def descriptors():
            found = set()
            for name in os.listdir("/proc/self/fd"):
                try:
                    if os.readlink("/proc/self/fd/" + name) == path + "-wal":
                        found.add(int(name))
                except OSError:
                    pass
            return found
        before = descriptors()
        assert pool(["SELECT 1 AS a"]) == [{"a": 1}]
        new = descriptors() - before
        assert new, before
        for descriptor in new:
            os.dup2(os.open("/dev/null", os.O_WRONLY), descriptor)
        found = pool(["SELECT sum(id) AS n, sum(length(payload)) AS bytes FROM t"])
        """)
    assert process.call("found") == [{"n": 3000 * 3001 // 2, "bytes": 300000}]
    assert process.call("metrics(db)['pool_replaced']") >= 1


def test_many_threads_share_a_small_pool(process):
    process.run(
        """
        fill(1000)
        db.execute("SELECT wal_set('read_pool_size', 2)").fetchall()
        wrong = []
        def ask():
            connection = connect(path, timeout=20)
            for _ in range(15):
                found = pool(["SELECT count(*) AS n FROM t"] * 5, connection=connection)
                if found != [{"n": 1000}] * 5:
                    wrong.append(found)
            connection.close()
        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """)
    assert process.call("wrong") == []
    assert process.call("metrics(db)['pool_connections']") <= 2


def test_readers_come_and_go_while_another_connection_changes_the_mode(process):
    """No idle reader is in the way of PRAGMA journal_mode of a managed connection."""
    process.run(
        """
        fill(100)
        other, modes = connect(path, timeout=5), []
        for mode in ["delete", "wal"] * 10:
            assert pool(["SELECT count(*) AS n FROM t"] * 3) == [{"n": 100}] * 3
            db.execute("SELECT 1").fetchall()
            other.close()
            modes.append(db.execute(f"PRAGMA journal_mode={mode}").fetchone()[0])
            other = connect(path, timeout=5)
        """)
    assert process.call("modes") == ["delete", "wal"] * 10


SINGLE_THREAD = """
import ctypes, ctypes.util, sys
s = ctypes.CDLL(ctypes.util.find_library("sqlite3"))
assert s.sqlite3_config(1) == 0  # SQLITE_CONFIG_SINGLETHREAD, before anything else uses SQLite
db, st, m = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_char_p()
s.sqlite3_open(sys.argv[1].encode(), ctypes.byref(db))
s.sqlite3_db_config(db, 1005, 1, None)
assert s.sqlite3_load_extension(db, sys.argv[2].encode(), None, ctypes.byref(m)) == 0, m.value
s.sqlite3_column_text.restype = ctypes.c_char_p
sql = b"SELECT data FROM read_pool('[\\"SELECT 1 AS a\\",\\"SELECT count(*) AS n FROM t\\"]')"
assert s.sqlite3_prepare_v2(db, sql, -1, ctypes.byref(st), None) == 0
while s.sqlite3_step(st) == 100:
    print(s.sqlite3_column_text(st, 0).decode())
s.sqlite3_finalize(st)
import os
print(len(os.listdir("/proc/self/task")), s.sqlite3_close(db))
"""


def test_a_host_without_threads(fast_path):
    """One statement after the other, in its own thread, on its own connection."""
    done = subprocess.run([sys.executable, "-c", SINGLE_THREAD, str(fast_path), EXTENSION], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ['{"a":1}', '{"n":0}', "1 0"]


def test_bug_a_call_failed_where_descriptors_ran_out(process, fast_path):
    """The connections that could be opened run all statements. If there is none, the caller's connection does."""
    process.run(
        """
        fill(3000)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        slow = "SELECT sum(a.id + b.id) AS s FROM t a, (SELECT id FROM t LIMIT 300) b"
        expected = {"s": one(db, slow)}
        held = []
        """)
    for spare in (0, 1, 2, 3, 4, 6):
        process.run(
            f"""
            try:
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            for _ in range({spare}):
                os.close(held.pop())
            found = pool([slow] * 12)
            """)
        assert process.call("found == [expected] * 12"), spare
    process.run("for descriptor in held: os.close(descriptor)")


def test_the_time_of_a_call_ends_what_looks_at_no_clock(process, fast_path):
    """A count of a large table is one step to SQLite's machine."""
    process.run(
        """
        db.execute("PRAGMA synchronous=OFF")
        db.execute("CREATE TABLE large(a)")
        db.execute("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 40000) INSERT INTO large SELECT zeroblob(4000) FROM n")
        began = time.monotonic()
        one(db, "PRAGMA integrity_check")
        plain = time.monotonic() - began
        began = time.monotonic()
        try:
            pool("PRAGMA integrity_check", json.dumps({"timeout_ms": 1}))
            said = "nothing"
        except Exception as error:
            said = str(error)
        took = time.monotonic() - began
        """)
    took, plain = process.call("[took, plain]")
    assert took < 0.02 + 0.7 * plain
    assert process.call("said") == "read_pool: not done after 1 ms (timeout_ms)"
    assert process.call("pool(['SELECT count(*) AS n FROM large'])") == [{"n": 40000}]


def test_readers_may_use_all_processors_again(process, fast_path):
    """Each takes one of its own as it begins, for two milliseconds."""
    process.run(
        """
        fill(3000)
        def allowed():
            found = {}
            for task in os.listdir("/proc/self/task"):
                name = open(f"/proc/self/task/{task}/comm").read().strip()
                status = open(f"/proc/self/task/{task}/status").read()
                found.setdefault(name, set()).add(status.split("Cpus_allowed_list:")[1].split()[0])
            return found["walmanager-read"], found[open("/proc/self/comm").read().strip()]
        for _ in range(50):
            pool(["SELECT count(*) FROM t"] * 4)
        readers, host = allowed()
        assert readers == host, (readers, host)
        half_read = db.execute("SELECT data FROM read_pool('[\\"SELECT a.id FROM t a, t b\\", \\"SELECT b.id FROM t a, t b\\"]')")
        for _ in range(20_000):  # of 18 million
            half_read.fetchone()
        readers, host = allowed()
        assert readers == host, (readers, host)
        """)


NO_MEMORY = """
import ctypes, json, sqlite3, sys
path, extension = sys.argv[1:]
preloaded = ctypes.CDLL(None)
preloaded.fail_after.argtypes, preloaded.has_failed.restype = [ctypes.c_long], ctypes.c_bool
db = sqlite3.connect(path, isolation_level=None)
db.enable_load_extension(True)
db.load_extension(extension)
db.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
sql = json.dumps(["SELECT ?1 AS a", "SELECT id, payload FROM t WHERE id <= ?1", "SELECT * FROM t a, t b"] * 3)
values = json.dumps([[2], [3], []] * 3)
def call():
    return sorted(db.execute("SELECT statement, row, data FROM read_pool(?, ?)", (sql, values)).fetchall())
wanted, failed = call(), 0
for after in range(400):
    preloaded.fail_after(after)
    try:
        assert call() == wanted
    except (sqlite3.Error, MemoryError):
        failed += 1
    if not preloaded.has_failed(): break
    preloaded.fail_after(-1)
    assert call() == wanted
assert failed > 0
print("ok")
"""


def test_bug_the_host_ended_where_memory_ended_as_rows_were_handed_over(fast_path):
    """A reader thread released a lock that it no longer had."""
    preload = str(BUILD / "tests" / "libno_memory.so")
    done = subprocess.run([sys.executable, "-c", NO_MEMORY, str(fast_path), EXTENSION], text=True, capture_output=True,
                          timeout=60, env=dict(os.environ, LD_PRELOAD=preload))
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
