"""What fires, when a message is due, and when it is over. Times are arguments: nothing waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from devgate.alerts.engine import (
    CALM_SECONDS,
    GATHER_SECONDS,
    MAX_SUBJECTS,
    Message,
    Subject,
    Watch,
)
from devgate.alerts.rule import Rule

NOON = 1_764_072_000.0  # 2025-11-25 12:00 UTC
STATE = Rule("w", "webhook", ("ops",), minutes=5)
MANY = Rule("away", "offline", ("ops",), minutes=15)


def some(*ids: str) -> list[Subject]:
    return [Subject(id, f"name of {id}") for id in ids]


def told(message: Message | None) -> tuple[list[str], list[str], list[str]]:
    """What is new, what is over, and what goes on."""
    if message is None:
        return [], [], []
    return tuple(  # type: ignore[return-value]
        [one.subject.id for one in part]
        for part in (message.fired, message.cleared, message.still)
    )


def tell(watch: Watch, now: float) -> tuple[list[str], list[str], list[str]]:
    """The message that is due now; it is delivered at once."""
    message = watch.message(now)
    if message is not None:
        watch.delivered(message, now)
    return told(message)


def test_a_state_has_to_last_and_is_told_once() -> None:
    watch = Watch(STATE)
    watch.state(some("shop"), NOON)
    assert watch.message(NOON) is None
    watch.state(some("shop"), NOON + 299)
    assert watch.message(NOON + 299) is None
    watch.state(some("shop"), NOON + 300)
    assert tell(watch, NOON + 300) == (["shop"], [], [])
    watch.state(some("shop"), NOON + 5000)
    assert watch.message(NOON + 5000) is None


def test_what_ends_in_time_is_never_told() -> None:
    watch = Watch(STATE)
    watch.state(some("shop"), NOON)
    watch.state([], NOON + 200)
    watch.state(some("shop"), NOON + 310)  # it begins again
    assert watch.message(NOON + 310) is None


def test_its_end_is_told_once_it_is_calm() -> None:
    watch = Watch(STATE)
    watch.state(some("shop"), NOON)
    watch.state(some("shop"), NOON + 300)
    tell(watch, NOON + 300)
    last = NOON + 300
    watch.state([], last + CALM_SECONDS - 1)
    assert watch.message(last + CALM_SECONDS) is None
    watch.state([], last + CALM_SECONDS)
    assert tell(watch, last + CALM_SECONDS) == ([], ["shop"], [])
    assert not watch.firing
    assert watch.gone == {"shop"}


def test_between_two_messages_it_gathers() -> None:
    watch = Watch(MANY)
    watch.found(some("a"), NOON)
    assert tell(watch, NOON) == (["a"], [], [])
    watch.found(some("b"), NOON + 30)
    watch.found(some("a", "c"), NOON + 60)
    watch.clear(["a"], NOON + 90)
    assert watch.message(NOON + GATHER_SECONDS - 1) is None
    assert tell(watch, NOON + GATHER_SECONDS) == (["b", "c"], ["a"], [])


def test_who_comes_back_before_it_was_told_is_left_out() -> None:
    watch = Watch(MANY)
    watch.found(some("a"), NOON)
    tell(watch, NOON)
    watch.found(some("b"), NOON + 30)
    watch.clear(["b"], NOON + 60)
    assert watch.message(NOON + GATHER_SECONDS) is None
    assert set(watch.firing) == {"a"}


def test_quiet_hours_hold_it_back_and_then_the_rest_is_told() -> None:
    watch = Watch(replace(MANY, quiet="22:00-07:00", zone="Asia/Shanghai"))
    night = NOON + 3 * 3600  # 23:00 in Shanghai
    watch.found(some("a", "b"), night)
    assert watch.message(night) is None
    watch.clear(["b"], night + 3600)
    assert watch.message(night + 8 * 3600 - 1) is None
    assert tell(watch, night + 8 * 3600) == (["a"], [], [])


def test_an_end_in_quiet_hours_is_told_in_the_morning() -> None:
    watch = Watch(replace(MANY, quiet="22:00-07:00"))
    watch.found(some("a"), NOON)
    tell(watch, NOON)
    watch.clear(["a"], NOON + 11 * 3600)
    assert watch.message(NOON + 11 * 3600) is None
    assert tell(watch, NOON + 19 * 3600) == ([], ["a"], [])


def test_it_is_repeated_as_long_as_it_lasts() -> None:
    watch = Watch(replace(MANY, repeat=60))
    watch.found(some("a"), NOON)
    tell(watch, NOON)
    assert watch.message(NOON + 3599) is None
    watch.found(some("b"), NOON + 3600)
    assert tell(watch, NOON + 3600) == (["b"], [], ["a"])
    assert tell(watch, NOON + 7200) == ([], [], ["a", "b"])
    watch.clear(["a", "b"], NOON + 7300)
    assert tell(watch, NOON + 7600) == ([], ["a", "b"], [])
    assert watch.message(NOON + 20_000) is None


def test_without_all_clear_the_end_is_not_told() -> None:
    watch = Watch(replace(MANY, all_clear=False))
    watch.found(some("a"), NOON)
    tell(watch, NOON)
    watch.clear(["a"], NOON + 400)
    assert watch.message(NOON + 400) is None
    assert not watch.firing


def test_too_many_are_counted_and_not_followed() -> None:
    watch = Watch(MANY)
    ids = [str(number) for number in range(MAX_SUBJECTS + 30)]
    watch.found(some(*ids), NOON)
    watch.found(some(*ids), NOON)  # a look may find them again
    message = watch.message(NOON)
    assert message is not None
    assert (len(message.fired), message.more, message.firing) == (MAX_SUBJECTS, 30, MAX_SUBJECTS)
    watch.delivered(message, NOON)
    assert len(watch.firing) == MAX_SUBJECTS
    assert watch.message(NOON + GATHER_SECONDS) is None


def test_what_changes_while_the_message_is_on_its_way() -> None:
    watch = Watch(MANY)
    watch.found(some("a", "b"), NOON)
    message = watch.message(NOON)
    assert message is not None
    watch.clear(["a"], NOON + 10)  # told as over, for it is being told that it began
    assert watch.message(NOON + GATHER_SECONDS) is None
    watch.delivered(message, NOON + GATHER_SECONDS)
    over = watch.message(NOON + GATHER_SECONDS)
    assert told(over) == ([], ["a"], [])
    assert over is not None
    watch.found(some("a"), NOON + GATHER_SECONDS + 5)  # and it begins again meanwhile
    watch.delivered(over, NOON + GATHER_SECONDS + 10)
    assert tell(watch, NOON + 2 * GATHER_SECONDS) == (["a"], [], [])


def test_the_next_run_goes_on_where_this_one_was() -> None:
    watch = Watch(replace(MANY, repeat=60))
    watch.found(some("a", "b"), NOON)
    tell(watch, NOON)
    watch.clear(["b"], NOON + 10)
    watch.found(some("c"), NOON + 20)
    rows = [watch.row(id) for id in sorted(watch.firing)]
    again = Watch(watch.rule)
    again.restore(rows)
    assert [again.row(id) for id in sorted(again.firing)] == rows
    assert tell(again, NOON + 400) == (["c"], ["b"], [])
    assert tell(again, NOON + 4100) == ([], [], ["a", "c"])


@pytest.mark.parametrize(
    ("quiet", "zone", "at", "is_quiet"),
    [
        ("", "UTC", NOON, False),
        ("12:00-13:00", "UTC", NOON, True),
        ("11:00-12:00", "UTC", NOON, False),  # the end is not in it
        ("22:00-07:00", "UTC", NOON + 11 * 3600, True),
        ("22:00-07:00", "UTC", NOON - 5 * 3600, False),
        ("19:30-20:30", "Asia/Shanghai", NOON, True),
        ("13:00-14:00", "Europe/Berlin", NOON, True),
        ("14:00-15:00", "Europe/Berlin", NOON + 182 * 86400, True),  # summer time
        ("12:00-12:00", "UTC", NOON, False),
    ],
)
def test_quiet_hours(quiet: str, zone: str, at: float, is_quiet: bool) -> None:
    rule: Any = replace(MANY, quiet=quiet, zone=zone)
    assert rule.is_quiet(at) is is_quiet
