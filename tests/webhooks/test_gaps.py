"""What was delivered ahead of a position is known after a restart, and after a kill."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.webhooks.backoff import MAX_PARALLEL
from devgate.webhooks.position import Position, gaps
from devgate.webhooks.progress import SAVE_DELIVERIES
from devgate.webhooks.window import Window
from tests.webhooks.conftest import Book, Shelf, delivering, event, eventually, some, until
from tests.webhooks.receiver import Answer, Got, Receiver, receiving

quick = pytest.mark.usefixtures("quick")


def again(window: Window) -> Window:
    """Another one that goes on from what was stored of this, by way of the columns."""
    position = window.position
    text = gaps(position, window.gaps())
    stored = Position("shop", "", position, reached=window.reached, gaps=text)
    return Window(stored.position, stored.reached, stored.open())


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 20), st.lists(st.booleans(), max_size=15)), max_size=5),
)
def test_across_restarts_each_event_is_taken_once(
    imeis: list[int], lives: list[tuple[int, list[bool]]]
) -> None:
    """Each life reads a few events more, and takes some of those that may go."""
    events = [event(n, str(imei)) for n, imei in enumerate(imeis, 1)]
    window, taken = Window(0), Counter[int]()

    def read(most: int) -> None:
        for one in events[window.read : window.read + most]:
            assert window.lacks(one.n) == 0
            if window.had(one):
                window.skip(one)
            else:
                window.add(one)

    for most, fates in lives:
        read(most)
        for fate in fates:
            if (found := window.next(0.0)) is None:
                break
            if fate:
                window.delivered(found)
                taken[found.n] += 1
            else:
                window.failed(found)
                window.rests(found, 1.0)
        assert set(window.gaps()) == {n for n in range(1, window.reached) if not taken[n]}
        window = again(window)
    read(len(events))
    while (found := window.next(1.0)) is not None:
        window.delivered(found)
        taken[found.n] += 1
    assert taken == Counter(range(1, len(events) + 1))
    assert (window.position, window.gaps()) == (len(events), [])


def test_what_was_deleted_is_missed_only_if_it_was_not_taken() -> None:
    window = Window(10, reached=20, gaps=[11, 15])
    assert window.lacks(11) == 0
    assert window.lacks(18) == 2
    assert window.lacks(24) == 2 + 3
    window.skip(event(14))
    assert window.lacks(18) == 1


@pytest.mark.parametrize("text", ["", "x", "1 2,3"])
def test_gaps_that_nobody_of_us_wrote_are_none(text: str) -> None:
    assert Position("shop", "", 10, gaps=text).open() == []


def refuses(*imeis: str) -> tuple[Receiver, threading.Event]:
    """A receiver that accepts no events of these devices until the returned event is set."""
    well = threading.Event()

    def behave(got: Got) -> Answer:
        return Answer(500 if got.event["imei"] in imeis and not well.is_set() else 204)

    return Receiver(behave), well


@quick
async def test_a_stop_repeats_nothing_behind_a_device_that_fails() -> None:
    receiver, well = refuses("3")
    book, shelf = Book(), Shelf()
    try:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(*some(1, 100))
            await eventually(lambda: shop.window.read == 100 and len(shop.window) == 20)
        stored = shelf.positions["shop"]
        assert (stored.position, stored.reached) == (2, 100)
        well.set()
        async with delivering(book, shelf, receiver) as shop:
            book.happens(*some(101, 110))
            await eventually(lambda: shop.window.position == 110)
    finally:
        receiver.close()
    assert sorted(receiver.numbers()) == list(range(1, 111)), "each of them once"
    of_three = [got.event["event"] for got in receiver.taken if got.event["imei"] == "3"]
    assert of_three == sorted(of_three)
    assert shelf.positions["shop"].gaps == ""


@quick
async def test_a_kill_repeats_no_more_than_was_not_saved_or_under_way() -> None:
    receiver, well = refuses("3")
    book, shelf = Book(), Shelf()
    try:
        async with delivering(book, shelf, receiver):
            book.happens(*some(1, 400))
            await until(receiver, lambda r: len(r.taken) >= 300)
            killed = Shelf(*shelf.positions.values())  # what is on disk if it dies at this moment
        well.set()
        async with delivering(book, killed, receiver) as shop:
            await eventually(lambda: shop.window.position == 400)
    finally:
        receiver.close()
    assert set(receiver.numbers()) == set(range(1, 401))
    repeated = len(receiver.taken) - 400
    assert repeated <= SAVE_DELIVERIES - 1 + MAX_PARALLEL


@quick
async def test_what_was_taken_and_deleted_is_not_missed() -> None:
    receiver, _ = refuses("3")
    book, shelf = Book(), Shelf()
    try:
        async with delivering(book, shelf, receiver) as shop:
            book.happens(*some(1, 50))
            await eventually(lambda: shop.window.read == 50 and len(shop.window) == 10)
        rest = Book(some(41, 50))
        async with delivering(rest, shelf, receiver) as shop:
            await eventually(lambda: shop.missed == 8)
    finally:
        receiver.close()


@quick
async def test_what_is_ahead_of_an_older_copy_of_the_log_is_forgotten() -> None:
    """The database was put back, and its numbers are given to other events now."""
    with receiving() as receiver:
        stored = Position("shop", receiver.url(), 3, reached=50, gaps="1 2")
        book, shelf = Book(some(1, 5)), Shelf(stored)
        async with delivering(book, shelf, receiver) as shop:
            await eventually(lambda: shop.window.position == 5)
        assert sorted(receiver.numbers()) == [4, 5]
