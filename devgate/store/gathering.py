"""A pause before a commit in a storm, so that it has more rows."""

from __future__ import annotations

import trio

GATHER_ENTRIES = 64  # posted entries in one commit, after which the next ones gather
GATHER_SECONDS = 0.05


class Gathering:
    """The pause between two commits in a storm of registrations, in which a commit costs more
    than all of its rows. A caller that waits for a commit ends the pause."""

    def __init__(self) -> None:
        self.cut_short: trio.Event | None = None  # while there is a pause
        self.posted = 0  # entries of the last commit that nobody had to wait for

    async def pause(self) -> None:
        """Wait GATHER_SECONDS, or until `cut_short` is set. Returns at once if the last commit was
        not large."""
        if self.posted <= GATHER_ENTRIES:
            return
        self.cut_short = trio.Event()
        with trio.move_on_after(GATHER_SECONDS):
            await self.cut_short.wait()
        self.cut_short = None
