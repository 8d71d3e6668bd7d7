"""One device's commands, and what they need of its connection."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Protocol

from devgate.gateway.command import Command
from devgate.gateway.commands import claims
from devgate.gateway.commands.claims import Claims, Sent
from devgate.gateway.commands.waiting import Waiting
from devgate.model import Imei


class CommandLink(claims.DeviceLink, Protocol):
    """A device's connection, as far as a command needs it."""

    def transmit_marked(self, wire: bytes) -> tuple[bool, claims.Mark | None]:
        """False: nothing of it was or will be sent, and the connection is over.

        With the place behind it, to learn later whether the device's TCP has acknowledged it.
        None where nobody can know. Counts bytes as long as Mark.meter is needed.
        """


class Connected(Protocol):
    """Where a device's current connection is found."""

    def get(self, imei: Imei, /) -> CommandLink | None:
        """The connection that speaks for the device now; None if it is offline."""

    @property
    def taken_over(self) -> Container[Imei]:
        """The devices of which contested() may be true."""

    def contested(self, imei: Imei) -> bool:
        """Whether starts are refused, for two connections compete for the IMEI."""

    def from_new_address(self, imei: Imei) -> bool:
        """The device answers a command. Whether its last answer came from another address."""


class DeviceCommands:
    """One device's commands: waiting, in flight, and those that a result may still settle."""

    __slots__ = ("aside", "claim", "claims", "current", "imei", "noted", "registered", "waiting")

    def __init__(self, imei: Imei) -> None:
        self.imei = imei
        self.waiting = Waiting()
        self.claims: Claims[Command] = Claims()
        # The command between leaving the queue and its outcome on disk.
        self.current: Command | None = None
        self.claim: Sent[Command] | None = None  # the current one's, from its first byte on
        # A start in flight while a stop goes out: results are held for it (protocol.md section 4).
        # It stays here until its outcome is on disk.
        self.aside: Sent[Command] | None = None
        # When the device registered on its connection, if that was after its first command.
        self.registered = math.inf
        self.noted: frozenset[str] = frozenset()  # kinds of which there is a row in open_results
