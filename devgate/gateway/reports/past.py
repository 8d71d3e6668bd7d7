"""The fleet's last 30 days by the hour: each hour is counted once it is over, and remembered.

Counting reads every command and event of the hour. So it is done beside the service when somebody
asks, a little at a time and the newest hours first. As long as an hour is young it is counted
again, for answers that came late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, time

import trio

from devgate.errors import outcome_of
from devgate.gateway.background import Background
from devgate.gateway.storage import Records
from devgate.store import hours as stored
from devgate.store.history import Reading, oldest_event
from devgate.store.hours import HOUR, Hour

# What is counted: commands by type, and by what became of them.
NAMES = ("start", "stop", "done", "failed", "unknown", "unsent", "open")
# Outcomes that have another name in a chart, or none of their own.
GROUPS: Mapping[str, str] = {"pending": "open", "refused": "unsent", "conflict": "unsent"}

DAYS = (1, 7, 30)  # that can be asked for
MAX_HOURS = 30 * 24  # that are remembered
YOUNG_HOURS = 4  # after which an hour is counted for the last time
RECOUNT_SECONDS = 300.0  # between two counts of young hours
SLICE_SECONDS = 0.1  # of one read; one hour of a huge fleet may take longer
PAUSE_FACTOR = 4  # a pause is four times as long as the read before: a fifth of a core


@dataclass(slots=True)
class Past:
    """Hours that were counted, by their number since 1970."""

    sites: frozenset[str] | None = None  # whose devices are counted; None: all
    hours: dict[int, Hour] = field(default_factory=dict)
    oldest: float | None = None  # when the oldest event that is kept happened (wall clock)
    _final: set[int] = field(default_factory=set)
    _wanted: int = 0  # days
    _runs: bool = False
    _until: float = 0.0  # young hours need not be counted again before that

    def since(self, days: int, now: float) -> int:
        """The number of the first hour of `days`."""
        return int(now) // HOUR - days * 24 + 1

    def missing(self, days: int, now: float) -> list[int]:
        """Hours of these days that are not counted yet, the newest first; the one that is under
        way is not among them."""
        return [
            number
            for number in range(int(now) // HOUR - 1, self.since(days, now) - 1, -1)
            if number not in self.hours
        ]

    def want(self, days: int) -> bool:
        """Whether the caller is to run `fill`, which counts these days as far as they are new."""
        self._wanted = max(self._wanted, days)
        if self._runs or (monotonic() < self._until and not self.missing(days, time())):
            return False
        self._runs = True
        return True

    def _due(self, now: float) -> list[int]:
        newest = int(now) // HOUR - 1
        wanted = range(newest, self.since(self._wanted, now) - 1, -1)
        return [number for number in wanted if number not in self._final]

    def give_up(self) -> None:
        """Nobody runs `fill`: the gateway stops."""
        self._runs = False

    def known(self, days: int, now: float, before: int) -> list[dict[str, int]]:
        """Those of these days that are counted and ended before `before` (seconds since 1970), as
        counts by outcome."""
        numbers = range(self.since(days, now), before // HOUR)
        return [counts(self.hours[one].outcomes) for one in numbers if one in self.hours]

    async def fill(self, records: Records, background: Background) -> None:
        """Count what is missing; where the database goes away, the next who asks goes on."""
        try:
            await background.attempt("past", partial(self._fill, records))
        finally:
            self._runs = False

    async def _fill(self, records: Records) -> None:
        self._forget(int(time()) // HOUR - MAX_HOURS)
        self.oldest = await records.read(oldest_event)
        due = self._due(time())
        while due:
            began = monotonic()
            for number, hour in await records.read(_count, due, self.sites):
                self.hours[number] = hour
                if number <= time() // HOUR - YOUNG_HOURS:
                    self._final.add(number)
                due.remove(number)
            await trio.sleep(PAUSE_FACTOR * (monotonic() - began))
        self._until = monotonic() + RECOUNT_SECONDS

    def _forget(self, before: int) -> None:
        for number in [one for one in self.hours if one < before]:
            del self.hours[number]
            self._final.discard(number)


def counts(outcomes: Sequence[tuple[str, str, int]]) -> dict[str, int]:
    """Starts, stops and what became of them, by name."""
    found = dict.fromkeys(NAMES, 0)
    for type, status, times in outcomes:
        found[type] += times
        found[group_of(status)] += times
    return found


def group_of(status: str) -> str:
    """What a status means for a chart: `done`, `failed`, `unknown`, `open` or `unsent`."""
    outcome = outcome_of(status)
    return GROUPS.get(outcome, outcome)


def _count(
    conn: Reading, due: Sequence[int], sites: frozenset[str] | None
) -> list[tuple[int, Hour]]:
    """Counts at least one of these hours, and others as long as there is time."""
    ends, found = monotonic() + SLICE_SECONDS, list[tuple[int, Hour]]()
    for number in due:
        found.append((number, stored.hour(conn, number * HOUR, sites)))
        if monotonic() >= ends:
            break
    return found
