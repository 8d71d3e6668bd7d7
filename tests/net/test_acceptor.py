from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest
import trio

from devgate.net.accepting import ROUND_CONNECTIONS
from devgate.net.acceptor import Acceptor
from devgate.net.addresses import bind
from devgate.net.limits import UNREGISTERED_PER_NETWORK, Crowd, Crowds
from tests.e2e.device import WAIT_SECONDS


class House:
    """Those who were let in, by descriptor."""

    def __init__(self) -> None:
        self.inside: dict[int, str] = {}
        self.looks = 0  # how many times the acceptor asked how many there are
        self.crowds: dict[int, Crowd] = {}
        self.listeners = bind(["127.0.0.1:0"])
        self.acceptor = Acceptor(self._count)
        self.devices = ExitStack()

    def _count(self) -> int:
        self.looks += 1
        return len(self.inside)

    def admit(self, fd: int, address: str, crowd: Crowd | None) -> None:
        assert crowd is not None
        self.inside[fd], self.crowds[fd] = address, crowd

    def leave(self, fd: int) -> None:
        os.close(fd)
        del self.inside[fd]
        self.acceptor.crowds.leave(self.crowds.pop(fd))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.acceptor.run(self.listeners, self.admit, task_status=task_status)

    def knock(self, source: str = "127.0.0.1") -> socket.socket:
        address = self.listeners[0].getsockname()
        device = socket.create_connection(
            address, timeout=WAIT_SECONDS, source_address=(source, 0)
        )
        return self.devices.enter_context(device)


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.devices.close()
    for fd in list(house.inside):
        house.leave(fd)
    for listener in house.listeners:
        listener.close()


@pytest.fixture
async def open_house(house: House) -> AsyncIterator[House]:
    async with trio.open_nursery() as nursery:
        await nursery.start(house.run)
        yield house
        nursery.cancel_scope.cancel()


async def until(done: Callable[[], bool]) -> None:
    """Look until it is so; an error after five seconds."""
    with trio.fail_after(60):
        while not done():  # noqa: ASYNC110 - the kernel's doing, which sets no event
            await trio.sleep(0.005)


async def test_a_device_is_let_in_with_its_address(open_house: House) -> None:
    device = open_house.knock()
    await until(lambda: len(open_house.inside) == 1)
    ((fd, address),) = open_house.inside.items()
    host, port = device.getsockname()
    assert address == f"{host}:{port}"
    assert not os.get_blocking(fd)
    assert not os.get_inheritable(fd)
    assert open_house.acceptor.accepted == 1


async def test_accepted_sockets_are_tuned_for_devices(open_house: House) -> None:
    open_house.knock()
    await until(lambda: len(open_house.inside) == 1)
    with socket.socket(fileno=os.dup(next(iter(open_house.inside)))) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 75
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 25
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 5
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 180_000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 65536


class Steps(trio.abc.Instrument):
    """How many were let in by each step of a task."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.before = 0
        self.admitted: list[int] = []

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.before = len(self.house.inside)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if more := len(self.house.inside) - self.before:
            self.admitted.append(more)


async def test_a_storm_lets_other_tasks_have_their_turn(house: House) -> None:
    for _ in range(ROUND_CONNECTIONS * 2 + 10):
        house.knock()
    steps = Steps(house)
    trio.lowlevel.add_instrument(steps)
    async with trio.open_nursery() as nursery:
        await nursery.start(house.run)
        await until(lambda: len(house.inside) == ROUND_CONNECTIONS * 2 + 10)
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(steps)
    assert steps.admitted == [ROUND_CONNECTIONS, ROUND_CONNECTIONS, 10]


async def test_a_full_house_says_so_once_and_goes_on(
    open_house: House, caplog: pytest.LogCaptureFixture
) -> None:
    open_house.acceptor.apply(3, 0)
    for _ in range(5):
        open_house.knock()
    await until(lambda: open_house.acceptor.paused)
    looks = open_house.looks
    await until(lambda: open_house.looks >= looks + 3)
    assert len(open_house.inside) == 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "paused connections=3 why='all 3 are in use" in caplog.text
    open_house.leave(next(iter(open_house.inside)))
    await until(lambda: open_house.acceptor.accepted == 4)
    assert len(open_house.inside) == 3
    open_house.acceptor.apply(0, 0)
    await until(lambda: len(open_house.inside) == 4)
    await until(lambda: not open_house.acceptor.paused)
    assert caplog.text.count("accepting paused") == 1
    assert caplog.text.count("accepting resumed") == 1


async def test_a_house_that_fills_again_and_again_does_not_flood_the_log(
    open_house: House, caplog: pytest.LogCaptureFixture
) -> None:
    open_house.acceptor.apply(1, 0)
    open_house.knock()
    for _ in range(3):
        open_house.knock()
        await until(lambda: open_house.acceptor.paused)
        open_house.leave(next(iter(open_house.inside)))
        await until(lambda: not open_house.acceptor.paused and len(open_house.inside) == 1)
    assert len(caplog.records) == 2


async def test_one_address_may_have_so_many(
    open_house: House, caplog: pytest.LogCaptureFixture
) -> None:
    acceptor = open_house.acceptor
    acceptor.apply(0, 2)
    devices = [open_house.knock() for _ in range(4)]
    assert [await trio.to_thread.run_sync(device.recv, 1) for device in devices[2:]] == [b"", b""]
    assert acceptor.refused == 2
    assert acceptor.accepted == 2
    assert caplog.text.count("connections refused address=127.0.0.1 limit=2 count=1") == 1
    assert len(caplog.records) == 1
    open_house.knock("127.0.0.2")
    await until(lambda: acceptor.accepted == 3)
    open_house.leave(next(iter(open_house.inside)))
    open_house.knock()
    await until(lambda: acceptor.accepted == 4)
    acceptor.apply(0, 0)
    open_house.knock()
    await until(lambda: acceptor.accepted == 5)
    assert acceptor.refused == 2


async def test_the_door_is_shut_at_the_end(house: House) -> None:
    address = house.listeners[0].getsockname()
    async with trio.open_nursery() as nursery:
        await nursery.start(house.run)
        nursery.cancel_scope.cancel()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


async def test_several_doors_lead_into_one_house() -> None:
    admitted: list[int] = []
    listeners = bind(["127.0.0.1:0", "[::1]:0"])
    acceptor = Acceptor(lambda: len(admitted))
    async with trio.open_nursery() as nursery:
        await nursery.start(acceptor.run, listeners, lambda fd, *_: admitted.append(fd))
        for listener in listeners:
            with socket.create_connection(listener.getsockname()[:2]):
                pass
        await until(lambda: len(admitted) == 2)
        nursery.cancel_scope.cancel()
    for fd in admitted:
        os.close(fd)


class Troubled(socket.socket):
    """A listener whose kernel reports the given errors first."""

    troubles: list[int]

    def _accept(self) -> tuple[int, object]:
        if self.troubles:
            number = self.troubles.pop(0)
            raise OSError(number, os.strerror(number))
        fd, peer = super()._accept()  # type: ignore[misc]  # not documented
        return fd, peer


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.ENFILE, errno.EINVAL])
async def test_no_error_of_the_kernel_ends_the_door(number: int) -> None:
    admitted: list[int] = []
    (bound,) = bind(["127.0.0.1:0"])
    listener = Troubled(fileno=bound.detach())
    listener.troubles = [number] * 3
    acceptor = Acceptor(lambda: len(admitted))
    async with trio.open_nursery() as nursery:
        await nursery.start(acceptor.run, [listener], lambda fd, *_: admitted.append(fd))
        with socket.create_connection(listener.getsockname()):
            await until(lambda: len(admitted) == 1)
        nursery.cancel_scope.cancel()
    os.close(admitted[0])


async def test_what_cannot_be_admitted_is_closed(nursery: trio.Nursery) -> None:
    """F9: such a fault ends its connection, and not the door."""

    def admit(fd: int, address: str, crowd: Crowd | None) -> None:
        raise RuntimeError("no nursery")

    listeners = bind(["127.0.0.1:0"])
    nursery.start_soon(Acceptor(lambda: 0).run, listeners, admit)
    for _ in range(2):
        device = await trio.open_tcp_stream(*listeners[0].getsockname())
        with trio.fail_after(60):
            assert await device.receive_some(1) == b""
        await device.aclose()
    nursery.cancel_scope.cancel()


def test_crowds_count_exactly_those_they_let_in() -> None:
    crowds = Crowds(1)
    first = crowds.enter("1.2.3.4:1")
    assert first is not None
    assert crowds.enter("1.2.3.4:2") is None
    assert crowds.enter("[::1]:1") is not None
    crowds.leave(first)
    second = crowds.enter("1.2.3.4:3")
    assert second is not None
    crowds.limit = 0
    assert crowds.enter("1.2.3.4:4") is second
    crowds.leave(second)
    crowds.limit = 1
    assert crowds.enter("1.2.3.4:5") is None, "one is still here"


def test_a_crowd_of_which_all_have_left_is_forgotten() -> None:
    crowds = Crowds()
    crowd = crowds.enter("[2001:db8::1]:1")
    assert crowd is not None
    assert crowds.enter("[2001:db8::2]:2") is crowd, "one /64"
    assert (crowd.network, crowd.inside, crowd.unregistered) == ("2001:db8::/64", 2, 2)
    crowd.registered()
    crowds.leave(crowd, registered=True)
    assert (crowd.inside, crowd.unregistered) == (1, 1)
    assert crowds.enter("[2001:db8::3]:3") is crowd
    for _ in range(2):
        crowds.leave(crowd)
    assert (crowd.inside, crowd.unregistered) == (0, 0)
    assert crowds.enter("[2001:db8::1]:1") is not crowd


def test_a_crowd_may_have_more_the_more_of_it_have_registered() -> None:
    crowds = Crowds()
    for _ in range(UNREGISTERED_PER_NETWORK):
        crowd = crowds.enter("1.2.3.4:1")
    assert crowd is not None
    assert crowd.crowded()
    assert not crowd.crowded(less=1)
    crowd.registered()
    assert not crowd.crowded()
    for _ in range(2):
        crowds.enter("1.2.3.4:1")
    assert crowd.crowded()
