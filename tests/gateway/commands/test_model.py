"""Any interleaving of orders, results, timeouts, reconnects, takeovers, cancels and crashes.

Each program that hypothesis makes is run against the real dispatcher, orders and recovery, over a
real database and under a clock that jumps; the reference says what must come of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from devgate.store.engine import Database
from tests.gateway.commands.world import World
from tests.gateway.rig import X, Y, emptied

# One device most of the time: it is on one that commands and results meet.
devices = st.sampled_from([X] * 7 + [Y])
keys = st.sampled_from([None, None, "a", "a", "b"])
# Uneven, so that no two deadlines ever meet.
naps = st.sampled_from([0.0731, 0.913, 3.317, 9.703, 9.703, 31.09, 58.77])

STEPS: dict[str, tuple[int, st.SearchStrategy[Any]]] = {  # each with its weight
    "order": (
        6,
        st.tuples(
            st.sampled_from(["start", "start", "start", "stop"]),
            devices,
            keys,
            st.sampled_from([None, None, 4.1, 100.3]),  # expires
            st.sampled_from([None, None, 2.3, 45.7]),  # timeout
            st.booleans(),  # wait, and whether a stop cancels
        ),
    ),
    "result": (
        6,
        st.tuples(
            devices,
            st.sampled_from(["QD", "QD", "QD", "ST"]),
            st.sampled_from(["200", "201", "202"]),
        ),
    ),
    "nap": (8, st.tuples(naps)),
    "tick": (1, st.just(())),
    "online": (2, st.tuples(devices, st.sampled_from([False, False, False, True]))),  # relayed
    "beat": (3, st.tuples(devices)),
    "acks": (2, st.tuples(devices, st.booleans())),  # from now on, or no longer
    "offline": (1, st.tuples(devices)),
    "breaks": (1, st.tuples(devices)),
    "cancel": (1, st.tuples(st.integers(0, 3))),
    "slow": (1, st.tuples(st.sampled_from([0.0, 0.0, 0.31]))),
    "away": (1, st.tuples(st.sampled_from([True, False, False]))),
    "crash": (1, st.tuples(st.sampled_from([0.0, 7.07]))),
}
steps = st.sampled_from(
    [kind for kind, (weight, _) in STEPS.items() for _ in range(weight)]
).flatmap(lambda kind: STEPS[kind][1].map(lambda args: (kind, *args)))
# What goes away is soon back, or little would ever happen.
back = st.just([("away", False), ("slow", 0.0), ("online", X, False)])
programs = st.lists(st.lists(steps, min_size=4, max_size=14) | back, min_size=2, max_size=6)


# What results are about: starts that are not answered, answers that come late, connections that
# come and go, and little else.
SPAN = st.sampled_from([0.0731, 0.913, 3.317, 9.703, 9.703, 9.703, 31.09])
START = st.sampled_from(
    [("order", "start", X, None, None, patience, True) for patience in (None, None, 2.3)]
)
SAYS = st.sampled_from(["200", "200", "201"]).map(lambda status: ("result", X, "QD", status))
ONE = st.one_of(
    START, START, SAYS, SAYS, SAYS.map(lambda step: step),
    SPAN.map(lambda seconds: ("nap", seconds)),
    SPAN.map(lambda seconds: ("nap", seconds)),
    st.sampled_from(
        [("nap", 10.171), ("beat", X), ("acks", X, False), ("acks", X, True),
         ("online", X, False), ("online", X, True), ("crash", 0.171), ("beat", X),
         ("order", "stop", X, None, None, None, True), ("result", X, "ST", "200")]
    ),
)  # fmt: skip
UNANSWERED = st.sampled_from([[("order", "start", X, None, None, 2.3, True), ("nap", 2.41)]])
programs_of_results = st.lists(
    st.one_of(UNANSWERED, st.lists(ONE, min_size=1, max_size=4)), min_size=4, max_size=14
).map(lambda parts: [("online", X, False), *(step for part in parts for step in part)])


@contextlib.asynccontextmanager
async def bounded() -> AsyncIterator[None]:
    """A program that makes no progress fails, and does not hang."""
    with trio.fail_after(100_000):
        yield


@pytest.mark.usefixtures("clocks")
@given(programs, st.booleans())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_interleaving(
    one_store: Database, acts: list[list[tuple[Any, ...]]], knows_keys: bool
) -> None:
    run(one_store, [step for act in acts for step in (("online", X, False), *act)], knows_keys)


@pytest.mark.usefixtures("clocks")
@given(programs_of_results)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_order_of_starts_and_results(
    one_store: Database, program: list[tuple[Any, ...]]
) -> None:
    run(one_store, program, True)


def run(database: Database, program: list[tuple[Any, ...]], knows_keys: bool) -> None:
    emptied(database)
    note(f"{program}")

    async def go() -> None:
        async with bounded():
            await World(database, knows_keys).live(program)

    trio.run(go, clock=MockClock(autojump_threshold=0))
