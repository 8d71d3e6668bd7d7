"""Events of registrations with unknown IMEIs: a bounded number, for any number of attempts."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from devgate.gateway.bursts import Window
from devgate.gateway.storage import Records
from devgate.model import Imei

MAX_EVENTS = 60  # events an hour, over all IMEIs and addresses
HOUR_SECONDS = 3600.0  # also the time between two events about one IMEI
MAX_IMEIS = 1000  # that are remembered; the one that was seen longest ago is forgotten


@dataclass(slots=True)
class _Attempted:
    count: int = 0  # registrations since it was last reported
    quiet_until: float = 0.0


class UnknownDevices:
    """Writes `device.unknown`: at most one an hour for an IMEI, and MAX_EVENTS an hour in all."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._seen: OrderedDict[Imei, _Attempted] = OrderedDict()
        self._hour = Window(HOUR_SECONDS)
        self._events = 0  # events in this hour
        self._left_out = 0  # registrations since the last event that have no event

    def registers(self, imei: Imei, address: str, now: float) -> None:
        """An unregistered connection has sent an HT with an IMEI that is not in the store."""
        self.roll(now)
        seen = self._seen.get(imei)
        if seen is None:
            seen = self._seen[imei] = _Attempted()
            if len(self._seen) > MAX_IMEIS:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(imei)
        seen.count += 1
        if now < seen.quiet_until or self._events >= MAX_EVENTS:
            self._left_out += 1
            return
        self._events += 1
        self._records.event(
            "device.unknown", imei, address=address, count=seen.count, left_out=self._left_out
        )
        seen.count, seen.quiet_until, self._left_out = 0, now + HOUR_SECONDS, 0

    def roll(self, now: float) -> None:
        """Once an hour: report how many registrations had no event."""
        if not self._hour.over(now):
            return
        self._events = 0
        if self._left_out:
            self._events = 1
            self._records.event(
                "device.unknown", None, address=None, count=0, left_out=self._left_out
            )
            self._left_out = 0
