"""Gives events their numbers and times; times never go back.

Two rules hold for every row of `event`, and searches rely on both:

- An event's `at` is never before that of the event before it. A time is therefore found by a
  search over the numbers, without an index on `at`.
- An event of a command is found by the command (`by_device` is false) where the command's row is
  written with it and the command's id, whose first part is the time, lies within NEAR seconds of
  its `at`. All others are found by their device: those without a command, and those of a command
  that waited long, was answered late, or saw the clock change.

An index of events by device costs a page for each event, because the devices of one commit are far
apart in it. Commands of one commit are close together, and so are their events in an index by
command.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ulid import ULID

NEAR = 60  # seconds

Values = tuple[Any, ...]  # the columns of an event: at, type, imei, command, detail


class Numbering:
    """The number and the time of the newest event that is on disk."""

    def __init__(self, last: int, at: float) -> None:
        self.last = last
        self.at = at
        # Events that got another time: as written, and as given. A commit that failed may have
        # been carried out: then its events are found on disk, and must be recognised.
        self._moved: dict[Values, Values] = {}

    def number(self, given: Sequence[Values], found: Sequence[Values]) -> list[Values]:
        """Those of `given` that are not among `found`, with their numbers and times.

        `found` are events on disk behind `last` that were not known of; the numbers go on from
        them. Nothing counts as written before done().
        """
        last, at = self.last, self.at
        if found:
            last, at = found[-1][-1], max(at, found[-1][0])
            there = {self._moved.get(event, event[:-1]) for event in found}
            given = [values for values in given if values not in there]
        events: list[Values] = []
        for number, values in enumerate(given, last + 1):
            if values[0] >= at:
                at = values[0]
                events.append((*values, number))
            else:
                event = (at, *values[1:], number)
                self._moved[event] = values
                events.append(event)
        return events

    def done(self, events: Sequence[Values]) -> None:
        """These are on disk."""
        if events:
            self.last, self.at = events[-1][-1], max(self.at, events[-1][0])
        self._moved.clear()


def floor_id(at: float) -> str:
    """Commands taken at that time or later have this id or a higher one."""
    # A float: it would take a whole number for milliseconds.
    return str(ULID.from_timestamp(max(0.0, float(at))))[:10] + "0" * 16


@lru_cache(maxsize=16)
def id_prefix(second: int) -> str:
    """The first part of the ids of commands made in that second; none of them is below it."""
    return floor_id(second)[:10]


def time_of(id: str) -> float | None:
    """When the command with this id was made, in seconds since 1970; None if it is no ULID."""
    try:
        return float(ULID.from_str(id).timestamp)
    except ValueError:
        return None
