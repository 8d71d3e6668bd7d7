"""The door for the web: hypercorn's protocols on sockets and in tasks of our own.

Hypercorn's own `serve` is not used. There an exception in one connection ends the whole
process (its issue 225: a byte behind a request to upgrade is enough), it accepts without a
limit, and a peer that does not read keeps it from ending. So connections are accepted,
counted, contained and ended here; hypercorn speaks HTTP on them.
"""

from __future__ import annotations

import logging
import socket as stdlib
import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework

from devgate.access.tokens import Tokens
from devgate.gateway.gateway import Gateway
from devgate.http.application import application
from devgate.http.forwarded import Proxies
from devgate.http.serving.connection import WebConnection
from devgate.http.serving.exchange import Exchanges
from devgate.http.serving.protocols import Serving, forget
from devgate.http.serving.room import Room
from devgate.http.web import Dispatch, opened
from devgate.model import shown as shown_text
from devgate.net.accepting import Accepting, as_socket
from devgate.net.addresses import bind, host_of, shown, spelled
from devgate.net.tuning import Tuning
from devgate.net.turns import Turns

log = logging.getLogger("devgate.http")

MAX_STREAMS = 32  # requests at once on one connection of HTTP/2
MAX_HANDSHAKES = 256  # of TLS at once; 66 kB each
# What the kernel buffers of a peer that waits for its turn, and for a peer that reads slowly.
TUNING = Tuning(receive_buffer=65536, send_buffer=262144)


class WebServer:
    """Serves the web of one gateway, from `serve` to the end of `drain`."""

    def __init__(
        self,
        gateway: Gateway,
        dispatch: Dispatch,
        tokens: Tokens | None,
        places: int = 1 << 62,
        listen: Sequence[str | stdlib.socket] | None = None,
    ) -> None:
        """`places`: how many connections the descriptors allow. `listen`: where, if not at the
        configured addresses alone: sockets that listen already.

        Raises SetupError for a file of [http] that is not usable.
        """
        self.web = web = opened(gateway, dispatch, tokens)
        self._listen = web.settings.listen if listen is None else listen
        self.listeners: list[stdlib.socket] = []  # once they are open
        self._refusals = gateway.refusals
        self._shared = gateway.settings.cluster.share_ports
        self._config = _config()
        self._worker = WorkerContext(None)
        self._app = application(web)
        self._room = Room(Proxies(web.settings.proxies), gateway.refusals, places)
        self._turns = Turns()
        self._handshakes = trio.CapacityLimiter(MAX_HANDSHAKES)
        self._accepting = trio.CancelScope()
        self._connections: set[WebConnection] = set()
        self._served = trio.lowlevel.ParkingLot()

    async def serve(
        self, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled or drained. Started with the addresses really bound.

        Raises SetupError for an address or certificate that cannot be had.
        """
        tls = self._tls()
        # A thread: the address may be a name that somebody must be asked for.
        bound = await trio.to_thread.run_sync(partial(bind, self._listen, shared=self._shared))
        doors = self.listeners = bound
        places = [shown(door) for door in doors]
        self.web.gateway.renewals.add("http secret", self.web.renew)
        try:
            async with trio.open_nursery() as inside:
                inside.start_soon(self._turns.run)
                await inside.start(self.web.boards.run)
                try:
                    with self._accepting:
                        async with trio.open_nursery() as outside:
                            for door in doors:
                                outside.start_soon(self._accept, door, inside, tls)
                            task_status.started(places)
                finally:
                    for door in doors:
                        door.close()
                    if not self._worker.terminated.is_set():  # cancelled, and not drained
                        self.abort()
                while self._connections:
                    await self._served.park()
                inside.cancel_scope.cancel()
        finally:
            for door in doors:
                door.close()
            if self.web.oidc is not None:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                    await self.web.oidc.aclose()

    async def drain(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Close the doors, end the streams, let replies out; until all connections are closed.
        Started once each reply from then on says that its connection ends.

        Bounded by the requests under way; the caller sets a deadline, and then cancels.
        """
        await self._worker.terminated.set()
        self.web.stopping.set()
        self._accepting.cancel()
        for connection in self._connections:
            connection.finish()
        task_status.started()
        try:
            while self._connections:
                await self._served.park()
        finally:
            self.abort()

    def abort(self) -> None:
        """Cut every connection off. What hypercorn sends cannot be cancelled otherwise."""
        for connection in self._connections:
            connection.abort()

    def _tls(self) -> ssl.SSLContext | None:
        files = self.web.settings.tls
        if files is None:
            return None
        ca = Path(files.client_ca) if files.client_ca else None
        return self.web.gateway.tls_contexts.door(
            "http", Path(files.certificate), Path(files.key), ca, ("h2", "http/1.1")
        )

    async def _accept(
        self, door: stdlib.socket, inside: trio.Nursery, tls: ssl.SSLContext | None
    ) -> None:
        TUNING.set(door)

        def accepted(sock: stdlib.socket, peer: Any) -> None:
            address = host_of(spelled(peer))
            connection = WebConnection(trio.socket.from_stdlib_socket(sock), address, self._turns)
            if self._room.enter(connection):
                inside.start_soon(self._serve_connection, connection, tls)
            else:
                connection.abort()

        # One connection in each turn of the loop, so that each can show a token or session before
        # the next ones take all places of its address. Accepting never pauses: the room ends
        # another connection, or refuses this one.
        accepting = Accepting(lambda: 1, lambda: "", as_socket(accepted), log, name="http accept")
        await accepting.run(door)

    async def _serve_connection(
        self, connection: WebConnection, tls: ssl.SSLContext | None
    ) -> None:
        """Serve one connection until it is closed. A fault in it ends it alone."""
        self._connections.add(connection)
        if self.web.stopping.is_set():
            connection.finish()
        orders = self.web.gateway.orders
        app = Exchanges(
            self._app, connection, self._turns, self._refusals.turn, lambda: orders.closed
        )
        # Hypercorn's type of an application is narrower than ASGI's.
        asgi = ASGIWrapper(cast("ASGIFramework", app))
        try:
            with connection.scope:
                stream = await self._stream(connection, tls)
                if stream is None:
                    return
                serving = Serving(
                    asgi, self._config, self._worker, connection, stream, self._turns
                )
                await serving.run()
                if serving.refused:
                    self._refusals.refuse(
                        "http", "protocol", connection.address, source=connection.known
                    )
        except* Exception as group:
            self._tell_of_fault(connection, group)
        finally:
            connection.abort()
            self._connections.discard(connection)
            self._room.leave(connection)
            if connection.known:
                self.web.quota.disconnect(connection.known)
            self._served.unpark_all()

    async def _stream(
        self, connection: WebConnection, tls: ssl.SSLContext | None
    ) -> WebConnection | trio.SSLStream[WebConnection] | None:
        """The stream to speak HTTP on; None if the TLS handshake fails."""
        if tls is None:
            return connection
        # TLS takes 66 kB for a connection: its objects are made when the client's hello arrives.
        await connection.readable()
        async with self._handshakes:
            stream = trio.SSLStream(connection, tls, server_side=True, https_compatible=True)
            done = False
            try:
                await stream.do_handshake()
                done = True
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            finally:
                if not done:
                    forget(stream)
        connection.fresh()
        return stream

    def _tell_of_fault(
        self, connection: WebConnection, group: BaseExceptionGroup[Exception]
    ) -> None:
        """Log one line, and not for each fault: an unauthenticated peer may cause many of them."""
        if self._refusals.turn(connection.address) is not None:
            log.warning("http connection lost reason=%r", shown_text(group.exceptions[0]))


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("devgate.http.hypercorn")
    config.include_server_header = False
    config.keep_alive_max_requests = 1_000_000
    config.h2_max_concurrent_streams = MAX_STREAMS
    return config
