"""Old events and commands leave the database, in small steps, by a clock that can be trusted."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import trio

from devgate.gateway.background import Background
from devgate.gateway.clock import Clock, time
from devgate.gateway.storage import Records
from devgate.store import aged, history
from devgate.store.history import Reading

if TYPE_CHECKING:
    from devgate.config.settings import Settings

ROUND_SECONDS = 3600.0  # seconds between two rounds
LOOK_SECONDS = 60.0  # between two looks at the clock
STEP_SECONDS = 0.1  # seconds between two steps: commands come in between
MAX_ROWS = 50_000  # of a kind that one request deletes: about ten seconds

# Of [store] max_size, the part down to which events are deleted, and the part from which on orders
# are refused; and how many of the newest events are never deleted for it.
GOAL_PART, REFUSE_PART = 0.95, 1.1
MIN_EVENTS = 10_000

log = logging.getLogger("devgate.store")


class Trimmed(NamedTuple):
    """How many rows were deleted, or (keys) freed."""

    events: int
    commands: int
    keys: int


class Trimming:
    """Deletes old rows in small steps, bounds the database, and checks the clock.

    While the clock is in doubt nothing is deleted for its age.
    """

    def __init__(
        self,
        records: Records,
        settings: Settings,
        background: Background | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self.clock = clock or Clock(lambda: time())
        self._background = background or Background()
        self._records = records
        self._lock = trio.Lock()
        self._reported = "ok"  # of the clock
        self._trusted_at: float | None = None  # the newest trusted time, while it is in doubt
        self._stored_at: float | None = math.nan  # the same as it is on disk; not known at first

    def apply(self, settings: Settings) -> None:
        """Keep what these settings say from now on."""
        self._settings = settings

    async def run(self) -> NoReturn:
        """Trim once in ROUND_SECONDS, for ever, and check the clock."""
        due = trio.current_time()
        while True:
            self.report_clock()
            await self._background.until_done("clock", self.store_trusted_at)
            await self._background.until_done("size", self.bound)
            if trio.current_time() >= due:
                await self._background.until_done("trimming", self.once)
                due = trio.current_time() + ROUND_SECONDS
            await trio.sleep_until(min(due, trio.current_time() + LOOK_SECONDS))

    def report_clock(self) -> None:
        """Write an event if the clock came into doubt, or is trusted again."""
        self.clock.look()
        state, away = self.clock.state, round(self.clock.away)
        if (state == "ok") == (self._reported == "ok"):
            return
        self._reported = state
        self._trusted_at = None if state == "ok" else self.clock.expected()
        if state == "ok":
            log.warning("the clock is trusted again")
            self._records.event("clock.trusted", None)
        else:
            log.error(
                "the clock is in doubt, nothing is deleted reason=%s seconds=%s", state, away
            )
            self._records.event("clock.doubted", None, seconds=away)

    async def store_trusted_at(self) -> None:
        """Write to disk what the next start compares its clock with. Raises StoreError."""
        at = self._trusted_at
        if at != self._stored_at:
            await self._records.change(history.store_trusted_at, at)
            self._stored_at = at

    async def once(self, max_rows: int | None = None) -> Trimmed:
        """Delete what is old enough; at most `max_rows` rows of each kind. Nothing, while the
        clock is in doubt. Raises StoreError."""
        store, command = self._settings.store, self._settings.command
        async with self._lock:
            # These have no age: the clock does not matter.
            await self._in_steps(history.trim_open_results, max_rows=max_rows)
            now = self.clock.trusted()
            if now is None:
                return Trimmed(0, 0, 0)
            return Trimmed(
                await self._in_steps(
                    history.trim_events, now - store.keep_events, max_rows=max_rows
                ),
                await self._found(
                    aged.old_commands, aged.delete_commands, now - store.keep_commands, max_rows
                ),
                await self._found(
                    aged.old_keys, aged.free_keys, now - command.keep_keys, max_rows
                ),
            )

    async def bound(self) -> None:
        """Keep the database below `[store] max_size`: delete the oldest events, then write none
        that anybody can cause, then refuse orders. Raises StoreError."""
        max_size, records = self._settings.store.max_size, self._records
        if not max_size:
            records.bound(quiet=False, full="")
            return
        size = await records.read(history.size)
        deleted = 0
        while size > max_size * GOAL_PART and (size > max_size or deleted) and deleted < MAX_ROWS:
            count = await records.change(history.trim_oldest, MIN_EVENTS)
            deleted += count
            size = await records.read(history.size)
            if count < history.TRIM_ROWS:
                break
            await trio.sleep(STEP_SECONDS)
        if deleted:
            log.warning("store max_size reached, oldest events deleted count=%s", deleted)
        full = size > max_size * REFUSE_PART
        if full and not records.full:
            log.error("store is larger than max_size, orders are refused bytes=%s", size)
        words = (
            f"the database has {size} bytes, [store] max_size is {max_size}: raise it, or keep "
            "less"
        )
        records.bound(quiet=size > max_size, full=words if full else "")

    async def _in_steps(
        self, trim: Callable[..., int], *before: float, max_rows: int | None
    ) -> int:
        total = 0
        while True:
            # A short transaction each: what must be written never waits long for it.
            count = await self._records.change(trim, *before)
            total += count
            if count < history.TRIM_ROWS or (max_rows is not None and total >= max_rows):
                return total
            await trio.sleep(STEP_SECONDS)

    async def _found(
        self,
        find: Callable[[Reading, float, str], Sequence[str]],
        delete: Callable[[Reading, Sequence[str]], int],
        before: float,
        max_rows: int | None,
    ) -> int:
        """As _in_steps(), for rows that lie between others which stay. They are looked for outside
        of the transaction that deletes them, and each of the others is read once."""
        total, after = 0, ""
        while True:
            ids = await self._records.read(find, before, after)
            if ids:
                total, after = total + await self._records.change(delete, ids), ids[-1]
            if len(ids) < history.TRIM_ROWS or (max_rows is not None and total >= max_rows):
                return total
            await trio.sleep(STEP_SECONDS)
