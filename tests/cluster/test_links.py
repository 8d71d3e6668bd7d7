"""Requests to other nodes: many on one link, and what is known when one is not answered."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest
import trio

from devgate.cluster import link as link_module
from devgate.cluster.door import Secret
from devgate.cluster.link import MAX_OUTSTANDING
from devgate.cluster.links import Links
from devgate.cluster.wording import MAX_LINE
from devgate.control.requests import MAX_REQUEST
from devgate.errors import CallerError, DevgateError
from devgate.gateway.membership import Lost, Unreachable
from tests.cluster.other import ECHO, SECRET, opened, pair, stream


async def test_a_request_is_answered_with_the_operations_own_fields() -> None:
    async with pair() as two:
        reply = await two.links.ask("b", ECHO)
        assert reply == {"args": ECHO, "source": "node:a", "id": "the reply's own"}
        assert await two.links.ask("b", {"type": "ping"}) == {"status": "200", "node": "b"}


async def test_many_requests_run_side_by_side_on_one_connection() -> None:
    """The last one that is asked may be answered first."""
    async with pair() as two:
        got: list[object] = []

        async def hold(number: int) -> None:
            got.append((await two.links.ask("b", {"type": "hold", "n": number}))["n"])

        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(hold, number)
            await two.other.answers.until_held(500)
            assert (await two.links.ask("b", ECHO))["args"] == ECHO
            assert got == []
            assert len(two.other.server._connections) == 1
            two.other.answers.gate.set()
        assert sorted(got, key=int.__index__) == list(range(500))  # type: ignore[arg-type]


async def test_what_the_other_node_refuses_is_raised() -> None:
    async with pair() as two:
        with pytest.raises(DevgateError, match=r"^no$") as caught:
            await two.links.ask("b", {"type": "refuse"})
        assert (caught.value.status, caught.value.outcome) == ("409", "conflict")
        assert caught.value.more == {"earlier": "01X"}
        with pytest.raises(DevgateError, match="one of these expected") as caught:
            await two.links.ask("b", {"type": "nothing"})
        assert caught.value.status == "400"


async def test_a_link_has_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,024 requests under way; and pings are answered beside them."""
    monkeypatch.setattr(link_module, "PING_SECONDS", 0.1)
    async with pair() as two, trio.open_nursery() as nursery:
        for number in range(MAX_OUTSTANDING):
            nursery.start_soon(two.links.ask, "b", {"type": "hold", "n": number})
        await two.other.answers.until_held(MAX_OUTSTANDING)
        with pytest.raises(Unreachable, match="has 1024 requests of ours under way"):
            await two.links.ask("b", ECHO)
        while two.other.answers.pings < 1 + 2 * link_module.MAX_SILENT_PINGS:
            await two.other.answers.changed.park()
        two.other.answers.gate.set()


async def test_a_request_that_is_too_long_ends_no_link() -> None:
    async with pair() as two:
        with pytest.raises(CallerError, match=f"more than {MAX_REQUEST} bytes"):
            await two.links.ask("b", {"type": "echo", "text": "x" * MAX_REQUEST})
        link = two.links._links["b"]
        assert (await two.links.ask("b", ECHO))["args"] == ECHO
        assert two.links._links["b"] is link


async def test_a_line_that_is_too_long_ends_the_link() -> None:
    async with pair() as two:
        with pytest.raises(Lost, match=f"a line of more than {MAX_LINE} bytes"):
            await two.links.ask("b", {"type": "long", "size": MAX_LINE - 10})
        reply = await two.links.ask("b", {"type": "long", "size": MAX_LINE // 2})
        assert len(str(reply["text"])) == MAX_LINE // 2


async def test_nobody_there() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        address = f"127.0.0.1:{gone.getsockname()[1]}"
    async with pair() as two:
        with pytest.raises(Unreachable, match="no living node is called c"):
            await two.links.ask("c", ECHO)
        two.addresses["c"] = address
        with pytest.raises(Unreachable, match=f"node c at {address}"):
            await two.links.ask("c", ECHO)
        two.addresses["c"] = "127.0.0.1:none"
        with pytest.raises(Unreachable, match="an address and a port expected"):
            await two.links.ask("c", ECHO)
        two.addresses["c"] = (await opened(two.nursery, "c")).address
        assert (await two.links.ask("c", ECHO))["args"] == ECHO


async def test_another_node_at_that_address_is_not_asked() -> None:
    async with pair() as two:
        two.addresses["c"] = two.addresses["b"]
        with pytest.raises(Unreachable, match="that is node b"):
            await two.links.ask("c", {"type": "hold"})
        assert two.other.answers.held == []


async def test_a_node_that_has_moved_is_asked_where_it_is() -> None:
    async with pair() as two:
        assert (await two.links.ask("b", ECHO))["args"] == ECHO
        newer = await opened(two.nursery)
        two.addresses["b"] = newer.address
        assert (await two.links.ask("b", ECHO))["args"] == ECHO
        assert len(newer.server._connections) == 1


@pytest.mark.parametrize("secret", ["", "wrong", SECRET + "x", SECRET[:-1]])
async def test_a_wrong_secret_is_refused_and_counted(secret: str) -> None:
    async with pair(secret=secret) as two:
        with pytest.raises(Unreachable, match="a wrong token; nothing was done"):
            await two.links.ask("b", {"type": "hold"})
        with pytest.raises(Unreachable, match="a wrong token"):
            async with stream(two.links, "b", {"type": "count", "to": 1}):
                raise AssertionError("nobody was let in")
        assert two.other.answers.held == []
        assert two.other.refusals.counts.refused["cluster", "token"] == 2


async def test_unauthenticated_peers_at_the_nodes_door_are_bounded() -> None:
    """Three requests with a wrong token, and the connection is closed."""
    async with pair() as two:
        stream = await trio.open_tcp_stream("127.0.0.1", int(two.other.address.split(":")[1]))
        async with stream:
            await stream.send_all(b'command{"type":"ping","token":"a:no"}' * 100)
            got = b""
            while data := await stream.receive_some():
                got += data
        assert got.count(b'"status":"401"') == 3
        assert two.other.refusals.counts.refused["cluster", "token"] == 3


def test_only_the_secret_lets_a_node_in() -> None:
    access = Secret(lambda: SECRET)
    found = access.check(f"a:{SECRET}")
    assert found is not None
    assert found.name == "a"
    tokens: tuple[object, ...] = (
        SECRET,
        f":{SECRET}",
        f"a b:{SECRET}",
        f"a:{SECRET}:",
        "a:",
        5,
        None,
        {},
    )
    for token in tokens:
        assert access.check(token) is None, token
    assert Secret(lambda: "").check("a:") is None, "before there is a secret"
    assert access.check("a:" + "\ud800") is None


async def test_a_secret_that_was_changed_meanwhile_is_refused() -> None:
    """On a link that was open before: nothing is done for that request either."""
    secret = [SECRET]
    async with trio.open_nursery() as nursery:
        other = await opened(nursery)
        links = Links("a", lambda: secret[0], {"b": other.address}.get, None)
        await nursery.start(links.run)
        await links.ask("b", ECHO)
        secret[0] = "another"
        with pytest.raises(Unreachable, match="refused the secret"):
            await links.ask("b", {"type": "hold"})
        assert other.answers.held == []
        nursery.cancel_scope.cancel()


async def test_a_node_that_dies_in_the_middle() -> None:
    """What it was asked is lost, and the next request does not reach it."""
    async with pair() as two:
        lost: list[str] = []

        async def hold(number: int) -> None:
            try:
                await two.links.ask("b", {"type": "hold", "n": number})
            except Lost as err:
                lost.append(str(err))

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(hold, number)
            await two.other.answers.until_held(10)
            two.other.dies()
        assert lost == ["node b: the node closed the link"] * 10
        with pytest.raises(Unreachable):
            await two.links.ask("b", ECHO)
        assert two.links._links == {}


async def test_one_waiter_that_leaves_disturbs_no_other() -> None:
    async with pair() as two:
        for n in (1, 2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(two.links.ask, "b", {"type": "hold", "n": n})
                await two.other.answers.until_held(n)
                nursery.cancel_scope.cancel()
        two.other.answers.gate.set()
        assert (await two.links.ask("b", ECHO))["args"] == ECHO


async def test_links_that_have_ended_reach_nobody() -> None:
    links = Links("a", lambda: SECRET, {"b": "127.0.0.1:1"}.get, None)
    with pytest.raises(Unreachable, match="this node stops"):
        await links.ask("b", ECHO)


async def test_an_idle_link_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(link_module, "PING_SECONDS", 0.01)
    async with pair() as two:
        for _ in range(3):  # and opened again
            assert (await two.links.ask("b", ECHO))["args"] == ECHO
            link = two.links._links["b"]
            while not link.closed:  # noqa: ASYNC110 - by its own clock
                await trio.sleep(0.005)
            while two.other.server._connections:  # noqa: ASYNC110 - the other side sees it
                await trio.sleep(0.005)
        assert link.why == "", "it was not lost"
