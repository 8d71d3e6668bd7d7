"""Jobs for many machines: each machine is asked once, few at a time, and has its result."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from devgate.gateway import bulk as jobs
from devgate.gateway.operations import bulk, bulk_work
from devgate.model import Imei
from devgate.store import devices
from devgate.store.device import Device
from tests.gateway.operations.asking import ask, refused
from tests.gateway.rig import NOBODY, Rig
from tests.gateway.whole import Whole, registers

MANY = [Imei(f"7770000000{n:05}") for n in range(40)]


@pytest.fixture
async def whole(rig: Rig) -> Whole:
    whole = Whole(rig.database)
    with whole.database.write() as conn:
        for n, imei in enumerate(MANY):
            devices.add(conn, Device(imei, 100 + n, site="east" if n % 2 else "west"))
    return whole


@asynccontextmanager
async def working(whole: Whole, online: Sequence[Imei] = ()) -> AsyncIterator[trio.Nursery]:
    async with whole.lives() as nursery:
        nursery.start_soon(whole.gateway.bulk.run)
        await whole.knowledge.refresh()
        for imei in online:
            registers(whole, imei)
        yield nursery


async def over(whole: Whole, id: object) -> dict[str, Any]:
    while True:
        job = await ask(whole, "bulk", bulk=id, limit=1000)
        if job["ended_at"] is not None:
            return job
        await trio.sleep(0.1)


async def test_each_is_started_once_and_few_at_a_time(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with working(whole, MANY[:30]) as nursery:
        most = 0

        async def look() -> None:
            nonlocal most
            while True:
                most = max(most, whole.gateway.dispatcher.in_flight)
                await trio.sleep(0.001)

        nursery.start_soon(look)
        order = {"bulk": "opening", "imeis": [*MANY, NOBODY], "long": 5}
        begun = await ask(whole, "bulk_start", **order)
        assert (begun["count"], begun["done"], begun["state"]) == (41, 0, "waiting")
        assert (await ask(whole, "bulk_start", **order))["bulk"] == "opening", "the same job"
        job = await over(whole, "opening")
        assert most == bulk_work.MAX_IN_FLIGHT
        assert job["outcomes"] == {"unknown": 30, "refused": 11}
        statuses = [item["status"] for item in job["items"]]
        assert statuses == ["408"] * 30 + ["404"] * 10 + ["300"]
        # After a restart the job is forgotten: asked again, no machine is started again.
        whole.gateway.bulk = jobs.Jobs()
        nursery.start_soon(whole.gateway.bulk.run)
        await ask(whole, "bulk_start", **order)
        await over(whole, "opening")
        for imei in MANY[:30]:
            found = await ask(whole, "history", imei=imei)
            [record] = found["items"]
            assert record["key"] == f"opening-{imei}"
            assert record["source"] == "web:anna"


async def test_another_job_of_the_same_id_is_a_conflict(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with working(whole):
        await ask(whole, "bulk_start", bulk="a", imeis=MANY[:2], long=5)
        for args in ({"imeis": MANY[:2], "long": 6}, {"imeis": MANY[:3], "long": 5}):
            status, text = await refused(whole, "bulk_start", bulk="a", **args)
            assert (status, text) == ("409", "bulk: a is another job; nothing was done")
        assert (await refused(whole, "bulk_stop", bulk="a", imeis=MANY[:2]))[0] == "409"


async def test_all_that_match_are_moved_and_what_was_removed_is_told(
    whole: Whole, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_work, "DEVICES_A_TRANSACTION", 7)
    monkeypatch.setattr(bulk, "PAGE_DEVICES", 6)
    async with working(whole):
        counted = await ask(
            whole, "bulk_edit", match={"site": "east"}, enabled=False, dry_run=True
        )
        assert (counted["count"], counted["online"], counted["disabled"]) == (20, 0, 0)
        status, text = await refused(
            whole, "bulk_edit", match={"site": "east"}, site="north", most=19
        )
        assert (status, text.partition(";")[0]) == (
            "409",
            "most: 20 machines match by now, not 19",
        )
        begun = await ask(whole, "bulk_edit", match={"site": "east"}, site="north", enabled=False)
        await ask(whole, "remove", imei=MANY[1])
        job = await over(whole, begun["bulk"])
        assert job["outcomes"] == {"done": 19, "refused": 1}
        failed = await ask(whole, "bulk", bulk=begun["bulk"], failed=True)
        [item] = failed["items"]
        assert (item["imei"], item["status"]) == (MANY[1], "300")
        found = await ask(whole, "devices", site="north", enabled=False)
        assert len(found["items"]) == 19
        page = await ask(whole, "bulk", bulk=begun["bulk"], limit=15)
        next_page = await ask(whole, "bulk", bulk=begun["bulk"], after=page["next"])
        assert [one["imei"] for one in [*page["items"], *next_page["items"]]] == MANY[1::2]


async def test_a_cancelled_job_asks_no_more(whole: Whole, autojump_clock: MockClock) -> None:
    async with working(whole, MANY):
        begun = await ask(whole, "bulk_start", imeis=MANY, long=5)
        await trio.sleep(1)  # the first are in flight, and are waited for
        assert (await ask(whole, "bulk_cancel", bulk=begun["bulk"]))["state"] == "cancelling"
        job = await over(whole, begun["bulk"])
        assert (job["state"], job["done"]) == ("cancelled", bulk_work.MAX_IN_FLIGHT)
        assert (await refused(whole, "bulk_cancel", bulk=begun["bulk"]))[0] == "409"
        waiting = [await ask(whole, "bulk_stop", imeis=MANY) for _ in range(3)]
        last = await ask(whole, "bulk_cancel", bulk=waiting[2]["bulk"])
        assert (last["state"], last["done"]) == ("cancelled", 0)


async def test_machines_that_count_otherwise_are_left_out(
    whole: Whole, autojump_clock: MockClock
) -> None:
    """900 seconds are not 900 rides."""
    async with working(whole, MANY[:2]):
        await ask(whole, "edit", imei=MANY[0], unit="times")
        for unit, left_out in ((None, 0), ("seconds", 0), ("times", 1)):
            begun = await ask(whole, "bulk_stop", imeis=MANY[:1], timeout=1)
            await over(whole, begun["bulk"])
            begun = await ask(whole, "bulk_start", imeis=MANY[:2], long=9, unit=unit, timeout=1)
            items = (await over(whole, begun["bulk"]))["items"]
            statuses = [item["status"] for item in items]
            assert statuses[left_out] == "400"
            assert statuses[1 - left_out] == "408"


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ({}, "imeis"),
        ({"imeis": []}, "imeis"),
        ({"imeis": MANY, "match": {}}, "imeis"),
        ({"imeis": ["5"]}, "imei"),
        ({"match": []}, "match"),
        ({"match": {"site": "east", "limit": 5}}, "match"),
        ({"match": {"site": 5}}, "site"),
        ({"match": {}}, "match: more than 39 machines match"),
        ({"match": {"site": "east"}, "bulk": "a b"}, "bulk"),
        ({"match": {"site": "east"}, "most": -1}, "most"),
        ({"match": {"site": "east"}, "ack_timeout": 301}, "ack_timeout"),
        ({"match": {"site": "east"}, "name": "x"}, "name"),
    ],
)
async def test_a_wrong_field_is_named(
    whole: Whole,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    args: dict[str, Any],
    names: str,
) -> None:
    monkeypatch.setattr(bulk, "MAX_MACHINES", 39)
    async with working(whole):
        status, text = await refused(whole, "bulk_edit", **{"enabled": True, **args})
        assert status == "400"
        assert names in text
        assert (await ask(whole, "bulks"))["items"] == [], "nothing was begun"
        assert (await refused(whole, "bulk_edit", match={}))[1].startswith("nothing to change")


async def test_no_more_jobs_than_are_remembered(
    whole: Whole, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MAX_JOBS", 3)
    async with working(whole, MANY):
        ids = [(await ask(whole, "bulk_start", imeis=MANY, long=5))["bulk"] for _ in range(3)]
        assert (await refused(whole, "bulk_start", imeis=MANY, long=5))[0] == "429"
        await over(whole, ids[0])
        await ask(whole, "bulk_start", imeis=MANY, long=5)
        assert "not known" in (await refused(whole, "bulk", bulk=ids[0]))[1]
