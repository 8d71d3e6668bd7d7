"""Commands as values: another program goes on with them where this one stopped."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.gateway.commands.moving import UnpackedCommands, pack_commands, pack_devices
from devgate.store.engine import Database
from tests.gateway.rig import Rig, X, Y, ask
from tests.gateway.wires import FakeMark

Packed = tuple[list[Any], list[Any]]


def packed(rig: Rig) -> Packed:
    """As the other program reads it."""
    dispatcher = rig.dispatcher
    found = (
        list(pack_commands(dispatcher)),
        list(pack_devices(dispatcher, lambda link: True, trio.current_time())),
    )
    read: Packed = json.loads(json.dumps(found))
    return read


@asynccontextmanager
async def successor(store: Database, rig: Rig, shift: float = 0.0) -> AsyncIterator[Rig]:
    """The next run, which has what that one had, with the same connections."""
    following = Rig(store)
    following.links.update(rig.links)
    following.dispatcher.number_above(rig.dispatcher.sequence)

    def remark(link: Any, place: int) -> Any:
        return FakeMark(link, place)

    unpacking = UnpackedCommands(following.dispatcher, following.links.get, remark, shift)
    commands, devices = packed(rig)
    for command in commands:
        unpacking.command(command)
    for device in devices:
        unpacking.device(device)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(following.writer.run)
            await nursery.start(following.dispatcher.serve, following.caught_up)
            yield following
            nursery.cancel_scope.cancel()
    finally:
        following.journal.close()


async def held(rig: Rig) -> None:
    """Nothing is on its way to disk, and nothing more has its turn."""
    rig.dispatcher.hold()
    await rig.records.flushed()
    await wait_all_tasks_blocked()


async def test_what_is_in_flight_is_settled_and_the_next_one_is_sent(
    store: Database, rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.lives() as nursery:
        link = rig.online()
        first = ask(rig, nursery, key="a")
        await wait_all_tasks_blocked()  # trio begins tasks in any order
        second = ask(rig, nursery, long=7, key="b")
        await held(rig)
        assert len(link.sent) == 1
        waits = list(rig.dispatcher.live)
        async with successor(store, rig) as following:
            assert following.dispatcher.in_flight == 1
            assert packed(following) == packed(rig)
            assert following.says()
            await wait_all_tasks_blocked()
            assert link.sent[1:] == [b"024000123456787654321QD7"]
            assert following.says()
            await wait_all_tasks_blocked()
            assert [following.stored(id)["status"] for id in waits] == ["200", "200"]
            assert following.dispatcher.in_flight == 0
        assert first.command is None, "its caller is told by the program that has it"
        assert second.command is None


async def test_a_deadline_stays_where_it_was(
    store: Database, rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.lives() as nursery:
        rig.online(X)
        ask(rig, nursery, timeout=10)
        await trio.sleep(4)
        await held(rig)
        [id] = rig.dispatcher.live
        async with successor(store, rig) as following:
            await trio.sleep(5.9)
            assert following.stored(id)["state"] == "sent"
            await trio.sleep(0.2)
            assert following.stored(id)["status"] == "408"
            assert following.says(), "and its result still settles it"
            await following.records.flushed()
            assert (following.stored(id)["status"], following.stored(id)["late"]) == ("200", True)


async def test_results_that_are_held_wait_for_the_rest_of_their_group(
    store: Database, rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.lives() as nursery:
        rig.online(Y)
        ask(rig, nursery, imei=Y, timeout=5)
        await trio.sleep(6)
        ask(rig, nursery, imei=Y, long=8, timeout=60)
        await wait_all_tasks_blocked()
        rig.says(imei=Y)
        await held(rig)
        before = packed(rig)
        assert [len(group["held"]) for group in before[1][0]["groups"].values()] == [1]
        async with successor(store, rig) as following:
            assert packed(following) == before
            assert following.says(imei=Y, status="201")
            await following.records.flushed()
            ids = [command["id"] for command in before[0]]
            assert sorted(following.stored(id)["status"] for id in ids) == ["200", "201"]
