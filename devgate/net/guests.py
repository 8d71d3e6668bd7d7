"""Connections of a callers' door: bounded in all and by network; if full, idle ones are closed."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

from devgate.net.accepting import NEWS_SECONDS
from devgate.net.addresses import loopback, network_of

G = TypeVar("G", bound=Hashable)

MAX_PER_NETWORK = 64  # connections from one address (IPv6: /64)
RESERVED_PLACES = 8  # of a door, for this machine alone: for checks of the gateway's health
# A connection without a request for this time may be closed to make room for another. A younger
# one may be about to send its first.
IDLE_SECONDS = 5.0
SHORT_IDLE_SECONDS = 1.0  # ... this time, if no other can be closed


@dataclass(slots=True)
class _Guest:
    address: str
    network: str
    idle_since: float | None  # None: a request is under way


class Guests(Generic[G]):
    """Connections of one door. `close(guest)` must end one soon; then leave() must be called.

    `refused(why, address)` is called for each that is refused or closed to make room; `why` is
    "address" (its network has too many) or "full".
    """

    def __init__(
        self,
        name: str,
        max_guests: Callable[[], int],
        close: Callable[[G], None],
        refused: Callable[[str, str], None],
        log: logging.Logger,
        *,
        per_network: int = MAX_PER_NETWORK,
        exempt: Callable[[str], bool] = lambda address: False,
    ) -> None:
        self._name = name
        self._max_guests = max_guests
        self._close = close
        self._refused = refused
        self._log = log
        self._per_network = per_network
        # Addresses without the bound for each network, such as a proxy, which has many callers.
        self._exempt = exempt
        # Of the connections without a request, the one that has been so for longest is first.
        self._inside: dict[G, _Guest] = {}
        self._networks: dict[str, int] = {}
        self._leaving: set[G] = set()
        self._quiet_until = -math.inf

    def __len__(self) -> int:
        """The number of connections, without those that are being closed."""
        return len(self._inside) - len(self._leaving)

    def enter(self, guest: G, address: str) -> bool:
        """Give it a place, if necessary that of an idle connection. False: refused."""
        now = trio.current_time()
        network = network_of(address)
        crowd = self._networks.get(network, 0)
        if crowd >= self._per_network and not self._exempt(address):
            if (victim := self._longest_idle(now, network)) is None:
                self._refused("address", address)
                return False
            self._make_room(victim, "address")
        limit = self._max_guests() - (0 if loopback(address) else RESERVED_PLACES)
        if len(self) >= limit:
            self._say(now)
            if (victim := self._busiest_idle(now)) is None:
                self._refused("full", address)
                return False
            self._make_room(victim, "full")
        self._inside[guest] = _Guest(address, network, now)
        self._networks[network] = self._networks.get(network, 0) + 1
        return True

    def asks(self, guest: G) -> None:
        """Note that a request has begun: the connection is not closed to make room."""
        if (entry := self._inside.get(guest)) is not None:
            entry.idle_since = None

    def rests(self, guest: G) -> None:
        """Note that no request is under way any more."""
        if (entry := self._inside.pop(guest, None)) is not None:
            entry.idle_since = trio.current_time()
            self._inside[guest] = entry

    def leave(self, guest: G) -> None:
        """Give its place free; the second time does nothing."""
        if (entry := self._inside.pop(guest, None)) is None:
            return
        if guest in self._leaving:
            self._leaving.discard(guest)
        else:
            self._forget(entry)

    def _make_room(self, victim: G, why: str) -> None:
        entry = self._inside[victim]
        self._leaving.add(victim)
        self._forget(entry)
        self._refused(why, entry.address)
        self._close(victim)

    def _forget(self, entry: _Guest) -> None:
        remaining = self._networks[entry.network] - 1
        if remaining:
            self._networks[entry.network] = remaining
        else:
            del self._networks[entry.network]

    def _longest_idle(self, now: float, network: str) -> G | None:
        for guest, entry in self._inside.items():
            if entry.network == network and self._may_go(guest, entry, now, IDLE_SECONDS):
                return guest
        return None

    def _busiest_idle(self, now: float) -> G | None:
        """From the network with the most connections, the one longest without a request."""
        for seconds in (IDLE_SECONDS, SHORT_IDLE_SECONDS):
            idle: dict[str, G] = {}
            for guest, entry in self._inside.items():
                if self._may_go(guest, entry, now, seconds):
                    idle.setdefault(entry.network, guest)
            if idle:
                return idle[max(idle, key=lambda network: self._networks[network])]
        return None

    def _may_go(self, guest: G, entry: _Guest, now: float, seconds: float) -> bool:
        if entry.idle_since is None or guest in self._leaving:
            return False
        return now - entry.idle_since >= seconds

    def _say(self, now: float) -> None:
        if now >= self._quiet_until:
            self._quiet_until = now + NEWS_SECONDS
            self._log.warning(
                "%s is full connections=%d: the one longest without a request is closed for a new "
                "one", self._name, len(self),
            )  # fmt: skip
