"""One device's waiting commands: their order and their deadlines. No I/O."""

from __future__ import annotations

from devgate.gateway.command import Command


class Waiting(list[Command]):
    """Stops first, then starts, each in the order in which they came: the next one to be sent is
    the first. It is short and usually empty: each device that was started recently has one.

    A start may be added by `append`, and the next one removed by `pop(0)`.
    """

    __slots__ = ()

    def push(self, command: Command) -> None:
        """Add it behind all others of its type."""
        if command.type == "stop":
            self.insert(self._stops(), command)
        else:
            self.append(command)

    def push_back(self, command: Command) -> None:
        """The command that was removed last was not sent: it is the next of its type again."""
        self.insert(0 if command.type == "stop" else self._stops(), command)

    def withdraw(self, command: Command) -> bool:
        """Remove it. False if it does not wait here."""
        if command not in self:
            return False
        self.remove(command)
        return True

    def overdue(self, now: float) -> list[Command]:
        """Remove and return those whose deadline has passed: they are never sent."""
        return self._out([c for c in self if c.until <= now])

    def undeferred(self) -> list[Command]:
        """Remove and return those that do not wait for a device to connect."""
        return self._out([c for c in self if not c.deferred])

    def starts(self) -> list[Command]:
        """Remove and return all starts."""
        return self._out([c for c in self if c.type == "start"])

    def _stops(self) -> int:
        return sum(command.type == "stop" for command in self)

    def _out(self, commands: list[Command]) -> list[Command]:
        for command in commands:
            self.remove(command)
        return commands
