"""Requests that need no task: they keep to all that holds for the others."""

from __future__ import annotations

import os
import socket
from itertools import pairwise

import trio

from devgate.control.connection import REQUESTS_A_TURN
from devgate.control.limits import Limits
from tests.control.harness import Caller, Json, serving

DONE: Json = {"status": "200", "message": "done"}


async def test_it_is_answered_when_its_time_comes() -> None:
    async with serving() as served:
        caller, office = await served.call(), served.office
        await caller.send({"type": "quick", "name": "a", "id": 7}, {"type": "echo", "id": 8})
        assert (await caller.line())["id"] == 8
        await office.until(office.begun, 1)
        office.taken["a"](DONE)
        assert await caller.line() == {**DONE, "id": 7}


async def test_a_refusal_names_its_field_and_the_connection_goes_on() -> None:
    async with serving() as served:
        caller = await served.call()
        reply = await caller.ask(type="quick-bad", id=1)
        assert reply == {
            "status": "400", "message": "name: a better one expected", "outcome": "refused",
            "id": 1,
        }  # fmt: skip
        assert (await caller.ask(type="echo"))["status"] == "200"


async def test_it_does_not_overtake_a_request_that_has_a_task() -> None:
    """A stop behind a start on one connection reaches the gateway behind it."""
    async with serving() as served:
        caller, office = await served.call(), served.office
        names = [f"{kind}{n}" for n in range(20) for kind in ("hold", "quick")]
        await caller.send(*({"type": name.rstrip("0123456789"), "name": name} for name in names))
        # A request that is not taken is dispatched; here that refuses a `quick`, and notes a hold.
        await office.until(office.begun, 20)
        assert office.begun == [name for name in names if name.startswith("hold")]
        assert {(await caller.line())["status"] for _ in range(20)} == {"400"}


async def test_who_ends_the_sending_side_still_gets_the_reply() -> None:
    async with serving() as served:
        caller, office = await served.call(), served.office
        await caller.send({"type": "quick", "name": "a"})
        await caller.done()
        await office.until(office.begun, 1)
        await trio.testing.wait_all_tasks_blocked()
        office.taken["a"](DONE)
        assert await caller.rest() == [DONE]


async def test_who_ends_the_sending_side_still_gets_the_refusal() -> None:
    """The end came before the task had seen what the poller's call had handed to it: the
    connection was closed without a word."""
    async with serving() as served, await trio.open_unix_socket(served.path) as stream:
        caller = Caller(stream)
        assert (await caller.ask(type="echo"))["status"] == "200"
        with socket.socket(fileno=os.dup(stream.socket.fileno())) as sock:
            sock.send(b"command{hello}")
            served.urgent.run()
            sock.shutdown(socket.SHUT_WR)
            served.urgent.run()
        assert [reply["status"] for reply in await caller.rest()] == ["400"]


async def test_the_reply_to_a_client_that_has_gone_is_nobodys() -> None:
    async with serving() as served:
        caller, office = await served.call(), served.office
        await caller.send({"type": "quick", "name": "a"})
        await office.until(office.begun, 1)
        await trio.aclose_forcefully(caller.stream)
        await trio.testing.wait_all_tasks_blocked()
        office.taken["a"](DONE)
        assert await served.answers()


async def test_drained_it_is_still_answered() -> None:
    async with serving() as served:
        caller, office = await served.call(), served.office
        await caller.send({"type": "quick", "name": "a"})
        await office.until(office.begun, 1)
        served.nursery.start_soon(served.server.drain)
        await trio.testing.wait_all_tasks_blocked()
        office.taken["a"](DONE)
        assert await caller.rest() == [DONE]


async def test_they_count_among_those_under_way() -> None:
    async with serving(limits=Limits(outstanding=2)) as served:
        caller, office = await served.call(), served.office
        await caller.send(*({"type": "quick", "name": name} for name in "abc"))
        await office.until(office.begun, 2)
        await trio.testing.wait_all_tasks_blocked()
        assert office.begun == ["a", "b"]
        office.taken["a"](DONE)
        await office.until(office.begun, 3)


async def test_many_in_one_read_let_others_have_their_turn() -> None:
    async with serving() as served:
        caller, office = await served.call(), served.office
        seen: list[int] = []

        async def look() -> None:
            while len(office.begun) < 4 * REQUESTS_A_TURN:
                seen.append(len(office.begun))
                await trio.lowlevel.checkpoint()

        served.nursery.start_soon(look)
        await caller.send(*({"type": "quick", "name": n} for n in range(4 * REQUESTS_A_TURN)))
        await office.until(office.begun, 4 * REQUESTS_A_TURN)
        assert max(later - earlier for earlier, later in pairwise(seen)) <= 2 * REQUESTS_A_TURN
