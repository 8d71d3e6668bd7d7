"""Taps: frames of a device as they pass, for callers that follow them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager

import trio

from devgate.gateway.clock import time
from devgate.model import Imei, iso
from devgate.protocol.explain import decoded, sent_frames, why
from devgate.protocol.frames import Event

MAX_LINES = 1000  # that wait for one reader; further ones are only counted

TapLine = dict[str, object]
Seen = tuple[Event, bytes, Imei | None]  # an event, its answer, and the IMEI until then


class TapReader:
    """One reader. Lines that it does not read in time are counted and left out."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[TapLine](MAX_LINES)
        self._missed = 0

    def put(self, line: TapLine) -> None:
        """Give it a line, without waiting. A line that does not fit is counted as missed."""
        try:
            if self._missed:
                self._send.send_nowait({"missed": self._missed})
                self._missed = 0
            self._send.send_nowait(line)
        except trio.WouldBlock:
            self._missed += 1

    async def lines(self) -> AsyncGenerator[TapLine, None]:
        """Its lines, for ever; `{"missed": n}` stands for lines that did not fit."""
        async for line in self._receive:
            yield line
            if self._missed and not self._receive.statistics().current_buffer_used:
                # There may be no further line before which put() could report it.
                missed, self._missed = self._missed, 0
                yield {"missed": missed}


class Tap:
    """What all readers of one device see; attached to its connection while there are any."""

    def __init__(self) -> None:
        self.readers: list[TapReader] = []

    def received(self, imei: Imei | None, address: str, data: bytes, seen: Sequence[Seen]) -> None:
        """These bytes came in (none: a tail has waited long enough), and gave these events."""
        silent = "; ".join(w for e, wire, was in seen if not wire and (w := why(e, wire, was)))
        what = decoded(event for event, _, _ in seen)
        self._put(imei, address, "in", data, what or "waits for more", silent or None)

    def sent(self, imei: Imei | None, address: str, wire: bytes, because: str | None) -> None:
        """These whole frames go out to a device; `because` says why, if that needs words."""
        self._put(imei, address, "out", wire, sent_frames(wire), because)

    def _put(
        self,
        imei: Imei | None,
        address: str,
        direction: str,
        data: bytes,
        what: str,
        because: str | None,
    ) -> None:
        line: TapLine = {
            "at": iso(time()),
            "imei": imei,
            "address": address,
            "direction": direction,
            "bytes": data.decode("latin-1"),
            "decoded": what,
            "why": because,
        }
        for reader in self.readers:
            reader.put(line)


def because(seen: Sequence[Seen]) -> str | None:
    """Why these events got their answers, if that needs words."""
    return "; ".join(w for e, wire, was in seen if wire and (w := why(e, wire, was))) or None


class Taps:
    """The taps, by device."""

    def __init__(self) -> None:
        self._taps: dict[Imei | None, Tap] = {}

    def __len__(self) -> int:
        return len(self._taps)

    def get(self, imei: Imei | None) -> Tap | None:
        """The tap of a device; for None, of all that have not registered."""
        return self._taps.get(imei) if self._taps else None

    @contextmanager
    def reading(self, imei: Imei | None) -> Iterator[tuple[Tap, TapReader]]:
        """Add a reader. The caller attaches the tap to existing connections."""
        tap = self._taps.setdefault(imei, Tap())
        reader = TapReader()
        tap.readers.append(reader)
        try:
            yield tap, reader
        finally:
            tap.readers.remove(reader)
            if not tap.readers and self._taps.get(imei) is tap:
                del self._taps[imei]
