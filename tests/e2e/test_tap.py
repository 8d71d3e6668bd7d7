"""`tap` and `replay`: one device's frames as they pass, and why they are answered so."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.caller import Caller, knowing, obey
from tests.e2e.device import WAIT_SECONDS, WHO, frame
from tests.e2e.harness import Gateway, Json, environment, request_bytes

UNKNOWN, DISABLED = "999999999999999", "860000000000039"


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"device": {"heartbeat_grace": 0.05}, "service": {"qr": ""}}) as running:
        assert running.cli("devices", "disable", DISABLED).returncode == 0
        yield running


def passed(lines: list[Json]) -> list[tuple[str, str]]:
    return [(line["direction"], line["bytes"]) for line in lines]


def test_a_tap_shows_frames_both_ways(served: Gateway, imei: str) -> None:
    with served.register(imei) as device, Caller(served) as caller, Caller(served) as asker:
        caller.follow(type="tap", imei=imei)
        device.send(frame("000", imei, "TN"))
        device.expect(frame("200", imei, "TN", "400-500-5620"))
        device.send("1")
        asker.send(imei=imei, type="start", long=5)
        obey(device, imei, "QD5")
        assert asker.line()["status"] == "200"
        told = [caller.line() for _ in range(6)]
    assert passed(told) == [
        ("in", frame("000", imei, "TN")),
        ("out", frame("200", imei, "TN", "400-500-5620")),
        ("in", "1"),
        ("out", frame("000", imei, "QD", "5")),
        ("in", frame("200", imei, "QD")),
        ("out", frame("200", imei, "QD")),
    ]
    for line in told:
        assert list(line) == ["at", "imei", "address", "direction", "bytes", "decoded", "why"]
        assert (line["imei"], line["why"]) == (imei, None)
        assert line["address"].startswith("127.0.0.1:")
    assert told[0]["decoded"] == f"TN 000 {imei}"
    assert told[3]["decoded"] == f"QD 000 {imei} 5"


@pytest.mark.parametrize(
    ("said", "answer", "reason"),
    [
        ("hello world", WHO, "404: no frame can be read"),
        ("024000{imei}XX1", WHO, "404: no such request or result: XX"),
        ("023000{imei}QR", "023300{imei}QR", "300: the store holds no text"),
        (
            "023000999999999999999TN",
            "023401999999999999999TN",
            "401: the connection is registered",
        ),
    ],
)
def test_a_tap_says_why(served: Gateway, imei: str, said: str, answer: str, reason: str) -> None:
    with served.register(imei) as device, Caller(served) as caller:
        caller.follow(type="tap", imei=imei)
        device.send(said.format(imei=imei))
        device.expect(answer.format(imei=imei))
        _, out = caller.line(), caller.line()
    assert (out["direction"], out["bytes"]) == ("out", answer.format(imei=imei))
    assert out["why"].startswith(reason)


def test_a_tap_follows_its_device_over_connections(served: Gateway, imei: str) -> None:
    with Caller(served) as caller:
        caller.follow(type="tap", imei=imei)  # before it is online
        for _ in range(2):
            with served.register(imei):
                pass
        told = [caller.line() for _ in range(4)]
    assert [line["decoded"] for line in told] == [f"HT 000 {imei}", f"HT 200 {imei}"] * 2
    assert len({line["address"] for line in told}) == 2


def test_unregistered_connections_are_tapped_until_they_register(
    served: Gateway, imei: str
) -> None:
    with Caller(served) as caller, served.unregistered() as peer:
        served.until(None, "connections", 1)
        caller.follow(type="tap", unregistered=True)
        for said, answer in (
            ("AT", WHO),
            (frame("000", imei, "TN"), WHO),
            (frame("000", UNKNOWN, "HT"), frame("300", UNKNOWN, "HT")),
            (frame("000", DISABLED, "HT"), frame("401", DISABLED, "HT")),
            (frame("000", imei, "HT"), frame("200", imei, "HT")),
        ):
            peer.send(said)
            peer.expect(answer)
        peer.expect_nothing(imei)
        with served.unregistered() as another:
            another.send(frame("000", UNKNOWN, "HT"))
            another.expect(frame("300", UNKNOWN, "HT"))
        told = caller.until(lambda line: line["address"] != address_of(peer.socket))
    reasons = [line["why"] for line in told if line["direction"] == "out"]
    assert reasons[0].startswith("404: a heartbeat")
    assert reasons[1].startswith("404: the device has not registered")
    assert reasons[2].startswith("300: no device")
    assert reasons[3] == "401: the device is disabled"
    assert told[-1]["decoded"] == f"HT 000 {UNKNOWN}"
    registered = [line for line in told if line["bytes"] == frame("000", imei, "HT")]
    assert len(registered) <= 1, "once it is registered it is not tapped"


def address_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()
    return f"{host}:{port}"


def test_whom_nobody_knows_cannot_be_tapped(served: Gateway) -> None:
    assert served.ask({"type": "tap", "imei": UNKNOWN})["status"] == "300"
    assert served.ask({"type": "tap"})["status"] == "400"
    assert served.cli("tap", UNKNOWN).returncode == 5
    assert served.cli("tap").returncode == 2


def test_a_slow_tap_slows_nobody_and_is_told_what_it_missed(served: Gateway, imei: str) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(WAIT_SECONDS)
        slow.connect(str(served.socket))
        slow.sendall(request_bytes({"type": "tap", "imei": imei}))
        lines = slow.makefile("rb")
        assert json.loads(lines.readline())["status"] == "200"
        with served.register(imei) as device:
            for _ in range(4000):
                device.send(frame("000", imei, "HT"))
                device.expect(frame("200", imei, "HT"))
        seen = missed = 0
        while seen + missed < 2 + 8000:
            line = json.loads(lines.readline())
            missed += line.get("missed", 0)
            seen += "bytes" in line
        lines.close()
    assert missed > 0
    assert seen + missed == 2 + 8000, "not one frame is unaccounted for"


def test_a_saved_tap_is_replayed(served: Gateway, imei: str) -> None:
    file = served.folder / "saved.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "devgate", "tap", imei, "--save", str(file)],
        cwd=served.folder, env=environment(served.folder), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as tapping:  # fmt: skip
        assert tapping.stdout is not None
        with served.register(imei) as device:
            while not file.exists() or not file.stat().st_size:  # until the tap is there
                device.expect_nothing(imei)
            device.send("hello world")
            device.expect(WHO)
            device.send(frame("000", imei, "QR"))
            device.expect(frame("300", imei, "QR"))
        text = [next(tapping.stdout)]
        while "QR" not in text[-1] or " out" not in text[-1]:
            text.append(next(tapping.stdout))
        tapping.send_signal(signal.SIGINT)
        tapping.wait(WAIT_SECONDS)
    assert "300: the store holds no text" in text[-1]
    assert "\x1b" not in "".join(text)
    same = served.cli("replay", str(file), "--fast")
    assert (same.returncode, "the same as saved" in same.stdout) == (0, True), same.stderr
    assert served.cli("devices", "edit", imei, "--qr", "its own").returncode == 0
    other = served.cli("replay", str(file), "--fast", "--json")
    assert other.returncode == 1
    assert json.loads(other.stdout.splitlines()[-1])["same"] is False
    assert served.cli("tap", imei, "--save", str(file)).returncode == 2, "it is there already"
