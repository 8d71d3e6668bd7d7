"""Taps: the lines that a reader gets, and the count of those that it missed."""

from __future__ import annotations

from contextlib import aclosing

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.gateway.devices import taps as module
from devgate.gateway.devices.taps import TapLine, TapReader, Taps
from devgate.gateway.operations.entry import dispatch
from devgate.gateway.operations.reply import Stream
from devgate.store.engine import Database
from tests.gateway.rig import NOBODY, X
from tests.gateway.whole import HT, Machine, Whole

UNKNOWN = "and the device has not registered on this connection"
TN = b"023000123456787654321TN"


async def next_lines(reader: TapReader, count: int) -> list[TapLine]:
    got: list[TapLine] = []
    with trio.fail_after(60):
        async with aclosing(reader.lines()) as lines:
            while len(got) < count:
                got.append(await anext(lines))
    return got


async def test_a_slow_reader_is_told_how_much_it_missed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(module, "MAX_LINES", 3)
    reader = TapReader()
    for number in range(10):
        reader.put({"n": number})
    assert await next_lines(reader, 4) == [{"n": 0}, {"n": 1}, {"n": 2}, {"missed": 7}]
    reader.put({"n": 10})
    assert await next_lines(reader, 1) == [{"n": 10}], "and it goes on"


async def test_what_was_missed_is_told_before_what_follows(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(module, "MAX_LINES", 3)
    reader = TapReader()
    async with aclosing(reader.lines()) as lines:
        for number in range(5):
            reader.put({"n": number})
        got = [await anext(lines), await anext(lines)]
        reader.put({"n": 5})
        with trio.fail_after(60):
            got += [await anext(lines) for _ in range(3)]
    assert got == [{"n": 0}, {"n": 1}, {"n": 2}, {"missed": 2}, {"n": 5}]


def test_a_tap_hangs_while_somebody_looks() -> None:
    taps = Taps()
    assert taps.get(X) is None
    with taps.reading(X) as (tap, first):
        assert taps.get(X) is tap
        assert taps.get(None) is None
        with taps.reading(X) as (same, second):
            assert same is tap
            assert tap.readers == [first, second]
        assert taps.get(X) is tap
    assert taps.get(X) is None
    assert len(taps) == 0


async def tapped(whole: Whole, **args: object) -> Stream:
    stream = await dispatch(whole.gateway, {"type": "tap", **args}, "test")
    assert isinstance(stream, Stream)
    return stream


async def exchange(device: Machine, says: bytes, hears: int) -> None:
    await device.says(says)
    assert len(await device.hears(hears)) == hears


async def shown(stream: Stream, count: int) -> list[tuple[object, ...]]:
    with trio.fail_after(60):
        lines = [await anext(stream.lines) for _ in range(count)]
    return [(line["direction"], line["decoded"], line["why"]) for line in lines]


async def test_one_device_is_seen_with_what_is_said_to_it(store: Database) -> None:
    whole = Whole(store)
    async with whole.serves() as nursery:
        device = whole.dial(nursery)
        stream = await tapped(whole, imei=X)
        async with aclosing(stream.lines), trio.open_nursery() as looking:
            got: list[tuple[object, ...]] = []

            async def look() -> None:
                got.extend(await shown(stream, 5))

            looking.start_soon(look)
            await wait_all_tasks_blocked()
            await exchange(device, HT, 23)
            await exchange(device, TN, 35)
            await device.says(b" ")
        assert got == [
            ("in", f"HT 000 {X}", None),
            ("out", f"HT 200 {X}", None),
            ("in", f"TN 000 {X}", None),
            ("out", f"TN 200 {X} 400-500-5620", None),
            ("in", "heartbeat", None),
        ]


async def test_unregistered_connections_are_seen_until_they_register(store: Database) -> None:
    whole = Whole(store)
    async with whole.serves() as nursery:
        stream = await tapped(whole, unregistered=True)
        got: list[tuple[object, ...]] = []

        async def look() -> None:
            got.extend(await shown(stream, 8))

        async with aclosing(stream.lines), trio.open_nursery() as looking:
            looking.start_soon(look)
            await wait_all_tasks_blocked()
            device = whole.dial(nursery)
            await exchange(device, b"AT", 6)
            await exchange(device, HT.replace(X.encode(), NOBODY.encode()), 23)
            await exchange(device, HT, 23)
            await exchange(device, TN, 35)
            await exchange(whole.dial(nursery), b"hello", 6)
        assert got == [
            ("in", "heartbeat", None),
            ("out", "404", f"404: a heartbeat, {UNKNOWN}"),
            ("in", f"HT 000 {NOBODY}", None),
            ("out", f"HT 300 {NOBODY}", "300: no device with this IMEI is in the store"),
            ("in", f"HT 000 {X}", None),
            ("out", f"HT 200 {X}", None),
            ("in", "malformed", None),
            ("out", "404", "404: no frame can be read in these bytes"),
        ]  # fmt: skip
        assert whole.desk.taps.get(None) is None


async def test_what_passes_behind_the_reply_is_seen_before_anybody_asks(store: Database) -> None:
    """Who has the reply may rely on it: the tap is attached, whoever has had a turn."""
    whole = Whole(store)
    async with whole.serves() as nursery:
        device = whole.dial(nursery)
        await device.registers()
        stream = await tapped(whole, imei=X)
        async with aclosing(stream.lines):
            await exchange(device, TN, 35)
            assert [one[0] for one in await shown(stream, 2)] == ["in", "out"]
        assert len(whole.desk.taps) == 0


async def test_a_tap_that_nobody_ever_reads_comes_off_when_it_is_closed(store: Database) -> None:
    whole = Whole(store)
    async with whole.serves() as nursery:
        device = whole.dial(nursery)
        await device.registers()
        stream = await tapped(whole, imei=X)
        await stream.lines.aclose()
        assert len(whole.desk.taps) == 0
        [connection] = whole.desk.connections.values()
        assert connection.tap is None


async def test_a_command_is_seen_and_the_tap_comes_off(store: Database) -> None:
    whole = Whole(store)
    async with whole.serves() as nursery:
        device = whole.dial(nursery)
        await device.registers()
        stream = await tapped(whole, imei=X)
        async with aclosing(stream.lines), trio.open_nursery() as looking:
            got: list[tuple[object, ...]] = []

            async def look() -> None:
                got.extend(await shown(stream, 3))

            looking.start_soon(look)
            await wait_all_tasks_blocked()
            async with trio.open_nursery() as asking:
                asking.start_soon(whole.order)
                assert len(await device.hears(26)) == 26
                await exchange(device, b"023200123456787654321QD", 23)
        assert got == [
            ("out", f"QD 000 {X} 500", None),
            ("in", f"QD 200 {X}", None),
            ("out", f"QD 200 {X}", None),
        ]
        assert whole.connection().tap is None
