"""TLS handshakes at the HTTP port: how many at once, and for how long."""

from __future__ import annotations

import gc
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.http.server import MAX_HANDSHAKES
from devgate.http.serving.connection import HEAD_SECONDS
from devgate.store.engine import Database
from tests.gateway.rig import opened
from tests.http.inside import NO_EVENT, read_to_end, serving
from tests.net.papers import Papers

SILENT, MORE, GONE = 100, 40, 3


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


def answered(peers: list[trio.SocketStream]) -> int:
    """How many of these have something to read: an answer, or that they were closed."""
    poll = select.poll()
    for peer in peers:
        poll.register(peer.socket.fileno(), select.POLLIN)
    return len(poll.poll(0))


def tls_objects() -> int:
    """How many connections have a TLS object on the server's side."""
    gc.collect()
    found = [one for one in gc.get_objects() if isinstance(one, trio.SSLStream)]
    return sum(stream.server_side for stream in found)


async def test_handshakes_under_way_are_bounded(
    mock_clock: MockClock, store: Database, papers: Papers
) -> None:
    """M11: of MAX_HANDSHAKES ClientHellos and 40 more, MAX_HANDSHAKES are answered, beside 100
    connections that send nothing and have no TLS object. For each that leaves, one more is. After
    HEAD_SECONDS all are closed, and an honest client is served."""
    async with serving(store, papers) as inside:
        server, peers = inside.server, inside.peers
        silent = [await peers.connect() for _ in range(SILENT)]
        first = [await peers.hello() for _ in range(MAX_HANDSHAKES)]
        await wait_all_tasks_blocked(NO_EVENT)
        assert answered(first) == MAX_HANDSHAKES
        more = [await peers.hello() for _ in range(MORE)]
        await wait_all_tasks_blocked(NO_EVENT)
        assert answered(more) == 0
        assert tls_objects() == MAX_HANDSHAKES
        for peer in first[:GONE]:
            await peer.aclose()
        await wait_all_tasks_blocked(NO_EVENT)
        assert answered(more) == GONE
        assert tls_objects() == MAX_HANDSHAKES
        assert answered(silent) == 0
        mock_clock.jump(HEAD_SECONDS)
        for peer in [*first[GONE:], *more, *silent]:
            await read_to_end(peer)
        await wait_all_tasks_blocked(NO_EVENT)
        assert not server._connections
        assert tls_objects() == 0
        honest = await peers.tls()
        await honest.send_all(b"GET /login HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await honest.receive_some()).startswith(b"HTTP/1.1 200 ")


async def test_a_handshake_has_as_long_as_a_head(
    mock_clock: MockClock, store: Database, papers: Papers
) -> None:
    """M11: single bytes do not make a handshake's time longer, and whoever has finished it
    has HEAD_SECONDS from then on."""
    async with serving(store, papers) as inside:
        server, peers = inside.server, inside.peers
        slow, tls = await peers.connect(), await peers.tls()
        for part in (b"\x16", b"\x03", b"\x01\x02"):
            await slow.send_all(part)
            await wait_all_tasks_blocked(NO_EVENT)
            mock_clock.jump(HEAD_SECONDS / 4)
        await tls.do_handshake()
        await wait_all_tasks_blocked(NO_EVENT)
        assert len(server._connections) == 2
        mock_clock.jump(HEAD_SECONDS / 4)
        await read_to_end(slow)
        assert len(server._connections) == 1
        mock_clock.jump(HEAD_SECONDS * 3 / 4 - 0.1)
        await wait_all_tasks_blocked(NO_EVENT)
        assert len(server._connections) == 1
        mock_clock.jump(0.1)
        await read_to_end(tls.transport_stream)
        await wait_all_tasks_blocked(NO_EVENT)
        assert not server._connections
