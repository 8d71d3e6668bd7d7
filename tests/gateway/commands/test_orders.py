"""control.md: keys, `wait`, `expires`, and what becomes of an order whose caller is gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.errors import CallerError, StoreError
from devgate.gateway.command import NOT_ON_DISK
from devgate.store import history, writer
from tests.gateway.rig import NOBODY, OFF, Rig, X, Y, ask
from tests.writing import flushed


@pytest.fixture(params=[False, True], ids=["looked-up", "known"], autouse=True)
def knowing(rig: Rig, request: pytest.FixtureRequest) -> None:
    """All of it holds whether each key is looked up, or only those that may be spent."""
    rig.knows_keys = request.param


async def test_twenty_at_once_with_one_key_are_one_start(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = rig.online()
    asked = [ask(rig, nursery, key="order 1") for _ in range(20)]
    await trio.sleep(5)
    rig.says()
    await trio.sleep(1)
    assert len(link.sent) == 1
    assert {one.command.id for one in asked if one.command} == {asked[0].command.id}  # type: ignore[union-attr]
    assert [one.status for one in asked] == ["200"] * 20
    with rig.database.read() as conn:
        assert len(history.page(conn, key="order 1", limit=9)) == 1


async def test_the_same_key_again_gives_the_same_record(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    link = rig.online()
    first = ask(rig, nursery, key="k")
    await trio.sleep(3)
    second = ask(rig, nursery, key="k")
    await trio.sleep(1)
    assert second.command is None, "it waits, for the first is under way"
    rig.says("QD", "201")
    await trio.sleep(1)
    assert (first.status, second.status) == ("201", "201")
    await trio.sleep(1000)
    rig.offline()
    third = await rig.order(key="k")
    assert first.command is not None
    assert (third.id, third.status) == (first.command.id, "201"), "whatever has happened since"
    assert len(link.sent) == 1


async def test_a_key_that_became_known_late_gives_what_is_known_now(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    first = await rig.order(key="k")
    assert first.status == "408"
    rig.says()
    again = await rig.order(key="k")
    assert (again.id, again.status, again.late) == (first.id, "200", True)


@pytest.mark.parametrize(
    "other", [{"long": 501}, {"imei": Y}, {"type": "stop"}], ids=["long", "imei", "type"]
)
async def test_other_content_is_a_conflict(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock, other: dict[str, Any]
) -> None:
    link = rig.online()
    rig.online(Y)
    first = ask(rig, nursery, key="k")
    await trio.sleep(1)
    for _ in ("under way", "ended"):
        with pytest.raises(CallerError) as caught:
            await rig.order(key="k", **other)
        assert caught.value.status == "409"
        assert first.command is None or first.command.id in str(caught.value)
        rig.says()
        await trio.sleep(1)
    assert len(link.sent) == 1


async def test_timeouts_are_not_content(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    first = ask(rig, nursery, key="k")
    second = ask(rig, nursery, key="k", timeout=200, source="other")
    await trio.sleep(1)
    rig.says()
    await trio.sleep(1)
    assert first.command is not None
    assert second.command is first.command


class TestWithNothingSent:
    """A command that ended so leaves its key free."""

    @pytest.mark.parametrize(("imei", "status"), [(NOBODY, "300"), (OFF, "401"), (X, "404")])
    async def test_refused(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock, imei: Any, status: str
    ) -> None:
        asked = [ask(rig, nursery, imei=imei, key="k") for _ in range(3)]
        await trio.sleep(1)
        assert {one.status for one in asked} == {status}
        assert len({one.command.id for one in asked if one.command}) == 3, "each tried"
        rig.online(Y)
        good = ask(rig, nursery, imei=Y, key="k")
        await trio.sleep(1)
        rig.says(imei=Y)
        await trio.sleep(1)
        assert good.status == "200"

    async def test_expired(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        first = await rig.order(key="k", expires=5)
        assert first.status == "410"
        rig.online()
        second = ask(rig, nursery, key="k")
        await trio.sleep(1)
        rig.says()
        await trio.sleep(1)
        assert second.status == "200"
        assert rig.stored(first.id)["key"] == "k", "the record still tells of it"

    async def test_too_many(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        rig.online()
        for _ in range(17):
            ask(rig, nursery)
            await wait_all_tasks_blocked()
        full = await rig.order(key="k")
        assert full.status == "429"
        assert full.spent is False

    async def test_not_journalled(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        link = rig.online()
        rig.writer.slow = 0.5
        asked = ask(rig, nursery, key="k")
        await trio.sleep(0.1)
        rig.writer.away = "locked"
        await trio.sleep(5)
        assert asked.status == "503"
        rig.writer.away = ""
        await flushed(rig.writer)
        again = ask(rig, nursery, key="k")
        await trio.sleep(2)
        rig.says()
        await trio.sleep(2)
        assert again.status == "200"
        assert len(link.sent) == 1

    async def test_cancelled(
        self, rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        asked = ask(rig, nursery, key="k", expires=600)
        await trio.sleep(1)
        [command] = rig.dispatcher.live.values()
        rig.dispatcher.cancel(command, "on request")
        await trio.sleep(1)
        assert asked.status == "410"
        assert rig.stored(command.id)["spent"] is None


async def test_a_key_is_spent_while_its_command_waits(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    first = await rig.order(key="k", expires=600, wait=False)
    second = await rig.order(key="k", expires=600, wait=False)
    assert first is second
    assert rig.stored(first.id)["spent"] == "k"
    with pytest.raises(CallerError):
        await rig.order(key="k", long=1, expires=600)


async def test_a_key_that_cannot_be_looked_up_sends_nothing(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """What ended last may not be on disk yet: who knows whether the key is spent."""
    link = rig.online()
    first = ask(rig, nursery, key="k")
    await trio.sleep(1)
    rig.writer.away = "locked"
    rig.says()
    await trio.sleep(10)
    assert first.status == "200"
    with pytest.raises(StoreError) as caught:
        await rig.order(key="of an earlier run")
    assert caught.value.status == "503"
    assert "nothing was sent" in str(caught.value)
    assert (await rig.order(key="k")).status == "200", "of this run: known without the database"
    rig.writer.away = ""
    await flushed(rig.writer)
    assert (await rig.order(key="k")).status == "200"
    assert len(link.sent) == 1


async def test_a_late_result_that_is_not_on_disk_says_so(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Found by scripts/jepsen: a node that was cut off from its database told a caller that asked
    again of a late result, and the 408 stood on record for ever."""
    rig.online()
    first = ask(rig, nursery, key="k")
    await trio.sleep(1)
    rig.writer.away = "locked"
    await trio.sleep(rig.settings.ack_timeout + 6)
    assert first.status == "408"
    rig.says()
    again = ask(rig, nursery, key="k")
    await trio.sleep(6)
    assert first.command is not None
    assert again.command is first.command
    assert again.status == "200"
    assert again.command.message.endswith("the answer came late" + NOT_ON_DISK)
    rig.writer.away = ""
    await flushed(rig.writer)
    record = rig.stored(first.command.id)
    assert (record["status"], record["late"]) == ("200", True)
    assert NOT_ON_DISK not in record["message"]


@pytest.mark.parametrize("away", ["", "locked"])
async def test_an_end_is_not_told_while_that_it_waits_is_being_written(
    rig: Rig,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    away: str,
) -> None:
    """A kill would leave a start on disk that waits for its device, of which its caller was told
    that nothing was sent."""
    monkeypatch.setattr(writer, "time", SimpleNamespace(monotonic=trio.current_time))
    rig.writer.slow = 10.0
    asked = ask(rig, nursery, expires=600)
    await trio.sleep(5)
    assert rig.writer.state != "ok"
    rig.writer.away = away
    [command] = rig.dispatcher.live.values()
    rig.dispatcher.cancel(command, "on request")
    await trio.sleep(4)
    assert asked.status is None
    await trio.sleep(30 if not away else 4)
    assert asked.status == "410"
    if away:
        assert rig.writer.state == "locked", "none of it is on disk, and that is known"
    else:
        assert rig.stored(command.id)["status"] == "410"


async def test_a_result_behind_the_408_that_is_being_written_is_told_when_it_is_on_disk(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(rig.settings.ack_timeout - 0.5)
    rig.writer.slow = 2.0
    await trio.sleep(1)
    rig.says()
    await trio.sleep(2)
    assert asked.status is None, "the 408 is on disk by now, and the 200 is not"
    await trio.sleep(2)
    assert asked.status == "200"
    assert asked.command is not None
    assert rig.stored(asked.command.id)["status"] == "200"
    assert NOT_ON_DISK not in asked.command.message


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_caller_that_disappears_does_not_take_its_command_with_it(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock, key: str | None
) -> None:
    link = rig.online()
    rig.writer.slow = 0.1
    with trio.move_on_after(0.05):
        await rig.order(key=key)
    await trio.sleep(1)
    assert len(link.sent) == 1
    [id] = rig.dispatcher.live
    rig.says()
    await trio.sleep(1)
    assert rig.stored(id)["status"] == "200"


async def test_whoever_does_not_wait_is_told_once_it_is_on_disk(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.online()
    rig.writer.slow = 2.0
    command = await rig.order(wait=False)
    assert trio.current_time() == 2.0
    assert (command.state, command.status) == ("sent", "000")
    assert rig.stored(command.id)["state"] == "sent"
    behind = await rig.order(wait=False)
    assert (behind.state, behind.status) == ("waiting", "000")
    assert rig.stored(behind.id)["state"] == "waiting"


async def test_orders_with_and_without_a_key_are_taken_in_their_order(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A stop behind a start does not overtake it while that one's key is looked up."""
    link = rig.online()
    rig.writer.slow = 1.0
    rig.records.event("device.flapping", Y)  # something that the look-up waits for
    ask(rig, nursery, key="k")
    await wait_all_tasks_blocked()
    ask(rig, nursery, "stop")
    await trio.sleep(10)
    rig.says("QD")
    await trio.sleep(5)
    assert [sent[21:23] for sent in link.sent] == [b"QD", b"ST"]


async def test_what_was_answered_is_on_disk(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig.writer.slow = 1.0
    refused = await rig.order()
    assert trio.current_time() == 1.0
    assert rig.stored(refused.id)["status"] == "404"
    rig.online()
    asked = ask(rig, nursery)
    await trio.sleep(3)
    rig.says()
    answered = trio.current_time()
    await trio.sleep(3)
    assert asked.status == "200"
    assert asked.at == answered + 1, "after the commit that says so"


async def test_ids_are_unique(rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    ids = [(await rig.order()).id for _ in range(20)]
    assert len(set(ids)) == 20
    assert all(len(id) == 26 for id in ids)
