"""The longest waits about each upgrade: when they were, and how much of it was the load's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import monotonic, time
from typing import Any, NamedTuple

STALL_SECONDS = 0.02  # for which the load's own loop has no turn, from which on it is noted
AFTER_SECONDS = 1.0  # behind an upgrade, in which a wait is counted as its own


class Span(NamedTuple):
    """From when to when, in seconds of the monotonic clock."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.ended - self.began


class Upgrade(NamedTuple):
    """When devices waited, and for how many seconds in each step, as the log says."""

    waited: Span
    steps: dict[str, float]


class Turns:
    """When a loop that polls was kept from it: by its own work, or by other processes."""

    def __init__(self) -> None:
        self.stalls: list[Span] = []
        self._last: float | None = None

    def polled(self, most_seconds: float) -> None:
        """A poll that waits for at most so long has returned."""
        now = monotonic()
        due = now if self._last is None else self._last + most_seconds
        if now - due > STALL_SECONDS:
            self.stalls.append(Span(due, now))
        self._last = now

    def within(self, wait: Span) -> float:
        """For how many seconds of it the loop had no turn."""
        common = (min(one.ended, wait.ended) - max(one.began, wait.began) for one in self.stalls)
        return sum(seconds for seconds in common if seconds > 0)


def upgrades_of(log: str) -> list[Upgrade]:
    """All that were made. A line of the log says how long one took when it is over."""
    found: list[Upgrade] = []
    steps: dict[str, float] = {}
    shift = monotonic() - time()
    for line in log.splitlines():
        if '"event": "devices waited"' in line:
            said = json.loads(line)
            steps = {name: said[name] for name in ("freeze", "told", "prepared", "claimed")}
        elif '"event": "the new process serves"' in line:
            said = json.loads(line)
            at = datetime.fromisoformat(said["at"]).timestamp() + shift
            found.append(Upgrade(Span(at - said["seconds"], at), steps))
    return found


def longest(
    waits: Mapping[str, Sequence[Span]], upgrades: Sequence[Upgrade], turns: Turns
) -> list[dict[str, Any]]:
    """The longest of each kind in each upgrade, up to AFTER_SECONDS behind it. `began` and `ended`
    count from when devices began to wait, which they did for `served` seconds; for `load` of its
    seconds the load itself had no turn."""
    found: list[dict[str, Any]] = []
    for one in upgrades:
        zero, until = one.waited.began, one.waited.ended + AFTER_SECONDS
        said: dict[str, Any] = {"served": round(one.waited.seconds, 3)}
        for what, spans in waits.items():
            near = (span for span in spans if span.ended > zero and span.began < until)
            span = max(near, key=lambda span: span.seconds, default=Span(zero, zero))
            said[what] = {
                "seconds": round(span.seconds, 3),
                "began": round(span.began - zero, 3),
                "ended": round(span.ended - zero, 3),
                "load": round(turns.within(span), 3),
            }
        found.append(said)
    return found
