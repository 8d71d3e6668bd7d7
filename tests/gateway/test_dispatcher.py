"""protocol.md section 4: commands on their way, each time asserted."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.config.settings import CommandSettings
from devgate.gateway.directory import Known
from devgate.model import Imei
from tests.gateway.rig import NOBODY, OFF, TIMES, Rig, X, Y, ask

START = b"026000123456787654321QD500"


async def test_a_start_goes_out_and_is_confirmed(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    wire = rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(3)
    assert wire.sent == [START]
    assert asked.command is None
    assert rig.stored(next(iter(rig.dispatcher.live)))["state"] == "sent"
    assert rig.says("QD", "200")
    await wait_all_tasks_blocked()
    assert asked.command is not None
    assert (asked.status, asked.command.message, asked.at) == ("200", "started", 3)
    row = rig.stored(asked.command.id)
    assert (row["status"], row["state"], row["late"]) == ("200", "ended", False)
    assert rig.kinds("command") == ["command.accepted", "command.sent", "command.ended"]
    assert rig.dispatcher.in_flight.value == 0
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
    wire = rig.online()
    rig.writer.slow = 2.0
    ask(rig, nursery)
    await trio.sleep(1.9)
    assert wire.sent == []
    await trio.sleep(0.2)
    assert wire.times == [2.0]
    assert rig.writer.commits == 1, "written once, as sent"


async def test_a_burst_is_a_few_commits(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    imeis = [Imei(f"{n:015}") for n in range(100, 400)]
    for imei in imeis:
        rig.directory.put(Known(imei, int(imei), None, None, "seconds", True))
        rig.online(imei)
    rig.writer.slow = 0.01
    asked = [ask(rig, nursery, imei=imei, timeout=1) for imei in imeis]
    await trio.sleep(0.5)
    assert rig.dispatcher.in_flight.value == len(imeis)
    assert rig.writer.commits <= 3
    await trio.sleep(2)
    assert {one.status for one in asked} == {"408"}


async def test_one_in_flight_per_device(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    wire, other = rig.online(), rig.online(Y)
    first = ask(rig, nursery, long=1)
    await wait_all_tasks_blocked()
    second = ask(rig, nursery, long=2)
    ask(rig, nursery, imei=Y)
    await trio.sleep(1)
    assert len(wire.sent) == len(other.sent) == 1, "other devices do not wait"
    assert rig.dispatcher.waiting == 1
    rig.says()
    await trio.sleep(1)
    assert [first.status, second.status] == ["200", None]
    assert wire.times == [0, 1]
    rig.says("QD", "201")
    await wait_all_tasks_blocked()
    assert second.status == "201"


async def test_a_stop_goes_ahead_of_waiting_starts(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    wire = rig.online()
    for long in (1, 2):
        ask(rig, nursery, long=long)
        await wait_all_tasks_blocked()
    ask(rig, nursery, "stop")
    await trio.sleep(1)
    for kind in ("QD", "ST", "QD"):
        assert rig.says(kind)
        await trio.sleep(1)
    assert [sent[21:] for sent in wire.sent] == [b"QD1", b"ST", b"QD2"]


async def test_a_stop_cancels_the_waiting_starts_where_it_says_so(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    wire = rig.online()
    first = ask(rig, nursery, long=1)
    await wait_all_tasks_blocked()
    second, kept = ask(rig, nursery, long=2), ask(rig, nursery, long=3, expires=60)
    await wait_all_tasks_blocked()
    stop = ask(rig, nursery, "stop", cancel=True)
    await trio.sleep(1)
    assert [second.status, kept.status, first.status] == ["410", "410", None]
    assert second.command is not None
    assert second.command.message.startswith("cancelled by the stop")
    rig.says("QD")
    await trio.sleep(1)
    rig.says("ST")
    await trio.sleep(1)
    assert (first.status, stop.status) == ("200", "200")
    assert [sent[21:] for sent in wire.sent] == [b"QD1", b"ST"]


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
    assert rig.says("QD", "201"), "the first's: it is the oldest without a result"
    await trio.sleep(1)
    assert second.command is None
    assert first.command is not None
    assert (first.command.status, first.command.late) == ("201", True)
    assert rig.says("QD", "200")
    await trio.sleep(1)
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


class TestDeadlines:
    """A command whose deadline has passed before it could be sent is never sent."""

    async def test_behind_others_of_a_busy_device(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        wire = rig.online()
        ask(rig, nursery, timeout=100)
        await wait_all_tasks_blocked()
        asked = ask(rig, nursery)
        await trio.sleep(200)
        assert (asked.status, asked.at) == ("410", 30.0), "queue_timeout, and on time"
        assert len(wire.sent) == 1

    async def test_of_the_callers_own(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        wire = rig.online()
        ask(rig, nursery, timeout=50)
        await wait_all_tasks_blocked()
        early, late = ask(rig, nursery, expires=5), ask(rig, nursery, expires=55)
        await trio.sleep(49)
        assert (early.status, early.at) == ("410", 5.0)
        assert late.command is None
        await trio.sleep(2)
        assert wire.times == [0, 50]

    async def test_of_a_start_that_is_kept_for_a_device(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        asked = ask(rig, nursery, expires=3600)
        await trio.sleep(3599)
        assert asked.command is None
        await trio.sleep(2)
        assert (asked.status, asked.at) == ("410", 3600.0)
        assert rig.online().sent == []
        await trio.sleep(10)

    async def test_that_passes_while_it_is_journalled_is_met(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        wire = rig.online()
        ask(rig, nursery, timeout=1)
        await wait_all_tasks_blocked()
        asked = ask(rig, nursery, expires=1.0)
        await trio.sleep(5)
        assert asked.status == "410"
        assert len(wire.sent) == 1


class TestOffline:
    async def test_nothing_waits_for_a_device_unasked(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        asked = ask(rig, nursery)
        await trio.sleep(1)
        assert (asked.status, asked.at) == ("404", 0.0)
        assert asked.command is not None
        assert rig.stored(asked.command.id)["sent_at"] is None
        assert rig.kinds() == ["command.ended"]

    async def test_what_is_kept_goes_out_when_the_device_registers(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        asked = [ask(rig, nursery, long=n, expires=600) for n in (1,)]
        await wait_all_tasks_blocked()
        asked.append(ask(rig, nursery, long=2, expires=600))
        await trio.sleep(100)
        rows = [rig.stored(id) for id in rig.dispatcher.live]
        assert [row["state"] for row in rows] == ["waiting", "waiting"], "durable"
        wire = rig.online()
        await trio.sleep(1)
        rig.says()
        await trio.sleep(1)
        rig.says()
        await trio.sleep(1)
        assert [one.status for one in asked] == ["200", "200"]
        assert [sent[21:] for sent in wire.sent] == [b"QD1", b"QD2"], "in order"
        assert wire.times == [100, 101]

    async def test_what_waits_behind_others_ends_when_the_device_goes(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        rig.online()
        first = ask(rig, nursery)
        await wait_all_tasks_blocked()
        second, kept = ask(rig, nursery), ask(rig, nursery, expires=60)
        await trio.sleep(1)
        rig.offline()
        await trio.sleep(15)
        assert (first.status, first.at) == ("408", 10.0)
        assert (second.status, second.at) == ("404", 10.0)
        assert kept.command is None
        wire = rig.online()
        await trio.sleep(1)
        assert len(wire.sent) == 1

    async def test_gone_between_journal_and_send(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        wire = rig.online()
        rig.writer.slow = 1.0
        asked = ask(rig, nursery, key="k")
        await trio.sleep(0.5)
        rig.offline()
        await trio.sleep(10)
        assert asked.status == "404"
        assert wire.sent == []
        assert asked.command is not None
        row = rig.stored(asked.command.id)
        assert (row["status"], row["sent_at"], row["spent"]) == ("404", None, None)

    @pytest.mark.parametrize("expires", [None, 100.0])
    async def test_a_connection_that_takes_nothing_more(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock, expires: float | None
    ) -> None:
        """Nothing of it was sent: what is kept goes to the next connection, once."""
        broken = rig.online()
        rig.writer.slow = 1.0
        asked = ask(rig, nursery, expires=expires)
        await trio.sleep(0.5)
        broken.whole = False
        rig.offline()
        await trio.sleep(5)
        wire = rig.online()
        await trio.sleep(5)
        assert broken.sent == []
        if expires is None:
            assert asked.status == "404"
            assert wire.sent == []
        else:
            assert wire.sent == [START]
            assert rig.says()
            await trio.sleep(5)
            assert asked.status == "200"

    async def test_a_new_connection_while_it_is_journalled(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        old = rig.online()
        rig.writer.slow = 1.0
        ask(rig, nursery)
        await trio.sleep(0.5)
        new = rig.online()
        await trio.sleep(5)
        assert (old.sent, new.sent) == ([], [START])


class TestJournalFails:
    async def test_then_nothing_is_sent(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        wire = rig.online()
        rig.writer.away = "the disk is full"
        asked = ask(rig, nursery)
        await trio.sleep(30)
        assert wire.sent == []
        assert asked.command is not None
        assert asked.status == "503"
        assert "the disk is full" in asked.command.message
        assert "nothing was sent" in asked.command.message
        rig.writer.away = ""
        await rig.writer.flush()
        assert rig.stored(asked.command.id)["status"] == "503"
        assert [e.n for e in rig.told] == list(range(1, len(rig.told) + 1))

    async def test_and_works_again_with_the_database(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        wire = rig.online()
        rig.writer.away = "locked"
        ask(rig, nursery)
        await trio.sleep(1)
        rig.writer.away = ""
        asked = ask(rig, nursery)
        await trio.sleep(1)
        rig.says()
        await trio.sleep(5)
        assert asked.status == "200"
        assert len(wire.sent) == 1

    async def test_a_result_is_told_though_it_cannot_be_written(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        rig.online()
        asked = ask(rig, nursery)
        await trio.sleep(1)
        rig.writer.away = "locked"
        rig.says()
        await trio.sleep(10)
        assert asked.status == "200"
        rig.writer.away = ""
        await rig.writer.flush()
        assert asked.command is not None
        assert rig.stored(asked.command.id)["status"] == "200", "and is written later"

    async def test_what_is_kept_is_refused(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        rig.writer.away = "locked"
        asked = ask(rig, nursery, expires=60)
        await trio.sleep(10)
        assert asked.status == "503"
        rig.writer.away = ""
        wire = rig.online()
        await trio.sleep(10)
        assert wire.sent == []


async def test_too_many_wait(rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    wire = rig.online()
    ask(rig, nursery, timeout=25)
    await wait_all_tasks_blocked()
    behind = [ask(rig, nursery) for _ in range(17)]
    await trio.sleep(1)
    assert sorted(one.status or "" for one in behind) == [""] * 16 + ["429"]
    assert len(wire.sent) == 1


async def test_a_waiting_command_can_be_cancelled(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    wire = rig.online()
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
    assert len(wire.sent) == 1


async def test_who_cannot_be_started(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    asked = {imei: ask(rig, nursery, imei=imei) for imei in (NOBODY, OFF, TIMES)}
    await trio.sleep(1)
    assert [one.status for one in asked.values()] == ["300", "401", "404"]


class TestWhileRunning:
    async def test_a_second_start_is_sent_and_says_so(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        rig.online()
        for message in ("started", "started; it was running already"):
            asked = ask(rig, nursery)
            await trio.sleep(1)
            rig.says()
            await trio.sleep(1)
            assert asked.command is not None
            assert asked.command.message == message
            assert rig.stored(asked.command.id)["running"] is (message != "started")

    async def test_or_refused(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        rig.dispatcher.settings = CommandSettings(while_running="refuse")
        wire = rig.online()
        ask(rig, nursery)
        await trio.sleep(1)
        waits = ask(rig, nursery)
        await trio.sleep(1)
        rig.says()
        await trio.sleep(1)
        assert waits.status == "409", "decided when its turn comes"
        at_once, stop = ask(rig, nursery, key="k"), ask(rig, nursery, "stop")
        await trio.sleep(1)
        assert at_once.status == "409"
        rig.says("ST")
        await trio.sleep(1)
        assert stop.status == "200"
        again = ask(rig, nursery, key="k")
        await trio.sleep(1)
        rig.says()
        await trio.sleep(1)
        assert again.status == "200", "its key was left free"
        assert [sent[21:] for sent in wire.sent] == [b"QD500", b"ST", b"QD500"]


class TestStopping:
    async def test_what_waits_is_told_and_what_is_in_flight_is_awaited(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        rig.online()
        first = ask(rig, nursery)
        await wait_all_tasks_blocked()
        second, kept = ask(rig, nursery), ask(rig, nursery, expires=60)
        await trio.sleep(1)
        rig.orders.closed = True
        rig.dispatcher.close()
        late = ask(rig, nursery)
        await trio.sleep(1)
        assert [second.status, late.status, first.status] == ["503", "503", None]
        assert kept.command is not None
        assert kept.command.state == "waiting", "its caller is let go, and it goes on waiting"
        rig.says()
        with trio.fail_after(1):
            await rig.dispatcher.idle()
        await trio.sleep(1)
        assert first.status == "200"

    async def test_what_gets_no_answer_in_time_is_unknown(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        rig.online()
        asked = ask(rig, nursery, timeout=300)
        await trio.sleep(1)
        rig.orders.closed = True
        rig.dispatcher.close()
        await trio.sleep(1)
        rig.dispatcher.give_up()
        await trio.sleep(1)
        assert (asked.status, asked.at) == ("408", 2.0)


async def test_devices_that_have_nothing_to_do_are_forgotten(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    ask(rig, nursery)
    await trio.sleep(60)
    assert X in rig.dispatcher._lines, "a late result may still come"
    await trio.sleep(200)
    assert rig.dispatcher._lines == {}
