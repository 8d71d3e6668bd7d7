"""A rig with devices' connections and operations: over pairs of sockets, on the real clock."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from devgate.config.settings import DeviceSettings, Settings
from devgate.gateway.added_webhooks import Positions
from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.commands.orders import Orders
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.desk import Desk
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.registry import Flapping
from devgate.gateway.gateway import Gateway
from devgate.gateway.known.sync import Knowledge
from devgate.gateway.trimming import Trimming
from devgate.model import Imei
from devgate.net.link import Link
from devgate.net.poller import Poller
from devgate.store import devices
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.seal import Seal
from devgate.webhooks.webhooks import Webhooks
from tests.gateway.rig import OFF, Rig, X, Y

HT = b"023000123456787654321HT"
WELCOME = b"023200123456787654321HT"


class Whole(Rig):
    """All parts of a gateway but its doors. `device` are settings of `[device]`."""

    def __init__(self, database: Database, **device: Any) -> None:
        super().__init__(database)
        settings = Settings(device=DeviceSettings(**device))
        self.presence = Presence(self.records, Flapping(5, 60))
        self.dispatcher = Dispatcher(
            self.presence, self.directory, self.records, self.running, settings.command
        )
        self.orders = Orders(
            self.directory, self.presence, self.dispatcher, self.running, self.records, self.keys
        )
        self.poller = Poller()
        self.desk = Desk(
            self.poller,
            settings.device,
            self.directory,
            self.presence,
            self.dispatcher,
            self.records,
        )
        self.dispatcher.caught_up = self.desk.caught_up
        self.knowledge = Knowledge(self.directory, self.records, self.refused)
        self.gateway = Gateway(
            settings, self.directory, self.presence, self.dispatcher, self.running, self.orders,
            self.knowledge, self.records, self.events, self.desk,
            lambda: len(self.desk.connections),
        )  # fmt: skip
        self.gateway.trimming = Trimming(self.records, settings)
        self.gateway.seal = seal = Seal(settings.store.key_file)
        self.gateway.webhooks = Webhooks((), self.events, Positions(self.records, seal))
        self.machines: list[Machine] = []
        self.left: list[tuple[Imei, str]] = []

    def refused(self, imei: Imei, why: str) -> None:
        self.left.append((imei, why))
        if (connection := self.presence.get(imei)) is not None:
            connection.end(why)

    def know(self) -> None:
        """Put the rig's devices into the database, too."""
        with self.database.write() as conn:
            for imei, id in ((X, 16), (Y, 17)):
                devices.add(conn, Device(imei, id))
            devices.add(conn, Device(OFF, 1, enabled=False))

    @asynccontextmanager
    async def serves(self) -> AsyncIterator[trio.Nursery]:
        """Alive, and reading what devices send."""
        try:
            async with self.lives() as nursery, trio.open_nursery() as connections:
                connections.start_soon(self.desk.run)
                connections.start_soon(self.desk.watch)
                yield nursery
                connections.cancel_scope.cancel()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close what has a descriptor."""
        for machine in self.machines:
            machine.stream.socket.close()
        await self.poller.aclose()

    def dial(self, nursery: trio.Nursery) -> Machine:
        self.machines.append(Machine(self, nursery))
        return self.machines[-1]

    def connection(self) -> Connection:
        """The one that there is."""
        [connection] = self.desk.connections.values()
        return connection


class Machine:
    """A device's end of its connection."""

    def __init__(self, whole: Whole, nursery: trio.Nursery) -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        self.link = Link(near.detach(), "127.0.0.1:1")
        nursery.start_soon(whole.desk.own, self.link)
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(far))

    async def says(self, wire: bytes) -> None:
        await self.stream.send_all(wire)

    async def hears(self, size: int) -> bytes:
        """So many bytes, or less if the end comes first."""
        got = b""
        with trio.fail_after(10):
            while len(got) < size and (data := await self._some(size - len(got))):
                got += data
        return got

    async def _some(self, size: int) -> bytes:
        try:
            return bytes(await self.stream.receive_some(size))
        except trio.BrokenResourceError:
            return b""

    async def gone(self) -> bool:
        """Wait until the gateway closes the connection."""
        return await self.hears(1) == b""

    async def registers(self) -> None:
        await self.says(HT)
        assert await self.hears(23) == WELCOME


@asynccontextmanager
async def serving(
    store: Database, **settings: Any
) -> AsyncIterator[tuple[Whole, Machine, trio.Nursery]]:
    """A gateway with these settings, one connection to it, and room for more."""
    whole = Whole(store, **settings)
    async with whole.serves() as nursery:
        yield whole, whole.dial(nursery), nursery


async def until(true: Callable[[], object]) -> None:
    """Let the others run until it is so."""
    with trio.fail_after(10):
        while not true():
            await trio.lowlevel.checkpoint()
