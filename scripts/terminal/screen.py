"""The terminal: taken over, painted and given back, by curses.

A frame is a list of lines, a line a list of (text, style) pieces. curses compares a frame with what the terminal shows and
sends the difference, so nothing flickers. However the program ends, give_back() puts the terminal back as it was.
"""

import ctypes
import curses
import locale
import os
import select
import signal
import sys

from terminal.text import as_ascii, cut, trust_widths, width

# Each style has attributes, with which it can be told apart without colours, and a colour where there are any.
STYLES = {
    "plain": (curses.A_NORMAL, None, None),
    "strong": (curses.A_BOLD, None, None),
    "faint": (curses.A_DIM, None, None),
    "chosen": (curses.A_REVERSE, None, None),
    "title": (curses.A_BOLD, curses.COLOR_CYAN, None),
    "ok": (curses.A_NORMAL, curses.COLOR_GREEN, None),
    "alert": (curses.A_BOLD, curses.COLOR_YELLOW, None),
    "bad": (curses.A_BOLD, curses.COLOR_RED, None),
    "warning": (curses.A_BOLD, curses.COLOR_BLACK, curses.COLOR_YELLOW),
    "critical": (curses.A_REVERSE | curses.A_BOLD, curses.COLOR_WHITE, curses.COLOR_RED),
}


ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


class Ended(Exception):
    """A signal, or the end of the terminal, asks the program to end."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def _end(number, _frame):
    _ignore()  # a second signal must not end what follows half-way
    raise Ended(number)


def _ignore():
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


class Screen:
    def __init__(self):
        self._window = None
        self._styles = {}
        self._ascii = False
        self._poll = select.poll()
        self._resized = False
        self._woken = None

    def take(self):
        """Takes the terminal over. Signals that would end the program raise Ended from here on."""
        locale.setlocale(locale.LC_ALL, "")
        self._ascii = locale.nl_langinfo(locale.CODESET).upper().replace("-", "") != "UTF8"
        if not self._ascii:
            self._trust_widths()
        os.environ.setdefault("ESCDELAY", "25")
        curses.setupterm()
        if not curses.tigetstr("cup"):
            raise curses.error("it cannot move its cursor")
        self._window = curses.initscr()
        # After initscr(), which sets handlers of its own.
        for number in ENDING:
            signal.signal(number, _end)
        curses.noecho()
        curses.cbreak()
        self._window.keypad(True)
        self._window.nodelay(True)
        try:
            curses.curs_set(0)
        except curses.error:
            pass  # a terminal that cannot hide it
        self._choose_styles()
        # A change of the size ends a wait at once.
        self._woken, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGWINCH, self._notice_size)
        self._poll.register(sys.stdin.fileno(), select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)

    @staticmethod
    def _trust_widths():
        """curses counts cells with the C library's wcwidth()."""
        try:
            trust_widths(ctypes.CDLL(None).wcwidth)
        except (OSError, AttributeError):
            pass  # another C library: what unicodedata says must do

    def give_back(self):
        """Puts the terminal back as it was. Safe to call at any time, and twice."""
        if self._window is None:
            return
        _ignore()
        window, self._window = self._window, None
        try:
            window.keypad(False)
            curses.nocbreak()
            curses.echo()
            curses.endwin()
        except curses.error:
            pass  # the terminal is gone

    def _choose_styles(self):
        colours = not os.environ.get("NO_COLOR") and curses.has_colors()
        if colours:
            curses.start_color()
            try:
                curses.use_default_colors()
                background = -1
            except curses.error:
                background = curses.COLOR_BLACK
        for pair, (name, (attributes, ink, paper)) in enumerate(STYLES.items(), 1):
            if colours and ink is not None:
                curses.init_pair(pair, ink, background if paper is None else paper)
                # Ink on paper of its own needs neither bold nor reverse.
                attributes = curses.color_pair(pair) | (attributes if paper is None else curses.A_NORMAL)
            elif name == "warning":
                attributes |= curses.A_REVERSE
            self._styles[name] = attributes

    def size(self):
        """Lines and columns now."""
        return self._window.getmaxyx()

    def paint(self, frame):
        """Shows the frame. What does not fit is cut."""
        window = self._window
        lines, columns = window.getmaxyx()
        window.erase()
        for y, pieces in enumerate(frame[:lines]):
            x = 0
            for text, style in pieces:
                if x >= columns:
                    break
                if self._ascii:
                    text = as_ascii(text)
                text = cut(text, columns - x) if not self._ascii else text[:columns - x]
                try:
                    window.addstr(y, x, text, self._styles[style])
                except curses.error:
                    pass  # the cursor would stand behind the last cell, or the terminal has just become smaller
                x += width(text)
        window.noutrefresh()
        curses.doupdate()

    def repaint(self):
        """At the next paint everything is sent anew: another program may have written here, or the size has changed."""
        self._window.clearok(True)

    def wait(self, seconds):
        """Waits for a key, for so long at most: a character, the name of a special key (`KEY_UP`), or None. After a change
        of the terminal's size the key is `KEY_RESIZE`."""
        key = self.pending()
        if key is not None:
            return key
        events = dict(self._poll.poll(max(0, seconds) * 1000))
        if self._woken in events:
            os.read(self._woken, 4096)
        key = self.pending()
        if key is None and events.get(sys.stdin.fileno(), 0) & ~select.POLLIN:
            raise Ended(signal.SIGHUP)  # the terminal is gone
        return key

    def pending(self):
        """A key that has been pressed already, or None."""
        if self._resized:
            self._resized = False
            columns, lines = os.get_terminal_size(sys.stdout.fileno())
            curses.resizeterm(lines, columns)
            self.repaint()
            return "KEY_RESIZE"
        try:
            key = self._window.get_wch()
        except curses.error:
            return None
        return key if isinstance(key, str) else curses.keyname(key).decode("ascii", "replace")

    def _notice_size(self, _number, _frame):
        self._resized = True
