"""Reports that are too large for one pass: totals from sums, machines page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from devgate.errors import CallerError
from devgate.gateway.operations import usage
from devgate.gateway.operations.entry import dispatch
from devgate.gateway.operations.reply import Stream
from devgate.model import Imei, Source
from devgate.store import devices, usage_sums
from devgate.store import usage as stored
from devgate.store.device import Device
from devgate.store.usage import Day
from tests.gateway.rig import Rig
from tests.gateway.whole import Whole

FIRST = date(2026, 11, 1).toordinal() - date(1970, 1, 1).toordinal()
IMEIS = [f"86{n:013}" for n in range(7)]


@pytest.fixture
async def whole(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Whole]:
    """Seven machines at two sites, the last without a day, and one that was removed; more than
    five days of machines are too many for one pass, and more than 20 to be sorted."""
    monkeypatch.setattr(usage, "EXACT_DEVICES", 5)
    monkeypatch.setattr(usage, "MAX_DEVICE_DAYS", 20)
    with rig.database.write() as conn:
        for n, imei in enumerate(IMEIS):
            devices.add(conn, Device(Imei(imei), n + 1, f"Chair {n}", ("east", "west")[n % 2]))
        stored.save(conn, [
            Day(
                FIRST + day, imei, ("east", "west")[n % 2],
                n, n, 0, 0, 0, 0, 60 * n, 0, None, None,
            )
            for n, imei in enumerate([*IMEIS[:6], "870000000000000"]) for day in range(4)
        ])  # fmt: skip
    whole = Whole(rig.database)
    async with whole.lives():
        await whole.knowledge.refresh()
        yield whole


async def ask(whole: Whole, source: str = "socket", **args: Any) -> Any:
    return await dispatch(whole.gateway, {"month": "2026-11", **args}, source)


async def test_machines_come_page_by_page(whole: Whole) -> None:
    found: list[Any] = []
    offset: int | None = 0
    while offset is not None:
        page = await ask(whole, type="report", limit=3, offset=offset)
        assert (page["count"], page["total"]["starts"]) == (7, 4 * (15 + 6))
        found += page["items"]
        offset = page["next"]
    assert [one["imei"] for one in found] == IMEIS
    assert [one["starts"] for one in found] == [0, 4, 8, 12, 16, 20, 0]
    assert (found[3]["name"], found[3]["site"], found[3]["seconds"]) == ("Chair 3", "west", 720)
    stream = await ask(whole, type="report_export")
    assert isinstance(stream, Stream)
    assert [line async for line in stream.lines] == found
    only = await ask(whole, Source("http:x", frozenset({"west"})), type="report")
    assert [one["imei"] for one in only["items"]] == IMEIS[1::2]
    assert only["total"]["starts"] == 4 * (1 + 3 + 5)
    one = await ask(whole, type="report", imei="870000000000000")
    assert one["items"][0]["starts"] == 24


async def test_sites_and_days_are_no_question_of_size(whole: Whole) -> None:
    sites = await ask(whole, type="report", by="site", sort="starts")
    assert [(one["site"], one["starts"]) for one in sites["items"]] == [("east", 48), ("west", 36)]
    days = await ask(whole, type="report", by="day")
    assert [one["starts"] for one in days["items"]] == [21] * 4
    [month] = (await ask(whole, type="report", by="month"))["items"]
    assert month["starts"] == 84


async def test_what_cannot_be_had_of_so_many_is_refused(whole: Whole) -> None:
    with pytest.raises(CallerError, match="sort: 28 days of devices are more"):
        await ask(whole, type="report", sort="failed")
    few = await ask(whole, type="report", sort="failed", site="east")
    assert few["count"] == 4
    with whole.database.write() as conn:
        usage_sums.anew(conn)
    with pytest.raises(CallerError, match="until the sums of sites are made"):
        await ask(whole, type="report", by="site")
    with whole.database.write() as conn:
        while usage_sums.sum_up(conn, 5):
            pass
    assert (await ask(whole, type="report", by="site"))["total"]["starts"] == 84
