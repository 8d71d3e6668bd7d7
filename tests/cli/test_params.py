from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.cli.params import MAX_SECONDS, DurationType, Long, SpanType, long


@pytest.mark.parametrize(
    ("text", "number", "seconds"),
    [
        ("500", 500, False),
        ("0500", 500, False),
        ("5", 5, False),
        ("500s", 500, True),
        ("15m", 900, True),
        ("1h30m", 5400, True),
        ("2d", 172800, True),
        ("1h0m1s", 3601, True),
    ],
)
def test_a_long_is_a_number_or_a_duration(text: str, number: int, seconds: bool) -> None:
    assert DurationType().convert(text, None, None) == Long(number, seconds)


def test_only_what_was_written_as_a_duration_says_so_on_the_wire() -> None:
    """A device that counts times takes a 5, and not five seconds."""
    assert long("5").fields() == {"long": 5}
    assert long("5s").fields() == {"long": 5, "unit": "seconds"}


@pytest.mark.parametrize(
    "text",
    ["", "0", "0s", "-5", "1.5", "half", "1h 30m", "30m1h", "²", "\u0665", "1e3", "9" * 400, " "],
)
def test_what_is_no_long_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"no duration|no whole number|too long") as raised:
        long(text)
    assert len(str(raised.value)) < 120, "a sentence, not a copy of the input"


@given(st.text())
def test_any_text_is_a_long_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 1 <= long(text).number <= MAX_SECONDS


@given(st.text("0123456789dhms.", max_size=40))
def test_texts_that_nearly_are_durations_raise_nothing_else(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 1 <= long(text).number <= MAX_SECONDS


@given(
    days=st.integers(0, 400),
    hours=st.integers(0, 100),
    minutes=st.integers(0, 1000),
    seconds=st.integers(0, 100000),
)
def test_the_parts_of_a_duration_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    text = f"{days}d{hours}h{minutes}m{seconds}s"
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds
    if total:
        assert long(text) == Long(total, seconds=True)
    assert SpanType().convert(text, None, None) == total


@given(st.integers(1, 10**9))
def test_plain_numbers_stay_what_they_are(number: int) -> None:
    assert long(str(number)) == long(f"00{number}") == Long(number, seconds=False)


def test_a_span_may_be_a_part_of_a_second() -> None:
    assert SpanType().convert("0.5", None, None) == 0.5
    assert repr(SpanType().convert("30", None, None)) == "30"
