"""wal_history and wal_periods over days of samples whose numbers are known, and the health checks that read them."""

import random
import time

import pytest

from conftest import connect, one
from injected_history import (DAY, HOUR, MINUTE, SECOND, asked, bucket_middle, closed, database, inject,
                              percentile_ms, times, total, value, waited_ms)

COUNTERS = ["commits", "statements", "frames_written", "checkpoints", "checkpoints_in_vain", "checkpoint_frames",
            "slow_statements", "transactions_upgraded", "upgrades_failed", "lock_waits", "busy_errors",
            "snapshot_conflicts", "syncs"]
DURATIONS = ["checkpoint_ms", "checkpoint_stall_ms"]
EXTREMES = ["wal_bytes", "pending_frames", "active_readers"]
# {period and part: how long it is, how long ago it ended}
PARTS = {("minute", "current"): (MINUTE, 0), ("minute", "previous"): (MINUTE, MINUTE),
         ("hour", "current"): (HOUR, 0), ("hour", "previous"): (HOUR, HOUR), ("hour", "yesterday"): (HOUR, DAY),
         ("day", "current"): (DAY, 0), ("day", "previous"): (DAY, DAY),
         ("week", "current"): (7 * DAY, 0), ("week", "previous"): (7 * DAY, 7 * DAY)}


@pytest.fixture
def path(tmp_path):
    return database(tmp_path / "test.db")


def random_sample(chance, at, step_ms):
    """Something of everything."""
    return {"at": at, "covers": step_ms, "commits": {round(chance.lognormvariate(1, 1), 3): 4, 0.8: 3},
            "statements": {round(chance.lognormvariate(0, 1), 3): 8, 0.2: 30},
            "frames_written": chance.randrange(90), "checkpoints": chance.randrange(3),
            "checkpoints_in_vain": chance.randrange(2), "checkpoint_frames": chance.randrange(900),
            "slow_statements": chance.randrange(2), "transactions_upgraded": chance.randrange(2),
            "upgrades_failed": chance.randrange(2), "busy_errors": chance.randrange(3),
            "snapshot_conflicts": chance.randrange(3),
            "syncs": {round(chance.lognormvariate(1, 2), 3): 5, 20: chance.randrange(2)},
            "lock_waits": {round(min(chance.lognormvariate(5, 3), 60_000), 3): 4, 30_000: chance.randrange(2)},
            "checkpoint_ms": chance.randrange(90), "checkpoint_stall_ms": chance.randrange(9),
            "cache_hits": chance.randrange(900, 1000), "cache_misses": chance.randrange(1, 90),
            "wal_bytes": chance.randrange(10**7), "pending_frames": chance.randrange(999),
            "active_readers": chance.randrange(5), "connections": chance.randrange(9),
            "database_bytes": chance.randrange(10**9), "health_score": chance.randrange(101)}


def check(row, samples):
    """Checks that a row of wal_history or wal_periods agrees with these samples."""
    assert row["samples"] == len(samples)
    assert row["covers_ms"] == total(samples, "covers")
    for name in COUNTERS:
        assert row[name] == total(samples, name), name
    for name in DURATIONS:
        assert row[name] == pytest.approx(total(samples, name)), name
    for name in EXTREMES:
        assert row[name] == pytest.approx(value(samples, name)), name
        assert row[f"{name}_max"] == max(sample[name] for sample in samples), name
    for name in ("connections", "database_bytes"):
        assert row[name] == pytest.approx(value(samples, name)), name
    assert row["health_score"] == min(sample["health_score"] for sample in samples)
    assert row["query_p95_ms"] == pytest.approx(percentile_ms(samples, "statements", 0.95))
    assert row["commit_p99_ms"] == pytest.approx(percentile_ms(samples, "commits", 0.99))
    assert row["sync_ms"] == pytest.approx(waited_ms(samples, "syncs"))
    assert row["sync_p99_ms"] == pytest.approx(percentile_ms(samples, "syncs", 0.99))
    assert row["lock_wait_ms"] == pytest.approx(waited_ms(samples))
    assert row["lock_wait_p99_ms"] == pytest.approx(percentile_ms(samples, "lock_waits", 0.99))
    assert row["cache_pages"] == total(samples, "cache_hits") + total(samples, "cache_misses")
    assert row["cache_hit_ratio"] == pytest.approx(value(samples, "cache_hit_ratio"))


def checks(path):
    """{check_name: row} of system_health, from a connection of its own."""
    db = connect(path)
    rows = {row["check_name"]: row for row in asked(db, "system_health")}
    db.close()
    return rows


# --- wal_history

def utc(db, at_ms):
    return one(db, "SELECT strftime('%Y-%m-%d %H:%M:%f', ? / 1000.0, 'unixepoch')", at_ms)


def test_each_resolution_says_the_same_of_the_same_samples(path):
    """With as many samples as the finest ring holds, every minute and hour that is over is the sum of its samples."""
    chance = random.Random(1)
    moments = list(times(899 * 10 * SECOND, 10 * SECOND))
    assert len(moments) == 900
    samples = [random_sample(chance, at, 10 * SECOND) for at in moments]
    inject(path, [{"interval_ms": 10 * SECOND, **sample} for sample in samples])
    # It is not known how much time the first sample covers, so it counts nothing.
    samples[0] = {key: number for key, number in samples[0].items()
                  if key in ("at", "connections", "database_bytes", "health_score", *EXTREMES)}
    db = connect(path)
    for resolution, groups in ((10 * SECOND, [[sample] for sample in samples]), (MINUTE, closed(samples, MINUTE)),
                               (HOUR, closed(samples, HOUR))):
        rows = asked(db, "wal_history", f"resolution_ms = {resolution}")
        assert len(rows) == len(groups)
        for row, group in zip(rows, groups):
            assert row["at"] == utc(db, group[-1]["at"])
            if group == [samples[0]]:
                assert (row["commits"], row["covers_ms"], row["query_p95_ms"]) == (0, 0, None)
                assert row["cache_hit_ratio"] is None
            else:
                check(row, group)
    db.close()


def test_old_samples_live_on_in_coarser_rings(path):
    moments = list(times(3 * DAY, MINUTE))
    inject(path, [{"at": at, "commits": 5, "wal_bytes": 10**6 if at == moments[70] else 1000} for at in moments])
    db = connect(path)
    rows = db.execute("SELECT resolution_ms, count(*), sum(commits), max(wal_bytes_max) FROM wal_history "
                      "GROUP BY 1 ORDER BY 1").fetchall()
    hours = len(closed([{"at": at} for at in moments], HOUR))
    in_hours = sum(map(len, closed([{"at": at} for at in moments], HOUR)))
    assert rows == [(1000, 900, 4500, 1000), (MINUTE, 1440, 7200, 1000), (HOUR, hours, 5 * (in_hours - 1), 10**6)]
    db.close()


def test_percentiles_are_of_merged_histograms_and_not_means_of_percentiles(path):
    """One minute has all the slow statements: 7 %, then 4 % of the hour's."""
    moments = list(times(50 * MINUTE, MINUTE))
    for slow, expected in ((140, 200), (80, 1)):
        inject(path, [{"at": at, "statements": {200: slow} if at == moments[25] else {1: 38}} for at in moments])
        db = connect(path)
        found = one(db, "SELECT query_p95_ms FROM wal_periods WHERE period = 'hour' AND part = 'current'")
        db.close()
        assert found == pytest.approx(bucket_middle(expected * 1e6) / 1e6)
        assert found == pytest.approx(expected, rel=0.112)


# --- wal_periods

@pytest.fixture(scope="module")
def fortnight(tmp_path_factory):
    """15 days, a sample a minute: (samples, rows of wal_periods, now)."""
    path = database(tmp_path_factory.mktemp("fortnight") / "test.db")
    chance = random.Random(2)
    samples = [random_sample(chance, at, MINUTE) for at in times(15 * DAY, MINUTE)]
    inject(path, samples)
    now = round(time.time() * 1000)
    db = connect(path)
    rows = {(row["period"], row["part"]): row for row in asked(db, "wal_periods")}
    db.close()
    return samples, rows, now


def test_every_period_has_a_row(fortnight):
    _, rows, now = fortnight
    assert set(rows) == set(PARTS)
    db = connect(":memory:")
    for key, (length, ago) in PARTS.items():
        ends = one(db, "SELECT (julianday(?) - 2440587.5) * 86400000", rows[key]["ends_at"])
        begins = one(db, "SELECT (julianday(?) - 2440587.5) * 86400000", rows[key]["begins_at"])
        assert ends - begins == pytest.approx(length, abs=2)
        assert ends == pytest.approx(now - ago, abs=3000)


@pytest.mark.parametrize("key", PARTS, ids=" ".join)
def test_a_period_is_the_sum_of_its_samples(fortnight, key):
    samples, rows, now = fortnight
    length, ago = PARTS[key]
    since, to = now - ago - length, now - ago
    # Samples older than a day are known as hours only, which belong to the period in which they ended.
    oldest_minute = closed(samples, MINUTE)[-1440][-1]["at"]
    end = {sample["at"]: sample["at"] if since >= oldest_minute or sample["at"] >= oldest_minute else group[-1]["at"]
           for group in closed(samples, HOUR) for sample in group}
    check(rows[key], [sample for sample in samples if since < end.get(sample["at"], sample["at"]) <= to])


def test_periods_without_samples_have_no_row(path):
    inject(path, [{"at": at, "commits": 1} for at in times(30 * MINUTE, 10 * SECOND)])
    db = connect(path)
    assert {(row["period"], row["part"]) for row in asked(db, "wal_periods")} == \
        {("minute", "current"), ("minute", "previous"), ("hour", "current"), ("day", "current"), ("week", "current")}
    db.close()


# --- checks of system_health that rest on it

def statements(path, yesterday, today):
    """An hour a day ago and this hour, a sample a minute: each (ms, statements a minute)."""
    moments = times(27 * HOUR, MINUTE)
    inject(path, [{"at": at, "statements": {ms: count}} for at in moments
                  for ms, count in [today if at > moments[-1] - 3 * HOUR else yesterday]])


@pytest.mark.parametrize("yesterday, today, ratio, status", [
    ((5, 40), (50, 40), 10, "critical"),
    ((5, 40), (14, 40), 2.8, "warning"),
    ((50, 40), (50, 40), 1, "ok"),
    ((50, 40), (5, 40), 0.1, "ok"),
    ((0.01, 40), (0.5, 40), 1, "ok"),  # below a millisecond it does not matter
    ((5, 40), (50, 16), None, "unknown"),  # 960 an hour
    ((5, 16), (50, 40), None, "unknown"),
])
def test_statements_slower_than_yesterday(path, yesterday, today, ratio, status):
    statements(path, yesterday, today)
    row = checks(path)["query_degradation"]
    assert row["status"] == status
    if ratio is None:
        assert row["value"] is None and "fewer than 1000 statements" in row["detail"]
        return
    middles = [bucket_middle(ms * 1e6) / 1e6 for ms in (today[0], yesterday[0])]
    assert row["value"] == pytest.approx(1 if today[0] < 1 else middles[0] / middles[1])
    assert row["value"] == pytest.approx(ratio, rel=0.25)
    assert row["detail"] == (f"95 % of statements took less than {middles[0]:.2f} ms in the last hour, "
                             f"{middles[1]:.2f} ms in the same hour of yesterday")


@pytest.mark.parametrize("hits, misses, status", [
    (995, 5, "ok"), (700, 300, "ok"), (400, 600, "warning"), (4, 6, "ok"),  # 3600 pages are too few to judge
])
def test_pages_that_were_not_in_a_cache(path, hits, misses, status):
    inject(path, [{"at": at, "cache_hits": hits, "cache_misses": misses} for at in times(HOUR, 10 * SECOND)])
    row = checks(path)["cache_hit_ratio"]
    assert row["status"] == status
    if hits + misses == 1000:
        assert row["value"] == pytest.approx(hits / 1000)
    else:
        assert row["value"] is None and "fewer than 100000" in row["detail"]


def test_a_cache_that_commits_of_others_empty_is_not_judged(path):
    inject(path, [{"at": at, "cache_hits": 300, "cache_misses": 700, "commits": 10, "statements": 100,
                   "connections": 2}
                  for at in times(HOUR, 10 * SECOND)])
    row = checks(path)["cache_hit_ratio"]
    assert (row["status"], row["value"]) == ("ok", None) and "commits of other connections" in row["detail"]


@pytest.mark.parametrize("stall, status", [(0, "ok"), (500, "ok"), (3000, "warning"), (6000, "critical")])
def test_commits_that_waited_for_checkpoints(path, stall, status):
    """In ten seconds."""
    inject(path, [{"at": at, "commits": 10, "checkpoint_stall_ms": stall} for at in times(5 * MINUTE, 10 * SECOND)])
    row = checks(path)["commit_stalls"]
    assert (row["status"], row["value"]) == (status, pytest.approx(stall / 10_000))


@pytest.mark.parametrize("key, check_name", [("statements", "query_latency"), ("commits", "commit_latency")])
@pytest.mark.parametrize("ms, status", [(20, "ok"), (150, "warning"), (2500, "critical"), (None, "ok")])
def test_a_slow_minute(path, key, check_name, ms, status):
    """Only the last minute counts; one in which nothing ran is well."""
    moments = times(5 * MINUTE, 10 * SECOND)
    inject(path, [{"at": at, key: {9000: 5} if at < moments[-1] - MINUTE else {ms: 5} if ms else {}}
                  for at in moments])
    row = checks(path)[check_name]
    assert row["status"] == status
    assert row["value"] == (pytest.approx(ms, rel=0.112) if ms else None)


@pytest.mark.parametrize("ms, status", [(2, "ok"), (150, "warning"), (2500, "critical"), (None, "ok")])
def test_slow_syncs_of_an_hour(path, ms, status):
    inject(path, [{"at": at, "syncs": {9000: 5} if at < time.time() * 1000 - HOUR else {ms: 5} if ms else {}}
                  for at in times(2 * HOUR, MINUTE)])
    row = checks(path)["sync_latency"]
    assert (row["status"], row["value"]) == (status, pytest.approx(ms, rel=0.112) if ms else None)
    assert row["detail"].startswith("of 300 syncs in the last hour 99 % took less than" if ms else "no sync in the last hour")


def test_upgrades_of_an_hour(path):
    inject(path, [{"at": at, "transactions_upgraded": 2} for at in times(3 * HOUR, MINUTE)])
    assert checks(path)["transactions_upgraded"]["value"] == 2 * 60


def test_bug_upgrades_that_failed_were_no_reason_to_warn(path):
    """59 of 90 transactions of an hour."""
    inject(path, [{"at": at, "transactions_upgraded": 31, "upgrades_failed": 59} for at in times(MINUTE, MINUTE)])
    row = checks(path)["transactions_upgraded"]
    assert (row["status"], row["value"]) == ("warning", 31 + 10 * 59)
    assert row["detail"] == ("31 transactions began with a read and then wrote, in the last hour; 59 more failed to "
                             'write ("database is locked"): each counts as ten')
