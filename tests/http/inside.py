"""A server of the web in the test's own loop, and those who connect to it."""

from __future__ import annotations

import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass

import pytest
import trio

from devgate.config.settings import HttpSettings
from devgate.config.tls import TlsSettings
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.http.server import WebServer
from devgate.store.engine import Database
from tests.gateway.whole import Whole
from tests.net.papers import Papers

NAME = "gate.example"
ADDRESSES = 20  # of the peers: each has 64 places
NO_EVENT = 0.05  # seconds without an event: then the server waits for others


async def no_operation(args: Args, source: str) -> Reply:
    raise AssertionError("no operation is asked for here")


@dataclass(frozen=True)
class Inside:
    """The server, and who connects to it."""

    server: WebServer
    peers: Peers


@asynccontextmanager
async def serving(store: Database, papers: Papers | None = None) -> AsyncIterator[Inside]:
    """A server in this loop; with TLS, if there are papers for it."""
    whole, folder = Whole(store), tempfile.mkdtemp(prefix="dg-")
    http = HttpSettings(listen=["127.0.0.1:0"], secret=f"{folder}/secret")
    if papers is not None:
        tls = TlsSettings(certificate=str(papers.certificate), key=str(papers.key))
        http = http.model_copy(update={"tls": tls})
    whole.gateway.settings = whole.gateway.settings.model_copy(update={"http": http})
    server = WebServer(whole.gateway, no_operation, None)
    async with trio.open_nursery() as nursery:
        [place] = await nursery.start(server.serve)
        with closing(Peers(int(place.rpartition(":")[2]), papers)) as peers:
            yield Inside(server, peers)
        nursery.cancel_scope.cancel()
    await whole.aclose()
    shutil.rmtree(folder)


class Peers:
    """Connections to one server, from ADDRESSES addresses in turn. `close` closes them all."""

    def __init__(self, port: int, papers: Papers | None) -> None:
        self._at = ("127.0.0.1", port)
        self._opened: list[trio.SocketStream] = []
        self._trust = papers.client() if papers is not None else ssl.create_default_context()

    async def connect(self) -> trio.SocketStream:
        sock = trio.socket.socket()
        self._opened.append(trio.SocketStream(sock))
        await sock.bind((f"127.0.0.{2 + len(self._opened) % ADDRESSES}", 0))
        await sock.connect(self._at)
        return self._opened[-1]

    async def hello(self) -> trio.SocketStream:
        """One that sends a ClientHello, and nothing after it."""
        out = ssl.MemoryBIO()
        tls = self._trust.wrap_bio(ssl.MemoryBIO(), out, server_hostname=NAME)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        peer = await self.connect()
        await peer.send_all(out.read())
        return peer

    async def tls(self, alpn: str = "http/1.1") -> trio.SSLStream[trio.SocketStream]:
        """One that has yet to do its handshake."""
        self._trust.set_alpn_protocols([alpn])
        return trio.SSLStream(await self.connect(), self._trust, server_hostname=NAME)

    def close(self) -> None:
        for peer in self._opened:
            peer.socket.close()


async def read_to_end(peer: trio.abc.ReceiveStream) -> bytes:
    """Until the server has closed it: by a reset, if it has not read all."""
    got = b""
    with suppress(trio.BrokenResourceError):
        while data := await peer.receive_some():
            got += data
    return got
