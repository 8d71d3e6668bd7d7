"""One connection of the web, as hypercorn works with it."""

from __future__ import annotations

import math
import socket as stdlib

import trio

from devgate.net.turns import Turns

# Hypercorn shields what it sends from being cancelled, so a peer that reads nothing would hold its
# connection for ever, and the gateway could not stop: here the connection is cut off.
SEND_SECONDS = 30.0  # seconds in which the peer takes no byte
MIN_RATE = 1024  # bytes a second that the peer has to take on average, after that time
# Hypercorn keeps a connection whose peer has ended it open for as long as an idle one. Clients
# that open a connection for each request would soon take all places.
GRACE_SECONDS = 1.0  # seconds that it stays open for a request that is on its way to its task
STOP_SECONDS = 0.05  # the same, when the gateway stops
# Seconds for the head of a request, from its first byte, and until the first request begins.
HEAD_SECONDS = 10.0
IDLE_SECONDS = 30.0  # seconds between two requests
PIECE_BYTES = 2048  # bytes that are processed in one turn of the loop
LARGE_PIECE_BYTES = 16384  # the same for bytes that are only passed on: bodies, encrypted data


class WebConnection(trio.abc.HalfCloseableStream):
    """A socket whose sending and waiting end in time, and that can be cut off from outside.

    All work for it has to be done within `scope`.
    """

    def __init__(self, socket: trio.socket.SocketType, address: str, turns: Turns) -> None:
        """`address` is the peer's, without its port."""
        self.socket = socket
        self.address = address
        self.scope = trio.CancelScope()
        self.since = trio.current_time()  # accepted
        self.idle_since = self.since  # if no request is under way
        self.known = ""  # the source of a caller who has shown a token or session on it
        self.only_health = False  # it has a place that is reserved for /healthz and /readyz
        self._turns = turns
        self._requests = 0  # under way
        self._asked = False  # there was a request
        self._head: float | None = None  # when the first byte of a request's head came
        self._ended = False  # nothing more comes from the peer
        self.closing = False  # as soon as no request is under way
        self._plan()

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._requests > 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it. Raises trio.BrokenResourceError if the peer takes too little for too
        long.

        It must take MIN_RATE bytes a second on average, after SEND_SECONDS.
        """
        unsent = memoryview(data)
        begun, size = trio.current_time(), len(unsent)
        while unsent:
            sent = 0
            now = trio.current_time()
            passed = (size - len(unsent)) / MIN_RATE
            with trio.move_on_at(min(now, begun + passed) + SEND_SECONDS):
                try:
                    sent = await self.socket.send(unsent)
                except OSError as err:
                    raise trio.BrokenResourceError(str(err)) from err
            if not sent:
                self.abort()
                raise trio.BrokenResourceError("it does not read")
            unsent = unsent[sent:]

    async def wait_send_all_might_not_block(self) -> None:
        """As trio.abc.SendStream: wait until the socket takes something."""
        await trio.lowlevel.wait_writable(self.socket)

    async def readable(self) -> None:
        """Wait until something has come, or the end, and it is this connection's turn."""
        await self._turns.readable(self.socket.fileno())

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What has come, at most LARGE_PIECE_BYTES, when it is this connection's turn."""
        data = b""
        try:
            await self.readable()
            data = await self.socket.recv(min(max_bytes or LARGE_PIECE_BYTES, LARGE_PIECE_BYTES))
        except OSError as err:
            raise trio.BrokenResourceError(str(err)) from err
        finally:
            if not data:
                self._ended = True
                self._plan()
        return data

    def fresh(self) -> None:
        """The TLS handshake is done: from now on the first request is waited for."""
        self.since = self.idle_since = trio.current_time()
        self._plan()

    def reads(self) -> None:
        """A part of a request's head has come."""
        if self._head is None and not self._requests:
            self._head = trio.current_time()
            self._plan()

    def begins(self) -> None:
        """A request is under way."""
        self._requests += 1
        self._asked = True
        self._head = None
        self._plan()

    def ends(self) -> None:
        """A request was answered, or will not be."""
        self._requests -= 1
        self.idle_since = trio.current_time()
        self._plan()

    def finish(self) -> None:
        """Close it as soon as no request is under way."""
        self.closing = True
        self._plan()

    def _plan(self) -> None:
        """Set when the connection is closed, unless something happens before."""
        now = trio.current_time()
        if self._requests:
            deadline = math.inf
        elif self.closing:
            deadline = now + STOP_SECONDS
        elif self._ended:
            deadline = now + GRACE_SECONDS
        elif self._head is not None:
            deadline = self._head + HEAD_SECONDS
        else:
            deadline = self.idle_since + (IDLE_SECONDS if self._asked else HEAD_SECONDS)
        self.scope.deadline = deadline

    async def send_eof(self) -> None:
        """End our side. Raises trio.BrokenResourceError if it is over."""
        try:
            self.socket.shutdown(stdlib.SHUT_WR)
        except OSError as err:
            raise trio.BrokenResourceError(str(err)) from err

    async def aclose(self) -> None:
        """Close the socket; the second time does nothing."""
        self._close()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close it and cancel all work for it. The second time does nothing."""
        self._close()
        self.scope.cancel()

    def _close(self) -> None:
        self._turns.closes(self.socket.fileno())
        self.socket.close()
