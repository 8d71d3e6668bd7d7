"""What is read before a command is judged, whether or not the poller's task has had its turn."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.gateway.devices import rounds
from devgate.gateway.devices.rounds import ROUND_IN_FLIGHT
from devgate.store.engine import Database
from tests.gateway.rig import ask
from tests.gateway.whole import Whole, serving, until

MANY = 3 * ROUND_IN_FLIGHT
RESULT = b"023200123456787654321QD"


async def heartbeats(whole: Whole, nursery: trio.Nursery) -> None:
    """Many connections that nobody has read from have each sent one byte."""
    machines = [whole.dial(nursery) for _ in range(MANY)]
    await until(lambda: len(whole.desk.connections) == MANY)
    for machine in machines:
        await machine.says(b" ")


def unread(whole: Whole) -> int:
    return sum(not connection.received for connection in whole.desk.connections.values())


async def test_all_that_has_arrived_is_read_by_whoever_judges(store: Database) -> None:
    """No task of the desk runs, and there is more than one round takes."""
    whole = Whole(store)
    async with trio.open_nursery() as nursery:
        await heartbeats(whole, nursery)
        assert unread(whole) == MANY
        await whole.desk.rounds.caught_up()
        assert unread(whole) == 0
        nursery.cancel_scope.cancel()
    await whole.aclose()


async def test_judging_is_not_put_off_for_ever(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more comes than can be read, it waits for CATCH_UP_SECONDS at most."""
    monkeypatch.setattr(rounds, "CATCH_UP_SECONDS", 0.0)
    whole = Whole(store)
    async with trio.open_nursery() as nursery:
        await heartbeats(whole, nursery)
        await whole.desk.rounds.caught_up()
        assert 0 < unread(whole) < MANY
        nursery.cancel_scope.cancel()
    await whole.aclose()


async def test_a_result_that_came_in_time_counts_though_nobody_has_read_it(
    store: Database, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop stalls from before the answer until after the deadline: the deadline's task may be
    the first to run then, and the answer is there."""
    async with serving(store) as (whole, device, nursery):
        await device.registers()
        asked = ask(whole, nursery, timeout=5)
        await device.hears(26)
        poller = whole.poller

        async def stalled() -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(poller, "wait", stalled)  # from its next wait on
        await device.says(b" ")
        await wait_all_tasks_blocked()
        await device.says(RESULT)
        await trio.sleep(6)
        assert asked.status == "200"
