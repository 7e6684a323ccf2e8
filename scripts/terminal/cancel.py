"""Cancelling the statement of a connection, after two questions that the user has answered with yes.

Between the first question and the call the connection may have gone on: it is looked at again, and nothing is cancelled where it
runs another statement, or the same one another time.
"""

from observer import Unavailable
from terminal import text
from terminal.findings import FORGOTTEN_MS, someone

CONNECTION = "SELECT * FROM connection_metrics WHERE connection_id = :connection"
CANCEL = "SELECT wal_cancel(:connection) AS cancelled"
CLOCKS_DIFFER_S = 0.2  # between two looks at when a statement began

NOTHING = "Nothing was cancelled."


class Cancel:
    """`question` is what the user is asked now, None where nothing is."""

    def __init__(self, look):
        self._look = look
        self._target = None  # (connection, who, statement, when it began)
        self._asked_twice = False
        self._is_forgotten = False
        self.question = None
        self.about = ""  # the statement, then what its end means

    def ask(self, connection):
        """Begins with the first question. Returns a sentence where there is nothing that could be cancelled."""
        row = next((row for row in self._look.connections if row["connection_id"] == connection), None)
        if row is None:
            return "This connection is closed."
        if row["role"] != "application":
            return "This connection is walmanager's own: it cannot be cancelled."
        if row["state"] != "active":
            must = " Its program must COMMIT or ROLLBACK." if row["state"] == "idle in transaction" else ""
            return "It runs no statement that could be cancelled." + must
        self._target = (connection, someone(row), row["query"], self._look.at - (row["query_ms"] or 0) / 1000)
        self._is_forgotten = (row["still_ms"] or 0) > FORGOTTEN_MS
        self._asked_twice = False
        self.about = text.clean(row["query"])
        self.question = f"Cancel the statement of {someone(row)}? y: yes, any other key: no."
        return None

    def answer(self, key):
        """What came of the answer, in a sentence; None after the first yes."""
        self.question = None
        if key != ("Y" if self._asked_twice else "y"):
            return NOTHING
        if self._asked_twice:
            return self._cancel()
        self._asked_twice = True
        self.about = ("frees no log; all statements of the connection fail until its cursor is closed" if self._is_forgotten
                      else "its program sees \"interrupted\"; a write loses its transaction")
        self.question = f"Really cancel what {self._target[1]} runs? Y: yes, any other key: no."
        return None

    def _cancel(self):
        connection, who, query, began = self._target
        try:
            now = self._look.now()
            row = next(iter(self._look.ask(CONNECTION, connection=connection)), None)
            if not row or row["state"] != "active" or row["query"] != query or (
                    abs(now - (row["query_ms"] or 0) / 1000 - began) > CLOCKS_DIFFER_S):
                return f"{who} does not run that statement any more. {NOTHING}"
            if self._look.ask(CANCEL, connection=connection)[0]["cancelled"]:
                # A statement that is not fetched from learns of it at the next fetch, and holds the log until then.
                held = "" if row["still_ms"] is None else " It holds the log until its program closes the cursor."
                return f"The statement of {who} was interrupted.{held}"
            return f"{who} ran that statement no more. {NOTHING}"
        except Unavailable as unavailable:
            return str(unavailable)
