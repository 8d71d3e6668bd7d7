"""The directory is what the database says, whoever changes that."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from devgate.errors import StoreError
from devgate.gateway.known import sync as module
from devgate.model import Imei
from devgate.store import devices
from devgate.store.device import Device
from tests.gateway.rig import NOBODY, OFF, Rig, X, Y
from tests.gateway.whole import Whole, registers


@pytest.fixture
async def whole(rig: Rig) -> Whole:
    return Whole(rig.database)


def edit(whole: Whole, imei: Imei, **changes: Any) -> None:
    with whole.database.write() as conn:
        devices.edit(conn, imei, changes)


async def known(whole: Whole) -> None:
    """The rig's devices are in the database, and in force."""
    whole.know()
    await whole.knowledge.load()


async def device_events(whole: Whole) -> list[tuple[str, str | None]]:
    await whole.records.flushed()
    return [(event.type, event.imei) for event in whole.published]


async def test_all_devices_are_loaded(whole: Whole, autojump_clock: MockClock) -> None:
    async with whole.lives():
        for imei in (X, Y, OFF):
            whole.directory.remove(imei)
        await known(whole)
        assert [whole.directory.admits(imei) for imei in (X, Y, OFF, NOBODY)] == [
            True, True, False, None,
        ]  # fmt: skip
        assert whole.directory.text(X, "QR") == b"http://csgxjk.com/qrcode/dev/16"
        assert await whole.knowledge.refresh() == 0, "nothing has changed since"
        assert await device_events(whole) == []


async def test_changes_of_others_are_put_in_force(whole: Whole, autojump_clock: MockClock) -> None:
    async with whole.lives():
        await known(whole)
        connection = registers(whole, Y)
        edit(whole, X, phone="110")
        with whole.database.write() as conn:
            devices.add(conn, Device(NOBODY, 9, unit="times"))
            devices.remove(conn, [Y])
        assert await whole.knowledge.refresh() == 3
        assert whole.directory.text(X, "TN") == b"110"
        assert whole.directory.counts_times(NOBODY)
        assert whole.directory.admits(Y) is None
        assert sorted(await device_events(whole)) == [
            ("device.added", NOBODY), ("device.changed", X), ("device.online", Y),
            ("device.removed", Y),
        ]  # fmt: skip
        assert connection.why == "removed"


async def test_a_device_that_is_disabled_loses_its_connection(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with whole.lives():
        await known(whole)
        connection = registers(whole, X)
        edit(whole, X, enabled=False)
        await whole.knowledge.refresh()
        assert connection.why == "disabled"
        assert whole.directory.admits(X) is False
        connection = registers(whole, X)
        edit(whole, X, enabled=True)
        await whole.knowledge.refresh()
        assert whole.directory.admits(X) is True
        assert not connection.why


async def test_who_was_added_and_removed_meanwhile_never_was(
    whole: Whole, autojump_clock: MockClock
) -> None:
    async with whole.lives():
        await known(whole)
        with whole.database.write() as conn:
            devices.add(conn, Device(NOBODY, 9))
        with whole.database.write() as conn:
            devices.remove(conn, [NOBODY])
        await whole.knowledge.refresh()
        assert await device_events(whole) == []


async def test_an_import_is_a_few_events(
    whole: Whole, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_DEVICES", 20)
    monkeypatch.setattr(module, "MAX_EVENTS", 30)
    async with whole.lives():
        await known(whole)
        with whole.database.write() as conn:
            devices.insert_all(conn, [Device(Imei(f"{n:015}"), n) for n in range(100, 200)])
        assert await whole.knowledge.refresh() == 100
        assert len(whole.directory) >= 100
        events = await device_events(whole)
        assert len(events) < 60
        assert events[-1] == ("device.changed", None)
        assert whole.published[-1].line()["count"] == 100


async def test_changes_are_seen_without_a_word(whole: Whole, autojump_clock: MockClock) -> None:
    async with whole.lives() as nursery:
        await known(whole)
        nursery.start_soon(whole.knowledge.watch)
        edit(whole, X, phone="110")
        await trio.sleep(29)
        assert whole.directory.text(X, "TN") == b"400-500-5620"
        await trio.sleep(2)
        assert whole.directory.text(X, "TN") == b"110"


async def test_a_database_that_is_away_is_asked_again(
    whole: Whole, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks: list[float] = []

    async def ask(in_thread: object) -> None:
        asks.append(trio.current_time())
        raise StoreError("the database is locked")

    async with whole.lives() as nursery:
        await known(whole)
        with monkeypatch.context() as patch:
            patch.setattr(whole.records, "blocking", ask)
            nursery.start_soon(whole.knowledge.watch)
            await trio.sleep(95)
        assert asks == [30, 31, 33, 37, 45, 61, 91]
        edit(whole, X, phone="110")
        await trio.sleep(30)
        assert whole.directory.text(X, "TN") == b"110"


async def test_a_connected_device_that_is_removed(store: Any) -> None:
    """Over a pair of sockets: its next registration gets 300, or 401 if it is disabled."""
    whole = Whole(store)
    async with whole.serves() as nursery:
        await known(whole)
        device = whole.dial(nursery)
        await device.registers()
        edit(whole, X, enabled=False)
        await whole.knowledge.refresh()
        assert await device.gone()
        device = whole.dial(nursery)
        await device.says(b"023000123456787654321HT")
        assert await device.hears(23) == b"023401123456787654321HT"
        with whole.database.write() as conn:
            devices.remove(conn, [X])
        await whole.knowledge.refresh()
        await device.says(b"023000123456787654321HT")
        assert await device.hears(23) == b"023300123456787654321HT"
