"""The stored row of a target: its position, and how its last deliveries ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# Why a target is disabled: an operator did it.
BY_HAND = "disabled by hand"


class Position(NamedTuple):
    """One target, in the columns of its table."""

    name: str
    url: str
    position: int  # every event up to this was taken, or is none of the target's
    failures: int = 0
    next_at: float | None = None  # wall clock
    disabled: str | None = None
    error: str | None = None
    delivered_at: float | None = None
    missed: int = 0
    # Deliveries to other devices do not wait for one that fails. So there is a newest event that
    # was taken, and there are events between it and the position that were not.
    reached: int = 0
    gaps: str = ""

    def open(self) -> list[int]:
        """The numbers of those events, in order. Text from outside has none: what is
        behind the position comes again then."""
        try:
            return sorted(self.position + int(part) for part in self.gaps.split())
        except ValueError:
            return []


def gaps(position: int, numbers: Sequence[int]) -> str:
    """Events in the form of the column `gaps`: small numbers, because it is written often."""
    return " ".join(str(number - position) for number in numbers)
