"""What a node sends when others have had its devices, or have decided about its commands."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import psycopg
import pytest
import trio
from sqlalchemy import text

from devgate.gateway import clock, storage
from devgate.gateway.command import Command, Order
from devgate.gateway.devices import presence
from devgate.model import Imei
from devgate.protocol.session import Result
from devgate.store import history, writer
from devgate.store.batch import Row
from devgate.store.node_commits import KEY_SPENT, Claim
from tests.gateway.nodes.rig import Node, no_commit, order_row, other_node
from tests.gateway.rig import X
from tests.store.commands import event

LOCK = "SELECT n FROM cluster FOR UPDATE"
ENDED = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
TAKEN = "01HZZZZZZZZZZZZZZZZZZZZZZZ"


async def test_an_order_that_was_given_up_is_not_sent_though_its_turn_came_meanwhile(
    node: Node,
) -> None:
    """It is journalled as waiting and as sent by one commit, which refuses both."""
    # The node that handed it over has written a 503 of its id.
    other_node(node.url, order_row(TAKEN, state="ended", status="503"))
    async with node.lives():
        node.registers()
        await node.until(lambda: node.claimed.get(X) is not None)
        with no_commit(node.url):
            node.registers()
            await node.until(lambda: node.storage.writer._busy is not None)
            done = node.submit(id=TAKEN, expires=60)
        found = await done.wait()
        assert isinstance(found, Command)
        assert found.unwritten == KEY_SPENT
        await node.storage.records.flushed()
    assert node.received() == b""
    assert node.stored(TAKEN)["status"] == "503"


async def test_what_is_accepted_while_a_device_is_claimed_is_sent(node: Node) -> None:
    """It is not on disk yet when the claim brings all that is."""
    async with node.lives():
        with no_commit(node.url):
            node.registers()
            await node.until(lambda: node.storage.writer._busy is not None)
            done = node.submit(expires=60)
        await done.wait()
        await node.until(lambda: node.received().endswith(b"QD500"))


async def test_nothing_was_sent_is_not_said_while_that_it_waits_is_being_written(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by scripts/jepsen: a commit hung, the start that it accepted ended as 404 meanwhile,
    and another node found it waiting on disk and sent it."""
    for name, seconds in (("SLOW_SECONDS", 0.2), ("LOOK_SECONDS", 0.05)):
        monkeypatch.setattr(writer, name, seconds)
    monkeypatch.setattr(storage, "RECORD_SECONDS_AWAY", 0.2)
    reported: list[Command | Exception] = []
    async with node.lives():
        with no_commit(node.url):
            node.orders.submit(Order(X, "start", 500, expires=60), True, reported.append)
            await node.until(lambda: node.storage.writer.state != "ok")
            [command] = node.gateway.dispatcher.live.values()
            assert node.gateway.dispatcher.cancel(command, "on request")
            # Real time, for the database and its pause are real, and giving up shows nowhere else:
            # five times as long as a record that cannot be written was waited for.
            await trio.sleep(1)
            assert not reported, "it may wait on disk"
        await node.until(lambda: reported)
    assert reported == [command]
    assert command.status == "410"
    assert node.stored(command.id)["status"] == "410"


async def test_what_was_to_be_sent_when_its_device_left_waits_on(node: Node) -> None:
    """The commit that would say `sent` says that the device is offline."""
    dispatcher: Any = node.gateway.dispatcher
    ready = dispatcher.ready

    def leave(imei: Imei) -> None:
        ready(imei)
        node.gateway.presence.ended(node.connection, "closed by the device")

    async with node.lives():
        found = await node.submit(expires=60).wait()
        assert isinstance(found, Command)
        dispatcher.ready = leave
        node.registers()
        await node.until(lambda: found.id in dispatcher.away)
        assert node.stored(found.id)["state"] == "waiting"
        dispatcher.ready = ready
        await node.cluster._ended_elsewhere(found.id)
        node.registers()
        await node.until(lambda: node.received().endswith(b"QD500"))


async def test_a_start_waits_for_what_comes_with_the_claim_of_its_commit(node: Node) -> None:
    """The device has been at another node, which died with a start in flight."""
    async with node.lives():
        node.registers()
        await node.until(lambda: node.claimed.get(X) is not None)
        there = (X, True, time.time(), time.time(), "127.0.0.1:6", 1)
        other_node(
            node.url,
            Row("device", (there, [event("device.online", imei=X).values])),
            order_row("1", state="sent", status="000", generation=1, sent_at=time.time()),
        )
        with no_commit(node.url):
            node.storage.records.event("device.slow", X)
            await node.until(lambda: node.storage.writer._busy is not None)
            node.gateway.presence.claim(X)
            node.submit()
        await node.storage.records.flushed()
        assert node.gateway.dispatcher.in_flight == 1
        assert node.received() == b""
        answer = Result(X, "QD", "200", X)
        assert node.gateway.dispatcher.settle(answer, trio.current_time(), node.connection)
        await node.until(lambda: node.gateway.dispatcher.in_flight == 1 and node.received())
    assert node.stored("1")["status"] == "200"


async def test_a_claim_does_not_bring_what_is_about_to_be_sent(node: Node) -> None:
    """On disk it still waits. It was there twice then, and its device was started twice: found by
    scripts/jepsen."""
    dispatcher: Any = node.gateway.dispatcher
    ready = dispatcher.ready
    async with node.lives():
        found = await node.submit(expires=60).wait()
        assert isinstance(found, Command)
        dispatcher.ready = lambda imei: None
        node.registers()
        await node.until(lambda: node.claimed.get(X) is not None)
        with no_commit(node.url):
            ready(X)
            row = node.stored(found.id)
            assert (row["state"], found.state) == ("waiting", "sent")
            claim = Claim(X, node.connection.generation, True, False, commands=[dict(row)])
            dispatcher.adopt(claim)
            assert dispatcher.live == {found.id: found}
        dispatcher.ready = ready
        await node.until(lambda: node.received().endswith(b"QD500"))


async def test_a_wrong_clock_moves_no_time_that_another_node_has_written(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database's clock counts, and each time is turned into it once: found by
    scripts/jepsen."""
    monkeypatch.setattr(clock.shared, "_wall", lambda: time.time() + 3 * clock.DAY_SECONDS)
    sent_at = time.time() - 1
    sent = order_row("1", state="sent", status="000", sent_at=sent_at, generation=5)
    other_node(node.url, Row("device", ((X, True, sent_at, sent_at, None, 5), [])), sent)
    async with node.lives():
        await node.storage.records.flushed()  # the clocks are compared by each commit
        node.registers()
        await node.until(lambda: node.gateway.dispatcher.in_flight == 1)
        command = node.gateway.dispatcher.live["1"]
        assert command.sent_at == pytest.approx(sent_at + 3 * clock.DAY_SECONDS, abs=60)
        answer = Result(X, "QD", "200", X)
        assert node.gateway.dispatcher.settle(answer, trio.current_time(), node.connection)
        await node.until(lambda: node.stored("1")["status"] == "200")
    row = node.stored("1")
    assert row["sent_at"] == pytest.approx(sent_at, abs=0.5)
    assert row["ended_at"] == pytest.approx(time.time(), abs=60)


async def test_a_claim_made_again_is_not_later_for_a_clock_that_was_wrong(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device had gone to another node since, and this one took it back: found by
    scripts/jepsen."""
    async with node.lives():
        with monkeypatch.context() as wrong:
            wrong.setattr(presence, "time", lambda: time.time() + 3600)
            node.registers()
        node.connection.connected = trio.current_time()
        node.gateway.presence.claim(X)
        await node.storage.records.flushed()
        with node.database.read() as conn:
            since = history.presence_of(conn, [X])[X]["since"]
        assert abs(since - time.time()) < 60


@pytest.mark.parametrize("reported", [False, True])
async def test_a_device_that_a_dead_node_has_had_meanwhile_is_claimed_again(
    node: Node, reported: bool
) -> None:
    """It has been connected here all the time: found by scripts/jepsen. The other node had claimed
    it without an event, which a claim that is made again has none of."""
    async with node.lives():
        node.registers()
        await node.until(lambda: node.claimed.get(X) is not None)
        await node.storage.records.flushed()
        with node.database.write() as conn:
            conn.execute(
                text("UPDATE presence SET online = false, incarnation = 999 WHERE imei = :imei"),
                {"imei": X},
            )
        if reported:
            node.cluster.on_event((0.0, "device.offline", X, None, "{}", 1))
        else:
            await node.submit().wait()
        await node.until(lambda: at_home(node))
        node.submit()
        await node.until(lambda: node.received().endswith(b"QD500"))


def at_home(node: Node) -> bool:
    with node.database.read() as conn:
        return bool(history.presence_of(conn, [X])[X]["incarnation"] == node.cluster.incarnation)


async def test_what_is_sent_was_accepted_though_its_commit_failed_as_its_turn_came(
    node: Node,
) -> None:
    """The commit that was to say `waiting` and `sent` failed. Then the command was put on disk as
    waiting without its event, and was sent as one that had been accepted: found by
    scripts/jepsen."""
    writer = node.storage.writer
    async with node.lives():
        node.registers()
        await node.until(lambda: node.claimed.get(X) is not None)
        await node.submit().wait()
        await node.until(lambda: node.received().endswith(b"QD500"))
        with no_commit(node.url) as first, psycopg.connect(node.url) as second:
            answer = Result(X, "QD", "200", X)
            assert node.gateway.dispatcher.settle(answer, trio.current_time(), node.connection)
            await node.until(lambda: writer._busy is not None)
            done = node.submit(expires=60)  # in the next commit, behind the end of the first start
            async with trio.open_nursery() as nursery:
                # Next in line for the lock, so that the next commit waits once more.
                nursery.start_soon(trio.to_thread.run_sync, partial(second.execute, LOCK))
                await node.until(lambda: waits(node, second.info.backend_pid))
                first.rollback()
            await node.until(lambda: node.gateway.dispatcher.in_flight == 0 or writer.backlog > 1)
            while writer.state == "ok":  # it tries once more by itself
                second.execute(ENDED)
                await trio.sleep(0.01)
        found = await done.wait()
        assert isinstance(found, Command)
        await node.until(lambda: found.done or node.received().endswith(b"QD500"))
        await node.storage.records.flushed()
        # Before the dispatcher is cancelled: that ends what was sent as 408.
        with node.database.read() as conn:
            reported = conn.execute(
                text("SELECT type FROM event WHERE command = :id ORDER BY n"), {"id": found.id}
            )
            types = [type for (type,) in reported]
        sent_at = node.stored(found.id)["sent_at"]
    # Of three that are right, the time that the commits take decides. The last one: it was on disk
    # as sent so late that the node may have been declared dead, so nothing was sent (404).
    accepted_and_sent = ["command.accepted", "command.sent"]
    assert types in (["command.ended"], accepted_and_sent, [*accepted_and_sent, "command.ended"])
    assert "command.ended" not in types or sent_at is None


def waits(node: Node, pid: int) -> bool:
    """Whether that session waits for a lock."""
    with node.database.read() as conn:
        found = conn.execute(
            text("SELECT wait_event_type FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid}
        )
        return bool(found.scalar_one() == "Lock")


async def test_what_a_loss_held_up_is_sent_once_another_node_was_told_of_it(node: Node) -> None:
    """Only the node that `devgate db confirm-loss` has asked went on with what was stalled: a
    device of another one took no start any more."""
    async with node.lives():
        found = await node.submit(expires=60).wait()
        assert isinstance(found, Command)
        with node.database.write() as conn:
            conn.execute(text("UPDATE owner SET lost = 'some rows'"))
        node.storage.records.event("device.slow", X)
        await node.until(lambda: node.storage.records.state == "some rows")
        node.registers()
        await node.until(lambda: node.stalled())
        with node.database.write() as conn:
            conn.execute(text("UPDATE owner SET lost = NULL"))
        await node.until(lambda: node.received().endswith(b"QD500"))
