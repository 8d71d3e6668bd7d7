"""Pauses tasks while a gateway hands over to another one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


class Pauses:
    """Runs tasks that may be cancelled at any `await`, and started again."""

    def __init__(self) -> None:
        self._running: set[trio.CancelScope] = set()
        self._on: trio.Event | None = None  # set when they may run again; None: they run
        self._ended = trio.lowlevel.ParkingLot()

    @property
    def paused(self) -> bool:
        """Whether no task runs, or may run."""
        return self._on is not None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Begin the block once tasks may run. A pause cancels the block at an `await`, without an
        exception outside: the caller then enters it again."""
        while self._on is not None:
            await self._on.wait()
        with trio.CancelScope() as scope:
            self._running.add(scope)
            try:
                yield
            finally:
                self._running.discard(scope)
                self._ended.unpark_all()

    async def run(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run it, and again after each pause, until it returns."""
        over = False
        while not over:
            async with self.running():
                await task()
                over = True

    async def pause(self) -> None:
        """Stop all of them; returns when none runs. The second time does nothing."""
        if self._on is None:
            self._on = trio.Event()
        for scope in self._running:
            scope.cancel()
        while self._running:
            await self._ended.park()

    def go_on(self) -> None:
        """Let them run again."""
        on, self._on = self._on, None
        if on is not None:
            on.set()
