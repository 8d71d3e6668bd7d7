"""H2: how much of one turn of the loop HTTP gets, however many peers are ready at once."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devgate.http.serving.connection import PIECE_BYTES, WebConnection
from devgate.net.turns import Turns
from tests.net.loop import LoopTurns


class Peers:
    """Wires that share their turns, and the other ends of their sockets."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.turns = Turns()
        self.loop = LoopTurns()
        self.connections: list[WebConnection] = []
        self.ends: list[socket.socket] = []
        nursery.start_soon(self.turns.run)
        trio.lowlevel.add_instrument(self.loop)

    def connect(self) -> WebConnection:
        near, far = socket.socketpair()
        near.setblocking(False)
        self.ends.append(far)
        self.connections.append(
            WebConnection(trio.socket.from_stdlib_socket(near), "192.0.2.1", self.turns)
        )
        return self.connections[-1]

    def close(self) -> None:
        trio.lowlevel.remove_instrument(self.loop)
        for connection in self.connections:
            connection.abort()
        for end in self.ends:
            end.close()


@pytest.fixture
async def peers() -> AsyncIterator[Peers]:
    async with trio.open_nursery() as nursery:
        made = Peers(nursery)
        yield made
        made.close()
        nursery.cancel_scope.cancel()


async def test_one_small_piece_a_turn_of_the_loop(peers: Peers) -> None:
    """With 40 connections ready, 64 KiB of each were worked off between two looks at the devices;
    now it is one piece of 2 KiB of one of them."""
    read: dict[int, list[int]] = {}

    async def drain(connection: WebConnection) -> None:
        while data := await connection.receive_some(PIECE_BYTES):
            read.setdefault(peers.loop.number, []).append(len(data))

    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(drain, peers.connect())
            peers.ends[-1].sendall(bytes(10 * PIECE_BYTES))
            peers.ends[-1].shutdown(socket.SHUT_WR)
    assert sum(map(sum, read.values())) == 400 * PIECE_BYTES
    assert max(map(sum, read.values())) == PIECE_BYTES
    assert peers.turns.count >= 400


@pytest.mark.parametrize("what", ["bytes", "ends", "closed"])
async def test_not_all_are_woken_at_once(peers: Peers, what: str) -> None:
    """A byte for each of 200 connections in the same moment, or their ends, woke 200 tasks in one
    turn of the loop; now each is woken when it is its turn."""
    got = []

    async def read(connection: WebConnection) -> None:
        try:
            got.append(await connection.receive_some())
        except trio.BrokenResourceError:
            got.append(b"broken")

    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(read, peers.connect())
        await wait_all_tasks_blocked()
        peers.loop.steps.clear()
        for connection, end in zip(peers.connections, peers.ends, strict=True):
            if what == "bytes":
                end.send(b"x")
            elif what == "ends":
                end.close()
            else:
                await connection.aclose()
    assert got == [{"bytes": b"x", "ends": b"", "closed": b"broken"}[what]] * 200
    assert max(peers.loop.steps.values()) <= 5


async def test_what_has_begun_goes_first(peers: Peers) -> None:
    """Requests that wait for their turn do not pile up behind new ones: 300 connections with 32
    each had ten thousand of them."""
    order = []

    async def begun() -> None:
        await peers.turns.turn(begun=True)
        order.append("begun")

    async def new(connection: WebConnection) -> None:
        await connection.receive_some()
        order.append("new")
        nursery.start_soon(begun)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(new, peers.connect())
            peers.ends[-1].send(b"x")
    assert order[:1] == ["new"]
    assert order.count("begun") == 50
    waiting = [order[:at].count("new") - order[:at].count("begun") for at in range(101)]
    assert max(waiting) <= 5


async def test_who_leaves_takes_no_turn(peers: Peers) -> None:
    """A connection that ends while it waits, for bytes or for its turn, holds nobody up."""
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(peers.connect().receive_some)
            if number % 2:
                peers.ends[-1].send(b"x")
        nursery.start_soon(peers.turns.turn)
        nursery.start_soon(peers.turns.turn)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    before = peers.turns.count
    peers.ends[0].send(b"y")
    assert await peers.connections[0].receive_some() == b"y"
    await peers.turns.turn()
    assert peers.turns.count == before + 2


async def test_only_one_waits_for_a_socket(peers: Peers) -> None:
    connection = peers.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.receive_some)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await connection.readable()
        peers.ends[0].send(b"x")
    connection.abort()
    with pytest.raises(trio.ClosedResourceError):
        await connection.readable()
