"""Targets that come, change and go while the others deliver."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from devgate.config.webhook import WebhookSettings, webhook_of
from devgate.errors import SetupError
from devgate.process import first
from devgate.webhooks import target as targets
from devgate.webhooks.position import BY_HAND, Position
from devgate.webhooks.webhooks import Webhooks
from tests.e2e.device import WAIT_SECONDS
from tests.webhooks.conftest import Book, Shelf, delivering, event, eventually, some, until
from tests.webhooks.receiver import SECRET, Answer, Got, Receiver, receiving

pytestmark = pytest.mark.usefixtures("quick")


def webhook(receiver: Receiver, name: str = "more", **given: object) -> WebhookSettings:
    return webhook_of(
        {"url": receiver.url(), "name": name, "secret": SECRET, "allow_private": True, **given}
    )


@asynccontextmanager
async def all_of(book: Book, shelf: Shelf) -> AsyncIterator[Webhooks]:
    """Without a [[webhook]]; those on the shelf and those to come."""
    webhooks = Webhooks([], book.log, shelf)
    async with trio.open_nursery() as nursery:
        await nursery.start(webhooks.run)
        yield webhooks
        nursery.cancel_scope.cancel()


async def test_one_that_is_added_begins_where_it_is_told_and_goes_on_after_a_restart() -> None:
    book, shelf = Book(some(1, 10)), Shelf()
    with receiving() as receiver:
        async with all_of(book, shelf) as webhooks:
            webhooks.begin(webhook(receiver), Position("more", receiver.url(), 7))
            book.happens(*some(11, 20))
            await eventually(lambda: webhooks.targets["more"].window.position == 20)
        book.happens(*some(21, 25))
        shelf.more.append(webhook(receiver))
        async with all_of(book, shelf) as webhooks:
            await eventually(lambda: webhooks.targets["more"].window.position == 25)
        assert sorted(receiver.numbers()) == list(range(8, 26))


async def test_what_ends_lets_its_delivery_end_and_begins_none() -> None:
    begun, well = threading.Event(), threading.Event()

    def behave(got: Got) -> Answer:
        begun.set()
        well.wait(WAIT_SECONDS)
        return Answer()

    book, shelf = Book(), Shelf()
    stored: list[Position] = []
    with receiving(behave) as receiver:
        async with all_of(book, shelf) as webhooks:
            webhooks.begin(webhook(receiver), None)
            book.happens(event(1), event(2))
            await trio.to_thread.run_sync(begun.wait, 20)

            async def end() -> None:
                stored.append(await webhooks.end("more"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(end)
                await trio.testing.wait_all_tasks_blocked()
                well.set()
            assert webhooks.targets == {}
            saved = shelf.positions["more"]
            book.happens(*some(3, 9))
            await trio.testing.wait_all_tasks_blocked()
            assert shelf.positions["more"] is saved, "it keeps nothing more"
        assert receiver.numbers() == [1]
    assert stored[0].position == 1


async def test_a_delivery_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "END_SECONDS", 0.01)
    well = threading.Event()

    def behave(got: Got) -> Answer:
        well.wait(WAIT_SECONDS)
        return Answer()

    book = Book()
    with receiving(behave) as receiver:
        async with all_of(book, Shelf()) as webhooks:
            webhooks.begin(webhook(receiver), None)
            book.happens(event(1))
            await until(receiver, lambda r: len(r.got) == 1)
            assert (await webhooks.end("more")).position == 0
        well.set()


async def test_another_in_its_place_goes_on_where_it_was() -> None:
    book = Book()
    with receiving() as old, receiving() as new:
        async with all_of(book, Shelf()) as webhooks:
            webhooks.begin(webhook(old), None)
            book.happens(*some(1, 10))
            await eventually(lambda: webhooks.targets["more"].window.position == 10)
            stored = await webhooks.end("more")
            book.happens(*some(11, 15))
            webhooks.begin(webhook(new), stored)
            await until(new, lambda r: len(r.taken) == 5)
        assert sorted(new.numbers()) == [11, 12, 13, 14, 15]


async def test_disabled_by_hand_it_waits_and_gets_all_when_it_is_enabled() -> None:
    book, shelf = Book(), Shelf()
    with receiving() as receiver:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(*some(1, 5))
            await eventually(lambda: shop.window.position == 5)
            shop.disable()
            book.happens(*some(6, 10))
            assert (shop.state, shelf.positions["shop"].disabled) == ("disabled", BY_HAND)
        book.happens(*some(11, 12))
        async with delivering(book, shelf, receiver) as shop:  # a restart changes nothing
            await eventually(lambda: shop.window.read == 12)
            await trio.testing.wait_all_tasks_blocked()
            assert (shop.state, len(receiver.got)) == ("disabled", 5)
            shop.enable()
            assert shelf.positions["shop"].disabled is None
            await eventually(lambda: shop.window.position == 12)
        assert sorted(receiver.numbers()) == list(range(1, 13))


async def test_another_url_does_not_enable_what_was_disabled_by_hand() -> None:
    with receiving() as receiver:
        stored = Position("shop", "https://old.example/", 0, disabled=BY_HAND)
        async with delivering(Book(some(1, 5)), Shelf(stored), receiver) as shop:
            assert shop.state == "disabled"


async def test_a_name_that_two_have_is_refused_in_words() -> None:
    with receiving() as receiver:
        shelf = Shelf()
        shelf.more.append(webhook(receiver, "shop"))
        with pytest.RaisesGroup(SetupError, flatten_subgroups=True) as caught:
            async with delivering(Book(), shelf, receiver):
                pass
    error = first(caught.value)
    assert str(error) == (
        "[[webhook]] shop: a webhook of that name was added by command already; give this one "
        "another name, or start once without it and run `devgate webhooks remove shop`"
    )
    assert error.status == "400"
