"""The door for the web: hypercorn's protocols on sockets and in tasks of our own.

Hypercorn's own `serve` is not used. There an exception in one connection ends the whole
process (its issue 225: a byte behind a request to upgrade is enough), it accepts without a
limit, and a peer that does not read keeps it from ending. So connections are accepted,
counted, contained and ended here; hypercorn speaks HTTP on them.
"""

from __future__ import annotations

import errno
import logging
import socket as stdlib
import ssl
from pathlib import Path
from typing import NoReturn, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from devgate.gateway.access import Tokens
from devgate.gateway.gateway import Gateway
from devgate.http.application import application
from devgate.http.exchange import Exchanges
from devgate.http.web import Dispatch, opened
from devgate.http.wire import Wire
from devgate.net.addresses import bind, shown
from devgate.net.tls import context

log = logging.getLogger("devgate.http")

MAX_CONNECTIONS = 1024  # at once: strangers cannot take all descriptors from the devices
MAX_STREAMS = 32  # requests at once on one connection of HTTP/2
IDLE = 30.0  # seconds between two requests, or for the head of one
HANDSHAKE = 15.0  # seconds for TLS
PAUSE = 0.1  # seconds until the next try when there are no descriptors left
NO_MORE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class WebServer:
    """Serves the web of one gateway, from `serve` to the end of `drain`."""

    def __init__(self, gateway: Gateway, dispatch: Dispatch, tokens: Tokens | None) -> None:
        """Raises SetupError for a file of [http] that is of no use."""
        self.web = web = opened(gateway, dispatch, tokens)
        self._refusals = gateway.refusals
        self._config = _config()
        self._worker = WorkerContext(None)
        self._app = application(web)
        self._room = trio.Semaphore(MAX_CONNECTIONS)
        self._accepting = trio.CancelScope()
        self._wires: set[Wire] = set()
        self._served = trio.lowlevel.ParkingLot()

    async def serve(
        self, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled or drained. Started with the addresses really bound.

        Raises SetupError for an address or certificate that cannot be had.
        """
        tls = self._tls()
        # A thread: the address may be a name that somebody must be asked for.
        doors = await trio.to_thread.run_sync(bind, self.web.settings.listen)
        places = [shown(door) for door in doors]
        try:
            async with trio.open_nursery() as inside:
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
                while self._wires:
                    await self._served.park()
                inside.cancel_scope.cancel()
        finally:
            for door in doors:
                door.close()

    async def drain(self) -> None:
        """Close the doors, end the streams, let replies out; until all connections are closed.

        Bounded by the requests under way; the caller sets a deadline, and then cancels.
        """
        await self._worker.terminated.set()
        self.web.stopping.set()
        self._accepting.cancel()
        try:
            while self._wires:
                await self._served.park()
        finally:
            self.abort()

    def abort(self) -> None:
        """Cut every connection off. What hypercorn sends cannot be cancelled otherwise."""
        for wire in self._wires:
            wire.abort()

    def _tls(self) -> ssl.SSLContext | None:
        files = self.web.settings.tls
        if files is None:
            return None
        ca = Path(files.client_ca) if files.client_ca else None
        tls = context(Path(files.certificate), Path(files.key), ca)
        tls.set_alpn_protocols(["h2", "http/1.1"])
        return tls

    async def _accept(
        self, door: stdlib.socket, inside: trio.Nursery, tls: ssl.SSLContext | None
    ) -> NoReturn:
        listener = trio.socket.from_stdlib_socket(door)
        while True:
            await self._room.acquire()  # never a socket that cannot be served
            sock = None
            try:
                sock, _ = await listener.accept()
            except OSError as err:
                if err.errno in NO_MORE:
                    log.warning("http accept paused reason=%r", err.strerror)
                    await trio.sleep(PAUSE)
                # Any other: that client has gone again.
            finally:
                if sock is None:
                    self._room.release()
            if sock is not None:
                inside.start_soon(self._own, sock, tls)

    async def _own(self, sock: trio.socket.SocketType, tls: ssl.SSLContext | None) -> None:
        """Own one connection until it is closed. A fault in it ends it alone."""
        wire = Wire(sock)
        self._wires.add(wire)
        stream: Wire | trio.SSLStream[Wire] = wire
        if tls is not None:
            stream = trio.SSLStream(wire, tls, server_side=True, https_compatible=True)
        # Their types are narrower than what the two do: ASGI's own, and a socket's stream.
        app = ASGIWrapper(cast(ASGIFramework, Exchanges(self._app, wire, self._refusals.turn)))
        trios = cast("trio.SSLStream[trio.SocketStream]", stream)
        try:
            with wire.scope:
                await TCPServer(app, self._config, self._worker, ConnectionState({}), trios).run()
        except* Exception as group:
            log.warning("http connection lost reason=%r", group.exceptions[0])
        finally:
            wire.abort()
            self._wires.discard(wire)
            self._room.release()
            self._served.unpark_all()


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("devgate.http.hypercorn")
    config.include_server_header = False
    config.keep_alive_timeout = IDLE
    config.keep_alive_max_requests = 1_000_000
    config.ssl_handshake_timeout = HANDSHAKE
    config.h2_max_concurrent_streams = MAX_STREAMS
    return config
