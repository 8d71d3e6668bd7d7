"""One timer for all, on the virtual clock."""

from __future__ import annotations

import math

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from devgate.simulator.alarms import MAX_ALARM_SECONDS, Alarms


async def test_each_rings_on_time_and_once(autojump_clock: trio.testing.MockClock) -> None:
    rung: list[tuple[int, float]] = []
    alarms = Alarms(4, lambda number, now: rung.append((number, round(now, 6))))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarms.run)
        await trio.sleep(1)
        alarms.set(0, 9.0, 1.0)
        alarms.set(1, 4.0, 1.0)
        alarms.set(0, 3.0, 1.0)
        alarms.set(1, 8.0, 1.0)
        alarms.set(2, math.inf, 1.0)
        alarms.set(3, 1e9, 1.0)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert rung == [(0, 3.0), (1, 4.0), (3, 1.0 + MAX_ALARM_SECONDS)], (
        "early is allowed, late is not"
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 50)), max_size=30))
def test_what_rings_sets_itself_again_and_none_is_late(
    wanted: list[tuple[int, float]],
) -> None:
    """Each number keeps a list of times; it rings at the earliest, then sets the next one."""
    plans = [sorted(at for number, at in wanted if number == n) for n in range(4)]
    done: list[tuple[float, float]] = []

    async def main() -> None:
        def ring(number: int, now: float) -> None:
            while plans[number] and plans[number][0] <= now:
                done.append((plans[number].pop(0), now))
            if plans[number]:
                alarms.set(number, plans[number][0], now)

        alarms = Alarms(4, ring)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alarms.run)
            for number, at in wanted:
                alarms.set(number, at, 0.0)
            await trio.sleep(60)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len(done) == len(wanted)
    assert all(abs(at - now) < 1e-6 for at, now in done)
