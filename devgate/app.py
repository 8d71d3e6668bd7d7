"""Runs the parts of a gateway and nests their lifetimes."""

from __future__ import annotations

import logging
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from devgate import __version__, early
from devgate.build import Parts, in_a_sentence, tls_of
from devgate.config.settings import Settings
from devgate.control.caller import Group
from devgate.control.server import ControlServer
from devgate.gateway import clock
from devgate.gateway.commands.recovery import recover
from devgate.gateway.operations.table import begin, dispatch
from devgate.gateway.operations.ways import may_by_socket
from devgate.guard import AFTER_DRAIN_SECONDS, Guard
from devgate.net.acceptor import Admit
from devgate.net.addresses import bind, shown
from devgate.net.filters import Handshakes, plug
from devgate.net.limits import MAX_WEB, Crowd, budget
from devgate.net.link import Link
from devgate.net.proxy import believed
from devgate.reload import reload
from devgate.stopping import LAST_WORDS, act_on_signals, drain
from devgate.store import history
from devgate.systemd import notify, report

if TYPE_CHECKING:
    from devgate.http.web import Web
    from devgate.joined import Joined

log = logging.getLogger("devgate")

Ready = Callable[["App"], Awaitable[None]]


class App:
    """One gateway, from its database to its doors."""

    def __init__(
        self,
        parts: Parts,
        read_settings: Callable[[], Settings],
        guard: Guard,
        on_loaded: Callable[[], None] = lambda: None,
        joined: Joined | None = None,
    ) -> None:
        """`read_settings` is called on SIGHUP and may raise SetupError. `on_loaded` is called once
        all that is known from earlier runs is in memory, before the first door opens. `joined`:
        what makes it one node of a cluster."""
        self.gateway = gateway = parts.gateway
        self.settings = gateway.settings  # as they were at the start
        self.ready = False  # all doors are open, or have been
        self.web: Web | None = None  # once its door is open, if there is one
        self._storage = parts.storage
        self._writer = parts.storage.writer
        self._records = parts.storage.records
        self._keys = parts.keys
        self._poller = parts.poller
        self._tokens = parts.tokens
        self._read_settings = read_settings
        self._guard = guard
        self._on_loaded = on_loaded
        self._joined = joined
        self._tls: ssl.SSLContext | None = None
        self._handshakes = Handshakes()

    def _status(self) -> str:
        """For `systemctl status`, in a line."""
        gateway, state = self.gateway, "ready" if self.ready else "starting"
        if gateway.records.state != "ok":
            state = f"no start is accepted: {gateway.records.state}"
        return (
            f"{state}; {len(gateway.presence)} of {len(gateway.directory)} devices connected, "
            f"{gateway.dispatcher.in_flight} commands in flight"
        )

    def write_side_file(self) -> None:
        """Put what the database has not got beside it. For a process that ends; it blocks."""
        self.gateway.late.write(self._writer.unwritten)

    async def run(self, on_ready: Ready) -> None:
        """Serve until SIGTERM or SIGINT, then finish what was begun. A second one ends at once.

        Raises Fenced when another gateway has taken the database over.

        `on_ready` is awaited, beside the service, once the last door is open.
        """
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            self._guard.watch_signals(signal.SIGTERM, signal.SIGINT)
            async with trio.open_nursery() as outermost:
                at_once = outermost.cancel_scope
                stopping = trio.Event()
                outermost.start_soon(report, self._status)
                outermost.start_soon(act_on_signals, signals, stopping, at_once, self._reload)
                async with self._store(stopping), self._devices() as admit:
                    await self._doors(admit, stopping, on_ready)
                outermost.cancel_scope.cancel()
        if self._writer.fenced is not None:
            raise self._writer.fenced

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """The guard knows it when this block ends, in whatever way: a stop or a fault has begun.

        A block within each nursery, for a fault of any task in it cancels the block.
        """
        try:
            yield
        finally:
            self._arm()

    def _arm(self) -> None:
        patience = self.gateway.settings.command.drain + AFTER_DRAIN_SECONDS
        self._guard.arm(patience, "a stop that does not end")

    @asynccontextmanager
    async def _store(self, stopping: trio.Event) -> AsyncIterator[None]:
        """The writer, from before the first row to after the last."""
        self._writer.thread.start()
        # Whatever cancels the rest, it writes until the last outcome has been posted.
        writing = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._writer.run, writing, stopping.set)
            try:
                with self._guarded():
                    with in_a_sentence(self._storage.database):
                        await self._recover()
                    nursery.start_soon(self._keys.load)
                    try:
                        yield
                    finally:
                        with trio.CancelScope(shield=True):
                            if not await self._records.flushed(LAST_WORDS):
                                reason = self._records.state
                                log.error("stopped before all was written reason=%s", reason)
                                self.write_side_file()
            finally:
                writing.cancel()
                nursery.cancel_scope.cancel()
        if self._joined is not None:
            with trio.CancelScope(shield=True), trio.move_on_after(LAST_WORDS):
                await self._joined.leave()

    async def _recover(self) -> None:
        """What the database has, before the first door opens."""
        gateway, records = self.gateway, self._records
        clock.shared.begin(await records.read(history.newest_trusted_at))
        gateway.trimming.tell()  # ahead of every event with a time that is in doubt
        await gateway.trimming.store_trusted_at()
        if self._joined is not None:
            await self._joined.check_files()
        await gateway.accounts.load()
        await gateway.knowledge.load()
        if self._joined is None:
            await gateway.late.import_file()
            await recover(gateway.dispatcher, gateway.running, records)
        gateway.orders.ids.after(await records.read(history.newest_id))
        await self._keys.prepare()
        self._on_loaded()

    @asynccontextmanager
    async def _devices(self) -> AsyncIterator[Admit]:
        """Runners around connections: what a command needs outlives it."""
        gateway, desk = self.gateway, self.gateway.desk
        async with trio.open_nursery() as commands:
            await commands.start(gateway.dispatcher.serve, desk.rounds.caught_up)
            async with trio.open_nursery() as connections:
                connections.start_soon(desk.rounds.run)
                for task in (
                    desk.watch.run, gateway.knowledge.watch, gateway.accounts.watch,
                    gateway.bulk.run, gateway.alerts.run,
                ):  # fmt: skip
                    connections.start_soon(task)
                if self._joined is None:
                    connections.start_soon(gateway.trimming.run)
                    await connections.start(gateway.webhooks.run)
                else:
                    await connections.start(self._joined.run)
                own = desk.own

                def admit(fd: int, address: str, crowd: Crowd | None) -> None:
                    connections.start_soon(own, self._link(fd, address, crowd), name="device")

                with self._guarded():
                    yield admit
                desk.close()
                connections.cancel_scope.cancel()
            commands.cancel_scope.cancel()

    def _link(self, fd: int, address: str, crowd: Crowd | None) -> Link:
        device = self.gateway.settings.device
        link = Link(fd, address, crowd, max_unsent=device.max_outbox, registered=False)
        if self._tls or device.proxy_protocol:
            plug(
                link,
                proxy=device.proxy_protocol,
                believed=believed(address, device.proxy_from),
                enter=self.gateway.acceptor.enter,
                tls=self._tls,
                handshakes=self._handshakes,
            )
        return link

    async def _doors(self, admit: Admit, stopping: trio.Event, on_ready: Ready) -> None:
        device, control = self.settings.device, self.settings.control
        self._tls = tls_of(device.tls)
        shared = self.settings.cluster.share_ports
        listeners = bind(device.listen, shared=shared)
        listens = self.gateway.listens
        listens["device"] = [shown(listener) for listener in listeners]
        places = budget()
        ask = partial(dispatch, self.gateway)
        if self._joined is not None:
            ask = partial(self._joined.dispatch, ask)
        server = ControlServer(
            ask,
            begin=partial(begin, self.gateway),
            access=self._tokens,
            group=Group(lambda: self.gateway.settings.control.role, may_by_socket),
            max_connections=min(MAX_WEB, places.unix),
            max_tcp=min(MAX_WEB, places.web // 2 if self.settings.http.listen else places.web),
            urgent=self._poller.urgent,
            refusals=self.gateway.refusals,
        )
        async with trio.open_nursery() as doors:
            if self._joined is not None:
                listens["cluster"] = await doors.start(self._joined.serve)
            device_doors = trio.CancelScope()
            accept: Callable[..., Awaitable[None]]
            accept = partial(self.gateway.acceptor.run, listeners, admit)
            if self._joined is not None:
                run = self.gateway.acceptor.run
                accept = partial(self._joined.accept, run, listeners, admit)
            await doors.start(self._within, device_doors, accept)
            listens["control"] = []
            if control.listen:
                tcp = partial(server.serve_tcp, control.listen, tls_of(control.tls), shared=shared)
                listens["control"] += await doors.start(tcp)
            drains = [server.drain, self.gateway.webhooks.drain]
            if self._joined is not None:
                drains.append(self._joined.drain)
            if self.settings.http.listen:
                # Here, because a gateway without HTTP need not carry its libraries.
                from devgate.http import server as web

                web_server = web.WebServer(
                    self.gateway,
                    ask,
                    self.gateway.accounts.tokens,
                    places.web // 2 if control.listen else places.web,
                )
                listens["http"] = await doors.start(web_server.serve)
                self.web = web_server.web
                drains.append(web_server.drain)
            path = await doors.start(server.serve_unix, control.socket, control.mode)
            listens["control"] += path
            self._say_ready()
            self.ready = True
            notify(f"READY=1\nSTATUS={self._status()}")
            if early.reload_noted():
                self._reload()
            doors.start_soon(on_ready, self)
            with self._guarded():
                await stopping.wait()
            notify("STOPPING=1")
            device_doors.cancel()
            # Results are no longer this gateway's to wait for when another one owns the database.
            fenced = self._writer.fenced is not None
            patience = 0.0 if fenced else self.gateway.settings.command.drain
            await drain(self.gateway, self._poller, drains, patience)
            doors.cancel_scope.cancel()

    @staticmethod
    async def _within(
        scope: trio.CancelScope,
        run: Callable[..., Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        with scope:
            await run(task_status=task_status)

    def _say_ready(self) -> None:
        listens = self.gateway.listens
        log.info(
            "ready version=%s devices=%s control=%s http=%s known=%s room=%s",
            __version__, ",".join(listens["device"]), ",".join(listens["control"]),
            ",".join(listens.get("http", [])) or "off",
            len(self.gateway.directory), self.gateway.acceptor.limit,
        )  # fmt: skip

    def _reload(self) -> None:
        """Once the doors are open: at once, or as soon as they are."""
        if self.ready:
            reload(self.gateway, self._storage.journal, self._tokens, self._read_settings)
        else:
            early.note_reload()
