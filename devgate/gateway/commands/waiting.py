"""One device's waiting commands: their order and their deadlines. No I/O."""

from __future__ import annotations

from collections.abc import Iterator

from devgate.gateway.command import Command


class Waiting:
    """Stops first, then starts, each in the order in which they came."""

    __slots__ = ("starts", "stops")

    def __init__(self) -> None:
        # Short, and mostly empty: there are two for each device that was started of late.
        self.stops: list[Command] = []
        self.starts: list[Command] = []

    def __len__(self) -> int:
        return len(self.stops) + len(self.starts)

    def __iter__(self) -> Iterator[Command]:
        yield from self.stops
        yield from self.starts

    def push(self, command: Command) -> None:
        (self.stops if command.type == "stop" else self.starts).append(command)

    def push_back(self, command: Command) -> None:
        """The one that was taken last did not go out: it is the next again."""
        (self.stops if command.type == "stop" else self.starts).insert(0, command)

    def remove(self, command: Command) -> bool:
        """False if it does not wait here."""
        queue = self.stops if command.type == "stop" else self.starts
        if command not in queue:
            return False
        queue.remove(command)
        return True

    def take(self, only_stops: bool = False) -> Command | None:
        """Take out the next to be sent."""
        queue = self.stops if only_stops else self.stops or self.starts
        return queue.pop(0) if queue else None

    def overdue(self, now: float) -> list[Command]:
        """Take out those whose deadline has passed: they are never sent."""
        return self._out([c for c in self if c.until <= now])

    def unkept(self) -> list[Command]:
        """Take out those that do not wait for a device to come back."""
        return self._out([c for c in self if not c.kept])

    def take_starts(self) -> list[Command]:
        """Take out all starts."""
        return self._out(list(self.starts))

    def _out(self, commands: list[Command]) -> list[Command]:
        for command in commands:
            self.remove(command)
        return commands
