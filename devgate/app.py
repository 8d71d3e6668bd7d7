"""Runs the parts of a gateway and nests their lifetimes."""

from __future__ import annotations

import logging
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import trio

from devgate import __version__, early
from devgate.build import Parts
from devgate.config.settings import Settings
from devgate.door_tls import door_tls
from devgate.doors import Doors, end_at_once
from devgate.gateway.operations.entry import begin, dispatch
from devgate.guard import AFTER_DRAIN_SECONDS, Guard
from devgate.loading import inherit, load_operations, recover_from_disk
from devgate.net.acceptor import Admit
from devgate.net.filters import Handshakes, plug
from devgate.net.given import Given
from devgate.net.limits import Crowd
from devgate.net.link import Link
from devgate.net.proxy import believed
from devgate.reload import reload
from devgate.stopping import STORE_SECONDS, act_on_signals
from devgate.systemd import MUST_HEAR_SECONDS, keeps_up, notify, report, status

if TYPE_CHECKING:
    from devgate.http.web import Web
    from devgate.joined import Joined
    from devgate.upgrade.new import Successor

log = logging.getLogger("devgate")

Ready = Callable[["App"], Awaitable[None]]
Run = Callable[[], Awaitable[None]]


class App:
    """One gateway, from its database to its doors."""

    def __init__(
        self,
        parts: Parts,
        read_settings: Callable[[], Settings],
        guard: Guard,
        on_loaded: Callable[[], None] = lambda: None,
        joined: Joined | None = None,
        successor: Successor | None = None,
        given: Given | None = None,
        why_no_upgrade: str = "",
    ) -> None:
        """`read_settings` is called on SIGHUP and may raise SetupError. `on_loaded` is called once
        all that is known from earlier runs is in memory, before the first door opens. `joined`:
        what makes it one node of a cluster. `successor`: it takes over from a gateway that runs.
        `given`: what listens already. `why_no_upgrade`: no other program can take over from it."""
        self.gateway = gateway = parts.gateway
        self.settings = gateway.settings  # as they were at the start
        self.ready = False  # all doors are open, or have been
        self._stopping = False
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
        self._successor = successor
        self._parts = parts
        self._as_gateways: list[trio.CancelScope] = []  # of what another process does then
        self._doors = Doors(
            parts,
            self.settings,
            given or (successor.given if successor else Given()),
            joined,
            successor,
            why_no_upgrade,
            self._succeeded,
        )
        # Shielded: the writer writes until the last outcome has been posted.
        self._writing = trio.CancelScope(shield=True)
        self._tls: ssl.SSLContext | None = None
        self._handshakes = Handshakes()

    def _succeeded(self) -> None:
        """Another process is the gateway from now on."""
        for scope in self._as_gateways:
            scope.cancel()
        self._writing.cancel()

    async def _as_gateway(self, run: Run, waits_for: trio.Event | None = None) -> None:
        """Run it, once that is set, until another process is the gateway."""
        with trio.CancelScope() as scope:
            self._as_gateways.append(scope)
            if waits_for is not None:
                await waits_for.wait()
            await run()

    def _status(self) -> str:
        return status(self.gateway, ready=self.ready)

    def _keeps_up(self, patience: float) -> bool:
        return not self.ready or self._stopping or keeps_up(self.gateway, patience)

    def write_side_file(self) -> None:
        """Write the side file: rows that are not in the database. It blocks; for the exit."""
        if self._doors.passed_on:
            return  # the rows belong to another process by now
        self.gateway.late.write(self._writer.unwritten)

    async def run(self, on_ready: Ready) -> None:
        """Serve until SIGTERM or SIGINT, then drain. A second signal ends at once.

        Raises Fenced when another gateway has taken the database over.

        `on_ready` is awaited, beside the service, once the last door is open.
        """
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            self._guard.watch_signals(signal.SIGTERM, signal.SIGINT)
            async with trio.open_nursery() as outermost:
                at_once = outermost.cancel_scope
                # No successor takes over once this process is told to stop.
                stopping = self._successor.stopping if self._successor else trio.Event()
                beats = partial(report, self._status, self._keeps_up)
                outermost.start_soon(self._as_gateway, beats)
                outermost.start_soon(act_on_signals, signals, stopping, at_once, self._reload)
                async with self._store(stopping), self._devices() as admit:
                    await self._open(admit, stopping, on_ready)
                outermost.cancel_scope.cancel()
        if self._writer.fenced is not None:
            raise self._writer.fenced

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Arm the guard when this block ends, by a stop or an exception. After an exception
        nothing is drained.

        Each nursery has such a block, because an exception in any of its tasks cancels the block.
        """
        drain = 0.0
        try:
            yield
            drain = self.gateway.settings.command.drain
        finally:
            self._guard.arm(drain + AFTER_DRAIN_SECONDS, "a stop that does not end")

    @asynccontextmanager
    async def _store(self, stopping: trio.Event) -> AsyncIterator[None]:
        """The writer, from before the first row to after the last."""
        self._writer.thread.start()
        if self._successor is not None:
            await inherit(self._parts, self._successor, self._link, self._on_loaded)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._writer.run, self._writing, stopping.set)
            try:
                with self._guarded():
                    if self._successor is None:
                        await recover_from_disk(self._parts, self._joined, self._on_loaded)
                    nursery.start_soon(self._keys.load)
                    try:
                        yield
                    finally:
                        with trio.CancelScope(shield=True):
                            if not await self._records.flushed(STORE_SECONDS):
                                reason = self._records.state
                                log.error("stopped before all was written reason=%s", reason)
                                self.write_side_file()
            finally:
                self._writing.cancel()
                nursery.cancel_scope.cancel()
        if self._joined is not None:
            with trio.CancelScope(shield=True), trio.move_on_after(STORE_SECONDS):
                await self._joined.leave()

    @asynccontextmanager
    async def _devices(self) -> AsyncIterator[Admit]:
        """Run the tasks of commands, and inside of them the connections, which end first."""
        gateway, desk = self.gateway, self.gateway.desk
        async with trio.open_nursery() as commands:
            pauses = gateway.pauses
            await commands.start(gateway.dispatcher.serve, desk.rounds.caught_up, pauses)
            async with trio.open_nursery() as connections:
                if self._successor is not None:
                    self._successor.serve_devices(gateway)
                    connections.start_soon(self._successor.begin_tasks, gateway, connections)
                    ask = partial(dispatch, gateway), partial(begin, gateway)
                    connections.start_soon(self._successor.run, *ask)
                connections.start_soon(desk.rounds.run, pauses)
                for task in (desk.watch.run, gateway.knowledge.watch):
                    connections.start_soon(pauses.run, task)
                connections.start_soon(gateway.bulk.run)
                for task in (gateway.alerts.run, gateway.accounts.watch):
                    connections.start_soon(self._as_gateway, task)
                if self._joined is None:
                    calm = None if self._successor is None else self._successor.calm
                    for task in (gateway.trimming.run, gateway.usage.run):
                        connections.start_soon(self._as_gateway, task, calm)
                    await connections.start(self._webhooks)
                else:
                    await connections.start(self._joined.run)
                task_for = desk.lifetimes.task_for

                def admit(fd: int, address: str, crowd: Crowd | None) -> None:
                    connections.start_soon(task_for, self._link(fd, address, crowd), name="device")

                with self._guarded():
                    yield admit
                desk.lifetimes.close()
                connections.cancel_scope.cancel()
            commands.cancel_scope.cancel()

    async def _webhooks(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run webhooks, except during pauses. Started once all positions are known."""
        run, begun = self.gateway.webhooks.run, False

        async def deliver() -> None:
            nonlocal begun
            if begun:  # after a pause nobody waits for the start: retry if the database is away
                await self.gateway.background.until_done("webhooks", run)
            begun = True
            await run(task_status=task_status)

        await self.gateway.pauses.run(deliver)

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

    async def _open(self, admit: Admit, stopping: trio.Event, on_ready: Ready) -> None:
        """Open the doors, and close them once the gateway is to stop."""
        contexts, renewals = self.gateway.tls_contexts, self.gateway.renewals
        self._tls = door_tls(contexts, "device", self.settings.device.tls)
        async with trio.open_nursery() as nursery:
            await self._doors.open(nursery, admit, stopping)
            renewals.add("certificates", partial(trio.to_thread.run_sync, contexts.look))
            renewals.add("webhook secrets", self.gateway.webhooks.renew)
            nursery.start_soon(renewals.run)
            self._say_ready()
            self.web, self.ready = self._doors.web, True
            notify(f"READY=1\nSTATUS={self._status()}", MUST_HEAR_SECONDS)
            if early.reload_noted():
                self._reload()
            nursery.start_soon(on_ready, self)
            if self._successor is None:  # a successor has loaded them already
                nursery.start_soon(load_operations, self.gateway.acceptor)
            with self._guarded():
                await stopping.wait()
                await self._doors.settled()
                if self._doors.passed_on:
                    await self._last_replies()
            self._stopping = True
            notify("STOPPING=1")
            # If another gateway owns the database, this one does not wait for results any more.
            fenced = self._writer.fenced is not None
            await self._doors.drain(0.0 if fenced else self.gateway.settings.command.drain)
            nursery.cancel_scope.cancel()

    async def _last_replies(self) -> NoReturn:
        """For the old process of an upgrade that gets SIGTERM: `systemctl stop` signals the new
        one, too. The upgrade ends it earlier if nobody waits; a second signal ends it at once."""
        try:
            await trio.sleep(self.gateway.settings.command.drain + STORE_SECONDS)
        finally:
            end_at_once()

    def _say_ready(self) -> None:
        listens = self.gateway.listens
        log.info(
            "ready version=%s devices=%s control=%s http=%s known=%s room=%s",
            __version__, ",".join(listens["device"]), ",".join(listens["control"]),
            ",".join(listens.get("http", [])) or "off",
            len(self.gateway.directory), self.gateway.acceptor.limit,
        )  # fmt: skip

    def _reload(self) -> None:
        """Reload the configuration now, or once the doors are open."""
        if self.ready:
            reload(self.gateway, self._storage.journal, self._tokens, self._read_settings)
            self.gateway.renewals.look()
        else:
            early.note_reload()
