"""HTTP/2 within bounds: how many frames are processed at a time, and how many a second."""

from __future__ import annotations

from collections.abc import Iterator

import trio
from h2.errors import ErrorCodes
from h2.events import PriorityUpdated
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h2 import H2Protocol

from devgate.http.serving.connection import LARGE_PIECE_BYTES, PIECE_BYTES

PREFACE_BYTES = 24  # in front of the first frame
HEADER_BYTES = 9  # of a frame's header
DATA, HEADERS, RST_STREAM, CONTINUATION = 0, 1, 3, 9
END_STREAM = 1
SMALL_DATA_BYTES = 64  # a shorter DATA frame that is not the last counts as a control frame
FRAMES_A_TURN = 8  # frames that are processed in one turn of the loop
# Control frames: all but DATA and HEADERS. Browsers send about ten for a page, and one for each
# 32 KiB that they read.
CONTROL_BURST = 64
CONTROL_A_SECOND = 32.0
RESET_WEIGHT = 4  # control frames that a reset counts as: a request was begun for it
BYTES_FOR_ONE = 4096  # bytes that we sent allow one more control frame


class FrameMeter:
    """Follows the frames of one connection and counts them."""

    def __init__(self) -> None:
        self.control = 0  # control frames since the beginning; a reset counts several times
        self._skip = PREFACE_BYTES  # bytes until the next frame's header
        self._header = b""  # the part of that header that has come

    @property
    def inside(self) -> int:
        """Bytes that are still missing of the frame that has begun."""
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
                step = min(HEADER_BYTES - len(self._header), len(data) - at)
                self._header += data[at : at + step]
                if len(self._header) == HEADER_BYTES:
                    self._count(self._header)
                    frames += 1
                    self._header = b""
            at += step
        if begin < at:
            yield data[begin:at]

    def _count(self, header: bytes) -> None:
        length, kind, flags = int.from_bytes(header[:3], "big"), header[3], header[4]
        self._skip = length
        tiny = kind == DATA and length < SMALL_DATA_BYTES and not flags & END_STREAM
        if kind == RST_STREAM:
            self.control += RESET_WEIGHT
        elif tiny or kind not in (DATA, HEADERS, CONTINUATION):
            self.control += 1


class Http2(H2Protocol):
    """Hypercorn's, for a peer that sends control frames in reasonable numbers."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.meter = FrameMeter()
        self.refused = False
        self._allowed = float(CONTROL_BURST)  # control frames since the beginning
        self._since = trio.current_time()

    @property
    def piece(self) -> int:
        """How many bytes may be processed in one turn of the loop."""
        return max(PIECE_BYTES, min(self.meter.inside, LARGE_PIECE_BYTES))

    async def handle(self, event: Event) -> None:
        """As H2Protocol.handle(), but a peer that exceeds the bounds on frames is cut off."""
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
        """Do nothing: streams take turns, whatever the peer asks for.

        RFC 9113 (5.3.2) has deprecated priorities. A peer could name a thousand streams, and to
        find the next one to send would then take a millisecond each time.
        """

    def _within(self) -> bool:
        now = trio.current_time()
        self._allowed += (now - self._since) * CONTROL_A_SECOND
        self._since = now
        # Frames that were allowed and did not come do not add up beyond one burst.
        self._allowed = min(self._allowed, self.meter.control + CONTROL_BURST)
        return self.meter.control <= self._allowed
