"""Reads files again while the gateway runs: certificates, and secrets in files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from devgate.gateway.background import Background

LOOK_SECONDS = 60.0  # between two looks; a reload (SIGHUP) looks at once

Renew = Callable[[], Awaitable[object]]


class Renewals:
    """Looks for files that have changed. Background reports what goes wrong, under a name; what
    was read before stays in force."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._all: dict[str, Renew] = {}
        self._wake = trio.Event()

    def add(self, name: str, renew: Renew) -> None:
        """Call this each time. It raises SetupError for a file that is not usable."""
        self._all[name] = renew

    def look(self) -> None:
        """Look at once."""
        self._wake.set()

    async def run(self) -> NoReturn:
        """Look for ever."""
        while True:
            with trio.move_on_after(LOOK_SECONDS):
                await self._wake.wait()
            self._wake = trio.Event()
            for name, renew in list(self._all.items()):
                await self._background.attempt(name, renew)
