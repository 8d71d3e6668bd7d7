"""One device's connection: its link, its decoder, its session, and the task that owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from devgate.gateway.parked import Parked
from devgate.net.link import Link
from devgate.protocol.decoder import Decoder
from devgate.protocol.session import Session

if TYPE_CHECKING:
    from devgate.config.settings import DeviceSettings
    from devgate.gateway.taps import Tap


class Owner(Protocol):
    """Who keeps the connections."""

    def began(self, connection: Connection) -> None:
        """Take it in. It is over already if that gives it a `why`."""

    def ended(self, connection: Connection) -> None:
        """Forget it, and close its socket."""


class Connection(Parked):
    """The task of a nursery that lasts as long as the connection; only it closes the socket."""

    __slots__ = (
        "connected", "decoder", "generation", "heard", "link", "own", "owner", "registered_at",
        "session", "tap", "waits", "why",
    )  # fmt: skip

    def __init__(self, link: Link, owner: Owner, now: float) -> None:
        super().__init__()
        self.link = link
        self.owner = owner
        self.connected = now  # trio's clock, as is `heard`
        self.heard = now
        self.registered_at: float | None = None  # wall clock, for people
        self.generation = 0  # of the registration: a later one has a higher number
        self.own = b""  # how its requests begin, once it is registered
        self.session = Session()
        self.decoder = Decoder()
        self.tap: Tap | None = None
        self.waits = False  # for the rest of a frame, among the desk's tails
        self.why = ""  # once set, the connection is over

    def begin(self) -> bool:
        self.owner.began(self)
        if self.why:
            self.finish()
        return not self.why

    def finish(self) -> None:
        self.owner.ended(self)

    def transmit(self, wire: bytes, why: str | None = None) -> bool:
        """Send, or keep for the device. False: nothing of it will go out, and this is over."""
        if self.why:
            return False
        if self.tap is not None:
            self.tap.sent(self.session.imei, self.link.address, wire, why)
        if self.link.send(wire):
            return True
        self.end("it does not read")
        return False

    def too_late(self, now: float, settings: DeviceSettings) -> str:
        """Why it is to be ended for its silence; empty if it is not."""
        if now - self.heard >= settings.idle_timeout:
            return "silent for too long"
        if self.session.imei is None and now - self.connected >= settings.register_timeout:
            return "it did not register"
        return ""

    def end(self, why: str) -> None:
        """Say that this connection is over. Its task closes it; the first reason counts."""
        if not self.why:
            self.why = why
            self.wake()
