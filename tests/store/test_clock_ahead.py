"""How far the database's clock is from a machine's, whose own may be set at any time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devgate.store.batch import COMMAND
from devgate.store.clock_ahead import ClockAhead
from devgate.store.node_rows import later
from tests.store.commands import EPOCH, command_row
from tests.store.plain import A


class Machine:
    """A machine, and a database whose clock says `steady`."""

    def __init__(self) -> None:
        self.steady, self.set_by = 1000.0, 0.0
        self.ahead = ClockAhead(lambda: self.steady + self.set_by, lambda: self.steady)

    def trip(self, there: float, back: float, step: float = 0.0) -> None:
        """Seconds to the database and back, and by what the clock is set meanwhile."""
        self.ahead.ask()
        self.steady += there
        now = self.steady
        self.set_by += step
        self.steady += back
        self.ahead.answered(now)

    @property
    def error(self) -> float:
        return abs(self.ahead.seconds + self.set_by)


def test_a_clock_that_was_set_is_known_though_every_trip_is_slow() -> None:
    machine = Machine()
    machine.trip(0.001, 0.001)
    machine.set_by = -259_200.0
    machine.trip(0.4, 0.3)
    assert machine.error < 0.7
    machine.trip(0.001, 0.001)
    assert machine.error < 0.002


def test_a_clock_that_is_set_within_a_trip_says_nothing() -> None:
    machine = Machine()
    machine.trip(0.001, 0.001)
    machine.trip(0.001, 0.001, step=-3600.0)
    machine.trip(0.001, 0.001)
    assert machine.error < 0.002
    machine.trip(0.001, 0.001, step=+3600.0)
    machine.trip(0.3, 0.2)
    assert machine.error < 0.5


ways = st.floats(0.0001, 3.0)
steps = st.one_of(st.just(0.0), st.floats(-1e6, 1e6))


@given(st.lists(st.tuples(ways, ways, steps, steps), min_size=1))
def test_after_a_trip_in_which_nothing_was_set_it_is_right_within_what_that_took(
    trips: list[tuple[float, float, float, float]],
) -> None:
    machine = Machine()
    for there, back, before, within in trips:
        machine.set_by += before
        machine.trip(there, back, step=within)
    machine.trip(0.3, 0.2)
    assert machine.error < 1.01


def test_times_of_a_machine_whose_clock_is_wrong_are_put_right() -> None:
    machine = Machine()
    machine.set_by = 0.4
    machine.trip(0.001, 0.001)
    assert machine.ahead.wrong == 0.0, "as they are: machines that keep time differ a little"
    machine.set_by = -3600.0
    machine.trip(0.001, 0.001)
    assert abs(machine.ahead.wrong - 3600.0) < 0.002
    written = later(command_row("1").values, 3600.0)
    row = dict(zip(COMMAND, written, strict=True))
    assert (row["accepted_at"], row["ended_at"], row["late_at"]) == (
        EPOCH + 3600, EPOCH + 3602, None,
    )  # fmt: skip
    assert row["imei"] == A
