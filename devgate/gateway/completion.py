"""Something that happens once, for tasks that wait for it and for callbacks alike."""

from __future__ import annotations

from collections.abc import Callable

import trio


class Moment:
    """An Event that may also call back: a command that nobody needs a task for has none.

    Callbacks are called by `set()`, at once and in the order in which they came; they must
    neither await nor raise.
    """

    __slots__ = ("_calls", "_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._calls: list[Callable[[], None]] | None = None
        self._event: trio.Event | None = None  # made by the first task that has to wait

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """It has happened; the second time does nothing."""
        if self._is_set:
            return
        self._is_set = True
        if self._event is not None:
            self._event.set()
        calls, self._calls = self._calls, None
        for call in calls or ():
            call()

    def then(self, call: Callable[[], None]) -> None:
        """Call that when it happens; now, if it has happened already."""
        if self._is_set:
            call()
        elif self._calls is None:
            self._calls = [call]
        else:
            self._calls.append(call)

    async def wait(self) -> None:
        """Wait until it happens. A checkpoint in any case."""
        if self._is_set:
            await trio.lowlevel.checkpoint()
            return
        if self._event is None:
            self._event = trio.Event()
        await self._event.wait()
