"""The bytes of one control connection, plain or through TLS. Both raise only OSError."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from devgate.net.turns import Turns

READ_SIZE = 16384  # about a hundred requests; it bounds the memory that a peer can take
LINGER_SECONDS = 1.0  # for the last reply to arrive, while the peer may still send
HANDSHAKE_SECONDS = 10.0  # for a TLS handshake


class Transport(Protocol):
    """What a connection needs from its socket. One task receives, one sends."""

    sock: socket.socket
    plain: bool  # whether the socket can be read as soon as receive_now() has something

    async def receive(self) -> bytes:
        """The bytes that have come; empty once the peer has ended its side."""

    def receive_now(self, max_bytes: int = READ_SIZE) -> bytes | None:
        """The same without waiting; None when there is nothing."""

    def send_now(self, data: bytes) -> int:
        """Send without waiting. Returns how many of these bytes were sent."""

    async def send(self, data: bytes) -> int:
        """Wait until some of these bytes can be sent. Returns how many were."""

    async def finish(self, turns: Turns | None) -> None:
        """End our side, so that what was sent is not lost to a reset. Bounded by LINGER_SECONDS.

        Bytes that still come are read and dropped: in `turns`, if no good token was shown.
        """


class PlainTransport:
    """A non-blocking socket without TLS."""

    plain = True

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def receive(self) -> bytes:
        """As Transport.receive()."""
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                return self.sock.recv(READ_SIZE)
            except BlockingIOError:
                continue

    def receive_now(self, max_bytes: int = READ_SIZE) -> bytes | None:
        """As Transport.receive_now()."""
        try:
            return self.sock.recv(max_bytes)
        except BlockingIOError:
            return None

    def send_now(self, data: bytes) -> int:
        """As Transport.send_now()."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    async def send(self, data: bytes) -> int:
        """As Transport.send()."""
        while True:
            await trio.lowlevel.wait_writable(self.sock)
            if sent := self.send_now(data):
                return sent

    async def finish(self, turns: Turns | None) -> None:
        """As Transport.finish()."""
        await _linger(self.sock, turns)


class TlsTransport:
    """A socket with TLS, after its handshake."""

    plain = False

    def __init__(self, sock: socket.socket, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.sock = sock
        self._stream = stream

    async def receive(self) -> bytes:
        """As Transport.receive()."""
        with _as_oserror():
            return bytes(await self._stream.receive_some(READ_SIZE))

    def receive_now(self, max_bytes: int = READ_SIZE) -> bytes | None:
        """As Transport.receive_now(): always None."""
        return None  # a TLS record may be incomplete: only waiting can tell

    def send_now(self, data: bytes) -> int:
        """As Transport.send_now(): always 0."""
        return 0

    async def send(self, data: bytes) -> int:
        """As Transport.send(): all of them."""
        with _as_oserror():
            await self._stream.send_all(data)
        return len(data)

    async def finish(self, turns: Turns | None) -> None:
        """As Transport.finish()."""
        with trio.move_on_after(LINGER_SECONDS), _as_oserror():
            await self._stream.unwrap()
        await _linger(self.sock, turns)


async def wrap(sock: socket.socket, context: ssl.SSLContext) -> TlsTransport:
    """Make the handshake. Raises OSError if it fails or takes longer than HANDSHAKE_SECONDS."""
    # Requests show where they end, so a peer that ends without close_notify truncates nothing.
    stream = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(sock)),
        context,
        server_side=True,
        https_compatible=True,
    )
    with _as_oserror(), trio.move_on_after(HANDSHAKE_SECONDS) as scope:
        await stream.do_handshake()
    if scope.cancelled_caught:
        raise TimeoutError("TLS handshake")
    return TlsTransport(sock, stream)


@contextmanager
def _as_oserror() -> Iterator[None]:
    try:
        yield
    except (trio.BrokenResourceError, trio.ClosedResourceError) as err:
        raise ConnectionResetError(str(err)) from err


async def _linger(sock: socket.socket, turns: Turns | None) -> None:
    """Shut down our side, then read and drop what still comes.

    A socket closed with bytes unread resets the connection, and the reset may overtake
    the reply that was sent last.
    """
    sock.shutdown(socket.SHUT_WR)
    with trio.move_on_after(LINGER_SECONDS):
        while True:
            if turns is not None:
                await turns.readable(sock.fileno())
            else:
                await trio.lowlevel.wait_readable(sock)
            try:
                if not sock.recv(READ_SIZE):
                    return
            except BlockingIOError:
                continue
