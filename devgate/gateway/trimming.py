"""Old events and commands leave the database, in small steps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING

import trio

from devgate.errors import StoreError
from devgate.gateway.records import Records
from devgate.store import history

if TYPE_CHECKING:
    from devgate.config.settings import Settings

EVERY = 3600.0  # seconds between two rounds
PAUSE = 0.1  # seconds between two steps: commands come in between

log = logging.getLogger("devgate.store")


class Trimming:
    def __init__(self, records: Records, settings: Settings) -> None:
        self.settings = settings
        self._records = records

    async def run(self) -> None:
        """Trim now and then, for ever. A database that is away is left alone until the next."""
        while True:
            try:
                await self.once()
            except StoreError as err:
                log.warning("nothing trimmed error=%s", err)
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
