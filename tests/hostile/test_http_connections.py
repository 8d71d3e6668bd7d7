"""Connections to the HTTP port: how many, for how long, and who has to make room."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from devgate.gateway.refusals import Refusals
from devgate.http.forwarded import Proxies
from devgate.http.serving import room as rooms
from devgate.http.serving.connection import HEAD_SECONDS, IDLE_SECONDS, WebConnection
from devgate.http.serving.room import MAX_PLACES, MAX_PLACES_PER_ADDRESS, RESERVED_PLACES, Room
from devgate.net.turns import Turns
from tests.http.harness import Site, site

HALF_BODY = (
    b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 1000\r\n\r\na=b"
)
HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Half: "


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site() as running:
        yield running


def healthy(served: Site) -> bool:
    with httpx.Client(base_url=served.url, verify=False, timeout=60) as client:
        return client.get("/healthz").status_code == 200


def still_open(clients: list[socket.socket]) -> int:
    """How many of these the gateway has not closed."""
    count = 0
    for client in clients:
        client.settimeout(0.0)
        try:
            count += client.recv(1) != b""
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count


@pytest.mark.parametrize("connection", [HALF_BODY, HALF_HEAD, b""], ids=["body", "head", "silent"])
def test_one_address_has_64_places(served: Site, connection: bytes) -> None:
    """H5: 1,030 half requests of one address held all places for ever; now it has 64, and, from
    loopback, the few that are kept. /healthz answers beside them, and there is one log line."""
    lines = len(served.log().splitlines())
    with ExitStack() as opened:
        clients = []
        for _ in range(300):
            client = socket.create_connection(served.at, timeout=60)
            clients.append(opened.enter_context(client))
            client.sendall(connection)
        assert healthy(served)
        assert healthy(served)
        assert still_open(clients) <= MAX_PLACES_PER_ADDRESS + RESERVED_PLACES
    assert len(served.log().splitlines()) - lines <= 1


def test_many_addresses_leave_room_for_healthz(served: Site) -> None:
    """H5: with all places taken by half bodies of 20 addresses, none of them old enough to be
    closed, /healthz answers, and the gateway says once that it is full."""
    with ExitStack() as opened:
        clients = []
        for number in range(MAX_PLACES + 200):
            source = (f"127.0.0.{2 + number % 20}", 0)
            client = socket.create_connection(served.at, timeout=60, source_address=source)
            clients.append(opened.enter_context(client))
            client.sendall(HALF_BODY)
        for _ in range(5):
            assert healthy(served)
        assert still_open(clients) <= MAX_PLACES + RESERVED_PLACES
    full = [line for line in served.log().splitlines() if "connections full" in line]
    assert len(full) == 1, full


class Wires:
    """Connections that were accepted, without an HTTP behind them."""

    def __init__(self, *proxies: str) -> None:
        self.refusals = Refusals()
        self.room = Room(Proxies(proxies), self.refusals)
        self._ends: list[Any] = []

    def new(self, address: str, known: str = "") -> WebConnection:
        near, far = socket.socketpair()
        own = trio.socket.from_stdlib_socket(near)
        self._ends += own, far
        connection = WebConnection(own, address, Turns())
        connection.known = known
        return connection

    def enter(self, address: str, known: str = "") -> WebConnection | None:
        connection = self.new(address, known)
        if self.room.enter(connection):
            return connection
        connection.abort()
        return None

    def close(self) -> None:
        for end in self._ends:
            end.close()


@pytest.fixture
async def connections() -> AsyncIterator[Wires]:
    made = Wires("10.0.0.1")
    yield made
    made.close()


def ended(connection: WebConnection | None) -> bool:
    assert connection is not None
    return connection.scope.cancel_called


async def test_who_has_waited_longest_makes_room(
    autojump_clock: MockClock, connections: Wires
) -> None:
    """H5: at the limit of an address, the unauthenticated one without a request for longest
    is closed, if it is older than 5 s; else the new one is refused and counted."""
    first = connections.enter("192.0.2.1")
    second = connections.enter("192.0.2.1")
    assert first is not None
    rest = [connections.enter("192.0.2.1") for _ in range(MAX_PLACES_PER_ADDRESS - 2)]
    assert connections.enter("192.0.2.1") is None
    assert connections.refusals.counts.refused["http", "address"] == 1
    await trio.sleep(5.0)
    first.begins()  # and so it is not idle
    assert connections.enter("192.0.2.1") is not None
    assert ended(second)
    assert not ended(first)
    assert not any(map(ended, rest))
    assert len(connections.room) == MAX_PLACES_PER_ADDRESS
    first.abort()


async def test_known_callers_and_proxies_are_not_counted(
    autojump_clock: MockClock, connections: Wires
) -> None:
    """H5: the 64 places are for unauthenticated peers. A proxy has no limit."""
    for _ in range(MAX_PLACES_PER_ADDRESS + 5):
        assert connections.enter("192.0.2.1", known="http:shop") is not None
        assert connections.enter("10.0.0.1") is not None
    assert connections.enter("192.0.2.1") is not None


async def test_the_busiest_address_makes_room(
    autojump_clock: MockClock, connections: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H5: when all places are taken, the address with most connections loses its oldest."""
    monkeypatch.setattr(rooms, "MAX_PLACES", 10)
    quiet = [connections.enter("192.0.2.1") for _ in range(3)]
    busy = [connections.enter("192.0.2.2") for _ in range(7)]
    await trio.sleep(5.0)
    assert connections.enter("192.0.2.3") is not None
    assert ended(busy[0])
    assert not any(map(ended, quiet + busy[1:]))
    assert len(connections.room) == 10


async def test_places_are_kept(
    autojump_clock: MockClock, connections: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H5: when nobody can be closed, a few places are left: from loopback for everything, from
    elsewhere for /healthz and /readyz."""
    monkeypatch.setattr(rooms, "MAX_PLACES", 10)
    for _ in range(10):
        connections.enter("192.0.2.1")
    health = [connections.enter("192.0.2.3") for _ in range(RESERVED_PLACES)]
    assert all(connection is not None and connection.only_health for connection in health)
    assert connections.enter("192.0.2.3") is None
    assert connections.refusals.counts.refused["http", "full"] == 1
    local = [connections.enter("127.0.0.1") for _ in range(RESERVED_PLACES + 1)]
    assert not any(connection is None or connection.only_health for connection in local)
    assert [ended(connection) for connection in local] == [True] + [False] * RESERVED_PLACES
    await trio.sleep(1.0)
    assert connections.enter("192.0.2.3") is not None
    assert ended(health[0])


async def test_a_head_has_ten_seconds(autojump_clock: MockClock, connections: Wires) -> None:
    """H5: half a head was waited for 30 s, and a byte from time to time did not end it earlier."""

    def left(connection: WebConnection) -> float:
        return round(connection.scope.deadline - trio.current_time(), 3)

    connection = connections.new("192.0.2.1")
    assert left(connection) == HEAD_SECONDS == 10.0
    await trio.sleep(4)
    connection.reads()
    await trio.sleep(3)
    connection.reads()
    assert left(connection) == 7.0
    connection.begins()
    assert connection.scope.deadline == float("inf")
    connection.ends()
    assert left(connection) == IDLE_SECONDS
    await trio.sleep(20)
    connection.reads()
    assert left(connection) == 10.0
    connection.finish()
    assert left(connection) < 1.0
    connection.abort()


async def test_who_takes_a_byte_now_and_then_is_cut_off(
    autojump_clock: MockClock, connections: Wires
) -> None:
    """H5: an answer that is read slower than 1 KiB a second after 30 s holds no connection."""

    class Dripping:
        sent = 0

        async def send(self, data: memoryview) -> int:
            await trio.sleep(20.0)
            self.sent += 1
            return 1

        def fileno(self) -> int:
            return -1

        def close(self) -> None:
            pass

    connection = connections.new("192.0.2.1")
    connection.socket.close()
    dripping = Dripping()
    real, connection.socket = connection.socket, dripping  # type: ignore[assignment]
    with pytest.raises(trio.BrokenResourceError):
        await connection.send_all(bytes(1000))
    assert dripping.sent == 1
    connection.socket = real
