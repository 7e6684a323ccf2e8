"""scripts/watch in a real terminal: tmux runs it, presses its keys and reads its screen."""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import unicodedata
import uuid
import xml.etree.ElementTree as ElementTree

import pytest

from conftest import BUILD, ROOT, connect, one
from helpers import files_beside
from waiting import wait_for

SCRIPTS = ROOT / "scripts"
WATCH = SCRIPTS / "watch"
sys.path[:0] = [str(SCRIPTS), str(SCRIPTS / "dashboard_files")]

import queries  # noqa: E402
from observer import SCHEMA, Observer, portable  # noqa: E402
from terminal import findings, look, pages, picture, program, tabs, text, view  # noqa: E402
from terminal.screen import STYLES, Ended  # noqa: E402

SIZES = [(80, 24), (200, 50)]


class Terminal:
    """A terminal of that size in which the command runs; what the shell says after it stays on the screen."""

    def __init__(self, folder, command, columns=80, lines=24, environment=None):
        self._socket = f"watch-{uuid.uuid4().hex[:12]}"
        self.raw = folder / "raw"
        given = {"WALMANAGER_BUILD": str(BUILD), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
        script = folder / "run"
        quoted = " ".join("'" + str(word).replace("'", "'\\''") + "'" for word in command)
        script.write_text(f"trap : INT\nbefore=$(stty -g)\n{quoted}\nprintf 'EXIT %s\\n' $?\n[ \"$before\" = \"$(stty -g)\" ] && echo RESTORED\nexec cat\n")
        words = [word for name, value in given.items() for word in ("-e", f"{name}={value}")]
        # The terminal's raw output is recorded from its beginning.
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines), "sleep 60", ";", "set-option", "-g", "status", "off",
                   ";", "pipe-pane", "-o", f"cat > '{self.raw}'", ";", "respawn-pane", "-k", *words, f"sh '{script}'")

    def _tmux(self, *words):
        done = subprocess.run(["tmux", "-u", "-L", self._socket, *words], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def press(self, *keys):
        self._tmux("send-keys", *keys)

    def resize(self, columns, lines):
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def lines(self):
        return self._tmux("capture-pane", "-p").split("\n")[:-1]

    def state(self, name):
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def shows(self, pattern, seconds=20):
        """Waits until the screen matches; the match."""
        def found():
            self._last = "\n".join(self.lines())
            match = re.search(pattern, self._last, re.MULTILINE)
            if not match:
                time.sleep(0.03)  # each look starts a process
            return match
        try:
            return wait_for(found, seconds)
        except AssertionError:
            raise AssertionError(f"{pattern!r} is not on the screen:\n{self._last}") from None

    def pid(self):
        """The process of watch."""
        shell = self.state("pane_pid")

        def child():
            with open(f"/proc/{shell}/task/{shell}/children") as children:
                return [int(pid) for pid in children.read().split() if b"python3" in open(f"/proc/{pid}/cmdline", "rb").read()]
        return wait_for(child)[0]

    def close(self):
        subprocess.run(["tmux", "-L", self._socket, "kill-server"], capture_output=True, timeout=20, check=False)


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def open_terminal(*words, command=None, **options):
        folder = tmp_path / f"terminal{len(opened)}"
        folder.mkdir()
        opened.append(Terminal(folder, command or [WATCH, *words], **options))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


class Shop:
    """A program: a report has forgotten a cursor, an import is idle in its transaction, an order waits for it."""

    def __init__(self, path):
        self.path = path
        self.connections = {}
        connect(path, load=None).execute("PRAGMA journal_mode=WAL").fetchall()
        for name in ("web", "nightly report", "import", "web order"):
            db = self.connections[name] = connect(path, timeout=600, check_same_thread=False)
            db.execute("SELECT wal_application_name(?)", (name,)).fetchall()
        web = self.connections["web"]
        web.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER, note TEXT)")
        web.execute("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO orders SELECT i, i % 100, 'n' FROM n")
        # A plan is made of what runs after the process's first second.
        plan = "SELECT total(plan = 'SCAN orders') FROM query_performance WHERE query LIKE 'SELECT count(*) FROM orders%'"
        self.counts = 0
        while self.counts < 50 or one(web, plan) == 0:
            web.execute("SELECT count(*) FROM orders WHERE customer = ?", (self.counts,)).fetchall()
            self.counts += 1
        self.cursor = self.connections["nightly report"].execute("SELECT id, note FROM orders ORDER BY id")
        self.cursor.fetchone()
        for order in range(1, 41):
            web.execute("UPDATE orders SET note = ? WHERE id = ?", ("x", order))
        self.connections["import"].execute("BEGIN IMMEDIATE")
        self.connections["import"].execute("UPDATE orders SET note = 'y' WHERE id = 7")
        self._order = threading.Thread(target=self.connections["web order"].execute, args=("DELETE FROM orders WHERE id = ?", (2,)))
        self._order.start()
        # The samples have seen that the cursor is not fetched from, and that the order waits.
        seen = "SELECT max(still_ms) > 1000 AND max(waiting_ms) > 100 FROM connection_metrics"
        wait_for(lambda: one(self.connections["web"], seen))

    def close(self):
        self.connections["import"].execute("COMMIT")
        self._order.join()
        self.cursor.close()
        for db in self.connections.values():
            db.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    opened = Shop(tmp_path_factory.mktemp("shop") / "app.db")
    yield opened
    opened.close()


# --- what it shows

@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_tab_shows_what_the_program_does(shop, terminal, size):
    screen = terminal(shop.path, columns=size[0], lines=size[1])
    screen.shows(r"^ app\.db +(● ok|▲ warning|■ critical) \d+ +log 0\.\d/67\.1 MB")
    # The waiting writer is named with the connection that blocks it.
    screen.shows(r"^ [▲■] import \(pid \d+\), idle in transaction, blocks")
    lines = screen.lines()
    assert len(lines) == size[1] and lines[2].startswith("── statements ─ 1 of ")
    assert re.match(r" +TOTAL%▼ ", lines[3])
    count = screen.shows(r"^ +[\d.]+ +.*SELECT cou.*$").group()
    assert " 3,000 " in count or " 2,999 " in count  # scanned rows for a call
    if size[0] == 200:
        assert f" {shop.counts:,} " in count and "SELECT count(*) FROM orders WHERE customer = ?" in count
    for key, name, pattern in (("2", "connections", r"nightly report +▲ not fetched read +[\d.]+(s|min) "),
                               ("2", "connections", r"web order +▲ waits write"), ("2", "connections", r"import +▲ idle in txn write"),
                               ("3", "waits", r"now ▲ waits now +web order +write +[\d.]+s +import "),
                               ("3", "waits", r"now (▲ pins log|\? may pin) +checkpointer +(reset|checkpoint) +[\d.]+s +nightly report"),
                               ("4", "checkpoints", r"No checkpoint has run yet|● complete|▲ partial"),
                               ("5", "I/O", r"no table wal_io yet|database|No file has been read"),
                               ("6", "health", r"● ok +journal_mode ")):
        screen.press(key)
        screen.shows(rf"^── {name} ")
        screen.shows(pattern)
        lines = screen.lines()
        # The first three lines stay.
        assert lines[0].startswith(" app.db ") and lines[1].startswith((" ▲", " ■")) and lines[2].startswith(f"── {name}")
        assert "[1] statements" in "\n".join(lines[-2:]) and "q quit" in lines[-1]
    screen.press("q")
    screen.shows("EXIT 0")


def test_details_help_filter_sort_and_pause(shop, terminal):
    screen = terminal(shop.path, columns=120, lines=40)
    screen.shows("TOTAL%▼")
    screen.press("/")
    screen.press("CUSTOMER count(*)")
    screen.shows(r"/CUSTOMER count\(\*\)_ ─ 1 of 1 ")
    screen.press("Enter", "Enter")
    screen.shows("How long an execution takes")
    screen.shows(r"^  SELECT count\(\*\) FROM orders WHERE customer = \?$")
    screen.shows(rf"calls +{shop.counts:,} ")
    screen.shows(r"    SCAN orders")
    screen.shows(r'CREATE INDEX "orders_customer_idx" ON "orders"\("customer"\);')
    screen.press("Escape")
    screen.shows(r"1 of 1 ")
    screen.press("Escape")
    screen.shows(r"1 of \d\d? ")
    screen.press("s")
    screen.shows(r"by LOAD% ")
    screen.press("S", "r")
    screen.shows("TOTAL%△")
    screen.press("2")
    screen.shows("── connections ─ 1 of 4")
    screen.press("Down", "?")
    screen.shows(r"    COMMIT/s +commits a second")
    screen.press("Escape")
    screen.shows("── connections ─ 2 of 4")
    screen.press("Enter")
    screen.shows(r"Since it was opened")
    screen.press("Escape", "p")
    screen.shows("paused, p goes on")
    clock = screen.shows(r"\d\d:\d\d:\d\d").group()
    screen.resize(90, 30)

    def is_painted_anew():
        lines = screen.lines()
        return len(lines) == 30 and clock in lines[2] and len(lines[2]) == 90 and "▲" in lines[1] and "q quit" in lines[-1]
    wait_for(is_painted_anew)
    screen.press("p")
    wait_for(lambda: clock not in screen.lines()[2])
    screen.press("6")
    screen.shows("→ advice +indexes")
    screen.press("/", "advice indexes")
    screen.shows("_ ─ 1 of 1 ")
    screen.press("Enter", "Enter")
    screen.shows("SQL that does it")


def test_all_tables_are_printed_once(shop):
    for coding, shape in (("utf-8", "▲"), ("ascii", "!")):
        done = subprocess.run([WATCH, shop.path, "--once", "--interval", "0.5"], text=True, capture_output=True, timeout=20, check=True, encoding=coding,
                              env={**os.environ, "WALMANAGER_BUILD": str(BUILD), "PYTHONIOENCODING": coding, "COLUMNS": "150"})
        assert done.stderr == "" and not re.search(r"[…~]|^ and .* more$", done.stdout, re.MULTILINE)  # nothing is cut or left out
        assert done.stdout.startswith(f"{shop.path} at ")
        assert re.search(rf"^ {shape} import \(pid \d+\), idle in transaction, blocks web order", done.stdout, re.MULTILINE)
        assert re.search(r"its program must COMMIT or ROLLBACK", done.stdout)
        assert "its program must fetch all rows or close the cursor: nothing else frees the log" in done.stdout
        for tab in tabs.ALL:
            assert re.search(f"^.. {tab.name} ", done.stdout, re.MULTILINE), tab.name
        assert re.search(rf" 0 +{shop.counts:,} .*SELECT count", done.stdout) and re.search(f"nightly report +{shape} not fetched", done.stdout)
        assert one(shop.connections["web"], "SELECT count(*) FROM query_performance") <= len(re.search(r"statements (.*?)\n\n", done.stdout, re.DOTALL)[1].splitlines()) - 1


def test_what_may_not_be_seen_is_no_zero(tmp_path):
    path = tmp_path / "unseen.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL").fetchall()
    db.execute("CREATE TABLE t(a)")
    os.mkdir(f"{path}-walmanager")  # a control file that cannot be opened
    done = subprocess.run([WATCH, path, "--once", "--interval", "0.5"], text=True, capture_output=True, timeout=20, check=True,
                          env={**os.environ, "WALMANAGER_BUILD": str(BUILD), "COLUMNS": "200"})
    assert re.search(r"^ unseen\.db  \? not known  log .* commits -/s .* connections - ", done.stdout, re.MULTILINE)
    assert "What is counted cannot be seen: the control file " in done.stdout and "● ok" not in done.stdout
    assert done.stdout.count("What programs do cannot be seen; the reason stands above.") >= 3
    db.close()


def test_a_full_disk_is_said_in_a_sentence(shop):
    with open("/dev/full", "w") as full:
        done = subprocess.run([WATCH, shop.path, "--once", "--interval", "0.5"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20,
                              env={**os.environ, "WALMANAGER_BUILD": str(BUILD)})
    assert (done.returncode, done.stderr) == (1, "watch: the text cannot be written: No space left on device.\n")


@pytest.mark.parametrize("command", ["dashboard", "watch", "health", "advise", "backup", "checkpoint"])
def test_the_commands_do_not_count_as_the_application(command, wal_path, db):
    db.execute("SELECT wal_application_name('shop')").fetchall()
    with Observer(wal_path, f"walmanager {command}", f"{BUILD}/walmanager.so") as observer:
        assert one(db, "SELECT count(*) FROM connection_metrics WHERE application = ?", f"walmanager {command}") == 1
        for statement in (queries.CONNECTIONS, look.CONNECTIONS.replace(":own", "0")):
            assert [row["application"] for row in observer.ask(statement)] == ["shop"]
        assert observer.ask(queries.OBSERVERS) == [{"observers": 1}]


def test_it_does_not_disturb(shop, terminal):
    before = files_beside(shop.path)
    screen = terminal(shop.path)
    screen.shows("TOTAL%▼")
    for key in "23456":
        screen.press(key)
        screen.shows(f"^── {tabs.ALL[int(key) - 1].name} ")
    asked = connect(shop.path)
    wait_for(lambda: one(asked, "SELECT count(*) FROM connection_metrics WHERE application = 'walmanager watch'") == 1)
    # It is seen as a connection, but what it asks is not among the statements, and it reads no frame of the log.
    assert one(asked, "SELECT count(*) FROM query_performance WHERE query LIKE '%schema =%' OR query LIKE '%own%'") == 0
    watcher = screen.pid()
    for _ in range(20):
        assert one(asked, "SELECT count(*) FROM wal_readers WHERE pid = ?", watcher) == 0
    asked.close()
    screen.press("q")
    screen.shows("EXIT 0")
    assert files_beside(shop.path) == before


def test_an_update_sends_what_has_changed(shop, terminal):
    screen = terminal(shop.path)
    screen.shows("TOTAL%▼")
    screen.press("2")
    screen.shows("nightly report +▲ not fetched")
    seen = []
    while len(seen) < 3:
        clock = screen.shows(r"\d\d:\d\d:\d\d").group()
        if not seen or seen[-1][0] != clock:
            seen.append((clock, screen.raw.stat().st_size))
    # The times of what lasts, and the clock: nothing is cleared and painted anew.
    assert all(after - before < 500 for (_, before), (_, after) in zip(seen, seen[1:])), seen
    assert screen.raw.read_bytes().count(b"\x1b[J") + screen.raw.read_bytes().count(b"\x1b[2J") <= 1


def test_a_database_that_no_program_has_open_is_left_as_it_was(wal_path, terminal):
    db = connect(wal_path)
    db.execute("INSERT INTO t VALUES (1, 'x')")
    db.close()
    assert files_beside(wal_path) == {"", "-walmanager"}
    other = terminal(wal_path)
    other.shows("q quit")
    screen = terminal(wal_path)
    screen.shows(r"^ ○ No program has test\.db open since \d\d:\d\d:\d\d")
    other.press("q")
    other.shows("EXIT 0")
    screen.shows(r"INSERT INTO t")
    screen.press("q")
    screen.shows("EXIT 0")
    assert files_beside(wal_path) == {"", "-walmanager"}


def test_a_program_that_commits_after_it_was_started_is_seen(wal_path, terminal):
    db = connect(wal_path)
    screen = terminal(wal_path)
    screen.shows("Nothing is counted yet: no program with walmanager has committed to its log")
    db.execute("SELECT wal_application_name('late')").fetchall()
    db.execute("INSERT INTO t VALUES (1, 'x')")
    screen.press("2")
    screen.shows("late +○ idle")
    db.close()


def first_finding(path, **changed):
    """What the second line says, had wal_metrics said something else."""
    with Observer(path, "test", BUILD / "walmanager.so") as observer:
        looked = look.Look(observer)
        looked.refresh(tabs.STATEMENTS)
        looked.metrics.update(changed)
        first = findings.ranked(looked, str(path))[0]
        return first.status, first.sentence


def test_why_nothing_is_counted(wal_path, tmp_path):
    sqlite3.connect(tmp_path / "delete.db").execute("CREATE TABLE t(a)").connection.close()
    status, sentence = first_finding(tmp_path / "delete.db")
    assert status == "warning" and sentence.startswith("journal_mode is delete: only in WAL mode")
    assert first_finding(wal_path) == ("plain", "Nothing is counted yet: no program with walmanager has committed to its log.")
    plain = connect(wal_path, load=None)
    plain.execute("BEGIN")
    plain.execute("SELECT * FROM t").fetchall()
    assert first_finding(wal_path, unmanaged_processes=2) == (
        "warning", "Nothing is counted yet: no program with walmanager has committed to its log. 2 processes have it open: README.md, Load, "
        "says how to load it there.")
    plain.close()
    assert first_finding(wal_path, private_because="the control file x cannot be opened: Permission denied") == (
        "warning", "What is counted cannot be seen: the control file x cannot be opened: Permission denied. Run watch as the application's "
        "user, or with sudo.")


# --- cancel

ENDLESS = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_a_statement_is_cancelled_after_two_questions(wal_path, terminal):
    db = connect(wal_path, check_same_thread=False)
    db.execute("SELECT wal_application_name('runaway')").fetchall()
    db.execute("INSERT INTO t VALUES (1, 'x')")  # makes the control file
    failed = []

    def run():
        try:
            db.execute(ENDLESS).fetchall()
        except sqlite3.OperationalError as error:
            failed.append(str(error))

    runs = threading.Thread(target=run)
    runs.start()
    try:
        refused = terminal(wal_path, "--read-only")
        refused.press("2", "k")
        refused.shows("Cancelling is off")
        screen = terminal(wal_path)
        screen.press("2")
        screen.shows("runaway +● active")
        screen.press("k")
        screen.shows(r"^── cancel ─ WITH RECURSIVE n \(i\)")
        screen.shows(r"^ Cancel the statement of runaway \(pid \d+\)\? y: yes, any other key: no\.$")
        screen.press("n")
        screen.shows("Nothing was cancelled")
        screen.press("k", "y")
        screen.shows(r"^── cancel ─ its program sees \"interrupted\"; a write loses its transaction ──")
        screen.shows(r"^ Really cancel what runaway \(pid \d+\) runs\? Y: yes, any other key: no\.$")
        screen.press("y")  # not Y
        screen.shows("Nothing was cancelled")
        assert runs.is_alive() and not failed
        screen.press("k", "y", "Y")
        screen.shows(r"The statement of runaway \(pid \d+\) was interrupted")
    finally:
        db.interrupt()
        runs.join()
        db.close()
    assert failed == ["interrupted"]


# --- the end

RAISING = """
import runpy, sys
sys.argv = ["watch", sys.argv[1]]
sys.path.insert(0, {scripts!r})
import terminal.program
def press(self, key):
    raise ZeroDivisionError("a bug")
terminal.program.Program._press = press
runpy.run_path({watch!r}, run_name="__main__")
"""


@pytest.mark.parametrize("end", ["q", "TERM", "HUP", "INT", "C-c", "exception"])
def test_the_terminal_is_as_it_was_after_any_end(wal_path, terminal, end):
    command = ["/usr/bin/python3", "-c", RAISING.format(scripts=str(SCRIPTS), watch=str(WATCH)), wal_path] if end == "exception" else None
    screen = terminal(wal_path, command=command)
    screen.shows("q quit")
    assert screen.state("alternate_on") == "1" and screen.state("cursor_flag") == "0"
    if end in ("q", "C-c", "exception"):
        screen.press("q" if end == "q" else end if end == "C-c" else "x")
    else:
        os.kill(screen.pid(), getattr(signal, f"SIG{end}"))
    code = {"q": 0, "exception": 1, "C-c": 128 + signal.SIGINT}.get(end)
    screen.shows(rf"^EXIT {128 + getattr(signal, f'SIG{end}') if code is None else code}$")
    screen.shows("^RESTORED$")
    assert screen.state("alternate_on") == "0" and screen.state("cursor_flag") == "1"
    lines = "\n".join(screen.lines())
    assert ("ZeroDivisionError: a bug" in lines) == ("Traceback" in lines) == (end == "exception")


def test_a_terminal_that_goes_away_ends_it(wal_path, terminal):
    screen = terminal(wal_path)
    screen.shows("q quit")
    pid = screen.pid()
    screen.close()

    def gone():
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rsplit(")")[-1].split()[0] == "Z"
        except OSError:
            return True
    wait_for(gone)


# --- what is in the way: each a sentence

def told(*words, environment=None, interpreter=()):
    done = subprocess.run([*interpreter, WATCH, *words], env={**os.environ, "WALMANAGER_BUILD": str(BUILD), **(environment or {})}, text=True,
                          capture_output=True, timeout=20, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1, done
    return done.stderr.removeprefix("watch: ").strip()


def test_what_is_in_the_way_is_said_in_a_sentence(wal_path, tmp_path):
    assert told(tmp_path / "\x1b[2Jno.db") == f"{tmp_path}/?[2Jno.db does not exist. Name the file of an existing database."
    assert told(tmp_path / "no.db") == f"{tmp_path}/no.db does not exist. Name the file of an existing database."
    assert told(tmp_path) == f"{tmp_path} is not a file. Name the file of a database."
    (tmp_path / "text.db").write_text("This is not a database. " * 100)
    assert told(tmp_path / "text.db").startswith(f"{tmp_path}/text.db is not a SQLite database, or it is encrypted")
    data = bytearray(wal_path.read_bytes())
    data[100:108] = b"\xff" * 8  # the head of its first page
    (tmp_path / "corrupt.db").write_bytes(data)
    assert "corrupt.db is corrupt" in told(tmp_path / "corrupt.db")
    assert told(wal_path, "--library", tmp_path / "none.so") == f"The library {tmp_path}/none.so does not exist."
    assert "Build it with `cmake" in told(wal_path, environment={"WALMANAGER_BUILD": str(tmp_path)})
    (tmp_path / "bad.so").write_bytes(b"\x7fELF")
    assert f"cannot load {tmp_path}/bad.so" in told(wal_path, "--library", tmp_path / "bad.so")
    assert told(wal_path) == "watch needs a terminal. For text in a file: --once."
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad.so", "corrupt.db", "test.db", "text.db"]


def test_a_terminal_that_cannot_be_painted_is_told_which_one_can(wal_path, terminal):
    for name in ("dumb", "nonsense"):
        screen = terminal(wal_path, environment={"TERM": name})
        screen.shows(rf"^watch: the terminal {name} cannot be used: ")
        screen.shows("EXIT 1")


def test_a_python_that_cannot_load_extensions_is_told_which_one_can(wal_path, tmp_path):
    (tmp_path / "sqlite3.py").write_text("class Error(Exception): pass\nclass Connection:\n    def close(self): pass\ndef connect(*_, **__): return Connection()\n")
    (tmp_path / "apsw.py").write_text("raise ImportError('it is not installed')\n")
    sentence = told(wal_path, environment={"PYTHONPATH": str(tmp_path)}, interpreter=["/usr/bin/python3"])
    assert sentence.startswith("This Python's sqlite3 cannot load extensions. Run the script with the system's Python: /usr/bin/python3")


def test_the_program_ends_and_the_file_goes_and_comes_back(wal_path, terminal):
    db = connect(wal_path)
    db.execute("INSERT INTO t VALUES (1, 'x')")
    screen = terminal(wal_path, "--interval", "0.5")
    screen.shows("● All is well|○ |▲")
    screen.shows("INSERT INTO t")
    db.close()
    screen.shows(r"^ ○ No program has test\.db open since")
    moved = wal_path.with_name("moved.db")
    wal_path.rename(moved)
    screen.shows(r"^ ■ What is shown is of \d\d:\d\d:\d\d\. ")
    assert "INSERT INTO t" in "\n".join(screen.lines())
    moved.rename(wal_path)
    screen.shows(r"^ ○ No program has test\.db open since|^ ●")
    screen.press("q")
    screen.shows("EXIT 0")


# --- colours and hostile text

SGR = re.compile(rb"\x1b\[([\d;]*)m")


@pytest.mark.parametrize("colours", [True, False])
def test_eight_colours_at_most_and_none_on_wish(shop, terminal, colours):
    screen = terminal(shop.path, environment={"TERM": "screen-256color", **({} if colours else {"NO_COLOR": "1"})})
    screen.shows("TOTAL%▼")
    screen.press("6")
    screen.shows("── health")
    screen.press("q")
    screen.shows("EXIT 0")
    numbers = {int(number) for sgr in SGR.findall(screen.raw.read_bytes()) for number in sgr.split(b";") if number}
    used = {number for number in numbers if number >= 30}
    assert used <= {*range(30, 38), 39, *range(40, 48), 49}
    assert bool(used - {39, 49}) == colours


EVIL = "\x1b]0;pwned\x07\x1b[31mred\x9b2J\u202etxt\u0301\u200b\t日本語\r\n" + "e\u0301"


def test_hostile_text_does_not_reach_the_terminal(tmp_path, terminal):
    path = tmp_path / "evil\x1b]0;pwned\x07\u202e.db"
    db = connect(path)
    db.execute("PRAGMA journal_mode=WAL").fetchall()
    name = '"' + EVIL + '"'
    db.execute(f"CREATE TABLE {name}(a, {name})")
    db.execute(f"INSERT INTO {name} VALUES (1, 2)")
    assert "\x1b" in one(db, "SELECT group_concat(query) FROM query_performance")
    for columns in (80, 200):
        screen = terminal(path, columns=columns)
        screen.shows("日本語" if columns == 200 else "TOTAL%▼")
        screen.shows("CREATE TABLE")
        for key in "2346":
            screen.press(key)
        screen.press("1", "Enter")
        screen.shows("── statement ")
        screen.press("q")
        screen.shows("EXIT 0")
        raw = screen.raw.read_bytes()
        assert b"\x1b]" not in raw and b"\x1b[31mred" not in raw and b"\x1b[2Jtxt" not in raw
        decoded = raw.decode()
        assert not set(decoded) & {"\x07", "\x9b", "\u202e", "\u0301", "\u200b", "\t"} and ("日本語" in decoded or columns == 80)
    db.close()


def test_clean_text_is_printable_and_its_width_known():
    for begin in range(0, 0x30000, 61):
        shown = text.clean("".join(map(chr, range(begin, min(begin + 61, 0x110000)))))
        assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"}
        assert "\n" not in shown and text.width(text.fit(shown, 40)) == 40
    assert text.clean(EVIL) == "?]0;pwned??[31mred?2Jtxt 日本語  é"
    text.trust_widths(lambda code: 1)
    try:
        assert text.clean("é日é") == "é?é"  # the terminal's library takes it for narrow
    finally:
        text.trust_widths(None)
    assert text.clean("a\udcffb\ufffd") == "a?b\ufffd" and text.clean(None) == "" and text.clean(5) == "5"
    assert len(text.clean("x" * 1_000_000)) == 20_000
    assert [text.fit("日本語", cells) for cells in (2, 3, 4, 6, 7)] == ["… ", "日…", "日… ", "日本語", "日本語 "]
    assert text.wrap("one two 日本語 four", 7) == ["one two", "日本語", "four"] and text.wrap("abcdefgh", 3) == ["abc", "def", "gh"]
    assert text.as_ascii("● 日 ▇…") == "* ?? #~"


# --- parts

class PressedKeys:
    """A screen of changing size whose user presses keys at random."""

    KEYS = ["1", "2", "3", "4", "5", "6", "\t", "KEY_BTAB", "s", "S", "r", "/", "a", "*", "\n", "\x1b", "p", " ", "k", "y", "Y", "?", "g", "G", "KEY_UP",
            "KEY_DOWN", "KEY_NPAGE", "KEY_PPAGE", "KEY_LEFT", "KEY_BACKSPACE", "\x15", "KEY_F(5)", "KEY_RESIZE", None]

    def __init__(self, seed, presses):
        self._chance, self.left, self._size, self.frames = random.Random(seed), presses, (24, 80), 0

    def size(self):
        return self._size

    def paint(self, frame):
        self.frames += 1
        for line in frame:
            for piece, style in line:
                assert style in STYLES and piece == text.clean(piece), (piece, style)
        assert len(frame) == max(6, self._size[0])

    def repaint(self):
        pass

    def wait(self, _seconds):
        self.left -= 1
        if self.left < 0:
            raise Ended(0)
        key = self._chance.choice(self.KEYS)
        if key == "KEY_RESIZE":
            self._size = self._chance.choice([(24, 80), (50, 200), (7, 20), (1, 1), (30, 100), (3, 400)])
        return key

    def pending(self):
        return None


@pytest.mark.parametrize("what", ["shop", "empty"])
def test_no_key_and_no_size_is_too_much(shop, tmp_path, monkeypatch, what):
    monkeypatch.setattr(program, "KEY_FRAME_S", 0)
    path = shop.path if what == "shop" else tmp_path / "empty.db"
    if what == "empty":
        connect(path, load=None).close()
        path.touch()
    with Observer(path, "test", BUILD / "walmanager.so") as observer:
        looked = look.Look(observer)
        for seed in range(3):
            screen = PressedKeys(seed, 200)
            # No statement is cancelled here.
            running = program.Program(screen, looked, str(path), 0.1, may_cancel=False)
            with pytest.raises(Ended):
                running.run()
            assert screen.frames > 10


def test_a_directory_that_may_not_be_written_is_named(tmp_path):
    said = str(Observer(tmp_path / "app.db", "watch", "none")._explained(sqlite3.OperationalError("attempt to write a readonly database")))
    assert "the -shm file must be made" in said and "run as the application's user" in said


def test_numbers_have_three_digits_and_their_unit():
    assert [text.milliseconds(ms) for ms in (None, 0, 0.00058, 0.0157, 0.42, 12.44, 999.4, 1204, 99_000, 400_000, 8e7)] == [
        "-", "0", "0.58µs", "15.7µs", "0.42ms", "12.4ms", "999ms", "1.20s", "99.0s", "6.67min", "22.2h"]
    assert [text.size(bytes_) for bytes_ in (0, 512, 1536, 64 << 20, 5 << 30)] == ["0B", "512B", "1.54kB", "67.1MB", "5.37GB"]
    assert [text.count(number) for number in (0, 999, 14893, 1234567, 5e9)] == ["0", "999", "14,893", "1.23M", "5.00G"]
    assert [text.rate(number) for number in (None, 0, 0.251, 12, 812, 14893)] == ["-", "0", "0.25", "12.0", "812", "14,893"]
    assert [text.bar(share, 4) for share in (None, 0, 0.5, 1, 7)] == ["░░░░", "░░░░", "▇▇░░", "▇▇▇▇", "▇▇▇▇"]


def test_rates_come_from_two_answers():
    rates = look.Rates()
    rows = [{"key": 1, "calls": 10}]
    rates.add("t", rows, "key", ("calls",), 5.0)
    assert rows[0]["calls_per_s"] is None
    rows = [{"key": 1, "calls": 30}, {"key": 2, "calls": 8}]
    rates.add("t", rows, "key", ("calls",), 7.0)
    assert [row["calls_per_s"] for row in rows] == [10, 4]
    rows = [{"key": 1, "calls": 3}]  # it was reset
    rates.add("t", rows, "key", ("calls",), 8.0)
    assert rows[0]["calls_per_s"] == 0


def test_updates_take_a_hundredth_of_a_processor_at_most():
    now, used = [0.0], [0.0]
    budget = program.Budget(clock=lambda: now[0], cpu=lambda: used[0])
    updates = 0
    while now[0] < 600:
        used[0] += 0.04  # four times what one update a second may take
        updates += 1
        now[0] = max(now[0] + 1, budget.earliest())
    assert 0.9 * 600 * 0.008 < used[0] < 600 * 0.01 and updates == pytest.approx(120, rel=0.25)


def test_titles_have_room_for_the_mark_of_the_order():
    assert [column.title for tab in tabs.ALL for column in tab.columns if column.cells and len(column.title) >= column.cells] == []
    for tab in tabs.ALL:  # and something is left for the last column at 80
        assert dict((column.title, cells) for column, cells in view.columns_of(tab, 80))[next(c.title for c in tab.columns if not c.cells)] >= 8


def test_the_columns_that_the_help_explains_exist(db):
    known = set(db.execute("SELECT name || '.' || member FROM wal_help WHERE kind LIKE '%column'").fetchall())
    named = {column.about for tab in tabs.ALL for column in tab.columns if re.fullmatch(r"\w+\.\w+", column.about)}
    there = {name for (name,) in known}
    assert named - there <= {name for name in named if name.startswith("wal_io.")}
    assert all(column.about for tab in tabs.ALL for column in tab.columns)


def test_sql_of_the_tables_reads_as_on_a_connection_of_its_own():
    assert portable(f'CREATE INDEX "{SCHEMA}"."i" ON t(a)') == 'CREATE INDEX "i" ON t(a)'
    assert portable(f'ANALYZE "{SCHEMA}"') == 'ANALYZE "main"'
    assert portable(f"SELECT wal_integrity_check('quick', '{SCHEMA}')") == "SELECT wal_integrity_check('quick')"


def test_a_line_of_bars_has_gaps_where_nothing_is_known():
    assert text.sparkline([], 5) == "" and text.sparkline([None, 0, 0], 5) == " ▁▁"
    assert text.sparkline([99, 0, 50, None, 100], 4) == "▁▅ █"


def test_times_are_in_the_zone_of_the_one_who_looks(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert text.local_time("2026-11-30 19:58:36.123") == "2026-12-01 04:58:36"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert text.local_time(None) == "-" and text.local_time("\x1b") == "?"


def test_the_files_are_shown_with_their_rates_and_times():
    row = {"schema": "main", "file": "wal", "origin": "application", "reads": 10, "read_bytes": 40960, "read_ms": 1.0, "writes": 200,
           "written_bytes": 819200, "write_ms": 3.0, "syncs": 4, "sync_ms": 8.0, "sync_p50_ms": 2.0, "sync_p99_ms": 12.44, "sync_max_ms": 12.5,
           "errors": 1, "last_error": "SQLITE_IOERR_WRITE: No space left on device\x1b[2J", "last_error_at": "2026-11-30 19:58:36.123"}
    rates = look.Rates()
    for writes, now in ((100, 1.0), (200, 3.0)):
        row["writes"], row["key"] = writes, tabs.IO.identity(row)
        rates.add("5", [dict(row)] if now == 1 else [row], "key", tabs.IO.counters, now)
    rows = tabs.IO.rows(None, [row])
    shown = ["".join(piece for piece, _ in line) for line in view.table(tabs.IO, rows, 200, 10, tabs.IO.columns[0], False, 0, 0, False)]
    assert re.match(r" FILE△ +BY +READS/s ", shown[0]) and len(shown) == 2
    assert re.match(r" wal +application +0 +0B +0\.10ms +50\.0 +0B +15\.0µs +0 +2\.00ms +12\.4ms +12\.5ms +1 SQLITE_IOERR_WRITE: No space left on device\?\[2J", shown[1])


def test_a_histogram_has_a_line_for_each_doubling():
    classes = [[0.016384, 2], [0.018432, 10], [0.03072, 20], [0.032768, 5], [0.131072, 1], [4.1943, 2]]
    shown = ["".join(piece for piece, _ in line) for line in pages.histogram(classes, 60)]
    assert [line.split()[:3] for line in shown[3:]] == [
        ["16.4µs", "2", "5.0"], ["32.8µs", "35", "87.5"], ["65.5µs", "0", "0.0"], ["0.13ms", "1", "2.5"], ["0.26ms", "0", "0.0"],
        ["0.52ms", "0", "0.0"], ["1.05ms", "0", "0.0"], ["2.10ms", "0", "0.0"], ["4.19ms", "2", "5.0"]]
    assert [line.count("▇") for line in shown[3:]] == [1, 20, 0, 1, 0, 0, 0, 0, 1]
    long = pages.histogram([[0.001, 1], [1.0, 3], [60000.0, 1]], 100)
    assert len(long) <= 3 + pages.LONGEST_HISTOGRAM + 1 and sum(int("".join(piece for piece, _ in line).split()[1]) for line in long[3:]) == 5
    assert pages.histogram([[0.0, 5]], 80) == []


def test_a_connection_that_may_hold_two_marks_is_named_for_one():
    looked = look.Look(None)
    reader = {"application": None, "process": "p", "pid": 1, "blocks": "checkpoint", "certain": 0, "verdict": "open transaction", "query": "SELECT ?"}
    looked.readers = [{**reader, "slot": slot, "lag_frames": lag, "connection_id": connection, "transaction_ms": ms}
                      for slot, lag in ((1, 0), (2, 900)) for connection, ms in ((7, 9000.0), (8, 2000.0))]
    assert [(row["slot"], row["connection_id"], others) for row, others in findings.log_holders(looked)] == [(2, 7, 1), (1, 8, 0)]
    assert [finding.sentence for finding in findings.now(looked)] == [
        "p (pid 1) or 1 more may hold the log for 9.00s (open transaction): SELECT ?", "p (pid 1) may hold the log for 2.00s (open transaction): SELECT ?"]


def test_a_screen_becomes_a_picture():
    lines = ["\x1b[1m app.db  \x1b[0m\x1b[30m\x1b[43m <▲> \x1b[39m\x1b[49m & \x1b[0;7mchosen", "still \x1b[0mnot", ""]
    drawn = ElementTree.fromstring(picture.svg(lines, 30))
    texts = [(text.text, text.get("fill"), text.get("font-weight")) for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [(" app.db  ", picture.INK, "bold"), (" <▲> ", picture.COLOURS[0], None), (" & ", picture.INK, None), ("chosen", picture.PAPER, None),
                     ("still ", picture.PAPER, None), ("not", picture.INK, None)]
    boxes = [box.get("fill") for box in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    assert boxes == [picture.PAPER, picture.COLOURS[3], picture.INK, picture.INK]


def test_the_check_says_how_bad_a_held_log_is():
    looked = look.Look(None)
    looked.metrics = {"private_because": None, "journal_mode": "wal"}
    looked.readers = [{"application": "report", "process": "p", "pid": 1, "blocks": "checkpoint", "certain": 1, "verdict": "running query", "query": "SELECT ?",
                       "slot": 1, "lag_frames": 5, "connection_id": 7, "transaction_ms": 9000.0}]
    looked.health = [{"check_name": name, "status": status, "detail": "d", "recommendation": None}
                     for name, status in (("log_pinned", "critical"), ("disk_free", "warning"), ("wal_size", "critical"), ("threads", "ok"))]
    assert [(finding.status, finding.name) for finding in findings.ranked(looked, "x.db")] == [
        ("critical", "log"), ("critical", "wal_size"), ("warning", "disk_free")]
    looked.readers, looked.alone_since = [], 5.0  # the program was killed
    assert [(finding.status, finding.name) for finding in findings.ranked(looked, "x.db")] == [
        ("critical", "log_pinned"), ("critical", "wal_size"), ("plain", "alone"), ("warning", "disk_free")]
