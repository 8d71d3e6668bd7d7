"""A slow, plain reader of protocol.md section 2, byte by byte, to hold the decoder to."""

from __future__ import annotations

from devgate.model import Imei
from devgate.protocol.frames import Event, Frame, Heartbeat, Malformed, ShortEcho

DIGITS = b"0123456789"
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BLANK = b"\x00 \t\n\r\x0b\x0c01"
ECHO = b"006404"


def size_of_frame(data: bytes, at: int) -> int:
    """How long the frame is whose header fits at `at`; 0 if none does.

    Rule 1: LEN 023..999, STATUS digits, IMEI digits, COMMAND two letters A-Z.
    Rule 2: LEN 020, 021 and 022 are frames of 23 bytes.
    """
    head = data[at : at + 23]
    if len(head) < 23 or not may_be_header(head):
        return 0
    return max(23, int(head[:3]))


def may_be_header(some: bytes) -> bool:
    """Whether these bytes (23 at the most) are a header, or its beginning."""
    for place, byte in enumerate(some):
        if byte not in (DIGITS if place < 21 else LETTERS):
            return False
    # LEN is 020 or more, as far as it can be seen.
    lengths = [f"{n:03}".encode() for n in range(20, 1000)]
    return any(some[:3] == length[: len(some[:3])] for length in lengths)


def heartbeat(run: bytes) -> bool:
    """Rule 3: at most 3 bytes, or nothing but NUL, white space, 0, 1 and AT."""
    if len(run) <= 3:
        return True
    at = 0
    while at < len(run):
        if run[at] in BLANK:
            at += 1
        elif run[at : at + 2] == b"AT":
            at += 2
        else:
            return False
    return True


class PlainReader:
    """protocol.md section 2 word by word; the same interface as the decoder's."""

    def __init__(self) -> None:
        self.tail = b""
        self.before = b""  # the heartbeat in front of the tail, which is not reported yet
        self.reported = 0  # bytes of the tail that belong to a malformed run, which is reported

    def feed(self, read: bytes) -> list[Event]:
        return self.cut(self.tail + read, silence=False)

    def expire(self) -> list[Event]:
        return self.cut(self.tail, silence=True)

    def cut(self, data: bytes, silence: bool) -> list[Event]:
        events: list[Event] = []
        run, reported = self.before, self.reported
        at, since = 0, 0
        self.tail, self.before, self.reported = b"", b"", 0
        while at < len(data):
            size = size_of_frame(data, at)
            if size and at + size <= len(data):
                head = data[at : at + 23].decode("ascii")
                body = data[at + 23 : at + size]
                event: Event = Frame(head[3:6], Imei(head[6:21]), head[21:], body)
            elif data[at : at + 6] == ECHO:
                event, size = ShortEcho(), 6
            elif not silence and (
                size
                or (len(data) - at < 23 and may_be_header(data[at:]))
                or (len(data) - at < 6 and ECHO.startswith(data[at:]))
            ):
                # Rule 4: a tail that may still become a frame waits.
                self.tail = data[at:]
                break
            else:
                run += data[at : at + 1]
                at += 1
                continue
            # Rule 3: a heartbeat right in front of a frame is only skipped.
            if not heartbeat(run) and at > reported:
                events.append(Malformed(run))
            events.append(event)
            run, at = b"", at + size
            since = at
        if since < at <= reported:
            run = b""  # it was reported before
        self.reported = max(0, reported - at)
        if not heartbeat(run):
            events.append(Malformed(run))
            self.reported = len(self.tail)
        elif run and not self.tail:
            events.append(Heartbeat())
        elif run:
            self.before = run  # a frame right behind it may still speak for it
        return events
