"""A connection that looks at a database from outside and disturbs nothing, for scripts/watch and
scripts/dashboard.

The database is attached, read-only, to a database in memory. walmanager measures no statement of a
connection whose main database is in memory, so what the observer asks does not stand among the
statements of the application. Each question is one SELECT that is fetched whole: no read
transaction is held between two questions, so the observer does not pin the log.

Standard library only. One thread uses an observer. Every error is an Unavailable, whose text is a
sentence for the person who looks: what is wrong, and what to do.
"""

import os
import pathlib
import urllib.parse

import loadable_sqlite

SCHEMA = "walmanager_observed"
BUSY_TIMEOUT_S = 1.0
# In connection_metrics: a connection of one of these commands, and not of the application. Its main database is in memory.
IS_OBSERVER = ("(file IS NULL AND coalesce(application, '') IN ('walmanager dashboard', 'walmanager watch', "
               "'walmanager health', 'walmanager advise', 'walmanager backup', 'walmanager checkpoint'))")
# Checks of system_health that are about the connection that asks, which here is the observer's.
OWN_CHECKS = ("synchronous", "cache_size", "wal_hook", "engine_copies")
OTHER_LIBRARY = "Build walmanager on this machine, or name another library with --library."  # what to do about one that cannot be loaded
ROOT = pathlib.Path(__file__).resolve().parents[1]
# Where `cmake --build` and `cmake --install` put the library, and where scripts are copied together with it.
LIBRARY_PLACES = (ROOT / "build", ROOT / "scripts", pathlib.Path("/usr/local/lib/sqlite3"), pathlib.Path("/usr/lib/sqlite3"))


class Unavailable(Exception):
    """Nothing can be seen. `transient`: the same question may be answered later."""

    def __init__(self, sentence, transient=False):
        super().__init__(sentence)
        self.transient = transient


def find_library(named=None):
    """The path of walmanager.so: the one named, or $WALMANAGER_BUILD's, or where it usually lies."""
    if named:
        path = pathlib.Path(named)
        path = path / "walmanager.so" if path.is_dir() else path
        if not path.exists() and path.with_name(path.name + ".so").exists():
            path = path.with_name(path.name + ".so")
        if not path.exists():
            raise Unavailable(f"The library {path} does not exist.")
        return path.resolve()
    build = os.environ.get("WALMANAGER_BUILD")
    places = (pathlib.Path(build),) if build else LIBRARY_PLACES
    for place in places:
        if (place / "walmanager.so").exists():
            return (place / "walmanager.so").resolve()
    raise Unavailable(f"walmanager.so is not in {', '.join(map(str, places))}. Build it with "
                      "`cmake -S . -B build && cmake --build build`, or name it with --library.")


def portable(sql):
    """SQL that a table recommends, as it must read on a connection whose main database it is about."""
    return (sql.replace(f'"{SCHEMA}".', "").replace(f", '{SCHEMA}'", "").replace(f"'{SCHEMA}'", "'main'")
            .replace(f'"{SCHEMA}"', '"main"').replace(SCHEMA, "main"))


def _loadable_name(path):
    """SQLite tries the name as it is and then with .so, and tells why the second one failed."""
    name = path.removesuffix(".so")
    return path if os.path.exists(name) else name


def connection_with(library):
    """A connection to a database in memory, with walmanager."""
    if not loadable_sqlite.CAN_LOAD:
        raise Unavailable(loadable_sqlite.CANNOT_LOAD)
    db = loadable_sqlite.connect(":memory:", BUSY_TIMEOUT_S)
    try:
        try:
            db.load(_loadable_name(str(library)))
        except (loadable_sqlite.Error, AttributeError) as error:
            raise Unavailable(f"SQLite {loadable_sqlite.VERSION} of this Python cannot load {library}: {loadable_sqlite.message(error).rstrip('.')}. "
                              f"{OTHER_LIBRARY}") from error
        return db
    except BaseException:
        db.close()
        raise


class Observer:
    """`name` is what connection_metrics shows as the observer's application. `mode` is ro, or rw for what writes."""

    def __init__(self, database, name, library=None, mode="ro"):
        self.path = os.path.abspath(database)
        self._file = self.path  # where its links lead, and SQLite puts the log
        self._name, self._mode = name, mode
        self._library = library if library is not None else find_library()
        self._db = None
        self._identity = None
        self._left_alone = set()
        self.connection_id = None

    def open(self):
        """Opens the database. An observer that is open is opened anew."""
        self.close()
        self._identity = self._identify()
        self._file = os.path.realpath(self.path)
        db = connection_with(self._library)
        try:
            self._left_alone = {suffix for suffix in ("-wal", "-shm") if os.path.exists(self._file + suffix)}
            db.execute(f"ATTACH ? AS {SCHEMA}", (f"file:{urllib.parse.quote(os.fsencode(self._file))}?mode={self._mode}",))
            db.execute(f"SELECT count(*) FROM {SCHEMA}.sqlite_master").fetchall()
            db.execute("SELECT wal_application_name(?)", (self._name,)).fetchall()
            row = db.execute("SELECT connection_id FROM wal_environment WHERE schema = ?", (SCHEMA,)).fetchone()
            self.connection_id = row[0] if row else None
            # Another observer came first and made the files: the last of them removes them.
            if db.execute(f"SELECT 1 FROM connection_metrics WHERE {IS_OBSERVER} AND connection_id IS NOT ?", (self.connection_id,)).fetchone():
                self._left_alone = set()
        except loadable_sqlite.Error as error:
            db.close()
            self._tidy()
            raise self._explained(error) from error
        except BaseException:
            db.close()
            raise
        self._db = db

    def close(self):
        """Ends the connection, and leaves no file behind that was not there before."""
        if self._db is None:
            return
        self._db.close()
        self._db = None
        self._tidy()

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, sql, parameters=None):
        """The rows as dicts. `:schema` in the SQL is the name of the database. A file that has been replaced by
        another one is opened anew, so that what is shown is what the path leads to."""
        if self._db is None or self._identify() != self._identity:
            self.open()
        try:
            cursor = self._db.execute(sql, {"schema": SCHEMA, **(parameters or {})})
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]
        except loadable_sqlite.Error as error:
            raise self._explained(error) from error

    def has(self, table):
        """Whether the library has such a table: an older one lacks what is new."""
        return bool(self.ask("SELECT 1 FROM pragma_module_list WHERE name = :table", {"table": table}))

    def _identify(self):
        try:
            status = os.stat(self.path)
        except FileNotFoundError as error:
            raise Unavailable(f"{self.path} does not exist. Name the file of an existing database.", transient=True) from error
        except OSError as error:
            raise Unavailable(f"{self.path} cannot be reached: {error.strerror}.", transient=True) from error
        if not os.path.isfile(self.path):
            raise Unavailable(f"{self.path} is not a file. Name the file of a database.")
        if not os.access(self.path, os.R_OK):
            raise Unavailable(f"{self.path} cannot be read by this user. Run as the user of the application, or with sudo.")
        return status.st_dev, status.st_ino

    def _explained(self, error):
        text = portable(loadable_sqlite.message(error))
        if text.startswith("wal_"):  # a function of walmanager: what a path in it is called means nothing
            return Unavailable(f"SQLite says: {text}.", transient=True)
        if "not a database" in text:
            return Unavailable(f"{self.path} is not a SQLite database, or it is encrypted, or its first page is corrupt.")
        if "malformed" in text or "corrupt" in text:
            return Unavailable(f"{self.path} is corrupt ({text}). Copy the file and its -wal before you try anything; then "
                               "`.recover` in the sqlite3 shell saves what can be read.", transient=True)
        if "unable to open" in text or "readonly" in text:
            return Unavailable(f"SQLite cannot open {self.path} or its log. If no program has it open, the -shm file must be made, "
                               "and this user must be allowed to write in its directory: run as the application's user.",
                               transient=True)
        if "locked" in text or "busy" in text:
            return Unavailable(f"{self.path} is locked: a program holds it exclusively, or checks its log after a crash.",
                               transient=True)
        return Unavailable(f"SQLite says: {text}.", transient=True)

    def _tidy(self):
        """A read-only connection leaves an empty log and its index behind, where it came first. A connection that
        may write, and is the last one, removes them; SQLite's locks see to it that no program still uses them."""
        try:
            made = {suffix for suffix in ("-wal", "-shm") if os.path.exists(self._file + suffix)} - self._left_alone
            if not made or (os.path.exists(self._file + "-wal") and os.path.getsize(self._file + "-wal") > 0):
                return
            db = loadable_sqlite.connect(f"file:{urllib.parse.quote(os.fsencode(self._file))}?mode=rw", 0)
            try:
                db.execute("SELECT count(*) FROM sqlite_master").fetchall()
            finally:
                db.close()
        except (OSError, loadable_sqlite.Error):
            pass  # a program has begun to use them, or this user may not write
