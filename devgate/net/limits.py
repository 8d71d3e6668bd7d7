"""How many sockets this process and each of its doors may have, and the limit of a network."""

from __future__ import annotations

import contextlib
import resource
import sys
from typing import NamedTuple

from devgate.net.addresses import network_of

# Descriptors that devices may not use, for all other doors, the database and webhooks: a sixteenth
# of all, and at least 256 if that is at most a quarter of all.
MIN_RESERVE = 256
MAX_RESERVE = 4096
OTHER_FILES = 64  # for the database, webhooks, the log and the gateway's own files
MAX_WEB = 1024  # connections of HTTP, or of control TCP: more bring no gain

# At most this many connections from one network have not registered, and one more for each that
# has registered from there: a fleet behind one NAT doubles with each round trip.
UNREGISTERED_PER_NETWORK = 200


class Budget(NamedTuple):
    """Descriptors for each door. They add up to the limit, so that no door takes another's."""

    devices: int
    web: int  # HTTP and control TCP together: at most half of the reserve
    unix: int  # the Unix socket's own
    other: int


def budget(limit: int | None = None) -> Budget:
    """The share of each door in `descriptors`; None: in the soft limit as it is now."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    if soft == resource.RLIM_INFINITY:
        soft = sys.maxsize
    reserve = min(soft // 4, max(MIN_RESERVE, min(soft // 16, MAX_RESERVE)))
    other, unix = max(reserve // 4, min(OTHER_FILES, reserve // 2)), reserve // 4
    return Budget(soft - reserve, reserve - other - unix, unix, other)


def raise_descriptor_limit() -> tuple[int, int]:
    """Raise the soft limit of descriptors to the hard one. Returns both, as they are now.

    It stays unchanged if the system refuses.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def capacity() -> int:
    """How many devices the soft limit of descriptors allows, after the reserve."""
    return budget().devices


class Crowd:
    """The connections of devices from one network: an IPv4 address, or the /64 of an IPv6 one."""

    __slots__ = ("inside", "network", "unregistered")

    def __init__(self, network: str) -> None:
        self.network = network
        self.inside = 0  # all that were counted and have not left
        self.unregistered = 0  # those of them that have not registered

    def registered(self) -> None:
        """One that was counted has registered."""
        self.unregistered -= 1

    def crowded(self, less: int = 0) -> bool:
        """Whether as many have not registered as the limit allows; `less` of them are leaving."""
        registered = self.inside - self.unregistered
        return self.unregistered - less >= UNREGISTERED_PER_NETWORK + registered


class Crowds:
    """Connections of devices, by network.

    `limit` 0 is no limit; it may change at any time. A connection's network is looked up once,
    when it is counted; from then on whoever counted it knows its crowd.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self._crowds: dict[str, Crowd] = {}

    def enter(self, address: str) -> Crowd | None:
        """Count one more. Returns its crowd; None if the network has too many: not counted."""
        network = network_of(address)
        crowd = self._crowds.get(network)
        if crowd is None:
            crowd = self._crowds[network] = Crowd(network)
        elif 0 < self.limit <= crowd.inside:
            return None
        crowd.inside += 1
        crowd.unregistered += 1
        return crowd

    def leave(self, crowd: Crowd, *, registered: bool = False) -> None:
        """A connection that was counted has ended. Call it once for each."""
        crowd.inside -= 1
        if not registered:
            crowd.unregistered -= 1
        if not crowd.inside:
            del self._crowds[crowd.network]
