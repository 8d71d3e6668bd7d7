"""One webhook: it reads the log from its position, delivers events, and stores its position."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, NoReturn

import trio

from devgate.alarm import Alarm
from devgate.config.webhook import WebhookSettings
from devgate.errors import StoreError
from devgate.events.kinds import Event, types_for_webhook
from devgate.events.log import EventLog
from devgate.webhooks.backoff import MAX_PARALLEL, Backoff
from devgate.webhooks.position import BY_HAND, Position
from devgate.webhooks.progress import SAVE_DELIVERIES, Progress
from devgate.webhooks.public_addresses import PERMIT
from devgate.webhooks.signature import body, body_of, id_of
from devgate.webhooks.window import Window

if TYPE_CHECKING:
    from devgate.webhooks.poster import Outcome

REREAD_SECONDS = 5.0  # seconds until a log that could not be read is read again
CRASH_SECONDS = 30.0  # ... and until a target begins again after an exception
LOGGED_FAILURES = 3  # failures in a row before a line of the log: one or two are normal
END_SECONDS = 3.0  # for deliveries to end when the target is removed
CLOSE_SECONDS = 1.0  # to close TLS connections

log = logging.getLogger("devgate.webhooks")


class Target(Progress):
    """A receiver. Only its own task changes its fields, except in methods that others call."""

    def __init__(
        self,
        settings: WebhookSettings,
        key: bytes,
        events: EventLog,
        save: Callable[[Position], None],
        *,
        permit: str = PERMIT,
        dice: random.Random | None = None,
    ) -> None:
        super().__init__(settings.called, settings.shown, events, save, dice or random.Random())
        # Events and groups of events; none: all except those that must be named.
        self.wanted = frozenset(settings.events)
        self._types = types_for_webhook(self.wanted)
        # Imported here, because a gateway without webhooks does not need its library.
        from devgate.webhooks.poster import Poster

        self._poster = Poster(
            settings.url, key, allow_private=settings.allow_private, permit=permit,
            max_connections=MAX_PARALLEL,
        )  # fmt: skip
        self._scope = trio.CancelScope()
        self._after: int | None = None  # where to continue, once the scope has ended
        self._alarm = Alarm()  # wakes _serve() when something may have changed
        self._room = trio.Event()
        self._idle = trio.Event()
        self._closed = False
        self._over: trio.Event | None = None  # set when run() has ended
        self._failure_logged = False  # whether the log says that it fails

    # Called by others

    def sign_with(self, key: bytes) -> bool:
        """Sign with this key from the next try on. False: it uses this key already."""
        return self._poster.sign_with(key)

    def replay(self, after: int) -> None:
        """Deliver every event after this number, whatever was delivered; also if disabled."""
        self._after = after
        self.enable()

    def enable(self) -> None:
        """Deliver at once what was not delivered yet; also if disabled."""
        self.disabled = self.error = self.next_at = None
        self._failure_logged = False
        self._write_position()
        self._scope.cancel()

    def disable(self) -> None:
        """Begin no more deliveries until `enable` or `replay`."""
        self.disabled = BY_HAND
        self._write_position()

    async def test(self, id: str) -> Outcome:
        """Post a test event at once, without a second try."""
        data = {"message": "a test of this webhook"}
        return await self._poster.post(id, body("webhook.test", time(), data))

    async def drain(self) -> None:
        """Begin no more deliveries, and wait for those that are under way."""
        self._closed = True
        if self.backoff.under_way:
            if self._idle.is_set():
                self._idle = trio.Event()
            await self._idle.wait()

    async def end(self) -> Position:
        """Deliver and store nothing more; deliveries under way may end. Returns the position."""
        with trio.move_on_after(END_SECONDS):
            await self.drain()
        self._ended = True
        self._scope.cancel()
        if self._over is not None:
            await self._over.wait()
        return self.position()

    # Its task

    async def run(self) -> None:
        """Deliver until end(). An exception is logged and ends nothing else."""
        self._over = trio.Event()
        try:
            while not self._ended:
                with self._scope:
                    try:
                        await self._serve()
                    except Exception:
                        log.exception("webhook crashed target=%s", self.name)
                        await trio.sleep(CRASH_SECONDS)
                self._scope = trio.CancelScope()  # from here on, for what is asked meanwhile
                window, after, self._after = self.window, self._after, None
                if after is None:
                    self.window = Window(window.position, window.reached, window.gaps())
                else:
                    self.window = Window(after)
                self.backoff = Backoff(self._dice)
                try:
                    self._write_position()
                    await self._poster.aclose()
                except Exception:
                    log.exception("webhook crashed target=%s", self.name)
        finally:
            if self.position() != self._saved:
                self._write_position()
            with trio.move_on_after(CLOSE_SECONDS) as scope:
                scope.shield = True
                await self._poster.aclose()
            self._over.set()

    async def _serve(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            nursery.start_soon(self._remember)
            while True:
                now = trio.current_time()
                at = max(self.backoff.next_time(now), self.window.next_time(now))
                if self.disabled is not None or self._closed:
                    at = math.inf
                event = self.window.next(now) if at <= now else None
                if event is not None:
                    self.backoff.begins(now)
                    nursery.start_soon(self._deliver, event)
                    continue
                await self._alarm.wait(at)

    async def _read(self) -> NoReturn:
        while True:
            try:
                await self._follow()
            except StoreError as err:
                log.warning("webhook cannot read events target=%s error=%s", self.name, err)
                await trio.sleep(REREAD_SECONDS)

    async def _follow(self) -> None:
        window = self.window
        with self._events.reading(window.read, self._types) as reader:
            while True:
                page = await reader.more()
                if page.first > window.read + 1 and (count := window.lacks(page.first)):
                    self._misses(count)
                for event in page.events:
                    if window.had(event):
                        window.skip(event)
                    else:
                        window.add(event)
                        self._alarm.advance()
                    reader.position = window.read
                    while window.full:
                        room = self._room = trio.Event()
                        await room.wait()
                window.passes(page.end)
                reader.position = window.read

    async def _deliver(self, event: Event) -> None:
        began = trio.current_time()
        outcome = await self._poster.post(id_of(event), body_of(event))
        self.backoff.ends()
        if outcome.kind == "delivered":
            self._delivered(event)
        else:
            self._failed(event, outcome, began)
        self._room.set()
        self._alarm.advance()
        if not self.backoff.under_way:
            self._idle.set()

    def _delivered(self, event: Event) -> None:
        self.window.delivered(event)
        if self.backoff.succeeds():
            self.window.wake()
        self.delivered_at, self.next_at = time(), None
        self._unsaved += 1
        if self._unsaved >= SAVE_DELIVERIES:
            self._write_position()
        if not self.window.tries:
            self.error = None
            if self._failure_logged:
                self._failure_logged = False
                log.info("webhook takes events again target=%s", self.name)

    def _failed(self, event: Event, outcome: Outcome, began: float) -> None:
        now = trio.current_time()
        self.error = f"event {event.n}: {outcome.text}"
        tries = self.window.failed(event)
        self.backoff.failed(began, now, ill=outcome.kind == "ill", wait=outcome.wait)
        pause = self.backoff.pause_after(tries)
        if outcome.kind == "refused":
            pause = max(pause, outcome.wait)
        self.window.rests(event, now + pause)
        if self.backoff.rests_until > now:
            self.next_at = time() + self.backoff.rests_until - now
        if outcome.kind == "gone":
            self.disabled = outcome.text
            self._write_position()
            log.error("webhook disabled target=%s reason=%s", self.name, outcome.text)
        elif not self._failure_logged and max(tries, self.backoff.failures) >= LOGGED_FAILURES:
            self._failure_logged = True
            log.warning("webhook fails target=%s error=%s", self.name, self.error)
