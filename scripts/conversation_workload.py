#!/usr/bin/python3
"""Makes a conversation database and works on it: writers and readers at once, each on a connection
of its own, as in a live application.

What is written depends on --seed alone, not on how the workers happen to interleave. Statements and
schema are sql/workloads/conversation/*.sql. Standard library only; the interpreter must be able to
load SQLite extensions, which Debian's /usr/bin/python3 is, and a pyenv build is not.
"""

import argparse
import datetime
import json
import math
import multiprocessing
import os
import pathlib
import random
import sqlite3
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKLOAD = ROOT / "sql" / "workloads" / "conversation"
APPLICATION_ID = 2002873453  # as in schema.sql

BUSY_TIMEOUT_S = 30
READER_PAUSE_S = 0.005
BATCH_MESSAGES = 25
BATCH_CHANCE = 0.01  # of a turn; about a fifth of the messages arrive in batches
PENDING_CHANCE = 0.2  # of a tool use: finished later, in a transaction of its own

MODELS = ["small", "medium", "large"]
TOOLS = ["read_file", "edit_file", "run_command", "search_code", "fetch_page"]
WORDS = """the a to of and in is it that this for with as on not be at by from or are we you can if
then so but when which file test function value error table index query commit page frame reader
writer thread lock wait time change build line write read check result message column database
checkpoint pending because should would returns before after every still only once again""".split()

# The statements that readers run, and how often relative to each other.
READS = {
    "latest_messages": 30,
    "messages_since": 10,
    "latest_user_messages": 10,
    "latest_by_role": 5,
    "latest_messages_with_tools": 15,
    "recent_conversations": 15,
    "search_conversation": 3,
    "failed_tool_uses": 5,
    "slowest_successes": 5,
    "tool_statistics": 1,
    "analytics_roles": 0.2,
    "analytics_hours": 0.2,
    "analytics_projects": 0.5,
    "analytics_response_times": 0.5,
    "analytics_tool_pairs": 1,
    "analytics_growth": 1,
}

# Indexes into a worker's counters: an array that only it writes and the main process reads.
MESSAGES, TOOL_USES, COMMITS, READ, SLOWEST_NS = range(5)


def read_statements(path):
    """The named statements of a workload file, whose head says the format."""
    statements, name = {}, None
    for line in path.read_text().splitlines():
        if line.startswith("-- name: "):
            name = line[len("-- name: "):]
            statements[name] = ""
        elif line and not line.startswith("--"):
            statements[name] += line + "\n"
    return statements


def connect(options, application):
    """A configured connection, with the extension unless the options exclude it."""
    db = sqlite3.connect(options.database, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    if options.extension:
        db.enable_load_extension(True)
        db.load_extension(options.extension)
        db.enable_load_extension(False)
    functions = {row[0] for row in db.execute("SELECT name FROM pragma_function_list")}
    if "wal_application_name" in functions:
        db.execute("SELECT wal_application_name(?)", [application]).fetchall()
    if "wal_configure" in functions:
        db.execute("SELECT wal_configure('conversation')").fetchall()
    else:
        for pragma in ["journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"]:
            db.execute("PRAGMA " + pragma).fetchall()
    return db


class Writing:
    """Deterministic text of realistic length: slices of one long line of words."""

    def __init__(self, seed):
        self.words = " ".join(random.Random(seed).choices(WORDS, k=30000))

    def text(self, rng, median, longest=20000):
        length = min(int(rng.lognormvariate(math.log(median), 0.8)) + 1, longest)
        start = rng.randrange(len(self.words) - length)
        return self.words[start:start + length]

    def tool_use(self, rng, at):
        failed = rng.random() < 0.08
        return {
            "tool": rng.choice(TOOLS),
            "status": "error" if failed else "success",
            "input": json.dumps({"argument": self.text(rng, 60, 2000)}),
            "output": self.text(rng, 80 if failed else 400),
            "duration_ms": round(rng.lognormvariate(math.log(120), 1.2), 3),
            "started_at": at,
        }

    def turns(self, seed, conversation, messages):
        """The messages of a conversation, as lists: each list is one transaction's."""
        rng = random.Random(f"{seed}/{conversation}")
        clock = datetime.datetime(2025, 1, 6, 8) + datetime.timedelta(hours=5 * conversation)
        written = 0
        while written < messages:
            batch = BATCH_MESSAGES if rng.random() < BATCH_CHANCE else 1
            turn = []
            for number in range(written, min(written + batch, messages)):
                role = "system" if number == 0 else "user" if number % 2 else "assistant"
                clock += datetime.timedelta(seconds=rng.expovariate(1 / (90 if role == "user" else 8)))
                at = clock.isoformat(sep=" ", timespec="milliseconds")
                content = self.text(rng, {"system": 1500, "user": 140, "assistant": 600}[role])
                uses = rng.choices([0, 1, 2, 3], [50, 30, 15, 5])[0] if role == "assistant" else 0
                turn.append({
                    "role": role,
                    "content": content,
                    "tokens": len(content) // 4 + 1,
                    "created_at": at,
                    "tool_uses": [self.tool_use(rng, at) for _ in range(uses)],
                })
            written += len(turn)
            yield turn


def write_turn(db, sql, conversation_id, turn, rng, counters):
    """One transaction: messages, their tool uses, and the conversation's own row."""
    pending = []
    db.execute(sql["begin"])
    if len(turn) == 1:
        message_id = db.execute(sql["insert_message"],
                                {"conversation_id": conversation_id, **turn[0]}).lastrowid
        for use in turn[0]["tool_uses"]:
            first = dict(use, message_id=message_id)
            if rng.random() < PENDING_CHANCE:
                first.update(status="pending", output=None, duration_ms=None)
            use_id = db.execute(sql["insert_tool_use"], first).lastrowid
            if first["status"] == "pending":
                pending.append(dict(use, tool_use_id=use_id))
    else:
        last_id = db.execute(sql["insert_messages"],
                             {"conversation_id": conversation_id,
                              "messages": json.dumps(turn)}).lastrowid
        # This connection holds the write lock, so the ids of the batch follow each other.
        uses = [dict(use, message_id=message_id)
                for message_id, message in enumerate(turn, last_id - len(turn) + 1)
                for use in message["tool_uses"]]
        db.execute(sql["insert_tool_uses"], {"tool_uses": json.dumps(uses)})
    db.execute(sql["touch_conversation"],
               {"conversation_id": conversation_id, "updated_at": turn[-1]["created_at"],
                "messages": len(turn), "tokens": sum(message["tokens"] for message in turn)})
    # Only COMMIT is timed, which has the write lock already: the others also wait for other writers.
    start = time.monotonic_ns()
    db.execute(sql["commit"])
    counters[SLOWEST_NS] = max(counters[SLOWEST_NS], time.monotonic_ns() - start)
    for use in pending:
        db.execute(sql["finish_tool_use"], use)
    counters[MESSAGES] += len(turn)
    counters[TOOL_USES] += sum(len(message["tool_uses"]) for message in turn)
    counters[COMMITS] += 1 + len(pending)


def write(options, worker, conversations, counters, failed):
    """A writer: works on its conversations, {number: id}, all of them live at the same time."""
    try:
        sql = read_statements(WORKLOAD / "workload.sql")
        writing = Writing(options.seed)
        rng = random.Random(f"{options.seed}/writer/{worker}")
        db = connect(options, f"writer {worker}")
        live = [(conversation_id, writing.turns(options.seed, number, options.messages))
                for number, conversation_id in conversations.items()]
        while live and not failed.is_set():
            position = rng.randrange(len(live))
            conversation_id, turns = live[position]
            turn = next(turns, None)
            if turn:
                write_turn(db, sql, conversation_id, turn, rng, counters)
                time.sleep(options.think_ms / 1000)
                last_at = turn[-1]["created_at"]
            else:
                db.execute(sql["rename_conversation"],
                           {"conversation_id": conversation_id, "updated_at": last_at,
                            "title": writing.text(rng, 40, 80)})
                counters[COMMITS] += 1
                del live[position]
        db.close()
    except BaseException:
        failed.set()
        raise


def read(options, worker, projects, conversations, counters, failed, done):
    """A reader: runs statements until the writers are done."""
    try:
        sql = read_statements(WORKLOAD / "workload.sql")
        rng = random.Random(f"{options.seed}/reader/{worker}")
        db = connect(options, f"reader {worker}")
        names, weights = list(READS), list(READS.values())
        while not done.wait(READER_PAUSE_S):
            db.execute(sql[rng.choices(names, weights)[0]], {
                "project_id": rng.choice(projects),
                "conversation_id": rng.choice(conversations),
                "role": rng.choice(["user", "assistant"]),
                "tool": rng.choice(TOOLS),
                "since": f"2025-01-{rng.randint(6, 20):02}",
                "pattern": f"%{rng.choice(WORDS)} {rng.choice(WORDS)}%",
                "limit": 20,
            }).fetchall()
            counters[READ] += 1
        db.close()
    except BaseException:
        failed.set()
        raise


def set_up(db, options):
    """The schema, and the projects and conversations to fill: ([project id], {number: id})."""
    sql = read_statements(WORKLOAD / "workload.sql")
    db.executescript((WORKLOAD / "schema.sql").read_text())
    rng = random.Random(options.seed)
    writing = Writing(options.seed)
    db.execute(sql["begin"])
    projects = [db.execute(sql["insert_project"], {
        "name": f"project {number + 1}", "description": writing.text(rng, 100, 400),
        "created_at": "2025-01-06 08:00:00.000"}).lastrowid
        for number in range(max(1, options.conversations // 10))]
    conversations = {number: db.execute(sql["insert_conversation"], {
        "project_id": rng.choice(projects), "title": "New conversation",
        "model": rng.choice(MODELS), "created_at": "2025-01-06 08:00:00.000"}).lastrowid
        for number in range(options.conversations)}
    db.execute(sql["commit"])
    return projects, conversations


class Progress:
    """One line on stderr: rewritten in place on a terminal, else one line for every tenth."""

    def __init__(self, total):
        self.total, self.start, self.shown = total, time.monotonic(), None

    def show(self, done, wal_bytes):
        live = sys.stderr.isatty()
        percent, seconds = 100 * done // self.total, time.monotonic() - self.start
        step = (percent == 100, seconds // 0.2) if live else percent // 10
        if step == self.shown:
            return
        self.shown = step
        rate = done / seconds
        line = (f"{percent:3d} %  {done:,} of {self.total:,} messages  {rate:,.0f}/s  "
                f"-wal {wal_bytes / 2**20:.1f} MiB")
        print(f"\r{line}\x1b[K" if live else line, end="" if live else "\n", file=sys.stderr, flush=True)

    def finish(self):
        if sys.stderr.isatty():
            print(file=sys.stderr)


def wal_size(database):
    try:
        return os.stat(database + "-wal").st_size  # stat, never open: that would drop SQLite's locks
    except FileNotFoundError:
        return 0


def run(db, options):
    """Sets up, works, and prints the summary."""
    start = time.monotonic()
    projects, conversations = set_up(db, options)
    # Spawned, not forked: a connection must not be carried through a fork.
    context = multiprocessing.get_context("spawn")
    start_worker = threading.Thread if options.threads else context.Process
    failed, done = context.Event(), context.Event()
    counters = [context.RawArray("q", 5) for _ in range(options.writers + options.readers)]
    writers = [start_worker(target=write, daemon=True, args=(
        options, worker + 1,
        {number: id_ for number, id_ in conversations.items() if number % options.writers == worker},
        counters[worker], failed)) for worker in range(options.writers)]
    readers = [start_worker(target=read, daemon=True, args=(
        options, worker + 1, projects, list(conversations.values()),
        counters[options.writers + worker], failed, done)) for worker in range(options.readers)]

    def total(what):
        return sum(worker[what] for worker in counters)

    progress = Progress(options.conversations * options.messages)
    largest_wal = 0
    for worker in readers + writers:
        worker.start()
    working = True
    while working:
        working = any(worker.is_alive() for worker in writers)
        wal_bytes = wal_size(options.database)
        largest_wal = max(largest_wal, wal_bytes)
        progress.show(total(MESSAGES), wal_bytes)
        time.sleep(0.02)
    done.set()
    progress.finish()
    for worker in readers + writers:
        worker.join()
    seconds = time.monotonic() - start

    # Read from the database, not from the workers: a worker that was killed cannot report.
    ids = json.dumps(list(conversations.values()))
    messages, tool_uses = db.execute(
        "SELECT count(DISTINCT m.id), count(t.id) FROM messages m LEFT JOIN tool_uses t ON t.message_id = m.id"
        " WHERE m.conversation_id IN (SELECT value FROM json_each(?))", [ids]).fetchone()
    if failed.is_set() or messages != progress.total or tool_uses != total(TOOL_USES):
        sys.exit(f"the workload failed: {messages:,} of {progress.total:,} messages were written")
    commits = total(COMMITS) + 1
    figures = {
        "largest_log_mib": largest_wal / 2**20,
        "commits_per_s": commits / seconds,
        "slowest_commit_ms": max(worker[SLOWEST_NS] for worker in counters) / 1e6,
    }
    print(f"{len(projects)} projects, {len(conversations)} conversations, {messages:,} messages, "
          f"{tool_uses:,} tool uses:\n"
          f"{commits:,} commits and {total(READ):,} reads in {seconds:.1f} s "
          f"({commits / seconds:,.0f} commits/s), largest -wal {largest_wal / 2**20:.1f} MiB "
          f"{'with' if options.extension else 'without'} walmanager", flush=True)
    if options.figures:
        pathlib.Path(options.figures).write_text(json.dumps(figures))
    if options.beside:
        print_side_by_side(json.loads(pathlib.Path(options.beside).read_text()), figures, options)


def print_side_by_side(bare, loaded, options):
    """The figures of a run on bare SQLite beside those of this run."""
    lines = [("", "bare SQLite", "with walmanager"),
             ("largest log", f"{bare['largest_log_mib']:.1f} MiB", f"{loaded['largest_log_mib']:.1f} MiB"),
             ("commits a second", f"{bare['commits_per_s']:,.0f}", f"{loaded['commits_per_s']:,.0f}"),
             ("slowest commit", f"{bare['slowest_commit_ms']:.1f} ms", f"{loaded['slowest_commit_ms']:.1f} ms")]
    print(f"\n== Side by side: the same work of {options.writers} writers and {options.readers} readers")
    for name, before, now in lines:
        print(f"{name:16}  {before:>15}  {now:>15}".rstrip(), flush=True)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])

    def at_least(least):
        def parse(text):
            if int(text) < least:
                raise argparse.ArgumentTypeError(f"{text} is less than {least}")
            return int(text)
        return parse

    parser.add_argument("database", help="made if it is not there; more is added to one made earlier")
    parser.add_argument("--conversations", type=at_least(1), default=50)
    parser.add_argument("--messages", type=at_least(1), default=1000, help="in each conversation (default 1000)")
    parser.add_argument("--writers", type=at_least(1), default=2)
    parser.add_argument("--readers", type=at_least(0), default=2)
    parser.add_argument("--threads", action="store_true", help="workers are threads of one process")
    parser.add_argument("--think-ms", type=float, default=0, help="a writer's pause after each turn (default 0)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--extension", metavar="FILE", default=str(ROOT / "build" / "walmanager.so"))
    parser.add_argument("--no-extension", dest="extension", action="store_const", const=None,
                        help="bare SQLite, to compare")
    parser.add_argument("--figures", metavar="FILE", help="writes what was measured, as JSON")
    parser.add_argument("--beside", metavar="FILE", help="shows the figures of an earlier run beside this one's")
    parser.add_argument("--then", nargs=argparse.REMAINDER, metavar="COMMAND",
                        help="run at the end, with the database still open here")
    parser.add_argument("--check", action="store_true", help="only says where the database is not one of this workload")
    options = parser.parse_args()
    options.database = os.path.abspath(options.database)
    if options.extension:
        options.extension = os.path.abspath(options.extension)
        if not os.path.exists(options.extension):
            parser.error(f"{options.extension} is not there: build it, or use --no-extension")
        if not hasattr(sqlite3.Connection, "enable_load_extension"):
            parser.error(f"{sys.executable} cannot load SQLite extensions: use /usr/bin/python3")
    return options


def refuse_foreign(database):
    """Ends the program before anything is changed if the file is not a conversation database."""
    if not os.path.exists(database) or not os.path.getsize(database):
        return
    db = sqlite3.connect(pathlib.Path(database).as_uri() + "?mode=ro", uri=True)
    try:
        is_conversation = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    except sqlite3.DatabaseError:
        is_conversation = False
    db.close()
    if not is_conversation:
        sys.exit(f"{database} is not a database of this workload, and nothing was changed: name a file that is not there yet")


def main():
    options = parse_options()
    refuse_foreign(options.database)
    if options.check:
        return
    db = connect(options, "workload")
    run(db, options)
    status = 0
    if options.then:
        # The most common fault in programs, for the command to find: a cursor that is never finished.
        forgotten = db.execute("SELECT id, role FROM messages ORDER BY id")
        forgotten.fetchone()
        writer = connect(options, "one more writer")
        writer.execute("PRAGMA foreign_keys = ON")
        writer.execute("UPDATE conversations SET title = title || '.'")
        writer.execute("UPDATE conversations SET title = rtrim(title, '.')")
        status = subprocess.run(options.then, check=False).returncode
        writer.close()
        forgotten.close()
    db.close()
    sys.exit(status)


if __name__ == "__main__":
    main()
