"""What a writer gathers for one commit, and who waits for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import trio

Row = TypeVar("Row")


class Entry(NamedTuple, Generic[Row]):
    """Rows that belong together. Entries are written in the order in which they came."""

    number: int
    rows: Sequence[Row]


@dataclass(slots=True, eq=False)
class Waiter:
    """Waits until what was posted is on disk: `call` hears once whether it is."""

    call: Callable[[bool], None]
    told: bool = False

    def tell(self, on_disk: bool) -> None:
        if not self.told:
            self.told = True
            self.call(on_disk)


@dataclass(slots=True, eq=False)
class Batch(Generic[Row]):
    """What one commit will write."""

    urgent: list[Entry[Row]] = field(default_factory=list)
    kept: dict[Hashable, Entry[Row]] = field(default_factory=dict)
    done: trio.Event = field(default_factory=trio.Event)
    then: list[Callable[[], None]] = field(default_factory=list)  # called after `done`, in order
    waiters: list[Waiter] = field(default_factory=list)  # they are in `then` as well
    error: Exception | None = None  # of the whole batch
    again: bool = False  # kept rows of it are not on disk, and went back into the line
    errors: dict[int, Exception] = field(default_factory=dict)  # of one urgent entry, by its place

    def told(self) -> list[Callable[[], None]]:
        """Whom to call back, once. They hold the batch, and shall not be held by it in turn: what
        waits for the garbage collector waits long, and makes it stop the loop for long."""
        then, self.then = self.then, []
        self.waiters.clear()
        return then

    def tell_waiters(self) -> None:
        """The commit takes too long: who waits for posted rows hears that they are not on disk."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter.tell(False)

    @property
    def kept_all(self) -> bool:
        """Whether all that was posted is on disk, once it is done."""
        return self.error is None and not self.again
