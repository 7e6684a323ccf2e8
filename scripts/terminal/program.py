"""The program behind scripts/watch: what the keys do, and when the screen is painted.

Time: the display is updated every `interval` seconds, and less often where that would take more than a hundredth of a
processor. A key is answered at once, but no more than ten times a second, so that a held key does not flood a slow line.
"""

import time

from observer import Unavailable
from terminal import pages, tabs, text, view
from terminal.cancel import Cancel
from terminal.findings import clock

CPU_SHARE = 0.008
CPU_AT_ONCE_S = 0.05  # may be spent in advance: at the beginning, and after a rest
CPU_WINDOW_S = 60.0
KEY_FRAME_S = 0.1
SHORTEST_S, LONGEST_S = 0.5, 10.0  # between two updates
MESSAGE_S = 6.0
LONGEST_FILTER = 100

# A column that was added later is asked for where it is there.
HISTOGRAM = "SELECT name FROM pragma_table_xinfo('query_performance') WHERE name = 'histogram'"
STATEMENT = "SELECT *, plan{histogram} FROM query_performance WHERE schema = :schema AND query_id = :query_id"
INDEXES = "SELECT sql_to_run, plan_after FROM index_candidates WHERE schema = :schema AND query_id = :query_id"
SENTENCES = "SELECT name || '.' || member AS name, about FROM wal_help WHERE kind IN ('column', 'hidden column')"
ALERTS = "SELECT status, raised_at, cleared_at, detail FROM wal_alerts WHERE schema = :schema AND check_name = :check ORDER BY id DESC LIMIT 5"


class Budget:
    """When the next update may begin, so that all of them together take no more than their share of a processor."""

    def __init__(self, clock=time.monotonic, cpu=time.process_time):
        self._clock, self._cpu = clock, cpu
        self._begin()

    def _begin(self):
        self._since, self._spent = self._clock(), self._cpu()

    def earliest(self):
        spent = self._cpu() - self._spent
        now = self._clock()
        if now - self._since > CPU_WINDOW_S and spent <= CPU_SHARE * (now - self._since):
            self._begin()
            return now
        return self._since + (spent - CPU_AT_ONCE_S) / CPU_SHARE


class Choice:
    """How one tab is sorted, and which row is chosen. The chosen row is followed by its identity as rows move; as long as
    none was chosen, the first one is."""

    def __init__(self, tab):
        self.column = tab.columns[tab.sort]
        self.turned = False
        self.identity = None
        self.first = 0

    def number(self, tab, rows):
        if self.identity is not None:
            for number, row in enumerate(rows):
                if tab.identity(row) == self.identity:
                    return number
        return 0


class Program:
    def __init__(self, screen, look, path, interval, may_cancel):
        self._screen, self._look, self._path = screen, look, path
        self._interval, self._may_cancel = interval, may_cancel
        self._tab = tabs.STATEMENTS
        self._choices = {tab.key: Choice(tab) for tab in tabs.ALL}
        self._filter, self._typing, self._paused = "", False, False
        self._page = None  # a detail or the help: a function of the width that makes its lines
        self._page_title, self._page_first, self._page_connection = "", 0, None
        self._page_refresh = None  # asks for the page's numbers again
        self._cancel = Cancel(look)
        self._message, self._message_until = None, 0.0
        self._sentences = None
        self._budget = Budget()
        self._update_at = self._updated_at = 0.0

    def run(self):
        """Until the user quits."""
        painted, dirty = 0.0, False
        while True:
            now = time.monotonic()
            if not self._paused and now >= self._update_at:
                # The second answer comes soon: from then on there are rates.
                interval = self._interval if self._updated_at else SHORTEST_S
                self._look.refresh(self._tab)
                self._refresh_page()
                self._updated_at = now
                self._update_at = max(now + interval, min(self._budget.earliest(), now + LONGEST_S))
                dirty, painted = True, 0.0
            if dirty and time.monotonic() - painted >= KEY_FRAME_S:
                self._screen.paint(self._frame())
                painted, dirty = time.monotonic(), False
            until = [] if self._paused else [self._update_at]
            if dirty:
                until.append(painted + KEY_FRAME_S)
            if self._message:
                until.append(self._message_until)
            key = self._screen.wait(max(0.0, min(until, default=time.monotonic() + 3600) - time.monotonic()))
            while key is not None:
                dirty = True
                if self._press(key):
                    return
                key = self._screen.pending()
            if self._message and time.monotonic() >= self._message_until:
                self._message, dirty = None, True

    # --- what is shown

    def _rows(self):
        """The rows of the tab as they stand on the screen."""
        rows = self._look.rows.get(self._tab.key, [])
        if rows is None:
            return None
        rows = self._tab.rows(self._look, rows)
        if self._filter:
            rows = [row for row in rows if tabs.matches(self._tab, row, self._filter)]
        choice = self._choices[self._tab.key]
        return tabs.sorted_rows(rows, choice.column, choice.turned)

    def _frame(self):
        lines, columns = self._screen.size()
        room = max(1, lines - view.HEADER_LINES - 2)
        if not self._look.metrics:
            left = [("walmanager watch", "strong")]
            body = view.note("Waiting for the first answer." if self._look.problem is None else text.clean(self._look.problem), columns, room)
            head = [[(" " + text.clean(self._path), "strong")], view.problem_line(self._look, self._path, columns), view.rule(columns, left)]
        else:
            left, body = self._body(columns, room)
            head = view.header(self._look, self._path, columns, left, self._right())
        body += [[] for _ in range(room - len(body))]
        return head + body[:room] + self._bottom(columns)

    def _right(self):
        right = []
        if self._paused:
            right.append(("paused, p goes on", "warning"))
        if self._look.at:
            right.append((clock(self._look.at), "faint"))
        return right

    def _body(self, columns, room):
        if self._page is not None:
            page = self._page(columns)
            self._page_first = max(0, min(self._page_first, len(page) - room))
            more = f"{len(page) - room - self._page_first} lines more below" if len(page) > self._page_first + room else ""
            return [(self._page_title, "title")] + ([(more, "faint")] if more else []), page[self._page_first:self._page_first + room]
        tab, choice = self._tab, self._choices[self._tab.key]
        rows = self._rows()
        left = [(tab.name, "title")]
        if self._typing or self._filter:
            left.append((f"/{self._filter}" + ("_" if self._typing else ""), "strong"))
        if rows is None:
            return left, view.note(f"This build of walmanager has no table {tab.table} yet. Install a newer one to see it here.", columns, room)
        if not rows:
            empty = "No row contains these words. Esc shows all rows." if self._filter else tabs.emptiness(tab, self._look)
            return left, view.note(empty, columns, room)
        chosen = choice.number(tab, rows)
        height = max(1, room - 1)
        # The chosen row stays in sight, and no line is left empty at the end.
        choice.first = max(min(choice.first, chosen, len(rows) - height), chosen - height + 1, 0)
        left += [(f"{chosen + 1} of {len(rows)}", "plain"), (f"by {choice.column.title}", "plain")]
        return left, view.table(tab, rows, columns, room, choice.column, choice.turned, chosen, choice.first, self._look.problem is not None)

    def _bottom(self, columns):
        if self._cancel.question:
            about = text.cut(self._cancel.about, columns - 16)
            return [view.rule(columns, [("cancel", "critical"), (about, "plain")]), [(" " + text.cut(self._cancel.question, columns - 2), "strong")]]
        if self._message:
            lines = text.wrap(self._message, max(20, columns - 2))
            said = [[(" " + line, "strong")] for line in lines[:2]]
            return said if len(said) == 2 else [view.rule(columns, [])] + said
        if self._typing:
            return [view.rule(columns, []), view.keys((("", "type words"), ("⏎", "keep"), ("Esc", "show all rows")))]
        if self._page is not None:
            cancel = (("k", "cancel"),) if self._page_connection else ()
            return view.keys_lines(self._tab, columns, (("Esc", "back"), ("↑ ↓", "scroll"), ("p", "pause"), *cancel, ("q", "quit")))
        return view.keys_lines(self._tab, columns)

    def _say(self, sentence):
        self._message, self._message_until = sentence and text.clean(sentence), time.monotonic() + MESSAGE_S

    # --- what the keys do

    def _press(self, key):
        """True where the user quits."""
        if key == "KEY_RESIZE":
            return False
        if self._cancel.question:
            self._say(self._cancel.answer(key))
            self._update_at = self._updated_at + SHORTEST_S
        elif self._typing:
            self._type(key)
        elif key in ("q", "Q"):
            return True
        else:
            self._message = None
            self._command(key)
        return False

    def _type(self, key):
        if key == "\x1b":
            self._filter, self._typing = "", False
        elif key in ("\n", "\r", "KEY_ENTER"):
            self._typing = False
        elif key in ("KEY_BACKSPACE", "\x7f", "\b"):
            self._filter = self._filter[:-1]
        elif key == "\x15":
            self._filter = ""
        elif len(key) == 1 and len(self._filter) < LONGEST_FILTER:
            self._filter += text.clean(key)

    def _command(self, key):
        if key == "\x0c":
            self._screen.repaint()
        elif key in ("p", " "):
            self._pause()
        elif key in ("k", "K"):
            self._ask_to_cancel()
        elif key in ("?", "h"):
            self._help()
        elif key == "\x1b" and self._page is None:
            self._filter = ""
        elif key in ("\x1b", "KEY_BACKSPACE", "\x7f", "\b", "KEY_LEFT") and self._page is not None:
            self._page = None
        elif any(tab.key == key for tab in tabs.ALL):
            self._show(next(tab for tab in tabs.ALL if tab.key == key))
        elif key in ("\t", "KEY_BTAB"):
            step = 1 if key == "\t" else -1
            self._show(tabs.ALL[(tabs.ALL.index(self._tab) + step) % len(tabs.ALL)])
        elif key in MOVES:
            self._move(MOVES[key])
        elif self._page is None:
            self._table_command(key)

    def _table_command(self, key):
        choice = self._choices[self._tab.key]
        if key in ("s", "S"):
            _, columns = self._screen.size()
            shown = [column for column, _ in view.columns_of(self._tab, columns)]
            place = shown.index(choice.column) if choice.column in shown else -1
            choice.column, choice.turned = shown[(place + (1 if key == "s" else -1)) % len(shown)], False
            choice.identity = None
        elif key in ("r", "R"):
            choice.turned = not choice.turned
            choice.identity = None
        elif key == "/":
            self._typing = True
        elif key in ("\n", "\r", "KEY_ENTER", "KEY_RIGHT"):
            self._detail()

    def _show(self, tab):
        self._page = None
        if tab is not self._tab:
            self._tab = tab
            if tab.key not in self._look.rows and self._paused:
                self._look.refresh(tab)
            elif not self._paused:
                # What was seen here before is shown at once, and asked for again as soon as that may be.
                self._update_at = self._updated_at + SHORTEST_S if tab.key in self._look.rows else 0.0

    def _pause(self):
        self._paused = not self._paused
        if not self._paused:
            self._look.resume()
            self._update_at = 0.0

    def _move(self, step):
        lines, _ = self._screen.size()
        height = max(1, lines - view.HEADER_LINES - 3)
        if self._page is not None:
            self._page_first = {"first": 0, "last": 1 << 30}.get(step, self._page_first + (step if step in (-1, 1) else 0))
            if step in ("up", "down"):
                self._page_first += height if step == "down" else -height
            self._page_first = max(0, self._page_first)
            return
        rows = self._rows()
        if not rows:
            return
        choice = self._choices[self._tab.key]
        now = choice.number(self._tab, rows)
        then = {"first": 0, "last": len(rows) - 1, "up": now - height, "down": now + height}.get(step)
        then = now + step if then is None else then
        choice.identity = self._tab.identity(rows[max(0, min(then, len(rows) - 1))])

    def _chosen(self):
        rows = self._rows()
        return rows[self._choices[self._tab.key].number(self._tab, rows)] if rows else None

    # --- pages

    def _open_page(self, title, page, connection=None):
        self._page_title, self._page, self._page_first, self._page_connection = title, page, 0, connection
        self._page_refresh = None

    def _help(self):
        if self._sentences is None:
            try:
                self._sentences = {row["name"]: row["about"] for row in self._look.ask(SENTENCES)}
            except Unavailable:
                self._sentences = {}
        sentences, tab = self._sentences, self._tab
        self._open_page("help", lambda columns: pages.help_for(tab, sentences, columns))

    def _detail(self):
        row, tab = self._chosen(), self._tab
        if row is None:
            return
        try:
            if tab is tabs.STATEMENTS and row["query_id"]:
                self._statement(row["query_id"])
            elif tab is tabs.CONNECTIONS:
                self._connection(row["connection_id"])
            else:
                check = row["id"] if tab is tabs.HEALTH and isinstance(row["id"], str) else None
                alerts = self._look.ask(ALERTS, check=check) if check else []
                self._open_page(tab.name, lambda columns: pages.row(tab, row, alerts, columns), row.get("connection"))
        except Unavailable as unavailable:
            self._say(str(unavailable))

    def _statement(self, query_id):
        asked = {"indexes": self._look.ask(INDEXES, query_id=query_id), "row": None}
        sql = STATEMENT.format(histogram="".join(f", {row['name']}" for row in self._look.ask(HISTOGRAM)))

        def refresh():
            rows = self._look.ask(sql, query_id=query_id)
            asked["row"] = rows[0] if rows else asked["row"]

        def page(columns):
            row = asked["row"]
            if row is None:
                return view.note("This statement is not measured any more.", columns, 5)
            # connection_metrics shows the beginning of a text.
            running = self._look.running(row["query"])
            return pages.statement(row, row["plan"], asked["indexes"], running, columns)

        refresh()
        self._open_page("statement", page)
        self._page_refresh = refresh

    def _connection(self, connection):
        last = [None]

        def page(columns):
            row = next((row for row in tabs.CONNECTIONS.rows(self._look, None) if row["connection_id"] == connection), None)
            gone = row is None
            row = last[0] = row or last[0]
            if row is None:
                return view.note("This connection is closed.", columns, 5)
            readers = [reader for reader in self._look.readers if reader["connection_id"] == connection]
            waits = [other for other in self._look.connections if other["blocked_by"] == connection and other["waiting_for"]]
            shown = pages.connection(row, readers, waits, columns)
            return [[("  This connection is closed. It was:", "strong")], []] + shown if gone else shown

        self._open_page("connection", page, connection)

    def _refresh_page(self):
        if self._page is not None and self._page_refresh is not None:
            try:
                self._page_refresh()
            except Unavailable:
                pass  # the second line says so

    # --- cancel

    def _ask_to_cancel(self):
        if not self._may_cancel:
            self._say("Cancelling is off: watch was started with --read-only.")
            return
        connection, sentence = self._whose_statement()
        self._say(sentence if connection is None else self._cancel.ask(connection))

    def _whose_statement(self):
        """The connection whose statement the user means; or None, and why there is none."""
        if self._page_connection is not None and self._page is not None:
            return self._page_connection, None
        row = self._chosen()
        if row is not None and self._tab is tabs.CONNECTIONS:
            return row["connection_id"], None
        if row is not None and self._tab is tabs.STATEMENTS:
            running = [other["connection_id"] for other in self._look.running(row["query"])]
            if len(running) == 1:
                return running[0], None
            return None, "No connection runs this statement now." if not running else (
                f"{len(running)} connections run this statement: choose one of them in [2].")
        if row is not None and "connection" in row:
            return row["connection"], "walmanager does not see the holder's connection: it is gone, or its process has not loaded walmanager."
        return None, "k cancels the statement of a connection: choose one in [2], or a wait in [3]."


MOVES = {"KEY_UP": -1, "KEY_DOWN": 1, "KEY_PPAGE": "up", "KEY_NPAGE": "down", "KEY_HOME": "first", "KEY_END": "last", "g": "first", "G": "last"}
