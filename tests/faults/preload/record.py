"""The record of file operations that a process wrote while `recording` was set."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

HEAD = struct.Struct("<5q")


class Kind(IntEnum):
    OPEN = 1  # data: the path, resolved
    WRITE = 2
    TRUNCATE = 3
    SYNC_BEGIN = 4  # data: the folder's path where `file` is -1
    SYNC_END = 5
    UNLINK = 6  # data: the path, resolved
    RENAME = 7  # data: both paths, not resolved, with \n between
    SEND = 8  # data: what a socket is given


class Entry(NamedTuple):
    kind: Kind
    file: int  # its inode; SEND: the descriptor
    offset: int  # WRITE: where; TRUNCATE: the new length; OPEN: the flags
    thread: int
    data: bytes


def entries(record: Path) -> Iterator[Entry]:
    """All entries in their order. One that was cut off by a kill ends the record."""
    with record.open("rb") as file:
        while len(head := file.read(HEAD.size)) == HEAD.size:
            kind, inode, offset, thread, length = HEAD.unpack(head)
            data = file.read(length)
            if len(data) < length:
                return
            yield Entry(Kind(kind), inode, offset, thread, data)
