"""Counts that one process adds to and another one reads while both run."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path


class Count(IntEnum):
    """What is counted, and the place of its number. Each has one process that adds to it."""

    OPENED = 0  # connections that the attacker opened
    CLOSED = 1  # of these, by the gateway
    READ = 2  # bytes that the gateway read from HTTP and from the control port
    FRAMES = 3  # frames of HTTP/2 that the gateway worked off


# Behind them: how long turns of the gateway's loop were. All turns of a class together have so
# many microseconds of CPU, and each class is wider than the one before it by the same factor.
SHORTEST = 10  # microseconds: the end of the first class
CLASSES = 64
DOUBLED = 4  # classes until a turn is twice as long


class Tally:
    """The numbers, in a file that is shared by mmap. All begin at 0."""

    def __init__(self, path: Path) -> None:
        """Makes the file if there is none."""
        size = 8 * (len(Count) + CLASSES)
        with path.open("ab+") as file:
            file.truncate(size)
            self._numbers = memoryview(mmap.mmap(file.fileno(), size)).cast("Q")

    def add(self, count: Count, more: int = 1) -> None:
        self._numbers[count] += more

    def turn(self, cpu: float) -> None:
        """Note how many microseconds of CPU a turn of the loop took."""
        number = math.ceil(DOUBLED * math.log2(max(cpu, SHORTEST) / SHORTEST))
        self._numbers[len(Count) + min(number, CLASSES - 1)] += int(cpu)

    def now(self) -> Sequence[int]:
        """All numbers, the counts first."""
        return list(self._numbers)


def turn_at(numbers: Sequence[int], share: float) -> float:
    """Milliseconds: so long, or shorter, is the turn that is under way in this share of the CPU.

    That is what somebody waits for who comes at any moment while the loop is busy.
    """
    turns = numbers[len(Count) :]
    reached = 0
    for number, cpu in enumerate(turns):
        reached += cpu
        if reached and reached >= share * sum(turns):
            return SHORTEST * math.exp2(number / DOUBLED) / 1000
    return 0.0
