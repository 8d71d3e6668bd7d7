"""The position of a webhook, and how its deliveries ended: in memory and on disk."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from time import time
from typing import NoReturn

import trio

from devgate.events.log import PAGE_EVENTS, EventLog
from devgate.webhooks.backoff import MAX_SECONDS, Backoff
from devgate.webhooks.position import BY_HAND, Position, gaps
from devgate.webhooks.window import Window

# After a crash, deliveries since the last write of the position are repeated. So it is written
# after SAVE_DELIVERIES deliveries, and at the latest after SAVE_SECONDS: a row in a shared commit.
SAVE_DELIVERIES = 16
SAVE_SECONDS = 1.0

log = logging.getLogger("devgate.webhooks")


class Progress:
    """The state of a receiver. The task of its target changes it, and writes it to disk."""

    def __init__(
        self,
        name: str,
        url: str,
        events: EventLog,
        save: Callable[[Position], None],
        dice: random.Random,
    ) -> None:
        """`url` is the one that is shown, without secrets. `save` has a position written."""
        self.name = name
        self.url = url
        self.disabled: str | None = None  # why, if it is
        self.error: str | None = None  # of the latest failure, until nothing fails any more
        # Wall clock: when the receiver as a whole is tried again.
        self.next_at: float | None = None
        self.delivered_at: float | None = None  # wall clock
        self.missed = 0  # events that were deleted before it could have them
        self.window = Window(events.last)
        self.backoff = Backoff(dice)
        self._dice = dice
        self._events = events
        self._save = save
        self._saved: Position | None = None
        self._unsaved = 0  # deliveries since then
        self._ended = False  # it was removed: nothing is written any more

    def position(self) -> Position:
        """How far it has come and how its last deliveries ended, as it goes to disk."""
        window, position = self.window, self.window.position
        return Position(
            self.name, self.url, position, self.backoff.failures, self.next_at, self.disabled,
            self.error, self.delivered_at, self.missed, window.reached,
            gaps(position, window.gaps()),
        )  # fmt: skip

    @property
    def state(self) -> str:
        """ "ok", "failing", or "disabled"."""
        if self.disabled is not None:
            return "disabled"
        return "failing" if self.error is not None else "ok"

    def recall(self, stored: Position | None) -> None:
        """Continue where an earlier run stopped. None: the receiver is new, and gets later
        events."""
        if stored is not None:
            self.window = Window(stored.position, stored.reached, stored.open())
            if max(stored.position, stored.reached) > (last := self._events.last):
                log.warning(
                    "webhook is ahead of the log, going back target=%s position=%s last=%s",
                    self.name, stored.position, last,
                )  # fmt: skip
                self.window = Window(min(stored.position, last))
            self.missed, self.delivered_at = stored.missed, stored.delivered_at
            if stored.disabled == BY_HAND:
                self.disabled = stored.disabled
            if stored.url == self.url:  # a new URL has not failed yet
                self.disabled, self.error = stored.disabled, stored.error
                self.next_at = stored.next_at
                pause = min(max((stored.next_at or 0.0) - time(), 0.0), MAX_SECONDS)
                self.backoff = Backoff(self._dice, stored.failures, trio.current_time() + pause)
        self._write_position()

    def _misses(self, count: int) -> None:
        """Events were deleted before this target got them: they are lost for it."""
        self.missed += count
        log.error(
            "webhook misses events, deleted before they were delivered target=%s count=%s",
            self.name, count,
        )  # fmt: skip

    async def _remember(self) -> NoReturn:
        """Write the position at regular times, also if little was delivered."""
        while True:
            await trio.sleep(SAVE_SECONDS)
            now, saved = self.position(), self._saved
            assert saved is not None, "recall has written it"
            far = not 0 <= now.position - saved.position < PAGE_EVENTS
            moved = saved._replace(position=now.position, reached=now.reached, gaps=now.gaps)
            if far or now != moved:
                self._write_position()

    def _write_position(self) -> None:
        if not self._ended:  # whoever ended it writes the last position
            self._saved, self._unsaved = self.position(), 0
            self._save(self._saved)
