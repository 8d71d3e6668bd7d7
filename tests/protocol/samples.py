"""Values that the tests of the protocol share, and the strategies that make more of them."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from devgate.model import Imei
from devgate.protocol.decoder import Decoder
from devgate.protocol.frames import Event, Frame, Heartbeat, encode

X = Imei("123456787654321")
Y = Imei("999999999999999")
HT, TN, QR = (encode("000", X, c) for c in ("HT", "TN", "QR"))
BEAT = Heartbeat()
F = Frame("000", X, "HT", b"")
SHORT_404 = b"006404"

frames = st.builds(
    encode,
    st.from_regex(r"[0-9]{3}", fullmatch=True),
    st.from_regex(r"[0-9]{15}", fullmatch=True).map(Imei),
    st.from_regex(r"[A-Z]{2}", fullmatch=True),
    st.binary(max_size=40) | st.binary(min_size=900, max_size=976),
)
# Near frames: what looks like one up to a point is where decoders go wrong.
nearly = st.builds(lambda wire, size: wire[:size], frames, st.integers(1, 30))
beats = st.sampled_from([b"", b" ", b"1", b"0", b"AT", b"\r\n", b"00", b"006", b"0064"])
noise = st.one_of(
    frames,
    beats,
    nearly,
    st.just(SHORT_404),
    st.just(HT),
    st.binary(max_size=60),
    st.from_regex(rb"[0-9AT]{1,60}", fullmatch=True),
    st.from_regex(rb"[064]{1,12}", fullmatch=True),
)
streams = st.lists(noise, max_size=8).map(b"".join)


def all_of(wire: bytes) -> list[Event]:
    """What a whole stream says, when silence falls behind it."""
    decoder = Decoder()
    return decoder.feed(wire) + decoder.expire()


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream in the reads that these cuts make of it."""
    borders = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    return [stream[a:b] for a, b in itertools.pairwise(borders)]
