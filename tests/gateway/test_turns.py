"""Nobody waits for a wave, and an idle gateway does nothing: counted, not timed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from devgate.config.device import DeviceSettings
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.desk import Desk
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.registry import Flapping
from devgate.gateway.devices.rounds import ROUND_IN_FLIGHT
from devgate.gateway.devices.watch import LINKS_A_TURN
from devgate.net.link import Link
from devgate.net.poller import ROUND_LINKS, Poller
from tests.gateway.rig import Rig

WAVE = 1000
IDLE = 10_000


class Counting(Desk):
    """Notes how many arrivals it has seen."""

    seen = 0

    def receive(self, connection: Connection, data: bytes | None, now: float) -> None:
        self.seen += 1
        super().receive(connection, data, now)


@pytest.fixture
async def desk(rig: Rig) -> Counting:
    presence = Presence(rig.records, Flapping(5, 60))
    settings = DeviceSettings()
    return Counting(Poller(), settings, rig.directory, presence, rig.dispatcher, rig.records)


@pytest.fixture
def wave(desk: Counting) -> Iterator[list[tuple[Link, socket.socket]]]:
    """Many devices that have all just sent a heartbeat."""
    pairs = []
    for _ in range(WAVE):
        near, far = socket.socketpair()
        near.setblocking(False)
        far.send(b"AT")
        pairs.append((Link(near.detach()), far))
    yield pairs
    for _, far in pairs:
        far.close()


@pytest.mark.parametrize(("in_flight", "max_links"), [(0, ROUND_LINKS), (1, ROUND_IN_FLIGHT)])
async def test_everybody_has_a_turn_amid_a_wave(
    rig: Rig,
    desk: Counting,
    wave: list[tuple[Link, socket.socket]],
    in_flight: int,
    max_links: int,
) -> None:
    rig.dispatcher.in_flight = in_flight
    between = []
    async with trio.open_nursery() as nursery:
        for link, _ in wave:
            nursery.start_soon(desk.lifetimes.task_for, link)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(desk.rounds.run)
        while desk.seen < WAVE:
            before = desk.seen
            await trio.lowlevel.checkpoint()  # what a step of a command is
            between.append(desk.seen - before)
        nursery.cancel_scope.cancel()
    # In each of its ticks trio runs everybody once, in no order: two rounds may come between.
    assert 0 < max(between) <= 2 * max_links


async def test_an_idle_gateway_wakes_for_its_sweep_alone(
    desk: Counting, autojump_clock: MockClock
) -> None:
    # A descriptor that never has anything to say. A pair of sockets each would pass the limit.
    links = [Link(os.eventfd(0, os.EFD_NONBLOCK)) for _ in range(IDLE)]
    steps = Steps()
    async with trio.open_nursery() as nursery:
        for link in links:
            nursery.start_soon(desk.lifetimes.task_for, link)
        nursery.start_soon(desk.rounds.run)
        nursery.start_soon(desk.watch.run)
        await trio.testing.wait_all_tasks_blocked()
        for connection in desk.connections.values():
            connection.request_start = b"023000"  # as if they had registered
        await trio.sleep(2)
        trio.lowlevel.add_instrument(steps)
        await trio.sleep(60)
        trio.lowlevel.remove_instrument(steps)
        assert len(desk.connections) == IDLE
        nursery.cancel_scope.cancel()
    slices = -(-IDLE // LINKS_A_TURN)
    assert 60 <= steps.count <= 62 * slices + 2, "one sweep a second, in slices"


class Steps(trio.abc.Instrument):
    count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1
