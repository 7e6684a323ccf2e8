"""wal_trends: what it must say about a history with known numbers, and what it must not say."""

import random
import re
import time
from contextlib import closing

import pytest

from conftest import connect, one
from helpers import columns
from injected_history import (DAY, HOUR, MINUTE, SECOND, WEEK, asked, closed, database, inject, line, times, trends,
                              value)

METRICS = {"wal_bytes": "bytes", "pending_frames": "frames", "commits": "per s", "statements": "per s",
           "query_p95_ms": "ms", "commit_p99_ms": "ms", "checkpoint_ms": "ms per s",
           "checkpoint_stall_ms": "ms per s", "active_readers": "readers", "connections": "connections",
           "cache_hit_ratio": "ratio", "health_score": "score", "database_bytes": "bytes",
           "lock_waits": "per s", "lock_wait_ms": "ms per s", "lock_wait_p99_ms": "ms", "busy_errors": "per s",
           "snapshot_conflicts": "per s", "syncs": "per s", "sync_ms": "ms per s", "sync_p99_ms": "ms"}
LESS_IS_GOOD = ["wal_bytes", "pending_frames", "query_p95_ms", "commit_p99_ms", "checkpoint_ms", "checkpoint_stall_ms",
                "lock_waits", "lock_wait_ms", "lock_wait_p99_ms", "busy_errors", "snapshot_conflicts", "sync_ms",
                "sync_p99_ms"]
MORE_IS_GOOD = ["cache_hit_ratio", "health_score"]
DEPENDS = ["commits", "statements", "syncs", "active_readers", "connections", "database_bytes"]
LENGTHS = {"hour": HOUR, "day": DAY, "week": WEEK}


@pytest.fixture
def path(tmp_path):
    return database(tmp_path / "test.db")


def flat(**changed):
    """A sample of ten seconds, without its time."""
    return {"wal_bytes": 1_234_567, "pending_frames": 77, "active_readers": 3, "connections": 7,
            "database_bytes": 7_654_321, "health_score": 83, "commits": {1.7: 7}, "statements": {0.31: 70},
            "cache_hits": 910, "cache_misses": 90, "checkpoint_ms": 13.7, "checkpoint_stall_ms": 1.3,
            "syncs": {2.5: 9}, "lock_waits": {250: 3}, "busy_errors": 2, "snapshot_conflicts": 1, **changed}


def forecasts(rows):
    return {key: row["forecast"] for key, row in rows.items() if row["forecast"] is not None}


def hours_until(rows, metric, period, words):
    """The number of hours in a forecast in those words."""
    text = rows[metric, period]["forecast"]
    found = re.fullmatch(re.escape(words) + r" in (\d+\.\d) (h|days)", text or "")
    assert found, text
    assert float(found[1]) <= 48 if found[2] == "h" else float(found[1]) >= 2
    return float(found[1]) * (24 if found[2] == "days" else 1)


# --- numbers

@pytest.fixture(scope="module")
def fortnight(tmp_path_factory):
    """15 days, a sample a minute, of everything, rising and falling at random: (samples, rows, now)."""
    path = database(tmp_path_factory.mktemp("fortnight") / "test.db")
    chance = random.Random(20)
    samples = []
    for i, at in enumerate(times(15 * DAY, MINUTE)):
        part = i / (15 * 1440)
        samples.append({
            "at": at, "covers": MINUTE,
            "wal_bytes": round(20e6 * part + chance.gauss(5e6, 1e6)), "pending_frames": chance.randrange(900),
            "active_readers": chance.randrange(4), "connections": 3 + round(5 * part),
            "database_bytes": 10**12 + 4096 * i, "health_score": chance.randrange(60, 100),
            "commits": {round(chance.lognormvariate(1 + part, 1), 3): chance.randrange(1, 5)},
            "statements": {round(chance.lognormvariate(1, 1), 3): chance.randrange(1, 30), 0.3: 15},
            "cache_hits": 900 + round(90 * part), "cache_misses": chance.randrange(1, 90),
            "checkpoint_ms": chance.randrange(1, 50), "checkpoint_stall_ms": chance.randrange(1, 5),
            "syncs": {round(chance.lognormvariate(part, 1), 3): chance.randrange(1, 9)},
            "lock_waits": {round(min(chance.lognormvariate(5 + part, 2), 60_000), 3): chance.randrange(1, 5)},
            "busy_errors": chance.randrange(1, 5), "snapshot_conflicts": chance.randrange(1, 3)})
    inject(path, samples)
    now = round(time.time() * 1000)
    return samples, trends(path), now


def test_a_row_per_metric_and_period_with_its_unit(fortnight):
    _, rows, _ = fortnight
    assert set(rows) == {(metric, period) for metric in METRICS for period in LENGTHS}
    assert {metric: row["unit"] for (metric, _), row in rows.items()} == METRICS
    assert {row["schema"] for row in rows.values()} == {"main"}


def test_metrics_are_columns_of_wal_history(db):
    assert set(METRICS) <= {name for name, _ in columns(db, "wal_history")}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("period", LENGTHS)
def test_the_line_is_that_of_least_squares(fortnight, metric, period):
    samples, rows, now = fortnight
    row = rows[metric, period]
    groups = [group for group in closed(samples, HOUR if period == "week" else MINUTE)
              if now - LENGTHS[period] < group[-1]["at"] <= now]
    slope, r_squared, _ = line([group[-1]["at"] / HOUR for group in groups], [value(group, metric) for group in groups])
    assert row["samples"] == len(groups) >= 59
    assert row["slope_per_hour"] == pytest.approx(slope, rel=1e-6, abs=1e-9)
    assert row["r_squared"] == pytest.approx(r_squared, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("period", LENGTHS)
def test_current_and_previous_are_of_all_samples_in_the_period(fortnight, metric, period):
    samples, rows, now = fortnight
    length = LENGTHS[period]
    # Samples older than a day are known as hours only, which belong to the period in which they ended.
    oldest_minute = closed(samples, MINUTE)[-1440][-1]["at"]
    end = {sample["at"]: sample["at"] if sample["at"] >= oldest_minute else group[-1]["at"]
           for group in closed(samples, HOUR) for sample in group}

    def expected(to):
        since = to - length
        in_minutes = since >= oldest_minute
        return value([sample for sample in samples
                      if since < (sample["at"] if in_minutes else end.get(sample["at"], sample["at"])) <= to],
                     metric)
    row = rows[metric, period]
    current, previous = expected(now), expected(now - length)
    assert row["current"] == pytest.approx(current, rel=1e-6)
    assert row["previous"] == pytest.approx(previous, rel=1e-6)
    assert row["change_ratio"] == pytest.approx((current - previous) / previous, rel=1e-5, abs=1e-9)


def test_nothing_is_lost_where_a_large_number_changes_little(fortnight):
    """database_bytes grows by a page a minute, from a terabyte."""
    _, rows, _ = fortnight
    for period in LENGTHS:
        row = rows["database_bytes", period]
        assert row["slope_per_hour"] == pytest.approx(4096 * 60, rel=1e-6)
        assert row["r_squared"] == pytest.approx(1, abs=1e-6)


# --- forecasts

def rising(metric, now_value, per_hour, length_ms, step_ms, **others):
    """A straight line that is at `now_value` now."""
    now = round(time.time() * 1000)
    return [{"at": at, metric: round(now_value + per_hour * (at - now) / HOUR), **others}
            for at in times(length_ms, step_ms, now)]


LIMIT = 64 * 1024 * 1024
REACHES = "reaches wal_limit_bytes"


@pytest.mark.parametrize("hours, length, step, periods", [
    (5.0, HOUR, 10 * SECOND, ["hour", "day"]),
    (0.5, HOUR, 10 * SECOND, ["hour", "day"]),
    (20.0, DAY, MINUTE, ["day", "week"]),
    (30.0, WEEK, MINUTE, ["day", "week"]),
    (12 * 24.0, WEEK, MINUTE, ["week"]),
])
def test_a_straight_line_meets_the_limit_when_it_does(path, hours, length, step, periods):
    """No period has a forecast for more than ten times its length."""
    inject(path, rising("wal_bytes", LIMIT * 0.9, LIMIT * 0.1 / hours, length, step))
    rows = trends(path)
    assert {key for key in forecasts(rows)} == {("wal_bytes", period) for period in periods}
    for period in periods:
        assert rows["wal_bytes", period]["r_squared"] > 0.999
        tolerance = 0.06 if hours < 48 else 1.3
        assert hours_until(rows, "wal_bytes", period, REACHES) == pytest.approx(hours, abs=tolerance)


def test_the_limit_is_that_of_the_settings(path):
    db = connect(path)
    db.execute(f"SELECT wal_set('wal_limit_bytes', {2 * LIMIT})").fetchall()
    db.close()
    inject(path, rising("wal_bytes", LIMIT / 2, LIMIT / 2, HOUR, 10 * SECOND))
    assert hours_until(trends(path), "wal_bytes", "hour", REACHES) == pytest.approx(3, abs=0.06)


@pytest.mark.parametrize("minutes", [11, 12])
def test_a_line_takes_twelve_samples(path, minutes):
    whole = time.time() // 60 * MINUTE  # the first of a minute that is not over
    inject(path, [{"at": int(whole - k * MINUTE), "wal_bytes": LIMIT // 2 - k * 10**5} for k in range(minutes, -1, -1)])
    rows = trends(path)
    for period in ("hour", "day"):
        row = rows["wal_bytes", period]
        assert row["samples"] == minutes
        assert row["r_squared"] == pytest.approx(1)
        assert (row["slope_per_hour"] is not None) == (row["forecast"] is not None) == (minutes == 12)
    assert rows["wal_bytes", "week"]["slope_per_hour"] is None


def test_noise_has_no_forecast(path):
    """It rises, but r_squared is below 0.8; with less noise it is not, and it has one."""
    for noise, says in ((8e6, False), (8e5, True)):
        chance = random.Random(3)
        samples = rising("wal_bytes", LIMIT / 2, 1e7, HOUR, MINUTE)
        for sample in samples:
            sample["wal_bytes"] += round(chance.gauss(0, noise))
        inject(path, samples)
        row = trends(path)["wal_bytes", "hour"]
        assert row["slope_per_hour"] > 1e6
        assert (row["r_squared"] >= 0.8) == (row["forecast"] is not None) == says


def test_what_falls_meets_no_limit_above(path):
    inject(path, rising("wal_bytes", LIMIT / 2, -LIMIT / 10, 65 * MINUTE, 10 * SECOND))
    rows = trends(path)
    assert rows["wal_bytes", "hour"]["slope_per_hour"] == pytest.approx(-LIMIT / 10, rel=1e-4)
    assert forecasts(rows) == {}


def test_what_is_beyond_its_limit_does_not_meet_it(path):
    inject(path, rising("wal_bytes", LIMIT * 1.01, LIMIT / 10, HOUR, 10 * SECOND))
    rows = trends(path)
    assert rows["wal_bytes", "hour"]["r_squared"] > 0.999
    assert forecasts(rows) == {}


def test_a_database_that_fills_the_file_system(path):
    db = connect(path)
    free = one(db, "SELECT file_system_free_bytes FROM wal_environment")
    size = one(db, "SELECT database_bytes FROM wal_metrics")
    db.close()
    inject(path, rising("database_bytes", size + free / 2, free / 16, HOUR, 10 * SECOND))
    hours = hours_until(trends(path), "database_bytes", "hour", "fills the file system")
    assert hours == pytest.approx(8, abs=0.3)  # others use the file system, too


@pytest.mark.parametrize("metric, counts, words, setting", [
    ("query_p95_ms", "statements", "reaches query_latency.warning", "query_latency.warning"),
    ("commit_p99_ms", "commits", "reaches commit_latency.warning", "commit_latency.warning"),
    ("lock_wait_p99_ms", "lock_waits", "reaches lock_waits.warning", "lock_waits.warning"),
    ("sync_p99_ms", "syncs", "reaches sync_latency.warning", "sync_latency.warning"),
])
def test_what_becomes_slower_reaches_its_warning(path, metric, counts, words, setting):
    db = connect(path)
    db.execute(f"SELECT wal_set('{setting}', 250)").fetchall()
    db.close()
    now = round(time.time() * 1000)
    samples = [{"at": at, "covers": 10 * SECOND, counts: {round(100 + 60 * (at - now) / HOUR, 3): 20}}
               for at in times(HOUR, 10 * SECOND, now)]
    inject(path, samples)
    rows = trends(path)
    groups = [group for group in closed(samples, MINUTE)[1:] if group[-1]["at"] > now - HOUR]
    _, r_squared, now_y = line([(group[0]["at"] + group[-1]["at"]) / 2 / HOUR - now / HOUR for group in groups],
                               [value(group, metric) for group in groups])
    slope = rows[metric, "hour"]["slope_per_hour"]
    assert r_squared > 0.9 and slope == pytest.approx(60, rel=0.15)
    assert hours_until(rows, metric, "hour", words) == pytest.approx((250 - now_y) / slope, abs=0.1)
    assert set(forecasts(rows)) == {(metric, "hour"), (metric, "day")}


def test_a_cache_whose_hits_fall_to_its_warning(path):
    """From 0.98 to 0.86 within the hour; a warning is set at 0.8."""
    now = round(time.time() * 1000)
    with closing(connect(path)) as db:
        db.execute("SELECT wal_set('cache_hit_ratio.warning', 0.8)").fetchall()
    for sign, says in ((-1, True), (1, False)):
        inject(path, [{"at": at, "cache_hits": (hits := round(10_000 * (0.86 + sign * 0.12 * (at - now) / HOUR))),
                       "cache_misses": 10_000 - hits} for at in times(HOUR, 10 * SECOND, now)])
        rows = trends(path)
        if says:
            hours = hours_until(rows, "cache_hit_ratio", "hour", "falls to cache_hit_ratio.warning")
            assert hours == pytest.approx(0.5, abs=0.06)
        else:
            assert rows["cache_hit_ratio", "hour"]["r_squared"] > 0.99 and forecasts(rows) == {}


# --- direction

def scaled(factor):
    """flat(), with everything but the counts of commits and statements more or less by so much."""
    sample = flat()
    for key in ("wal_bytes", "pending_frames", "active_readers", "connections", "database_bytes", "checkpoint_ms",
                "checkpoint_stall_ms", "busy_errors", "snapshot_conflicts"):
        sample[key] = sample[key] * 20 * factor
    sample["health_score"] = round(50 * factor)
    hits = round(400 * factor)
    sample.update(cache_hits=hits, cache_misses=1000 - hits, commits={18 * factor: 7}, statements={18 * factor: 70},
                  lock_waits={18 * factor: round(40 * factor ** 0.5)}, syncs={18 * factor: 7})
    return {key: round(number) if isinstance(number, float) and not key.endswith("_ms") else number
            for key, number in sample.items()}


@pytest.mark.parametrize("factor, more, less", [
    (2, "improving", "worsening"), (0.5, "worsening", "improving"), (1.05, "steady", "steady"),
])
def test_a_direction_is_what_is_good_for_the_metric(path, factor, more, less):
    moments = times(2 * HOUR, MINUTE)
    inject(path, [{"at": at, **scaled(factor if at > moments[-1] + 3 * SECOND - HOUR else 1)} for at in moments])
    rows = trends(path)
    assert {metric: rows[metric, "hour"]["direction"] for metric in METRICS} == \
        {**dict.fromkeys(MORE_IS_GOOD, more), **dict.fromkeys(LESS_IS_GOOD, less), **dict.fromkeys(DEPENDS, None)}
    for metric in ("wal_bytes", "cache_hit_ratio", "connections"):
        assert rows[metric, "hour"]["change_ratio"] == pytest.approx(factor - 1, abs=0.02)


def test_the_next_bucket_of_a_histogram_is_no_change(path):
    """20.9 and 21.1 ms are in neighbouring buckets, which differ by 22 %; 20 and 40 ms are not."""
    moments = times(2 * HOUR, MINUTE)
    for slower, direction in ((21.1, "steady"), (40, "worsening")):
        samples = [{"at": at, "statements": {slower if at > moments[-1] + 3 * SECOND - HOUR else 20.9: 50}}
                   for at in moments]
        inject(path, samples)
        row = trends(path)["query_p95_ms", "hour"]
        assert (row["direction"], row["change_ratio"] > 0.15) == (direction, True)


def test_without_a_previous_there_is_no_direction(path):
    inject(path, [{"at": at, **flat()} for at in times(50 * MINUTE, 10 * SECOND)])
    for row in trends(path).values():
        assert row["current"] is not None
        assert (row["previous"], row["change_ratio"], row["direction"]) == (None, None, None)


def test_from_nothing_to_something_has_no_ratio(path):
    """The ratio is a division by zero and so NULL, but the direction is known."""
    moments = times(2 * HOUR, MINUTE)
    inject(path, [{"at": at, "wal_bytes": 5000 if at > moments[-1] + 3 * SECOND - HOUR else 0} for at in moments])
    row = trends(path)["wal_bytes", "hour"]
    assert (row["current"], row["previous"], row["change_ratio"], row["direction"]) == (5000, 0, None, "worsening")


# --- histories that are not even

def test_a_flat_series_has_no_r_squared(path):
    """Also where a number has no exact binary form, as 0.91 or 0.7 a second."""
    inject(path, [{"at": at, **flat()} for at in times(2 * DAY, 10 * SECOND)])
    rows = trends(path)
    assert forecasts(rows) == {}
    for (metric, _), row in rows.items():
        assert row["samples"] >= 47
        assert row["r_squared"] is None, row
        assert row["slope_per_hour"] == pytest.approx(0, abs=1e-9 * row["current"])
        assert row["direction"] == (None if metric in DEPENDS or row["previous"] is None else "steady")
    assert rows["cache_hit_ratio", "hour"]["current"] == pytest.approx(0.91)


def test_after_a_gap_a_rate_is_of_the_time_that_it_covers(path):
    """No sample was taken for ten hours, while two commits per second went on."""
    moments = list(times(23 * HOUR, MINUTE))
    gap = range(moments[-1] - 15 * HOUR, moments[-1] - 5 * HOUR)
    kept = [at for at in moments if at not in gap]
    inject(path, [{"at": at, "wal_bytes": 1000, "commits": round((at - before) / SECOND * 2)}
                  for before, at in zip([kept[0]] + kept, kept)])
    rows = trends(path)
    row = rows["commits", "day"]
    assert row["samples"] in (13 * 60 - 1, 13 * 60)
    assert row["current"] == pytest.approx(2)
    assert row["slope_per_hour"] == pytest.approx(0, abs=1e-6)
    assert rows["commits", "hour"]["current"] == pytest.approx(2)
    assert rows["commits", "week"]["current"] == pytest.approx(2)
    assert forecasts(rows) == {}


@pytest.mark.parametrize("ago", [2 * HOUR, 10 * MINUTE])
def test_a_clock_that_was_set_back_by_an_hour(path, ago):
    """The clock was set back ten minutes ago, so the samples before that are in the future."""
    now = round(time.time() * 1000)
    chance = random.Random(5)
    samples = []
    for at in times(5 * HOUR, 10 * SECOND, now):
        back = at > now - ago
        samples.append({"at": at if back else at + HOUR, **flat(wal_bytes=chance.randrange(10**6, 10**7))})
        if samples[1:]:
            samples[-1]["after_ms"] = 10 * SECOND
    inject(path, samples)
    rows = trends(path)
    assert forecasts(rows) == {}
    for row in rows.values():
        assert 0 <= row["samples"] <= LENGTHS[row["period"]] // MINUTE + 60
        assert row["current"] >= 0 and (row["previous"] is None or row["previous"] >= 0)
        assert row["r_squared"] is None or 0 <= row["r_squared"] <= 1
        if row["metric"] != "wal_bytes":
            assert row["slope_per_hour"] is None or row["slope_per_hour"] == pytest.approx(0, abs=1e-6 * row["current"])
    assert rows["commits", "hour"]["current"] == pytest.approx(0.7)
    assert rows["cache_hit_ratio", "day"]["current"] == pytest.approx(0.91)
    assert rows["health_score", "day"]["current"] == 83
    db = connect(path)
    minutes = one(db, "SELECT count(*) FROM wal_history WHERE resolution_ms = 60000 AND "
                  "at BETWEEN strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour') AND strftime('%Y-%m-%d %H:%M:%f', 'now')")
    assert rows["wal_bytes", "hour"]["samples"] <= minutes
    assert all(row["covers_ms"] >= 0 for row in asked(db, "wal_history"))
    db.close()


def test_a_sample_interval_of_a_minute_does_not_count_twice(path):
    """Samples and minutes then have the same resolution, and are the same."""
    inject(path, [{"interval_ms": MINUTE, **sample} for sample in
                  rising("wal_bytes", LIMIT / 2, LIMIT / 10, 50 * MINUTE, MINUTE)])
    db = connect(path)
    moments = one(db, "SELECT count(DISTINCT at) FROM wal_history WHERE resolution_ms = 60000")
    db.close()
    row = trends(path)["wal_bytes", "hour"]
    assert row["samples"] == moments == 51


# --- no history

def test_an_empty_history_says_nothing(path):
    """The query itself takes the first sample, which shows only the present."""
    inject(path, [])
    for row in trends(path).values():
        assert [row[name] for name in ("previous", "change_ratio", "slope_per_hour", "forecast", "direction",
                                       "r_squared")] == [None] * 6
        assert row["samples"] == 0
        if row["unit"] in ("per s", "ms per s", "ms", "ratio"):
            assert row["current"] is None


def test_a_database_in_memory_has_no_trends():
    db = connect(":memory:")
    assert db.execute("SELECT * FROM wal_trends").fetchall() == []


def test_each_attached_database_has_trends_of_its_own(path, tmp_path):
    other = database(tmp_path / "other.db")
    for name, bytes_now in ((path, 1000), (other, 2000)):
        inject(name, [{"at": at, "wal_bytes": bytes_now} for at in times(30 * MINUTE, 10 * SECOND)])
    db = connect(path)
    db.execute(f"ATTACH '{other}' AS other")
    rows = asked(db, "wal_trends", "metric = 'wal_bytes' AND period = 'hour'")
    db.close()
    assert {row["schema"]: row["current"] for row in rows} == {"main": 1000, "other": 2000}


# --- cost

def test_full_rings_are_read_within_two_seconds(path):
    now = round(time.time() * 1000)
    moments = [*times(90 * DAY, HOUR, now - DAY - HOUR), *times(DAY, MINUTE, now - 15 * MINUTE),
               *range(now - 900 * SECOND, now, SECOND)]
    inject(path, [{"at": at, **flat()} for at in moments])
    db = connect(path)
    rings = dict(db.execute("SELECT resolution_ms, count(*) FROM wal_history GROUP BY 1").fetchall())
    assert rings == {1000: 900, MINUTE: 1440, HOUR: 2160}
    start = time.monotonic()
    assert len(db.execute("SELECT * FROM wal_trends").fetchall()) == 3 * len(METRICS)
    took = time.monotonic() - start
    print(f"wal_trends over full rings: {took * 1000:.0f} ms")
    assert took < 2
    db.close()
