"""From the log to a real receiver: order, repetition, positions, and what is remembered."""

from __future__ import annotations

import logging
import random
import threading
from collections import defaultdict
from collections.abc import Set
from time import time

import pytest
import trio
import trio.testing

from devgate.errors import StoreError
from devgate.events import log as logs
from devgate.events.kinds import KINDS, Event, types_of
from devgate.events.log import EventPage
from devgate.webhooks import signature
from devgate.webhooks import target as targets
from devgate.webhooks import window as windows
from devgate.webhooks.backoff import MAX_PARALLEL
from devgate.webhooks.position import Position
from tests.e2e.device import WAIT_SECONDS
from tests.webhooks.conftest import Book, Shelf, delivering, event, eventually, some, until
from tests.webhooks.receiver import Answer, Got, Receiver, receiving

pytestmark = pytest.mark.usefixtures("quick")


def first_of_each(receiver: Receiver) -> dict[str, list[int]]:
    """The events of each device that were taken, in the order in which they first were."""
    came: dict[str, list[int]] = defaultdict(list)
    for got in receiver.taken:
        if got.event["event"] not in came[got.event["imei"]]:
            came[got.event["imei"]].append(got.event["event"])
    return came


def in_order(receiver: Receiver) -> bool:
    return all(numbers == sorted(numbers) for numbers in first_of_each(receiver).values())


async def test_what_happens_is_posted_and_remembered() -> None:
    book, shelf = Book(some(1, 10)), Shelf()
    with receiving() as receiver:
        async with delivering(book, shelf, receiver) as shop:
            assert shelf.positions["shop"].position == 10, (
                "it begins with what comes, at once on disk"
            )
            book.happens(*some(11, 40))
            await until(receiver, lambda r: len(r.taken) == 30)
            await eventually(lambda: shop.window.position == 40)
        assert sorted(receiver.numbers()) == list(range(11, 41))
        assert in_order(receiver)
        assert all(got.genuine for got in receiver.taken)
        assert receiver.at_once <= MAX_PARALLEL
    stored = shelf.positions["shop"]
    assert (stored.position, stored.failures, stored.error, stored.missed) == (40, 0, None, 0)
    assert stored.delivered_at is not None
    assert abs(stored.delivered_at - time()) < 60


async def test_only_the_events_that_it_wants() -> None:
    kinds = ["device.online", "command.sent", "command.ended", "log.lost", "device.offline"]
    book, shelf = Book(), Shelf()
    with receiving() as receiver:
        async with delivering(book, shelf, receiver, events=["command", "device.offline"]) as shop:
            book.happens(*[event(n, type=kind) for n, kind in enumerate(kinds, 1)])
            await eventually(lambda: shop.window.position == 5)
        assert receiver.numbers() == [2, 3, 5]


def test_groups_stand_for_their_types_and_nothing_for_all() -> None:
    assert types_of(["command", "log.lost"]) == {
        "command.accepted", "command.sent", "command.ended", "command.late", "command.corrected",
        "command.ambiguous", "command.resolved", "log.lost",
    }  # fmt: skip
    assert types_of([]) == types_of(KINDS) == frozenset()


@pytest.mark.parametrize("events", [["command.ended"], []], ids=["ended", "all"])
async def test_it_reads_no_noise_that_it_does_not_want(events: list[str]) -> None:
    """Of 5,000 events on disk, of which 100 are deleted before it comes to them."""
    types = {1001: "command.ended", 4999: "command.ended"}
    book = Book([event(n, type=types.get(n, "device.online")) for n in range(1, 5001)])
    book.trim(101)
    with receiving() as receiver:
        shelf = Shelf(Position("shop", receiver.url(), 0))
        async with delivering(book, shelf, receiver, events=events) as shop:
            if events:
                await eventually(lambda: shop.window.position == 5000)
                assert receiver.numbers() == [1001, 4999]
                assert book.read == 2
            else:
                await until(receiver, lambda r: len(r.taken) >= 50)
                assert book.read >= 500
            assert (shop.missed, book.log.readers) == (100, 1)


async def test_a_device_that_fails_does_not_end_the_reading_for_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How far the reading is ahead is counted in events that it has looked at."""
    monkeypatch.setattr(windows, "MAX_AHEAD", 5)
    types = {1: "command.ended", 4000: "command.ended"}
    book = Book([event(n, str(n), types.get(n, "device.online")) for n in range(1, 4001)])
    with receiving(lambda got: Answer(500 if got.event["event"] == 1 else 204)) as receiver:
        shelf = Shelf(Position("shop", receiver.url(), 0))
        async with delivering(book, shelf, receiver, events=["command.ended"]) as shop:
            await eventually(lambda: shop.window.reached == 4000)
            assert (shop.window.position, shop.window.gaps()) == (0, [1])


async def test_a_receiver_that_fails_at_random_gets_all_in_order() -> None:
    dice = random.Random(3)

    def behave(got: Got) -> Answer:
        return Answer(dice.choice([204, 204, 204, 500, 503, 0, 301]))

    book, shelf = Book(), Shelf()
    with receiving(behave) as receiver:
        async with delivering(book, shelf, receiver):
            book.happens(*some(1, 150))
            await until(receiver, lambda r: len(set(r.numbers())) == 150)
        assert in_order(receiver)


async def test_one_failing_device_holds_up_itself_alone() -> None:
    well = threading.Event()

    def behave(got: Got) -> Answer:
        return Answer(204 if well.is_set() or got.event["imei"] != "3" else 500)

    book, shelf = Book(), Shelf()
    with receiving(behave) as receiver:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(*some(1, 50))
            await until(receiver, lambda r: len(r.taken) == 40)
            assert (shop.window.position, shop.state) == (2, "failing")
            assert shop.error == "event 3: it answered 500"
            well.set()
            await eventually(lambda: shop.window.position == 50)
            assert shop.position().error is None
        assert in_order(receiver)


async def test_a_hanging_delivery_holds_up_its_device_alone() -> None:
    well = threading.Event()

    def behave(got: Got) -> Answer:
        if got.event["event"] == 3:
            well.wait(WAIT_SECONDS)
        return Answer()

    book, shelf = Book(), Shelf()
    with receiving(behave) as receiver:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(*some(1, 50))
            await until(receiver, lambda r: len(r.taken) == 40)
            assert shop.window.position == 2
            well.set()
            await eventually(lambda: shop.window.position == 50)
        assert in_order(receiver)


async def test_a_receiver_that_was_away_is_caught_up_from_disk_without_a_flood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "MAX_PENDING", 50)
    monkeypatch.setattr(logs, "RING_EVENTS", 100)
    up = threading.Event()
    book, shelf = Book(), Shelf()
    with receiving(lambda got: Answer(204 if up.is_set() else 503)) as receiver:
        async with delivering(book, shelf, receiver) as shop:
            for first in range(1, 601, 100):  # more than the log has in memory
                book.happens(*some(first, first + 99))
            await until(receiver, lambda r: len(r.got) >= 5)
            assert len(shop.window) == 50, "down, it costs no more memory than this"
            assert receiver.at_once == 1
            asked = len(receiver.got)
            up.set()
            await eventually(lambda: shop.window.position == 600)
            assert (shop.state, shop.backoff.failures) == ("ok", 0)
        assert len(set(receiver.numbers())) == 600
        assert in_order(receiver)
        assert asked < 100
        assert receiver.at_once <= MAX_PARALLEL
        assert book.read >= 400, "what had left the memory was read again"


async def test_a_failure_is_logged_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    well = threading.Event()
    book, shelf = Book(), Shelf()
    with receiving(lambda got: Answer(204 if well.is_set() else 500)) as receiver:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(*some(1, 20))
            await until(receiver, lambda r: len(r.got) >= 20)
            well.set()
            await eventually(lambda: shop.window.position == 20)
    said = [record.message.partition(" target=")[0] for record in caplog.records]
    assert said == ["webhook begins", "webhook fails", "webhook takes events again"]


async def test_a_database_that_is_away_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(targets, "REREAD_SECONDS", 0.001)
    with receiving() as receiver:
        book = Book(some(1, 5))
        read, away = book._page, [True, True]

        async def page(after: int, until: int, limit: int, types: Set[str]) -> EventPage:
            if away:
                away.pop()
                raise StoreError("the database cannot be read")
            return await read(after, until, limit, types)

        book.log._page = page
        async with delivering(book, Shelf(Position("shop", receiver.url(), 0)), receiver):
            await until(receiver, lambda r: len(r.taken) == 5)
    assert caplog.text.count("webhook cannot read events") == 2


async def test_a_fault_of_ours_ends_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(targets, "CRASH_SECONDS", 0.001)
    crashes = [ZeroDivisionError("by our own fault")]
    real = signature.body_of

    def body_of(event: Event) -> bytes:
        if crashes:
            raise crashes.pop()
        return real(event)

    monkeypatch.setattr(targets, "body_of", body_of)
    book, shelf = Book(), Shelf()
    with receiving() as receiver:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(*some(1, 5))
            await eventually(lambda: shop.window.position == 5)
        assert set(receiver.numbers()) == set(range(1, 6))
    assert "webhook crashed target=shop" in caplog.text


async def test_draining_lets_what_is_under_way_end_and_begins_no_more() -> None:
    begun, well = threading.Event(), threading.Event()

    def behave(got: Got) -> Answer:
        begun.set()
        well.wait(WAIT_SECONDS)
        return Answer()

    book, shelf = Book(), Shelf()
    with receiving(behave) as receiver:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(event(1), event(2))
            await trio.to_thread.run_sync(begun.wait, 20)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(shop.drain)
                await trio.testing.wait_all_tasks_blocked()
                well.set()
        assert receiver.numbers() == [1]
    assert shelf.positions["shop"].position == 1


async def test_a_test_is_posted_at_once_and_moves_nothing() -> None:
    book, shelf = Book(), Shelf()
    with receiving() as receiver:
        async with delivering(book, shelf, receiver, path="/a?token=hush") as shop:
            assert (await shop.test("test_1")).kind == "delivered"
            assert shop.window.position == 0
            assert shop.url == receiver.url("/a")
        [got] = receiver.taken
        assert (got.path, got.id, got.genuine) == ("/a?token=hush", "test_1", True)
        assert b'"type":"webhook.test"' in got.body
