"""Clients that do not read, a gateway out of descriptors, and the end of the gateway."""

from __future__ import annotations

import logging
import resource
import socket

import pytest
import trio
from trio.testing import MockClock

from devgate.control import outbox
from devgate.control.limits import Limits
from devgate.net.accepting import PAUSE_SECONDS
from tests.control.harness import serving

MORE_THAN_FITS = 4 * 1024 * 1024  # what no socket buffer takes


async def test_a_long_reply_to_a_slow_reader_arrives_whole() -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.send({"type": "big", "size": MORE_THAN_FITS}, {"type": "echo"})
        await trio.testing.wait_all_tasks_blocked()
        assert len((await caller.line())["message"]) == MORE_THAN_FITS
        assert (await caller.line())["source"] == "socket"


async def test_who_does_not_read_gets_no_new_work_done_and_disturbs_nobody() -> None:
    async with serving() as served:
        caller = await served.call()
        await caller.send({"type": "big", "size": MORE_THAN_FITS})
        await trio.testing.wait_all_tasks_blocked()
        await caller.send({"type": "hold", "name": "a"})
        await trio.testing.wait_all_tasks_blocked()
        assert served.office.begun == []
        assert await served.answers()
        served.office.gate("a").set()
        await caller.line()
        assert (await caller.line())["name"] == "a"


async def test_who_leaves_too_much_unread_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving() as served:
        caller = await served.call()
        size = outbox.MAX_UNSENT // 4
        await caller.send(
            {"type": "hold", "name": "a"}, *({"type": "big", "size": size} for _ in range(6))
        )
        await served.office.until(served.office.ended, 1)
        assert served.office.ended == [("cancelled", "a")]
        assert await served.answers()
    assert "control connection dropped" in caplog.text


async def test_who_reads_nothing_for_too_long_is_dropped() -> None:
    async with serving(limits=Limits(patience=0.05)) as served:
        caller = await served.call()
        await caller.send({"type": "hold", "name": "a"}, {"type": "big", "size": MORE_THAN_FITS})
        await served.office.until(served.office.ended, 1)
        assert served.office.ended == [("cancelled", "a")]
        assert await served.answers()


async def test_a_stream_waits_for_its_reader() -> None:
    async with serving() as served:
        caller = await served.call()
        size = 50_000
        await caller.send({"type": "count", "to": 200, "size": size, "name": "s"})
        await caller.send({"type": "echo"})
        await trio.testing.wait_all_tasks_blocked()
        assert await served.answers()
        got = [await caller.line() for _ in range(202)]
        events = [line["event"] for line in got if "event" in line]
        assert events == list(range(200))
        assert sum("source" in line for line in got) == 1


async def test_running_out_of_descriptors_pauses_and_says_so_once(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with serving() as served:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as free:
            sock.connect(served.path)
            sock.setblocking(False)
            lowest = free.fileno()
            free.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
            try:
                await trio.sleep(2.5 * PAUSE_SECONDS)  # two rounds: it must say it once
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            sock.send(b'command{"type":"echo"}')
            await trio.lowlevel.wait_readable(sock)
            assert sock.recv(1000).startswith(b'{"status":"200"')
        assert await served.answers()
    assert [r.message for r in caplog.records] == [
        "control accept paused why='too many open files'",
        "control accept resumed",
    ]


async def test_draining_lets_replies_out_ends_streams_and_takes_nothing_new() -> None:
    async with serving() as served:
        office, caller, idle = served.office, await served.call(), await served.call()
        assert (await idle.ask(type="echo"))["status"] == "200"
        await caller.send({"type": "count", "to": 0, "name": "s"})
        await caller.line()
        await caller.send({"type": "hold", "name": "a"})
        await office.until(office.begun, 2)
        await caller.send({"type": "echo", "id": "came in time"})
        drained = trio.Event()

        async def drain() -> None:
            await served.server.drain()
            drained.set()

        served.nursery.start_soon(drain)
        assert await idle.rest() == []
        await idle.stream.aclose()
        assert (await caller.line())["id"] == "came in time"
        await office.until(office.ended, 1)
        assert office.ended == [("stream", "s")]
        with pytest.raises(OSError, match="No such file"):
            await trio.open_unix_socket(served.path)
        await trio.testing.wait_all_tasks_blocked()
        assert not drained.is_set()
        office.gate("a").set()
        assert [reply["name"] for reply in await caller.rest()] == ["a"]
        await caller.stream.aclose()
        await drained.wait()


async def test_draining_an_idle_server_ends_at_once() -> None:
    async with serving() as served:
        await served.server.drain()
        await served.server.drain()
