"""Any bytes, in any reads: what must hold of them, and the slow reader's word for it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devgate.protocol import decoder as module
from devgate.protocol.decoder import Decoder
from devgate.protocol.frames import (
    MAX_FRAME,
    Event,
    Frame,
    Heartbeat,
    Malformed,
    ShortEcho,
    encode,
)
from tests.protocol.plain import PlainReader
from tests.protocol.samples import HT, SHORT_404, TN, X, frames, pieces, streams

cuts = st.lists(st.integers(0, 400), max_size=12)


def kinds(events: list[Event]) -> list[Event | str]:
    """Events as they count: of malformed bytes, that they are."""
    return ["malformed" if isinstance(e, Malformed) else e for e in events]


@given(streams, cuts)
@example(b"AT" + HT + b"1", [2, 20, 25])
@example(b"hello" + HT[:9] + b"xyz" + TN, [5, 9, 14])
@example(b"0064" + HT, [1, 2, 3, 4])
@example(b"100640" + b"6404" + HT, [3, 6, 7])
def test_the_decoder_reads_as_the_slow_reader(stream: bytes, where: list[int]) -> None:
    decoder, plain = Decoder(), PlainReader()
    for read in pieces(stream, where):
        assert kinds(decoder.feed(read)) == kinds(plain.feed(read))
        assert decoder.tail == plain.tail
    assert kinds(decoder.expire()) == kinds(plain.expire())


@given(st.lists(frames, max_size=6), cuts)
def test_frames_survive_any_cuts(wires: list[bytes], where: list[int]) -> None:
    stream = b"".join(wires)
    decoder, got = Decoder(), list[Event]()
    for read in pieces(stream, where):
        got += decoder.feed(read)
    assert [encode(*e) for e in got if isinstance(e, Frame)] == wires
    assert len(got) == len(wires), "no event but the frames"
    assert decoder.tail == b""


@given(streams, cuts)
def test_any_split_holds_the_same_frames(stream: bytes, where: list[int]) -> None:
    """protocol.md section 2, rule 4: segments that come soon enough decode the same."""

    def of(events: list[Event]) -> list[Event]:
        return [e for e in events if isinstance(e, Frame | ShortEcho)]

    whole, split = Decoder(), Decoder()
    expected = of(whole.feed(stream) + whole.expire())
    got = [e for read in pieces(stream, where) for e in split.feed(read)]
    assert of(got + split.expire()) == expected


@given(st.binary(max_size=3000) | streams, cuts, st.lists(st.sampled_from(["early", "expire"])))
def test_no_stream_raises_or_is_hoarded(stream: bytes, where: list[int], waits: list[str]) -> None:
    decoder = Decoder()
    for read in pieces(stream, where):
        for event in decoder.feed(read):
            assert not isinstance(event, Malformed) or len(event.raw) > 3
        assert len(decoder.tail) < MAX_FRAME
        match waits.pop() if waits else None:
            case "early":
                decoder.early()
            case "expire":
                decoder.expire()
                assert decoder.tail == b""
    decoder.expire()
    assert decoder.tail == b""
    assert decoder.expire() == [], "nothing is told twice"


@given(streams, cuts)
def test_heartbeats_alone_are_never_malformed(stream: bytes, where: list[int]) -> None:
    beats = re.sub(rb"[^01 ]", b"", stream)
    decoder, got = Decoder(), list[Event]()
    for read in pieces(beats, where):
        got += decoder.feed(read)
    got += decoder.expire()
    assert all(isinstance(e, Frame | Heartbeat) for e in got)
    assert bool(got) == bool(beats)


class Counted:
    """A pattern that counts the bytes it was shown."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern
        self.looked = 0

    def search(self, data: bytes, at: int) -> re.Match[bytes] | None:
        found = self.pattern.search(data, at)
        self.looked += (found.end() if found else len(data)) - at
        return found


@pytest.mark.parametrize(
    "unit",
    [
        HT,
        b"1" + TN,
        b"hello world",
        SHORT_404,
        b"0",
        b"02",
        b"9" * 22 + b"a",
        encode("000", X, "QD", b"x" * 976),
        b"999" + HT[3:],
    ],
    ids=["frames", "beats between", "noise", "echoes", "zeros", "starts", "nearly", "long", "cut"],
)
@pytest.mark.parametrize("step", [7, 1024, 10**9])
def test_the_work_is_linear(unit: bytes, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes looked at, for each byte that came, do not grow with the stream."""

    def work(size: int) -> float:
        stream, decoder = unit * (size // len(unit)), Decoder()
        patterns = Counted(module.HEADER_END), Counted(module.PARTIAL)
        with monkeypatch.context() as patch:
            for name, pattern in zip(("HEADER_END", "PARTIAL"), patterns, strict=True):
                patch.setattr(module, name, pattern)
            for at in range(0, len(stream), step):
                decoder.feed(stream[at : at + step])
            decoder.expire()
        return sum(p.looked for p in patterns) / len(stream)

    assert work(80_000) <= work(10_000) * 1.3 + 1


def test_a_frame_byte_by_byte_is_not_looked_through_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start: Any = Counted(module.HEADER_END)
    monkeypatch.setattr(module, "HEADER_END", start)
    decoder = Decoder()
    wire = encode("000", X, "QD", b"0" * 976)
    events = [e for byte in wire for e in decoder.feed(bytes([byte]))]
    assert len(events) == 1
    assert start.looked <= 24 * len(wire), "at most one header a byte"
