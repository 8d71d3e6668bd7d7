"""What happens in one turn of trio's loop."""

from __future__ import annotations

from collections import Counter

import trio


class LoopTurns(trio.abc.Instrument):
    """Counts the turns of the loop, and in each of them the steps of all tasks."""

    def __init__(self) -> None:
        self.number = 0
        self.steps: Counter[int] = Counter()

    def before_io_wait(self, timeout: float) -> None:
        self.number += 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps[self.number] += 1
