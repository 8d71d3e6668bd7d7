"""A wall clock that is wrong: nothing is put in another order, and nothing is kept longer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from tests.gateway.clocks import EPOCH, set_clock
from tests.gateway.rig import Rig, X

HOUR = 3600.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Put the wall clock forward, or back."""

    def by(seconds: float) -> None:
        set_clock(monkeypatch, EPOCH + seconds)

    return by


async def test_a_late_result_is_the_first_commands(
    rig: Rig, autojump_clock: MockClock, clock: Callable[[float], None]
) -> None:
    """F13: the clock went back between two 408s, and the gateway was killed."""
    async with rig.lives():
        rig.online()
        first = await rig.order(long=1)
        clock(-HOUR)
        second = await rig.order(long=2)
    again = Rig(rig.database)
    async with again.lives():
        again.online()
        again.says()
        await again.records.flushed()
        assert again.stored(first.id)["status"] == "200"
        assert again.stored(second.id)["status"] == "408"


async def test_no_window_is_longer_because_the_clock_went_back(
    rig: Rig, autojump_clock: MockClock, clock: Callable[[float], None]
) -> None:
    """F13, F18."""
    async with rig.lives():
        rig.online()
        await rig.order(long=1)
    clock(-HOUR)
    again = Rig(rig.database)
    async with again.lives():
        again.online()
        await trio.sleep(61)
        assert not again.says()


async def test_what_is_kept_goes_out_in_the_order_of_the_orders(
    rig: Rig, autojump_clock: MockClock, clock: Callable[[float], None]
) -> None:
    """F13: deferred starts are in the order of their ids."""
    async with rig.lives():
        await rig.order(long=1, expires=7200, wait=False)
        clock(-60)
        await rig.order(long=2, expires=7200, wait=False)
        clock(0)
    again = Rig(rig.database)
    async with again.lives():
        wire = again.online()
        await trio.sleep(1)
        again.says()
        await trio.sleep(1)
        assert [sent[21:] for sent in wire.sent] == [b"QD1", b"QD2"]


async def test_a_kept_start_whose_time_nobody_knows_is_not_sent(
    rig: Rig, autojump_clock: MockClock, clock: Callable[[float], None]
) -> None:
    """F18: after a kill the clock is an hour back, before the order itself."""
    async with rig.lives():
        deferred = await rig.order(expires=20, wait=False)
    clock(-HOUR)
    again = Rig(rig.database)
    async with again.lives():
        await again.records.flushed()
        row = again.stored(deferred.id)
        assert (row["status"], row["spent"]) == ("410", None)
        wire = again.online()
        await trio.sleep(31)
        assert wire.sent == []


async def test_a_kept_start_is_not_kept_longer(
    rig: Rig, autojump_clock: MockClock, clock: Callable[[float], None]
) -> None:
    """F18: never longer than `expires`, however little time has passed by the clock."""
    async with rig.lives():
        await trio.sleep(100)
        deferred = await rig.order(expires=20, wait=False)
        await trio.sleep(15)
    clock(-14.9)
    again = Rig(rig.database)
    async with again.lives():
        await trio.sleep(20.2)
        await again.records.flushed()
        assert again.stored(deferred.id)["status"] == "410"
        assert again.online(X).sent == []
