"""One connection from its first byte to its last: hypercorn's protocols, within our bounds."""

from __future__ import annotations

from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from devgate.http.serving.connection import WebConnection
from devgate.http.serving.frames import Http2
from devgate.http.serving.strict import Http1
from devgate.net.turns import Turns

READ_ERRORS = (trio.ClosedResourceError, trio.BrokenResourceError)

Stream = WebConnection | trio.SSLStream[WebConnection]


def forget(*parts: object) -> None:
    """Remove all attributes of these objects, which are not used any more.

    The objects of a connection refer to one another, so only the garbage collector could free
    them. It would free those of hundreds of connections at a time, while the loop stands still for
    15 ms.
    """
    for part in parts:
        if part is not None:
            vars(part).clear()


class Serving(TCPServer):
    """Hypercorn's connection. The choice of the protocol and the reading are ours."""

    def __init__(
        self, app: ASGIWrapper, config: Config, worker: WorkerContext, connection: WebConnection,
        stream: Stream, turns: Turns,
    ) -> None:  # fmt: skip
        # Hypercorn's type of a stream is narrower than what it needs.
        theirs = cast("trio.SSLStream[trio.SocketStream]", stream)
        super().__init__(app, config, worker, ConnectionState({}), theirs)
        self.connection = connection
        self.refused = False  # for what the peer has sent
        self._turns = turns
        self._tls = stream if isinstance(stream, trio.SSLStream) else None

    async def run(self) -> None:
        """Serve it to its end. Afterwards nothing but `refused` is left of it."""
        try:
            async with TaskGroup() as group:
                await self._speak(group)
        except OSError:
            pass
        finally:
            try:
                await self._close()
            finally:
                refused, protocol = self.refused, vars(self).get("protocol")
                # HTTP/2's connection refers to itself.
                forget(getattr(protocol, "connection", None), protocol, self._tls, self)
                self.refused = refused

    async def _speak(self, group: TaskGroup) -> None:
        sock = self.connection.socket
        client = parse_socket_addr(sock.family, sock.getpeername())
        server = parse_socket_addr(sock.family, sock.getsockname())
        alpn = self._tls.selected_alpn_protocol() if self._tls is not None else None
        protocol = (Http2 if alpn == "h2" else Http1)(
            self.app, self.config, self.context, group, ConnectionState({}), self._tls is not None,
            (self.connection.address, client[1] if client else 0), server, self.protocol_send,
        )  # fmt: skip
        self._task_group = group
        self.protocol = protocol  # type: ignore[assignment]
        await protocol.initiate()
        await self._read(protocol)
        self.refused = protocol.refused

    async def _read(self, protocol: Http1 | Http2) -> None:
        data = b"-"
        while data:
            try:
                data = bytes(await self.stream.receive_some(protocol.piece))
            except READ_ERRORS:
                break
            if isinstance(protocol, Http2):
                # A connection that we closed for its frames would go on to read what TLS holds.
                for part in protocol.meter.cut(data):
                    await self._turns.turn()
                    await protocol.handle(RawData(part))
            else:
                self.connection.reads()
                if self._tls is not None:
                    await self._turns.turn()
                await protocol.handle(RawData(data))
            if protocol.refused:
                self.refused = True
                break
        await protocol.handle(Closed())

    async def protocol_send(self, event: Event) -> None:
        """As TCPServer.protocol_send(): counts what HTTP/2 has sent."""
        if isinstance(event, Updated):
            return  # WebConnection knows how long it has been idle
        await super().protocol_send(event)
        if isinstance(event, RawData) and isinstance(self.protocol, Http2):
            self.protocol.sent(len(event.data))
