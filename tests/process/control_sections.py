"""The table of sections in a control file, as a test reads it."""

import os
import pathlib
import struct

TABLE, ENTRIES = 320, 320  # of sections: where it begins, and how many it can name


def control_of(path):
    return pathlib.Path(f"{path}-walmanager")


def sections(path):
    """(kind, index, block) of each entry of the table."""
    content = control_of(path).read_bytes()
    words = struct.unpack(f"<{ENTRIES}Q", content[TABLE:TABLE + 8 * ENTRIES])
    return [(word & 0xFF, word >> 16 & 0xFFFF, word >> 32) for word in words if word]


def age_lock_waits(path, hours=1.1):
    """Makes all waits of wal_lock_waits end so long before they did: LockWaits of ext/core/control/layout_lock_waits.h."""
    kind, block_bytes, waits, slot_bytes = 12, 65536, 256, 8 + 304
    slots = 8 * (4 + 1 + 496 + 2)
    block, = (block for found, _, block in sections(path) if found == kind)
    file = os.open(control_of(path), os.O_RDWR)
    for slot in range(waits):
        at = block * block_bytes + slots + slot * slot_bytes + 8
        ended_ms, = struct.unpack("<q", os.pread(file, 8, at))
        if ended_ms:
            os.pwrite(file, struct.pack("<q", ended_ms - round(hours * 3_600_000)), at)
    os.close(file)
