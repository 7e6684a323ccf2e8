"""Several processes on one database: settings and strategies that all see at once, statistics that
add up, and what remains of a process after kill -9 (ext/README.md, decision 1)."""

import fcntl
import json
import pathlib
import random
import shutil
import subprocess
import sys
import time

import pytest

from conftest import EXTENSION, connect, metrics, one
from waiting import copied_in_background, poll
from workers import fast_path, integrity, worker  # noqa: F401 (fixtures among them)

SLABS = 256  # layout::kConnections

INSERTS = "for _ in range({}): db.execute('INSERT INTO t(payload) VALUES (zeroblob({}))')"


def commits(process):
    return process.call("metrics(db)['commits']")


def processes(process):
    return process.call("metrics(db)['processes']")


def value_of(process, name):
    return process.call(f"one(db, \"SELECT value FROM wal_config WHERE name = '{name}'\")")


def setting(process, name, value):
    return process.call(f"one(db, \"SELECT wal_set('{name}', {value})\")")


def all_run(workers, statements):
    """Runs the same code in all workers at the same time."""
    for each in workers:
        each.start("run", statements)
    for each in workers:
        each.finish()


# --- settings and strategies


def test_setting_is_seen_live_and_takes_effect_in_the_others_checkpoints(worker, fast_path):
    shell, application = worker(fast_path), worker(fast_path)
    application.run(INSERTS.format(200, 100))
    before = application.call("metrics(db)")
    assert before["checkpoints"] == 0  # 1000 frames are far
    shell.run("inline(db)")
    assert setting(shell, "checkpoint_frames", 20) == 20
    assert value_of(application, "checkpoint_frames") == 20
    changed_by = application.call("one(db, \"SELECT changed_by FROM wal_config WHERE name = 'checkpoint_frames'\")")
    assert f"(pid {shell.pid})" in changed_by
    # The application runs no query: the next look in its commits finds the change.
    application.run(INSERTS.format(200, 100))
    row = shell.call("metrics(db)")
    assert row["commits"] == 400
    assert row["checkpoints_inline"] >= 5
    assert row["pending_frames"] < 20 + 64
    assert shell.call("one(db, 'SELECT DISTINCT pid FROM wal_checkpoints')") == application.pid


def test_setting_is_seen_live_and_the_others_thread_follows(worker, fast_path):
    shell, application = worker(fast_path), worker(fast_path)
    application.run(INSERTS.format(200, 100))
    assert application.call("metrics(db)['checkpoints']") == 0  # 1000 frames are far
    assert setting(shell, "checkpoint_frames", 20) == 20
    application.run(INSERTS.format(1, 100))  # the next commit finds it
    copied_in_background(shell)
    application.run(INSERTS.format(2, 100))
    row = shell.call("metrics(db)")
    assert row["wal_resets"] == 1
    assert row["wal_frames"] < 20
    assert shell.call("one(db, 'SELECT DISTINCT pid FROM wal_checkpoints')") == application.pid


def test_two_processes_with_threads_share_the_work(worker, fast_path):
    """One copies at a time; the log of both is bounded, and no commit of either fails."""
    workers = [worker(fast_path) for _ in range(2)]
    limit = 1 << 20
    setting(workers[0], "checkpoint_frames", 50)
    setting(workers[0], "wal_limit_bytes", limit)
    all_run(workers, INSERTS.format(5000, 500))
    row = copied_in_background(workers[0], 2)
    assert row["commits"] == 10_000
    assert (row["checkpoints_failed"], row["unguarded_because"]) == (0, None)
    assert row["wal_resets"] >= 2
    # On a busy machine the process that copies gets its turn late; without it the log has all that was written.
    assert row["wal_bytes_max"] < max(4 * limit, row["frames_written"] * 4120 / 4)
    assert [each.end() for each in workers] == [0, 0]
    assert sorted(entry.name for entry in fast_path.parent.iterdir()) == ["test.db", "test.db-walmanager"]
    assert integrity(fast_path) == "ok"


def test_strategy_is_seen_live_and_takes_effect(worker, fast_path):
    shell, application = worker(fast_path), worker(fast_path)
    setting(application, "checkpoint_frames", 20)
    assert shell.call("one(db, \"SELECT wal_strategy('off')\")") == "off"
    assert application.call("one(db, 'SELECT wal_strategy()')") == "off"
    application.run(INSERTS.format(300, 100))
    row = shell.call("metrics(db)")
    assert (row["strategy"], row["checkpointer"], row["checkpoints"]) == ("off", "off", 0)
    assert row["pending_frames"] >= 300
    rules = json.dumps(
        [{"priority": 1, "rule": "often", "condition": "pending_frames >= 5", "mode": "PASSIVE", "runs": "inline", "stall_budget_ms": 0}]
    )
    shell.run(f"one(db, \"SELECT wal_strategy_define('mine', ?)\", {rules!r})")
    assert shell.call("one(db, \"SELECT wal_strategy('mine')\")") == "mine"
    application.run(INSERTS.format(300, 100))
    row = shell.call("metrics(db)")
    assert row["strategy"] == "mine"
    assert row["checkpoints_inline"] >= 4
    rules_fired = shell.call("one(db, \"SELECT DISTINCT rule FROM wal_checkpoints WHERE origin = 'inline'\")")
    assert rules_fired == "often"
    assert shell.call("one(db, \"SELECT fired FROM wal_strategies WHERE strategy = 'mine'\")") == row["checkpoints_inline"]


def test_a_third_process_finds_them_later(worker, fast_path):
    first, second = worker(fast_path), worker(fast_path)
    setting(first, "checkpoint_frames", 333)
    second.call("one(db, \"SELECT wal_strategy('sqlite_default')\")")
    first.run(INSERTS.format(10, 100))
    second.run(INSERTS.format(10, 100))
    assert first.end() == 0
    assert second.end() == 0
    third = worker(fast_path)
    assert value_of(third, "checkpoint_frames") == 333
    row = third.call("metrics(db)")
    assert (row["strategy"], row["commits"], row["processes"]) == ("sqlite_default", 20, 1)


def test_reset_forgets_the_statistics_of_all_processes(worker, fast_path):
    workers = [worker(fast_path) for _ in range(3)]
    all_run(workers, INSERTS.format(30, 100))
    assert commits(workers[0]) == 90
    workers[0].call("one(db, \"SELECT wal_metrics_reset('wal')\")")
    assert [commits(each) for each in workers] == [0, 0, 0]
    all_run(workers, INSERTS.format(10, 100))
    assert [commits(each) for each in workers] == [30, 30, 30]


@pytest.mark.parametrize("file", ["is there", "is made by the first process"])
def test_concurrent_changes_lose_none(worker, fast_path, file):
    """Each process sets a setting and defines a strategy of its own, all at once."""
    names = ["wal_limit_bytes", "checkpoint_frames", "checkpoint_interval_ms", "stall_budget_ms"]
    workers = [worker(fast_path) for _ in names]
    if file == "is there":
        workers[0].run(INSERTS.format(1, 1))
    for i, (each, name) in enumerate(zip(workers, names)):
        each.start(
            "run",
            f"""
            rule = '[{{"priority":1,"rule":"r","condition":"pending_frames > %d","mode":"PASSIVE","runs":"inline","stall_budget_ms":0}}]'
            for n in range(1, 61):
                one(db, "SELECT wal_set('{name}', ?)", 100000 * {int(name == 'wal_limit_bytes')} + n + 100)
                one(db, "SELECT wal_strategy_define('mine{i}_' || ?, ?)", n % 5, rule % n)
            """,
        )
    for each in workers:
        each.finish()
    seen = dict(workers[0].call("db.execute('SELECT name, value FROM wal_config').fetchall()"))
    for name in names:
        assert seen[name] == 100000 * (name == "wal_limit_bytes") + 160
    strategies = workers[1].call(
        "db.execute('SELECT strategy, condition FROM wal_strategies WHERE NOT builtin ORDER BY 1').fetchall()"
    )
    wanted = [[f"mine{i}_{n}", f"pending_frames > {60 if n == 0 else 55 + n}"] for i in range(4) for n in range(5)]
    assert strategies == wanted


def test_first_settings_of_several_processes_at_once_lose_none(worker, fast_path):
    """The file is made by one of them; what the others set meanwhile is acknowledged, so it lasts."""
    names = ["wal_limit_bytes", "checkpoint_frames", "checkpoint_interval_ms", "stall_budget_ms"]
    workers = [worker() for _ in names]
    for round in range(25):
        path = fast_path.parent / f"{round}.db"
        shutil.copy(fast_path, path)
        for each in workers:
            each.run(f"db = connect({str(path)!r}, timeout=20); one(db, 'SELECT count(*) FROM t')")
        together = time.monotonic() + 0.02
        for each, name in zip(workers, names):
            each.start(
                "run",
                f"""
                while time.monotonic() < {together}: pass
                one(db, "SELECT wal_set('{name}', 123456)" if "{name}" == "wal_limit_bytes" else "SELECT wal_set('{name}', 123)")
                """,
            )
        for each in workers:
            each.finish()
        all_run(workers, "db.close()")
        later = connect(path, EXTENSION)
        values = dict(later.execute("SELECT name, value FROM wal_config"))
        later.close()
        assert [values[name] for name in names] == [123456, 123, 123, 123], f"round {round}"


def test_setting_acknowledged_while_another_makes_the_file_lasts(worker, fast_path):
    """The same in slow motion: the test holds the lock for making the file, for longer than usual."""
    lock_of_the_maker = 1 << 40  # layout::kLockMake
    early, maker = worker(fast_path), worker(fast_path)
    with open(f"{fast_path}-walmanager", "wb") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, lock_of_the_maker)
        early.start("call", "one(db, \"SELECT wal_set('checkpoint_frames', 123)\")")
        early.answers_within(0.1)  # it may wait, or go on in private memory
    maker.run(INSERTS.format(1, 1))
    assert early.finish() == 123
    early.run(INSERTS.format(1, 1))
    assert early.end() == 0
    assert maker.end() == 0
    assert value_of(worker(fast_path), "checkpoint_frames") == 123


# --- statistics


def test_commits_of_all_processes_sum_exactly(worker, fast_path):
    workers = [worker(fast_path) for _ in range(4)]
    setting(workers[0], "checkpoint_frames", 50)
    all_run(workers, INSERTS.format(250, 100))
    rows = [each.call("metrics(db)") for each in workers]
    for row in rows:
        assert row["commits"] == 1000
        assert row["processes"] == 4
        assert row["frames_written"] >= 1000
        assert row["checkpoints_failed"] == 0
    assert len({row["frames_written"] for row in rows}) == 1
    assert workers[0].call("one(db, 'SELECT count(*) FROM t')") == 1000
    mean = rows[0]["commit_mean_ms"]
    assert 0 < rows[0]["commit_p50_ms"] <= rows[0]["commit_p99_ms"] <= rows[0]["commit_max_ms"]
    assert 0 < mean <= rows[0]["commit_max_ms"]


def test_frames_and_resets_are_counted_once_for_all(worker, fast_path):
    """The hook of each process sees the others' frames too: each frame is counted by one of them."""
    workers = [worker(fast_path) for _ in range(3)]
    workers[0].call("one(db, \"SELECT wal_strategy('off')\")")
    all_run(workers, INSERTS.format(100, 100))
    row = workers[0].call("metrics(db)")
    assert row["frames_written"] == row["wal_frames"] >= 300
    assert row["bytes_written"] == row["frames_written"] * (row["page_size"] + 24)
    assert row["wal_resets"] == 0
    for _ in range(3):
        json.loads(workers[0].call("one(db, \"SELECT wal_checkpoint('RESTART')\")"))
        workers[1].run(INSERTS.format(1, 1))
    assert workers[2].call("metrics(db)")["wal_resets"] == 3


def test_more_connections_come_and_go_than_there_are_slots(worker, fast_path):
    keeper = worker(fast_path)
    keeper.run(INSERTS.format(1, 1))
    workers = [worker() for _ in range(3)]
    churn = f"""
    for _ in range({SLABS // 2}):
        db = connect({str(fast_path)!r}, timeout=20)
        db.execute("PRAGMA synchronous=OFF")
        db.execute("INSERT INTO t(payload) VALUES (1)")
        db.execute("INSERT INTO t(payload) VALUES (2)")
        db.close()
    """
    all_run(workers, churn)
    assert commits(keeper) == 1 + 3 * 2 * (SLABS // 2)
    assert processes(keeper) == 1


def test_more_connections_at_once_than_there_are_slots(worker, fast_path):
    crowd, other = worker(), worker(fast_path)
    crowd.run(
        f"""
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        crowd = [connect({str(fast_path)!r}, timeout=20) for _ in range({SLABS + 20})]
        for each in crowd:
            each.execute("PRAGMA synchronous=OFF")
            each.execute("INSERT INTO t(payload) VALUES (1)")
        """
    )
    other.run(INSERTS.format(5, 1))
    assert commits(other) == SLABS + 25
    crowd.run("for each in crowd: each.execute('INSERT INTO t(payload) VALUES (1)')")
    assert commits(other) == 2 * SLABS + 45
    crowd.run("for each in crowd: each.close()")
    other.run(INSERTS.format(5, 1))
    assert commits(other) == 2 * SLABS + 50


def test_processes_counts_those_that_are_there(worker, fast_path):
    workers = [worker(fast_path) for _ in range(3)]
    counts = []
    for each in workers:
        each.run(INSERTS.format(1, 1))
        counts.append(processes(each))
    assert counts == [1, 2, 3]
    workers[1].run("second = connect(db.execute('PRAGMA database_list').fetchone()[2])")
    workers[1].run("second.execute('INSERT INTO t(payload) VALUES (1)')")
    assert processes(workers[0]) == 3  # processes, not connections
    assert workers[2].end() == 0
    assert processes(workers[0]) == 2
    workers[1].run("db.close()")
    assert processes(workers[0]) == 2
    workers[1].run("second.close()")
    assert processes(workers[0]) == 1


def test_processes_is_the_same_wherever_it_is_asked(worker, fast_path):
    writer, reader = worker(fast_path), worker(fast_path)
    writer.run(INSERTS.format(1, 1))
    assert reader.call("one(db, 'SELECT count(*) FROM t')") == 1
    assert processes(reader) == 2
    assert processes(writer) == 2


def test_wal_checkpoints_shows_the_processes_that_ran_them(worker, fast_path):
    workers = [worker(fast_path) for _ in range(3)]
    for each in workers:
        each.run(INSERTS.format(10, 100))
        assert json.loads(each.call("one(db, \"SELECT wal_checkpoint('PASSIVE')\")"))["result"] == "complete"
    log = workers[0].call("db.execute('SELECT id, pid, origin, result FROM wal_checkpoints').fetchall()")
    assert log == [[3 - i, each.pid, "manual", "complete"] for i, each in enumerate(reversed(workers))]
    assert workers[2].call("metrics(db)['checkpoints_manual']") == 3


# --- kill -9

ENDLESS = """
n = 0
while True:
    db.execute('INSERT INTO t(payload) VALUES (zeroblob(300))')
    n += 1
    print(n, flush=True)
"""


def test_killed_in_the_middle_of_commits(worker, fast_path):
    survivor, victim = worker(fast_path), worker(fast_path)
    setting(survivor, "checkpoint_frames", 30)
    survivor.run(INSERTS.format(1, 1))
    acknowledged = survivor_commits = 0
    for round in range(4):
        if round:
            victim = worker(fast_path)
        victim.start("run", ENDLESS)
        victim.wait_for_lines(20)
        survivor.run(INSERTS.format(30, 300))
        assert processes(survivor) == 2
        victim.wait_for_lines(60 + 7 * round)
        victim.kill()
        acknowledged += len(victim.lines)
        assert processes(survivor) == 1
        survivor.run(INSERTS.format(10, 300))
        survivor_commits += 40
    rows = survivor.call("one(db, 'SELECT count(*) FROM t')")
    # What was committed and not yet counted when the blow fell: one each time at most.
    assert 0 <= rows - commits(survivor) <= 4
    assert commits(survivor) >= 1 + survivor_commits + acknowledged - 4
    # The slots of killed processes are taken again before the file grows: its first part has six.
    slots = survivor.call(
        f"int.from_bytes(open('{fast_path}-walmanager', 'rb').read()[224:232], 'little')"
    )
    assert 2 <= slots <= 6
    assert json.loads(survivor.call("one(db, \"SELECT wal_checkpoint('TRUNCATE')\")"))["result"] == "complete"
    survivor.end()
    assert integrity(fast_path) == "ok"


def test_killed_while_it_changes_settings(worker, fast_path):
    """Settings stay whole, are one of the values written, and the lock on them is free."""
    survivor = worker(fast_path)
    values = (111, 222, 333)
    rng = random.Random(5)
    for _ in range(5):
        victim = worker(fast_path)
        victim.start(
            "run",
            f"""
            while True:
                for value in {values}:
                    one(db, "SELECT wal_set('checkpoint_frames', ?)", value)
                    one(db, "SELECT wal_set('stall_budget_ms', ?)", value)
                    print(value, flush=True)
            """,
        )
        victim.wait_for_lines(5 + rng.randrange(40))
        time.sleep(rng.random() * 0.002)  # not a wait: where in the loop the blow falls
        victim.kill()
        written = int(victim.lines[-1])
        following = values[(values.index(written) + 1) % 3]
        after_next = values[(values.index(written) + 2) % 3]
        # `written` was acknowledged; the pipe may lag one step behind what was done.
        assert value_of(survivor, "checkpoint_frames") in (written, following, after_next)
        assert value_of(survivor, "stall_budget_ms") in (written, following, after_next)
        before = time.monotonic()
        assert setting(survivor, "checkpoint_frames", 999) == 999
        assert time.monotonic() - before < 0.5  # it had to wait for no process
        assert value_of(survivor, "checkpoint_frames") == 999
        survivor.run(INSERTS.format(1, 1))


def test_killed_while_it_makes_the_file(worker, fast_path):
    """Whatever the moment, the next process has a file to share."""
    rng = random.Random(11)
    for _ in range(5):
        victim = worker(fast_path)
        victim.start("run", "print('go', flush=True); " + INSERTS.format(1, 1).replace("for _ in range(1): ", ""))
        victim.wait_for_lines(1)
        time.sleep(rng.random() * 0.012)
        victim.kill()
        survivor = worker(fast_path)
        survivor.run(INSERTS.format(1, 1))
        row = survivor.call("metrics(db)")
        assert row["statistics_file"] == f"{fast_path}-walmanager"
        assert row["commits"] in (1, 2)
        assert survivor.end() == 0
        (fast_path.parent / "test.db-walmanager").unlink()


def test_killed_holder_of_the_last_connection_leaves_a_usable_database(worker, fast_path):
    victim = worker(fast_path)
    victim.run(INSERTS.format(500, 1000))
    expected = commits(victim)
    victim.kill()
    db = connect(fast_path, EXTENSION)
    assert metrics(db)["commits"] == expected == 500
    assert one(db, "SELECT count(*) FROM t") == 500
    assert one(db, "PRAGMA integrity_check") == "ok"
    db.close()
    assert sorted(entry.name for entry in fast_path.parent.iterdir()) == ["test.db", "test.db-walmanager"]


# --- one process, several threads


def test_a_new_connection_keeps_its_slot_while_the_last_one_closes(worker, fast_path):
    """POSIX drops a process's locks on a file at any close: a Database that is being destroyed and
    one that is being made must not meet on one control file (ext/README.md, decision 1)."""
    churning, other = worker(), worker(fast_path)
    other.run(INSERTS.format(1, 1))
    churning.run(
        f"""
        path = {str(fast_path)!r}
        def connected():
            db = connect(path, timeout=20, check_same_thread=False)
            db.execute("PRAGMA synchronous=OFF")
            db.execute("INSERT INTO t(payload) VALUES (1)")
            return db
        def round(db):
            barrier = threading.Barrier(2)
            closer = threading.Thread(target=lambda: (barrier.wait(), db.close()))
            closer.start()
            fresh = connect(path, timeout=20, check_same_thread=False)
            fresh.execute("PRAGMA synchronous=OFF")
            barrier.wait()
            fresh.execute("INSERT INTO t(payload) VALUES (1)")
            closer.join()
            return fresh
        db = connected()
        """
    )
    seen = set()
    for _ in range(150):
        churning.run("db = round(db)")
        seen.add(processes(other))
    assert seen == {2}
    assert commits(other) == 152


STARTING = """
import sqlite3, sys
path, extension = sys.argv[1:3]
db = sqlite3.connect(path, isolation_level=None, timeout=20); db.enable_load_extension(True); db.load_extension(extension)
for _ in range(3):
    db.execute("INSERT INTO t(payload) VALUES (1)")
print("committed", flush=True)
sys.stdin.readline()
db.close()
"""


def test_bug_what_was_counted_before_there_was_a_file_was_lost(worker, fast_path):
    """Several processes start at once and end at once: all but one found the file being made."""
    maker = worker()
    maker.run(
        f"""
        import fcntl
        made = os.open({str(fast_path) + "-walmanager"!r}, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.lockf(made, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1 << 40)
        """
    )
    command = [sys.executable, "-c", STARTING, str(fast_path), EXTENSION]
    processes = [subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "committed\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    maker.kill()
    for process in processes:
        process.communicate(timeout=30)
        assert process.returncode == 0
    db = connect(fast_path)
    assert db.execute("SELECT statistics_file IS NOT NULL, commits, frames_written FROM wal_metrics").fetchone() == (1, 9, 9)
    assert db.execute("SELECT sum(calls) FROM query_performance WHERE query LIKE 'INSERT INTO t%'").fetchone() == (9,)
    db.close()


def test_bug_counts_of_connections_that_closed_before_there_was_a_file_were_lost(worker, fast_path):
    """And so were checkpoints."""
    control = pathlib.Path(f"{fast_path}-walmanager")
    control.mkdir()
    process = worker(fast_path)
    process.run(
        f"""
        others = [connect({str(fast_path)!r}) for _ in range(3)]
        for each in others:
            each.execute("INSERT INTO t(payload) VALUES (1)")
        for each in others:
            each.close()
        db.execute("INSERT INTO t(payload) VALUES (2)")
        db.execute("SELECT wal_checkpoint('PASSIVE')").fetchall()
        """
    )
    row = process.call("metrics(db)")
    assert (row["statistics_file"], row["commits"], row["checkpoints_manual"]) == (None, 4, 1)
    control.rmdir()

    def shared():
        process.run("db.execute('SELECT count(*) FROM t').fetchall()")
        return process.call("metrics(db)")["statistics_file"]

    assert poll(shared, str(control), seconds=30) == str(control)
    row = process.call("metrics(db)")
    assert (row["commits"], row["frames_written"], row["checkpoints_manual"]) == (4, 4, 1)
    assert process.call("one(db, \"SELECT sum(calls) FROM query_performance WHERE query LIKE 'INSERT%'\")") == 4
    assert process.call("one(db, \"SELECT count(*) FROM wal_checkpoints WHERE origin = 'manual'\")") == 1
