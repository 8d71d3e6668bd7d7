"""What is remembered of a target, across restarts, and how an operator changes it."""

from __future__ import annotations

import threading
from time import time

import pytest
import trio

from devgate.webhooks import progress
from devgate.webhooks.position import Position
from tests.webhooks.conftest import Book, Shelf, delivering, event, eventually, some, until
from tests.webhooks.receiver import Answer, Got, receiving

pytestmark = pytest.mark.usefixtures("quick")


async def test_a_restart_goes_on_where_it_was() -> None:
    book, shelf = Book(), Shelf()
    with receiving() as receiver:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(*some(1, 20))
            await eventually(lambda: shop.window.position == 20)
        book.happens(*some(21, 30))
        async with delivering(book, shelf, receiver) as shop:
            await eventually(lambda: shop.window.position == 30)
        assert sorted(receiver.numbers()) == list(range(1, 31)), "and nothing twice"


async def test_a_position_is_saved_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SAVE_SECONDS", 0.001)
    book, shelf = Book(), Shelf()
    with receiving() as receiver:
        async with delivering(book, shelf, receiver):
            book.happens(*some(1, 20))
            await eventually(lambda: shelf.positions["shop"].position == 20)


async def test_a_position_past_the_end_of_the_log_goes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The database was put back to an older copy."""
    with receiving() as receiver:
        book, shelf = Book(some(1, 5)), Shelf(Position("shop", receiver.url(), 4711))
        async with delivering(book, shelf, receiver):
            book.happens(*some(6, 8))
            await until(receiver, lambda r: len(r.taken) == 3)
    assert "ahead of the log" in caplog.text


async def test_410_disables_it_until_a_replay(caplog: pytest.LogCaptureFixture) -> None:
    gone = threading.Event()
    gone.set()
    book, shelf = Book(), Shelf()
    with receiving(lambda got: Answer(410 if gone.is_set() else 204)) as receiver:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(event(1))
            await eventually(lambda: shop.state == "disabled")
            assert shelf.positions["shop"].disabled == "it answered 410: it wants no more events"
            assert "webhook disabled target=shop" in caplog.text
            book.happens(event(2, "2"))
        async with delivering(book, shelf, receiver) as shop:  # a restart changes nothing
            assert (shop.state, shop.window.position) == ("disabled", 0)
            gone.clear()
            book.happens(event(3, "3"))
            shop.replay(0)
            await eventually(lambda: shop.window.position == 3)
            assert shop.state == "ok"
        assert sorted(receiver.numbers()) == [1, 2, 3]
        assert len(receiver.got) == 4
    assert shelf.positions["shop"].disabled is None


async def test_another_url_is_not_disabled_for_the_old_one() -> None:
    with receiving() as receiver:
        stored = Position("shop", "https://old.example/", 0, 9, time() + 1e6, "gone", "e", None, 7)
        book, shelf = Book(some(1, 5)), Shelf(stored)
        async with delivering(book, shelf, receiver) as shop:
            assert (shop.disabled, shop.backoff.failures, shop.missed) == (None, 0, 7)
            await eventually(lambda: shop.window.position == 5)


async def test_a_replay_repeats_or_skips() -> None:
    refuses = threading.Event()
    book, shelf = Book(), Shelf()

    def behave(got: Got) -> Answer:
        return Answer(500 if refuses.is_set() and got.event["event"] == 11 else 204)

    with receiving(behave) as receiver:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(*some(1, 10))
            await eventually(lambda: shop.window.position == 10)
            shop.replay(7)
            await until(receiver, lambda r: len(r.taken) == 13)
            assert sorted(receiver.numbers()[-3:]) == [8, 9, 10]
            assert len({got.id for got in receiver.taken}) == 10, "repeats have their ids"
            refuses.set()
            book.happens(*some(11, 20))
            await eventually(lambda: shop.window.position == 10 and len(shop.window) == 2)
            shop.replay(11)
            await eventually(lambda: shop.window.position == 20)
            assert shop.state == "ok"
        assert 11 not in receiver.numbers()


async def test_what_was_deleted_before_it_came_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with receiving() as receiver:
        book = Book(some(1, 100))
        book.trim(31)
        shelf = Shelf(Position("shop", receiver.url(), 10))
        async with delivering(book, shelf, receiver) as shop:
            await eventually(lambda: shop.window.position == 100)
            assert shop.missed == 20
        assert sorted(receiver.numbers()) == list(range(31, 101))
    assert shelf.positions["shop"].missed == 20
    assert "webhook misses events" in caplog.text


async def test_retry_after_is_kept_across_a_restart() -> None:
    book, shelf = Book(), Shelf()
    with receiving(lambda got: Answer(429, {"retry-after": "600"})) as receiver:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(event(1))
            await eventually(lambda: shop.next_at is not None)
            assert shop.next_at is not None
            assert 590 < shop.next_at - time() <= 600
        async with delivering(book, shelf, receiver) as shop:
            assert shop.backoff.rests_until - trio.current_time() > 0.02
            assert shop.state == "failing"
        assert len(receiver.got) == 1
