"""What unknown peers, broken modems and passers-by send to the device port of a running gateway.

After each of them a device that had registered before is served as ever.
"""

from __future__ import annotations

import re
import resource
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.e2e.device import Device
from tests.e2e.harness import SAMPLE, Gateway, gateway
from tests.faults.preload import Faults

CAPTURES = Path(__file__).parents[1] / "captures" / "nasty.txt"
WHO = b"006404"
HT = b"023000" + SAMPLE.encode() + b"HT"

# Frames and broken frames are likelier to lead somewhere than bytes alone.
pieces = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([HT, HT[:-1], HT[3:], b"999" + HT[3:], b"023200" + HT[6:], b"AT", b"0", WHO]),
    st.builds(
        lambda length, status, command, data: (
            b"%03d%03d" % (length, status) + HT[6:21] + command + data
        ),
        st.integers(0, 999),
        st.sampled_from([0, 200, 201, 202, 300, 401, 404, 999]),
        st.sampled_from([b"HT", b"TN", b"QR", b"QD", b"ST", b"ht", b"ZZ", b"\xff\xff"]),
        st.binary(max_size=30),
    ),
)
streams = st.lists(pieces, max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def bystander(served: Gateway) -> Iterator[Device]:
    """A device that registered before everything else and minds nothing of it."""
    with served.register("860000000000299") as device:
        yield device


@pytest.fixture(autouse=True)
def undisturbed(served: Gateway, bystander: Device) -> Iterator[None]:
    yield
    bystander.expect_nothing("860000000000299")
    assert "Traceback" not in served.log()


def frames(wire: bytes) -> list[bytes]:
    """What the gateway sent, cut into frames. It never sends anything else."""
    cut = []
    while wire:
        match = re.match(rb"006404|(\d{3})(200|300|401|000)\d{15}[A-Z]{2}", wire)
        assert match, wire
        length = int(match[1] or 6)
        cut.append(wire[:length])
        assert len(cut[-1]) == length
        wire = wire[length:]
    return cut


@given(stream=streams)
@example(stream=b"\x16\x03\x01" * 400)
@example(stream=b"0" * 70000)
@example(stream=b"023" * 30000)
@example(stream=b"999000123456787654321HT" * 2000)
@settings(max_examples=80)
def test_any_bytes_before_registration_get_frames_or_nothing(
    served: Gateway, stream: bytes
) -> None:
    with served.unregistered() as device:
        frames(device.talk(stream))


@given(stream=streams)
@settings(max_examples=80)
def test_any_bytes_of_a_device_get_frames_or_nothing(served: Gateway, stream: bytes) -> None:
    with served.register("860000000000298") as device:
        frames(device.talk(stream.replace(SAMPLE.encode(), b"860000000000298")))


def captures() -> Iterator[object]:
    for line in CAPTURES.read_text("ascii").splitlines():
        if line and not line.startswith("#"):
            name, who, stream, answer = (part.strip() for part in line.split("|"))
            yield pytest.param(who, stream, answer, id=name)


def wire(written: str, imei: str) -> bytes:
    text = written.replace("_", " ").replace("{X}", imei)
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


@pytest.mark.parametrize(("who", "stream", "answer"), [*captures()])
def test_a_captured_stream(served: Gateway, imei: str, who: str, stream: str, answer: str) -> None:
    with served.unregistered() if who == "new" else served.register(imei) as device:
        device.send(wire(stream, imei))
        device.expect(wire(answer, imei))
        assert device.leave() == b"", "nothing more than that"


def test_a_tls_hello_is_not_read_as_anything(served: Gateway) -> None:
    out = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="a.example")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with served.unregistered() as device:
        device.send(out.read())
        device.expect(WHO)
        assert frames(device.leave()) == []


def test_an_http_client_is_cut_off_in_the_end(served: Gateway) -> None:
    with served.unregistered() as device:
        device.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello")
        device.expect(WHO)
        assert frames(device.leave()) == []


def test_a_port_scan_leaves_nothing_behind(served: Gateway) -> None:
    before = served.ask({"type": "status"})["connections"]
    for number in range(200):
        device = served.unregistered()
        if number % 2:
            device.reset()
        else:
            device.close()
    served.until(None, "connections", before)


def test_a_reset_in_the_middle_of_a_frame(served: Gateway, imei: str) -> None:
    device = served.register(imei)
    device.send(f"023000{imei}"[:-3])
    device.reset()
    served.until(imei, "online", False)
    with served.register(imei) as device:
        device.send(f"023000{imei}TN")
        device.expect(f"035200{imei}TN400-500-5620")


def test_two_devices_with_one_imei(served: Gateway, imei: str) -> None:
    """Each takes over from the other, as long as both go on; the fleet is not troubled."""
    with served.register(imei) as kept:
        for _ in range(20):
            with served.register(imei) as newer:
                kept.expect_end()
                kept.close()
                kept = served.register(imei)
                newer.expect_end()
        kept.expect_nothing(imei)
        assert served.status(imei)["online"] is True
        kept.close()
    served.logged("flapping", imei)
    lines = [line for line in served.log().splitlines() if "flapping" in line and imei in line]
    assert 1 <= len(lines) < 10, "reported, and not at every one of 40 takeovers"


def test_five_thousand_connections_that_say_nothing(served: Gateway, bystander: Device) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(5000, hard - 500)
    before = served.ask({"type": "status"})["connections"]
    silent = [served.unregistered() for _ in range(count)]
    try:
        served.until(None, "connections", before + count)
        bystander.expect_nothing("860000000000299")
    finally:
        for device in silent:
            device.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    served.until(None, "connections", before)


def test_a_device_that_never_reads_loses_its_connection(served: Gateway, imei: str) -> None:
    with served.unregistered(receive_buffer=4096) as device:
        device.send(f"023000{imei}HT")
        asks = f"023000{imei}QR".encode() * 2000
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            pour(device, asks)
    served.until(imei, "online", False)
    served.logged(imei, "read")


def pour(device: Device, asks: bytes) -> None:
    """Ask for about 100 MB, which is more than all buffers on the way hold."""
    for _ in range(2000):
        device.send(asks)


def elapse(running: Gateway, faults: Faults, seconds: float) -> None:
    """Let time pass for a gateway that has read what was sent to it."""
    running.ask({"type": "status"})
    faults.elapse(seconds)
    running.ask({"type": "status"})  # it looks at its clock


def test_a_device_that_sends_byte_after_byte_is_understood(faults: Faults) -> None:
    settings = {"device": {"partial_timeout": 10, "heartbeat_grace": 5}}
    with (
        gateway(settings, environment=faults.environment(), devices=[{"imei": SAMPLE}]) as running,
        running.unregistered() as device,
    ):
        for number in range(len(HT)):
            device.send(HT[number : number + 1])
            elapse(running, faults, 1)
        device.expect(HT.replace(b"000", b"200", 1))


def test_an_unregistered_connection_that_sends_too_slowly_is_closed(faults: Faults) -> None:
    """Each byte waits longest as the possible start of a frame, and never becomes one."""
    with (
        gateway(environment=faults.environment(), devices=[{"imei": SAMPLE}]) as running,
        running.unregistered() as device,
    ):
        for _ in range(10):
            device.send(b"0")
            elapse(running, faults, 11)  # more than partial_timeout
            device.expect(WHO)
        device.send(b"0")
        elapse(running, faults, 11)  # more than register_timeout since it connected
        device.expect(WHO)
        device.expect_end()
