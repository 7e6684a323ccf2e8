"""fork() with a managed connection open. SQLite forbids using that connection in the child; the child
may open its own, and the parent must not notice (ext/README.md, decision 8)."""

import pytest

from waiting import copied_in_background
from workers import fast_path, integrity, worker  # noqa: F401 (fixtures among them)

# `in_child(function)` runs it in a fork and returns what it returned; `hold(function)` the same, and
# the child stays until `release()`.
FORK = """
def _child(function, answers, orders):
    try:
        answer = {"value": function()}
    except Exception as error:
        answer = {"error": repr(error)}
    os.write(answers, json.dumps(answer).encode() + b"\\n")
    if orders is not None:
        os.read(orders, 1)

def hold(function):
    global release
    answers, answers_end = os.pipe()
    orders_end, orders = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(orders)
        _child(function, answers_end, orders_end)
        os._exit(0)
    os.close(answers_end)
    os.close(orders_end)
    def release():
        os.close(orders)
        status = os.waitpid(child, 0)[1]
        os.close(answers)
        return status
    return json.loads(os.read(answers, 65536))

def in_child(function):
    answer = hold(function)
    assert release() == 0
    return answer
"""


@pytest.fixture
def parent(worker, fast_path):
    process = worker(fast_path)
    process.run(FORK)
    process.run(
        f"""
        path = {str(fast_path)!r}
        def insert(connection, n):
            for _ in range(n):
                connection.execute("INSERT INTO t(payload) VALUES (zeroblob(100))")
        def fresh():
            connection = connect(path, timeout=20)
            connection.execute("PRAGMA synchronous=NORMAL")
            return connection
        insert(db, 10)
        """
    )
    return process


def test_child_with_a_fresh_connection_is_a_process_of_its_own(parent):
    parent.run(
        """
        def child():
            own = fresh()
            insert(own, 5)
            row = metrics(own)
            return [row["commits"], row["processes"], row["statistics_file"], row["hook"]]
        answer = hold(child)
        """
    )
    file = parent.call("metrics(db)['statistics_file']")
    assert parent.call("answer") == {"value": [15, 2, file, "active"]}
    assert parent.call("metrics(db)['processes']") == 2
    parent.run("insert(db, 3)")
    assert parent.call("metrics(db)['commits']") == 18
    assert parent.call("release()") == 0
    assert parent.call("metrics(db)['processes']") == 1
    assert parent.call("metrics(db)['commits']") == 18


def test_childs_checkpoints_and_settings_work_and_bear_its_pid(parent):
    parent.run(
        """
        def child():
            own = fresh()
            inline(own)
            one(own, "SELECT wal_set('checkpoint_frames', 20)")
            insert(own, 100)
            report = json.loads(one(own, "SELECT wal_checkpoint('PASSIVE')"))
            changed_by = one(own, "SELECT changed_by FROM wal_config WHERE name = 'checkpoint_frames'")
            return [os.getpid(), report["result"], metrics(own)["checkpoints_inline"], changed_by]
        answer = in_child(child)
        """
    )
    pid, result, inline, changed_by = parent.call("answer")["value"]
    assert result in ("complete", "skipped")
    assert inline >= 3
    assert f"(pid {pid})" in changed_by
    assert parent.call("one(db, 'SELECT DISTINCT pid FROM wal_checkpoints')") == pid
    parent.run("insert(db, 100)")
    pids = parent.call("db.execute('SELECT DISTINCT pid FROM wal_checkpoints ORDER BY pid').fetchall()")
    assert pids == sorted([[pid], [parent.pid]])


def test_childs_end_leaves_the_parents_slot_and_locks(parent, worker, fast_path):
    """The child's exit and its closing of what it opened drop no lock of the parent's."""
    other = worker(fast_path)
    other.run("db.execute('INSERT INTO t(payload) VALUES (1)')")
    parent.run("db.execute('BEGIN IMMEDIATE'); insert(db, 1)")
    parent.run(
        """
        def child():
            own = fresh()
            count = one(own, "SELECT count(*) FROM t")
            metrics(own)
            own.close()
            return count
        answer = in_child(child)
        """
    )
    assert parent.call("answer") == {"value": 11}
    outsider = worker(fast_path, load=False, timeout=0)
    with pytest.raises(Exception, match="locked"):
        outsider.run("db.execute('BEGIN IMMEDIATE')")
    parent.run("db.execute('COMMIT')")
    assert other.call("metrics(db)['processes']") == 2
    assert other.call("metrics(db)['commits']") == 12
    # The slot is still the parent's alone: a newcomer gets another.
    outsider.run(f"managed = connect({str(fast_path)!r}, timeout=20)")
    outsider.run("managed.execute('INSERT INTO t(payload) VALUES (1)')")
    parent.run("insert(db, 20)")
    assert other.call("metrics(db)['processes']") == 3
    assert other.call("metrics(db)['commits']") == 33


@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)"])
def test_childs_end_does_not_remove_the_log(parent, fast_path, end):
    """With sys.exit Python's finalizers close the inherited connection too."""
    parent.run(
        f"""
        child = os.fork()
        if child == 0:
            os.close(1)
            own = fresh()
            insert(own, 5)
            own.close()
            {end}
        status = os.waitpid(child, 0)[1]
        """
    )
    assert parent.call("status") == 0
    assert (fast_path.parent / "test.db-wal").exists()
    parent.run("insert(db, 10)")
    assert parent.call("one(db, 'SELECT count(*) FROM t')") == 25
    assert parent.call("metrics(db)['commits']") == 25
    assert parent.call("one(db, 'PRAGMA integrity_check')") == "ok"
    assert parent.end() == 0
    assert sorted(entry.name for entry in fast_path.parent.iterdir()) == ["test.db", "test.db-walmanager"]
    assert integrity(fast_path) == "ok"


def test_child_that_does_nothing_with_the_database(parent):
    parent.run(
        """
        answers = [in_child(lambda: 1) for _ in range(5)]
        insert(db, 5)
        """
    )
    assert parent.call("answers") == [{"value": 1}] * 5
    assert parent.call("metrics(db)['commits']") == 15
    assert parent.call("metrics(db)['processes']") == 1


def test_fork_after_walmanager_has_checkpointed(parent):
    """walmanager's own connections are open in the parent when it forks."""
    parent.run("inline(db)")
    parent.run("one(db, \"SELECT wal_set('checkpoint_frames', 10)\")")
    parent.run("insert(db, 100)")
    before = parent.call("metrics(db)")
    assert before["checkpoints_inline"] >= 5
    parent.run(
        """
        def child():
            own = fresh()
            insert(own, 100)
            row = metrics(own)
            return [row["checkpoints"], row["checkpoints_failed"], row["unguarded_because"], row["pending_frames"]]
        answer = in_child(child)
        insert(db, 100)
        """
    )
    checkpoints, failed, unguarded, pending = parent.call("answer")["value"]
    assert checkpoints >= before["checkpoints"] + 5
    assert (failed, unguarded) == (0, None)
    assert pending < 80
    after = parent.call("metrics(db)")
    assert after["commits"] == 310
    assert after["checkpoints"] >= checkpoints + 5
    assert (after["checkpoints_failed"], after["unguarded_because"]) == (0, None)
    assert parent.call("one(db, 'PRAGMA integrity_check')") == "ok"


def test_fork_while_the_background_thread_runs(parent, fast_path):
    """Whatever the thread is doing at the fork, the child has none of it, and gets its own thread."""
    parent.run("one(db, \"SELECT wal_set('checkpoint_frames', 20)\")")
    parent.run("insert(db, 20)")
    copied_in_background(parent)
    parent.run(
        """
        def child():
            own = fresh()
            before = metrics(own)["checkpoints_background"]
            insert(own, 100)
            deadline = time.monotonic() + 30
            log = "SELECT count(*) FROM wal_checkpoints WHERE origin = 'background' AND pid = ?"
            while one(own, log, os.getpid()) < 1 and time.monotonic() < deadline:
                time.sleep(0.002)
                insert(own, 1)
            row = metrics(own)
            seen = [one(own, log, os.getpid()) >= 1, row["checkpoints_failed"], row["unguarded_because"]]
            own.close()
            return seen
        answers = []
        for round in range(20):
            insert(db, 20 + 7 * round)  # the thread has just been called
            answers.append(in_child(child))
        """
    )
    assert parent.call("answers") == [{"value": [True, 0, None]}] * 20
    before = parent.call("one(db, \"SELECT count(*) FROM wal_checkpoints WHERE origin = 'background' AND pid = "
                         f"{parent.pid}\")")
    assert before >= 1
    parent.run("insert(db, 100)")
    parent.run(
        f"""
        deadline = time.monotonic() + 30
        mine = "SELECT max(id) FROM wal_checkpoints WHERE origin = 'background' AND pid = {parent.pid}"
        last = one(db, mine)
        while one(db, mine) == last and time.monotonic() < deadline:
            time.sleep(0.002)
            insert(db, 1)
        goes_on = one(db, mine) != last
        """
    )
    assert parent.call("goes_on")
    row = parent.call("metrics(db)")
    assert (row["processes"], row["checkpoints_failed"], row["unguarded_because"]) == (1, 0, None)
    assert row["commits"] == parent.call("one(db, 'SELECT count(*) FROM t')")
    assert parent.end() == 0
    assert sorted(entry.name for entry in fast_path.parent.iterdir()) == ["test.db", "test.db-walmanager"]
    assert integrity(fast_path) == "ok"


def test_fork_does_not_wait_for_a_checkpoint_that_waits(parent):
    """One thread waits for a reader with FULL, for as long as its busy timeout; another one forks meanwhile."""
    parent.run(
        """
        insert(db, 1100)
        deadline = time.monotonic() + 30
        while metrics(db)["checkpoints_background"] < 1 and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.05)
        reader = connect(path, None, check_same_thread=False)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchall()
        insert(db, 50)
        def checkpoint():
            own = connect(path, timeout=5)
            own.execute("SELECT wal_checkpoint('FULL')").fetchall()
            own.close()
        thread = threading.Thread(target=checkpoint)
        thread.start()
        time.sleep(1.5)  # the background thread has had its tick by then
        waits = thread.is_alive()
        begun = time.monotonic()
        answer = in_child(lambda: 1)
        took = time.monotonic() - begun
        reader.close()
        thread.join()
        """
    )
    assert parent.call("[waits, answer]") == [True, {"value": 1}]
    assert parent.call("took") < 1


def test_process_wide_load_manages_the_childs_connections(worker, fast_path):
    process = worker()
    process.run(FORK)
    process.run(
        f"""
        first = connect(':memory:', PROCESS_EXTENSION)
        def child():
            own = sqlite3.connect({str(fast_path)!r}, isolation_level=None)
            own.execute("INSERT INTO t(payload) VALUES (1)")
            row = metrics(own)
            return [row["commits"], row["hook"]]
        answer = in_child(child)
        """
    )
    assert process.call("answer") == {"value": [1, "active"]}


def test_many_children_at_once(parent, fast_path):
    parent.run(
        """
        one(db, "SELECT wal_set('checkpoint_frames', 20)")
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                os.close(1)
                own = fresh()
                insert(own, 100)
                own.close()
                os._exit(0)
            children.append(child)
        insert(db, 100)
        statuses = [os.waitpid(child, 0)[1] for child in children]
        """
    )
    assert parent.call("statuses") == [0] * 4
    row = parent.call("metrics(db)")
    assert (row["commits"], row["processes"], row["checkpoints_failed"]) == (510, 1, 0)
    assert parent.call("one(db, 'SELECT count(*) FROM t')") == 510
    assert parent.end() == 0
    assert integrity(fast_path) == "ok"


# What the parent has begun as it forks, and how it goes on; whether another connection can write meanwhile.
STATES = {
    "a write transaction": ("db.execute('BEGIN IMMEDIATE'); insert(db, 3)", "db.execute('COMMIT')", False),
    "a savepoint": ("db.execute('SAVEPOINT s'); insert(db, 3)", "db.execute('RELEASE s')", False),
    "a read transaction": ("db.execute('BEGIN'); one(db, 'SELECT count(*) FROM t')", "db.execute('COMMIT'); insert(db, 3)", True),
    "an unfinished statement": ("rows = db.execute('SELECT * FROM t'); rows.fetchone()", "assert len(rows.fetchall()) == 9; insert(db, 3)",
                                True),
    "a table of walmanager": ("rows = db.execute('SELECT * FROM wal_config'); rows.fetchone()", "rows.fetchall(); insert(db, 3)", True),
    "read_pool()": ("rows = db.execute('SELECT * FROM read_pool(?)', (json.dumps(['SELECT id FROM t', 'SELECT payload FROM t']),)); "
                    "rows.fetchone()", "assert len(rows.fetchall()) == 19; insert(db, 3)", True),
    "a copy": ("one(db, \"SELECT wal_backup(?)\", path + '.copy')", "insert(db, 3)", True),
}


@pytest.mark.parametrize("state", STATES)
def test_fork_in_the_middle_of(parent, fast_path, state):
    """The child's own connection sees what is committed, and nothing of the parent's is ended by the child's end."""
    begin, go_on, writes = STATES[state]
    parent.run(begin)
    parent.run(
        f"""
        def use():
            own = fresh()
            seen = [one(own, "SELECT count(*) FROM t")]
            if {writes}:
                insert(own, 5)
                seen.append(one(own, "SELECT count(*) FROM t"))
            own.execute("SELECT * FROM wal_metrics").fetchall()
            own.close()
            return seen
        answer = in_child(use)
        """
    )
    assert parent.call("answer") == {"value": [10, 15] if writes else [10]}
    parent.run(go_on)
    assert parent.call("one(db, 'SELECT count(*) FROM t')") == (18 if writes else 13)
    assert parent.metrics()["processes"] == 1
    assert parent.end() == 0
    assert integrity(fast_path) == "ok"


CHILD = """
db.execute("SELECT 1").fetchall()
child = os.fork()
if child == 0:
    try:
        def opened(): return sum(1 for fd in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + fd))
        counts = []
        for _ in range(30):
            own = connect(path, timeout=20)
            own.execute("INSERT INTO t(payload) VALUES (1)")
            own.execute("SELECT count(*) FROM t").fetchall()
            own.close()
            counts.append(opened())
        # A background connection may be open, and a control file is kept for a moment.
        os._exit(0 if counts[-1] <= counts[0] + 3 else 1)
    except BaseException:
        os._exit(2)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def test_bug_a_child_leaked_a_descriptor_of_the_control_file_at_each_open(fast_path, worker):
    """The parent keeps the database open, and the child has its descriptors, but none of its locks."""
    parent = worker(fast_path)
    parent.run(f"path = {str(fast_path)!r}; db.execute('INSERT INTO t(payload) VALUES (1)')")
    parent.run(CHILD)
    assert parent.call("status") == 0
