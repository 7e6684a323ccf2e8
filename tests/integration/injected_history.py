"""Writes a history of any length into a control file, and computes what the tables must show."""

import math
import subprocess
import time
from statistics import mean

from conftest import BUILD, connect

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
WEEK = 7 * DAY
GAUGES = ["wal_bytes", "pending_frames", "active_readers", "connections", "database_bytes"]


def database(path):
    """Makes a database and its control file, in which no sample is taken and no alert raised for an hour."""
    db = connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, payload BLOB)")
    db.execute("SELECT wal_set('sample_interval_ms', 3000000), wal_set('alert_interval_ms', 3600000)").fetchall()
    db.execute("SELECT wal_metrics_reset('history')").fetchall()
    db.close()
    return path


def inject(path, samples):
    """Replaces the history by these samples, dicts in the order in which they were taken, `at` in Unix ms.
    `statements`, `commits`, `lock_waits` and `syncs` may be dicts, {duration in ms: count}; `covers` is for value() below."""
    lines = []
    for sample in samples:
        words = [str(sample["at"])]
        for key, value in sample.items():
            if isinstance(value, dict):
                words += [f"{key}@{ms}={count}" for ms, count in value.items()]
            elif key not in ("at", "covers"):
                words.append(f"{key}={value}")
        lines.append(" ".join(words))
    done = subprocess.run([BUILD / "tests" / "history_writer", f"{path}-walmanager"], text=True,
                          input="\n".join(lines), capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def times(length_ms, step_ms, end_ms=None):
    """When samples are taken over such a time, so that none is within 20 s (or a third of a step) of where a
    period that ends soon begins."""
    last = (end_ms or round(time.time() * 1000)) - min(20 * SECOND, step_ms // 3)
    return range(last - length_ms // step_ms * step_ms, last + 1, step_ms)


def asked(db, table, where="TRUE"):
    """The rows as dicts."""
    cursor = db.execute(f"SELECT * FROM {table} WHERE {where}")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor]


def trends(path):
    """{(metric, period): row} of wal_trends, from a connection of its own."""
    db = connect(path)
    rows = asked(db, "wal_trends")
    db.close()
    found = {(row["metric"], row["period"]): row for row in rows}
    assert len(found) == len(rows)
    return found


# --- what must be in the rows: of samples as they were injected, one or several

def bucket_middle(ns, unit=256):
    """What a histogram makes of a duration: four buckets per power of two of units, each read as its harmonic middle."""
    units = int(ns) // unit
    if units < 4:
        lower, upper = units, units + 1
    else:
        width = 1 << (units.bit_length() - 3)
        lower = units // width * width
        upper = lower + width
    return unit * (2 * lower * upper / (lower + upper) if lower else 0.5)


def percentile_ms(samples, key, share):
    """The percentile by nearest rank, over the counts of all samples."""
    counts = {}
    unit = 4096 if key in ("lock_waits", "syncs") else 256
    for sample in samples:
        for ms, count in sample.get(key, {}).items():
            middle = bucket_middle(ms * 1e6, unit)
            counts[middle] = counts.get(middle, 0) + count
    rank = math.ceil(share * sum(counts.values()))
    for middle in sorted(counts):
        rank -= counts[middle]
        if rank <= 0:
            return middle / 1e6
    return None


def total(samples, key):
    """The sum of what the samples counted."""
    values = (sample.get(key, 0) for sample in samples)
    return sum(sum(value.values()) if isinstance(value, dict) else value for value in values)


def waited_ms(samples, key="lock_waits"):
    """How long the waits, or the syncs, of the samples took together."""
    return sum(ms * count for sample in samples for ms, count in sample.get(key, {}).items())


def value(samples, metric):
    """What wal_trends says of the samples, which must not include the first of all."""
    if metric in GAUGES:
        return mean(sample[metric] for sample in samples)
    if metric == "health_score":
        return min(sample[metric] for sample in samples)
    if metric == "query_p95_ms":
        return percentile_ms(samples, "statements", 0.95)
    if metric == "commit_p99_ms":
        return percentile_ms(samples, "commits", 0.99)
    if metric == "lock_wait_p99_ms":
        return percentile_ms(samples, "lock_waits", 0.99)
    if metric == "sync_p99_ms":
        return percentile_ms(samples, "syncs", 0.99)
    if metric == "sync_ms":
        return waited_ms(samples, "syncs") * 1000 / total(samples, "covers")
    if metric == "lock_wait_ms":
        return waited_ms(samples) * 1000 / total(samples, "covers")
    if metric == "cache_hit_ratio":
        return total(samples, "cache_hits") / (total(samples, "cache_hits") + total(samples, "cache_misses"))
    return total(samples, metric) * 1000 / total(samples, "covers")


def closed(samples, length_ms):
    """The samples of each minute or hour that is over."""
    groups = [[samples[0]]]
    for sample in samples[1:]:
        if sample["at"] // length_ms == groups[-1][-1]["at"] // length_ms:
            groups[-1].append(sample)
        else:
            groups.append([sample])
    return groups[:-1]


def line(xs, ys):
    """Slope, r_squared and the value at 0 of the straight line with the least squares."""
    mean_x, mean_y = mean(xs), mean(ys)
    xx = math.fsum((x - mean_x) ** 2 for x in xs)
    yy = math.fsum((y - mean_y) ** 2 for y in ys)
    xy = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys))
    return xy / xx, xy * xy / (xx * yy) if yy else None, mean_y - mean_x * xy / xx
