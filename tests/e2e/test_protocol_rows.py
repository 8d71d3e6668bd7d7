"""protocol.md over a real socket: every row of section 3's table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.e2e.device import WHO, frame
from tests.e2e.harness import SAMPLE, Gateway, gateway, read_reply, request_bytes

UNKNOWN = "999999999999999"

RESULTS = [*itertools.product(("QD", "ST"), ("200", "201", "202"))]
REQUESTS = [(command, "000") for command in ("HT", "TN", "QR")]
# What only the server sends, but for the short frame 006404.
ECHOES = [
    *itertools.product(("HT", "TN", "QR"), ("200", "300", "401")),
    *itertools.product(("QD", "ST"), ("000", "401")),
]
ODD = [("XX", "000"), ("HT", "201"), ("TN", "404"), ("QR", "202"), ("QD", "300"), ("ST", "999")]


# Section 3, not registered


@pytest.mark.parametrize("beat", ["1", " ", "0", "AT", "\0", "\r\n", "he", "023"])
def test_a_heartbeat_before_registration_is_answered_once(
    served: Gateway, imei: str, beat: str
) -> None:
    with served.unregistered() as device:
        device.send(beat)
        device.expect(WHO)
        device.expect_nothing(imei)


def test_a_known_device_registers(served: Gateway, imei: str) -> None:
    with served.unregistered() as device:
        device.send(frame("000", imei, "HT"))
        device.expect(frame("200", imei, "HT"))
        assert served.status(imei)["online"] is True


@pytest.mark.parametrize("length", ["020", "021", "022"])
def test_a_slip_in_the_length_registers(served: Gateway, imei: str, length: str) -> None:
    with served.unregistered() as device:
        device.send(f"{length}000{imei}HT")
        device.expect(frame("200", imei, "HT"))


def test_an_unknown_imei_is_300_and_stays_unregistered(served: Gateway, imei: str) -> None:
    with served.unregistered() as device:
        device.send(frame("000", UNKNOWN, "HT") + frame("000", UNKNOWN, "TN"))
        device.expect(frame("300", UNKNOWN, "HT"), WHO)
        device.expect_nothing(imei)


def test_a_disabled_device_is_401_and_stays_unregistered(
    served: Gateway, imei: str, other: str
) -> None:
    assert served.cli("devices", "disable", other).returncode == 0
    with served.unregistered() as device:
        device.send(frame("000", other, "HT") + frame("000", other, "TN"))
        device.expect(frame("401", other, "HT"), WHO)
        device.expect_nothing(imei)


@pytest.mark.parametrize(("command", "status"), [*REQUESTS[1:], *RESULTS, *ODD])
def test_any_other_frame_before_registration_is_404(
    served: Gateway, imei: str, command: str, status: str
) -> None:
    with served.unregistered() as device:
        device.send(frame(status, imei, command) * 3)
        device.expect(WHO * 3)
        device.expect_nothing(imei)


@pytest.mark.parametrize("wire", [WHO, *(frame(s, SAMPLE, c) for c, s in ECHOES)])
def test_an_echo_before_registration_gets_nothing(served: Gateway, imei: str, wire: str) -> None:
    with served.unregistered() as device:
        device.send(wire)
        device.expect_nothing(imei)


def test_malformed_bytes_before_registration_are_404(served: Gateway, imei: str) -> None:
    with served.unregistered() as device:
        device.send("hello world")
        device.expect(WHO)
        device.expect_nothing(imei)


# Section 3, registered


@pytest.mark.parametrize("beat", ["1", " ", "0", "AT", "\0", "\r\n", "he", "AT01AT \n"])
def test_a_heartbeat_of_a_registered_device_gets_nothing(
    served: Gateway, imei: str, beat: str
) -> None:
    with served.register(imei) as device:
        before = served.status(imei)["heard"]
        device.send(beat)
        device.expect_nothing(imei)
        assert served.status(imei)["heard"] >= before


def test_data_behind_a_request_is_ignored(served: Gateway, imei: str) -> None:
    with served.register(imei) as device:
        device.send(frame("000", imei, "HT", "V1.02"))
        device.send(frame("000", imei, "TN", "?"))
        device.expect(frame("200", imei, "HT"), frame("200", imei, "TN", "400-500-5620"))


@pytest.fixture(scope="module")
def textless() -> Iterator[Gateway]:
    """A gateway with no text for every device, that knows one with its own and one without."""
    rows = [
        {"imei": "860000000000001", "phone": "", "qr": ""},
        {"imei": "860000000000002", "phone": "010-12345678", "qr": "二维码"},
    ]
    with gateway({"service": {"phone": "", "qr": ""}}, devices=rows) as running:
        yield running


@pytest.mark.parametrize("command", ["TN", "QR"])
def test_a_text_that_the_store_does_not_hold_is_300(textless: Gateway, command: str) -> None:
    with textless.register("860000000000001") as device:
        device.send(frame("000", "860000000000001", command))
        device.expect(frame("300", "860000000000001", command))


def test_a_devices_own_texts_are_utf_8(textless: Gateway) -> None:
    with textless.register("860000000000002") as device:
        device.send(frame("000", "860000000000002", "TN") + frame("000", "860000000000002", "QR"))
        device.expect("035200860000000000002TN010-12345678", "032200860000000000002QR二维码")


@pytest.mark.parametrize(("command", "status"), RESULTS)
def test_a_result_that_nothing_claims_is_acknowledged(
    served: Gateway, imei: str, command: str, status: str
) -> None:
    with served.register(imei) as device:
        device.send(frame(status, imei, command))
        device.expect(frame("200", imei, command))
        device.expect_nothing(imei)


@pytest.mark.parametrize(("command", "status"), RESULTS)
@pytest.mark.parametrize("form", ["{}", "020{}", "{}ok"], ids=["plain", "slip", "data"])
def test_a_result_settles_the_command_and_is_acknowledged(
    served: Gateway, imei: str, command: str, status: str, form: str
) -> None:
    request = {"imei": imei, "type": "start", "long": "0500"}
    if command == "ST":
        request = {"imei": imei, "type": "stop"}
    result = frame(status, imei, command)
    if form == "020{}":
        result = form.format(result[3:])
    elif form == "{}ok":
        result = frame(status, imei, command, "ok")
    with served.register(imei) as device, served.connect() as caller:
        caller.sendall(request_bytes(request))
        device.expect(frame("000", imei, command, "500" if command == "QD" else ""))
        device.send(result)
        device.expect(frame("200", imei, command))
        reply = read_reply(caller)
        assert (reply["status"], reply["imei"], reply["type"]) == (status, imei, request["type"])


@pytest.mark.parametrize("command", ["QD", "ST"])
def test_not_me_with_another_imei_is_acknowledged_and_settles(
    served: Gateway, imei: str, other: str, command: str
) -> None:
    request = {"imei": imei, "type": "start", "long": 60}
    if command == "ST":
        request = {"imei": imei, "type": "stop"}
    with served.register(imei) as device, served.connect() as caller:
        caller.sendall(request_bytes(request))
        device.expect(frame("000", imei, command, "60" if command == "QD" else ""))
        device.send(frame("202", other, command))
        device.expect(frame("200", other, command))
        assert read_reply(caller)["status"] == "202"
        device.expect_nothing(imei)
    served.logged("mismatch", imei)


@pytest.mark.parametrize(
    ("command", "status"), [*REQUESTS, *((c, s) for c, s in RESULTS if s != "202")]
)
def test_a_frame_with_another_imei_is_401(
    served: Gateway, imei: str, other: str, command: str, status: str
) -> None:
    with served.register(imei) as device:
        device.send(frame(status, other, command))
        device.expect(frame("401", other, command))
        device.expect_nothing(imei)
        assert served.status(other)["online"] is False


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(("command", "status"), ECHOES)
def test_an_echo_of_a_registered_device_gets_nothing(
    served: Gateway, imei: str, same: bool, command: str, status: str
) -> None:
    with served.register(imei) as device:
        device.send(frame(status, imei if same else UNKNOWN, command))
        device.expect_nothing(imei)


def test_on_an_echoing_connection_no_result_settles_anything(served: Gateway, imei: str) -> None:
    with served.register(imei) as device, served.connect() as caller:
        caller.sendall(request_bytes({"imei": imei, "type": "start", "long": 60, "timeout": 1}))
        sent = frame("000", imei, "QD", "60")
        device.expect(sent)
        device.send(sent)  # the modem says everything twice
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        assert read_reply(caller)["status"] == "408"
    served.logged("echo", imei)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(("command", "status"), ODD)
def test_a_good_frame_that_means_nothing_is_404(
    served: Gateway, imei: str, same: bool, command: str, status: str
) -> None:
    with served.register(imei) as device:
        device.send(frame(status, imei if same else UNKNOWN, command) * 2)
        device.expect(WHO * 2)
        device.expect_nothing(imei)
