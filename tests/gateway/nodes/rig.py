"""A node without its doors, with one device; and what other nodes write meanwhile."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import trio

from devgate.build_node import NodeStorage, build_node
from devgate.config.settings import Settings
from devgate.gateway.command import Command, Order
from devgate.gateway.completion import Completion
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.parked_task import choose
from devgate.gateway.nodes.directory import NodeDirectory
from devgate.gateway.nodes.routing import Routing
from devgate.model import Imei
from devgate.net.link import Link
from devgate.store import history, nodes
from devgate.store.batch import Row
from devgate.store.device import Device
from devgate.store.node_journal import NodeJournal
from devgate.store.node_opening import node_database
from tests.e2e.device import WAIT_SECONDS
from tests.gateway.rig import X
from tests.store.commands import command_row, event


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
        routing = self.gateway.orders
        assert isinstance(routing, Routing)
        self.storage, self.routing, self.orders = storage, routing, routing._orders
        self.claimed, self.cluster = routing._claimed, made.node
        self.registrations = made.node._registrations
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
            with trio.fail_after(WAIT_SECONDS):
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

    async def ordered(self, **more: Any) -> Any:
        """What a caller gets who waits until the order is on disk."""
        done = Completion[Any]()
        self.routing.submit(self.order(**more), False, done.set)
        return await done.wait()

    def order(self, type: str = "start", long: int | None = 500, **more: Any) -> Order:
        return Order(X, type, long, **more)

    def missing(self, imei: Imei) -> bool:
        """Whether the device is not in memory."""
        directory = self.gateway.directory
        assert isinstance(directory, NodeDirectory)
        return not directory.holds(imei)

    async def until(self, happened: Callable[[], object]) -> None:
        while not happened():  # noqa: ASYNC110 - threads change what is asked
            await trio.sleep(0.01)

    def stalled(self) -> bool:
        """Whether the turn of a command has come that cannot be journalled."""
        return X in self.gateway.dispatcher._stalled

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


@contextlib.contextmanager
def no_commit(url: str) -> Iterator[psycopg.Connection]:
    """No commit with an event ends meanwhile: the row with their number is locked, by the session
    that is yielded."""
    with psycopg.connect(url) as conn:
        conn.execute("SELECT n FROM cluster FOR UPDATE")
        yield conn


def other_node(url: str, *rows: Row) -> None:
    """Another node writes these, one in each commit, and dies."""
    database, member = node_database(url, "b", "0.1.0")
    try:
        journal = NodeJournal(database, member, late_window=60)
        for row in rows:
            assert journal.commit([row]).refused == {}
        journal.close()
        with database.write() as conn:
            [node_b] = [one for one in nodes.all_nodes(conn) if one.id == "b"]
            assert nodes.declare_dead(conn, node_b)
    finally:
        database.close()


def order_row(id: str, *, fresh: bool = True, generation: int | None = None, **more: Any) -> Row:
    event_rows = [event("command.sent", imei=X).values]
    return Row("order", (command_row(id, imei=X, **more).values, event_rows, fresh, generation))
