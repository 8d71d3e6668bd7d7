"""A gateway that hands over stands still once all that began has ended."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from devgate.gateway.command import Command
from devgate.gateway.commands.orders import Orders
from devgate.store.engine import Database
from devgate.store.writer import CALLBACKS_A_TURN
from devgate.upgrade.standstill import stand_still
from tests.gateway.rig import X, Y, order
from tests.gateway.whole import registers, serving, until

CALLS = 10 * CALLBACKS_A_TURN


async def test_all_who_waited_for_a_commit_have_been_called_back(store: Database) -> None:
    """They are called in several turns: some are left when the next flush has nothing to do."""
    async with serving(store) as (whole, _, _):
        called = 0

        def on_done(error: Exception | None) -> None:
            nonlocal called
            called += 1

        for _ in range(CALLS):
            whole.writer.write([], on_done)
        await until(lambda: called)
        assert called < CALLS
        await stand_still(whole.gateway)
        assert called == CALLS


async def test_connections_have_begun_and_ended(store: Database) -> None:
    async with serving(store) as (whole, machine, nursery):
        await machine.registers()
        connection = whole.connection()
        connection.end("a test ends it")
        for _ in range(3):
            whole.dial(nursery)
        await stand_still(whole.gateway)
        assert connection not in whole.desk.connections.values()
        assert len(whole.desk.connections) == 3
        assert [event.type for event in whole.events.published][-1] == "device.offline"


async def test_a_connection_that_ends_late_is_waited_for(store: Database) -> None:
    """Its end is the last thing that happens, after the rows of all others are on disk."""
    async with serving(store) as (whole, machine, _):
        await machine.registers()
        connection = whole.connection()
        connection.why = "its task has not been woken yet"
        async with trio.open_nursery() as waits:
            waits.start_soon(stand_still, whole.gateway)
            await wait_all_tasks_blocked()
            assert connection in whole.desk.connections.values()
            connection.wake()
        assert not whole.desk.connections
        assert not whole.records.backlog


async def test_orders_whose_keys_are_looked_up_are_made(store: Database) -> None:
    async with serving(store) as (whole, machine, _):
        await machine.registers()
        found: list[Command | Exception] = []
        orders = whole.orders
        assert isinstance(orders, Orders)
        orders.submit(order(key="a"), False, found.append)
        orders.submit(order(key="b"), False, found.append)
        assert orders.looking
        await stand_still(whole.gateway)
        assert not orders.looking
        assert whole.dispatcher.waiting == 2, "they wait for the other program"
        assert len(found) == 2, "their callers know that they are on disk"


async def test_callers_have_outcomes_that_waited_for_the_database(store: Database) -> None:
    async with serving(store) as (whole, machine, _):
        await machine.registers()
        links = [registers(whole, imei) for imei in (X, Y)]
        started = [await whole.order(imei=imei, wait=False) for imei in (X, Y)]
        await until(lambda: all(one.state == "sent" for one in started))
        whole.writer.away = "away"
        whole.says(imei=X)
        whole.says(imei=Y)
        await until(lambda: whole.dispatcher.calling_back)
        whole.writer.away = ""
        await stand_still(whole.gateway)
        assert [one.done for one in started] == [True, True]
        assert whole.dispatcher.in_flight == 0
        del links
