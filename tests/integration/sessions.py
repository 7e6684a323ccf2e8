"""Sessions of the sqlite3 shell as the READMEs show them: read, played again, and compared."""

import re
import select
import subprocess
import sys
import time

from conftest import EXTENSION, connect, one
from waiting import ask_until

PROMPT, MORE = "sqlite> ", "   ...> "
# Columns whose numbers the program below determines; all other numbers change from run to run.
STABLE = {"active_readers", "calls", "commits", "fullscan_steps", "processes", "rows"}
# Their rows depend on the machine, too: what is shown must be there, in this order.
OPEN_ENDED = ("system_health", "wal_recommendations")


class OrdersProgram:
    """A program that has served orders, and whose nightly report has forgotten a cursor."""

    def __init__(self, path):
        connect(path, load=None).execute("PRAGMA journal_mode=WAL").fetchall()
        self.path = path
        self.db = connect(path)
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER, total REAL, note TEXT)")
        self.db.execute("BEGIN")
        self.db.executemany("INSERT INTO orders (customer, total, note) VALUES (?, ?, ?)",
                            ((i % 500, i % 97 + 0.5, "n" * (i % 90)) for i in range(20000)))
        self.db.execute("COMMIT")
        for customer in range(300):
            self.db.execute("SELECT sum(total) FROM orders WHERE customer = ?", (customer,)).fetchall()
        self.report = connect(path)
        self.report.execute("SELECT wal_application_name('nightly report')").fetchall()
        self.forgotten = self.report.execute("SELECT id, note FROM orders WHERE total > ? ORDER BY id", (10,))
        self.forgotten.fetchone()
        for order in range(1, 1001):
            self.db.execute("UPDATE orders SET total = total + ? WHERE id = ?", (1, order))
        self._wait_for("SELECT count(*) FROM wal_checkpoints WHERE result = 'partial'", 1)
        self._wait_for("SELECT count(*) FROM wal_history WHERE resolution_ms = 1000 AND health_score IS NOT NULL", 2)
        self._wait_for("SELECT max(value) FROM system_health WHERE check_name = 'unfinished_statement'", 1500)

    def _wait_for(self, count, least):
        watcher = connect(self.path)
        end = time.monotonic() + 20
        while (one(watcher, count) or 0) < least:
            assert time.monotonic() < end, count
            time.sleep(0.2)
        watcher.close()

    def close(self):
        self.forgotten.close()
        self.report.close()
        self.db.close()


MEMBER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[2], isolation_level=None, timeout=60)
db.enable_load_extension(True)
db.load_extension(sys.argv[1])
db.execute("PRAGMA synchronous=NORMAL")
db.execute("SELECT wal_application_name(?)", (sys.argv[3],)).fetchall()
for line in sys.stdin:
    try:
        db.execute(line).fetchall()
        print("done", flush=True)
    except sqlite3.OperationalError as error:
        print(error, flush=True)
"""


class Member:
    """A process with a connection of that name."""

    def __init__(self, path, name):
        self._process = subprocess.Popen([sys.executable, "-c", MEMBER, EXTENSION, str(path), name], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def begin(self, sql):
        self._process.stdin.write(sql + "\n")
        self._process.stdin.flush()

    def answer(self):
        answers = select.select([self._process.stdout], [], [], 10)[0]
        return self._process.stdout.readline().strip() if answers else "no answer"

    def run(self, sql):
        self.begin(sql)
        return self.answer()

    def kill(self):
        self._process.kill()

    def close(self):
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


class StockProgram:
    """Processes: an import that is idle in its transaction, an order that waits for it, a report that has given up, and
    one that runs a long query."""

    def __init__(self, path):
        self.path = path
        db = connect(path)
        for sql in ("PRAGMA journal_mode=WAL", "CREATE TABLE stock(item INTEGER PRIMARY KEY, pieces INTEGER)",
                    "INSERT INTO stock VALUES (1, 10), (2, 20)"):
            db.execute(sql).fetchall()
        self._import, self._order, self._daily, self._yearly = self._members = [
            Member(path, name) for name in ("import", "web order", "daily report", "yearly report")]
        self._import.run("BEGIN")
        self._import.run("UPDATE stock SET pieces = 30 WHERE item = 2")
        self._daily.run("PRAGMA busy_timeout=100")
        assert self._daily.run("DELETE FROM stock WHERE pieces = 0") == "database is locked"
        self._order.begin("UPDATE stock SET pieces = pieces - 1 WHERE item = 1")
        self._yearly.begin("WITH RECURSIVE day(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM day WHERE n < 1e12) "
                           "SELECT max(pieces * n) FROM stock, day")
        # So that what is shown of it is in seconds, and a warning.
        ask_until(lambda: one(db, "SELECT coalesce(max(waiting_ms), 0) FROM connection_metrics"), lambda ms: ms > 1100, 20)
        db.close()

    def close(self, was_ended=True):
        """The order gets what it waits for. The yearly report has been ended, or is killed."""
        answers = [self._import.run("COMMIT"), self._order.answer()]
        if was_ended:
            answers.append(self._yearly.answer())
        else:
            self._yearly.kill()
        for member in self._members:
            member.close()
        assert answers == ["done", "done", "interrupted"][:len(answers)]


def steps(text, database="app.db"):
    """(dot commands before it, statement, lines shown after it) of each statement of a document's sessions."""
    found = []
    for block in re.findall(r"```\n(\$ sqlite3 " + re.escape(database) + r"\n.*?)```", text, re.DOTALL):
        dots, inputs = [], []
        for line in block.splitlines()[1:]:
            if line.startswith(PROMPT + "."):
                dots.append(line[len(PROMPT):])
            elif line.startswith(PROMPT):
                inputs.append([list(dots), line[len(PROMPT):], []])
            elif line.startswith(MORE):
                inputs[-1][1] += "\n" + line[len(MORE):]
            else:
                inputs[-1][2].append(line)
        found += [tuple(step) for step in inputs]
    return found


def play(path, dots, statement):
    """What the shell shows for one statement."""
    commands = [dot.replace("./walmanager", f'"{EXTENSION}"') for dot in dots]
    shell = subprocess.run(["sqlite3", "-batch", "-init", "/dev/null", str(path)], text=True, timeout=60, check=False,
                           input="\n".join(commands + [statement]) + "\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return re.sub(r"error near line \d+", "error", shell.stdout).splitlines()


def cells(line):
    return [cell.strip() for cell in line.strip("│").split("│")]


def table(lines):
    """Header and rows of a box; a row that the shell has wrapped is joined."""
    rules = sum(line.startswith("├") for line in lines)
    header, rows, begins = cells(lines[1]), [], True
    for line in lines[3:-1]:
        if line.startswith("├"):
            begins = True
        elif begins or rules == 1:
            rows.append(cells(line))
            begins = False
        else:
            rows[-1] = [" ".join(filter(None, pair)) for pair in zip(rows[-1], cells(line))]
    if len(header) == 1 and rules == 1:  # no line shows where a row of several lines ends
        rows = [[" ".join(cell for row in rows for cell in row)]]
    return header, rows


def without_numbers(text):
    return re.sub(r"\d+(?:\.\d+)*", "#", text)


def masked(statement, header, row):
    """The row without what changes from run to run: its numbers, except in stable columns."""
    stable = set() if "wal_history" in statement else STABLE
    return [cell if name in stable else without_numbers(cell).replace("# warnings", "# warning")
            for name, cell in zip(header, row)]


def difference(statement, documented, shown):
    """Empty where the shell has shown what the document shows."""
    if not documented[0].startswith("┌"):
        return "" if documented == shown else f"{statement}\n  documented: {documented}\n  shown: {shown}"
    if not shown or not shown[0].startswith("┌"):
        return f"{statement}\n  shown: {shown}"
    header, wanted = table(documented)
    header_now, rows = table(shown)
    wanted, rows = ([masked(statement, header, row) for row in some] for some in (wanted, rows))
    if any(name in statement for name in OPEN_ENDED):
        rest = iter(rows)
        same = all(row in rest for row in wanted)
    else:  # joined, since where the shell wraps a row depends on the length of numbers
        joined, joined_now = ([" ".join(filter(None, column)) for column in zip(*some)] for some in (wanted, rows))
        same = joined == joined_now
    return "" if same and header == header_now else f"{statement}\n  documented: {header} {wanted}\n  shown: {header_now} {rows}"
