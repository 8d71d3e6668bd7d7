"""Commands that wait: for others, for a device that is away, and never for too long."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.gateway.command import Command, Order
from devgate.gateway.commands.deadlines import MIN_PRUNED_ENTRIES, Deadlines
from devgate.model import Imei
from devgate.store.engine import Database
from tests.gateway.clocks import EPOCH, follow_trios_clock
from tests.gateway.rig import Rig, X, ask

START = b"026000123456787654321QD500"


class TestDeadlines:
    """A command whose deadline has passed before it could be sent is never sent."""

    async def test_behind_others_of_a_busy_device(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        link = rig.online()
        ask(rig, nursery, timeout=100)
        await wait_all_tasks_blocked()
        asked = ask(rig, nursery)
        await trio.sleep(200)
        assert (asked.status, asked.at) == ("410", 30.0), "queue_timeout, and on time"
        assert len(link.sent) == 1

    async def test_of_the_callers_own(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        link = rig.online()
        ask(rig, nursery, timeout=50)
        await wait_all_tasks_blocked()
        early, late = ask(rig, nursery, expires=5), ask(rig, nursery, expires=55)
        await trio.sleep(49)
        assert (early.status, early.at) == ("410", 5.0)
        assert late.command is None
        await trio.sleep(2)
        assert link.times == [0, 50]

    async def test_of_a_start_that_is_kept_for_a_device(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        asked = ask(rig, nursery, expires=3600)
        await trio.sleep(3599)
        assert asked.command is None
        await trio.sleep(2)
        assert (asked.status, asked.at) == ("410", 3600.0)
        link = rig.online()
        await trio.sleep(10)
        assert link.sent == []

    async def test_that_passes_while_it_is_journalled_is_met(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        link = rig.online()
        ask(rig, nursery, timeout=1)
        await wait_all_tasks_blocked()
        asked = ask(rig, nursery, expires=1.0)
        await trio.sleep(5)
        assert asked.status == "410"
        assert len(link.sent) == 1


class TestSlowCommits:
    """F10: between the journal and the send the deadline is looked at again."""

    @pytest.mark.parametrize(("expires", "settings"), [(3.0, {}), (None, {"queue_timeout": 3.0})])
    async def test_what_is_on_disk_too_late_is_not_sent(
        self, store: Database, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch,
        expires: float | None, settings: dict[str, float],
    ) -> None:  # fmt: skip
        follow_trios_clock(monkeypatch)
        rig = Rig(store, **settings)
        async with rig.lives() as nursery:
            link = rig.online()
            rig.writer.slow = 5.0
            asked = ask(rig, nursery, expires=expires, key="k")
            await trio.sleep(6)
            rig.writer.slow = 0.0
            await trio.sleep(6)
            assert link.sent == []
            assert asked.status == "410"
            assert asked.command is not None
            row = rig.stored(asked.command.id)
            assert (row["status"], row["sent_at"], row["spent"]) == ("410", None, None)
            assert rig.kinds("command")[-1] == "command.ended"
            assert rig.dispatcher.in_flight == 0
            rig.writer.slow = 0.0
            again = ask(rig, nursery, key="k")
            await trio.sleep(1)
            assert len(link.sent) == 1, "the line is free"
            rig.says()
            await trio.sleep(1)
            assert again.status == "200"

    async def test_sent_at_is_the_time_of_the_send(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        link = rig.online()
        rig.writer.slow = 5.0
        asked = ask(rig, nursery)
        await trio.sleep(5.5)
        assert link.times == [5.0]
        rig.writer.slow = 0.0
        rig.says()
        await trio.sleep(1)
        assert asked.command is not None
        assert rig.stored(asked.command.id)["sent_at"] == EPOCH + 5


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
        link = rig.online()
        await trio.sleep(1)
        rig.says()
        await trio.sleep(1)
        rig.says()
        await trio.sleep(1)
        assert [one.status for one in asked] == ["200", "200"]
        assert [sent[21:] for sent in link.sent] == [b"QD1", b"QD2"], "in order"
        assert link.times == [100, 101]

    async def test_what_waits_behind_others_ends_when_the_device_goes(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        rig.online()
        first = ask(rig, nursery)
        await wait_all_tasks_blocked()
        second, deferred = ask(rig, nursery), ask(rig, nursery, expires=60)
        await trio.sleep(1)
        rig.offline()
        await trio.sleep(15)
        assert (first.status, first.at) == ("408", 10.0)
        assert (second.status, second.at) == ("404", 10.0)
        assert deferred.command is None
        link = rig.online()
        await trio.sleep(1)
        assert len(link.sent) == 1

    async def test_gone_between_journal_and_send(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        link = rig.online()
        rig.writer.slow = 1.0
        asked = ask(rig, nursery, key="k")
        await trio.sleep(0.5)
        rig.offline()
        await trio.sleep(10)
        assert asked.status == "404"
        assert link.sent == []
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
        link = rig.online()
        await trio.sleep(5)
        assert broken.sent == []
        if expires is None:
            assert asked.status == "404"
            assert link.sent == []
        else:
            assert link.sent == [START]
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


def waiting(until: float) -> Command:
    command = Command(str(until), Order(Imei(X), "start", 1), 0.0)
    command.until = until
    return command


class TestTheHeap:
    def test_the_earliest_is_the_first(self) -> None:
        deadlines, late, early = Deadlines(), waiting(2.0), waiting(1.0)
        for command in (late, early, early):
            deadlines.add(command)
        assert deadlines.next() == 1.0
        assert deadlines.due(0.9) == []
        assert deadlines.due(2.0) == [early, early, late]
        assert deadlines.next() == float("inf")

    def test_what_is_over_or_has_another_time_is_passed_over(self) -> None:
        deadlines, over, moved = Deadlines(), waiting(1.0), waiting(2.0)
        deadlines.add(over)
        deadlines.add(moved)
        over.ends("410", 0.0)
        moved.until = 5.0
        deadlines.add(moved)
        assert deadlines.next() == 5.0
        assert deadlines.due(9.0) == [moved]

    def test_what_is_over_does_not_pile_up(self) -> None:
        """A start that may wait a month, and is sent within the minute."""
        deadlines = Deadlines()
        for number in range(10 * MIN_PRUNED_ENTRIES):
            command = waiting(1e6 + number)
            deadlines.add(command)
            command.ends("200", 0.0)
        assert len(deadlines._heap) <= MIN_PRUNED_ENTRIES
