"""protocol.md section 1: the user's own examples, byte for byte."""

from __future__ import annotations

import pytest

from devgate.protocol.frames import encode
from tests.protocol.samples import X


@pytest.mark.parametrize(
    ("frame", "wire"),
    [
        (("000", X, "HT"), b"023000123456787654321HT"),
        (("200", X, "HT"), b"023200123456787654321HT"),
        (("200", X, "TN", b"400-500-5620"), b"035200123456787654321TN400-500-5620"),
        (
            ("200", X, "QR", b"http://csgxjk.com/qrcode/dev/16"),
            b"054200123456787654321QRhttp://csgxjk.com/qrcode/dev/16",
        ),
        (("000", X, "QD", b"900"), b"026000123456787654321QD900"),
        (("000", X, "QD", b"36000"), b"028000123456787654321QD36000"),
        (("000", X, "QD", b"5"), b"024000123456787654321QD5"),
        (("000", X, "ST"), b"023000123456787654321ST"),
        (("200", X, "ST"), b"023200123456787654321ST"),
    ],
)
def test_the_bytes_of_a_frame(frame: tuple[str, ...], wire: bytes) -> None:
    assert encode(*frame) == wire  # type: ignore[arg-type]


def test_the_longest_and_what_is_longer() -> None:
    assert encode("200", X, "TN", b"x" * 976)[:3] == b"999"
    with pytest.raises(AssertionError, match="measured"):
        encode("200", X, "TN", b"x" * 977)
