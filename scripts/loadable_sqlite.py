"""A SQLite that can load extensions, for scripts/observer.py: the sqlite3 of this Python, or APSW where that one cannot.

The rule: a process uses one of the two, and never both on one file. They can be two copies of SQLite, and a copy that
closes a file drops the locks that the other copy holds on it.

A connection has execute(), which returns rows and their `description` as a cursor of sqlite3 does, load() and close().
"""

try:
    import sqlite3
except ImportError:  # a Python that was built without SQLite
    sqlite3 = None

_sqlite3_loads = hasattr(getattr(sqlite3, "Connection", None), "enable_load_extension")
try:
    if _sqlite3_loads:
        apsw = None
    else:
        import apsw
except ImportError:
    apsw = None

Error = apsw.Error if apsw else sqlite3.Error if sqlite3 else OSError
VERSION = apsw.sqlitelibversion() if apsw else sqlite3.sqlite_version if _sqlite3_loads else None
CAN_LOAD = _sqlite3_loads or apsw is not None
CANNOT_LOAD = ("This Python's sqlite3 cannot load extensions. Run the script with the system's Python: /usr/bin/python3, which Debian's package "
               "python3 brings. Or install APSW for this one: pip install apsw.")


def message(error):
    """What SQLite says. Older versions of APSW put the name of the exception before it."""
    return str(error).removeprefix(type(error).__name__ + ": ")


def connect(uri, timeout_s):
    """A connection without implicit transactions, which any thread may use, one at a time. CAN_LOAD must hold."""
    return _Apsw(uri, timeout_s) if apsw else _Sqlite3(uri, timeout_s)


class _Sqlite3:
    def __init__(self, uri, timeout_s):
        self._db = sqlite3.connect(uri, isolation_level=None, timeout=timeout_s, uri=True, check_same_thread=False)
        self._db.text_factory = lambda text: text.decode("utf-8", "replace")
        self.execute = self._db.execute
        self.close = self._db.close

    def load(self, library):
        self._db.enable_load_extension(True)
        self._db.load_extension(library)
        self._db.enable_load_extension(False)


class _Rows:
    def __init__(self, description, rows):
        self.description, self._rows = description, iter(rows)

    def fetchone(self):
        return next(self._rows, None)

    def fetchall(self):
        return list(self._rows)


class _Apsw:
    """By the names that both old and new versions of APSW know."""

    def __init__(self, uri, timeout_s):
        self._db = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI)
        self._db.setbusytimeout(int(timeout_s * 1000))
        self.close = self._db.close

    def load(self, library):
        self._db.enableloadextension(True)
        self._db.loadextension(library)
        self._db.enableloadextension(False)

    def execute(self, sql, parameters=()):
        description = []
        try:
            rows = self._rows(sql, parameters, description)
        except UnicodeDecodeError:  # a text of the database is not UTF-8, and APSW has no other way to decode it
            columns = ", ".join('CASE typeof({0}) WHEN \'text\' THEN CAST({0} AS BLOB) ELSE {0} END AS {0}'.format('"' + name.replace('"', '""') + '"')
                                for name, *_ in description)
            rows = [tuple(value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in row)
                    for row in self._rows(f"SELECT {columns} FROM ({sql})", parameters, [])]
        return _Rows(description, rows)

    def _rows(self, sql, parameters, description):
        def begins(cursor, *_):  # APSW tells the columns only while the statement runs
            description[:] = cursor.getdescription()
            return True
        cursor = self._db.cursor()
        cursor.setexectrace(begins)
        return cursor.execute(sql, parameters).fetchall()
