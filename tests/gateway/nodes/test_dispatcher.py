"""What a node sends when others have had its devices, or have decided about its commands."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest
import trio

from devgate.build_node import NodeStorage, build_node
from devgate.config.settings import Settings
from devgate.gateway.command import Command, Order
from devgate.gateway.completion import Completion
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.parked_task import choose
from devgate.model import Imei
from devgate.net.link import Link
from devgate.protocol.session import Result
from devgate.store import history, nodes
from devgate.store.batch import Row
from devgate.store.device import Device
from devgate.store.node_commits import KEY_SPENT
from devgate.store.node_journal import NodeJournal
from devgate.store.node_opening import node_database
from tests.gateway.rig import X
from tests.store.commands import command_row, event

PATIENCE = 20.0
TAKEN = "01HZZZZZZZZZZZZZZZZZZZZZZZ"


class Nobody:
    """Keeps no connections: these here have no task."""

    relayed = False

    def began(self, connection: Connection) -> None:
        raise NotImplementedError

    ended = began


class Node:
    """All parts of a node but its doors, and the device X with a real connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database, member = node_database(url, "a", "0.1.0")
        settings = Settings.model_validate({"store": {"url": url}, "cluster": {"node": "a"}})
        made = build_node(settings, self.database, member, choose())
        self.gateway, storage = made.parts.gateway, made.parts.storage
        assert isinstance(storage, NodeStorage)
        self.storage, self.orders = storage, made.routing._orders
        self.claimed, self.cluster = made.routing._claimed, made.node
        self.gateway.directory.put(Device(X, 16))
        self.device, self._end = socket.socketpair()
        self.device.setblocking(False)
        self._end.setblocking(False)
        self.connection: Connection

    @contextlib.asynccontextmanager
    async def lives(self) -> AsyncIterator[None]:
        """With its writer and its dispatcher, and nothing else."""
        self.storage.writer.thread.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.storage.writer.run)
            await nursery.start(self.gateway.dispatcher.serve)
            with trio.fail_after(PATIENCE):
                yield
            nursery.cancel_scope.cancel()

    def close(self) -> None:
        self.storage.journal.close()
        self.database.close()
        self.device.close()
        self._end.close()

    def registers(self) -> None:
        """On a new connection of one socket."""
        self.connection = Connection(Link(self._end.fileno(), "127.0.0.1:5"), Nobody(), 0.0)
        self.connection.session.imei = X
        self.gateway.presence.registered(X, self.connection, trio.current_time())

    def submit(self, **more: Any) -> Completion[Command | Exception]:
        """An order for this node itself, whose caller waits until it is on disk."""
        done = Completion[Command | Exception]()
        self.orders.submit(Order(X, "start", 500, **more), False, done.set)
        return done

    async def until(self, happened: Callable[[], object]) -> None:
        while not happened():  # noqa: ASYNC110 - threads change what is asked
            await trio.sleep(0.01)

    def received(self) -> bytes:
        """What has reached the device since the last look."""
        try:
            return self.device.recv(4096)
        except BlockingIOError:
            return b""

    def stored(self, id: str) -> history.Record:
        with self.database.read() as conn:
            found = history.by_id(conn, id)
        assert found is not None
        return found


@pytest.fixture
def node(postgres_url: str) -> Iterator[Node]:
    made = Node(postgres_url)
    yield made
    made.close()


@contextlib.contextmanager
def no_commit(url: str) -> Iterator[None]:
    """No commit with an event ends meanwhile: the row with their number is locked."""
    with psycopg.connect(url) as conn:
        conn.execute("SELECT n FROM cluster FOR UPDATE")
        yield


def other_node(url: str, *rows: Row) -> None:
    """Another node writes these, each in a commit of its own, and dies."""
    database, member = node_database(url, "b", "0.1.0")
    try:
        journal = NodeJournal(database, member, late_window=60)
        for row in rows:
            assert journal.commit([row]).refused == {}
        journal.close()
        with database.write() as conn:
            [own] = [one for one in nodes.all_nodes(conn) if one.id == "b"]
            assert nodes.declare_dead(conn, own)
    finally:
        database.close()


def order_row(id: str, *, fresh: bool = True, generation: int | None = None, **more: Any) -> Row:
    told = [event("command.sent", imei=X).values]
    return Row("order", (command_row(id, imei=X, **more).values, told, fresh, generation))


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
