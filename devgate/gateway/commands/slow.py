"""Devices that keep answering later than `ack_timeout`."""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

import trio

from devgate.gateway.details import name_of
from devgate.gateway.storage import Records
from devgate.model import Imei

LATE_ANSWERS = 3  # in succession: then the device is slow
# Devices that are remembered. The one that was late longest ago is forgotten first.
MAX_DEVICES = 10_000
REPORT_SECONDS = 86400.0  # between two events about one device

log = logging.getLogger("devgate.devices")


class LateAnswers(NamedTuple):
    """How late a device's last answers came."""

    answers: int  # in succession that came later than `ack_timeout`
    seconds: float  # the last one, from sending to the result
    ack_timeout: float
    reported_at: float  # when an event reported it: trio's clock


class Slow:
    """Remembers late answers until the next one is in time. Writes one event a day for a
    device."""

    def __init__(self, records: Records) -> None:
        self._records = records
        # While it is empty, answered() in time changes nothing.
        self.remembers: dict[Imei, LateAnswers] = {}

    def get(self, imei: Imei) -> LateAnswers | None:
        """How slow the device is; None if it is not known to be slow."""
        late = self.remembers.get(imei)
        return late if late is not None and late.answers >= LATE_ANSWERS else None

    def answered(self, imei: Imei, seconds: float, ack_timeout: float) -> None:
        """A command has its result: `seconds` after it was sent."""
        before = self.remembers.pop(imei, None) if self.remembers else None
        if seconds <= ack_timeout:
            if before is not None and before.reported_at > -math.inf:
                # Remembered, so that it is not reported again today.
                self._remember(imei, before._replace(answers=0))
            return
        count, reported_at = (before.answers, before.reported_at) if before else (0, -math.inf)
        now = trio.current_time()
        if count + 1 >= LATE_ANSWERS and now >= reported_at + REPORT_SECONDS:
            reported_at, shown = now, round(seconds, 1)
            log.warning(
                "device slow imei=%s name=%s seconds=%s limit=%s",
                imei, name_of(self._records.called(imei)), shown, ack_timeout,
            )  # fmt: skip
            self._records.event("device.slow", imei, seconds=shown, ack_timeout=ack_timeout)
        self._remember(imei, LateAnswers(count + 1, seconds, ack_timeout, reported_at))

    def _remember(self, imei: Imei, late: LateAnswers) -> None:
        while len(self.remembers) >= MAX_DEVICES:
            del self.remembers[next(iter(self.remembers))]
        self.remembers[imei] = late
