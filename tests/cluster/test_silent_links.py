"""Requests to other nodes that fall silent: a clock that jumps, and a process that is stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
import trio
from trio.testing import MockClock

from devgate.cluster.links import Links
from devgate.gateway.membership import Lost, Unreachable
from tests.cluster.other import ECHO, SECRET, Pair, fails, pair, stream
from tests.docs.pages import ROOT


@pytest.fixture
def quiet_clock(autojump_clock: MockClock) -> MockClock:
    """It jumps once the kernel has delivered all: after so long without a word."""
    autojump_clock.autojump_threshold = 0.05
    return autojump_clock


class Mute:
    """A node that takes the first ping, and from then on says nothing."""

    def __init__(self) -> None:
        self.asked = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()
            await stream.send_all(b'{"status":"200","node":"b","id":0}\n')
            while await stream.receive_some():
                self.asked += 1


async def test_two_seconds_of_silence_are_the_end(quiet_clock: MockClock) -> None:
    """A ping each half second, and no sign of life: lost after two."""
    mute = Mute()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, mute.serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        links = Links("a", lambda: SECRET, {"b": f"127.0.0.1:{port}"}.get, None)
        await nursery.start(links.run)
        began = trio.current_time()
        with pytest.raises(Lost, match="it was silent for 2 s"):
            await links.ask("b", ECHO)
        assert trio.current_time() - began == 2.0
        assert mute.asked == 1 + 3, "the request and the pings"
        with pytest.raises(Lost, match="it was silent for 2 s"):
            await links.follow("b", ECHO)
        assert trio.current_time() - began == 4.0
        nursery.cancel_scope.cancel()


async def test_one_who_never_greets_is_unreachable(quiet_clock: MockClock) -> None:
    """As a stopped process: the kernel takes the connection, and nobody answers for a second."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        async with trio.open_nursery() as nursery:
            links = Links("a", lambda: SECRET, {"b": address}.get, None)
            await nursery.start(links.run)
            began = trio.current_time()
            with pytest.raises(Unreachable, match="no answer"):
                await links.ask("b", ECHO)
            assert trio.current_time() - began == 1.0
            nursery.cancel_scope.cancel()


@pytest.fixture
def process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.other"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        yield child, child.stdout.readline().strip()
        child.kill()


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_process_that_is_stopped_or_killed(
    process: tuple[subprocess.Popen[str], str], how: signal.Signals
) -> None:
    child, address = process
    async with trio.open_nursery() as nursery:
        links = Links("a", lambda: SECRET, {"b": address}.get, None)
        await nursery.start(links.run)
        assert (await links.ask("b", ECHO))["args"] == ECHO
        async with stream(links, "b", {"type": "count", "to": 1}) as lines:
            assert await anext(lines) == {"number": 0}
            async with trio.open_nursery() as asking:
                for _ in range(20):
                    asking.start_soon(fails, links, {"type": "hold"}, Lost)
                await links.ask("b", ECHO)  # so that the others are there
                os.kill(child.pid, how)
                with pytest.raises(Lost):
                    await anext(lines)
        with pytest.raises(Unreachable):
            await links.ask("b", ECHO)
        if how == signal.SIGSTOP:
            os.kill(child.pid, signal.SIGCONT)
            assert (await links.ask("b", ECHO))["args"] == ECHO
        nursery.cancel_scope.cancel()


async def test_silence_of_a_stream_whose_node_is_alive_is_no_end(
    quiet_clock: MockClock,
) -> None:
    """Each ping is answered, for ten seconds."""
    async with pair() as two, stream(two.links, "b", {"type": "count", "to": 1}) as lines:
        assert await anext(lines) == {"number": 0}
        async with trio.open_nursery() as nursery:

            async def later(two: Pair) -> None:
                await trio.sleep(10)
                two.other.answers.gate.set()

            nursery.start_soon(later, two)
            with pytest.raises(StopAsyncIteration):
                await anext(lines)
