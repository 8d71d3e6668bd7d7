"""Which command a result settles: protocol.md section 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

C = TypeVar("C")


@dataclass(slots=True, eq=False)
class Sent(Generic[C]):
    """A command that went out and has no result yet."""

    command: C
    kind: str  # QD or ST
    unknown_since: float | None = None  # when it ended as 408


class Claims(Generic[C]):
    """The commands of one device that a result may still settle, oldest first."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: list[Sent[C]] = []  # of one, nearly always: a deque would be 600 bytes

    def __len__(self) -> int:
        return len(self._open)

    def sent(self, command: C, kind: str, unknown_since: float | None = None) -> Sent[C]:
        entry = Sent(command, kind, unknown_since)
        self._open.append(entry)
        return entry

    def withdraw(self, entry: Sent[C]) -> None:
        """Nothing of it was sent after all."""
        self._open.remove(entry)

    def settle(self, kind: str, now: float, late_window: float) -> Sent[C] | None:
        """Take the oldest of this kind; None if nothing claims the result."""
        self.forget(now, late_window)
        for entry in self._open:
            if entry.kind == kind:
                self._open.remove(entry)
                return entry
        return None

    def forget(self, now: float, late_window: float) -> None:
        """Drop those whose 408 is longer ago than `late_window`."""
        self._open[:] = [
            e
            for e in self._open
            if e.unknown_since is None or now - e.unknown_since <= late_window
        ]
