"""A gateway answers for another node, over a real link: as if it had been asked itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import trio

from devgate.cluster.door import door
from devgate.cluster.links import Links
from devgate.errors import CallerError, DevgateError
from devgate.gateway.membership import Unreachable
from devgate.gateway.operations import forwarding
from devgate.gateway.operations.entry import dispatch
from devgate.gateway.operations.reply import Reply
from devgate.protocol.frames import encode
from devgate.store.engine import Database
from devgate.store.nodes import Node
from tests.cluster.other import stream
from tests.gateway.rig import NOBODY, X
from tests.gateway.whole import Machine, Whole, serving

SECRET = "s3cret"
ID = "01M8ACJXG58JF64186BWEAMZCP"


@dataclass
class Member:
    """What that gateway knows of itself as a node."""

    node: str = "b"
    incarnation: int = 7
    nodes: Sequence[Node] = ()
    leads: bool = True
    draining: bool = False


@dataclass
class Entry:
    """The other node's side."""

    links: Links
    holder: Whole
    machine: Machine

    async def ask(self, request: Reply, **more: object) -> Reply:
        forward = {"type": "forward", "source": "http:shop", "request": request, **more}
        return await self.links.ask("b", forward)

    async def record(self, command: object) -> Any:
        asked = {"type": "command", "command": command}
        return await dispatch(self.holder.gateway, asked, "test")


@asynccontextmanager
async def entry(store: Database) -> AsyncIterator[Entry]:
    async with serving(store) as (whole, machine, nursery):
        whole.know()
        await whole.knowledge.load()
        await machine.registers()
        gateway = whole.gateway
        gateway.cluster = Member()
        server = door(
            partial(forwarding.dispatch, gateway),
            partial(forwarding.begin, gateway),
            lambda: SECRET,
            refusals=gateway.refusals,
        )
        [address] = await nursery.start(server.serve_tcp, ["127.0.0.1:0"])
        links = Links("a", lambda: SECRET, {"b": address}.get, None)
        await nursery.start(links.run)
        yield Entry(links, whole, machine)


async def test_an_order_has_the_id_and_the_source_of_its_entry(store: Database) -> None:
    async with entry(store) as asks, trio.open_nursery() as nursery:
        replies: list[Reply] = []

        async def start() -> None:
            request: Reply = {"type": "start", "imei": X, "long": 500, "key": "k"}
            replies.append(await asks.ask(request, command=ID))

        nursery.start_soon(start)
        await asks.machine.hears(len(encode("000", X, "QD", b"500")))
        await asks.machine.says(encode("200", X, "QD"))
        while not replies:
            await trio.lowlevel.checkpoint()
        [reply] = replies
        assert list(reply)[:6] == ["status", "message", "imei", "type", "long", "command"]
        assert (reply["status"], reply["outcome"], reply["command"]) == ("200", "done", ID)
        record = await asks.record(ID)
        assert (record["source"], record["key"], record["state"]) == ("http:shop", "k", "ended")


async def test_an_order_without_an_id_gets_a_new_one(store: Database) -> None:
    async with entry(store) as asks:
        reply = await asks.ask({"type": "stop", "imei": X, "wait": False})
        assert reply["status"] == "000"
        assert (await asks.record(reply["command"]))["source"] == "http:shop"


async def test_a_reply_keeps_a_field_id_of_its_own(store: Database) -> None:
    """On the control channel the request's id takes its place (control.md section 1)."""
    async with entry(store) as asks:
        assert (await asks.ask({"type": "device", "imei": X}))["id"] == 16


async def test_refusals_come_as_they_were_raised(store: Database) -> None:
    async with entry(store) as asks:
        reply = await asks.ask({"type": "start", "imei": NOBODY, "long": 1})
        assert (reply["status"], reply["outcome"], reply["imei"]) == ("300", "refused", NOBODY)
        with pytest.raises(DevgateError, match="long: a whole number from 1") as caught:
            await asks.ask({"type": "start", "imei": X, "long": 0})
        assert (caught.value.status, caught.value.outcome) == ("400", "refused")
        with pytest.raises(DevgateError, match="imei") as caught:
            await asks.ask({"type": "status", "imei": "1"})
        assert caught.value.status == "400"


async def test_a_key_that_has_other_content_is_a_conflict_here_too(store: Database) -> None:
    async with entry(store) as asks:
        stop: Reply = {"type": "stop", "imei": X, "key": "k", "wait": False}
        first = await asks.ask(stop, command=ID)
        assert first["command"] == ID
        reply = await asks.ask({**stop, "type": "start", "long": 5})
        assert (reply["status"], reply["outcome"], reply["earlier"]) == ("409", "conflict", ID)


async def test_a_stream_goes_through(store: Database) -> None:
    async with entry(store) as asks:
        forward = {"type": "forward", "source": "s", "request": {"type": "tap", "imei": X}}
        async with stream(asks.links, "b", forward) as lines:
            assert lines.reply["status"] == "200"
            await asks.machine.says(encode("000", X, "TN"))
            frame = await anext(lines)
            assert (frame["imei"], frame["direction"]) == (X, "in")
        forward["request"] = {"type": "export"}
        async with stream(asks.links, "b", forward) as lines:
            assert X in [line.get("imei") async for line in lines], "a stream that ends"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"type": "status"}, "type: ping or forward expected"),
        ({"type": 5}, "type: ping or forward expected"),
        ({"type": "ping", "x": 1}, "ping: it has no 'x'"),
        ({"type": "forward", "source": "s"}, "request: a request expected"),
        ({"type": "forward", "request": {}}, "source: who asked expected"),
        ({"type": "forward", "request": {}, "source": "x" * 81}, "source: a string of 1 to 80"),
        (
            {"type": "forward", "request": {"type": "stop"}, "source": "s", "command": "1"},
            "command: an id of a command expected",
        ),
        (
            {"type": "forward", "request": {"type": "status"}, "source": "s", "command": ID},
            "command: an id is for a start or a stop alone",
        ),
    ],
)
async def test_what_no_node_asks_is_refused(store: Database, args: Reply, said: str) -> None:
    async with entry(store) as asks:
        with pytest.raises(DevgateError, match=said) as caught:
            await asks.links.ask("b", args)
        assert caught.value.status == "400"


async def test_a_gateway_that_is_no_node_is_not_found(store: Database) -> None:
    async with entry(store) as asks:
        asks.holder.gateway.cluster = None
        with pytest.raises(Unreachable, match="this gateway is no node of a cluster"):
            await asks.links.ask("b", {"type": "ping"})


async def test_an_order_that_has_a_task_is_the_same(store: Database) -> None:
    """Behind a request whose task has not begun, an order goes through dispatch()."""
    async with entry(store) as asks:
        gateway = asks.holder.gateway
        stop = {"type": "stop", "imei": X, "wait": False}
        forward = {"type": "forward", "source": "s", "command": ID, "request": stop}
        reply = await forwarding.dispatch(gateway, forward, "node:a")
        assert isinstance(reply, dict)
        assert isinstance(reply["reply"], dict)
        assert reply["reply"]["command"] == ID
        pong = await forwarding.dispatch(gateway, {"type": "ping"}, "node:a")
        assert pong == {"status": "200", "node": "b"}
        with pytest.raises(CallerError):
            await forwarding.dispatch(gateway, {"type": "start"}, "node:a")
