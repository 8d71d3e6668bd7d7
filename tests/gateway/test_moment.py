"""Something that happens once: for tasks and for callbacks."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from devgate.gateway.completion import Moment


def test_callbacks_are_called_once_in_order() -> None:
    moment, called = Moment(), list[str]()
    moment.then(lambda: called.append("first"))
    moment.then(lambda: called.append("second"))
    assert called == []
    moment.set()
    moment.set()
    assert called == ["first", "second"]


def test_who_comes_later_is_called_at_once() -> None:
    moment, called = Moment(), list[str]()
    moment.set()
    moment.then(lambda: called.append("late"))
    assert called == ["late"]
    assert moment.is_set()


def test_a_callback_may_ask_for_another() -> None:
    moment, called = Moment(), list[str]()
    moment.then(lambda: moment.then(lambda: called.append("inner")))
    moment.set()
    assert called == ["inner"]


async def test_tasks_wait_for_it(autojump_clock: MockClock) -> None:
    moment, woken = Moment(), list[float]()

    async def wait() -> None:
        await moment.wait()
        woken.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await trio.sleep(3)
        moment.set()
    assert woken == [3, 3]
    await moment.wait()
