"""What broken and hostile callers do to the control socket of a running gateway."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.e2e.device import Device
from tests.e2e.harness import SAMPLE, Gateway, Json, read_reply, request_bytes

# Digits to Python, and to nobody else here.
WIDE = "".join(chr(0xFF10 + int(digit)) for digit in SAMPLE)


@pytest.fixture(autouse=True)
def undisturbed(served: Gateway) -> Iterator[None]:
    with served.register("860000000000299") as bystander:
        yield
        bystander.expect_nothing("860000000000299")
    assert served.ask({"type": "status"})["status"] == "200"
    assert "Traceback" not in served.log()


def replies(caller: socket.socket) -> list[Json]:
    """All that comes until the gateway closes."""
    got = b""
    try:
        while part := caller.recv(65536):
            got += part
    except ConnectionResetError:
        pass  # closed with something of ours unread
    return [json.loads(line) for line in got.splitlines()]


def say(served: Gateway, wire: bytes) -> list[Json]:
    """Every reply to these bytes, when nothing follows them."""
    with served.connect() as caller:
        try:
            caller.sendall(wire)
            caller.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the gateway has said what it had to say, and has closed
        return replies(caller)


@pytest.mark.parametrize(
    "wire",
    [
        b"hello",
        b"commandx{}",
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
        b"{" * (1 << 20),
        b"command" + b"{" * (1 << 20),
        b'command{"type":"' + b"x" * (1 << 20) + b'"}',
        b"command[1]",
        b"COMMAND{}",
        b"command" * 1000,
    ],
    ids=lambda wire: repr(wire[:20]),
)
def test_what_is_no_request_gets_one_400_and_is_closed(served: Gateway, wire: bytes) -> None:
    with served.connect() as caller:
        # The reply may be there while this end is still talking.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            caller.sendall(wire)
        got = replies(caller)  # ends although this end stays open: the gateway closes
    assert [reply["status"] for reply in got] == ["400"]
    assert got[0]["message"]


@pytest.mark.parametrize(
    "wire",
    [
        b'command{"type":"\xff\xfe"}',
        b"command{hello}",
        b"command{'type':'status'}",
        b'command{"type":"status",}',
        b'command{"type":NaN}',
        b'command{"type":"\\ud800"}',
        b"command{" + b'"a":{' * 5000 + b"}" * 5001,
    ],
    ids=lambda wire: repr(wire[:20]),
)
def test_what_is_not_json_or_not_utf_8_gets_one_400(served: Gateway, wire: bytes) -> None:
    assert [reply["status"] for reply in say(served, wire)] == ["400"]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({}, "type"),
        ({"type": "begin"}, "type"),
        ({"type": 5}, "type"),
        ({"type": ["status"]}, "type"),
        ({"type": "start", "imei": 123456787654321, "long": 5}, "imei"),
        ({"type": "start", "imei": "12345678765432", "long": 5}, "imei"),
        ({"type": "start", "imei": WIDE, "long": 5}, "imei"),
        ({"type": "start", "imei": "860000000000000"}, "long"),
        ({"type": "start", "imei": "860000000000000", "long": "0"}, "long"),
        ({"type": "start", "imei": "860000000000000", "long": "-5"}, "long"),
        ({"type": "start", "imei": "860000000000000", "long": WIDE[4]}, "long"),
        ({"type": "start", "imei": "860000000000000", "long": 5.0}, "long"),
        ({"type": "start", "imei": "860000000000000", "long": True}, "long"),
        ({"type": "start", "imei": "860000000000000", "long": 86401}, "long"),
        ({"type": "start", "imei": "860000000000000", "long": "9" * 5000}, "long"),
        ({"type": "start", "imei": "860000000000000", "long": 5, "timeout": -1}, "timeout"),
        ({"type": "start", "imei": "860000000000000", "long": 5, "timeout": 301}, "timeout"),
        ({"type": "start", "imei": "860000000000000", "long": 5, "wait": "no"}, "wait"),
        ({"type": "stop", "imei": None}, "imei"),
        ({"type": "status", "imei": "x"}, "imei"),
        ({"type": "devices", "limit": -1}, "limit"),
        ({"type": "devices", "online": "yes"}, "online"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_bad_field_gets_a_400_that_names_it_and_the_connection_goes_on(
    served: Gateway, request_: Json, names: str
) -> None:
    with served.connect() as caller:
        caller.sendall(request_bytes({**request_, "id": 7}))
        reply = read_reply(caller)
        assert (reply["status"], reply["id"]) == ("400", 7)
        assert names in reply["message"]
        caller.sendall(request_bytes({"type": "status"}))
        assert read_reply(caller)["status"] == "200"


@given(wire=st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
@settings(max_examples=80)
def test_any_bytes_get_a_400_or_more(served: Gateway, wire: bytes) -> None:
    for prefix in (b"", b"command{"):
        got = say(served, prefix + wire)
        assert all(reply["status"] == "400" for reply in got)
        assert bool(got) == bool((prefix + wire).strip(b" \t\r\n")), "blanks ask nothing"


def test_a_caller_that_disappears_does_not_take_its_command_along(
    served: Gateway, imei: str
) -> None:
    with served.register(imei) as device:
        with served.connect() as caller:
            caller.sendall(request_bytes({"type": "start", "imei": imei, "long": 60}))
            device.expect(f"025000{imei}QD60")
        device.send(f"023200{imei}QD")
        device.expect(f"023200{imei}QD")
        with served.connect() as caller:
            caller.sendall(request_bytes({"type": "stop", "imei": imei}))
            device.expect(f"023000{imei}ST")
            device.send(f"023200{imei}ST")
            assert read_reply(caller)["status"] == "200"


def test_two_hundred_callers_at_once(served: Gateway, unused: Iterator[str]) -> None:
    imeis = [next(unused) for _ in range(20)]
    devices = [served.register(imei) for imei in imeis]
    callers = [served.connect() for _ in range(200)]
    try:
        for number, caller in enumerate(callers):
            request = {"type": "start", "imei": imeis[number % 20], "long": number + 1}
            caller.sendall(request_bytes(request))
        started = []
        for _ in range(10):
            started += [take_start(d, i) for d, i in zip(devices, imeis, strict=True)]
        assert sorted(started) == list(range(1, 201)), "each once, none for another"
        assert [read_reply(caller)["status"] for caller in callers] == ["200"] * 200
    finally:
        for device in devices:
            device.close()
        for caller in callers:
            caller.close()


def take_start(device: Device, imei: str) -> int:
    """Confirm the start that comes next. Returns its number of seconds."""
    length = int(device.read(3))
    rest = device.read(length - 3).decode()
    assert rest.startswith(f"000{imei}QD")
    device.send(f"023200{imei}QD")
    device.expect(f"023200{imei}QD")
    return int(rest[20:])


def test_a_caller_that_never_reads_is_held_up_or_cut_off(served: Gateway) -> None:
    asks = request_bytes({"type": "devices", "limit": 300}) * 1000
    with served.connect(timeout=2) as caller:
        with pytest.raises((TimeoutError, BrokenPipeError, ConnectionResetError)):
            pour(caller, asks)
        assert served.ask({"type": "status"})["memory"] < 400 << 20


def pour(caller: socket.socket, asks: bytes) -> None:
    """Ask until the gateway takes no more. If it takes it all, it has kept gigabytes for us."""
    for _ in range(2000):
        caller.sendall(asks)
