"""The fields of a request: each bad one names itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devgate.errors import CallerError
from devgate.gateway.operations import arguments
from tests.gateway.rig import X

NAN = float("nan")


@pytest.mark.parametrize("given", [X, "000000000000000"])
def test_an_imei(given: str) -> None:
    assert arguments.device({"imei": given}) == given
    assert arguments.maybe_device({"imei": given}) == given
    assert arguments.maybe_device({}) is None


@pytest.mark.parametrize(
    "given", [None, "", "12345678765432", X + "1", int(X), "12345678765432x",
              "\uff11" * 15, [X]]
)  # fmt: skip
def test_no_imei(given: object) -> None:
    with pytest.raises(CallerError, match=r"^imei: ") as caught:
        arguments.device({"imei": given})
    assert caught.value.status == "400"


@pytest.mark.parametrize(
    ("given", "wire"), [("0500", 500), (500, 500), ("1", 1), (86400, 86400), ("0" * 20 + "7", 7)]
)
def test_long(given: object, wire: int) -> None:
    assert arguments.long({"long": given}, 86400) == wire


@pytest.mark.parametrize(
    "given",
    ["", "0", 0, -1, "-1", True, None, 1.5, 1.0, "1e3", "²", "\u0661", 86401,
     "86401", " 5", "1" * 5000, [], {}],
)  # fmt: skip
def test_no_long(given: object) -> None:
    with pytest.raises(CallerError, match=r"^long: a whole number from 1 to 86400 expected, not "):
        arguments.long({"long": given}, 86400)


@pytest.mark.parametrize("given", ["order 4711", "k", "x" * 128, "订单"])
def test_a_key(given: str) -> None:
    assert arguments.key({"key": given}) == given


@pytest.mark.parametrize("given", ["", "x" * 129, 5, True, "a\n", "\x00", "\ud800", []])
def test_no_key(given: object) -> None:
    with pytest.raises(CallerError, match=r"^key: "):
        arguments.key({"key": given})


@pytest.mark.parametrize(
    ("given", "seconds"), [(5, 5.0), (0.5, 0.5), ("5", 5.0), ("2m", 120.0), (None, None)]
)
def test_seconds(given: object, seconds: float | None) -> None:
    assert arguments.seconds({"timeout": given}, "timeout", 300) == seconds


@pytest.mark.parametrize(
    "given",
    [0, -1, 300.1, "301", "x", "", True, NAN, float("inf"), 10**400, "9" * 400,
     "9" * 400 + "d", "5x", []],
)  # fmt: skip
def test_no_seconds(given: object) -> None:
    with pytest.raises(CallerError, match=r"^timeout: seconds, above 0 and at most 300, expected"):
        arguments.seconds({"timeout": given}, "timeout", 300)


def test_a_long_bound_is_said_in_days() -> None:
    with pytest.raises(CallerError, match=r"^expires: seconds, above 0 and at most 30d, expected"):
        arguments.seconds({"expires": "31d"}, "expires", arguments.MAX_EXPIRES_SECONDS)


def test_yes_and_no() -> None:
    assert arguments.yes({}, "wait", True) is True
    assert arguments.yes({"wait": False}, "wait", True) is False
    assert arguments.maybe({}, "online") is None
    given: object
    for given in ("true", 1, 0, []):
        with pytest.raises(CallerError, match=r"^wait: true or false expected"):
            arguments.yes({"wait": given}, "wait", True)


@pytest.mark.parametrize("given", ["", "x" * 65, 5, "a\x00b", "a\nb", "\ud800", []])
def test_no_text(given: object) -> None:
    with pytest.raises(CallerError, match=r"^site: "):
        arguments.text({"site": given}, "site")


@pytest.mark.parametrize(("given", "limit"), [(1, 1), (1000, 1000)])
def test_a_limit(given: int, limit: int) -> None:
    assert arguments.limit({"limit": given}) == limit
    assert arguments.limit({}) == arguments.DEFAULT_LIMIT


@pytest.mark.parametrize("given", [0, 1001, -1, True, "5", 1.0, None])
def test_no_limit(given: object) -> None:
    with pytest.raises(CallerError, match=r"^limit: "):
        arguments.limit({"limit": given})


def test_a_number() -> None:
    assert arguments.number({"after": 0}, "after") == 0
    assert arguments.number({}, "after") is None
    given: object
    for given in (-1, 2**63, True, "5", 1.5):
        with pytest.raises(CallerError, match=r"^after: "):
            arguments.number({"after": given}, "after")


def test_names() -> None:
    assert arguments.names({"events": "a, b"}, "events") == frozenset({"a", "b"})
    assert arguments.names({"events": ["a"]}, "events") == frozenset({"a"})
    assert arguments.names({}, "events") is None
    given: object
    for given in ("", "a,,b", 5, [5], [""], {}):
        with pytest.raises(CallerError, match=r"^events: "):
            arguments.names({"events": given}, "events")


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
        lambda: arguments.device({"imei": given}),
        lambda: arguments.long({"long": given}, 10),
        lambda: arguments.key({"key": given}),
        lambda: arguments.seconds({"timeout": given}, "timeout", 300),
        lambda: arguments.text({"site": given}, "site"),
        lambda: arguments.names({"events": given}, "events"),
    ):
        try:
            read()
        except CallerError as err:
            said.append(str(err))
    assert all(len(text) < 200 and text.isprintable() for text in said)
