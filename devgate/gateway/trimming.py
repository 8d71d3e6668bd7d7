"""Old events and commands leave the database, in small steps."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING

import trio

from devgate.gateway.background import Background
from devgate.gateway.records import Records
from devgate.store import history

if TYPE_CHECKING:
    from devgate.config.settings import Settings

EVERY = 3600.0  # seconds between two rounds
PAUSE = 0.1  # seconds between two steps: commands come in between


class Trimming:
    def __init__(
        self, records: Records, settings: Settings, background: Background | None = None
    ) -> None:
        self.settings = settings
        self._background = background or Background()
        self._records = records

    async def run(self) -> None:
        """Trim now and then, for ever."""
        while True:
            await self._background.until_done("trimming", self.once)
            await trio.sleep(EVERY)

    async def once(self) -> None:
        store, now = self.settings.store, time()
        for trim, age in (
            (history.trim_events, store.keep_events),
            (history.trim_commands, store.keep_commands),
            (history.free_keys, self.settings.command.keep_keys),
        ):
            # A short transaction each: what must be written never waits long for it.
            await self._in_steps(trim, now - age)

    async def _in_steps(
        self, trim: Callable[[history.Reading, float], int], before: float
    ) -> None:
        while True:
            count = await self._records.change(trim, before)
            if count < history.TRIM:
                return
            await trio.sleep(PAUSE)
