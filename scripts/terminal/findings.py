"""What is wrong at this moment, the worst first: sentences for the second line of the screen and the table of health."""

import os
import time

from terminal import text

SHAPES = {"critical": "■", "warning": "▲", "advice": "→", "unknown": "?", "plain": "○", "ok": "●"}
WAIT_MS = 100  # shorter waits are no finding
HOLD_MS = 1000
FORGOTTEN_MS = 1000  # a statement that has returned no row for so long is one that its program no longer fetches from
_CLOSE_THE_CURSOR = "its program must fetch all rows or close the cursor: nothing else frees the log"
_ADVICE_ON_HOLDERS = {
    "idle in transaction": "its program must COMMIT or ROLLBACK: no statement runs that could be cancelled",
    "active": "wait until its transaction ends, or cancel its statement: k",
}
_ADVICE_ON_READERS = {
    "running query": "wait, or cancel it: k",
    "unfinished statement": _CLOSE_THE_CURSOR,
    "open transaction": "its program must COMMIT or ROLLBACK",
    "unmanaged process": "load walmanager there, to see what it reads",
}
# Checks that say the same as a reader that holds the log now.
ABOUT_READERS = {"unfinished_statement", "long_transaction", "log_pinned"}


class Finding:
    """`connection`: whose statement could be cancelled."""

    def __init__(self, status, name, sentence, advice=None, connection=None):
        self.status, self.name, self.sentence, self.advice, self.connection = status, name, text.clean(sentence), advice, connection


def clock(unix):
    return time.strftime("%H:%M:%S", time.localtime(unix))


def someone(row):
    """A connection or a reader, by the name that it gave itself, and its process."""
    name = text.clean(row["application"] or row["process"] or "")
    if not row["pid"]:
        return name or "a process that is not known"
    return f"{name} (pid {row['pid']})" if name else f"pid {row['pid']}"


def log_holders(look):
    """For each read mark that keeps frames from being copied, or the log from starting over, and has been held for 100 ms: the
    reader that most likely holds it, and how many others may. The longest first."""
    waiting = {row["connection_id"] for row in look.connections if row["waiting_for"]}
    marks = {}
    for row in look.readers:
        # A connection that waits for a lock reads nothing meanwhile: what it waits for is the cause, and is said already.
        if row["blocks"] and (row["transaction_ms"] or 1000) >= 100 and row["connection_id"] not in waiting:
            marks.setdefault(row["slot"], []).append(row)
    found, named = [], set()
    # A connection holds one mark. The one that began first holds the oldest.
    for rows in sorted(marks.values(), key=lambda rows: -rows[0]["lag_frames"]):
        candidates = [row for row in rows if row["connection_id"] is None or row["connection_id"] not in named]
        if candidates:
            best = max(candidates, key=lambda row: (row["certain"] or 0, row["transaction_ms"] or 0))
            named.add(best["connection_id"])
            found.append((best, len(candidates) - 1))
    return sorted(found, key=lambda pair: -(pair[0]["transaction_ms"] or 0))


def _blockers(look):
    """Each connection that others wait for, the longest wait first."""
    waits = {}
    for row in look.connections:
        if row["waiting_for"] and (row["waiting_ms"] or 0) >= WAIT_MS:
            waits.setdefault((row["blocked_by"], row["blocked_by_pid"]), []).append(row)
    found = []
    for (blocked_by, pid), rows in waits.items():
        first = max(rows, key=lambda row: row["waiting_ms"])
        holder = next((row for row in look.connections if row["connection_id"] == blocked_by), None)
        if holder and holder["state"] == "idle":
            continue  # it has let the lock go, and the next will have it in a moment
        by = someone(holder) if holder else f"pid {pid}" if pid else "A connection that is not known"
        does = f", {holder['state']}," if holder and holder["state"] else ""
        others = "" if len(rows) == 1 else f" and {len(rows) - 1} more"
        lasts = text.milliseconds(first["waiting_ms"])
        sentence = f"{by}{does} blocks {someone(first)}{others} for {lasts}: {first['query'] or ''}"
        forgotten = holder and holder["state"] == "active" and (holder["still_ms"] or 0) > FORGOTTEN_MS
        advice = "its program must fetch all rows or close the cursor, and COMMIT" if forgotten else _ADVICE_ON_HOLDERS.get(holder and holder["state"], "look at that process: ps, strace")
        found.append((first["waiting_ms"], Finding("warning", "waits", sentence, advice, blocked_by)))
    return [finding for _, finding in sorted(found, key=lambda pair: -pair[0])]


def _holders(look):
    """Each reader that has kept the log for a second."""
    found = []
    for row, others in log_holders(look):
        if (row["transaction_ms"] or 0) >= HOLD_MS or row["verdict"] == "unmanaged process" and row["lag_frames"]:
            lasts = f" for {text.milliseconds(row['transaction_ms'])}" if row["transaction_ms"] is not None else ""
            holds = "holds" if row["certain"] else f"or {others} more may hold" if others else "may hold"
            sentence = f"{someone(row)} {holds} the log{lasts} ({row['verdict'] or 'reader'}): {row['query'] or ''}"
            found.append(Finding("warning", "log", sentence, _ADVICE_ON_READERS.get(row["verdict"]), row["connection_id"]))
    return found


def now(look):
    """What the connections do to each other at this moment."""
    return _blockers(look) + _holders(look)


def _uncounted(metrics):
    """Why there are no numbers: the observer, which is read-only, sees no control file."""
    if metrics["journal_mode"] != "wal":
        return Finding("warning", "journal_mode", f"journal_mode is {metrics['journal_mode'] or 'not known'}: only in WAL mode do programs share what is "
                       "counted. PRAGMA journal_mode=WAL changes it for all and for good.")
    because, processes = metrics["private_because"], metrics["unmanaged_processes"]
    if not because.startswith("this connection is read-only"):
        user = " Run watch as the application's user, or with sudo." if "ermission denied" in because else ""
        return Finding("warning", "statistics", f"What is counted cannot be seen: {because}.{user}")
    because = "no program with walmanager has committed to its log"
    opened = ""
    if processes:
        have = "process has" if processes == 1 else "processes have"
        opened = f" {processes} {have} it open: README.md, Load, says how to load it there."
    return Finding("warning" if processes else "plain", "statistics", f"Nothing is counted yet: {because}.{opened}")


def ranked(look, path):
    """All findings, at least one: the first is the most important."""
    name = text.clean(os.path.basename(path))
    if look.problem is not None:
        return [Finding("critical", "stale", f"What is shown is of {clock(look.stale_since)}. {look.problem}" if look.metrics else look.problem)]
    metrics = look.metrics
    if metrics["private_because"] or metrics["journal_mode"] != "wal":
        return [_uncounted(metrics)]
    found = now(look)
    pinned = next((finding for finding in found if finding.name == "log"), None)
    for row in look.health:
        if row["status"] not in ("critical", "warning") or row["check_name"] == "overall":
            continue
        if pinned and row["check_name"] in ABOUT_READERS:
            # The reader is named already. How bad it is, the check says.
            if row["status"] == "critical":
                pinned.status = "critical"
            continue
        found.append(Finding(row["status"], row["check_name"], f"{row['check_name']}: {row['detail']}", row["recommendation"]))
    if look.alone_since is not None:
        found.insert(0, Finding("plain", "alone", f"No program has {name} open since {clock(look.alone_since)}. What is counted is of before."))
    if found:
        return sorted(found, key=lambda finding: finding.status != "critical")
    unknown = sum(row["status"] == "unknown" for row in look.health)
    well = sum(row["status"] == "ok" for row in look.health)
    return [Finding("ok", "overall", f"All is well: {well} checks are ok" + (f", {unknown} have nothing measured yet." if unknown else "."))]
