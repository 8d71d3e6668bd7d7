"""One device's connection: its link, its decoder, its session, and the task that owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from devgate.net.link import Link
from devgate.protocol.decoder import Decoder
from devgate.protocol.session import Session

if TYPE_CHECKING:
    from devgate.gateway.taps import Tap


class Connection:
    """Owned by the task that parks for it; only that task closes the socket."""

    __slots__ = (
        "_parked", "connected", "decoder", "generation", "heard", "link", "own", "registered_at",
        "session", "tap", "waits", "why",
    )  # fmt: skip

    def __init__(self, link: Link, now: float) -> None:
        self.link = link
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
        self._parked: trio.lowlevel.Task | None = None

    def parks(self) -> None:
        """Note that the current task parks until end() is called. It does so right after:

        `await wait_task_rescheduled(connection)`, unless there is a `why` already.
        A bare park, in the task's own frame: an Event each would cost 0.7 KB more, a
        coroutine of its own 0.2, and a bound method as abort function 64 bytes.
        """
        self._parked = trio.lowlevel.current_task()

    def __call__(self, _: object) -> trio.lowlevel.Abort:
        """For trio: the parked task is cancelled. So end() must not wake it any more."""
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED

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

    def end(self, why: str) -> None:
        """Say that this connection is over. Its owner closes it; the first reason counts."""
        if not self.why:
            self.why = why
            if self._parked is not None:
                trio.lowlevel.reschedule(self._parked)
                self._parked = None
