"""The doors: opened for devices first and for callers last, and drained in the other order, or
handed over."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import trio

from devgate import logs
from devgate.build import Parts
from devgate.config.settings import Settings
from devgate.control.caller import SocketGroup
from devgate.control.listeners import UnixDoor
from devgate.control.server import ControlServer
from devgate.door_tls import door_tls
from devgate.gateway.operations.entry import begin, dispatch
from devgate.gateway.operations.ways import may_by_socket
from devgate.net.acceptor import Admit
from devgate.net.addresses import bind, shown
from devgate.net.given import Given
from devgate.net.limits import MAX_WEB, budget
from devgate.net.moved import MovedCaller
from devgate.stopping import drain
from devgate.systemd import MUST_HEAR_SECONDS, notify
from devgate.upgrade.gate import Gate
from devgate.upgrade.old import Handover, Stage

if TYPE_CHECKING:
    from devgate.http.server import WebServer
    from devgate.http.web import Web
    from devgate.joined import Joined
    from devgate.upgrade.new import Successor


class Doors:
    """The doors of one gateway."""

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        given: Given,
        joined: Joined | None,
        successor: Successor | None,
        why_no_upgrade: str,
        succeeded: Callable[[], None],
    ) -> None:
        """`settings` are those of the start. `given`: sockets that listen already. `succeeded` is
        called once another process is the gateway."""
        self._handover: Handover | None = None  # once all are open
        self._parts = parts
        self._gateway = parts.gateway
        self._settings = settings
        self._given = given
        self._joined = joined
        self._successor = successor
        self._why_no_upgrade = why_no_upgrade
        self._succeeded = succeeded
        self._drains = [self._gateway.webhooks.drain]
        self._device_doors = trio.CancelScope()
        self._listeners: list[socket.socket] = []  # of devices
        self._web: WebServer | None = None
        self._control: ControlServer

    @property
    def passed_on(self) -> bool:
        """Whether another process has the doors, and is the gateway."""
        return self._handover is not None and self._handover.over

    async def settled(self) -> None:
        """Wait until no handover is under way: then `passed_on` is certain."""
        if self._handover is not None:
            await self._handover.settled.wait()

    @property
    def web(self) -> Web | None:
        """The server behind the door for HTTP, if there is one."""
        return None if self._web is None else self._web.web

    async def open(self, doors: trio.Nursery, admit: Admit, stopping: trio.Event) -> None:
        """Open all of them in that nursery. Raises SetupError."""
        gateway, settings = self._gateway, self._settings
        ask = partial(dispatch, gateway)
        if self._joined is not None:
            ask = partial(self._joined.dispatch, ask)
        gate = Gate(ask, partial(begin, gateway))
        if self._joined is not None:
            gateway.listens["cluster"] = await doors.start(self._joined.serve)
        await self._open_to_devices(doors, admit)
        places = budget()
        self._control = ControlServer(
            gate,
            access=self._parts.tokens,
            group=SocketGroup(lambda: gateway.settings.control.role, may_by_socket),
            max_connections=min(MAX_WEB, places.unix),
            max_tcp=min(MAX_WEB, places.web // 2 if settings.http.listen else places.web),
            urgent=self._parts.poller.urgent,
            refusals=gateway.refusals,
        )
        self._drains.insert(0, self._control.drain)
        if self._joined is not None:
            self._drains.append(self._joined.drain)
        await self._open_to_callers(doors, gate, places.web)
        self._given.end()
        storage = self._parts.storage
        handover = self._handover = Handover(
            gateway, storage.database, storage.journal, storage.writer.thread.run,
            lambda: storage.writer.unwritten, gate,
            Stage(self._all, stopping, self._leave, self._drain_callers, end_at_once),
            self._why_no_upgrade,
        )  # fmt: skip
        doors.start_soon(handover.run)
        gateway.upgrade = handover.upgrade
        if self._successor is not None:
            self._successor.callers_to(self._control.adopt)

    async def _open_to_devices(self, doors: trio.Nursery, admit: Admit) -> None:
        gateway, listen = self._gateway, self._settings.device.listen
        shared = self._settings.cluster.share_ports
        self._listeners = bind(self._given.of("device", listen), shared=shared)
        gateway.listens["device"] = [shown(listener) for listener in self._listeners]
        accept: Callable[..., Awaitable[None]]
        run = gateway.acceptor.run
        accept = partial(run, self._listeners, admit, gateway.pauses)
        if self._joined is not None:
            accept = partial(self._joined.accept, run, self._listeners, admit)
        await doors.start(_within, self._device_doors, accept)

    async def _open_to_callers(self, doors: trio.Nursery, gate: Gate, room: int) -> None:
        gateway, control, http = self._gateway, self._settings.control, self._settings.http
        server, listens, given = self._control, gateway.listens, self._given
        listens["control"] = []
        if control.listen:
            shared = self._settings.cluster.share_ports
            places = given.of("control", control.listen)
            tls = door_tls(gateway.tls_contexts, "control", control.tls)
            tcp = partial(server.serve_tcp, places, tls, shared=shared)
            listens["control"] += await doors.start(tcp)
        if http.listen:
            # Imported here, because a gateway without HTTP does not need its libraries; and in a
            # thread, because devices are served already.
            await trio.to_thread.run_sync(import_module, "devgate.http.server")
            from devgate.http.server import WebServer

            self._web = WebServer(
                gateway,
                gate.dispatch,
                gateway.accounts.tokens,
                room // 2 if control.listen else room,
                given.of("http", http.listen),
            )
            listens["http"] = await doors.start(self._web.serve)
            self._drains.append(self._web.drain)
        unix = given.unix(control.socket)
        listens["control"] += await doors.start(
            server.serve_unix, control.socket, control.mode, unix
        )

    async def drain(self, patience: float) -> None:
        """As stopping.drain(): `patience` in seconds."""
        self._device_doors.cancel()
        await drain(self._gateway, self._parts.poller, self._drains, patience)

    # For another process

    def _all(self) -> list[tuple[str, socket.socket, bool]]:
        found: list[tuple[str, socket.socket]] = [("device", sock) for sock in self._listeners]
        found += [
            ("unix", door.sock) if isinstance(door, UnixDoor) else ("control", door)
            for door in self._control.listeners()
        ]
        if self._web is not None:
            found += [("http", sock) for sock in self._web.listeners]
        return [(door, sock, self._given.is_instead(sock)) for door, sock in found]

    def _leave(self, pid: int) -> None:
        """Note that this process has the doors now, and the socket's file."""
        for door in self._control.listeners():
            if isinstance(door, UnixDoor):
                door.keep_file = True
        self._succeeded()
        # If systemd did not learn this, it would take the end of this process for that of the
        # service, and kill the new one.
        notify(f"MAINPID={pid}", MUST_HEAR_SECONDS)

    async def _drain_callers(
        self, give: Callable[[MovedCaller], Awaitable[None]], *, task_status: trio.TaskStatus[None]
    ) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._control.give_away, give)
            if self._web is not None:
                await nursery.start(self._web.drain)
            task_status.started()


async def _within(
    scope: trio.CancelScope,
    run: Callable[..., Awaitable[None]],
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    with scope:
        await run(task_status=task_status)


def end_at_once() -> NoReturn:
    """End the process at once: its sockets belong to another process."""
    logs.close()
    os._exit(0)
