"""A loss of power at any moment, in every strategy: with synchronous=FULL nothing that was acknowledged is lost; with
NORMAL only what was acknowledged after the last sync of the log, as SQLite alone loses; and the database is sound.
By hand, 2000 losses for each strategy and synchronous: WALMANAGER_POWER_LOSSES=2000 pytest tests/process/test_power_loss.py"""

import os
import pathlib
import random

import pytest

import power_loss
import workers
from conftest import BUILD, connect, metrics, one
from workers import fast_path, worker  # noqa: F401 (fixtures)

LOSSES = int(os.environ.get("WALMANAGER_POWER_LOSSES", "60"))
TRANSACTIONS = 1200 if LOSSES <= 100 else 4000
if TRANSACTIONS > 1200:
    workers.PATIENCE = 600  # on a busy machine the record of a run takes longer than a worker may be silent elsewhere
STRATEGIES = ["conversation_workload", "high_concurrency", "low_latency", "sqlite_default"]

WRITE = """
import ctypes, random
import power_loss
acknowledge = ctypes.CDLL(None).power_loss_acknowledge
def write(transactions, seed, rest):
    rng, n = random.Random(seed), 0
    while n < transactions:
        n = power_loss.transact(db)
        acknowledge(n)
        if rng.random() < rest:
            time.sleep(rng.random() * 0.01)
"""
READ = """
def read(transactions):
    n = 0
    while n < transactions:
        db.execute("BEGIN")
        (n,) = db.execute("SELECT coalesce(max(id), 0) FROM work").fetchone()
        time.sleep(0.002)
        db.execute("COMMIT")
        time.sleep(0.008)
"""


@pytest.fixture
def recorded(worker, fast_path):  # noqa: F811
    """Runs three writers and two readers in processes, and returns the record of what they wrote."""

    def run(strategy, synchronous):
        folder = fast_path.parent
        path, trace = folder / "work.db", folder / "record"
        environment = {"LD_PRELOAD": str(BUILD / "tests" / "libpower_loss.so"), "POWER_LOSS_DATABASE": str(path),
                       "POWER_LOSS_TRACE": str(trace), "PYTHONPATH": str(pathlib.Path(__file__).parent)}
        load = strategy is not None
        first = worker(path, load=load, **environment)
        first.run(f"db.executescript('PRAGMA page_size=1024; PRAGMA journal_mode=WAL; {power_loss.SCHEMA}; "
                  "PRAGMA wal_checkpoint(TRUNCATE)')")
        first.run("import power_loss\n" + WRITE)
        if load:
            first.run(f"one(db, \"SELECT wal_strategy('{strategy}')\"); one(db, \"SELECT wal_set('checkpoint_frames', 60)\")")
        workers = [first] + [worker(path, load=load, **environment) for _ in range(4)]
        for each in workers:
            each.run(f"db.execute('PRAGMA synchronous={synchronous}')")
            if not load:
                each.run("db.execute('PRAGMA wal_autocheckpoint=60')")
        for each in workers[1:3]:
            each.run(WRITE)
        for i, each in enumerate(workers[:3]):
            each.start("call", f"write({TRANSACTIONS}, {i}, 0.3)")
        for each in workers[3:]:
            each.run(READ)
            each.start("call", f"read({TRANSACTIONS})")
        for each in workers:
            each.finish()
        if load:
            measured = first.metrics()
            assert measured["checkpoints"] > 5 and measured["wal_resets"] > 1
            print(f"\n{measured['checkpoints']} checkpoints, {measured['wal_resets']} times the log started over")
        for each in workers:
            assert each.end() == 0
        record = power_loss.read_record(trace)
        # The record is whole: with all of it, the disk has what the system has.
        everything = power_loss.Disk()
        for what, file, at, data in record:
            if file == power_loss.DATABASE and what in "WT":
                everything.change(what, at, data)
        assert everything.after_loss(lambda i, n: True, False, None) == path.read_bytes()
        return record

    return run


def lose(record, folder, synchronous, seed):
    """The faults that were found, of all losses, and the most transactions that were lost though acknowledged."""
    rng = random.Random(seed)
    path = folder / "lost.db"
    log = folder / "lost.db-wal"
    expected = power_loss.Expected(TRANSACTIONS + 10)
    found, most_lost = [], 0
    for i, (database, frames, acknowledged, in_log) in enumerate(power_loss.losses(record, LOSSES, rng)):
        for file in folder.glob("lost.db*"):
            file.unlink()
        path.write_bytes(database)
        log.write_bytes(frames)
        managed = i % 20 == 0
        db = connect(path, None) if not managed else connect(path)
        faults, transactions = power_loss.faults(db, expected)
        if managed and not faults:
            # Life goes on.
            assert metrics(db)["wal_frames"] is not None
            transactions_now = [power_loss.transact(db) for _ in range(3)]
            one(db, "SELECT wal_checkpoint('TRUNCATE')")
            faults, there = power_loss.faults(db, expected)
            assert there == transactions_now[-1] == transactions + 3
        db.close()
        if faults:
            found.append(f"loss {i}: {faults[0]}")
        most_lost = max(most_lost, acknowledged - transactions)
        floor = acknowledged if synchronous == "FULL" else in_log
        if transactions < floor:
            found.append(f"loss {i}: {transactions} transactions, of {floor} that must be there")
    return found, most_lost


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_is_lost_that_sqlite_keeps(recorded, fast_path, strategy, synchronous):  # noqa: F811
    record = recorded(strategy, synchronous)
    found, most_lost = lose(record, fast_path.parent, synchronous, strategy)
    print(f"\n{LOSSES} losses of power, {strategy}, {synchronous}: {len(record)} calls recorded; "
          f"at most {most_lost} acknowledged transactions lost; {len(found)} faults")
    assert found == []


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_sqlite_alone_keeps_the_same(recorded, fast_path, synchronous):  # noqa: F811
    """The measure is right: SQLite without walmanager passes it."""
    found, _ = lose(recorded(None, synchronous), fast_path.parent, synchronous, 1)
    assert found == []


def test_what_is_never_synced_is_found_to_be_lost(recorded, fast_path):  # noqa: F811
    """The measure finds faults: of SQLite alone with synchronous=OFF there must be some. (walmanager syncs what it copies.)"""
    found, _ = lose(recorded(None, "OFF"), fast_path.parent, "NORMAL", 1)
    assert found != []
