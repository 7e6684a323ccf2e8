"""The console command: walmanager COMMAND DATABASE.

watch and dashboard are the scripts of the repository, which lie in this package. The other commands ask through their
observer: the database is attached to one in memory, so that nothing is asked in the name of the application, and a file
that does not exist is never made.

The exit status is 0 if all is well, 1 if something is not (a check warns, a checkpoint was held up), 2 if the command
could not be carried out.
"""

import argparse
import json
import os
import runpy
import sys
from typing import Any, Callable, Dict, List, Optional

from . import __version__, loadable_path

_SCRIPTS = os.path.dirname(loadable_path())
sys.path[:0] = [_SCRIPTS, os.path.join(_SCRIPTS, "dashboard_files")]

import loadable_sqlite  # noqa: E402
import observer as observing  # noqa: E402
from observer import OWN_CHECKS, SCHEMA, Observer, Unavailable, portable  # noqa: E402
from shown_database import unseen_because  # noqa: E402
from terminal.text import as_ascii, clean  # noqa: E402

# The observer tells an application's user about scripts. This is what to do where the package is installed.
loadable_sqlite.CANNOT_LOAD = ("This Python's sqlite3 cannot load extensions. Install APSW beside walmanager (pip install apsw), "
                               "or install walmanager with another Python, such as /usr/bin/python3.")

_NAME_ANOTHER = observing.OTHER_LIBRARY
observing.OTHER_LIBRARY = "Install the wheel for this machine anew: pip install --force-reinstall WHEEL."

HEALTH = "SELECT check_name, status, score, value, unit, detail, recommendation FROM system_health WHERE schema = :schema"
ADVICE = "SELECT area, finding, evidence, action, sql_to_run FROM wal_recommendations WHERE schema = :schema ORDER BY priority"


def _print(*lines: str) -> None:
    text = "\n".join(lines)
    print(text if "utf" in (sys.stdout.encoding or "ascii").lower() else as_ascii(text))


def _complain(name: str, sentence: str) -> None:
    print(f"walmanager {name}: {clean(sentence).removeprefix('SQLite says: ')}", file=sys.stderr)


def _as_main(rows: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """With the SQL in them as the application's own connection needs it."""
    return [{name: portable(value) if isinstance(value, str) else value for name, value in row.items()} for row in rows]


def _report(observer: Observer, function: str, *arguments: Any) -> Dict[str, Any]:
    """The JSON that a function of walmanager returns."""
    names = [f":p{number}" for number in range(len(arguments))]
    rows = observer.ask(f"SELECT {function}({', '.join(names)}, :schema) AS report", {name[1:]: value for name, value in zip(names, arguments)})
    report: Dict[str, Any] = json.loads(rows[0]["report"])
    return report


def health(observer: Observer, chosen: argparse.Namespace) -> int:
    metrics = observer.ask("SELECT journal_mode, private_because FROM wal_metrics WHERE schema = :schema")[0]
    because = unseen_because(metrics)
    if because and metrics["journal_mode"] == "wal":  # outside of WAL mode a check says so
        raise Unavailable(because.replace("Run the dashboard as", "Run this as"))
    rows = [row for row in _as_main(observer.ask(HEALTH)) if row["check_name"] not in OWN_CHECKS]
    checks = [row for row in rows if row["check_name"] != "overall"]
    wrong = [row for status in ("critical", "warning") for row in checks if row["status"] == status]
    if chosen.json:
        print(json.dumps(rows if chosen.all else wrong, indent=1))
        return 1 if wrong else 0
    counts = [(status, sum(row["status"] == status for row in checks)) for status in ("critical", "warning", "unknown", "ok")]
    _print(f"{clean(observer.path)}: {', '.join(f'{count} {status}' for status, count in counts)}")
    for row in wrong + [row for row in checks if chosen.all and row not in wrong]:
        _print(f"{row['status']:8}  {row['check_name']}: {clean(row['detail'])}")
        if row["recommendation"] and row in wrong:
            _print(f"          → {clean(row['recommendation'])}")
    return 1 if wrong else 0


def advise(observer: Observer, chosen: argparse.Namespace) -> int:
    rows = _as_main(observer.ask(ADVICE))
    if chosen.json:
        print(json.dumps(rows, indent=1))
        return 0
    if not rows:
        _print(f"{clean(observer.path)}: no advice. Nothing that was measured could be better.")
    for row in rows:
        _print(f"{row['area']}: {clean(row['finding'])}", f"    {clean(row['evidence'])}")
        if row["action"]:
            _print(f"    → {clean(row['action'])}")
        if row["sql_to_run"]:
            _print(f"    → {clean(row['sql_to_run'])}")
    return 0


def backup(observer: Observer, chosen: argparse.Namespace) -> int:
    try:
        done = _report(observer, "wal_backup", os.path.abspath(chosen.target), json.dumps({"overwrite": chosen.overwrite}))
    except Unavailable as unavailable:
        raise Unavailable(str(unavailable).replace('{"overwrite":true}', "--overwrite")) from unavailable
    verified = "verified" if done["verified"] else "not verified"
    _print(f"{clean(chosen.target)}: {done['bytes']} bytes in {done['pages']} pages, {verified}, in {done['duration_ms']:.0f} ms; "
           f"the log grew by {done['wal_growth_bytes']} bytes")
    return 0


def checkpoint(observer: Observer, chosen: argparse.Namespace) -> int:
    mode = observer.ask("SELECT journal_mode FROM wal_metrics WHERE schema = :schema")[0]["journal_mode"]
    if mode != "wal":
        raise Unavailable(f"{observer.path} is not in WAL mode (journal_mode is {mode}), so it has no log. PRAGMA journal_mode=WAL changes that.")
    done = _report(observer, "wal_checkpoint", chosen.mode)
    because = done.get("error") or done.get("skipped")
    if done["result"] == "failed" or done["wal_frames"] is None:
        raise Unavailable(f"There was no checkpoint of {observer.path}: {because}.")
    if not done["wal_frames"]:
        _print(f"{clean(observer.path)}: the log is empty")
        return 0
    said = f"{done['checkpointed_frames']} of {done['wal_frames']} frames of the log are in the database, {done['moved_frames']} of them copied now"
    if done["complete"] and not done["busy"]:
        _print(f"{clean(observer.path)}: {said}")
        return 0
    pid = done.get("blocked_by_pid")
    holder = f"process {pid} is in the way" if pid else "a connection is in the way"
    _print(f"{clean(observer.path)}: {said}; {holder}{f' ({because})' if because else ''}")
    return 1


def _arguments(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    def add(name: str, run: Optional[Callable[[Observer, argparse.Namespace], int]], does: str, mode: str = "ro") -> argparse.ArgumentParser:
        parser = commands.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".", add_help=run is not None)
        if run:
            parser.set_defaults(run=run, open_mode=mode, command=name)
            parser.add_argument("database", metavar="DATABASE", help="the file of the database")
        return parser

    parser = add("health", health, "prints the health checks that warn; the exit status is 1 if one does")
    parser.add_argument("--all", action="store_true", help="prints the others, too")
    parser.add_argument("--json", action="store_true", help="prints JSON")
    add("watch", None, "shows in a terminal what happens in the database")
    add("dashboard", None, "shows it in a page of the browser")
    parser = add("advise", advise, "prints what to change, and the SQL that does it")
    parser.add_argument("--json", action="store_true", help="prints JSON")
    parser = add("backup", backup, "copies the database to a new file while others write")
    parser.add_argument("target", metavar="TARGET", help="the file of the copy")
    parser.add_argument("--overwrite", action="store_true", help="replaces an older file there")
    parser = add("checkpoint", checkpoint, "copies the log into the database; the exit status is 1 if something is in the way", "rw")
    parser.add_argument("--mode", default="PASSIVE", type=str.upper, choices=("PASSIVE", "FULL", "RESTART", "TRUNCATE"),
                        help="PASSIVE, the default, waits for nobody. While the others wait, writers see SQLITE_BUSY")


def _unread(database: str, name: str) -> Optional[str]:
    """Why the file cannot be read as a database, in a sentence."""
    try:
        with Observer(database, name, loadable_path()):
            return None
    except Unavailable as unavailable:
        return str(unavailable)


def _script(name: str, arguments: List[str]) -> int:
    """Runs watch or dashboard with the library of this package, once one of the files that are named is a database."""
    sys.argv = [f"walmanager {name}", "--library", loadable_path(), *arguments]
    script = runpy.run_path(os.path.join(_SCRIPTS, name), run_name=f"walmanager_{name}")
    database = script["arguments"]().database
    paths = [database] if isinstance(database, str) else database
    unread = [sentence for path in paths if (sentence := _unread(path, f"walmanager {name}"))]
    if len(unread) == len(paths):  # with fewer of them, the script tells of those
        for sentence in dict.fromkeys(unread):
            _complain(name, sentence)
        return 2
    observing.OTHER_LIBRARY = _NAME_ANOTHER  # the one that --library names
    try:
        status = int(script["main"]() or 0)
    except SystemExit as ended:
        if not isinstance(ended.code, str):
            raise
        print(ended.code, file=sys.stderr)
        return 2
    return 2 if status == 1 else status


def main(arguments: Optional[List[str]] = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="walmanager", description="Looks after the write-ahead log of a SQLite database.",
                                     epilog="The exit status is 0 if all is well, 1 if something is not, 2 if the command could not be carried out.")
    parser.add_argument("--version", action="version", version=f"walmanager {__version__}")
    _arguments(parser.add_subparsers(dest="command", metavar="COMMAND", required=True))
    name = words[0] if words else ""
    try:
        if name in ("watch", "dashboard"):
            return _script(name, words[1:])
        chosen = parser.parse_args(words)
        name = chosen.command
        with Observer(chosen.database, f"walmanager {name}", loadable_path(), chosen.open_mode) as observer:
            status: int = chosen.run(observer, chosen)
            sys.stdout.flush()
        return status
    except Unavailable as unavailable:
        _complain(name, str(unavailable))
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
