"""One device's waiting commands: their order and their deadlines. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator

from devgate.gateway.command import Command


class Waiting:
    """Stops first, then starts, each in the order in which they came."""

    __slots__ = ("_starts", "_stops")

    def __init__(self) -> None:
        # Short, and mostly empty: there are two for each device that was started of late.
        self._stops: list[Command] = []
        self._starts: list[Command] = []

    def __len__(self) -> int:
        return len(self._stops) + len(self._starts)

    def __iter__(self) -> Iterator[Command]:
        yield from self._stops
        yield from self._starts

    def push(self, command: Command) -> None:
        (self._stops if command.type == "stop" else self._starts).append(command)

    def push_back(self, command: Command) -> None:
        """The one that was taken last did not go out: it is the next again."""
        (self._stops if command.type == "stop" else self._starts).insert(0, command)

    def remove(self, command: Command) -> bool:
        """False if it does not wait here."""
        queue = self._stops if command.type == "stop" else self._starts
        if command not in queue:
            return False
        queue.remove(command)
        return True

    def take(self, only_stops: bool = False) -> Command | None:
        """Take out the next to be sent."""
        queue = self._stops if only_stops else self._stops or self._starts
        return queue.pop(0) if queue else None

    @property
    def stops(self) -> bool:
        """Whether a stop waits."""
        return bool(self._stops)

    def overdue(self, now: float) -> list[Command]:
        """Take out those whose deadline has passed: they are never sent."""
        return self._out([c for c in self if c.until <= now])

    def unkept(self) -> list[Command]:
        """Take out those that do not wait for a device to come back."""
        return self._out([c for c in self if not c.kept])

    def starts(self) -> list[Command]:
        """Take out all starts."""
        return self._out(list(self._starts))

    def next_deadline(self) -> float:
        """When the first of them is overdue; infinity if none waits."""
        return min((c.until for c in self), default=math.inf)

    def _out(self, commands: list[Command]) -> list[Command]:
        for command in commands:
            self.remove(command)
        return commands
