"""The table of sections in a control file, as a test reads it."""

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
