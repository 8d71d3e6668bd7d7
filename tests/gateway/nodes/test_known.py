"""What a node has in memory of the devices that are known, and how it finds the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio

from devgate.errors import StoreError
from devgate.gateway.devices.connection import Connection
from devgate.gateway.nodes import directory as directory_module
from devgate.gateway.nodes import registrations as registrations_module
from devgate.gateway.nodes.directory import NodeDirectory
from devgate.gateway.nodes.knowledge import FoundDevice, NodeKnowledge
from devgate.model import Imei
from devgate.net.link import Link
from devgate.store import devices
from devgate.store.device import Device
from tests.gateway.nodes.rig import Nobody, Node
from tests.gateway.rig import NOBODY, OFF, X, Y


def knowledge(node: Node) -> NodeKnowledge:
    found = node.gateway.knowledge
    assert isinstance(found, NodeKnowledge)
    return found


def add(node: Node, *some: Device) -> None:
    with node.database.write() as conn:
        for device in some:
            devices.add(conn, device)


def edit(node: Node, imei: Imei, **changes: Any) -> None:
    with node.database.write() as conn:
        devices.edit(conn, imei, changes)


def connection(node: Node) -> Connection:
    """A new one of the rig's device, which has said nothing yet."""
    return Connection(Link(node._end.fileno(), "127.0.0.1:5"), Nobody(), 0.0)


def says(node: Node, one: Connection, text: str) -> None:
    node.gateway.desk.receive(one, text.encode(), trio.current_time())


def test_a_directory_forgets_those_that_are_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "MAX_RECENT", 3)
    here = {f"{n:015}" for n in (0, 1)}
    made = NodeDirectory(
        connected=lambda imei: imei if imei in here else None, connections=here.__len__
    )
    for n in range(10):
        made.put(Device(Imei(f"{n:015}"), n, name=f"hall {n}"))
    assert [n for n in range(10) if made.holds(f"{n:015}")] == [0, 1, 7, 8, 9]
    # One that is put again is the same one, and one that was removed takes no other's place.
    for n in (9, 8):
        made.put(Device(Imei(f"{n:015}"), n, name="yard"))
    made.remove(Imei(f"{7:015}"))
    made.put(Device(Imei(f"{10:015}"), 10))
    assert [n for n in range(11) if made.holds(f"{n:015}")] == [0, 1, 8, 9, 10]


async def test_devices_are_looked_up_together(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    add(node, Device(Y, 2, name="hall"), Device(OFF, 3, enabled=False))
    reads: list[int] = []
    read = knowledge(node)._read

    async def noted(imeis: Any) -> Any:
        reads.append(len(imeis))
        return await read(imeis)

    monkeypatch.setattr(knowledge(node)._lookups, "_read", noted)
    async with node.lives():
        await knowledge(node).load()
        known = node.gateway.directory
        assert (len(known), known.admits(Y)) == (2, None)
        async with trio.open_nursery() as nursery:
            for imeis in ([Y, OFF], [Y, NOBODY], [OFF], [X]):
                nursery.start_soon(knowledge(node).learn, imeis)
        assert [known.admits(imei) for imei in (Y, OFF, NOBODY)] == [True, False, None]
        assert 3 <= sum(reads) <= 4
        assert 1 <= len(reads) <= 2
        called = known.called(Y)
        assert called is not None
        assert called.name == "hall"


async def test_a_look_up_that_is_older_than_what_is_in_force_is_asked_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device was disabled while its look-up was under way."""
    add(node, Device(Y, 2))
    edit(node, Y, enabled=False)
    read = knowledge(node)._read
    before = [FoundDevice(1, Device(Y, 2))]

    async def late(imeis: Any) -> Any:
        return {Y: before.pop()} if before else await read(imeis)

    monkeypatch.setattr(knowledge(node)._lookups, "_read", late)
    async with node.lives():
        await knowledge(node).load()
        await knowledge(node).learn([Y])
        assert node.gateway.directory.admits(Y) is False
        assert before == []


async def test_changes_of_devices_that_are_not_in_memory_are_told(node: Node) -> None:
    add(node, Device(Y, 2, name="hall"), Device(OFF, 3))
    async with node.lives():
        await knowledge(node).load()
        node.cluster.leadership.set(True)
        edit(node, Y, name="yard")
        add(node, Device(NOBODY, 9))
        with node.database.write() as conn:
            devices.remove(conn, [OFF])
        assert await knowledge(node).refresh() == 3
        await node.storage.records.flushed()
        by_type = {one.type: one for one in await all_events(node)}
        assert sorted((one.type, one.imei) for one in by_type.values()) == [
            ("device.added", NOBODY), ("device.changed", Y), ("device.removed", OFF),
        ]  # fmt: skip
        detail = json.loads(by_type["device.changed"].detail)
        assert detail["name"] == "yard"
        assert "changes" not in detail
        assert all(map(node.missing, (Y, OFF, NOBODY)))


async def all_events(node: Node) -> Any:
    page = await node.storage.older_events(0, 1000, 1000, set())
    return page.events


async def answered(node: Node) -> bytes:
    found = b""

    def more() -> bytes:
        nonlocal found
        found += node.received()
        return found

    await node.until(more)
    return found


async def test_who_is_not_in_memory_registers_once_it_was_looked_up(node: Node) -> None:
    add(node, Device(Y, 2, phone="110"))
    async with node.lives():
        one = connection(node)
        says(node, one, f"023000{Y}HT023000{Y}TN")
        assert node.received() == b""
        said = await answered(node)
        assert said == f"023200{Y}HT026200{Y}TN110".encode()
        assert node.gateway.presence.get(Y) is one
        # Of one that nobody knows that is said.
        says(node, connection(node), f"023000{NOBODY}HT")
        assert await answered(node) == f"023300{NOBODY}HT".encode()


async def test_without_the_database_nobody_is_told_that_he_is_unknown(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrations_module, "RETRY_SECONDS", 0.01)
    add(node, Device(Y, 2))
    tries: list[object] = []
    read = node.storage.records.read

    async def away(function: Callable[..., Any], *args: Any) -> Any:
        tries.append(function)
        raise StoreError("the database cannot be read: away")

    async with node.lives(), trio.open_nursery() as nursery:
        nursery.start_soon(node.registrations.run)
        monkeypatch.setattr(node.storage.records, "read", away)
        one, gone = connection(node), connection(node)
        says(node, one, f"023000{Y}HT")
        says(node, gone, f"023000{NOBODY}HT")
        says(node, one, f"023000{Y}HT")  # it asks again
        # What is in memory is admitted.
        says(node, connection(node), f"023000{X}HT")
        assert await answered(node) == f"023200{X}HT".encode()
        await node.until(lambda: len(tries) > 3)
        assert node.received() == b""
        node.gateway.desk.unregistered.ended(gone)
        monkeypatch.setattr(node.storage.records, "read", read)
        assert await answered(node) == 2 * f"023200{Y}HT".encode()
        assert len(node.registrations) == 0
        nursery.cancel_scope.cancel()
