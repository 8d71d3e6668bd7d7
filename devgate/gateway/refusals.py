"""Counts and logs refused peers: at most one log line a minute for each address.

A peer can be refused ten thousand times a second. A line for each would fill the disk.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from devgate.gateway.counters import RefusedCounts
from devgate.net.addresses import network

log = logging.getLogger("devgate.access")

QUIET_SECONDS = 60.0  # between two lines about one address
MAX_ADDRESSES = 10_000  # that are remembered; the one that was logged longest ago is forgotten


@dataclass(slots=True)
class Quiet:
    """One address. No line about it before `until`."""

    until: float
    skipped: int = 0  # lines that were not written since the last one


class Refusals:
    """The refusals of all doors."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self.counts = RefusedCounts()
        self._now = now
        self._quiet: OrderedDict[str, Quiet] = OrderedDict()

    def refuse(
        self, door: str, why: str, address: str, *, source: str = "", operation: str = ""
    ) -> None:
        """Count one refusal, and log it unless this address was logged within the last minute.

        `door` and `why` are words of `counters.REFUSAL_REASONS`. `address` is an IP address
        without a port; all of an IPv6 /64 count as one. `source` is who asked ("http:shop"), empty
        for an unauthenticated peer. Neither may be text that such a peer has sent.
        """
        self.counts.refuse(door, why)
        if (skipped := self.turn(address)) is not None:
            log.warning(
                "refused door=%s why=%s address=%s source=%s operation=%s skipped=%d",
                door, why, address or "local", source or "-", operation or "-", skipped,
            )  # fmt: skip

    def turn(self, address: str) -> int | None:
        """None: no line about this address now. Else how many were skipped since the last."""
        name, now = network(address), self._now()
        quiet = self._quiet.get(name)
        if quiet is not None and now < quiet.until:
            quiet.skipped += 1
            return None
        self._quiet[name] = Quiet(now + QUIET_SECONDS)
        self._quiet.move_to_end(name)
        if len(self._quiet) > MAX_ADDRESSES:
            self._quiet.popitem(last=False)
        return quiet.skipped if quiet is not None else 0
