"""A log of events in memory, and targets that deliver from it to a real receiver."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager

import pytest
import trio

from devgate.config.webhook import WebhookSettings
from devgate.events.kinds import Event
from devgate.events.log import EventLog, EventPage
from devgate.webhooks import backoff
from devgate.webhooks.position import Position
from devgate.webhooks.target import Target
from devgate.webhooks.webhooks import Unusable, Webhooks
from tests.events.pages import page_of
from tests.webhooks.receiver import SECRET, Receiver

EPOCH = 1_764_000_000.0


def event(n: int, imei: str | None = "1", type: str = "device.online") -> Event:
    return Event(EPOCH + n, type, imei, None, '{"address":"1.2.3.4:5678"}', n)


def some(first: int, last: int, devices: int = 5) -> list[Event]:
    return [event(n, str(n % devices)) for n in range(first, last + 1)]


class Book:
    """The events that are stored, and a log of them. `trim` deletes the oldest."""

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.events = list(events)
        self.read = 0  # events that were read again
        self.log = EventLog(self.events[-1].n if self.events else 0, self._page)

    async def _page(self, after: int, until: int, limit: int, types: Set[str]) -> EventPage:
        await trio.lowlevel.checkpoint()
        page = page_of(self.events, after, until, limit, types)
        self.read += len(page.events)
        return page

    def happens(self, *events: Event) -> None:
        self.events += events
        self.log.publish(events)

    def trim(self, before: int) -> None:
        self.events = [e for e in self.events if e.n >= before]


class Shelf:
    """Where positions are stored: it outlives the webhooks of a test."""

    def __init__(self, *stored: Position) -> None:
        self.positions = {one.name: one for one in stored}
        self.more: list[WebhookSettings] = []  # what was added by command

    async def load(self) -> Mapping[str, Position]:
        await trio.lowlevel.checkpoint()
        return self.positions

    async def added(self) -> tuple[Sequence[WebhookSettings], Sequence[Unusable]]:
        await trio.lowlevel.checkpoint()
        return self.more, ()

    def save(self, stored: Position) -> None:
        self.positions[stored.name] = stored


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule a hundred times as fast."""
    monkeypatch.setattr(backoff, "FIRST_SECONDS", 0.005)
    monkeypatch.setattr(backoff, "MAX_SECONDS", 0.05)
    monkeypatch.setattr(backoff, "MAX_RATE", 1e6)


@asynccontextmanager
async def delivering(
    book: Book, shelf: Shelf, receiver: Receiver, *, path: str = "/hook", **settings: object
) -> AsyncIterator[Target]:
    """A target named `shop` that runs within the block, and ends as it does with its gateway."""
    given = {"allow_private": True, "secret": SECRET, "name": "shop", **settings}
    webhook = WebhookSettings.model_validate({"url": receiver.url(path), **given})
    webhooks = Webhooks([webhook], book.log, shelf)
    async with trio.open_nursery() as nursery:
        await nursery.start(webhooks.run)
        yield webhooks.targets["shop"]
        nursery.cancel_scope.cancel()


async def until(receiver: Receiver, wanted: Callable[[Receiver], bool]) -> None:
    await trio.to_thread.run_sync(receiver.wait, wanted)


async def eventually(wanted: Callable[[], bool]) -> None:
    """Let the others run until this is so."""
    with trio.fail_after(60):
        while not wanted():  # noqa: ASYNC110 - what changes has no event to wait for
            await trio.sleep(0.002)


@pytest.fixture
def dice() -> random.Random:
    return random.Random(1)
