"""The fleet on real sockets, against a small real server."""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from pathlib import Path

import pytest
import trio
import trio.testing

from devgate.errors import SetupError
from devgate.model import Imei
from devgate.simulator import sockets
from devgate.simulator.fleet import Fleet
from devgate.simulator.options import FIRST_IMEI, Habits, Options, imeis
from tests.simulator.server import TEXTS, Server, serving

PROMPT = Habits(greet=0.0, delay=(0.0, 0.0))
SOON = (0.01, 0.05)


def fleet_for(server: Server, count: int = 3, habits: Habits = PROMPT, seed: int = 1) -> Fleet:
    return Fleet(server.target, Options(count=count, habits=habits, backoff=SOON, seed=seed))


async def test_a_fleet_registers_runs_and_answers(tmp_path: Path) -> None:
    record, seen = tmp_path / "starts", list[tuple[Imei, bytes]]()
    options = Options(count=25, habits=PROMPT, backoff=SOON, seed=1, record=record, times=5)
    async with serving() as server, trio.open_nursery() as nursery:
        fleet = Fleet(server.target, options, lambda imei, data: seen.append((imei, data)))
        await nursery.start(fleet.run)
        await fleet.complete.wait()
        await server.until(25, "000", "QR")
        for imei in imeis(25):
            await server.order(imei, "QD", b"500")
        await server.until(25, "200", "QD")
        assert sorted(seen) == [(imei, b"500") for imei in imeis(25)]
        lines = [line.split() for line in record.read_text().splitlines()]
        assert Counter((i, n) for i, n, _ in lines) == Counter((i, "500") for i in imeis(25))
        assert fleet.counters.running == 25
        assert fleet.device(FIRST_IMEI).phone == TEXTS["TN"]
        await server.order(FIRST_IMEI, "ST")
        await server.until(1, "200", "ST")
        counters = fleet.counters
        nursery.cancel_scope.cancel()
    assert (counters.starts, counters.stops, counters.results) == (25, 1, 26)
    assert (counters.running, counters.reconnects, counters.errors) == (24, 0, 0)
    assert (counters.connected, counters.registered) == (0, 0), "it left nothing behind"


async def test_a_record_goes_on_where_it_ended(tmp_path: Path) -> None:
    record = tmp_path / "starts"
    for _ in range(2):
        options = Options(count=1, habits=PROMPT, record=record)
        async with serving() as server, trio.open_nursery() as nursery:
            await nursery.start(Fleet(server.target, options).run)
            await server.until(1, "000", "QR")
            await server.order(FIRST_IMEI, "QD", b"a b")
            await server.until(1, "201", "QD")
            nursery.cancel_scope.cancel()
    assert [line.split()[:2] for line in record.read_text().splitlines()] == [
        [FIRST_IMEI, "a?b"]
    ] * 2


async def test_a_record_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    fleet = Fleet(("127.0.0.1", 1), Options(record=tmp_path / "none" / "starts"))
    with pytest.raises(SetupError, match="starts cannot be recorded there"):
        await fleet.run()


async def test_lost_devices_come_back_and_bring_their_results() -> None:
    async with serving() as server, trio.open_nursery() as nursery:
        fleet = fleet_for(server)
        server.acknowledges = False
        await nursery.start(fleet.run)
        await server.until(3, "000", "QR")
        await server.order(FIRST_IMEI, "QD", b"500")
        await server.until(1, "200", "QD")
        for imei in imeis(3):
            server.abort(imei)
        await server.until(6, "000", "QR")
        assert fleet.counters.reconnects == 3
        assert fleet.counters.running == 1, "a lost connection stops no machine"
        nursery.cancel_scope.cancel()


async def test_heartbeats_keep_coming_and_an_unregistered_device_is_asked() -> None:
    habits = Habits(greet=1.0, heartbeat=0.05)
    async with serving() as server, trio.open_nursery() as nursery:
        fleet = fleet_for(server, habits=habits)
        await nursery.start(fleet.run)
        await fleet.complete.wait()
        for form in ("1", "0", " ", "AT"):
            await server.until(2, "", form)
        assert fleet.counters.heartbeats >= 8
        nursery.cancel_scope.cancel()


async def test_churn_makes_devices_come_again_and_again() -> None:
    habits = Habits(greet=0.0, churn=3600 * 20)
    before = len(os.listdir("/proc/self/fd"))
    async with serving() as server, trio.open_nursery() as nursery:
        fleet = fleet_for(server, habits=habits)
        await nursery.start(fleet.run)
        await server.until(60, "000", "HT")
        assert fleet.counters.reconnects >= 50
        assert fleet.counters.errors == 0, "it was their own doing"
        nursery.cancel_scope.cancel()
    assert len(os.listdir("/proc/self/fd")) == before, "all sockets are closed, the left ones too"


async def test_refused_devices_stay_and_are_counted() -> None:
    async with serving() as server, trio.open_nursery() as nursery:
        server.refused = {FIRST_IMEI}
        fleet = fleet_for(server)
        await nursery.start(fleet.run)
        await server.until(2, "000", "QR")
        await server.until(3, "000", "HT")
        while not fleet.counters.refused:
            await trio.lowlevel.checkpoint()
        assert (fleet.counters.refused, fleet.counters.connected) == (1, 3)
        nursery.cancel_scope.cancel()


async def test_a_gateway_that_is_not_there_yet_is_waited_for() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        options = Options(count=3, habits=PROMPT, backoff=SOON)
        async with trio.open_nursery() as nursery:
            fleet = Fleet(door.getsockname(), options)
            await nursery.start(fleet.run)
            while fleet.counters.errors < 6:
                await trio.lowlevel.checkpoint()
            assert "refused" in fleet.trouble
            door.listen()
            while fleet.counters.connected < 3:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()


async def test_a_name_without_address_is_told() -> None:
    with pytest.raises(SetupError, match="no address of that name"):
        await Fleet(("x" * 70, 1), Options()).run()


async def test_a_failing_hook_ends_the_fleet() -> None:
    def hook(imei: Imei, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    async with serving() as server:
        with pytest.RaisesGroup(OSError, flatten_subgroups=True):
            async with trio.open_nursery() as nursery:
                options = Options(count=1, habits=PROMPT)
                await nursery.start(Fleet(server.target, options, hook).run)
                await server.until(1, "000", "QR")
                await server.order(FIRST_IMEI, "QD", b"5")


async def test_a_loopback_fleet_spreads_over_source_addresses() -> None:
    loopback: sockets.Address = (socket.AF_INET, ("127.0.0.1", 12306))
    sources = Counter(sockets.source(loopback, number, 15000) for number in range(15000))
    assert sources == dict.fromkeys((f"127.0.0.{n}" for n in (1, 2, 3, 4)), 3750)
    assert sockets.source((socket.AF_INET, ("192.0.2.1", 12306)), 5, 15000) is None
    assert sockets.source((socket.AF_INET6, ("::1", 12306)), 5, 15000) is None
    async with serving() as server:
        here: sockets.Address = (socket.AF_INET, server.target)
        for number in range(4):
            with await sockets.connect(here, sockets.source(here, number, 15000)) as sock:
                assert sock.getsockname()[0] == f"127.0.0.{1 + number}"


async def test_the_pace_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    pace, times = sockets.RateLimit(10.0), list[float]()
    for _ in range(4):
        await pace.turn()
        times.append(round(trio.current_time(), 6))
    await trio.sleep(5)
    await pace.turn()
    assert times == [0.0, 0.1, 0.2, 0.3]
    assert trio.current_time() == pytest.approx(5.3), "what was not used is not saved up"
