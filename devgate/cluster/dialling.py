"""Connects to another node at its address, and checks that it is that node."""

from __future__ import annotations

import socket
import ssl

import trio

from devgate.cluster.wording import PING_ID, LineReader, encoded
from devgate.control.transport import PlainTransport, TlsTransport, Transport
from devgate.errors import DevgateError
from devgate.gateway.membership import Reply, Unreachable
from devgate.net.addresses import parse

CONNECT_SECONDS = 1.0  # for the connection, TLS, and the first reply


async def dial(node: str, address: str, token: str, tls: ssl.SSLContext | None) -> Transport:
    """Connect, and see that it is that node and that it takes the token.

    Nothing else has been asked until then, so that every failure is Unreachable. The caller
    closes the transport's socket.
    """
    why = "no answer"
    with trio.move_on_after(CONNECT_SECONDS):
        try:
            return await _greeted(node, *parse(address), token, tls)
        except (OSError, ValueError, DevgateError) as err:
            why = str(err)
    raise Unreachable(f"node {node} at {address}: {why}")


async def _greeted(
    node: str, host: str, port: int, token: str, tls: ssl.SSLContext | None
) -> Transport:
    stream = await trio.open_tcp_stream(host, port)
    # A plain socket, because the transports of the control channel need one.
    sock = socket.socket(fileno=stream.socket.detach())
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport: Transport = (
            PlainTransport(sock) if tls is None else await _secured(sock, tls, host)
        )
        await send_all(transport, encoded({"type": "ping"}, PING_ID, token))
        reply = await _first(transport)
        if reply.get("status") != "200":
            raise ValueError(reply.get("message"))
        if reply.get("node") != node:
            raise ValueError(f"that is node {reply.get('node')}")
    except BaseException:
        sock.close()
        raise
    return transport


async def _secured(sock: socket.socket, tls: ssl.SSLContext, host: str) -> TlsTransport:
    stream = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(sock)),
        tls,
        server_hostname=host,
        https_compatible=True,  # lines tell their own ends
    )
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as err:
        raise OSError(f"TLS handshake failed: {err.__cause__ or err}") from err
    return TlsTransport(sock, stream)


async def _first(transport: Transport) -> Reply:
    lines = LineReader()
    while data := await transport.receive():
        for reply in lines.feed(data):
            return reply
    raise OSError("it closed the connection")


async def send_all(transport: Transport, data: bytes) -> None:
    """Send it, after waiting if need be. Raises OSError."""
    while data:
        data = data[await transport.send(data) :]
