"""Waiting for what another thread or process does: ask again and again, for a limited time."""

import time

from conftest import metrics


def ask_until(question, enough, seconds):
    """Asks until the answer is `enough`; the last answer."""
    deadline = time.monotonic() + seconds
    while not enough(answer := question()) and time.monotonic() < deadline:
        time.sleep(0.002)
    return answer


def poll(question, wanted=True, seconds=20):
    """Asks until the answer is `wanted`; the last answer, which the caller compares."""
    return ask_until(question, lambda answer: answer == wanted, seconds)


def wait_for(condition, seconds=20):
    """Waits until the condition holds, and gives what it returned."""
    value = ask_until(condition, bool, seconds)
    assert value, "it did not happen in time"
    return value


def copied_in_background(asked, times=1, schema="main", seconds=30):
    """Waits until a background thread has copied frames so often; the row of wal_metrics then.

    `asked`: a connection of this process, or a worker.
    """
    def row_then():
        row = asked.metrics() if hasattr(asked, "metrics") else metrics(asked, schema)
        return row if row["checkpoints_background"] >= times else None
    return wait_for(row_then, seconds)
