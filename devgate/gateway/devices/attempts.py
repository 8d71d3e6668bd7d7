"""Refused attempts to register: collected in memory, and written a few at a time.

Any peer of the device port can make any number of attempts. In WINDOW_SECONDS at most MAX_RECORDED
IMEIs are recorded, and at most MAX_OF_NETWORK from one network; all others are only in the counts
of refusals. So memory and rows are bounded in a flood.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from devgate.gateway.bursts import Window
from devgate.gateway.clock import time
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.net.addresses import network_of

WINDOW_SECONDS = 5.0
MAX_RECORDED = 200  # IMEIs in a window: at most 40 rows a second
MAX_OF_NETWORK = 100  # of these
MAX_WAITING = 400  # IMEIs in memory, while the database cannot be written


@dataclass(slots=True)
class Attempt:
    """What one IMEI did since it was last written."""

    reason: str  # one of `store.unknown.REASONS`
    address: str
    first_at: float  # wall clock, as is last_at
    last_at: float
    count: int
    connected_as: Imei | None  # of reason "wrong": the IMEI that the connection is registered as

    def row(self, imei: Imei) -> tuple[Any, ...]:
        """The columns of `store.unknown.WRITTEN`."""
        return (
            imei, self.reason, self.address, network_of(self.address), self.first_at,
            self.last_at, self.count, self.connected_as,
        )  # fmt: skip


class Attempts:
    """The attempts that wait to be written, by IMEI. Nothing here blocks or awaits."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._waiting: dict[Imei, Attempt] = {}
        self._writing = False
        self._window = Window(WINDOW_SECONDS)
        self._recorded: Counter[str] = Counter()  # IMEIs of this window, by network
        self._count = 0  # IMEIs of this window, of all networks

    def refused(
        self, imei: Imei, reason: str, address: str, connected_as: Imei | None = None
    ) -> None:
        """A registration was refused. It is counted, unless there are too many."""
        at = time()
        attempt = self._waiting.get(imei)
        if attempt is None:
            network = network_of(address)
            if (
                self._count >= MAX_RECORDED
                or self._recorded[network] >= MAX_OF_NETWORK
                or len(self._waiting) >= MAX_WAITING
            ):
                return
            self._count += 1
            self._recorded[network] += 1
            self._waiting[imei] = Attempt(reason, address, at, at, 1, connected_as)
            return
        attempt.reason, attempt.address, attempt.connected_as = reason, address, connected_as
        attempt.last_at = at
        attempt.count += 1

    def roll(self, now: float) -> None:
        """Once in WINDOW_SECONDS: write what waits. `now` is trio's clock."""
        if self._window.over(now):
            self._recorded.clear()
            self._count = 0
            self.flush()

    def flush(self) -> None:
        """Write what waits, unless that is under way."""
        if not self._waiting or self._writing:
            return
        waiting, self._waiting = self._waiting, {}
        self._writing = True
        # By IMEI: two nodes that write the same ones never wait for one another.
        rows = [waiting[imei].row(imei) for imei in sorted(waiting)]
        self._records.unknown_devices(rows, partial(self._written, waiting))

    def _written(self, written: dict[Imei, Attempt], error: Exception | None) -> None:
        self._writing = False
        if error is None:
            return
        # They are written with later ones. If the connection to the database broke after the
        # commit was carried out, they are counted twice: nothing depends on that number.
        for imei, attempt in written.items():
            newer = self._waiting.get(imei)
            if newer is not None:
                newer.first_at = attempt.first_at
                newer.count += attempt.count
            elif len(self._waiting) < MAX_WAITING:
                self._waiting[imei] = attempt
