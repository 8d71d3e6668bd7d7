"""The stability and the answer times of one machine, compared with others of its model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from devgate.model import iso
from devgate.store.diagnosis import CommandAnswer

DAY_SECONDS = 86400.0
DAYS = (1, 7, 30)  # that can be asked for
MAX_ABSENCES = 10  # that a reply has
SILENT_REASON = "silent for too long"  # of a connection that ended: no heartbeat came in time
# Reasons of connections that ended, for which the machine can do nothing.
GATEWAY_REASONS = (
    "the gateway stop", "its node is drained", "it has registered at another node", "removed",
    "disabled",
)  # fmt: skip
ODD_TYPES = (
    "device.taken_over", "device.flapping", "device.mismatch", "device.echoing", "device.slow",
    "result.unsolicited",
)  # fmt: skip

EventItem = tuple[float, str, str]  # at, type, detail


class OfflineSpan(NamedTuple):
    """A time without a connection, wall clock; `until` is None if it lasts."""

    since: float
    until: float | None
    reason: str


class Connections:
    """What a machine's own events say of its connection."""

    def __init__(self, items: Iterable[EventItem], since: float, now: float, days: int) -> None:
        self.reasons: Counter[str] = Counter()  # why connections ended
        self.odd: Counter[str] = Counter()
        self.absences: list[OfflineSpan] = []
        self._since, self._now = since, now
        self._reconnects, self._silences = [0] * days, [0] * days
        self._away = [0.0] * days  # seconds
        gone: tuple[float, str] | None = None
        for at, type, detail in items:
            day = self._day(at)
            if type in ODD_TYPES:
                self.odd[type] += 1
            if type == "device.taken_over":  # it connected before its old connection had ended
                self._reconnects[day] += 1
            elif type == "device.offline":
                reason = str(json.loads(detail).get("reason", ""))
                self.reasons[reason] += 1
                self._silences[day] += reason == SILENT_REASON
                gone = at, reason
            elif type == "device.online" and gone is not None:
                self._reconnects[day] += not gone[1].startswith(GATEWAY_REASONS)
                self._absent(gone[0], at, gone[1])
                gone = None
        if gone is not None:
            self._absent(gone[0], None, gone[1])

    def _day(self, at: float) -> int:
        return min(len(self._away) - 1, max(0, int((at - self._since) // DAY_SECONDS)))

    def _absent(self, since: float, until: float | None, reason: str) -> None:
        self.absences.append(OfflineSpan(since, until, reason))
        end = self._now if until is None else until
        for day in range(self._day(since), self._day(end) + 1):
            first = self._since + day * DAY_SECONDS
            self._away[day] += max(0.0, min(end, first + DAY_SECONDS) - max(since, first))

    def reply(self) -> dict[str, object]:
        """These numbers as a part of the reply."""
        longest = sorted(self.absences, key=self._length, reverse=True)[:MAX_ABSENCES]
        return {
            "reconnects": sum(self._reconnects),
            "silences": sum(self._silences),
            "away_seconds": round(sum(self._away)),
            "by_day": [
                {
                    "since": iso(self._since + day * DAY_SECONDS),
                    "reconnects": self._reconnects[day],
                    "silences": self._silences[day],
                    "away_seconds": round(away),
                }
                for day, away in enumerate(self._away)
            ],
            "reasons": dict(self.reasons.most_common()),
            "odd": dict(self.odd.most_common()),
            "longest": [
                {
                    "since": iso(one.since), "until": iso(one.until), "reason": one.reason,
                    "seconds": round(self._length(one)),
                }
                for one in longest
            ],
        }  # fmt: skip

    def _length(self, one: OfflineSpan) -> float:
        return (self._now if one.until is None else one.until) - one.since


def answers(found: Sequence[CommandAnswer]) -> dict[str, Any]:
    """How many commands were answered, and after how many seconds: median and nine in ten."""
    took = sorted(one.seconds for one in found if one.seconds is not None)
    return {
        "commands": len(found),
        "unanswered": sum(one.seconds is None for one in found),
        "failed": sum(one.status in ("201", "202") for one in found),
        "median": _at(took, 0.5),
        "nine_in_ten": _at(took, 0.9),
        "slowest": _at(took, 1.0),
    }


def _at(took: Sequence[float], share: float) -> float | None:
    return round(took[min(len(took) - 1, int(len(took) * share))], 3) if took else None
