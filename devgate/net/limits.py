"""How many sockets this process may have, which door may have them, and who has too many."""

from __future__ import annotations

import contextlib
import resource
import sys
from typing import NamedTuple

from devgate.net.addresses import network_of

# What is kept back from the devices, for all other doors, the database and webhooks: a sixteenth
# of the descriptors, and at least 256 where these are no more than a quarter of all.
LEAST_RESERVE = 256
MOST_RESERVE = 4096
REST = 64  # for the database, webhooks, the log and the gateway's own files
MAX_WEB = 1024  # connections of HTTP, or of control TCP: no more are of use to anybody

# At most this many connections from one network have not registered, and one more for each that
# has registered from there: a fleet behind one NAT doubles with each round trip.
UNREGISTERED_PER_NETWORK = 200


class Budget(NamedTuple):
    """Descriptors for each door. They add up to the limit, so that no door takes another's."""

    devices: int
    web: int  # HTTP and control TCP together: at most half of the reserve
    unix: int  # the Unix socket's own
    rest: int


def budget(limit: int | None = None) -> Budget:
    """The share of each door in `descriptors`; None: in the soft limit as it is now."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    if soft == resource.RLIM_INFINITY:
        soft = sys.maxsize
    reserve = min(soft // 4, max(LEAST_RESERVE, min(soft // 16, MOST_RESERVE)))
    rest, unix = max(reserve // 4, min(REST, reserve // 2)), reserve // 4
    return Budget(soft - reserve, reserve - rest - unix, unix, rest)


def raise_descriptor_limit() -> tuple[int, int]:
    """Raise the soft limit of descriptors to the hard one. Returns both, as they are now.

    It stays as it is where the system says no.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def capacity() -> int:
    """How many devices the soft limit of descriptors allows, after the reserve."""
    return budget().devices


class Crowds:
    """Connections of devices, by network: an IPv4 address, or the /64 of an IPv6 address.

    `most` 0 is no limit; it may change at any time. All of a network's connections are counted,
    and those that have not registered once more.
    """

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self._here: dict[str, list[int]] = {}  # all, and those that have not registered

    def enter(self, address: str) -> bool:
        """Count one more from the network of `address`. False, and not counted: it has enough."""
        network = network_of(address)
        here = self._here.get(network)
        if here is None:
            self._here[network] = [1, 1]
            return True
        if 0 < self.most <= here[0]:
            return False
        here[0] += 1
        here[1] += 1
        return True

    def registered(self, address: str) -> None:
        """One that was counted has registered."""
        here = self._here.get(network_of(address))
        if here is not None and here[1]:
            here[1] -= 1

    def left(self, address: str, *, registered: bool = False) -> None:
        """One that was counted has gone. A network that has none counted has none the less."""
        network = network_of(address)
        here = self._here.get(network)
        if here is None:
            return
        if here[0] <= 1:
            del self._here[network]
            return
        here[0] -= 1
        if not registered and here[1]:
            here[1] -= 1

    def unregistered(self, address: str) -> int:
        """How many of its network have not registered."""
        here = self._here.get(network_of(address))
        return here[1] if here else 0

    def crowded(self, address: str, less: int = 0) -> bool:
        """Whether its network has at least as many connections that have not registered as it
        may have; `less` of them are leaving."""
        here = self._here.get(network_of(address))
        if here is None:
            return False
        return here[1] - less >= UNREGISTERED_PER_NETWORK + here[0] - here[1]
