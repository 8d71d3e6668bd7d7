"""Devices that answer later than `ack_timeout`, and an `ack_timeout` of a device's own."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from devgate.gateway.commands.slow import LATE_ANSWERS, MAX_DEVICES, REPORT_SECONDS, Slow
from devgate.model import Imei
from devgate.store.device import Device
from tests.gateway.rig import Rig, X, ask


async def test_a_device_may_have_its_own_ack_timeout(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.directory.put(Device(X, 16, ack_timeout=25.0))
    rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(30)
    assert (asked.status, asked.at) == ("408", 25.0)
    rig.directory.put(Device(X, 16))
    asked = ask(rig, nursery, long=2)
    await trio.sleep(15)
    assert (asked.status, asked.at) == ("408", 40.0)


async def test_yields_go_by_the_device_s_own(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.directory.put(Device(X, 16, ack_timeout=25.0))
    rig.online()
    first = ask(rig, nursery)
    await trio.sleep(25.5)
    for after in (11.0, 15.0):  # less than 25 s behind the 408, and more
        await trio.sleep(after)
        rig.beats()
    second = ask(rig, nursery, long=2)
    await trio.sleep(1)
    rig.says()
    await trio.sleep(1)
    assert (first.status, second.status) == ("408", "200")


async def test_one_that_keeps_answering_late_is_told_of_once_a_day(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    slow = rig.dispatcher.results.slow
    for number in range(1, LATE_ANSWERS + 3):
        ask(rig, nursery, long=number)
        await trio.sleep(12)
        rig.says()
        await trio.sleep(1)
        late = slow.get(X)
        assert (late is not None) == (number >= LATE_ANSWERS)
    assert late is not None
    assert (late.seconds, late.ack_timeout) == (12.0, 10.0)
    assert rig.kinds("device") == ["device.slow"]
    ask(rig, nursery, long=99)
    await trio.sleep(1)
    rig.says()
    await trio.sleep(1)
    assert slow.get(X) is None, "it answers in time again"


async def test_the_devices_that_are_remembered_are_bounded(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    slow = Slow(rig.records)
    for number in range(MAX_DEVICES + 5):
        slow.answered(Imei(f"{number:015}"), 12.0, 10.0)
    assert len(slow.remembers) == MAX_DEVICES
    for _ in range(LATE_ANSWERS):
        slow.answered(X, 12.0, 10.0)
    await trio.sleep(REPORT_SECONDS + 1)
    slow.answered(X, 12.0, 10.0)
    await trio.sleep(1)
    assert rig.kinds("device") == ["device.slow"] * 2
