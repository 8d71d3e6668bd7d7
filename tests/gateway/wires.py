"""The wire to a device, which notes what it was given."""

from __future__ import annotations

import trio

from devgate.model import Imei


class FakeMeter:
    """Counts nothing: a FakeLink does."""

    needed = True


class FakeMark:
    """A place in the stream of a FakeLink."""

    def __init__(self, link: FakeLink, place: int) -> None:
        self.link = link
        self.place = place
        self.meter = FakeMeter()

    def acknowledged(self) -> bool:
        return self.link.acknowledged >= self.place


class FakeLink:
    """A device's connection: notes what goes out. `whole`: it still takes something. The device's
    TCP acknowledges at once, until `acknowledges` is False."""

    def __init__(self) -> None:
        self.heard = trio.current_time()
        self.receipts: list[bytes] = []  # acknowledgements of results that are held
        self.written = self.acknowledged = 0  # frames, and how many the device's TCP has
        self.acknowledges = True
        self.relayed = False
        self.sent: list[bytes] = []
        self.times: list[float] = []
        self.whole = True

    def transmit(self, wire: bytes, why: str | None = None) -> bool:
        if not self.whole:
            return False
        self.written += 1
        if self.acknowledges:
            self.acknowledged = self.written
        if wire[3:6] == b"200":
            self.receipts.append(wire)
        else:
            self.sent.append(wire)
            self.times.append(trio.current_time())
        return True

    def transmit_marked(self, wire: bytes) -> tuple[bool, FakeMark | None]:
        sent = self.transmit(wire)
        return sent, FakeMark(self, self.written) if sent and not self.relayed else None


class Links(dict[Imei, FakeLink]):
    """Who is connected."""

    taken_over: frozenset[Imei] = frozenset()

    def contested(self, imei: Imei) -> bool:
        return False

    def from_new_address(self, imei: Imei) -> bool:
        return False
