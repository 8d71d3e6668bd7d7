"""protocol.md section 2, stream by stream."""

from __future__ import annotations

import itertools

import pytest

from devgate.protocol.decoder import Decoder
from devgate.protocol.frames import Event, Frame, Heartbeat, Malformed, ShortEcho, encode
from tests.protocol.samples import BEAT, HT, SHORT_404, TN, F, X, all_of

ST202 = Frame("202", X, "ST", b"")


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (b"", []),
        (b"1", [BEAT]),
        (b" ", [BEAT]),
        (b"AT", [BEAT]),
        (b"xyz", [BEAT]),
        (b"xyzw", [Malformed(b"xyzw")]),
        (b"ATATAT111000\r\n\0", [BEAT]),
        (b"1" * 30, [BEAT]),
        (b"AT" + HT + b"1", [F, BEAT]),
        (b"1" + HT, [F]),
        (b"0" + HT, [F]),
        (b"1" * 30 + HT, [F]),
        (HT + HT, [F, F]),
        (HT + b"AT" + HT, [F, F]),
        (HT + b"what?" + HT, [F, Malformed(b"what?"), F]),
        (b"hello world", [Malformed(b"hello world")]),
        (b"hello world" + HT, [Malformed(b"hello world"), F]),
        (b"023000123456787654321ht", [Malformed(b"023000123456787654321ht")]),
        (b"023000123456787654321H", [Malformed(b"023000123456787654321H")]),
        (b"026000123456787654321QD900", [Frame("000", X, "QD", b"900")]),
        (b"027200123456787654321QD\xff\x00\n!", [Frame("200", X, "QD", b"\xff\x00\n!")]),
        (SHORT_404, [ShortEcho()]),
        (b"AT" + SHORT_404 + HT, [ShortEcho(), F]),
        (SHORT_404 * 3, [ShortEcho()] * 3),
        (b"hello" + SHORT_404, [Malformed(b"hello"), ShortEcho()]),
        # A run is judged as a whole, whatever part of it might have become a frame.
        (b"xyz0", [Malformed(b"xyz0")]),
        (b"1 02", [Malformed(b"1 02")]),
    ],
)
def test_a_stream_decodes_to(wire: bytes, events: list[Event]) -> None:
    assert all_of(wire) == events


@pytest.mark.parametrize("length", ["020", "021", "022"])
def test_a_slip_of_the_length_is_a_frame_of_23_bytes(length: str) -> None:
    """Rule 2; the original's own examples have such devices."""
    wire = length.encode() + HT[3:]
    assert all_of(wire) == [F]
    assert all_of(wire + TN) == [F, Frame("000", X, "TN", b"")]
    assert all_of(b"020202123456787654321ST") == [ST202]


@pytest.mark.parametrize("length", [b"000", b"001", b"009", b"010", b"019"])
def test_a_shorter_length_is_none(length: bytes) -> None:
    [event] = all_of(length + HT[3:])
    assert isinstance(event, Malformed)


def test_the_longest_frame() -> None:
    wire = encode("200", X, "QD", b"\x00" * 976)
    assert wire[:3] == b"999"
    assert all_of(wire + HT) == [Frame("200", X, "QD", b"\x00" * 976), F]


def test_a_header_whose_data_never_come_does_not_swallow_what_follows() -> None:
    assert all_of(b"999" + TN[3:] + HT) == [Malformed(b"999" + TN[3:]), F]


def test_what_looks_like_a_frame_within_data_is_data() -> None:
    assert all_of(encode("200", X, "QD", HT + SHORT_404)) == [
        Frame("200", X, "QD", HT + SHORT_404)
    ]


@pytest.mark.parametrize("cut", range(len(b"AT" + HT + TN)))
def test_a_frame_may_be_cut_anywhere(cut: int) -> None:
    wire, decoder = b"AT" + HT + TN, Decoder()
    events = decoder.feed(wire[:cut]) + decoder.feed(wire[cut:])
    assert [e for e in events if isinstance(e, Frame)] == [F, F._replace(command="TN")]
    # Only where the read ends in or right behind the heartbeat, which then stands alone.
    assert events.count(BEAT) == (cut in (1, 2))


@pytest.mark.parametrize("cuts", [*itertools.combinations(range(1, 23, 3), 2)])
def test_a_frame_may_be_cut_twice(cuts: tuple[int, int]) -> None:
    decoder, (a, b) = Decoder(), cuts
    assert decoder.feed(HT[:a]) + decoder.feed(HT[a:b]) == []
    assert decoder.feed(HT[b:] + b"1") == [F], "the 1 may be the start of a frame"
    assert decoder.expire() == [BEAT]


def test_a_frame_may_come_byte_by_byte() -> None:
    decoder = Decoder()
    wire = encode("200", X, "QD", b"023")
    assert [e for b in wire for e in decoder.feed(bytes([b]))] == [Frame("200", X, "QD", b"023")]
    assert decoder.expire() == []


@pytest.mark.parametrize("wire", [SHORT_404, b"AT" + SHORT_404, HT + SHORT_404 + TN])
def test_an_echo_may_be_cut_anywhere(wire: bytes) -> None:
    for cut in range(len(wire)):
        decoder = Decoder()
        events = decoder.feed(wire[:cut]) + decoder.feed(wire[cut:]) + decoder.expire()
        assert [e for e in events if not isinstance(e, Heartbeat)] == all_of(wire), cut


@pytest.mark.parametrize("imei", ["006404000000000", "000000000006404", "123006404006404"])
@pytest.mark.parametrize("data", [b"", b"006404", b"x006404006404"])
def test_the_digits_of_an_echo_may_stand_in_a_frame_that_is_cut_there(
    imei: str, data: bytes
) -> None:
    wire = f"{23 + len(data):03}000{imei}HT".encode() + data
    for cut in range(len(wire)):
        decoder = Decoder()
        events = decoder.feed(wire[:cut]) + decoder.feed(wire[cut:])
        assert [type(e) for e in events] == [Frame], cut


def test_the_end_of_a_read_closes_a_run() -> None:
    """Rule 3's own example."""
    decoder = Decoder()
    assert decoder.feed(b"he") == [BEAT]
    assert decoder.feed(b"llo world") == [Malformed(b"llo world")]


def test_a_tail_waits_and_is_then_judged() -> None:
    decoder = Decoder()
    assert decoder.feed(HT[:9]) == []
    assert decoder.tail == HT[:9]
    assert decoder.expire() == [Malformed(HT[:9])]
    assert decoder.tail == b""
    assert decoder.feed(HT) == [F]


def test_a_tail_of_a_run_that_was_malformed_is_not_malformed_once_more() -> None:
    decoder = Decoder()
    assert decoder.feed(b"hello 0230") == [Malformed(b"hello ")]
    assert decoder.expire() == []
    assert decoder.feed(b"hello 0230") == [Malformed(b"hello ")]
    assert decoder.feed(HT[4:]) == [F], "it may still become a frame"


def test_a_heartbeat_before_a_tail_is_reported_once() -> None:
    decoder = Decoder()
    assert decoder.feed(b"AT0") == [], "it may stand before a frame"
    assert decoder.expire() == [BEAT]
    assert decoder.expire() == []


class TestEarly:
    """What is answered before registration at `heartbeat_grace`, while the bytes go on waiting."""

    def test_once(self) -> None:
        decoder = Decoder()
        assert decoder.feed(b"1") == []
        assert decoder.early()
        assert not decoder.early()
        assert decoder.tail == b"1"
        assert decoder.expire() == [], "it has been told"

    def test_and_the_frame_still_comes(self) -> None:
        decoder = Decoder()
        decoder.feed(HT[:3])
        assert decoder.early()
        assert decoder.feed(HT[3:]) == [F]

    def test_not_again_for_a_frame_that_comes_byte_by_byte(self) -> None:
        decoder, told = Decoder(), []
        for byte in HT:
            events = decoder.feed(bytes([byte]))
            told.append(decoder.early())
        assert events == [F]
        assert sum(told) == 1, "one 006404 for the first byte, and none for the rest"

    def test_again_for_another_heartbeat(self) -> None:
        decoder, told = Decoder(), []
        for _ in range(4):
            decoder.feed(b"1")
            told.append(decoder.early())
        assert told == [True] * 4

    def test_not_for_more_than_a_heartbeat(self) -> None:
        decoder = Decoder()
        decoder.feed(HT[:4])
        assert not decoder.early()
        assert decoder.expire() == [Malformed(HT[:4])]

    def test_not_without_a_tail(self) -> None:
        decoder = Decoder()
        decoder.feed(HT)
        assert not decoder.early()
        decoder.feed(b" ")
        assert not decoder.early(), "it was told by feed()"

    def test_a_reported_byte_that_becomes_noise_is_noise(self) -> None:
        decoder = Decoder()
        decoder.feed(b"1")
        assert decoder.early()
        assert decoder.feed(b"hello") == [Malformed(b"1hello")]

    def test_many_heartbeats(self) -> None:
        decoder = Decoder()
        told = 0
        for _ in range(50):
            told += len(decoder.feed(b"0")) + decoder.early()
        assert told == 50, "each read is one heartbeat"
        assert decoder.expire() == []


def test_whether_a_tail_can_be_more_than_heartbeats() -> None:
    decoder = Decoder()
    for some, beats in ((b"1", True), (b"101", True), (b"0230", False), (b"xyz0", False)):
        decoder.feed(some)
        assert decoder.beats() is beats, some
        decoder.expire()
