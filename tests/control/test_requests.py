"""Bytes to requests: every cut, every refusal, and any bytes at all."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.control.requests import MAX_NESTED, MAX_REQUEST, RequestReader
from devgate.errors import CallerError

START = b'command{"imei":"123456787654321","type":"start","long":"0500"}'
STOP = b'command{"imei":"123456787654321","type":"stop","note":"a } and \\" in it","x":{"y":[1]}}'
Read = tuple[list[dict[str, object]], str | None]


def read(*pieces: bytes) -> Read:
    """What these pieces hold: the requests, and the error that ended it."""
    reader, got = RequestReader(), []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (request := reader.next_request()) is not None:
                got.append(request)
                if reader.empty:  # a connection asks no further then
                    break
        reader.end()
    except CallerError as err:
        return got, f"{err.status} {err}"
    return got, None


def bytewise(wire: bytes) -> Read:
    return read(*(wire[i : i + 1] for i in range(len(wire))))


@pytest.mark.parametrize("cut", range(len(START + STOP) + 1))
def test_requests_may_be_cut_anywhere(cut: int) -> None:
    wire = START + STOP
    got, error = read(wire[:cut], wire[cut:])
    assert [request["type"] for request in got] == ["start", "stop"]
    assert got[1]["note"] == 'a } and " in it'
    assert error is None


def test_white_space_may_stand_anywhere_between() -> None:
    wire = b" \n" + START + b"\r\n\n\t" + b"command \n" + STOP.removeprefix(b"command") + b"\n"
    got, error = bytewise(wire)
    assert [request["type"] for request in got] == ["start", "stop"]
    assert error is None
    assert read(wire) == (got, error)


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (b"hello", r"command\{...\} expected.* not 'h"),
        (b"commando{}", "expected.* not 'command"),
        (b"Command{}", "expected"),
        (b"{" * 1048576, "expected"),
        (b"command[]", "expected"),
        (b"command{]}", "no JSON"),
        (b"command{'a':1}", "no JSON"),
        (b'command{"a":1,}', "no JSON"),
        (b'command{"a":[}', "no JSON"),
        (b'command{"a":"\n"}', "no JSON"),
        (b'command{"a":NaN}', "NaN"),
        (b'command{"a":-Infinity}', "Infinity"),
        (b'command{"a":1e999}', "too large"),
        (b'command{"a":' + b"9" * 5000 + b"}", "no JSON"),
        (b'command{"a":"\xff"}', "not UTF-8"),
        (b'command{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b"command{\x00}", "no JSON"),
        (b"\xff\xfe", "expected"),
        (b"\x16\x03\x01\x02\x00\x01", "expected"),
        (b"GET / HTTP/1.1\r\n\r\n", "expected.* not 'G"),
        (b"command" + b"{" * 1048576, f"nested more than {MAX_NESTED}"),
        (b"command" + b'{"a":' * 12000 + b"1" + b"}" * 12000, "nested"),
        (b'command{"a":' + b"[" * 12000 + b"]" * 12000 + b"}", "nested"),
        (b"command{" + b" " * MAX_REQUEST, f"more than {MAX_REQUEST}"),
        (b"command" + b" " * MAX_REQUEST, f"more than {MAX_REQUEST}"),
        (b'command{"type":"start"', "middle"),
        (b"comm", "middle"),
        (b"command", "middle"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_what_is_no_request_says_what_was_expected(wire: bytes, words: str) -> None:
    for whole in (wire, START + wire):
        reader, error = RequestReader(), None
        try:
            reader.feed(whole)
            while reader.next_request() is not None:
                pass
            reader.end()
        except CallerError as err:
            error = err
        with pytest.raises(CallerError, match=words):
            raise error or AssertionError("nothing was refused")
        assert len(str(error)) < 200


@pytest.mark.parametrize("form", [b'command{"a":"%s"}', b'command{"a":["%s"]}'])
def test_the_longest_request_is_read_and_one_byte_more_is_not(form: bytes) -> None:
    longest = form % (b"x" * (MAX_REQUEST - len(form) + 2))
    assert len(longest) == MAX_REQUEST
    for pieces in ([b" " * 99 + longest], [longest[:-1], longest[-1:]]):
        got, error = read(*pieces)
        assert len(got) == 1
        assert error is None
    longer = form % (b"x" * (MAX_REQUEST - len(form) + 3))
    for pieces in ([longer], [longer[:-1], longer[-1:]]):
        assert read(*pieces) == ([], f"400 a request of more than {MAX_REQUEST} bytes")


def test_white_space_alone_is_nothing_and_is_not_kept() -> None:
    reader = RequestReader()
    for _ in range(64):
        reader.feed(b" \n" * 8192)
        assert reader.next_request() is None
    reader.end()
    reader.feed(START)
    assert reader.next_request() == json.loads(START.removeprefix(b"command"))


def test_the_deepest_nesting_is_read() -> None:
    deep = b'{"a":' * (MAX_NESTED - 1) + b"{}" + b"}" * (MAX_NESTED - 1)
    assert len(read(b"command" + deep)[0]) == 1
    assert bytewise(b"command" + deep)[1] is None
    assert "nested" in (read(b'command{"a":' + deep + b"}")[1] or "")


def test_objects_and_lists_are_counted_together() -> None:
    def nested(lists: int) -> bytes:
        return b'command{"a":' + b"[" * lists + b'{"b":1}' + b"]" * lists + b"}"

    assert len(read(nested(MAX_NESTED - 2))[0]) == 1
    for got, error in (read(nested(MAX_NESTED - 1)), bytewise(nested(MAX_NESTED - 1))):
        assert not got
        assert "nested" in (error or "")


def test_half_a_surrogate_pair_can_be_asked() -> None:
    assert read(rb'command{"id":"\ud800"}') == ([{"id": "\ud800"}], None)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
objects = st.dictionaries(st.text(), values, max_size=4)
spaces = st.text(alphabet=" \t\r\n", max_size=3).map(str.encode)


@given(st.lists(st.tuples(spaces, spaces, objects, st.booleans()), max_size=4), st.data())
def test_any_objects_survive_any_cuts(
    parts: list[tuple[bytes, bytes, dict[str, object], bool]], data: st.DataObject
) -> None:
    wire = b"".join(
        before + b"command" + gap + json.dumps(obj, ensure_ascii=ascii_only).encode()
        for before, gap, obj, ascii_only in parts
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    pieces = [wire[a:b] for a, b in itertools.pairwise([0, *cuts, len(wire)])]
    assert read(*pieces) == ([obj for _, _, obj, _ in parts], None)


scraps = st.sampled_from(
    [b"command", b"{", b"}", b"[", b"]", b'"', b"\\", b" ", b'"a":', b"1", b",", b"\xc3",
     START, STOP]
)  # fmt: skip


@given(st.lists(scraps | st.binary(max_size=4), max_size=24).map(b"".join))
def test_any_bytes_read_the_same_however_they_are_cut(wire: bytes) -> None:
    got, error = read(wire)
    one_by_one, other = bytewise(wire)
    assert one_by_one == got
    assert (other or "")[:4] == (error or "")[:4] in ("", "400 ")
