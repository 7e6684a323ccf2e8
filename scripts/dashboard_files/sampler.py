"""Reads the databases that somebody looks at, once a second, in one thread, and closes all when nobody does."""

import threading
import time
import traceback

ROUND_S = 0.1
AT_ONCE = ("state", "metrics")  # small, whatever the database is
FIRST_S = 0.2  # a page is not kept waiting for longer by what it could show at once
LINGER_S = 1  # a page that is loaded anew finds the connections open


class Sampler:
    def __init__(self, databases):
        self.databases = databases
        self.changed = threading.Condition()
        self.viewers = {}  # number of a database, or "overview": how many pages look at it
        self.overview = (0, "[]")
        self.expected = False
        self.unwatched_since = time.monotonic()
        self.stopped = False
        self.thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        if self.thread.is_alive():
            self.thread.join(5)
        for database in self.databases:
            database.close()

    def look(self, view):
        with self.changed:
            self.viewers[view] = self.viewers.get(view, 0) + 1
            self.changed.notify_all()

    def leave(self, view):
        with self.changed:
            self.viewers[view] -= 1
            if not self.viewers[view]:
                del self.viewers[view]
                if view == "overview":  # a page that is opened later shows nothing that is old
                    self.overview = (self.overview[0] + 1, "[]")
                    for database in self.databases:
                        database.forget_summary()
            self.unwatched_since = time.monotonic()
            self.changed.notify_all()

    def touch(self):
        """A request has opened a connection: it is closed like the others if no page follows."""
        with self.changed:
            self.unwatched_since = time.monotonic()
            self.changed.notify_all()

    def first_sections(self):
        """A page is being loaded: the first sections of a lone database, which is opened for it if need be."""
        with self.changed:
            self.expected = True
            self.unwatched_since = time.monotonic()
            self.changed.notify_all()
            if len(self.databases) != 1:
                return {}
            database = self.databases[0]
            self.changed.wait_for(lambda: "metrics" in database.sections or database.state not in ("ok", "unknown"), FIRST_S)
            return {name: text for name, (_, text) in list(database.sections.items()) if name in AT_ONCE}

    def _run(self):
        while not self.stopped:
            with self.changed:
                views = set(self.viewers)
                if self.expected and len(self.databases) == 1:
                    views.add(0)
                self.expected = False
            began = time.monotonic()
            rest = False
            for database in self.databases:
                if database.number in views:
                    rest |= bool(self._guarded(database.update))
                elif database.is_open() and "overview" not in views and began - self.unwatched_since > LINGER_S:
                    database.close()
            if "overview" in views:
                rest |= bool(self._guarded(self._update_overview))
            with self.changed:
                self.changed.notify_all()
                if self.stopped:
                    break
                if views or any(database.is_open() for database in self.databases):
                    self.changed.wait_for(lambda: self.stopped or self.expected or set(self.viewers) - views, 0.02 if rest else max(0.05, began + 1 - time.monotonic()))
                else:
                    self.changed.wait_for(lambda: self.stopped or self.expected or self.viewers or any(database.is_open() for database in self.databases))

    @staticmethod
    def _guarded(read):
        """A fault of the dashboard is printed, and the next second is another try."""
        try:
            return read()
        except Exception:
            traceback.print_exc()

    def _update_overview(self):
        """Each database is read at its own pace, so that fifty of them cost no more than the page may. Returns whether
        some are left: to open them takes long, and the page shows the first ones meanwhile."""
        began = time.monotonic()
        read = rest = False
        for database in self.databases:
            if rest := time.monotonic() - began > ROUND_S:
                break
            read |= database.update_summary(share=0.005 / len(self.databases))
        if read:
            text = "[" + ",".join(database.summary_text for database in self.databases) + "]"
            if text != self.overview[1]:
                self.overview = (self.overview[0] + 1, text)
        return rest
