"""Connections that have not registered: how much of the gateway one peer can take."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.e2e.harness import SAMPLE, Gateway, Json, gateway, read_reply, request_bytes


@pytest.fixture
def served() -> Iterator[Gateway]:
    with gateway(devices=[{"imei": SAMPLE}, {"imei": "860000000000001"}]) as running:
        yield running


def events(running: Gateway, *kinds: str) -> list[Json]:
    """All that are on disk."""
    found: list[Json] = []
    after = 0
    while True:
        page = running.ask({"type": "events", "after": after, "limit": 1000})
        found += [one for one in page["items"] if not kinds or one["type"] in kinds]
        if page["next"] is None:
            return found
        after = page["next"]


def guesses(first: int, count: int) -> bytes:
    return b"".join(b"023000%015dHT" % number for number in range(first, first + count))


def test_five_refused_registrations_end_a_connection(served: Gateway) -> None:
    """H1: 500 IMEIs tried in one write: five answers, and the connection is closed."""
    with served.unregistered() as device:
        assert device.talk(guesses(1, 500)) == b"".join(
            b"023300%015dHT" % number for number in range(1, 6)
        )


def test_after_twenty_refusals_each_registration_of_the_address_waits(served: Gateway) -> None:
    """H1: then at most one registration of a connection is answered at once, known or not, and a
    device that is known still gets in; others are served meanwhile."""
    for start in range(0, 20, 5):
        with served.unregistered() as device:
            device.talk(guesses(1000 + start, 5))
    with served.unregistered() as late, served.unregistered() as known:
        late.socket.settimeout(0.3)
        late.send(guesses(5000, 4))
        known.send(f"023000{SAMPLE}HT023000{SAMPLE}TN")
        with pytest.raises(TimeoutError):
            late.socket.recv(1)
        assert served.ask({"type": "status"})["status"] == "200", "others have their turn"
        known.expect(f"023200{SAMPLE}HT", f"035200{SAMPLE}TN400-500-5620")
        late.socket.settimeout(60)
        late.expect("023300000000000005000HT")
    lines = [line for line in served.log().splitlines() if '"door": "device"' in line]
    assert len(lines) == 1, "one line a minute and address"


def test_unknown_imeis_write_a_bounded_number_of_events(served: Gateway) -> None:
    """H4, D11: 100 unknown IMEIs write 60 `device.unknown` in an hour, which tell of the rest."""
    with ExitStack() as stack:
        for number in range(25):
            stack.enter_context(served.unregistered()).talk(guesses(number * 4 + 1, 4))
            if number == 4:
                break
    told = events(served, "device.unknown")
    assert len(told) == 20
    assert {"imei", "address", "count", "left_out"} <= told[0].keys()
    assert told[0]["count"] == 1
    with served.unregistered() as again:
        again.send(guesses(1, 1))
        again.read(23)
    assert len(events(served, "device.unknown")) == 20, "once an hour for an IMEI"


def test_echoes_before_registration_write_no_event_and_one_line(served: Gateway) -> None:
    """H4: `023200...HT` and close, 300 times: no event, one line."""
    before = len(events(served))
    for _ in range(300):
        with served.unregistered() as device:
            device.send(f"023200{SAMPLE}HT")
            device.socket.shutdown(socket.SHUT_WR)
            device.read(1)
    assert len(events(served)) == before
    lines = [line for line in served.log().splitlines() if '"why": "echo"' in line]
    assert len(lines) == 1


def test_registrations_of_one_imei_write_a_handful_of_events(served: Gateway) -> None:
    """H4: HT and close 200 times, with results that nobody asked for: the first ten of each kind
    are told, one more with a count; online and offline alternate."""
    for _ in range(200):
        with served.register(SAMPLE) as device:
            device.send(f"023200{SAMPLE}QD023201{SAMPLE}QD023202{SAMPLE}QD023200{SAMPLE}ST")
            device.read(23 * 4)
            device.socket.shutdown(socket.SHUT_WR)
            device.read(1)
    told = events(served)
    counts = Counter(one["type"] for one in told)
    assert counts["device.online"] == counts["device.offline"] == 10
    assert counts["result.unsolicited"] == 11
    assert counts["device.flapping"] == 1
    assert [one.get("count") for one in told if one["type"] == "device.flapping"] == [1]
    states = [one["type"] for one in told if one["type"] in ("device.online", "device.offline")]
    assert states == ["device.online", "device.offline"] * 10


def test_takeovers_of_one_imei_write_a_handful_of_events(served: Gateway) -> None:
    """H4: 100 takeovers: ten events and one with a count; the gateway knows who speaks now."""
    with ExitStack() as stack:
        for _ in range(101):
            stack.enter_context(served.register(SAMPLE))
        told = Counter(one["type"] for one in events(served))
        assert told["device.taken_over"] == 10
        assert told["device.flapping"] == 2, "five takeovers, and that there were more"
        assert served.status(SAMPLE)["online"]


def test_a_full_door_closes_who_has_not_registered() -> None:
    """H6: 40 silent connections take all places; a device that comes then gets in, and a device
    that has registered keeps its place."""
    with (
        gateway(
            {"device": {"max_connections": 40}},
            devices=[{"imei": SAMPLE}, {"imei": "860000000000001"}],
        ) as running,
        ExitStack() as stack,
    ):
        first = stack.enter_context(running.register(SAMPLE))
        silent = [stack.enter_context(running.unregistered()) for _ in range(39)]
        running.until(None, "connections", 40)
        late = stack.enter_context(running.unregistered())
        late.send("023000860000000000001HT")
        late.expect("023200860000000000001HT")
        first.send(f"023000{SAMPLE}TN")
        first.expect(f"035200{SAMPLE}TN400-500-5620")
        assert any(device.read(1) == b"" for device in silent[:1]), "the oldest went first"


def test_one_address_has_two_hundred_places_for_who_does_not_register(served: Gateway) -> None:
    """H1, H6: of 300 silent connections of one address 200 stay, besides one that registered."""
    with ExitStack() as stack:
        registered = stack.enter_context(served.register(SAMPLE))
        for _ in range(300):
            stack.enter_context(served.unregistered())
        served.until(None, "connections", 201)
        registered.send(f"023000{SAMPLE}TN")
        registered.expect(f"035200{SAMPLE}TN400-500-5620")


def test_an_unregistered_connection_sends_four_kilobytes_and_no_more(served: Gateway) -> None:
    """M2: heartbeats, digits and frames without end: closed after 4 KiB."""
    for unit in (b"1", b"7", b"AT", b"023000123456787654321TN"):
        with served.unregistered() as device:
            # What is not read stays here: a slow gateway makes this wait, and not send more.
            device.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sent = 0
            with suppress(ConnectionError):
                for _ in range(1000):
                    sent += device.socket.send(unit * (1000 // len(unit)))
            device.read(1 << 20)
            assert sent < 200_000, unit


def test_flood_with_starts(served: Gateway) -> None:
    """Fairness: 60 connections that flood with digits, and a start of an honest device gets its
    answer."""
    with ExitStack() as stack:
        device = stack.enter_context(served.register(SAMPLE))
        for _ in range(60):
            flood = stack.enter_context(served.unregistered())
            flood.socket.setblocking(False)
            with suppress(OSError):
                flood.socket.send(b"1" * 100_000)
        caller = stack.enter_context(served.connect())
        caller.sendall(request_bytes({"imei": SAMPLE, "type": "start", "long": "5"}))
        device.expect(f"024000{SAMPLE}QD5")
        device.send(f"023200{SAMPLE}QD")
        assert read_reply(caller)["status"] == "200"


def test_small_buffers_hold_little_of_a_flood(served: Gateway) -> None:
    """M2: what the kernel takes of a peer that is not read stays small."""
    with served.register(SAMPLE) as listener:
        # The window that the gateway offers tells its buffer: less than 64 KiB of a flood are
        # taken before the peer has to wait, whatever the system's default is.
        served.signal(signal.SIGSTOP)  # it reads nothing
        try:
            listener.socket.setblocking(False)
            listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sent = 0
            try:
                while True:
                    sent += listener.socket.send(b"1" * 1024)
            except BlockingIOError:
                pass
        finally:
            served.signal(signal.SIGCONT)
        assert sent < 64 * 1024
