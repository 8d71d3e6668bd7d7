"""How many sockets this process may have, and who has too many of them."""

from __future__ import annotations

import contextlib
import resource
import sys

from devgate.net.addresses import host_of

# Kept back for the store, the log, the control socket and its callers: 200 callers at once are
# to be served while all the rest is taken. A guess with room in it.
RESERVE = 256


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
    """How many devices the soft limit of descriptors allows, after the reserve.

    The reserve is 256 descriptors, and never more than a quarter of the limit.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return soft - min(RESERVE, soft // 4)


class Crowds:
    """Connections by the host they come from. `most` 0 is no limit; it may change at any time."""

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self._here: dict[str, int] = {}

    def enter(self, address: str) -> bool:
        """Count one more from the host of `address`. False, and not counted: it has enough."""
        host = host_of(address)
        here = self._here.get(host, 0)
        if 0 < self.most <= here:
            return False
        self._here[host] = here + 1
        return True

    def left(self, address: str) -> None:
        """One that was counted has gone. A host that has none counted is none the less."""
        host = host_of(address)
        here = self._here.get(host, 0)
        if here > 1:
            self._here[host] = here - 1
        elif here:
            del self._here[host]
