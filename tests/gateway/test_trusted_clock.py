"""Whether the wall clock can be trusted. Time is a number here."""

from __future__ import annotations

import pytest

from devgate.gateway.clock import DAY_SECONDS, HOUR_SECONDS, Clock

NOW = 1_700_000_000.0


class Times:
    """A wall clock that can be set, and one that only runs."""

    def __init__(self) -> None:
        self.wall, self.boot = NOW, 1000.0

    def clock(self, newest: float | None) -> Clock:
        clock = Clock(lambda: self.wall, lambda: self.boot)
        clock.begin(newest)
        return clock

    def run(self, clock: Clock, seconds: float) -> None:
        """Let time pass, with a look each minute."""
        while seconds > 0:
            step = min(60.0, seconds)
            self.wall, self.boot, seconds = self.wall + step, self.boot + step, seconds - step
            clock.look()


@pytest.fixture
def times() -> Times:
    return Times()


def test_an_empty_database_knows_no_better(times: Times) -> None:
    assert times.clock(None).trusted() == NOW


def test_f4_a_clock_far_ahead_is_trusted_after_a_day(times: Times) -> None:
    """F4: 91 days ahead at the start, and whatever was older than 90 days was deleted."""
    clock = times.clock(NOW - 91 * DAY_SECONDS)
    assert clock.trusted() is None
    assert "91 d ahead" in clock.state
    times.run(clock, DAY_SECONDS - 60)
    assert clock.trusted() is None
    times.run(clock, 120)
    assert clock.trusted() == times.wall
    assert clock.state == "ok"


def test_f4_a_clock_that_is_set_right_is_trusted_at_once(times: Times) -> None:
    """F4: a wrong hardware clock, until NTP has answered."""
    clock = times.clock(NOW)
    times.wall += 365 * DAY_SECONDS
    assert clock.trusted() is None
    times.run(clock, 600)
    times.wall -= 365 * DAY_SECONDS
    assert clock.trusted() == NOW + 600


def test_f4_a_step_under_the_running_process_is_not_trusted(times: Times) -> None:
    """F4: a step of less than a day is not in doubt, and still brings nothing forward."""
    clock = times.clock(NOW)
    times.wall += DAY_SECONDS / 2
    assert clock.trusted() == NOW
    times.run(clock, 3600)
    assert clock.trusted() == NOW + 3600
    times.run(clock, DAY_SECONDS)
    assert clock.trusted() == times.wall, "it ran so for a day"


def test_a_step_begins_the_day_anew(times: Times) -> None:
    clock = times.clock(NOW - 5 * DAY_SECONDS)
    times.run(clock, DAY_SECONDS - 3600)
    times.wall += 120
    times.run(clock, 7200)
    assert clock.trusted() is None
    times.run(clock, DAY_SECONDS)
    assert clock.trusted() == times.wall


def test_f4_a_clock_that_went_back_deletes_nothing_and_is_not_written(times: Times) -> None:
    """F4: written with a time of last year, a key would be free once the clock is right."""
    clock = times.clock(NOW)
    times.wall -= 365 * DAY_SECONDS
    assert clock.now() == NOW, "found out at once, not at the next look"
    assert clock.trusted() is None
    times.run(clock, 60)
    assert clock.now() == NOW + 60
    times.wall += 365 * DAY_SECONDS
    assert clock.now() == NOW + 60
    assert clock.trusted() == NOW + 60


@pytest.mark.parametrize("ahead", [2 * DAY_SECONDS, 91 * DAY_SECONDS, 3650 * DAY_SECONDS])
def test_f4_a_step_ahead_under_the_running_process_is_not_written(
    times: Times, ahead: float
) -> None:
    """F4: times of events never decrease, so all later events would have the time of that one."""
    clock = times.clock(NOW)
    times.run(clock, HOUR_SECONDS)
    times.wall += ahead
    assert clock.now() == NOW + HOUR_SECONDS, "found out at once, not at the next look"
    times.run(clock, HOUR_SECONDS)
    assert clock.now() == NOW + 2 * HOUR_SECONDS
    times.wall -= ahead
    assert clock.now() == times.wall == NOW + 2 * HOUR_SECONDS
    times.wall += ahead
    times.run(clock, DAY_SECONDS + 120)
    assert clock.now() == times.wall, "it ran so for a day"


@pytest.mark.parametrize(
    "away", [-3650 * DAY_SECONDS, -2 * DAY_SECONDS, 31 * DAY_SECONDS, 366 * DAY_SECONDS]
)
def test_f4_a_clock_that_cannot_be_right_at_the_start_is_not_written(
    times: Times, away: float
) -> None:
    """F4: until it has been set; that may be after days in which the gateway was off."""
    clock = times.clock(NOW - away)
    assert clock.now() == NOW - away
    times.run(clock, 2 * HOUR_SECONDS)
    assert clock.now() == NOW - away + 2 * HOUR_SECONDS
    times.wall += 5 * DAY_SECONDS - away
    assert clock.now() == times.wall
    assert clock.trusted() is None, "and deletes nothing"


def test_a_gateway_that_was_off_for_days_writes_what_time_it_is(times: Times) -> None:
    clock = times.clock(NOW - 29 * DAY_SECONDS)
    assert clock.now() == NOW
    times.run(clock, 2 * HOUR_SECONDS)
    assert clock.now() == NOW + 2 * HOUR_SECONDS


def test_a_clock_that_is_set_soon_after_the_start_is_written(times: Times) -> None:
    """A computer without a hardware clock goes on with the time of its last stop."""
    clock = times.clock(NOW)
    times.run(clock, 120)
    times.wall += 4 * DAY_SECONDS
    assert clock.now() == times.wall


def test_a_new_database_takes_the_time_that_is_set(times: Times) -> None:
    times.wall = 0.0
    clock = times.clock(None)
    assert clock.now() == 0.0
    times.wall = NOW
    assert clock.now() == NOW
    times.wall += 366 * DAY_SECONDS
    assert clock.now() == NOW, "once it has been set it is as any other"


def test_the_operators_word_ends_it(times: Times) -> None:
    clock = times.clock(NOW - 366 * DAY_SECONDS)
    assert clock.now() == NOW - 366 * DAY_SECONDS
    clock.confirm()
    assert clock.now() == NOW


def test_an_hour_back_is_written_as_it_is(times: Times) -> None:
    clock = times.clock(NOW)
    times.wall -= 3600
    assert clock.now() == clock.trusted() == NOW - 3600


def test_an_operator_may_say_that_it_is_right(times: Times) -> None:
    clock = times.clock(NOW - 10 * DAY_SECONDS)
    clock.confirm()
    assert (clock.trusted(), clock.state) == (NOW, "ok")


def test_a_slow_correction_is_no_step(times: Times) -> None:
    clock = times.clock(NOW)
    for _ in range(3000):
        times.run(clock, 60)
        times.wall += 0.03
    assert clock.trusted() == times.wall


def test_a_node_follows_the_databases_clock(times: Times) -> None:
    """Its own may be wrong when it starts, and set while it works."""
    clock = Clock(lambda: times.wall, lambda: times.boot)
    clock.follow(NOW + 3 * DAY_SECONDS)
    clock.begin(NOW + 3 * DAY_SECONDS)
    for step in (-DAY_SECONDS, 2 * HOUR_SECONDS):
        times.wall += step
        times.boot += 10
        clock.look()
    assert clock.now() == NOW + 3 * DAY_SECONDS + 20
    assert clock.state == "ok"
