"""A program that has almost all the descriptors that it may have (RLIMIT_NOFILE) gets those of walmanager, too."""

import pytest

from conftest import connect, metrics, one
from waiting import wait_for
from workers import worker  # noqa: F401 (a fixture)

SPOKEN = "(RLIMIT_NOFILE): walmanager leaves them to the program"

OPENS = """
def open_one(folder, number, loaded):
    path = f"{folder}/{number}.db"
    db = connect(path) if loaded else sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, payload BLOB)")
        for _ in range(20): db.execute("INSERT INTO t(payload) VALUES (1)")
    except sqlite3.OperationalError:
        db.close()
        raise
    return db

def open_all(folder, loaded, most=1000, pause=0):
    '''As many databases as the limit allows, and how many.'''
    found = []
    try:
        while len(found) < most:
            found.append(open_one(folder, len(found), loaded))
            time.sleep(pause)
    except sqlite3.OperationalError as error:
        assert str(error) == "unable to open database file", error
    return found

def limit(most):
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

def why_private(db):
    return one(db, "SELECT private_because FROM wal_metrics WHERE schema = 'main'")
"""


@pytest.fixture
def host(worker, tmp_path, wal_path):
    process = worker(wal_path)
    process.run(OPENS)
    for folder in ("bare", "loaded"):
        (tmp_path / folder).mkdir()
    process.run(f"bare, loaded = {str(tmp_path / 'bare')!r}, {str(tmp_path / 'loaded')!r}")
    return process


@pytest.mark.parametrize("most", [64, 200])
def test_a_program_opens_as_many_databases_as_without_walmanager(host, most):
    host.run(f"""
        db.close()
        limit({most})
        without = open_all(bare, False)
        alone = len(without)
        for each in without: each.close()
        opened = open_all(loaded, True)
        for _ in range(5):
            for each in opened: each.execute("INSERT INTO t(payload) VALUES (2)")
        rows = {{one(each, "SELECT count(*) FROM t") for each in opened}}
    """)
    # Where the machine is busy, the database that was copied has two more until it is closed.
    assert host.call("alone") - 1 <= host.call("len(opened)") <= host.call("alone")
    assert host.call("alone") > most // 4
    assert host.call("list(rows)") == [25]
    host.run("opened.pop().close()")
    assert SPOKEN in host.call("why_private(opened[0])")
    detail = host.call("""one(opened[0], "SELECT detail FROM system_health WHERE check_name = 'statistics_file'")""")
    assert f"this process may have {most} files open" in detail


def test_what_is_left_to_the_program_counts_once(host):
    """The counts until then are in the file, those since then come to it with the next descriptors."""
    host.run("""
        limit(64)
        one(db, "SELECT wal_set('checkpoint_frames', 777)")
        for _ in range(26): db.execute("INSERT INTO t(payload) VALUES (1)")
        one(db, "SELECT wal_set('sample_interval_ms', 50)")
        one(db, "SELECT wal_checkpoint('TRUNCATE')")
        def fired():
            return one(db, "SELECT total(fired) FROM wal_strategies WHERE builtin AND schema = 'main'")
        one(db, "SELECT wal_set('checkpoint_frames', 3)"); one(db, "SELECT wal_strategy('sqlite_default')")
        for _ in range(6): db.execute("INSERT INTO t(payload) VALUES (1)")
        one(db, "SELECT wal_strategy('conversation_workload')"); one(db, "SELECT wal_set('checkpoint_frames', 777)")
        fired_before = fired()
        before = metrics(db)
        files = open_all(loaded, True)
        during = metrics(db)
        for _ in range(7): db.execute("INSERT INTO t(payload) VALUES (1)")
        apart = metrics(db)
        limits = one(db, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'")
        for each in files: each.close()
    """)
    assert host.call("before['private_because']") is None
    assert SPOKEN in host.call("during['private_because']")
    assert (host.call("during['commits']"), host.call("apart['commits']")) == (0, 7)
    assert host.call("limits") == 777
    wait_for(lambda: host.call("why_private(db)") is None)
    host.run("""
        for _ in range(3): db.execute("INSERT INTO t(payload) VALUES (1)")
        calls = one(db, "SELECT calls FROM query_performance WHERE query LIKE 'INSERT%'")
    """)
    assert host.call("metrics(db)['commits']") == host.call("before['commits']") + 10
    assert host.call("calls") == 42
    assert host.call("fired_before") > 0
    assert host.call("fired()") == host.call("fired_before")
    assert host.call("one(db, \"SELECT value FROM wal_config WHERE name = 'checkpoint_frames'\")") == 777


def test_bug_a_process_that_has_left_its_control_file_was_called_unmanaged(host, worker, wal_path):
    """And in that process other processes were."""
    host.run("""
        limit(64)
        db.execute("INSERT INTO t(payload) VALUES (1)")
        files = open_all(loaded, True)
    """)
    assert SPOKEN in host.call("why_private(db)")
    other = connect(wal_path)
    other.execute("INSERT INTO t(payload) VALUES (1)")
    counts = lambda: [metrics(other)["unmanaged_processes"], host.call("metrics(db)['unmanaged_processes']")]  # noqa: E731
    assert counts() == [0, 0]
    bare = worker(wal_path, load=False)
    bare.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    assert counts() == [1, 1]
    bare.end()
    other.close()


def test_bug_a_setting_was_not_said_to_be_for_this_process_alone(host, wal_path):
    host.run("""
        db.execute("INSERT INTO t(payload) VALUES (1)")
        one(db, "SELECT wal_set('checkpoint_frames', 600)")
        limit(64)
        files = open_all(loaded, True)
        one(db, "SELECT wal_set('checkpoint_frames', 700)")
        said = [row[0] for row in db.execute("SELECT detail FROM wal_alerts WHERE schema = 'main' AND status = 'changed' ORDER BY id")]
    """)
    shared, alone = host.call("said")
    assert shared.startswith("checkpoint_frames") and "alone" not in shared
    assert alone.endswith(", so far for this process alone")
    other = connect(wal_path)
    assert one(other, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'") == 600
    other.close()
    host.run("for each in files: each.close()")
    wait_for(lambda: host.call("why_private(db)") is None)
    other = connect(wal_path)
    assert one(other, "SELECT value FROM wal_config WHERE name = 'checkpoint_frames'") == 700
    other.close()


def test_bug_an_open_waited_until_sixteen_large_control_files_were_copied(host):
    """It leaves as many as it needs, and does not copy statistics that begin anew anyway."""
    host.run("""
        others = [open_one(loaded, number, True) for number in range(18)]
        for each in others:
            for i in range(300): each.execute(f"SELECT id AS a{i} FROM t WHERE id = {i}").fetchall()
        def controls():
            links = [f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd")]
            return sum(os.readlink(link).endswith("-walmanager") for link in links if os.path.lexists(link))
        before = controls()
        limit(len(os.listdir("/proc/self/fd")) + 20)
        start = time.thread_time()
        new = connect(loaded + "/new.db")
        took = time.thread_time() - start
        after = controls()
        left = [each for each in others if why_private(each)]
        for each in left: each.execute("SELECT id AS b FROM t WHERE id = 1").fetchall()
        known = [set(each.execute("SELECT query, calls FROM query_performance WHERE query LIKE '%FROM t WHERE%'")) for each in left]
    """)
    assert host.call("before") == 18
    assert 4 <= host.call("before - after") <= 16
    assert host.call("took") < 0.025
    assert host.call("len(left)") >= 4
    assert host.call("[[*each] for each in known if each != {('SELECT id AS b FROM t WHERE id = ?', 1)}]") == []


def test_a_database_that_nobody_uses_gives_its_descriptor_too(host):
    """Its connection runs no statement, and the program opens files that are no databases."""
    host.run("""
        for _ in range(5): db.execute("INSERT INTO t(payload) VALUES (1)")
        other = connect(loaded + "/other.db")
        other.execute("PRAGMA journal_mode=WAL"); other.execute("CREATE TABLE t(a)")
        limit(64)
        taken = []
        try:
            while True: taken.append(os.dup(0))
        except OSError: pass
        os.close(taken.pop()); os.close(taken.pop())
        def open_controls():
            names = []
            for each in os.listdir("/proc/self/fd"):
                try: names.append(os.readlink("/proc/self/fd/" + each))
                except OSError: pass
            return sum(name.endswith("-walmanager") for name in names)
        before = open_controls()
        os.close(taken.pop())
        third = connect(loaded + "/third.db")
        after = open_controls()
    """)
    assert host.call("before") == 2
    assert host.call("after") == 0
    host.run("for each in taken: os.close(each)")


def test_looks_give_descriptors_back_without_an_open(host):
    host.run("""
        for _ in range(5): db.execute("INSERT INTO t(payload) VALUES (1)")
        time.sleep(1.1)
        limit(64)
        taken = [os.dup(0) for _ in range(56 - len(os.listdir("/proc/self/fd")))]
    """)
    wait_for(lambda: host.run("db.execute('SELECT count(*) FROM t').fetchone()")
             or SPOKEN in (host.call("why_private(db)") or ""))
    host.run("for each in taken: os.close(each)")


def test_threads_go_on_while_their_file_is_left_and_found_again(host, wal_path):
    host.run("""
        limit(64)
        stop = False
        path = one(db, "SELECT file FROM pragma_database_list WHERE name = 'main'")
        written = []
        failed = []
        def write():
            own = connect(path)
            own.execute("PRAGMA busy_timeout=30000")
            count = 0
            try:
                while not stop:
                    own.execute("INSERT INTO t(payload) VALUES (zeroblob(200))")
                    own.execute("SELECT count(*) FROM (SELECT 1 FROM t LIMIT 10)").fetchone()
                    count += 1
            except BaseException as error: failed.append(str(error))
            written.append(count)
            own.close()
        threads = [threading.Thread(target=write) for _ in range(3)]
        for each in threads: each.start()
        left = 0
        for round in range(12):
            files = open_all(loaded, True)
            left += why_private(db) is not None
            for each in files: each.close()
            for _ in range(100):
                if why_private(db) is None: break
                time.sleep(0.02)
        stop = True
        for each in threads: each.join()
    """)
    assert host.call("failed") == []
    assert host.call("left") >= 6
    host.run("db.close()")
    db = connect(wal_path)
    assert one(db, "PRAGMA integrity_check") == "ok"
    rows = one(db, "SELECT count(*) FROM t")
    assert rows == sum(host.call("written"))
    # A count is lost where a thread counts in the moment in which its memory becomes private.
    assert rows * 0.99 <= metrics(db)["commits"] <= rows + 20


def test_a_descriptor_of_a_high_number_is_none_that_is_missed(host):
    """A program may put a descriptor where it likes; the limit may be lowered below one."""
    host.run("""
        limit(256)
        os.dup2(0, 230); os.dup2(0, 255)
        for _ in range(5): db.execute("INSERT INTO t(payload) VALUES (1)")
    """)
    assert host.call("why_private(db)") is None


@pytest.mark.parametrize("most,copied", [(1023, 1), (1024, 32)])
def test_sqlite_keeps_few_descriptors_because_of_copies(host, most, copied):
    """Two of each database that was copied stay open until the program closes it."""
    host.run(f"""
        db.close()
        limit({most})
        opened = open_all(loaded, True, most=40)
        def why():
            return [one(each, "SELECT unguarded_because FROM wal_metrics WHERE schema = 'main'") for each in opened]
        def descriptors():
            return len(os.listdir("/proc/self/fd"))
        bare = descriptors()
        def moved():
            for each in opened: each.execute("INSERT INTO t(payload) VALUES (zeroblob(100000))")
            return min(metrics(each)["checkpoint_frames"] for each in opened)
    """)
    wait_for(lambda: host.call("moved()") > 0, seconds=60)
    assert sum(SPOKEN in (why or "") for why in host.call("why()")) == 40 - copied
    assert wait_for(lambda: host.call("descriptors()") <= 4 * 40 + 2 * copied + 12)


def test_bug_a_thread_looked_each_second_at_idle_databases_that_it_may_not_copy(host):
    host.run("""
        db.close()
        limit(1023)
        opened = open_all(loaded, True, most=20, pause=0.1)
        for each in opened: each.execute("SELECT wal_set('checkpoint_interval_ms', 100)").fetchall()
        for each in opened: each.execute("INSERT INTO t(payload) VALUES (1)")
    """)
    assert host.call("len(threads_named('walmanager'))") > 0
    wait_for(lambda: host.call("len(threads_named('walmanager'))") == 0, seconds=30)
