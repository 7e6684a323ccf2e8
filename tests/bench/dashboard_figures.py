#!/usr/bin/python3
"""Measures what the dashboard and watch cost: dashboard_figures.py [BUILD [SECONDS of each measurement]]

A database with 1000 statements and 90 days of history, a program that commits 1000 times a second beside it, and the
page in headless Chromium. Prints when the page shows its first numbers, the CPU time of an update in the dashboard's
process, the share of a processor, the size of the page, and the program's commits with and without a page.
The same of scripts/watch in a terminal of 200 columns, how long wal_openmetrics() takes, and then the overview of 50
such databases.
"""

import contextlib
import fcntl
import os
import pathlib
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ["WALMANAGER_BUILD"] = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build")
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "integration")]

import injected_history  # noqa: E402
from browser import Browser  # noqa: E402
from conftest import connect  # noqa: E402
from dashboards import Dashboard, Program  # noqa: E402

SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
WORK = """
db.execute("PRAGMA synchronous=OFF")  # so that the disk is not what is measured
times, ending = [], False
def work():
    while not ending:
        began = time.perf_counter()
        db.execute('INSERT INTO t(payload) VALUES (zeroblob(50))')
        times.append(time.perf_counter() - began)
        time.sleep(0.001)
threading.Thread(target=work).start()
"""


def database(path, history=True):
    injected_history.database(path)
    if history:
        now = round(time.time() * 1000)
        steps = [(90 * 86400, 86400, 1800), (86400, 900, 30), (900, 0, 1)]
        injected_history.inject(path, [
            dict(at=now - 1000 * second, commits={0.1: 200 * step, 0.5: 2 * step}, statements={0.02: 600 * step}, wal_bytes=30_000_000 + second % 7 * 10 ** 6,
                 pending_frames=500, active_readers=1, connections=5, database_bytes=4 * 10 ** 9, checkpoints=1, checkpoint_ms=5, health_score=98)
            for first, last, step in steps for second in range(first, last, -step)])
    db = connect(path)
    db.execute("SELECT wal_set('sample_interval_ms', NULL), wal_set('alert_interval_ms', NULL)").fetchall()
    db.execute("PRAGMA synchronous=OFF")
    for i in range(1000):
        db.execute(f"SELECT payload AS column_{i} FROM t WHERE id = {i}").fetchall()
    return db


def commits(program, seconds):
    program.run("times.clear()")
    time.sleep(seconds)
    return program.run("", "sorted(times)")


def told(name, times):
    print(f"{name:32} {len(times) / SECONDS:8.0f} commits/s, median {statistics.median(times) * 1e6:6.1f} us, p99 {times[len(times) * 99 // 100] * 1e6:6.1f} us", flush=True)


def cost(shown, seconds):
    before = shown.cpu_seconds()
    time.sleep(seconds)
    return (shown.cpu_seconds() - before) / seconds


class Watch:
    """scripts/watch in a terminal of 200 columns whose output nobody reads."""

    cpu_seconds = Dashboard.cpu_seconds

    def __init__(self, path):
        self.terminal, its_end = pty.openpty()
        fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.process = subprocess.Popen([sys.executable, ROOT / "scripts" / "watch", path], stdin=its_end, stdout=its_end, stderr=its_end,
                                        env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}, start_new_session=True)
        os.close(its_end)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(OSError):
            while os.read(self.terminal, 65536):
                pass

    def stop(self):
        os.write(self.terminal, b"q")
        assert self.process.wait(10) == 0
        os.close(self.terminal)


def openmetrics_ms(db):
    times = []
    for _ in range(50):
        began = time.perf_counter()
        db.execute("SELECT wal_openmetrics()").fetchall()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def main():
    browser = Browser()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "one.db"
        kept = database(path)
        program = Program(path, "shop")
        program.run(WORK)
        dashboard = Dashboard(path)
        time.sleep(2)
        idle = cost(dashboard, SECONDS)
        told("no page", commits(program, SECONDS))
        loads = []
        for _ in range(5):
            page = browser.page()
            page.open(dashboard.url)
            page.wait("!!document.querySelector('#statements tbody tr') && !!document.querySelector('#log canvas') && document.querySelector('#status').innerText"
                      " && performance.getEntriesByName('shown').length")
            loads.append(page.eval("performance.getEntriesByName('shown')[0]?.startTime"))
            size = page.eval("performance.getEntriesByType('resource').filter((one) => /\\.(js|css|svg)$/.test(one.name)).reduce((sum, one) => sum + one.encodedBodySize, 0)"
                             " + performance.getEntriesByType('navigation')[0].encodedBodySize")
            if len(loads) < 5:
                page.close()
        time.sleep(5)
        shown = cost(dashboard, SECONDS)
        told("a page shows it", commits(program, SECONDS))
        page.open("about:blank")
        time.sleep(4)
        print(f"first numbers after {statistics.median(loads):.0f} ms; page {size / 1000:.0f} kB; one update {shown * 1000:.1f} ms of CPU ({shown:.2%} of a processor); no page {idle:.2%}, left {cost(dashboard, SECONDS):.2%}")
        dashboard.stop()
        watch = Watch(path)
        time.sleep(10)
        shown = cost(watch, SECONDS)
        told("watch shows it", commits(program, SECONDS))
        watch.stop()
        told("nothing beside it", commits(program, SECONDS))
        print(f"watch: {shown:.2%} of a processor; wal_openmetrics(): {openmetrics_ms(kept):.1f} ms", flush=True)
        program.run("ending = True")
        program.end()
        kept.close()

        paths = [pathlib.Path(folder) / f"{i}.db" for i in range(50)]
        held = [database(path, history=False) for path in paths]
        dashboard = Dashboard(*paths)
        page = browser.page()
        page.open(dashboard.url)
        page.wait("document.querySelectorAll('#overview tbody tr').length == 50")
        print(f"50 databases: first numbers after {page.eval('performance.now()'):.0f} ms", end="")
        page.wait("!document.querySelector('#overview tbody').innerText.includes('…')")
        print(f", all after {page.eval('performance.now()'):.0f} ms", end="")
        time.sleep(5)
        print(f", {cost(dashboard, SECONDS):.2%} of a processor")
        dashboard.stop()
        for db in held:
            db.close()
    browser.close()


if __name__ == "__main__":
    main()
