"""The rows that the writer gathers for one commit, and the callbacks after it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import trio

Row = TypeVar("Row")

FLUSH = -1  # instead of the place of an urgent entry: a call that waits for all that was posted


class Entry(NamedTuple, Generic[Row]):
    """Rows that belong together. Entries are written in the order in which they came."""

    number: int
    rows: Sequence[Row]


@dataclass(slots=True, eq=False)
class PendingBatch(Generic[Row]):
    """What one commit will write."""

    urgent: list[Entry[Row]] = field(default_factory=list)
    posted: dict[Hashable, Entry[Row]] = field(default_factory=dict)
    done: bool = False
    # Whom to call back once it is done, in order: the place of an urgent entry, whose callback
    # gets its error or None; or FLUSH, whose callback gets whether all is on disk.
    calls: list[tuple[int, Callable[[Any], None]]] = field(default_factory=list)
    error: Exception | None = None  # of the whole batch
    put_back: bool = False  # posted rows of it are not on disk, and went back into the queue
    errors: dict[int, Exception] = field(default_factory=dict)  # of one urgent entry, by its place

    def result(self, place: int) -> object:
        """The argument of a callback with this place, once the batch is done."""
        if place == FLUSH:
            return self.error is None and not self.put_back
        return self.error or self.errors.get(place)

    def end_flushes(self) -> None:
        """Call back the waiters for posted rows with False: the commit takes too long."""
        calls = self.calls
        self.calls = [call for call in calls if call[0] != FLUSH]
        for place, on_done in calls:
            if place == FLUSH:
                on_done(False)


class Callbacks:
    """Whether those who waited for a commit that has ended are still being called back."""

    def __init__(self) -> None:
        self.under_way: trio.Event | None = None  # set once all have been called

    async def pause(self) -> None:
        """Some have been called, and others have not: let other tasks have their turn."""
        if self.under_way is None:
            self.under_way = trio.Event()
        await trio.lowlevel.checkpoint()

    def end(self) -> None:
        """All have been called."""
        if self.under_way is not None:
            self.under_way.set()
            self.under_way = None

    async def ended(self) -> None:
        """Wait until all who waited for commits that have ended have been called."""
        while self.under_way is not None:
            await self.under_way.wait()
