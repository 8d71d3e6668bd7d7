"""The earliest of many deadlines, by a clock that jumps."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from devgate.alarm import Alarm


@pytest.mark.parametrize(
    ("until", "set_", "woken"),
    [
        (5.0, [], 5.0),
        (5.0, [3.0], 3.0),
        (math.inf, [4.0, 2.0, 3.0], 2.0),
        (5.0, [7.0], 5.0),
        (-1.0, [], 0.0),
        (5.0, [-math.inf], 1.0),
    ],
)
async def test_it_rings_at_the_earliest(
    autojump_clock: MockClock, until: float, set_: list[float], woken: float
) -> None:
    alarm = Alarm()

    async def others() -> None:
        await trio.sleep(1.0)
        for at in set_:
            alarm.advance(at)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        planned = await alarm.wait(until)
        assert trio.current_time() == woken
    assert planned == min([until, *set_])


async def test_nothing_is_set_while_the_task_is_awake(autojump_clock: MockClock) -> None:
    alarm = Alarm()
    alarm.advance(trio.current_time() + 1)
    begun = trio.current_time()
    await alarm.wait(begun + 2)
    assert trio.current_time() == begun + 2


async def test_an_end_from_outside_ends_the_wait(autojump_clock: MockClock) -> None:
    alarm = Alarm()
    with trio.move_on_after(1) as outside:
        await alarm.wait(math.inf)
    assert outside.cancelled_caught
