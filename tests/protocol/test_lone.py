"""A read that is one frame, ahead of the decoder: it gives the same, and leaves the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devgate.protocol.decoder import Decoder
from devgate.protocol.quick import lone
from tests.protocol.samples import HT, F, noise

short = st.from_regex(rb"023[0-9]{18}[A-Z]{2}", fullmatch=True)


def state(decoder: Decoder) -> list[object]:
    return [getattr(decoder, name) for name in Decoder.__slots__]


@given(st.lists(noise, max_size=4), st.one_of(short, noise), st.one_of(short, noise))
def test_it_is_what_the_decoder_gives(before: list[bytes], data: bytes, after: bytes) -> None:
    plain, quick = Decoder(), Decoder()
    for wire in before:
        plain.feed(wire)
        quick.feed(wire)
    for decoder in plain, quick:
        if decoder.tail:
            decoder.expire()
    frame = lone(data)
    if frame is not None:
        assert plain.feed(data) == [frame]
        assert plain.feed(after) == quick.feed(after), "nothing is left of it"
        assert state(plain) == state(quick)


def test_it_knows_the_frames_that_have_no_data() -> None:
    assert lone(HT) == F
    for other in (HT[:-1], HT + b"1", b"024" + HT[3:] + b"1", HT.lower(), b"006404", b"", HT + HT):
        assert lone(other) is None
