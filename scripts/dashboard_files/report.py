"""The page with all its data in one file, for a colleague: no server, no network, nothing that acts."""

import json
import os
import stat
import time

import bundle
import page_server
import queries
from shown_database import as_json

DETAILS = 40  # statements whose plan and histogram are in the report


def frozen(database):
    """What the page would ask for, as it is now."""
    with database.lock:
        database.ensure()
        for pace in database.paces.values():
            pace.next = 0.0
        while database.update():
            pass
        kept = {"sections": {name: json.loads(text) for name, (_, text) in database.sections.items()}}
        if database.state == "ok":
            kept["histories"] = {span: {"span": span, "columns": database.history(span), "checkpoints": database.all_checkpoints()}
                                 for span in queries.RESOLUTIONS}
            kept["statements"] = database.statements(limit=300)
            kept["details"] = {row["query_id"]: database.statement(row["query_id"])
                               for row in kept["statements"]["rows"][:DETAILS] if row["query_id"]}
        return kept


BEGINNING = "<!doctype html>"  # of a report, which names walmanager soon after
BESIDE = ("", "-wal", "-shm", "-journal", "-walmanager")


def why_not(target, databases):
    """Why no report may be written to this path, in a sentence, or None: it would overwrite what is no report."""
    try:
        there = os.stat(target)
        if stat.S_ISDIR(there.st_mode):
            return "this is a directory. Name a file in it."
        if not stat.S_ISREG(there.st_mode):
            return None  # a pipe, or a terminal
        if any(os.path.realpath(target) == os.path.realpath(database) + suffix for database in databases for suffix in BESIDE):
            return "this is a file of the database. Name another file for the report."
        with open(target, "rb") as file:
            head = file.read(4096).decode("utf-8", "replace")
    except FileNotFoundError:
        folder = os.path.dirname(os.path.realpath(target))
        return None if os.path.isdir(folder) else f"the directory {folder} does not exist."
    except (OSError, ValueError) as error:
        return f"it cannot be written: {getattr(error, 'strerror', None) or error}."
    if head and not (head.startswith(BEGINNING) and "<title>walmanager</title>" in head):
        return "this file exists, and is no report of the dashboard. Name another one, or remove it."
    return None


def write(target, text):
    """In the place of an older report only when it is whole."""
    path = os.path.realpath(target)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return
    new = f"{path}.{os.getpid()}.new"
    try:
        with open(new, "x", encoding="utf-8") as file:
            file.write(text)
            if os.path.exists(path):
                os.fchmod(file.fileno(), stat.S_IMODE(os.stat(path).st_mode))
        os.replace(new, path)
    except BaseException:
        if os.path.exists(new):
            os.unlink(new)
        raise


def make(databases):
    data = {"made_at": time.time() * 1000, "about": page_server.about(databases, True, False),
            "overview": [d.summary() for d in databases], "databases": [frozen(d) for d in databases]}
    licence = (bundle.UPLOT / "LICENSE").read_text()
    document = bundle.Document(has_icon=False)
    policy = f"default-src 'none'; {document.policy}; img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<!-- uPlot 1.6.32:\n{licence.replace("--", "- -")}\n-->\n'
    return document.text("frozen", as_json(data), head)
