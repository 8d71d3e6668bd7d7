"""Which connections may have a place, and which are closed to make room."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import trio

from devgate.gateway.refusals import Refusals
from devgate.http.forwarded import Proxies
from devgate.http.serving.connection import WebConnection
from devgate.net.addresses import is_loopback, network

log = logging.getLogger("devgate.http")

MAX_PLACES = 1024  # connections, so that enough descriptors are left for the devices
MAX_PLACES_PER_ADDRESS = 64  # of these, for connections that have shown no token and no session
RESERVED_PLACES = 16  # in addition for loopback, and as many for /healthz and /readyz
SAFE_SECONDS = 5.0  # for which a connection is not ended to make room
SAFE_RESERVED_SECONDS = 1.0  # the same on a place that is reserved for /healthz
LOG_SECONDS = 60.0  # between two lines that say that all places are taken


class Room:
    """The places. `enter` may end another connection to make room."""

    def __init__(self, proxies: Proxies, refusals: Refusals, places: int = 1 << 62) -> None:
        """`places`: how many connections the descriptors allow, with the reserved ones."""
        self._allowed = max(1, places - 2 * RESERVED_PLACES)
        self._proxies = proxies
        self._refusals = refusals
        self._here: dict[str, dict[WebConnection, None]] = {}  # by network, oldest first
        # For loopback, and for others.
        self._reserved: dict[bool, dict[WebConnection, None]] = {True: {}, False: {}}
        self._count = 0
        self._quiet_until = float("-inf")

    def __len__(self) -> int:
        return self._count + sum(map(len, self._reserved.values()))

    def enter(self, connection: WebConnection) -> bool:
        """Find a place for an accepted connection. False: there is none, and it must be closed."""
        key = network(connection.address)
        mine = self._here.get(key, {})
        if not self._proxies.trusts(connection.address) and (
            sum(not other.known for other in mine) >= MAX_PLACES_PER_ADDRESS
            and not self._end_one(mine)
        ):
            if is_loopback(connection.address):
                return self._enter_reserved(connection, loopback=True)
            self._refusals.refuse("http", "address", connection.address)
            return False
        if self._count >= min(MAX_PLACES, self._allowed):
            self._tell()
            if not self._end_of_busiest():
                return self._enter_reserved(connection, loopback=is_loopback(connection.address))
        self._here.setdefault(key, {})[connection] = None
        self._count += 1
        return True

    def leave(self, connection: WebConnection) -> None:
        """It has ended. The second time does nothing."""
        for reserved in self._reserved.values():
            reserved.pop(connection, None)
        key = network(connection.address)
        mine = self._here.get(key)
        if mine is not None and connection in mine:
            del mine[connection]
            self._count -= 1
            if not mine:
                del self._here[key]

    def _end_of_busiest(self) -> bool:
        """End a connection of the address with the most of them, among those that may be ended."""
        busiest = sorted(self._here.values(), key=len, reverse=True)
        return any(map(self._end_one, busiest)) or any(map(self._end_idle, busiest))

    def _end_one(self, connections: Iterable[WebConnection]) -> bool:
        """End the one of an unauthenticated peer that has been without a request for longest."""
        now = trio.current_time()
        return self._end([w for w in connections if not w.known and now >= w.since + SAFE_SECONDS])

    def _end_idle(self, connections: Iterable[WebConnection]) -> bool:
        """The same among those of known callers."""
        now = trio.current_time()
        return self._end(
            [w for w in connections if not w.busy and now >= w.idle_since + SAFE_SECONDS]
        )

    def _end(self, connections: list[WebConnection]) -> bool:
        if not connections:
            return False
        victim = min(connections, key=lambda connection: (connection.busy, connection.idle_since))
        self.leave(victim)
        victim.abort()
        return True

    def _enter_reserved(self, connection: WebConnection, *, loopback: bool) -> bool:
        """Use a reserved place. If all are taken, the connection that came first is ended."""
        reserved = self._reserved[loopback]
        if len(reserved) >= RESERVED_PLACES:
            oldest = next(iter(reserved))
            if not loopback and trio.current_time() < oldest.since + SAFE_RESERVED_SECONDS:
                self._refusals.refuse("http", "full", connection.address)
                return False
            self.leave(oldest)
            oldest.abort()
        reserved[connection] = None
        connection.only_health = not loopback
        return True

    def _tell(self) -> None:
        if (now := trio.current_time()) >= self._quiet_until:
            self._quiet_until = now + LOG_SECONDS
            log.warning(
                "http connections full, unauthenticated ones are closed limit=%d addresses=%d",
                self._count, len(self._here),
            )  # fmt: skip
