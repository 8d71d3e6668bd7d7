"""A rig with devices' connections and operations: over pairs of sockets, on the real clock."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from devgate.build import build
from devgate.config.device import DeviceSettings
from devgate.config.settings import Settings
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.parked_task import as_object
from devgate.model import Imei
from devgate.net.link import Link
from devgate.store import devices
from devgate.store.device import Device
from devgate.store.engine import Database
from tests.gateway.rig import OFF, InlineStorage, Rig, X, Y

HT = b"023000123456787654321HT"
WELCOME = b"023200123456787654321HT"


class Whole(Rig):
    """All parts of a gateway but its doors. `device` are settings of `[device]`."""

    make_task = staticmethod(as_object)

    def __init__(self, database: Database, **device: Any) -> None:
        self._device = DeviceSettings(**device)
        super().__init__(database)
        self.machines: list[Machine] = []

    def _build(self) -> None:
        settings = Settings(device=self._device, command=self.settings)
        parts = build(
            settings,
            self.database,
            make_storage=InlineStorage,
            wall_clock=None,
            make_task=self.make_task,
        )
        self._store(parts.storage)
        self.poller, self.keys, self.gateway = parts.poller, parts.keys, parts.gateway
        gateway = self.gateway
        self.directory, self.presence, self.desk = (
            gateway.directory,
            gateway.presence,
            gateway.desk,
        )
        self.running, self.dispatcher, self.orders = (
            gateway.running, gateway.dispatcher, gateway.orders
        )  # fmt: skip
        self.knowledge = gateway.knowledge

    async def caught_up(self) -> None:
        await self.desk.rounds.caught_up()

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
                connections.start_soon(self.desk.rounds.run)
                connections.start_soon(self.desk.watch.run)
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
        nursery.start_soon(whole.desk.lifetimes.task_for, self.link)
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(far))

    async def says(self, wire: bytes) -> None:
        await self.stream.send_all(wire)

    async def hears(self, size: int) -> bytes:
        """That many bytes, or fewer if the end comes first."""
        got = b""
        with trio.fail_after(60):
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


class Deaf(Link):
    """A link whose device takes everything."""

    def send(self, wire: bytes) -> bool:
        return True


def registers(whole: Whole, imei: Imei = X) -> Connection:
    """The device is online, on a connection without a socket."""
    connection = Connection(Deaf(-1, "1.2.3.4:5678"), whole.desk.lifetimes, trio.current_time())
    connection.session.imei = imei
    whole.presence.registered(imei, connection, trio.current_time())
    return connection


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
    with trio.fail_after(60):
        while not true():
            await trio.lowlevel.checkpoint()
