"""Maintenance: customers' starts are refused, staff may test, and it ends when it should."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from devgate.model import Imei
from devgate.store import devices
from devgate.store.device import Device
from tests.gateway.clocks import EPOCH
from tests.gateway.operations.asking import ask, refused
from tests.gateway.rig import NOBODY, Rig, X, Y
from tests.gateway.whole import Whole, registers


@pytest.fixture
async def whole(rig: Rig) -> Whole:
    whole = Whole(rig.database)
    with whole.database.write() as conn:
        devices.add(conn, Device(X, 16, name="Bay 4", site="north"))
        devices.add(conn, Device(Y, 17, site="south"))
    return whole


@asynccontextmanager
async def working(whole: Whole) -> AsyncIterator[trio.Nursery]:
    async with whole.lives() as nursery:
        await whole.knowledge.refresh()
        await whole.knowledge.refresh_maintenance()
        for imei in (X, Y):
            registers(whole, imei)
        yield nursery


async def start(whole: Whole, imei: Imei = X, type: str = "start", **more: Any) -> tuple[Any, Any]:
    reply = await ask(whole, type, imei=imei, long=5, wait=False, **more)
    return reply["status"], reply.get("why")


async def maintenance_events(whole: Whole) -> list[tuple[str, str | None, dict[str, Any]]]:
    await whole.gateway.records.flushed()
    return [
        (event.type, event.imei, json.loads(event.detail))
        for event in whole.published
        if event.type.startswith("maintenance.")
    ]


async def test_a_customer_is_refused_and_staff_is_not(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with working(whole):
        reply = await ask(whole, "maintenance_on", imei=X, reason="new cushions")
        assert (reply["imeis"], reply["reason"], reply["until"]) == ([X], "new cushions", None)
        assert await start(whole, key="order-1") == ("423", "maintenance")
        assert (await ask(whole, "stop", imei=X, wait=False))["status"] == "000"
        assert await start(whole, type="test_start", key="t-1") == ("000", "test")
        assert await start(whole, Y) == ("000", None)
        status = await ask(whole, "status", imei=X)
        assert status["maintenance"]["source"] == "web:anna"
        assert (await ask(whole, "devices", q=Y))["items"][0]["maintenance"] is None

        for words in ("is no longer in maintenance", "was not in maintenance"):
            ended = await ask(whole, "maintenance_off", imei=X)
            assert ended["message"] == f"{X} {words}"
        # The key stayed free.
        assert await start(whole, key="order-1") == ("000", None)
        assert await maintenance_events(whole) == [
            ("maintenance.began", X, {"id": 16, "name": "Bay 4", "site": "north",
             "reason": "new cushions", "until": None, "source": "web:anna"}),
            ("maintenance.ended", X, {"id": 16, "name": "Bay 4", "site": "north",
             "reason": "new cushions", "until": None, "source": "web:anna"}),
        ]  # fmt: skip
        assert (await refused(whole, "maintenance_on", imei=NOBODY))[0] == "300"
        for args, field in (
            ({"imei": X, "site": "north"}, "imei"), ({"imei": X, "until": EPOCH - 1}, "until"),
            ({"imei": X, "reason": "x" * 201}, "reason"), ({}, "imei"), ({"site": ""}, "site"),
            ({"imei": X, "until": True}, "until"),
        ):  # fmt: skip
            code, text = await refused(whole, "maintenance_on", **args)
            assert (code, text.partition(":")[0]) == ("400", field)
        assert (await refused(whole, "maintenance", after="north"))[0] == "400"


async def test_a_site_takes_machines_with_it_that_come_later(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with working(whole):
        await ask(whole, "maintenance_on", site="north")
        assert await start(whole) == ("423", "maintenance")
        assert await start(whole, Y) == ("000", None)
        assert (await ask(whole, "status", imei=X))["maintenance"]["whole_site"] is True
        assert (
            "its site north still is" in (await ask(whole, "maintenance_off", imei=X))["message"]
        )
        await ask(whole, "edit", imei=Y, site="north")
        await ask(whole, "edit", imei=X, site="")
        assert await start(whole, Y) == ("423", "maintenance")
        assert await start(whole) == ("000", None)
        [item] = (await ask(whole, "maintenance"))["items"]
        assert (item["imei"], item["site"]) == (None, "north")


async def test_it_ends_by_itself_and_outlives_a_restart(
    whole: Whole, rig: Rig, autojump_clock: MockClock
) -> None:
    until = EPOCH + trio.current_time() + 100
    async with working(whole):
        await ask(whole, "maintenance_on", imeis=[X, Y], until=until)
        assert await start(whole) == ("423", "maintenance")
    again = Whole(rig.database)
    async with again.lives() as nursery:
        await again.knowledge.load()
        for imei in (X, Y):
            registers(again, imei)
        nursery.start_soon(again.knowledge.watch)
        assert await start(again) == ("423", "maintenance")
        await trio.sleep(until - EPOCH - trio.current_time() + 0.001)
        assert await start(again) == ("000", None)
        assert (await ask(again, "maintenance"))["items"] == []
        await trio.sleep(61)  # which is later than the next look
        assert [
            (type, imei, one["source"]) for type, imei, one in await maintenance_events(again)
        ] == [
            ("maintenance.ended", X, "its time is over"),
            ("maintenance.ended", Y, "its time is over"),
        ]
        assert len(again.directory.maintenance) == 0


async def test_a_start_that_waits_is_refused_when_its_turn_comes(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with working(whole):
        assert await start(whole) == ("000", None)  # in flight, so that the others wait
        waits = await ask(whole, "start", imei=X, long=5, key="order-1", wait=False)
        test = await ask(whole, "test_start", imei=X, long=5, wait=False)
        await ask(whole, "maintenance_on", imei=X)
        whole.says()
        await trio.sleep(1)
        record = await ask(whole, "command", command=waits["command"])
        assert (record["status"], record["why"], record["sent_at"]) == ("423", "maintenance", None)
        record = await ask(whole, "command", command=test["command"])
        assert (record["state"], record["why"]) == ("sent", "test")
        assert await start(whole, key="order-1", type="test_start") == ("000", "test")


async def test_many_at_once(whole: Whole, autojump_clock: MockClock) -> None:
    async with working(whole) as nursery:
        nursery.start_soon(whole.gateway.bulk.run)
        counted = await ask(whole, "bulk_maintenance", match={}, dry_run=True)
        assert (counted["count"], counted["maintenance"]) == (2, 0)
        for on, status in ((True, "423"), (False, "000")):
            more = {"until": EPOCH + 9000} if on else {}
            job = await ask(
                whole, "bulk_maintenance", bulk=f"job-{on}", imeis=[X, Y, NOBODY], on=on, **more
            )
            while job["ended_at"] is None:
                await trio.sleep(0.1)
                job = await ask(whole, "bulk", bulk=f"job-{on}")
            assert job["action"] == "maintenance"
            # Of one that is not known there is nothing to end.
            assert job["outcomes"] == ({"done": 2, "refused": 1} if on else {"done": 3})
            assert [(await start(whole, imei))[0] for imei in (X, Y)] == [status] * 2
        assert (await refused(whole, "bulk_maintenance", match={}, on=False, reason="x"))[
            0
        ] == "400"
