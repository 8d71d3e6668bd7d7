"""protocol.md section 4: which command a result settles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devgate.gateway.claims import Claims


@pytest.fixture
def claims() -> Claims[str]:
    return Claims()


def test_the_oldest_of_its_kind_is_settled(claims: Claims[str]) -> None:
    first, stop, second = (
        claims.sent("1", "QD"), claims.sent("2", "ST"), claims.sent("3", "QD"),
    )  # fmt: skip
    first.unknown_since = 10.0
    assert claims.settle("QD", 70.0, 60) is first
    assert claims.settle("QD", 71.0, 60) is second
    assert claims.settle("QD", 72.0, 60) is None
    assert claims.settle("ST", 72.0, 60) is stop
    assert len(claims) == 0


@pytest.mark.parametrize(("at", "settled"), [(69.9, True), (70.0, True), (70.1, False)])
def test_a_late_result_counts_within_the_window(
    claims: Claims[str], at: float, settled: bool
) -> None:
    claims.sent("1", "QD", unknown_since=10.0)
    assert (claims.settle("QD", at, 60) is not None) is settled


def test_one_in_flight_claims_for_as_long_as_it_takes(claims: Claims[str]) -> None:
    claims.sent("1", "QD")
    assert claims.settle("QD", 1e9, 60) is not None


def test_too_late_for_one_is_in_time_for_the_next(claims: Claims[str]) -> None:
    claims.sent("1", "QD", unknown_since=10.0)
    second = claims.sent("2", "QD", unknown_since=20.0)
    assert claims.settle("QD", 75.0, 60) is second


def test_what_was_not_sent_after_all_claims_nothing(claims: Claims[str]) -> None:
    claims.withdraw(claims.sent("1", "QD"))
    assert claims.settle("QD", 0.0, 60) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["sent", "settle"]), st.sampled_from(["QD", "ST"])), max_size=30
    )
)
def test_results_settle_in_the_order_of_sending(steps: list[tuple[str, str]]) -> None:
    claims: Claims[int] = Claims()
    open_claims: dict[str, list[int]] = {"QD": [], "ST": []}
    for number, (step, kind) in enumerate(steps):
        if step == "sent":
            claims.sent(number, kind, unknown_since=float(number))
            open_claims[kind].append(number)
        else:
            entry = claims.settle(kind, float(number), 1000)
            expected = open_claims[kind].pop(0) if open_claims[kind] else None
            assert (entry and entry.command) == expected
