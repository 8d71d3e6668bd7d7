"""The work that one node at a time, the leader, does for all."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from devgate.errors import StoreError

RETRY_SECONDS = 1.0

log = logging.getLogger("devgate.nodes")


class Leadership:
    """Whether this node leads, and what it does as long as it does."""

    def __init__(self) -> None:
        self.held = False
        self._begins = trio.Event()  # set while this node leads, replaced when that ends
        self._ends = trio.Event()  # set when this node stops leading, replaced when it leads again

    def set(self, held: bool) -> None:
        """This node leads from now on, or does not."""
        if held == self.held:
            return
        self.held = held
        if held:
            self._ends = trio.Event()
            self._begins.set()
        else:
            self._begins = trio.Event()
            self._ends.set()

    async def run(self, work: Callable[[], Awaitable[object]]) -> NoReturn:
        """Do it while this node leads, and again each time that it begins to lead. If the database
        is away, it begins again after a pause."""
        while True:
            await self._begins.wait()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_it_ends, nursery.cancel_scope)
                try:
                    await work()
                except StoreError as err:
                    log.warning("the work of the leader begins again soon reason=%s", err)
                    await trio.sleep(RETRY_SECONDS)
                nursery.cancel_scope.cancel()

    async def _until_it_ends(self, scope: trio.CancelScope) -> None:
        await self._ends.wait()
        scope.cancel()
