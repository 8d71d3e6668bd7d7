"""The server on a real Unix socket, as control.md section 1 describes it."""

from __future__ import annotations

import json
import logging
import socket
from contextlib import suppress

import pytest
import trio

from devgate.control.limits import Limits
from tests.control.harness import Json, serving

ECHO = b'command{"type":"echo","id":1}'
ECHOED: Json = {"status": "200", "source": "socket", "args": {"type": "echo"}, "id": 1}


async def test_a_request_gets_one_line() -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.raw(ECHO)
        assert await caller.line() == ECHOED


async def test_requests_may_be_split_at_every_byte() -> None:
    async with serving() as served:
        caller = await served.call()
        for cut in range(1, len(ECHO)):
            await caller.raw(ECHO[:cut])
            await trio.testing.wait_all_tasks_blocked()
            await caller.raw(ECHO[cut:])
            assert await caller.line() == ECHOED
        for byte in ECHO:
            await caller.raw(bytes([byte]))
        assert await caller.line() == ECHOED


async def test_joined_requests_each_get_their_reply() -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.send(*({"type": "echo", "id": i} for i in range(500)))
        assert sorted([(await caller.line())["id"] for _ in range(500)]) == list(range(500))


async def test_requests_of_one_connection_run_side_by_side() -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.send({"type": "hold", "name": "a", "id": "A"})
        await caller.send({"type": "hold", "name": "b", "id": "B"}, {"type": "echo", "id": "C"})
        assert (await caller.line())["id"] == "C"
        await served.office.until(served.office.begun, 2)
        for name in "ba":
            served.office.gate(name).set()
            assert await caller.line() == {
                "status": "200", "message": "held", "name": name, "id": name.upper(),
            }  # fmt: skip


@pytest.mark.parametrize("id_", [None, 0, "", "x", 1.5, [1], {"a": {"id": 2}}, "\ud800", True])
async def test_the_id_is_echoed_and_not_handed_on(id_: object) -> None:
    async with serving() as served:
        caller = await served.call()
        reply = await caller.ask(type="echo", id=id_, token="t")
        assert reply["id"] == id_
        assert list(reply)[-1] == "id"
        assert reply["args"] == {"type": "echo"}


async def test_a_bad_field_is_a_400_and_the_connection_goes_on() -> None:
    async with serving() as served:
        caller = await served.call()
        assert await caller.ask(type="fly", id=3) == {
            "status": "400", "message": "type: echo expected, not 'fly'",
            "outcome": "refused", "id": 3,
        }  # fmt: skip
        await caller.raw(ECHO)
        assert await caller.line() == ECHOED


@pytest.mark.parametrize("kind", ["crash", "odd", "quick-crash", "quick-odd"])
async def test_our_own_fault_is_logged_and_answered_500(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as served:
        caller = await served.call()
        reply = await caller.ask(type=kind, id=9)
        assert (reply["status"], reply["id"]) == ("500", 9)
        assert reply["message"].startswith("the gateway failed: ")
        await caller.raw(ECHO)
        assert await caller.line() == ECHOED
    assert "Traceback" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(
    "wire",
    [
        b"hello",
        b"\xff\xfe\xfd",
        b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"command{not json}",
        b'command{"a":"\xff"}',
        b"command" + b"{" * 100,
        b"command{" + b" " * 70000,
    ],
    ids=repr,
)
async def test_what_is_no_request_gets_one_400_and_the_end(wire: bytes) -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.raw(wire)
        (reply,) = await caller.rest()
        assert reply["status"] == "400"
        assert await served.answers()


@pytest.mark.parametrize("front", [b"", b"command"])
async def test_a_mebibyte_of_braces_gets_one_400(front: bytes) -> None:
    async with serving() as served:
        caller = await served.call()
        with suppress(trio.BrokenResourceError):  # it need not take them all
            await caller.raw(front + b"{" * 1048576)
        (reply,) = await caller.rest()
        assert reply["status"] == "400"
        assert await served.answers()


async def test_the_replies_of_earlier_requests_still_come() -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.send(
            {"type": "count", "to": 0, "name": "s"}, {"type": "hold", "name": "a", "id": 1}
        )
        await caller.line()
        await served.office.until(served.office.begun, 2)
        await caller.raw(b"nonsense" + ECHO)
        assert (await caller.line())["status"] == "400"
        await served.office.until(served.office.ended, 1)
        assert served.office.ended == [("stream", "s")]
        served.office.gate("a").set()
        assert [reply["id"] for reply in await caller.rest()] == [1]


async def test_half_a_request_at_the_end_is_answered() -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.raw(ECHO + b'command{"type":"echo"')
        await caller.done()
        replies = await caller.rest()
        assert sorted(reply["status"] for reply in replies) == ["200", "400"]


async def test_a_client_that_ends_its_sending_side_gets_all_its_replies() -> None:
    """As `printf ... | nc -U -N` does."""
    async with serving() as served:
        caller = await served.call()
        await caller.send({"type": "hold", "name": "a"}, {"type": "echo"})
        await caller.done()
        assert (await caller.line())["source"] == "socket"
        served.office.gate("a").set()
        assert [reply["name"] for reply in await caller.rest()] == ["a"]


async def test_and_its_streams_until_it_closes() -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.send({"type": "count", "to": 2, "id": 5, "name": "s"})
        await caller.done()
        assert await caller.line() == {"status": "200", "message": "counting", "id": 5}
        assert [(await caller.line())["event"] for _ in range(2)] == [0, 1]
        await caller.stream.aclose()
        await served.office.until(served.office.ended, 1)


async def test_a_stream_runs_beside_requests_and_carries_its_id() -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.send({"type": "count", "to": 1, "id": "s", "name": "s"})
        assert (await caller.line())["message"] == "counting"
        assert await caller.line() == {"event": 0, "at": "x" * 10, "id": "s"}
        await caller.raw(ECHO)
        assert await caller.line() == ECHOED
        served.office.gate("s").set()
        assert await caller.line() == {"event": "last", "id": "s"}


async def test_a_stream_that_fails_ends_with_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.send({"type": "count", "to": 0, "id": "s", "name": "s", "crash": True})
        await caller.line()
        served.office.gate("s").set()
        reply = await caller.line()
        assert (reply["status"], reply["id"]) == ("500", "s")
        await caller.raw(ECHO)
        assert await caller.line() == ECHOED
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("half_closed", [False, True])
async def test_a_client_that_disappears_ends_its_waiting_and_its_streams(
    half_closed: bool,
) -> None:
    async with serving() as served:
        office, caller = served.office, await served.call()
        await caller.send({"type": "hold", "name": "a"}, {"type": "count", "to": 0, "name": "s"})
        await office.until(office.begun, 2)
        if half_closed:
            await caller.done()
            await trio.testing.wait_all_tasks_blocked()
        await caller.stream.aclose()
        await office.until(office.ended, 2)
        assert set(office.ended) == {("cancelled", "a"), ("stream", "s")}
        assert await served.answers()


async def test_what_a_client_asked_before_it_disappeared_is_begun() -> None:
    async with serving() as served:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(served.path)
            sock.sendall(b'command{"type":"hold","name":"a"}')
        await served.office.until(served.office.begun, 1)
        assert served.office.begun == ["a"]


async def test_two_hundred_callers_at_once() -> None:
    async with serving() as served:

        async def one(number: int) -> None:
            caller = await served.call()
            await caller.send({"type": "hold", "name": "gate", "id": number})
            assert (await caller.line())["id"] == number

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(one, number)
            await served.office.until(served.office.begun, 200)
            served.office.gate("gate").set()


async def test_too_many_requests_wait_their_turn() -> None:
    async with serving(limits=Limits(outstanding=4)) as served:
        caller = await served.call()
        await caller.send(*({"type": "hold", "name": i, "id": i} for i in range(10)))
        await trio.testing.wait_all_tasks_blocked()
        assert served.office.begun == [0, 1, 2, 3]
        for number in range(10):
            served.office.gate(number).set()
            assert (await caller.line())["id"] == number
        assert served.office.begun == list(range(10))


async def test_too_many_connections_wait_their_turn() -> None:
    async with serving(max_connections=2) as served:
        first, second = await served.call(), await served.call()
        assert (await first.ask(type="echo"))["status"] == "200"
        assert (await second.ask(type="echo"))["status"] == "200"
        third = await served.call()
        await third.send({"type": "echo", "id": 3})
        await trio.testing.wait_all_tasks_blocked()
        await first.stream.aclose()
        assert (await third.line())["id"] == 3


async def test_a_start_that_is_refused_has_its_fields() -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.raw(b'command{"type":"stop","id":[1]}')
        data = await caller.stream.receive_some(1000)
        assert list(json.loads(data)) == [
            "status", "message", "imei", "type", "long", "command", "id",
            "outcome",
        ]  # fmt: skip
