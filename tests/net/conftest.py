"""Real sockets on loopback, and a desk that is no desk: it notes what the poller yields."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import trio

from devgate.net.link import Link
from devgate.net.poller import Poller
from tests.net.papers import Papers

Dial = Callable[[], tuple[socket.socket, Link]]


class Notes:
    """Reads all that arrives, in the manner of the desk."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.heard: dict[Link, bytes] = {}
        self.ended: dict[Link, str] = {}
        self.largest_round = 0

    def round(self) -> list[tuple[Link, bytes]]:
        """One round, noted."""
        arrived = list(self.poller.arrivals())
        self.largest_round = max(self.largest_round, len(arrived))
        for link, data in arrived:
            if data:
                self.heard[link] = self.heard.get(link, b"") + data
            else:
                self.ended[link] = link.why
        return arrived

    async def until(self, done: Callable[[], bool]) -> None:
        """Rounds, until it is done; an error after five seconds."""
        with trio.fail_after(60):
            while not done():
                await self.poller.wait()
                self.round()


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    poller = Poller()
    yield poller
    await poller.aclose()


@pytest.fixture
def notes(poller: Poller) -> Notes:
    return Notes(poller)


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Makes a device's socket (blocking, 5 s) and the link to it, which no poller has yet."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))

        def connect() -> tuple[socket.socket, Link]:
            device = stack.enter_context(socket.socket())
            # Before connect(): from then on the kernel lets the window grow as it likes.
            device.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            device.settimeout(60)
            device.connect(listener.getsockname())
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            link = Link(accepted.detach(), "127.0.0.1:1")
            stack.callback(lambda: os.close(link.fd) if link.fd >= 0 else None)
            return device, link

        yield connect


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def received(device: socket.socket, size: int) -> bytes:
    """What the device gets: `size` bytes, or less if the end comes first."""
    got = b""
    while len(got) < size and (data := device.recv(size - len(got))):
        got += data
    return got


def fill(link: Link) -> bytes:
    """Send until the kernel takes no more, and so much waits that it never takes all of that.

    Returns what was sent. A busy kernel may deliver later what it has taken, and so has room for
    as much as both sockets of dial() hold: 32 and 16 KiB, less than what waits here.
    """
    sent = b""
    while len(link.unsent) < 64_000:
        assert link.flush()
        piece = b"%08d" % len(sent) * 125
        assert link.send(piece)
        sent += piece
    return sent


def give_out(number: int, fd: int) -> int:
    """Make `fd` known by `number`, as the kernel does when it gives a number out again."""
    if fd != number:
        os.dup2(fd, number)
        os.close(fd)
    return number


def reset(device: socket.socket) -> None:
    """Close the device's end the hard way."""
    device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    device.close()
