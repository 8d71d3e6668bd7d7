"""The additional work of a node of a cluster: its door for the others, its tasks."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import trio

from devgate.cluster.door import door
from devgate.cluster.forwarding import Forwarding
from devgate.control.server import ControlServer
from devgate.door_tls import door_tls
from devgate.errors import DevgateError, SetupError, StoreError
from devgate.gateway.operations import forwarding
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.net.addresses import bind, shown
from devgate.store import node_files, nodes

if TYPE_CHECKING:
    from devgate.build_node import NodeParts
    from devgate.config.settings import Settings
    from devgate.control.streams import Dispatch
    from devgate.net.acceptor import Admit

FILES_SECONDS = 60.0  # between two looks at files that are to be the same at every node
RETRY_SECONDS = 1.0  # until a port that another program has taken is asked for again

Accept = Callable[..., Awaitable[None]]

log = logging.getLogger("devgate.nodes")


class Joined:
    """The additional tasks of a node, until it leaves the cluster."""

    def __init__(self, made: NodeParts, settings: Settings) -> None:
        self._made = made
        self._all = settings
        self._settings = settings.cluster
        self._server: ControlServer | None = None  # once its door is open
        self._forwarding = Forwarding(made.parts.gateway, made.node, made.hops)

    async def check_files(self) -> None:
        """Raises SetupError if a file that must be the same at every node differs."""
        if wrong := await self._differences():
            raise SetupError("; ".join(wrong), status="400")

    async def _differences(self) -> list[str]:
        files = {"[store] key_file": self._all.store.key_file}
        if self._all.http.secret:
            files["[http] secret"] = self._all.http.secret
        here = {}
        for name, path in files.items():
            try:
                here[name] = await trio.to_thread.run_sync(node_files.fingerprint, path)
            except OSError as err:
                raise SetupError(f"{name} {path}: can't be read: {err.strerror}") from None
        return await self._made.parts.gateway.records.change(node_files.compare, here)

    async def _watch_files(self) -> NoReturn:
        """Check again at times: a key that is made later, for the first webhook, must be
        copied."""
        said: list[str] = []
        while True:
            await trio.sleep(FILES_SECONDS)
            try:
                wrong = await self._differences()
            except DevgateError as err:
                wrong = [str(err)]
            if wrong != said:
                for words in wrong:
                    log.error("files of nodes differ reason=%s", words)
            said = wrong

    async def dispatch(self, here: Dispatch, args: Args, source: str) -> Reply | Stream:
        """Run an operation where it belongs: here, at the device's node, or at the leader."""
        return await self._forwarding.dispatch(here, args, source)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """All tasks of a node. Started at once: doors do not depend on them."""
        gateway, node = self._made.parts.gateway, self._made.node
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._made.hops.run)
            nursery.start_soon(node.run)
            nursery.start_soon(self._watch_files)
            nursery.start_soon(node.leadership.run, gateway.trimming.run)
            nursery.start_soon(node.leadership.run, gateway.usage.run)
            nursery.start_soon(node.leadership.run, gateway.webhooks.run)
            task_status.started()

    async def serve(
        self, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """The door for the other nodes. Started with its addresses once it is open and the others
        know them."""
        records, member = self._made.parts.gateway.records, self._made.member
        listen = self._settings.listen
        if not listen:
            host = await records.read(nodes.reached_from)
            listen = [f"[{host}]:0" if ":" in host else f"{host}:0"]
        gateway = self._made.parts.gateway
        server = self._server = door(
            partial(forwarding.dispatch, gateway),
            partial(forwarding.begin, gateway),
            lambda: member.secret,
            refusals=gateway.refusals,
        )
        async with trio.open_nursery() as nursery:
            places: list[str] = await nursery.start(
                server.serve_tcp,
                listen,
                door_tls(gateway.tls_contexts, "cluster", self._settings.tls),
            )
            address = self._settings.advertise or places[0]
            await records.change(nodes.set_address, member, address)
            self._made.node.reachable.set()
            task_status.started(places)

    async def drain(self) -> None:
        """Close the door, once the requests of other nodes have their replies."""
        if self._server is not None:
            await self._server.drain()

    async def accept(
        self,
        run: Accept,
        listeners: Sequence[socket.socket],
        admit: Admit,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> NoReturn:
        """Accept devices while this node is not drained. If its door is closed, a load balancer,
        or the kernel, uses the other nodes."""
        draining = self._made.node.draining
        places = [shown(listener) for listener in listeners]
        open_ones = list(listeners)
        started = False
        while True:
            async with trio.open_nursery() as nursery:
                await nursery.start(run, open_ones, admit)
                if not started:
                    started = True
                    task_status.started()
                await draining.wait_value(True)
                log.info("devices are not accepted while this node is drained")
                nursery.cancel_scope.cancel()
            await draining.wait_value(False)
            open_ones = await self._opened(places)

    async def _opened(self, places: Sequence[str]) -> list[socket.socket]:
        """Open the same addresses again, as soon as they are free."""
        shared = self._settings.share_ports
        while True:
            try:
                return await trio.to_thread.run_sync(partial(bind, places, shared=shared))
            except SetupError as err:
                log.error("devices cannot be accepted again error=%s", err)
            await trio.sleep(RETRY_SECONDS)

    async def leave(self) -> None:
        """Tell the others that this node has left: so they do not wait for its lease."""
        records, member = self._made.parts.gateway.records, self._made.member
        self._made.session.close()
        try:
            await self._made.node.correct()
            await records.change(nodes.leave, member)
        except StoreError as err:
            log.warning("the others wait for the lease of this node reason=%s", err)
