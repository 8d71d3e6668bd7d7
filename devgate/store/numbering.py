"""Finds events: by number, by time, by command and by device.

Two rules hold for every row of `event`, and searches rely on both. `store/batch.py` keeps them:

- An event's `at` is never before that of the event before it (`Numbering`). A time is therefore
  found by a search over the numbers, without an index on `at`.
- An event of a command is found by the command (`by_device` is false) where the command's row is
  written with it and the command's id, whose first part is the time, lies within NEAR_SECONDS
  seconds of its `at`. All others are found by their device: those without a command, and those of
  a command that waited long, was answered late, or saw the clock change.

An index of events by device costs a page for each event, because the devices of one commit are far
apart in it. Commands of one commit are close together, and so are their events in an index by
command.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ulid import ULID

NEAR_SECONDS = 60  # seconds

Values = tuple[Any, ...]  # the columns of an event: at, type, imei, command, detail


def floor_id(at: float) -> str:
    """Commands taken at that time or later have this id or a higher one."""
    # As a float, because a whole number would be taken for milliseconds.
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
