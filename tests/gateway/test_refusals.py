"""When nothing may be sent: a journal that fails, a device that runs, a gateway that stops."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.config.settings import CommandSettings
from tests.gateway.rig import Rig, ask
from tests.writing import flushed


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
        await flushed(rig.writer)
        assert rig.stored(asked.command.id)["status"] == "503"
        assert [e.n for e in rig.published] == list(range(1, len(rig.published) + 1))

    async def test_and_works_again_with_the_database(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        wire = rig.online()
        rig.writer.away = "locked"
        ask(rig, nursery)
        await trio.sleep(1)
        rig.writer.away = ""
        await flushed(rig.writer)
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
        await flushed(rig.writer)
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
        rig.dispatcher.apply(CommandSettings(while_running="refuse"))
        wire = rig.online()
        ask(rig, nursery)
        await trio.sleep(1)
        waits = ask(rig, nursery)
        await trio.sleep(1)
        rig.says()
        await trio.sleep(1)
        assert waits.status == "423", "decided when its turn comes"
        at_once, stop = ask(rig, nursery, key="k"), ask(rig, nursery, "stop")
        await trio.sleep(1)
        assert at_once.status == "423"
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
        second, deferred = ask(rig, nursery), ask(rig, nursery, expires=60)
        await trio.sleep(1)
        rig.orders.close()
        rig.dispatcher.close()
        late = ask(rig, nursery)
        await trio.sleep(1)
        assert [second.status, late.status, first.status] == ["503", "503", None]
        assert deferred.command is not None
        assert deferred.command.state == "waiting", "its caller is let go, and it goes on waiting"
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
        rig.orders.close()
        rig.dispatcher.close()
        await trio.sleep(1)
        rig.dispatcher.give_up()
        await trio.sleep(1)
        assert (asked.status, asked.at) == ("408", 2.0)
