"""A small real server for simulated devices: it answers, and sends what a test wants sent."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import trio

from devgate.model import Imei
from devgate.protocol.frames import SHORT_404, encode

FRAME = re.compile(rb"023([0-9]{3})([0-9]{15})([A-Z]{2})")
TEXTS = {"TN": b"400-500-5620", "QR": b"http://csgxjk.com/qrcode/dev/16"}


class Server:
    """`got` counts what came: (status, command), and heartbeats as ("", bytes)."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self.listener = listener
        self.target: tuple[str, int] = listener.socket.getsockname()[:2]
        self.streams: dict[Imei, trio.SocketStream] = {}
        self.sources: set[str] = set()
        self.got: Counter[tuple[str, str]] = Counter()
        self.refused: set[Imei] = set()
        self.acknowledges = True
        self._sending = trio.Lock()
        self._change = trio.Event()

    async def until(self, count: int, status: str, command: str) -> None:
        """Wait until this many of these have come."""
        while self.got[status, command] < count:
            await self._change.wait()

    async def order(self, imei: Imei, command: str, data: bytes = b"") -> None:
        await self._send(self.streams[imei], encode("000", imei, command, data))

    def abort(self, imei: Imei) -> None:
        """End the connection, as a gateway that dies does."""
        self.streams.pop(imei).socket.close()

    async def serve(self, stream: trio.SocketStream) -> None:
        self.sources.add(stream.socket.getpeername()[0])
        try:
            async with stream, aclosing(_reads(stream)) as reads:
                async for data in reads:
                    if wire := self._answer(stream, data):
                        await self._send(stream, wire)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _send(self, stream: trio.SocketStream, wire: bytes) -> None:
        async with self._sending:
            await stream.send_all(wire)

    def _answer(self, stream: trio.SocketStream, data: bytes) -> bytes:
        """Devices write each step at once, and loopback keeps it together."""
        wire = b""
        for status, digits, name in FRAME.findall(data):
            imei, command = Imei(digits.decode()), name.decode()
            self.got[status.decode(), command] += 1
            if command == "HT":
                if imei not in self.refused:
                    self.streams[imei] = stream
                wire += encode("300" if imei in self.refused else "200", imei, command)
            elif command in TEXTS:
                wire += encode("200", imei, command, TEXTS[command])
            elif self.acknowledges:
                wire += encode("200", imei, command)
        if beat := FRAME.sub(b"", data):
            self.got["", beat.decode()] += 1
            wire = wire or (b"" if stream in self.streams.values() else SHORT_404)
        self._change.set()
        self._change = trio.Event()
        return wire


async def _reads(stream: trio.SocketStream) -> AsyncGenerator[bytes, None]:
    async for data in stream:
        yield bytes(data)


@asynccontextmanager
async def serving() -> AsyncGenerator[Server, None]:
    """A server on a free port of loopback, for the time of the block."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server(listener)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield server
        nursery.cancel_scope.cancel()
