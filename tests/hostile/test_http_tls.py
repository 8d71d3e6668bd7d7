"""TLS handshakes of strangers at the HTTP port: how many at once, and for how long."""

from __future__ import annotations

import gc
import select
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.config.settings import HttpSettings, TlsSettings
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.http.server import MAX_HANDSHAKES, WebServer
from devgate.http.wire import HEAD
from devgate.store.engine import Database
from tests.gateway.rig import opened
from tests.gateway.whole import Whole
from tests.net.papers import Papers

NAME = "gate.example"
ADDRESSES = 20  # of the strangers: each has 64 places
SILENT, MORE, GONE = 100, 40, 3
NO_EVENT = 0.05  # seconds: then the server has done all that it can do


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


async def no_operation(args: Args, source: str) -> Reply:
    raise AssertionError("no operation is asked for here")


@asynccontextmanager
async def serving(store: Database, papers: Papers) -> AsyncIterator[tuple[WebServer, Strangers]]:
    """A server with TLS in this loop, and those who connect to it."""
    whole = Whole(store)
    tls = TlsSettings(certificate=str(papers.certificate), key=str(papers.key))
    http = HttpSettings(listen=["127.0.0.1:0"], tls=tls)
    whole.gateway.settings = whole.gateway.settings.model_copy(update={"http": http})
    server = WebServer(whole.gateway, no_operation, None)
    async with trio.open_nursery() as nursery:
        [place] = await nursery.start(server.serve)
        with closing(Strangers(papers, int(place.rpartition(":")[2]))) as strangers:
            yield server, strangers
        nursery.cancel_scope.cancel()
    await whole.aclose()


class Strangers:
    """Connections to one server, from ADDRESSES addresses in turn. `close` closes them all."""

    def __init__(self, papers: Papers, port: int) -> None:
        self.trust = papers.client()
        self._at = ("127.0.0.1", port)
        self._opened: list[trio.SocketStream] = []

    async def connect(self) -> trio.SocketStream:
        sock = trio.socket.socket()
        self._opened.append(trio.SocketStream(sock))
        await sock.bind((f"127.0.0.{2 + len(self._opened) % ADDRESSES}", 0))
        await sock.connect(self._at)
        return self._opened[-1]

    def close(self) -> None:
        for stranger in self._opened:
            stranger.socket.close()

    async def hello(self) -> trio.SocketStream:
        """One that sends a ClientHello, and nothing after it."""
        out = ssl.MemoryBIO()
        tls = self.trust.wrap_bio(ssl.MemoryBIO(), out, server_hostname=NAME)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        stranger = await self.connect()
        await stranger.send_all(out.read())
        return stranger


def answered(strangers: list[trio.SocketStream]) -> int:
    """How many of these have something to read: an answer, or that they were closed."""
    poll = select.poll()
    for stranger in strangers:
        poll.register(stranger.socket.fileno(), select.POLLIN)
    return len(poll.poll(0))


def tls_objects() -> int:
    """How many connections have a TLS object on the server's side."""
    gc.collect()
    found = [one for one in gc.get_objects() if isinstance(one, trio.SSLStream)]
    return sum(stream.server_side for stream in found)


async def read_to_end(stranger: trio.SocketStream) -> None:
    """Until the server has closed it: by a reset, if it has not read all."""
    with suppress(trio.BrokenResourceError):
        while await stranger.receive_some():
            pass


async def test_handshakes_under_way_are_bounded(
    mock_clock: MockClock, store: Database, papers: Papers
) -> None:
    """M11: of MAX_HANDSHAKES ClientHellos and 40 more, MAX_HANDSHAKES are answered, beside 100
    connections that send nothing and have no TLS object. For each that leaves, one more is. After
    HEAD seconds all are closed, and an honest client is served."""
    async with serving(store, papers) as (server, strangers):
        silent = [await strangers.connect() for _ in range(SILENT)]
        first = [await strangers.hello() for _ in range(MAX_HANDSHAKES)]
        await wait_all_tasks_blocked(NO_EVENT)
        assert answered(first) == MAX_HANDSHAKES
        more = [await strangers.hello() for _ in range(MORE)]
        await wait_all_tasks_blocked(NO_EVENT)
        assert answered(more) == 0
        assert tls_objects() == MAX_HANDSHAKES
        for stranger in first[:GONE]:
            await stranger.aclose()
        await wait_all_tasks_blocked(NO_EVENT)
        assert answered(more) == GONE
        assert tls_objects() == MAX_HANDSHAKES
        assert answered(silent) == 0
        mock_clock.jump(HEAD)
        for stranger in [*first[GONE:], *more, *silent]:
            await read_to_end(stranger)
        await wait_all_tasks_blocked(NO_EVENT)
        assert not server._wires
        assert tls_objects() == 0
        assert await served(strangers) == b"HTTP/1.1 200 "


async def served(strangers: Strangers) -> bytes:
    """How the answer to an honest client begins."""
    raw = await strangers.connect()
    tls = trio.SSLStream(raw, strangers.trust, server_hostname=NAME)
    await tls.send_all(b"GET /login HTTP/1.1\r\nHost: a\r\n\r\n")
    return bytes(await tls.receive_some())[:13]


async def test_a_handshake_has_as_long_as_a_head(
    mock_clock: MockClock, store: Database, papers: Papers
) -> None:
    """M11: bytes now and then do not make a handshake's time longer, and whoever has finished it
    has HEAD seconds from then on."""
    async with serving(store, papers) as (server, strangers):
        slow, honest = await strangers.connect(), await strangers.connect()
        tls = trio.SSLStream(honest, strangers.trust, server_hostname=NAME)
        for part in (b"\x16", b"\x03", b"\x01\x02"):
            await slow.send_all(part)
            await wait_all_tasks_blocked(NO_EVENT)
            mock_clock.jump(HEAD / 4)
        await tls.do_handshake()
        await wait_all_tasks_blocked(NO_EVENT)
        assert len(server._wires) == 2
        mock_clock.jump(HEAD / 4)
        await read_to_end(slow)
        assert len(server._wires) == 1
        mock_clock.jump(HEAD * 3 / 4 - 0.1)
        await wait_all_tasks_blocked(NO_EVENT)
        assert len(server._wires) == 1
        mock_clock.jump(0.1)
        await read_to_end(honest)
        await wait_all_tasks_blocked(NO_EVENT)
        assert not server._wires
