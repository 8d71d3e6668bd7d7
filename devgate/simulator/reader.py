"""Server-to-device bytes into frames. No I/O, no clock."""

from __future__ import annotations

import re
from enum import Enum

from devgate.model import Imei
from devgate.protocol.frames import HEADER_SIZE, SHORT_404, Frame

LEN_SIZE = 3
HEADER = re.compile(rb"[0-9]{6}([0-9]{15})[A-Z]{2}")


class Short(Enum):
    """What a server can send besides whole frames."""

    NOT_REGISTERED = "the server asks who this is"
    UNREADABLE = "bytes that are no frame of a server"


Heard = Frame | Short


class FrameReader:
    """The reader of a simple device: it trusts LEN, and drops its bytes if LEN is not a number.

    Keeps less than one frame. Never raises.
    """

    __slots__ = ("tail",)

    def __init__(self) -> None:
        self.tail = b""

    def feed(self, data: bytes) -> list[Heard]:
        """The frames that these bytes complete."""
        data = self.tail + data if self.tail else data
        heard: list[Heard] = []
        done = 0
        while (stop := _end(data, done)) <= len(data):
            frame = _frame(data[done:stop])
            heard.append(frame)
            # Without LEN the start of the next frame is not known.
            done = len(data) if frame is Short.UNREADABLE else stop
        self.tail = data[done:]
        return heard


def _end(data: bytes, start: int) -> int:
    """Where the frame at `start` ends; behind the end of `data` if more bytes are needed."""
    size = data[start : start + LEN_SIZE]
    if not all(48 <= digit <= 57 for digit in size):
        return start  # no LEN: known at once, before the other bytes have come
    if len(size) < LEN_SIZE:
        return len(data) + 1
    length = int(size)
    return start + length if length == len(SHORT_404) or length >= HEADER_SIZE else start


def _frame(wire: bytes) -> Heard:
    if wire == SHORT_404:
        return Short.NOT_REGISTERED
    if not HEADER.match(wire):
        return Short.UNREADABLE
    head = wire[:HEADER_SIZE].decode("ascii")
    return Frame(head[3:6], Imei(head[6:21]), head[21:], wire[HEADER_SIZE:])
