"""HTTP/2 within bounds: how many frames are worked off at a time, and how many a second."""

from __future__ import annotations

from collections.abc import Iterator

import trio
from h2.errors import ErrorCodes
from h2.events import PriorityUpdated
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h2 import H2Protocol

from devgate.http.serving.connection import LARGE_PIECE_BYTES, PIECE_BYTES

PREFACE = 24  # bytes in front of the first frame
HEADER = 9  # bytes of a frame's header
DATA, HEADERS, RST_STREAM, CONTINUATION = 0, 1, 3, 9
END_STREAM = 1
SMALL_DATA = 64  # bytes: a DATA frame below this, with more behind it, counts as a control frame
FRAMES_A_TURN = 8  # frames that are worked off in one turn of the loop
# Control frames: all but DATA and HEADERS. Browsers send about ten for a page, and one for each
# 32 KiB that they read.
CONTROL_BURST = 64
CONTROL_A_SECOND = 32.0
RESET_WEIGHT = 4  # control frames that a reset counts as: a request was begun for it
BYTES_FOR_ONE = 4096  # that we sent: they allow one control frame more


class Meter:
    """Follows the frames of one connection and counts them."""

    def __init__(self) -> None:
        self.control = 0  # control frames, ever; some kinds count several times
        self._skip = PREFACE  # bytes until the next frame's header
        self._header = b""  # a part of it

    @property
    def inside(self) -> int:
        """Bytes to come until the frame that has begun ends."""
        return self._skip

    def cut(self, data: bytes) -> Iterator[bytes]:
        """The data in pieces with the headers of at most FRAMES_A_TURN frames each."""
        begin = at = frames = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
            else:
                if frames == FRAMES_A_TURN:
                    yield data[begin:at]
                    begin, frames = at, 0
                step = min(HEADER - len(self._header), len(data) - at)
                self._header += data[at : at + step]
                if len(self._header) == HEADER:
                    self._count(self._header)
                    frames += 1
                    self._header = b""
            at += step
        if begin < at:
            yield data[begin:at]

    def _count(self, header: bytes) -> None:
        length, kind, flags = int.from_bytes(header[:3], "big"), header[3], header[4]
        self._skip = length
        tiny = kind == DATA and length < SMALL_DATA and not flags & END_STREAM
        if kind == RST_STREAM:
            self.control += RESET_WEIGHT
        elif tiny or kind not in (DATA, HEADERS, CONTINUATION):
            self.control += 1


class Http2(H2Protocol):
    """Hypercorn's, for a peer that sends control frames in reasonable numbers."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.meter = Meter()
        self.refused = False
        self._allowed = float(CONTROL_BURST)  # control frames, ever
        self._since = trio.current_time()

    @property
    def piece(self) -> int:
        """How many bytes may be worked off in one turn of the loop."""
        return max(PIECE_BYTES, min(self.meter.inside, LARGE_PIECE_BYTES))

    async def handle(self, event: Event) -> None:
        """As H2Protocol.handle(), within the bounds on frames: beyond them it ends."""
        if not isinstance(event, RawData):
            await super().handle(event)
        elif not self.refused:
            if self._within():
                await super().handle(event)
            else:
                self.refused = True
                self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
                await self._flush()
                await self.send(Closed())

    def sent(self, size: int) -> None:
        """`size` bytes went out."""
        self._allowed += size / BYTES_FOR_ONE

    async def _priority_updated(self, event: PriorityUpdated) -> None:
        """Streams take turns, whatever the peer asks for.

        RFC 9113 (5.3.2) has given priorities up. A peer could name a thousand streams, and
        each look for the next one to send would then take a millisecond.
        """

    def _within(self) -> bool:
        now = trio.current_time()
        self._allowed += (now - self._since) * CONTROL_A_SECOND
        self._since = now
        # What was not used is not saved up.
        self._allowed = min(self._allowed, self.meter.control + CONTROL_BURST)
        return self.meter.control <= self._allowed
