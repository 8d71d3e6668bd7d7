"""After a crash: nothing that was sent is sent again, and every command has an honest end."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.store.batch import Row
from tests.gateway.clocks import EPOCH
from tests.gateway.rig import Rig, X, Y, ask


async def test_what_was_sent_is_unknown_and_may_still_be_settled(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.lives() as nursery:
        rig.online()
        ask(rig, nursery, key="k")
        await trio.sleep(1)
        [id] = rig.dispatcher.live
    again = Rig(rig.database)
    async with again.lives():
        await again.records.flushed()
        row = again.stored(id)
        assert (row["status"], row["state"]) == ("408", "ended")
        assert "the outcome is unknown" in row["message"]
        assert again.kinds() == ["command.ended"]
        link = again.online()
        assert (await again.order(key="k")).id == id, "its caller asks again, and gets the truth"
        await trio.sleep(30)
        assert link.sent == [], "never again"
        assert again.says()
        settled = await again.order(key="k")
        assert (settled.id, settled.status, settled.late) == (id, "200", True)
        assert again.running.until(X) is not None


async def test_a_result_after_the_window_is_nobodys(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.lives() as nursery:
        rig.online()
        ask(rig, nursery)
        await trio.sleep(1)
    again = Rig(rig.database)
    async with again.lives():
        await trio.sleep(61)
        assert not again.says()


async def test_claims_of_earlier_408s_are_kept_for_what_is_left_of_their_window(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.lives() as nursery:
        rig.online()
        ids = [(await rig.order(long=long)).id for long in (1, 2)]  # 408 at 10 and at 20
        ask(rig, nursery, long=3)
        await trio.sleep(5)
        ids += rig.dispatcher.live
    await trio.sleep(46)  # it is 71: the first one's window ended at 70
    again = Rig(rig.database)
    async with again.lives():
        for id in ids[1:]:
            assert again.says()
            await again.records.flushed()
            assert again.stored(id)["status"] == "200"
        assert not again.says()
        assert again.stored(ids[0])["status"] == "408"


async def test_what_only_waited_is_told_that_nothing_was_sent(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.lives() as nursery:
        rig.online()
        ask(rig, nursery)
        await wait_all_tasks_blocked()
        waits = await rig.order(wait=False, key="k")
    again = Rig(rig.database)
    async with again.lives() as nursery:
        await again.records.flushed()
        row = again.stored(waits.id)
        assert (row["status"], row["spent"]) == ("503", None)
        link = again.online()
        asked = ask(again, nursery, key="k")
        await trio.sleep(1)
        again.says()  # the one that was sent before
        again.says()
        await trio.sleep(1)
        assert asked.status == "200"
        assert len(link.sent) == 1


async def test_what_was_kept_goes_on_waiting_in_its_order(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.lives():
        deferred = [
            await rig.order(long=long, expires=100, wait=False, key=str(long))
            for long in (1, 2, 3)
        ]
        short = await rig.order(long=4, expires=5, wait=False)
    await trio.sleep(20)
    again = Rig(rig.database)
    async with again.lives() as nursery:
        await again.records.flushed()
        assert again.stored(short.id)["status"] == "410"
        assert list(again.dispatcher.live) == [command.id for command in deferred]
        asked = ask(again, nursery, long=2, key="2", expires=100)
        await trio.sleep(1)
        link = again.online()
        for _ in deferred:
            await trio.sleep(1)
            again.says()
        await trio.sleep(1)
        assert [sent[21:] for sent in link.sent] == [b"QD1", b"QD2", b"QD3"]
        assert asked.command is not None
        assert asked.command.id == deferred[1].id


async def test_what_was_kept_expires_when_it_would_have(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.lives():
        deferred = await rig.order(expires=100, wait=False)
    await trio.sleep(60)
    again = Rig(rig.database)
    async with again.lives():
        await trio.sleep(39)
        assert deferred.id in again.dispatcher.live
        await trio.sleep(2)
        assert deferred.id not in again.dispatcher.live
        await again.records.flushed()
        assert again.stored(deferred.id)["status"] == "410"


async def test_devices_that_were_online_go_offline_once(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.lives():
        rig.writer.post([Row("presence", (X, True, EPOCH, EPOCH, "1.2.3.4:5", 1))])
        rig.writer.post([Row("presence", (Y, False, EPOCH, EPOCH, "1.2.3.4:6", 1))])
        await rig.records.flushed()
    for expected in (["device.offline"], []):
        again = Rig(rig.database)
        async with again.lives():
            await again.records.flushed()
            assert again.kinds() == expected
            assert all(event.imei == X for event in again.published)


async def test_every_start_of_a_dead_gateway_has_an_end(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.lives() as nursery:
        rig.online()
        for _ in range(5):
            ask(rig, nursery)
            await wait_all_tasks_blocked()
        ids = list(rig.dispatcher.live)
    again = Rig(rig.database)
    async with again.lives():
        await again.records.flushed()
        ends = [again.stored(id)["status"] for id in ids]
    assert ends == ["408", "503", "503", "503", "503"]
