"""A task waits for a callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Completion(Generic[T]):
    """The result of something that calls back once. `set` is the callback."""

    __slots__ = ("_event", "_results")

    def __init__(self) -> None:
        self._results: list[T] = []
        self._event = trio.Event()

    def set(self, result: T) -> None:
        """It has happened; the first result counts."""
        self._results.append(result)
        self._event.set()

    async def wait(self) -> T:
        """The result, once it is there. A checkpoint in any case."""
        await self._event.wait()
        return self._results[0]


async def result_of(begin: Callable[[Callable[[T], None]], object]) -> T:
    """Call `begin` with a callback, and return what that is called with.

    Raises what `begin` raises. Cancelled, what was begun goes on.
    """
    completion = Completion[T]()
    begin(completion.set)
    return await completion.wait()
