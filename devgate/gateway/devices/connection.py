"""One device's connection: its link, its decoder, its session, and the task that owns it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from devgate.gateway.devices.parked_task import Parked
from devgate.net.link import Link, Mark
from devgate.protocol.decoder import Decoder
from devgate.protocol.session import Session

if TYPE_CHECKING:
    from devgate.config.device import DeviceSettings
    from devgate.gateway.devices.taps import Tap


SHARED_SECONDS = 0.001  # a shared time differs from the real one by less than this
HANDSHAKE_SECONDS = 10.0  # for a PROXY header and a TLS handshake


def shared(now: float, last: float) -> float:
    """`last` if that was less than SHARED_SECONDS ago, otherwise `now`. In a storm many
    connections share one float object: each object takes 32 bytes."""
    return last if 0 <= now - last < SHARED_SECONDS else now


class Owner(Protocol):
    """What holds the connections."""

    relayed: bool
    """Whether devices come through a load balancer: TCP acknowledgements are the balancer's."""

    def began(self, connection: Connection) -> None:
        """Add it. If that sets its `why`, it has ended already."""

    def ended(self, connection: Connection) -> None:
        """Remove it, and close its socket."""


class Connection(Parked):
    """The task of a nursery that lasts as long as the connection; only it closes the socket."""

    __slots__ = (
        "announced", "connected", "decoder", "generation", "heard", "link", "owner",
        "received", "refused", "registered_at", "request_start", "session", "tap", "waits", "why",
    )  # fmt: skip

    def __init__(self, link: Link, owner: Owner, now: float) -> None:
        super().__init__()
        self.link = link
        self.owner = owner
        self.connected = now  # trio's clock, as is `heard`
        self.heard = now
        self.registered_at = 0.0  # wall clock, for people
        self.generation = 0  # of the registration: a later one has a higher number
        # The bytes that its requests begin with: empty until it has registered, and NOT_ASKED
        # until it has sent one after that.
        self.request_start = b""
        self.session = Session()
        self.decoder = Decoder()
        self.tap: Tap | None = None
        self.received = 0  # bytes before it registered
        self.refused = 0  # registrations
        self.announced = True  # once registered: whether an event says that it is online
        self.waits = False  # its tail may become a frame, and is among the desk's tails
        self.why = ""  # once set, the connection is over

    def begin(self) -> bool:
        """For its task: hand the link to the owner. False if that ended it at once."""
        self.owner.began(self)
        if self.why:
            self.finish()
        return not self.why

    def finish(self) -> None:
        """For its task, as its last step: the owner removes it and closes its socket."""
        self.owner.ended(self)

    def transmit(self, wire: bytes, why: str | None = None) -> bool:
        """Send it, at once or from the outbox. False: nothing of it is sent, and the connection
        ends."""
        if self.why:
            return False
        if self.tap is not None:
            self.tap.sent(self.session.imei, self.link.address, wire, why)
        if self.link.send(wire):
            return True
        self.end("it does not read")
        return False

    def transmit_marked(self, wire: bytes) -> tuple[bool, Mark | None]:
        """As device_commands.CommandLink.transmit_marked()."""
        sent = self.transmit(wire)
        return sent, self.link.mark() if sent and not self.owner.relayed else None

    def too_late(
        self, now: float, settings: DeviceSettings, crowded_timeout: float = math.inf
    ) -> str:
        """Why it must be ended because it is silent; empty if it must not.

        `crowded_timeout` (seconds) counts where it is less than register_timeout.
        """
        if now - self.heard >= settings.idle_timeout:
            return "silent for too long"
        if self.session.imei is None:
            if now - self.connected >= min(settings.register_timeout, crowded_timeout):
                return "it did not register"
            if self.link.opening and now - self.connected >= HANDSHAKE_SECONDS:
                return "its PROXY header or TLS handshake did not come in time"
        return ""

    def end(self, why: str) -> None:
        """End this connection. Its task closes it; the first reason counts."""
        if not self.why:
            self.why = why
            self.wake()
