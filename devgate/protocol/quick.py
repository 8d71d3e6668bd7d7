"""A fast path for the common case: a read that is exactly one request, or one heartbeat.

Everything here gives the same as the decoder and the table, with less work; a property test
compares them. Reads that it does not know are left to the decoder and the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from devgate.model import Imei
from devgate.protocol.frames import HEADER_SIZE, MAX_FRAME, Frame
from devgate.protocol.session import Book

# Heartbeats of a registered device that come alone, and the tail that the decoder keeps of each.
LONE: Mapping[bytes, bytes] = {
    b"1": b"1",
    b"0": b"0",
    b" ": b"",
    b"\x00": b"",
    b"AT": b"",
    b"\r\n": b"",
}
LONGEST = max(map(len, LONE))

ONE = re.compile(rb"023[0-9]{18}[A-Z]{2}")  # a frame without DATA

# LEN and the status 200, by the size of the frame.
HEADS = [b"%03d200" % size for size in range(MAX_FRAME + 1)]


# Used instead of request_head() until a device sends a request: most send only heartbeats, and the
# bytes of request_head() take 64 bytes of memory each.
NOT_ASKED = b"023000"


def request_head(imei: Imei) -> bytes:
    """The first 21 bytes of every request of this device: LEN 023, STATUS 000 and its IMEI."""
    return b"023000" + imei.encode("ascii")


def answer(head: bytes, imei: Imei, data: bytes, book: Book) -> bytes | None:
    """The answer to a read of only requests of the bound device (protocol.md section 3).

    `head` is request_head(imei). Returns the frames to send, in the order of the requests; None if
    the decoder and the table must handle the read. Never raises.
    """
    if len(data) != HEADER_SIZE:
        return None if len(data) % HEADER_SIZE else _answers(head, imei, data, book)
    if not data.startswith(head):
        return None
    what = data[21:]
    if what == b"TN":
        text = book.text(imei, "TN")
    elif what == b"QR":
        text = book.text(imei, "QR")
    elif what == b"HT":
        text = b""
    else:
        return None
    if text is None:
        return None
    return HEADS[HEADER_SIZE + len(text)] + data[6:] + text


def _answers(head: bytes, imei: Imei, data: bytes, book: Book) -> bytes | None:
    """The answers to several requests in one read, in order."""
    wires = []
    for start in range(0, len(data), HEADER_SIZE):
        wire = answer(head, imei, data[start : start + HEADER_SIZE], book)
        if wire is None:
            return None
        wires.append(wire)
    return b"".join(wires)


def lone(data: bytes) -> Frame | None:
    """These bytes as one whole frame without DATA; None if they are not one.

    Devices register and report results by such frames. Only for a decoder without a tail.
    """
    if ONE.fullmatch(data) is None:
        return None
    text = data.decode("ascii")
    return Frame(text[3:6], Imei(text[6:21]), text[21:], b"")
