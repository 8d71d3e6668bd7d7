"""Callers are read before devices."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from devgate.net.link import Link
from devgate.net.poller import ROUND_LINKS, Poller
from devgate.net.urgent import Urgent


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_it_calls_as_long_as_something_is_there(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    heard: list[bytes] = []
    with closing(Urgent()) as urgent:
        urgent.add(ours.fileno(), lambda: heard.append(ours.recv(2)))
        urgent.run()
        assert heard == []
        theirs.send(b"abcd")
        for _ in range(3):
            urgent.run()
        assert heard == [b"ab", b"cd"]
        theirs.close()
        urgent.run()
        assert heard[-1] == b""


def test_what_is_forgotten_in_a_round_is_not_called_in_it() -> None:
    called: list[int] = []
    pairs = [socket.socketpair() for _ in range(2)]
    fds = [ours.fileno() for ours, _ in pairs]
    with closing(Urgent()) as urgent:

        def call(own: int) -> None:
            called.append(own)
            for fd in fds:
                urgent.forget(fd)

        for fd, (_, theirs) in zip(fds, pairs, strict=True):
            urgent.add(fd, lambda fd=fd: call(fd))  # type: ignore[misc]
            theirs.send(b"x")
        urgent.run()
        urgent.run()
        assert len(called) == 1
        urgent.forget(fds[0])
    for pair in pairs:
        for sock in pair:
            sock.close()


async def test_it_comes_ahead_of_a_wave(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    poller, heard = Poller(), list[tuple[bytes, int]]()
    read = 0
    links = [Link(os.eventfd(1, os.EFD_NONBLOCK)) for _ in range(4 * ROUND_LINKS)]
    for link in links:
        poller.add(link)
    poller.urgent.add(ours.fileno(), lambda: heard.append((ours.recv(16), read)))
    for _ in poller.arrivals():
        read += 1
    theirs.send(b"start")
    for _ in poller.arrivals():
        read += 1
    assert heard == [(b"start", ROUND_LINKS)], (
        "ahead of the second round, and not behind the fourth"
    )
    for link in links:
        poller.close(link)
    await poller.aclose()


async def test_the_poller_wakes_for_it(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    poller, heard = Poller(), list[bytes]()
    poller.urgent.add(ours.fileno(), lambda: heard.append(ours.recv(16)))
    theirs.send(b"start")
    await poller.wait()
    assert list(poller.arrivals()) == []
    assert heard == [b"start"]
    await poller.aclose()
