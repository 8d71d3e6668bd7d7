"""A connection to the HTTP port that is over is freed at once: see tests/gateway/test_garbage.py.

Peers can open and end a thousand connections a second. Hundreds of them that the garbage
collector freed together stopped the loop for 15 ms.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio
from priority.priority import Stream
from trio.testing import wait_all_tasks_blocked

from devgate.store.engine import Database
from tests.gateway.rig import opened
from tests.hostile.test_http_connections import HALF_BODY, HALF_HEAD
from tests.hostile.test_http_floods import FLOODS, HELLO, frame
from tests.http.inside import Peers, serving
from tests.net.papers import Papers

CALLS = 10


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


async def settled() -> None:
    """The server has done what it can."""
    await wait_all_tasks_blocked(0.01)


def left_by(calls: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[int]]:
    """How many objects the garbage collector finds after this many calls, without the first."""

    async def count() -> int:
        await calls()
        gc.collect()
        gc.disable()
        try:
            for _ in range(CALLS):
                await calls()
            return gc.collect()
        finally:
            gc.enable()

    return count


@pytest.mark.parametrize(
    "wire",
    [
        HALF_BODY,
        HALF_HEAD,
        b"GET /login HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"",
    ],
    ids=["half body", "half head", "request", "refused", "silent"],
)
async def test_a_plain_connection_leaves_nothing(store: Database, wire: bytes) -> None:
    async with serving(store) as inside:

        async def call() -> None:
            peer = await inside.peers.connect()
            await peer.send_all(wire)
            await settled()
            await peer.aclose()
            await settled()

        assert await left_by(call)() < CALLS, "not one object for a connection"


async def test_half_a_handshake_leaves_nothing(store: Database, tmp_path: Path) -> None:
    async with serving(store, Papers(tmp_path)) as inside:

        async def call() -> None:
            peer = await inside.peers.hello()
            await settled()
            await peer.aclose()
            await settled()

        assert await left_by(call)() < CALLS, "not one object for a connection"


async def http2(peers: Peers, wire: bytes) -> None:
    """Send this, and hang up once the server has closed or done all that it does."""
    tls = await peers.tls("h2")
    with suppress(trio.BrokenResourceError):
        await tls.send_all(HELLO + wire)
    await settled()
    await tls.transport_stream.aclose()
    await settled()
    vars(tls).clear()  # it is ours


@pytest.mark.parametrize("kind", FLOODS)
async def test_http2_leaves_nothing(store: Database, tmp_path: Path, kind: str) -> None:
    """Of a flood, and of a connection that stays below its bounds (for unfinished DATA and
    PRIORITY the library keeps a node that refers to itself, a connection)."""
    many = b"".join(FLOODS[kind][:200])
    few = b"".join(FLOODS[kind][:10])
    async with serving(store, Papers(tmp_path)) as inside:
        for wire in (many, few):
            left = await left_by(partial(http2, inside.peers, wire))()
            assert left <= 8 * CALLS, "not a hundred objects for a connection"


async def test_priorities_are_not_followed(store: Database, tmp_path: Path) -> None:
    """H2: a thousand PRIORITY frames made a tree that took a millisecond for each look."""
    frames = [frame(2, bytes(4) + b"\x0f", 2 * number + 1) for number in range(50)]
    async with serving(store, Papers(tmp_path)) as inside:
        tls = await inside.peers.tls("h2")
        await tls.send_all(HELLO + b"".join(frames))
        await settled()
        assert len(inside.server._connections) == 1, "it has not exceeded its bounds"
        gc.collect()
        nodes = [one for one in gc.get_objects() if isinstance(one, Stream)]
        assert len(nodes) == 1, "the tree's root"
