"""Control TCP: who has shown no token takes little, and a token has its share."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from devgate.access.tokens import Tokens, add, remove
from devgate.control import server as control_server
from devgate.control import shares
from devgate.gateway.refusals import Refusals
from devgate.net import guests
from devgate.net.guests import RESERVED_PLACES, Guests
from tests.control.harness import serving
from tests.control.test_tcp import call, listen
from tests.e2e.device import Device
from tests.e2e.harness import SAMPLE, Gateway, address, gateway


@pytest.fixture
def served() -> Iterator[Gateway]:
    with gateway(
        {"control": {"listen": "127.0.0.1:0", "tokens": "tokens"}}, devices=[{"imei": SAMPLE}]
    ) as running:
        yield running


def door(running: Gateway) -> tuple[str, int]:
    return address(running.ask({"type": "status"})["listen"]["control"][0])


def test_the_third_wrong_token_ends_the_connection(served: Gateway) -> None:
    """M3, M7: three replies and the end; one line in the log, and a count."""
    with Device(door(served)) as peer:
        got = peer.talk(b'command{"type":"status","token":"dg_no"}' * 100)
    assert [json.loads(line)["status"] for line in got.splitlines()] == ["401"] * 3
    served.logged('"door": "control"')
    lines = [line for line in served.log().splitlines() if '"door": "control"' in line]
    assert len(lines) == 1
    assert '"why": "token"' in lines[0]
    assert "dg_no" not in served.log()


def test_one_address_has_64_places(served: Gateway) -> None:
    """H5: of 80 silent connections of one address 64 stay, and the Unix socket is not theirs."""
    place = door(served)
    with ExitStack() as stack:
        silent = [stack.enter_context(Device(place)) for _ in range(80)]
        closed = 0
        for device in silent[64:]:
            device.socket.settimeout(60)
            closed += device.read(1) == b""
        assert closed == 16
        assert served.ask({"type": "status"})["status"] == "200"
        for device in silent[:3]:
            assert b'"401"' in device.read(1000), "ten seconds without a token"


async def test_a_new_one_takes_the_place_of_the_longest_idle(
    autojump_clock: MockClock,
) -> None:
    """H5, H6: of the busiest address, the one longest without a request; not one that has asked;
    and a few places are this machine's alone."""
    closed: list[str] = []
    refused: list[tuple[str, str]] = []

    def close(guest: str) -> None:
        closed.append(guest)
        house.leave(guest)

    house: Guests[str] = Guests(
        "a door",
        lambda: 10 + RESERVED_PLACES,
        close,
        lambda why, where: refused.append((why, where)),
        control_server.log,
        per_network=6,
    )
    for number in range(6):
        assert house.enter(f"a{number}", "192.0.2.1:1")
    assert not house.enter("a6", "192.0.2.1:1"), "its address has enough, and all are young"
    for number in range(4):
        assert house.enter(f"b{number}", f"[2001:db8::{number}]:1")
    await trio.sleep(guests.IDLE_SECONDS)
    house.asks("a0")
    assert house.enter("c0", "192.0.2.3:1")
    assert closed == ["a1"], "the busiest address, and not the one with a request"
    assert house.enter("here", "127.0.0.1:1")
    assert closed == ["a1"], "a place that is kept for this machine"
    house.rests("a0")
    assert house.enter("c1", "192.0.2.3:1")
    assert closed == ["a1", "a2"]
    assert house.enter("b4", "[2001:db8::ffff]:1")
    assert refused[0] == ("address", "192.0.2.1:1")
    assert {why for why, _ in refused[1:]} == {"full"}


async def test_a_stream_ends_when_its_token_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M4: `watch` and `tap` on TCP look again every 15 s; other streams go on."""
    assert control_server.RECHECK_SECONDS == 15
    monkeypatch.setattr(control_server, "RECHECK_SECONDS", 0.05)
    file = tmp_path / "tokens"
    gone, stays = add(file, "gone", "read"), add(file, "stays", "admin")
    async with serving(access=Tokens(file)) as served:
        place = await listen(served)
        first, second = await call(place), await call(place)
        await first.send({"type": "count", "to": 0, "name": "a", "token": stays})
        await first.line()
        add(file, "admin2", "admin")
        await second.send({"type": "count", "to": 0, "name": "b", "token": stays})
        await second.line()
        remove(file, "stays")
        with trio.fail_after(60):
            assert (await first.line())["status"] == "401"
            assert (await second.line())["status"] == "401"
        assert gone
        for one in (first, second):
            await one.stream.aclose()


async def test_a_token_has_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """M12: the 33rd stream of a token is a 429, over all its connections; others are served."""
    assert shares.MAX_OF_TOKEN["streams"] == 32
    monkeypatch.setattr(shares, "MAX_OF_TOKEN", {"connections": 3, "streams": 4})
    file = tmp_path / "tokens"
    shop, other = add(file, "shop", "admin"), add(file, "other", "admin")
    async with serving(access=Tokens(file)) as served:
        place = await listen(served)
        one, two = await call(place), await call(place)
        for caller, count in ((one, 3), (two, 1)):
            for number in range(count):
                await caller.send({"type": "count", "to": 0, "name": str(number), "token": shop})
                await caller.line()
        reply = await two.ask(type="count", to=0, name="x", token=shop)
        assert reply["status"] == "429"
        assert "shop has 4 streams" in str(reply["message"])
        three, four = await call(place), await call(place)
        assert (await three.ask(type="echo", token=shop))["status"] == "200"
        assert (await four.ask(type="echo", token=shop))["status"] == "429"
        assert (await four.ask(type="echo", token=other))["status"] == "200"
        for caller in (one, two, three, four):
            await caller.stream.aclose()


async def test_a_fault_of_one_connection_ends_that_one(caplog: pytest.LogCaptureFixture) -> None:
    """F9: an error that nobody foresaw in one connection: it ends, and the others are served."""
    async with serving() as served:
        well = await served.call()
        assert (await well.ask(type="echo"))["status"] == "200"
        others = set(served.server._connections)
        ill = await served.call()
        assert (await ill.ask(type="echo"))["status"] == "200"
        [connection] = set(served.server._connections) - others

        def broken(request: object) -> None:
            raise RuntimeError("a fault")

        connection._begin = broken  # type: ignore[method-assign]
        await ill.send({"type": "echo"})
        with trio.fail_after(60):
            assert await ill.rest() == []
        assert (await well.ask(type="echo"))["status"] == "200"
        for one in (well, ill):
            await one.stream.aclose()
    assert "control connection crashed" in caplog.text


def test_descriptors_are_divided(tmp_path: Path) -> None:
    """F14: with all of HTTP's connections taken, the Unix socket still starts devices."""
    settings = {"http": {"listen": "127.0.0.1:0"}}
    with gateway(settings, devices=[{"imei": SAMPLE}]) as running, ExitStack() as stack:
        assert running.process is not None
        pid = running.process.pid
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, 1024))
        [web] = running.ask({"type": "status"})["listen"]["http"]
        device = stack.enter_context(running.register(SAMPLE))
        for _ in range(300):
            stack.enter_context(socket.create_connection(address(web)))
        with running.connect() as caller:
            caller.sendall(b'command{"imei":"%s","type":"start","long":"5"}' % SAMPLE.encode())
            device.expect(f"024000{SAMPLE}QD5")
            device.send(f"023200{SAMPLE}QD")
            assert b'"200"' in caller.recv(1000)
        open_files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        assert open_files < 256, "300 connections of one address took their share, and no more"


def test_refusals_are_shared() -> None:
    """M7: the counter has control's reasons from the start."""
    counts = Refusals().counts.refused
    assert {why for place, why in counts if place == "control"} == {
        "token", "role", "address", "full",
    }  # fmt: skip
