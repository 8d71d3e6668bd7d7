"""protocol.md section 4: commands on their way, each time asserted."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.model import Imei
from devgate.store.device import Device
from tests.gateway.rig import NOBODY, OFF, TIMES, Rig, X, Y, ask

START = b"026000123456787654321QD500"


async def test_a_start_goes_out_and_is_confirmed(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(3)
    assert link.sent == [START]
    assert asked.command is None
    assert rig.stored(next(iter(rig.dispatcher.live)))["state"] == "sent"
    assert rig.says("QD", "200")
    await wait_all_tasks_blocked()
    assert asked.command is not None
    assert (asked.status, asked.command.message, asked.at) == ("200", "started", 3)
    row = rig.stored(asked.command.id)
    assert (row["status"], row["state"], row["late"]) == ("200", "ended", False)
    assert rig.kinds("command") == ["command.accepted", "command.sent", "command.ended"]
    assert rig.dispatcher.in_flight == 0
    assert rig.dispatcher.live == {}


@pytest.mark.parametrize("status", ["201", "202"])
async def test_what_the_device_says_is_told(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock, status: str
) -> None:
    rig.online()
    asked = ask(rig, nursery, "stop")
    await trio.sleep(1)
    rig.says("ST", status)
    await wait_all_tasks_blocked()
    assert asked.status == status


async def test_it_is_on_disk_as_sent_before_its_first_byte(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = rig.online()
    rig.writer.slow = 2.0
    ask(rig, nursery)
    await trio.sleep(1.9)
    assert link.sent == []
    await trio.sleep(0.2)
    assert link.times == [2.0]
    assert rig.writer.commits == 1, "written once, as sent"


async def test_a_burst_is_a_few_commits(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    imeis = [Imei(f"{n:015}") for n in range(100, 400)]
    for imei in imeis:
        rig.directory.put(Device(imei, int(imei)))
        rig.online(imei)
    rig.writer.slow = 0.01
    asked = [ask(rig, nursery, imei=imei, timeout=1) for imei in imeis]
    await trio.sleep(0.5)
    assert rig.dispatcher.in_flight == len(imeis)
    assert rig.writer.commits <= 3
    await trio.sleep(2)
    assert {one.status for one in asked} == {"408"}


async def test_one_in_flight_per_device(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link, other = rig.online(), rig.online(Y)
    first = ask(rig, nursery, long=1)
    await wait_all_tasks_blocked()
    second = ask(rig, nursery, long=2)
    ask(rig, nursery, imei=Y)
    await trio.sleep(1)
    assert len(link.sent) == len(other.sent) == 1, "other devices do not wait"
    assert rig.dispatcher.waiting == 1
    rig.says()
    await trio.sleep(1)
    assert [first.status, second.status] == ["200", None]
    assert link.times == [0, 1]
    rig.says("QD", "201")
    await wait_all_tasks_blocked()
    assert second.status == "201"


async def test_a_stop_goes_ahead_of_waiting_starts(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = rig.online()
    for long in (1, 2):
        ask(rig, nursery, long=long)
        await wait_all_tasks_blocked()
    ask(rig, nursery, "stop")
    await trio.sleep(1)
    for kind in ("QD", "ST", "QD"):
        assert rig.says(kind)
        await trio.sleep(1)
    assert [sent[21:] for sent in link.sent] == [b"QD1", b"ST", b"QD2"]


async def test_a_stop_cancels_the_waiting_starts_where_it_says_so(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = rig.online()
    first = ask(rig, nursery, long=1)
    await wait_all_tasks_blocked()
    second, deferred = ask(rig, nursery, long=2), ask(rig, nursery, long=3, expires=60)
    await wait_all_tasks_blocked()
    stop = ask(rig, nursery, "stop", cancel=True)
    await trio.sleep(1)
    assert [second.status, deferred.status, first.status] == ["410", "410", None]
    assert second.command is not None
    assert second.command.message.startswith("cancelled by the stop")
    rig.says("QD")
    await trio.sleep(1)
    rig.says("ST")
    await trio.sleep(1)
    assert (first.status, stop.status) == ("200", "200")
    assert [sent[21:] for sent in link.sent] == [b"QD1", b"ST"]


async def test_no_answer_in_time_is_unknown(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(20)
    assert asked.at == 10.0, "ack_timeout"
    assert asked.command is not None
    assert asked.status == "408"
    assert "unknown" in asked.command.message


@pytest.mark.parametrize("patience", [0.5, 3.0, 300.0])
async def test_a_caller_may_say_how_long_to_wait(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock, patience: float
) -> None:
    rig.online()
    asked = ask(rig, nursery, timeout=patience)
    await trio.sleep(400)
    assert asked.at == patience


async def test_the_result_just_in_time_counts(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(9.999)
    assert rig.says()
    await trio.sleep(1)
    assert asked.status == "200"


async def test_a_late_result_settles_the_408(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(10 + 59)
    assert asked.status == "408"
    assert rig.says("QD", "200")
    await rig.records.flushed()
    assert asked.command is not None
    row = rig.stored(asked.command.id)
    assert (row["status"], row["late"], row["state"]) == ("200", True, "ended")
    assert row["late_at"] == row["ended_at"] + 59
    assert rig.kinds("command")[-2:] == ["command.ended", "command.late"]
    assert rig.running.until(X) is not None, "so the device runs"
    assert not rig.says("QD", "200"), "a second one is nobody's"


@pytest.mark.parametrize(("after", "claimed"), [(59.0, True), (61.0, False)])
async def test_a_result_counts_within_the_late_window(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock, after: float, claimed: bool
) -> None:
    rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(10 + after)
    assert rig.says() is claimed
    assert asked.command is not None
    assert asked.command.late is claimed


async def test_a_late_result_is_never_credited_to_a_newer_command(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    first = ask(rig, nursery, long=1)
    await wait_all_tasks_blocked()
    second = ask(rig, nursery, long=2)
    await trio.sleep(12)
    assert first.status == "408"
    assert rig.says("QD", "201"), "the first's, or the second's: it is held"
    await trio.sleep(1)
    assert second.command is None
    assert first.command is not None
    assert (first.command.status, first.command.late) == ("408", False)
    assert rig.says("QD", "200")
    await trio.sleep(1)
    assert (first.command.status, first.command.late) == ("201", True)
    assert second.status == "200"


async def test_a_result_of_the_other_kind_settles_nothing(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(1)
    assert not rig.says("ST")
    assert not rig.says("QD", imei=Y)
    await trio.sleep(20)
    assert asked.status == "408"


async def test_a_result_counts_after_a_reconnect(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """It belongs to the device, not to the connection; and nothing is sent again."""
    rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(1)
    rig.offline()
    await trio.sleep(1)
    second = rig.online()
    await trio.sleep(1)
    assert second.sent == []
    assert rig.says()
    await trio.sleep(1)
    assert asked.status == "200"


async def test_too_many_wait(rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    link = rig.online()
    ask(rig, nursery, timeout=25)
    await wait_all_tasks_blocked()
    behind = [ask(rig, nursery) for _ in range(17)]
    await trio.sleep(1)
    assert sorted(one.status or "" for one in behind) == [""] * 16 + ["429"]
    assert len(link.sent) == 1


async def test_a_waiting_command_can_be_cancelled(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = rig.online()
    first = ask(rig, nursery)
    await wait_all_tasks_blocked()
    second = ask(rig, nursery)
    await wait_all_tasks_blocked()
    sent, waits = rig.dispatcher.live.values()
    assert not rig.dispatcher.cancel(sent, "on request"), "it is under way"
    assert rig.dispatcher.cancel(waits, "on request")
    assert not rig.dispatcher.cancel(waits, "on request")
    rig.says()
    await trio.sleep(1)
    assert (first.status, second.status) == ("200", "410")
    assert second.command is not None
    assert second.command.message == "cancelled on request; nothing was sent"
    assert len(link.sent) == 1


async def test_who_cannot_be_started(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    asked = {imei: ask(rig, nursery, imei=imei) for imei in (NOBODY, OFF, TIMES)}
    await trio.sleep(1)
    assert [one.status for one in asked.values()] == ["300", "401", "404"]


async def test_devices_that_have_nothing_to_do_are_forgotten(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    ask(rig, nursery)
    await trio.sleep(60)
    assert X in rig.dispatcher._devices, "a late result may still come"
    await trio.sleep(200)
    assert rig.dispatcher._devices == {}
