"""The device's side of the wire, and the list of IMEIs."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.errors import SetupError
from devgate.model import Imei
from devgate.protocol.frames import SHORT_404, Frame, encode
from devgate.simulator.options import FIRST_IMEI, imeis
from devgate.simulator.reader import FrameReader, Heard, Short

ME = Imei("123456787654321")
SAMPLES = [
    (b"023200123456787654321HT", Frame("200", ME, "HT", b"")),
    (b"035200123456787654321TN400-500-5620", Frame("200", ME, "TN", b"400-500-5620")),
    (b"026000123456787654321QD900", Frame("000", ME, "QD", b"900")),
    (b"023000123456787654321ST", Frame("000", ME, "ST", b"")),
    (b"006404", Short.NOT_REGISTERED),
]

frames = st.one_of(
    st.just(SHORT_404),
    st.builds(
        encode,
        st.from_regex(r"[0-9]{3}", fullmatch=True),
        st.from_regex(r"[0-9]{15}", fullmatch=True).map(Imei),
        st.sampled_from(["HT", "TN", "QR", "QD", "ST"]),
        st.binary(max_size=976),
    ),
)


@pytest.mark.parametrize(("wire", "heard"), SAMPLES)
def test_what_a_server_sends_is_read(wire: bytes, heard: Heard) -> None:
    assert FrameReader().feed(wire) == [heard]


@pytest.mark.parametrize("cut", range(len(b"".join(wire for wire, _ in SAMPLES)) + 1))
def test_frames_may_be_cut_anywhere(cut: int) -> None:
    stream, reader = b"".join(wire for wire, _ in SAMPLES), FrameReader()
    assert reader.feed(stream[:cut]) + reader.feed(stream[cut:]) == [h for _, h in SAMPLES]
    assert reader.tail == b""


@given(st.lists(frames, max_size=6), st.data())
def test_frames_survive_any_cuts(wires: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(wires)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, heard = FrameReader(), list[Heard]()
    for start, stop in itertools.pairwise([0, *cuts, len(stream)]):
        heard += reader.feed(stream[start:stop])
    assert [encode(*h) if isinstance(h, Frame) else SHORT_404 for h in heard] == wires


@given(st.lists(st.one_of(st.binary(max_size=60), frames), max_size=20))
def test_any_bytes_are_borne(reads: list[bytes]) -> None:
    reader = FrameReader()
    for read in reads:
        heard = reader.feed(read)
        assert len(reader.tail) < 999
        assert Short.UNREADABLE not in heard[:-1], "what it holds is given up with it"


@pytest.mark.parametrize(
    "wire", [b"hello", b"1AT", b"022200123456787654321HT", b"006405", b"023abc" + b"0" * 17]
)
def test_what_is_no_frame_is_given_up_and_the_next_one_read(wire: bytes) -> None:
    reader = FrameReader()
    assert reader.feed(wire) == [Short.UNREADABLE]
    assert reader.feed(SAMPLES[0][0]) == [SAMPLES[0][1]]


def test_a_fleet_has_the_same_imeis_each_time() -> None:
    assert imeis(3) == [FIRST_IMEI, "860000000000002", "860000000000003"]
    assert imeis(2, Imei("000000000000009")) == ["000000000000009", "000000000000010"]
    assert imeis(1, Imei("9" * 15)) == ["9" * 15]


def test_imeis_beyond_fifteen_digits_are_refused() -> None:
    with pytest.raises(SetupError, match="2 devices from '999999999999999' on"):
        imeis(2, Imei("9" * 15))
