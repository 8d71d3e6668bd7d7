"""A stream of another node: a connection of its own, so that a slow reader holds up no request."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Mapping

import trio

from devgate.cluster.dialling import send_all
from devgate.cluster.link import MAX_SILENT_PINGS, PING_SECONDS
from devgate.cluster.wording import PING_ID, LineReader, encoded, meant
from devgate.control.transport import Transport
from devgate.gateway.membership import Lost, Reply

STREAM_ID = 1  # of the one request on its connection
RESET = struct.pack("ii", 1, 0)


class RemoteStream:
    """The reply, then a line an event until either side ends it. One task reads it."""

    def __init__(self, node: str, transport: Transport, token: str) -> None:
        self.reply: Reply = {}
        self._node = node
        self._transport = transport
        self._ping = encoded({"type": "ping"}, PING_ID, token)
        self._lines = LineReader()
        self._read: deque[Reply] = deque()
        self._ended = False

    async def begin(self, request: Mapping[str, object], token: str) -> None:
        """Ask, and wait for the reply. Raises what Links.ask() raises."""
        data = encoded(request, STREAM_ID, token)
        try:
            await send_all(self._transport, data)
        except OSError as err:
            raise Lost(f"node {self._node}: {err}") from err
        self.reply = meant(await self._next())

    def __aiter__(self) -> RemoteStream:
        return self

    async def __anext__(self) -> Reply:
        """The next line. Raises Lost, or DevgateError where the node refuses to go on."""
        if self._ended:
            raise StopAsyncIteration
        found = await self._next()
        if isinstance(line := found.get("line"), dict):
            return line
        self._ended = True
        if found.get("end") is not True:
            meant(found)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connection: that ends the stream at the other node."""
        self._ended = True
        sock = self._transport.sock
        if sock.fileno() != -1:
            # With a reset: if only our side ended, the other node would go on sending.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()
        await trio.lowlevel.checkpoint()

    async def _next(self) -> Reply:
        silent = 0
        while not self._read:
            data: bytes | None = None
            try:
                with trio.move_on_after(PING_SECONDS):
                    data = await self._transport.receive()
                if data is None:
                    silent += 1
                    if silent >= MAX_SILENT_PINGS:
                        raise Lost(
                            f"node {self._node}: it was silent for "
                            f"{MAX_SILENT_PINGS * PING_SECONDS:g} s"
                        )
                    with trio.move_on_after(PING_SECONDS):
                        await send_all(self._transport, self._ping)
                    continue
                silent = 0
                self._read.extend(
                    line for line in self._lines.feed(data) if line.get("id") != PING_ID
                )
            except (OSError, ValueError) as err:
                raise Lost(f"node {self._node}: {err}") from err
            if not data:
                raise Lost(f"node {self._node}: it ended the stream")
        return self._read.popleft()
