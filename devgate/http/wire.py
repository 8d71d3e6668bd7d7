"""One connection of the web, as hypercorn works with it."""

from __future__ import annotations

import math
import socket as stdlib
from contextlib import suppress

import trio

# Hypercorn shields what it sends from being cancelled, so who reads nothing would hold a
# connection for ever, and the end of the gateway up: here it is given up.
PATIENCE = 30.0  # seconds in which the peer takes no byte
# Hypercorn keeps a connection whose peer has ended it for as long as an idle one. Clients that
# open one for each request would soon have them all.
GRACE = 1.0  # seconds that it is kept for a request that is on its way to its task
MOST = 65536  # bytes that are read at once


class Wire(trio.abc.HalfCloseableStream):
    """A socket whose sending ends in time, and that can be cut off from outside.

    All that is done for it is to be done within `scope`.
    """

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self.socket = socket
        self.scope = trio.CancelScope()
        self._requests = 0  # under way
        self._ended = False  # nothing more comes from the peer
        with suppress(OSError):  # gone already: reading will tell
            socket.setsockopt(stdlib.IPPROTO_TCP, stdlib.TCP_NODELAY, 1)
            # A host that lost its power never says so: ask after a minute, give up after two.
            socket.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_KEEPALIVE, 1)
            socket.setsockopt(stdlib.IPPROTO_TCP, stdlib.TCP_KEEPIDLE, 60)
            socket.setsockopt(stdlib.IPPROTO_TCP, stdlib.TCP_KEEPINTVL, 20)
            socket.setsockopt(stdlib.IPPROTO_TCP, stdlib.TCP_KEEPCNT, 3)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            sent = 0
            with trio.move_on_after(PATIENCE):
                try:
                    sent = await self.socket.send(rest)
                except OSError as err:
                    raise trio.BrokenResourceError(str(err)) from err
            if not sent:
                self.abort()
                raise trio.BrokenResourceError("it does not read")
            rest = rest[sent:]

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.wait_writable(self.socket)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = b""
        try:
            data = await self.socket.recv(max_bytes or MOST)
        except OSError as err:
            raise trio.BrokenResourceError(str(err)) from err
        finally:
            if not data:
                self._ended = True
                self._plan()
        return data

    def begins(self) -> None:
        """A request is under way."""
        self._requests += 1
        self._plan()

    def ends(self) -> None:
        """It was answered, or will not be."""
        self._requests -= 1
        self._plan()

    def _plan(self) -> None:
        over = self._ended and not self._requests
        self.scope.deadline = trio.current_time() + GRACE if over else math.inf

    async def send_eof(self) -> None:
        try:
            self.socket.shutdown(stdlib.SHUT_WR)
        except OSError as err:
            raise trio.BrokenResourceError(str(err)) from err

    async def aclose(self) -> None:
        self.socket.close()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close it under whoever works for it. The second time does nothing."""
        self.socket.close()
        self.scope.cancel()
