"""The fields of a request: each bad one names itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devgate.errors import CallerError
from devgate.gateway import fields
from tests.gateway.rig import X

NAN = float("nan")


@pytest.mark.parametrize("given", [X, "000000000000000"])
def test_an_imei(given: str) -> None:
    assert fields.device({"imei": given}) == given
    assert fields.maybe_device({"imei": given}) == given
    assert fields.maybe_device({}) is None


@pytest.mark.parametrize(
    "given", [None, "", "12345678765432", X + "1", int(X), "12345678765432x",
              "\uff11" * 15, [X]]
)  # fmt: skip
def test_no_imei(given: object) -> None:
    with pytest.raises(CallerError, match=r"^imei: ") as caught:
        fields.device({"imei": given})
    assert caught.value.status == "400"


@pytest.mark.parametrize(
    ("given", "wire"), [("0500", 500), (500, 500), ("1", 1), (86400, 86400), ("0" * 20 + "7", 7)]
)
def test_long(given: object, wire: int) -> None:
    assert fields.long({"long": given}, 86400) == wire


@pytest.mark.parametrize(
    "given",
    ["", "0", 0, -1, "-1", True, None, 1.5, 1.0, "1e3", "²", "\u0661", 86401,
     "86401", " 5", "1" * 5000, [], {}],
)  # fmt: skip
def test_no_long(given: object) -> None:
    with pytest.raises(CallerError, match=r"^long: a number from 1 to 86400 expected, not "):
        fields.long({"long": given}, 86400)


@pytest.mark.parametrize("given", ["order 4711", "k", "x" * 128, "订单"])
def test_a_key(given: str) -> None:
    assert fields.key({"key": given}) == given


@pytest.mark.parametrize("given", ["", "x" * 129, 5, True, "a\n", "\x00", "\ud800", []])
def test_no_key(given: object) -> None:
    with pytest.raises(CallerError, match=r"^key: "):
        fields.key({"key": given})


@pytest.mark.parametrize(
    ("given", "seconds"), [(5, 5.0), (0.5, 0.5), ("5", 5.0), ("2m", 120.0), (None, None)]
)
def test_seconds(given: object, seconds: float | None) -> None:
    assert fields.seconds({"timeout": given}, "timeout", 300) == seconds


@pytest.mark.parametrize(
    "given",
    [0, -1, 300.1, "301", "x", "", True, NAN, float("inf"), 10**400, "9" * 400,
     "9" * 400 + "d", "5x", []],
)  # fmt: skip
def test_no_seconds(given: object) -> None:
    with pytest.raises(CallerError, match=r"^timeout: seconds, above 0 and at most 300, expected"):
        fields.seconds({"timeout": given}, "timeout", 300)


def test_yes_and_no() -> None:
    assert fields.yes({}, "wait", True) is True
    assert fields.yes({"wait": False}, "wait", True) is False
    assert fields.maybe({}, "online") is None
    given: object
    for given in ("true", 1, 0, []):
        with pytest.raises(CallerError, match=r"^wait: true or false expected"):
            fields.yes({"wait": given}, "wait", True)


@pytest.mark.parametrize("given", ["", "x" * 65, 5, "a\x00b", "a\nb", "\ud800", []])
def test_no_text(given: object) -> None:
    with pytest.raises(CallerError, match=r"^site: "):
        fields.text({"site": given}, "site")


@pytest.mark.parametrize(("given", "limit"), [(1, 1), (1000, 1000)])
def test_a_limit(given: int, limit: int) -> None:
    assert fields.limit({"limit": given}) == limit
    assert fields.limit({}) == fields.LIMIT


@pytest.mark.parametrize("given", [0, 1001, -1, True, "5", 1.0, None])
def test_no_limit(given: object) -> None:
    with pytest.raises(CallerError, match=r"^limit: "):
        fields.limit({"limit": given})


def test_a_number() -> None:
    assert fields.number({"after": 0}, "after") == 0
    assert fields.number({}, "after") is None
    given: object
    for given in (-1, 2**63, True, "5", 1.5):
        with pytest.raises(CallerError, match=r"^after: "):
            fields.number({"after": given}, "after")


def test_names() -> None:
    assert fields.names({"events": "a, b"}, "events") == frozenset({"a", "b"})
    assert fields.names({"events": ["a"]}, "events") == frozenset({"a"})
    assert fields.names({}, "events") is None
    given: object
    for given in ("", "a,,b", 5, [5], [""], {}):
        with pytest.raises(CallerError, match=r"^events: "):
            fields.names({"events": given}, "events")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
@settings(max_examples=50)
def test_a_message_is_one_short_line(given: object) -> None:
    said: list[str] = []
    for read in (
        lambda: fields.device({"imei": given}),
        lambda: fields.long({"long": given}, 10),
        lambda: fields.key({"key": given}),
        lambda: fields.seconds({"timeout": given}, "timeout", 300),
        lambda: fields.text({"site": given}, "site"),
        lambda: fields.names({"events": given}, "events"),
    ):
        try:
            read()
        except CallerError as err:
            said.append(str(err))
    assert all(len(text) < 200 and text.isprintable() for text in said)
