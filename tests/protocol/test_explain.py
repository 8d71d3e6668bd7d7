"""The words of `tap`."""

from __future__ import annotations

import pytest

from devgate.model import Imei
from devgate.protocol.explain import decoded, sent_frames, why
from devgate.protocol.frames import Event, Frame, Heartbeat, Malformed, ShortEcho, encode
from tests.protocol.samples import SHORT_404, F, X, Y

BAD = Malformed(b"hello world")


def test_what_was_read() -> None:
    events: list[Event] = [F, Heartbeat(), BAD, ShortEcho(), Frame("201", Y, "QD", b"5")]
    assert decoded(events) == (
        "HT 000 123456787654321; heartbeat; malformed; echo of 404; QD 201 999999999999999"
    )


def test_what_was_sent() -> None:
    wire = encode("200", X, "TN", b"400-500-5620") + SHORT_404 + encode("000", X, "QD", b"900")
    assert sent_frames(wire) == (
        "TN 200 123456787654321 400-500-5620; 404; QD 000 123456787654321 900"
    )
    assert sent_frames(encode("200", X, "HT")) == "HT 200 123456787654321"
    assert (
        sent_frames(encode("200", X, "QR", "二维码".encode())) == "QR 200 123456787654321 二维码"
    )


@pytest.mark.parametrize(
    ("event", "wire", "bound", "words"),
    [
        (Heartbeat(), SHORT_404, None, "404: a heartbeat, and the device has not registered"),
        (Heartbeat(), b"", X, None),
        (F, encode("200", X, "HT"), None, None),
        (F, encode("300", X, "HT"), None, "300: no device with this IMEI"),
        (F, encode("401", X, "HT"), None, "401: the device is disabled"),
        (F._replace(imei=Y), encode("401", Y, "HT"), X, "401: the connection is registered as 1"),
        (F._replace(command="TN"), SHORT_404, None, "404: the device has not registered"),
        (F._replace(command="QR"), encode("300", X, "QR"), X, "300: the store holds no text"),
        (F._replace(command="XX"), SHORT_404, X, "404: no such request or result: XX with"),
        (Frame("777", X, "HT", b""), SHORT_404, None, "404: no such request or result: HT with"),
        (Frame("200", X, "QD", b""), encode("200", X, "QD"), X, None),
        (Frame("200", X, "QD", b""), b"", X, "the same result, which no command claims"),
        (BAD, SHORT_404, X, "404: no frame can be read"),
        (BAD, b"", X, "malformed again within a second"),
        (ShortEcho(), b"", X, "an echo"),
        (Frame("000", X, "QD", b""), b"", X, "an echo"),
        (Frame("200", X, "TN", b""), b"", X, "an echo"),
    ],
)  # fmt: skip
def test_why(event: Event, wire: bytes, bound: Imei | None, words: str | None) -> None:
    said = why(event, wire, bound)
    assert (said or "").startswith(words or "")
    assert (said is None) == (words is None)
