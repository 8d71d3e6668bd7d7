"""Cut a device's byte stream into events: protocol.md section 2. No I/O, no clock.

TCP keeps no message boundaries, and a heartbeat has no frame. So a frame is found by its header
(rules 1 and 2). The bytes between two frames are one run, judged as a whole: a heartbeat, or
malformed (rule 3). Bytes at the end that may still become a frame are the tail: they wait for
more, and whoever feeds the decoder decides for how long (rule 4).
"""

from __future__ import annotations

import re

from devgate.model import Imei
from devgate.protocol.frames import (
    HEADER_SIZE,
    MAX_FRAME,
    SHORT_404,
    Event,
    Frame,
    Heartbeat,
    Malformed,
    ShortEcho,
)

SHORT_BYTES = 3  # a run of at most this many bytes is a heartbeat, whatever it contains

# Some devices in use send LEN 020 to 022 by mistake: such a frame is 23 bytes long.
HEADER = rb"(?:02|0[3-9]|[1-9][0-9])[0-9][0-9]{3}[0-9]{15}[A-Z]{2}"
# A header is searched by its end, where it has letters: so a run of digits of any length costs one
# step for each byte, not one for each header that it might begin.
HEADER_END = re.compile(rb"[A-Z]{2}(?<=" + HEADER + rb")")
BEATS = re.compile(rb"(?:[\x00\s01]++|AT)++")  # heartbeats of any number, joined together
MANY_BEATS = b"0" * (SHORT_BYTES + 1)  # stands for any such run that is longer


def _optional(classes: list[bytes]) -> bytes:
    """A pattern for every beginning of the sequence of `classes`, the empty one included."""
    pattern = b""
    for one in reversed(classes):
        pattern = b"(?:" + one + pattern + b")?"
    return pattern


# What may still become a header or an echo: every proper beginning of one, up to the end.
_AFTER_LEN = _optional([b"[0-9]"] * 19 + [b"[A-Z]"])
_ECHO = _optional([b"0", b"6", b"4", b"0"])
PARTIAL = re.compile(
    rb"(?:0(?:[2-9]" + _AFTER_LEN + b"|" + _ECHO + rb")|[1-9](?:[0-9]" + _AFTER_LEN + rb")?)\Z"
)


class Decoder:
    """Bytes in, events out; the work is proportional to the bytes (protocol.md section 2, rule 5).

    Nothing here raises: every byte is part of a frame, of a heartbeat or of a malformed run, or
    waits in the tail. `tail` are the bytes that may still become a frame: less than one frame, so
    at most 998 bytes. Whoever feeds the decoder also watches the clock, and calls early() for an
    unregistered connection's short tail, and expire() for any tail that has waited long enough.
    """

    __slots__ = ("_before", "_reported", "tail")

    def __init__(self, tail: bytes = b"", before: bytes = b"", reported: int = 0) -> None:
        self.tail = tail
        self._before = before  # the heartbeat before the tail: judged with it if no frame follows
        # How many of the tail's first bytes an event has reported already.
        self._reported = reported

    def feed(self, data: bytes) -> list[Event]:
        """Decode one read. Returns the events that are certain after these bytes, in order.

        Never raises, for any bytes. Bytes that may still become a frame are added to `tail`; a
        heartbeat right before it is judged with it. The caller may reuse `data`.
        """
        return self._cut(self.tail + data if self.tail else data, last=False)

    def expire(self) -> list[Event]:
        """Judge a tail that has waited long enough (section 2, rule 4). Leaves no tail.

        Returns the events in it, none if there is no tail. Never raises. A header in it without a
        whole frame is not a frame: its bytes belong to a run.
        """
        return self._cut(self.tail, last=True)

    def set_tail(self, tail: bytes = b"") -> None:
        """Replace the tail by this one, and forget what came before it, without an event."""
        self.tail, self._before, self._reported = tail, b"", 0

    @property
    def state(self) -> tuple[bytes, bytes, int]:
        """The arguments for a Decoder that continues where this one is."""
        return self.tail, self._before, self._reported

    def beats(self) -> bool:
        """Whether the tail, if it does not become a frame, would be only heartbeats.

        True for an empty tail. For registered devices: nobody waits for the answer to a heartbeat.
        """
        return _is_beat(self._before + self.tail)

    def early(self) -> bool:
        """Whether to answer the tail as a heartbeat now, while its bytes stay in the tail.

        For an unregistered connection after `heartbeat_grace` (section 2, rule 4). True only once
        for the same bytes, and not again for a frame that comes byte by byte.
        """
        size = len(self.tail)
        if self._reported >= size or not _is_beat(self.tail):
            return False
        if self._reported and not BEATS.fullmatch(self.tail):
            return False
        self._reported, self._before = size, b""
        return True

    def _cut(self, data: bytes, last: bool) -> list[Event]:
        events: list[Event] = []
        run, reported, size, done, look = self._before, self._reported, len(data), 0, 0
        header = -1
        while True:
            if header < look:
                header = _next_header(data, look)
            start, stop = _next_frame(data, look, header)
            if stop > size and last:  # the rest never came: this is not a header
                look = start + 1
                continue
            bad = False
            if start > done and start > reported:  # a run that was not reported already
                run += data[done:start]
                bad = not _is_beat(run)
                if bad:
                    events.append(Malformed(run))
                    run = b""
            if stop > size or start == size:
                break
            run = b""  # a heartbeat right before a frame has no event of its own
            events.append(_frame(data, start, stop))
            done = look = stop
        self.tail = data[start:]
        # If the tail does not become a frame, it belongs to the run before it.
        self._reported = size - start if bad else max(0, reported - start)
        if run and start == size:
            events.append(Heartbeat())
            run = b""
        self._before = run if len(run) <= SHORT_BYTES else MANY_BEATS
        return events


def _is_beat(run: bytes) -> bool:
    return len(run) <= SHORT_BYTES or BEATS.fullmatch(run) is not None


def _next_header(data: bytes, look: int) -> int:
    """Where the next whole header begins, from `look` on; len(data) if there is none."""
    found = HEADER_END.search(data, look + HEADER_SIZE - 2)
    return found.end() - HEADER_SIZE if found else len(data)


def _next_frame(data: bytes, look: int, header: int) -> tuple[int, int]:
    """Where the next frame starts and will stop, whether or not it is whole yet.

    Both are len(data) if nothing from `look` on can start one. `header` is _next_header().
    """
    size = len(data)
    # A device never sends 006404 by itself; it is cut out whole, so that an echo is recognised.
    again = data.find(SHORT_404, look, header + len(SHORT_404) - 1)
    if again < 0 and header < size:
        return header, header + max(HEADER_SIZE, int(data[header : header + 3]))
    # The digits of an echo may be part of a header that is not whole yet.
    latest = size - HEADER_SIZE + 1
    partial = None if 0 <= again < latest else PARTIAL.search(data, max(look, latest))
    if again >= 0 and not (partial and partial.start() < again):
        return again, again + len(SHORT_404)
    return (partial.start(), size + 1) if partial else (size, size)


def _frame(data: bytes, start: int, stop: int) -> Event:
    if stop - start == len(SHORT_404):
        return ShortEcho()
    head = data[start + 3 : start + HEADER_SIZE].decode("ascii")
    return Frame(head[:3], Imei(head[3:18]), head[18:], data[start + HEADER_SIZE : stop])


assert MAX_FRAME == 999, "LEN has three digits"
