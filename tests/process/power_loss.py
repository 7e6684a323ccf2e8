"""What a loss of power may leave of a database and its log, made from the record that power_loss.cc keeps.

What was synced is there. Of each later write, truncation and sector (512 bytes) the disk may have any part, so the
record of one run gives as many losses as one likes. A deletion of the log counts as done: to keep the order of a
folder's changes is the file system's work.
"""

import bisect
import struct

RECORD = struct.Struct("<cBHIq")
DATABASE, LOG = 1, 2
SECTOR = 512


def read_record(path):
    """All (what, file, at, data), in their order."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        what, file, _, size, where = RECORD.unpack_from(data, at)
        at += RECORD.size
        found.append((what.decode(), file, where, data[at:at + size]))
        at += size
    return found


class Disk:
    """A file as it is on the disk: `safe` for certain, and `loose`, the changes that no sync has covered yet."""

    def __init__(self):
        self.safe, self.loose, self._begun = bytearray(), [], {}

    def change(self, what, at, data):
        self.loose.append((what, at, data))

    def begin_sync(self, sync):
        self._begun[sync] = len(self.loose)

    def end_sync(self, sync):
        count = self._begun.pop(sync, 0)
        for change in self.loose[:count]:
            self._apply(self.safe, *change)
        del self.loose[:count]
        self._begun = {other: max(0, covered - count) for other, covered in self._begun.items()}

    def delete(self):
        self.__init__()

    @staticmethod
    def _apply(content, what, at, data):
        if what == "T":
            del content[at:]
            content.extend(bytes(at - len(content)))
        else:
            content.extend(bytes(max(0, at - len(content))))
            content[at:at + len(data)] = data

    def after_loss(self, survives, tears, rng):
        """`survives(i, n)`: whether change i of n is there. `tears`: each sector of it may be missing."""
        content = bytearray(self.safe)
        for i, (what, at, data) in enumerate(self.loose):
            if not survives(i, len(self.loose)):
                continue
            if what == "T" or not tears:
                self._apply(content, what, at, data)
                continue
            begin = 0
            while begin < len(data):
                end = min(len(data), (at + begin) // SECTOR * SECTOR + SECTOR - at)
                if rng.random() < 0.5:
                    self._apply(content, what, at + begin, data[begin:end])
                begin = end
        return content


def losses(record, count, rng):
    """`count` losses of power at random moments, in their order: (database, log, acknowledged, in_log). `acknowledged`:
    the last transaction of which a program knew that it was committed; `in_log`: the last of which it knew that before
    the last completed sync of the log began."""
    ways = (lambda i, n: False, lambda i, n: True, lambda i, n: rng.random() < 0.5, lambda i, n: rng.random() < 0.9,
            lambda i, n: i >= n - 3, lambda i, n: i < n - 1)
    # Before the database exists and is in WAL mode there is nothing to lose.
    first = next(i for i, (what, *_) in enumerate(record) if what == "A")
    moments = sorted(rng.sample(range(first, len(record)), min(count, len(record) - first)))
    disks = {DATABASE: Disk(), LOG: Disk()}
    acknowledged = in_log = 0
    known = {}
    position = 0
    for moment in moments:
        for what, file, at, data in record[position:moment]:
            if what == "A":
                acknowledged = max(acknowledged, at)
            elif what == "B":
                disks[file].begin_sync(at)
                if file == LOG:
                    known[at] = acknowledged
            elif what == "E":
                disks[file].end_sync(at)
                in_log = max(in_log, known.pop(at, 0))
            elif what == "U":
                disks[file].delete()
            else:
                disks[file].change(what, at, data)
        position = moment
        tears = rng.random() < 0.3
        yield (*(disks[file].after_loss(rng.choice(ways), tears, rng) for file in (DATABASE, LOG)), acknowledged, in_log)


# --- transactions whose sum is known: the database after n of them is the same in whatever process each of them ran

SCHEMA = "CREATE TABLE work(id INTEGER PRIMARY KEY, by INTEGER, text BLOB); CREATE INDEX work_by ON work(by)"


def touched(n):
    """The older rows that transaction n changes."""
    return {n * 7919 % 97 % n, n * 104729 // 3 % n} - {0} if n > 1 else set()


def size(n, row):
    return (n * 37 + row * 11) % 2400


def transact(db):
    """Runs the next transaction, and returns its number."""
    db.execute("BEGIN IMMEDIATE")
    n = db.execute("SELECT coalesce(max(id), 0) + 1 FROM work").fetchone()[0]
    db.execute("INSERT INTO work VALUES (?, ?, zeroblob(?))", (n, n, size(n, n)))
    for row in touched(n):
        db.execute("UPDATE work SET by = ?, text = zeroblob(?) WHERE id = ?", (n, size(n, row), row))
    db.execute("COMMIT")
    return n


class Expected:
    """The database after each number of transactions."""

    def __init__(self, most):
        self._changes = {row: [row] for row in range(1, most + 1)}
        for n in range(1, most + 1):
            for row in touched(n):
                self._changes[row].append(n)

    def rows(self, n):
        for row in range(1, n + 1):
            by = self._changes[row][bisect.bisect_right(self._changes[row], n) - 1]
            yield row, by, size(by, row)


def faults(db, expected):
    """What is wrong with the database, and how many transactions it has."""
    try:
        found = [row[0] for row in db.execute("PRAGMA integrity_check")]
        rows = db.execute("SELECT id, by, length(text) FROM work ORDER BY id").fetchall()
    except Exception as error:
        return [str(error)], 0
    if found == ["ok"]:
        found = [] if rows == list(expected.rows(len(rows))) else ["rows of transactions that are not all there"]
    return found, len(rows)
