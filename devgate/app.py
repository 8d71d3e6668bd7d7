"""Builds every part of a gateway and nests their lifetimes. Holds no logic of its own."""

from __future__ import annotations

import gc
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Set
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from devgate import __version__, early, logs
from devgate.access.tokens import Tokens
from devgate.config.settings import Settings, TlsSettings
from devgate.control.server import ControlServer
from devgate.errors import SetupError, StoreError
from devgate.events.kinds import Event
from devgate.events.log import EventLog, Page
from devgate.gateway import clock
from devgate.gateway.added_webhooks import Positions
from devgate.gateway.background import Background
from devgate.gateway.commands.dispatcher import Dispatcher
from devgate.gateway.commands.keys import Keys
from devgate.gateway.commands.orders import Orders
from devgate.gateway.commands.recovery import recover
from devgate.gateway.commands.running import Running
from devgate.gateway.commands.side_file import LateOutcomes
from devgate.gateway.devices.desk import Desk
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.registry import Flapping
from devgate.gateway.gateway import Gateway
from devgate.gateway.known.directory import Directory
from devgate.gateway.known.sync import Knowledge
from devgate.gateway.operations.table import begin, dispatch
from devgate.gateway.refusals import Refusals
from devgate.gateway.storage import Records
from devgate.gateway.trimming import Trimming
from devgate.guard import AFTER_DRAIN_SECONDS, Guard
from devgate.model import Imei
from devgate.net.acceptor import Acceptor
from devgate.net.addresses import bind, shown
from devgate.net.filters import Handshakes, plug
from devgate.net.limits import MAX_WEB, budget
from devgate.net.link import Link
from devgate.net.poller import Poller
from devgate.net.proxy import believed
from devgate.net.tls import context
from devgate.reload import reload
from devgate.stopping import LAST_WORDS, act_on_signals, drain
from devgate.store import following, history, late
from devgate.store.engine import Database, in_words
from devgate.store.journal import Journal, disposable, resume_of
from devgate.store.outage import outage
from devgate.store.seal import Seal
from devgate.store.writer import Writer
from devgate.webhooks.webhooks import Webhooks

if TYPE_CHECKING:
    from devgate.http.web import Web

IDLE = 5.0  # seconds without rows after which the writer looks whether the database can be written

log = logging.getLogger("devgate")

Ready = Callable[["App"], Awaitable[None]]


class App:
    """One gateway, from its database to its doors."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        read_settings: Callable[[], Settings],
        guard: Guard,
    ) -> None:
        self.settings = settings  # as they were at the start; gateway.settings as they are now
        self.acceptor: Acceptor
        self.guard = guard
        self._read_settings = read_settings
        self._tls: ssl.SSLContext | None = None
        self._handshakes = Handshakes()
        self._database = database
        self._journal = Journal(database, resume=resume_of(settings.store))
        self.writer = Writer(
            self._journal.commit, self._committed, outage, disposable=disposable, idle=IDLE
        )
        self.directory = directory = Directory(settings.service.phone, settings.service.qr)
        self.records = records = Records(database, self.writer, directory)
        self.events = EventLog(self._journal.last, self._older_events)
        flapping = settings.device.flapping
        self.presence = Presence(
            records, Flapping(flapping.takeovers, flapping.within, flapping.starts)
        )
        self.running = Running(directory, records)
        self.dispatcher = Dispatcher(
            self.presence, directory, records, self.running, settings.command
        )
        self.poller = Poller()
        refusals = Refusals()
        self.desk = Desk(
            self.poller, settings.device, directory, self.presence, self.dispatcher, records,
            refusals,
        )  # fmt: skip
        self.dispatcher.caught_up = self.desk.caught_up
        background = Background()
        self.knowledge = Knowledge(
            directory, records, self._refused, background, refresh_seconds=settings.store.refresh
        )
        self.trimming = Trimming(records, settings, background, clock.shared)
        self.keys = Keys(records, background)
        self.orders = Orders(
            directory, self.presence, self.dispatcher, self.running, records, self.keys
        )
        self.gateway = Gateway(
            settings, directory, self.presence, self.dispatcher, self.running, self.orders,
            self.knowledge, records, self.events, self.desk, lambda: len(self.desk.connections),
        )  # fmt: skip
        self.gateway.trimming = self.trimming
        self.gateway.background = background
        self.gateway.log_dropped = logs.dropped
        self.gateway.refusals = refusals
        state_folder = Path(settings.control.socket).parent
        self.late = LateOutcomes(
            records, self.running, self.dispatcher.live, database.owner,
            late.place(database.file, state_folder, database.owner), self.dispatcher.withdraw,
        )  # fmt: skip
        self.gateway.late = self.late
        guard.last_words = lambda: self.late.keep(self.writer.unwritten)
        self.writer.measured = self.gateway.commits.committed
        self.gateway.seal = seal = Seal(settings.store.key_file)
        positions = Positions(records, seal, allow_private=settings.control.private_webhooks)
        self.webhooks = Webhooks(settings.webhook, self.events, positions)
        self.gateway.webhooks = self.webhooks
        self.tokens = Tokens(settings.control.tokens) if settings.control.tokens else None
        self.ready = False  # all doors are open, or have been
        self.web: Web | None = None  # once its door is open, if there is one

    def _committed(self, rows: list[tuple[Any, ...]]) -> None:
        self.events.publish([Event(*row) for row in rows])

    async def _older_events(self, after: int, until: int, limit: int, types: Set[str]) -> Page:
        rows, first, end = await self.records.read(following.page, after, until, limit, types)
        return Page([Event(*row) for row in rows], first, end)

    def _refused(self, imei: Imei, why: str) -> None:
        if (connection := self.presence.get(imei)) is not None:
            connection.end(why)

    async def run(self, on_ready: Ready) -> None:
        """Serve until SIGTERM or SIGINT, then finish what was begun. A second one ends at once.

        Raises Fenced when another gateway has taken the database over.

        `on_ready` is awaited, beside the service, once the last door is open.
        """
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            self.guard.watch_signals(signal.SIGTERM, signal.SIGINT)
            async with trio.open_nursery() as outermost:
                at_once = outermost.cancel_scope
                stopping = trio.Event()
                self.writer.on_fenced = stopping.set
                outermost.start_soon(act_on_signals, signals, stopping, at_once, self._reload)
                async with self._store(), self._devices() as admit:
                    await self._doors(admit, stopping, on_ready)
                outermost.cancel_scope.cancel()
        if self.writer.fenced is not None:
            raise self.writer.fenced

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
        self.guard.arm(patience, "a stop that does not end")

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[None]:
        """The writer, from before the first row to after the last."""
        self.writer.thread.start()
        # Whatever cancels the rest, it writes until the last outcome has been posted.
        writing = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, writing)
            try:
                with self._guarded():
                    with in_a_sentence(self._database):
                        await self._take_up()
                    nursery.start_soon(self.keys.load)
                    try:
                        yield
                    finally:
                        with trio.CancelScope(shield=True):
                            if not await self.records.flushed(LAST_WORDS):
                                reason = self.records.state
                                log.error("stopped before all was written reason=%s", reason)
                                self.late.keep(self.writer.unwritten)
            finally:
                writing.cancel()
                nursery.cancel_scope.cancel()

    async def _write(self, scope: trio.CancelScope) -> None:
        with scope:
            await self.writer.run()

    async def _take_up(self) -> None:
        """What the database has, before the first door opens."""
        clock.shared.begin(await self.records.read(history.newest_trusted_at))
        self.trimming.tell()  # ahead of every event with a time that is in doubt
        await self.trimming.keep()
        await self.knowledge.load()
        await self.late.take_up()
        # Each run numbers its commands above those of all runs before it.
        if (owner := self._database.owner) is not None:
            self.dispatcher.sequence = owner.epoch << 32
        await recover(self.dispatcher, self.running, self.records)
        self.orders.ids.after(await self.records.read(history.newest_id))
        await self.keys.prepare()
        # What is loaded stays: the collector need not look at it again. With very many
        # parked tasks a full collection would stop the loop for a quarter of a second.
        gc.collect()
        gc.freeze()
        # The youngest are looked at often all the same: what is left to the collector is
        # freed at once, and 100,000 objects of that stop the loop for a sixth of a second.
        gc.set_threshold(10_000, 50, 1000)

    @asynccontextmanager
    async def _devices(self) -> AsyncIterator[Callable[[int, str], None]]:
        """Runners around connections: what a command needs outlives it."""
        async with trio.open_nursery() as commands:
            await commands.start(self.dispatcher.serve)
            async with trio.open_nursery() as connections:
                for task in (
                    self.desk.run, self.desk.watch, self.knowledge.watch, self.trimming.run
                ):  # fmt: skip
                    connections.start_soon(task)
                await connections.start(self.webhooks.run)
                own = self.desk.own

                def admit(fd: int, address: str) -> None:
                    connections.start_soon(own, self._link(fd, address), name="device")

                with self._guarded():
                    yield admit
                self.desk.close()
                connections.cancel_scope.cancel()
            commands.cancel_scope.cancel()

    def _link(self, fd: int, address: str) -> Link:
        device = self.gateway.settings.device
        link = Link(fd, address, max_unsent=device.max_outbox, registered=False)
        if self._tls or device.proxy_protocol:
            plug(
                link,
                proxy=device.proxy_protocol,
                believed=believed(address, device.proxy_from),
                enter=self.acceptor.enter,
                tls=self._tls,
                handshakes=self._handshakes,
            )
        return link

    async def _doors(
        self, admit: Callable[[int, str], None], stopping: trio.Event, on_ready: Ready
    ) -> None:
        device, control = self.settings.device, self.settings.control
        self._tls = tls_of(device.tls)
        listeners = bind(device.listen)
        self.acceptor = Acceptor(
            listeners,
            admit,
            self.gateway.connections,
            max_connections=device.max_connections,
            max_connections_per_address=device.max_connections_per_address,
            proxied=device.proxy_protocol,
            user_timeout=device.idle_timeout,
        )
        self.desk.opens(self.acceptor)
        self.gateway.acceptor = self.acceptor
        listens = self.gateway.listens
        listens["device"] = [shown(listener) for listener in listeners]
        places = budget()
        server = ControlServer(
            partial(dispatch, self.gateway),
            begin=partial(begin, self.gateway),
            access=self.tokens,
            max_connections=min(MAX_WEB, places.unix),
            max_tcp=min(MAX_WEB, places.web // 2 if self.settings.http.listen else places.web),
            ears=self.poller.urgent,
            refusals=self.gateway.refusals,
        )
        async with trio.open_nursery() as doors:
            device_doors = trio.CancelScope()
            await doors.start(self._within, device_doors, self.acceptor.run)
            listens["control"] = []
            if control.listen:
                tcp = partial(server.serve_tcp, control.listen, tls_of(control.tls))
                listens["control"] += await doors.start(tcp)
            drains = [server.drain, self.webhooks.drain]
            if self.settings.http.listen:
                # Here, because a gateway without HTTP need not carry its libraries.
                from devgate.http import server as web

                web_server = web.WebServer(
                    self.gateway,
                    partial(dispatch, self.gateway),
                    self.tokens,
                    places.web // 2 if control.listen else places.web,
                )
                listens["http"] = await doors.start(web_server.serve)
                self.web = web_server.web
                drains.append(web_server.drain)
            path = await doors.start(server.serve_unix, control.socket, control.mode)
            listens["control"] += path
            self._say_ready()
            self.ready = True
            if early.reload_noted():
                self._reload()
            doors.start_soon(on_ready, self)
            with self._guarded():
                await stopping.wait()
            device_doors.cancel()
            # Results are no longer this gateway's to wait for when another one owns the database.
            fenced = self.writer.fenced is not None
            patience = 0.0 if fenced else self.gateway.settings.command.drain
            await drain(self.gateway, self.poller, drains, patience)
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
            ",".join(listens.get("http", [])) or "off", len(self.directory), self.acceptor.limit,
        )  # fmt: skip

    def _reload(self) -> None:
        """Once the doors are open: at once, or as soon as they are."""
        if self.ready:
            reload(self.gateway, self._journal, self.tokens, self._read_settings)
        else:
            early.note_reload()


@contextmanager
def in_a_sentence(database: Database) -> Iterator[None]:
    """A database that cannot be read when the gateway starts is for its operator: SetupError."""
    try:
        with in_words():
            yield
    except StoreError as err:
        text = f"[store] url: the database {database.url_shown} cannot be used: {err}"
        raise SetupError(text, status="503") from err


def tls_of(settings: TlsSettings | None) -> ssl.SSLContext | None:
    """Raises SetupError if certificate or key cannot be used."""
    if settings is None:
        return None
    ca = Path(settings.client_ca) if settings.client_ca else None
    return context(Path(settings.certificate), Path(settings.key), ca)
