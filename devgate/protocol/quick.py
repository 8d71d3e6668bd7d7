"""The common case ahead of the general one: a read that is exactly one request, or one heartbeat.

Everything here gives what the decoder and the table give, sooner; a property test holds it
to that. What it does not know it leaves to them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from devgate.model import Imei
from devgate.protocol.frames import HEADER_SIZE, MAX_FRAME, Frame
from devgate.protocol.session import Book

# A registered device's heartbeats that come alone, and the tail that the decoder keeps of each.
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


# In place of own() for a device that has asked nothing since it registered: most only beat, and
# each one's own bytes take 64.
NOT_ASKED = b"023000"


def own(imei: Imei) -> bytes:
    """How every request of this device begins: LEN 023, STATUS 000 and its IMEI, 21 bytes."""
    return b"023000" + imei.encode("ascii")


def answer(own: bytes, imei: Imei, data: bytes, book: Book) -> bytes | None:
    """The answer to a read of nothing but requests of the bound device (protocol.md section 3).

    `own` is own(imei). Returns the frames to send, in the order of the requests; None where the
    decoder and the table have to look. Never raises.
    """
    if len(data) != HEADER_SIZE:
        return None if len(data) % HEADER_SIZE else _answers(own, imei, data, book)
    if not data.startswith(own):
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


def _answers(own: bytes, imei: Imei, data: bytes, book: Book) -> bytes | None:
    """To several requests in one read, in order."""
    wires = []
    for start in range(0, len(data), HEADER_SIZE):
        wire = answer(own, imei, data[start : start + HEADER_SIZE], book)
        if wire is None:
            return None
        wires.append(wire)
    return b"".join(wires)


def lone(data: bytes) -> Frame | None:
    """The frame without DATA that these bytes are, whole; None if they are not.

    That is how devices register and report results. Only for a decoder without a tail.
    """
    if ONE.fullmatch(data) is None:
        return None
    text = data.decode("ascii")
    return Frame(text[3:6], Imei(text[6:21]), text[21:], b"")
