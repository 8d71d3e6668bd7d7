"""M2, H6: how much of one turn of the loop unregistered connections get: counted, not timed."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.config.device import DeviceSettings
from devgate.gateway.devices.connection import Connection
from devgate.gateway.devices.desk import Desk
from devgate.gateway.devices.presence import Presence
from devgate.gateway.devices.registry import Flapping
from devgate.gateway.devices.unregistered import SLOW_AFTER
from devgate.gateway.devices.watch import EXAMINED_A_TURN, JUDGED_A_TURN, Watch
from devgate.net.limits import UNREGISTERED_PER_NETWORK, Crowds
from devgate.net.link import Link
from devgate.net.poller import Poller
from devgate.net.queues import END_SECONDS, UNREGISTERED_READS, UNREGISTERED_SECONDS
from devgate.protocol.frames import Event
from devgate.store.engine import Database
from tests.gateway.clocks import follow_trios_clock
from tests.gateway.rig import Rig, opened
from tests.net.loop import LoopTurns

SILENT = 3000
GONE = 300


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


async def test_silent_unregistered_connections_are_looked_at_in_slices(
    store: Database, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep looked at 4,096 that had not registered in one turn of the loop, for 9 ms."""
    follow_trios_clock(monkeypatch)
    rig = Rig(store)
    presence = Presence(rig.records, Flapping(5, 60))
    poller = Poller()
    desk = Desk(poller, DeviceSettings(), rig.directory, presence, rig.dispatcher, rig.records)
    loop, looks, look = LoopTurns(), Counter[int](), Watch._look

    def counted(watch: Watch, connection: Connection, now: float, crowded_timeout: float) -> None:
        looks[loop.number] += 1
        look(watch, connection, now, crowded_timeout)

    monkeypatch.setattr(Watch, "_look", counted)
    trio.lowlevel.add_instrument(loop)
    # A descriptor that never has anything to say. A pair of sockets each would pass the limit.
    links = [Link(os.eventfd(0, os.EFD_NONBLOCK)) for _ in range(SILENT)]
    async with trio.open_nursery() as nursery:
        for link in links:
            nursery.start_soon(desk.lifetimes.task_for, link)
        nursery.start_soon(desk.watch.run)
        await wait_all_tasks_blocked()
        await trio.sleep(3.5)
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(loop)
    await poller.aclose()
    assert sum(looks.values()) == 3 * SILENT
    assert max(looks.values()) <= EXAMINED_A_TURN


async def test_a_sweep_in_slices_ends_no_more_than_have_to_go(
    store: Database, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H1: those that were ended in one slice had not all left when the next one counted, and
    others went in their place."""
    follow_trios_clock(monkeypatch)
    rig = Rig(store)
    crowds = Crowds()
    presence = Presence(rig.records, Flapping(5, 60))
    poller = Poller()
    desk = Desk(
        poller, DeviceSettings(), rig.directory, presence, rig.dispatcher, rig.records,
        crowds=crowds,
    )  # fmt: skip
    address = "192.0.2.1:5000"
    async with trio.open_nursery() as nursery:
        for _ in range(3 * EXAMINED_A_TURN):
            link = Link(os.eventfd(0, os.EFD_NONBLOCK), address, crowds.enter(address))
            nursery.start_soon(desk.lifetimes.task_for, link)
        nursery.start_soon(desk.watch.run)
        await trio.sleep(20.0)
        await wait_all_tasks_blocked()
        # There is a place for one more.
        assert len(desk.connections) == UNREGISTERED_PER_NETWORK - 1
        nursery.cancel_scope.cancel()
    await poller.aclose()


async def test_ends_of_unregistered_connections_come_a_few_at_a_time() -> None:
    """The end of each costs 50 us more in the task that owns it: of 300 that ended in the same
    moment 256 were told in one round, which stopped the loop for 8 ms."""
    poller, told = Poller(), list[int]()
    for number in range(GONE):
        near, far = socket.socketpair()
        near.setblocking(False)
        poller.add(Link(near.detach(), registered=False))
        if number % 2:
            far.send(b"1")
        far.close()
    while sum(told) < GONE:
        ends = 0
        for link, data in poller.arrivals():
            if not data:
                ends += 1
                poller.close(link)
        told.append(ends)
    await poller.aclose()
    assert max(told) <= max(UNREGISTERED_READS, UNREGISTERED_SECONDS / END_SECONDS + 1)


class Counting(Desk):
    """Notes how many connections are answered, or end, in each turn of the loop."""

    def __init__(self, rig: Rig, loop: LoopTurns) -> None:
        presence = Presence(rig.records, Flapping(5, 60))
        self.poller = Poller()
        super().__init__(
            self.poller, DeviceSettings(), rig.directory, presence, rig.dispatcher, rig.records
        )
        self.loop = loop
        self.answered: Counter[int] = Counter()

    def answer(
        self, connection: Connection, data: bytes, events: Iterable[Event], now: float
    ) -> None:
        self.answered[self.loop.number] += 1
        super().answer(connection, data, events, now)


@pytest.mark.parametrize(
    ("wire", "seconds"), [(b"0230", 60.0), (b"023000860000000000009HT", 5.0)], ids=["tails", "HT"]
)
async def test_what_is_due_together_is_judged_in_slices(
    store: Database,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    wire: bytes,
    seconds: float,
) -> None:
    """Half frames of 300, or their registrations after DELAY_SECONDS, were all judged in one turn
    of the loop: 30 ms for 1,000."""
    follow_trios_clock(monkeypatch)
    loop = LoopTurns()
    rig = Rig(store)
    desk, ends = Counting(rig, loop), []
    trio.lowlevel.add_instrument(loop)
    async with rig.lives(), trio.open_nursery() as nursery:
        for task in (desk.rounds.run, desk.watch.run):
            nursery.start_soon(task)
        for _ in range(GONE):
            near, far = socket.socketpair()
            near.setblocking(False)
            nursery.start_soon(
                desk.lifetimes.task_for, Link(near.detach(), "192.0.2.1:1", registered=False)
            )
            far.sendall(wire)
            ends.append(far)
        await trio.sleep(0.05)
        at_once = sum(desk.answered.values())
        desk.answered.clear()
        await trio.sleep(seconds)
        later = Counter(desk.answered)
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(loop)
    await desk.poller.aclose()
    for far in ends:
        far.close()
    assert at_once + sum(later.values()) >= GONE
    assert sum(later.values()) >= GONE - SLOW_AFTER
    assert max(later.values()) <= JUDGED_A_TURN
