"""Streams from other nodes, and TLS between nodes."""

from __future__ import annotations

import ssl

import pytest
import trio
import trustme

from devgate.errors import DevgateError
from devgate.gateway.membership import Lost, Unreachable
from tests.cluster.other import ECHO, fails, pair, stream


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server at 127.0.0.1, and of a client that knows its authority."""
    authority = trustme.CA()
    server, client = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def test_links_and_streams_over_tls() -> None:
    server, client = _contexts()
    async with pair(served=server, tls=client) as two:
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(two.links.ask, "b", ECHO)
        size = 1_000_000
        assert len(str((await two.links.ask("b", {"type": "long", "size": size}))["text"])) == size
        async with stream(two.links, "b", {"type": "count", "to": 1000}) as lines:
            for number in range(1000):
                assert await anext(lines) == {"number": number}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails, two.links, {"type": "hold"}, Lost)
            await two.other.answers.until_held(1)
            two.other.dies()


async def test_tls_that_does_not_fit_is_unreachable() -> None:
    server, client = _contexts()
    _, peer = _contexts()
    async with pair(served=server, tls=peer) as two:
        with pytest.raises(
            Unreachable, match=r"TLS handshake failed: .*CERTIFICATE_VERIFY_FAILED"
        ):
            await two.links.ask("b", ECHO)
    async with pair(served=server) as two:
        with pytest.raises(Unreachable):
            await two.links.ask("b", ECHO)
    async with pair(tls=client) as two:
        with pytest.raises(Unreachable):
            await two.links.ask("b", ECHO)


async def test_a_stream_has_its_reply_its_lines_and_its_end() -> None:
    async with pair() as two:
        two.other.answers.gate.set()
        async with stream(two.links, "b", {"type": "count", "to": 50}) as lines:
            assert lines.reply == {"status": "200"}
            assert [line async for line in lines] == [{"number": number} for number in range(50)]


async def test_a_stream_of_a_node_that_dies_is_lost() -> None:
    async with pair() as two, stream(two.links, "b", {"type": "count", "to": 1}) as lines:
        assert await anext(lines) == {"number": 0}
        two.other.dies()
        with pytest.raises(Lost, match="it ended the stream"):
            await anext(lines)


async def test_a_stream_that_its_reader_leaves_ends_at_the_other_node() -> None:
    async with pair() as two:
        answers = two.other.answers
        async with stream(two.links, "b", {"type": "count", "to": 1}) as lines:
            assert await anext(lines) == {"number": 0}
            assert answers.streams == 1
        while answers.streams:
            await answers.changed.park()


async def test_a_slow_reader_of_a_stream_holds_up_no_request() -> None:
    async with pair() as two, stream(two.links, "b", {"type": "count", "to": 50_000}) as lines:
        for _ in range(20):
            assert (await two.links.ask("b", ECHO))["args"] == ECHO
        for number in range(50_000):
            assert await anext(lines) == {"number": number}


async def test_a_stream_that_is_refused() -> None:
    async with pair() as two:
        with pytest.raises(DevgateError, match=r"^no$") as caught:
            await two.links.follow("b", {"type": "refuse"})
        assert caught.value.status == "409"
        with pytest.raises(Unreachable, match="no living node"):
            await two.links.follow("c", {"type": "count", "to": 1})
