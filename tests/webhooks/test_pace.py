"""How fast a target is posted to."""

from __future__ import annotations

import math
import random

import pytest

from devgate.webhooks.backoff import (
    BURST_DELIVERIES,
    FIRST_SECONDS,
    MAX_PARALLEL,
    MAX_RATE,
    MAX_SECONDS,
    RECEIVER_FAILURES,
    Backoff,
    delay,
)


def test_waits_grow_twofold_up_to_a_limit_and_are_random_within_a_half(
    dice: random.Random,
) -> None:
    for failures in (*range(1, 40), 5000):
        longest = min(MAX_SECONDS, FIRST_SECONDS * 2 ** min(failures - 1, 30))
        waits = [delay(failures, dice) for _ in range(50)]
        assert longest / 2 <= min(waits) < max(waits) <= longest


def test_success_by_success_more_go_at_once_and_a_failure_halves_that(dice: random.Random) -> None:
    backoff = Backoff(dice)
    assert backoff.limit == 1
    for _ in range(2 * MAX_PARALLEL):
        backoff.succeeds()
    assert backoff.limit == MAX_PARALLEL
    backoff.failed(0.0, 1.0, ill=False, wait=0.0)
    assert backoff.limit == MAX_PARALLEL // 2


def test_no_more_go_at_once_than_may(dice: random.Random) -> None:
    backoff = Backoff(dice)
    backoff.begins(0.0)
    assert backoff.next_time(0.0) == math.inf
    backoff.ends()
    assert backoff.next_time(0.0) == 0.0


def test_no_more_go_in_a_second_than_may(dice: random.Random) -> None:
    backoff, now = Backoff(dice), 0.0
    for _ in range(BURST_DELIVERIES + int(MAX_RATE)):
        now = backoff.next_time(now)
        backoff.begins(now)
        backoff.ends()
    assert now == pytest.approx(1.0, abs=2 / MAX_RATE)


def test_one_broken_connection_is_no_illness_and_two_are(dice: random.Random) -> None:
    backoff = Backoff(dice)
    backoff.failed(0.0, 1.0, ill=True, wait=0.0)
    assert backoff.rests_until <= 1.0
    backoff.failed(1.0, 2.0, ill=True, wait=0.0)
    assert 2.0 < backoff.rests_until <= 2.0 + FIRST_SECONDS
    assert backoff.next_time(2.0) == backoff.rests_until


def test_what_the_receiver_asks_for_is_kept(dice: random.Random) -> None:
    backoff = Backoff(dice)
    backoff.failed(0.0, 1.0, ill=True, wait=60.0)
    assert backoff.rests_until == 61.0


def test_those_that_fail_together_are_one_failure(dice: random.Random) -> None:
    backoff = Backoff(dice)
    for now in (1.0, 1.1, 1.2):
        backoff.failed(0.5, now, ill=True, wait=0.0)
    assert backoff.failures == 1
    backoff.failed(1.3, 1.4, ill=True, wait=0.0)
    assert backoff.failures == 2


def test_refusals_in_a_row_are_the_receivers(dice: random.Random) -> None:
    backoff = Backoff(dice)
    for n in range(RECEIVER_FAILURES - 1):
        backoff.failed(n, n + 0.5, ill=False, wait=0.0)
    assert backoff.rests_until == 0.0
    backoff.failed(10.0, 10.5, ill=False, wait=0.0)
    assert backoff.rests_until > 10.5
    assert backoff.succeeds(), "the receiver was ill, and is no longer"
    assert not backoff.succeeds()


def test_after_a_restart_it_rests_on(dice: random.Random) -> None:
    backoff = Backoff(dice, failures=20, rests_until=100.0)
    assert backoff.next_time(0.0) == 100.0
    backoff.failed(100.0, 101.0, ill=True, wait=0.0)
    assert backoff.rests_until >= 101.0 + MAX_SECONDS / 2
