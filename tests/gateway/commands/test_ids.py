"""Ids of commands: their order is that in which they were made."""

from __future__ import annotations

import pytest
from ulid import ULID

from devgate.gateway.commands import ids
from devgate.gateway.commands.ids import Ids


def test_an_id_is_a_ulid_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "time", lambda: 1_700_000_000.125)
    made = ULID.from_str(Ids().next())
    assert made.milliseconds == 1_700_000_000_125


@pytest.mark.parametrize("step", [0.0, 0.0001, 0.1, -3600.0])
def test_ids_go_up_whatever_the_clock_does(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """F13: history and recovery are in the order of ids."""
    now = 1_700_000_000.0

    def clock() -> float:
        nonlocal now
        now += step
        return now

    monkeypatch.setattr(ids, "time", clock)
    some = Ids()
    made = [some.next() for _ in range(1000)]
    assert made == sorted(set(made))


def test_ids_go_on_above_those_of_earlier_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """F13: the clock went back over a restart."""
    before = str(ULID.from_timestamp(2_000_000_000.0))
    monkeypatch.setattr(ids, "time", lambda: 1_700_000_000.0)
    some = Ids()
    some.after(before)
    assert some.next() > before


@pytest.mark.parametrize("odd", [None, "", "x" * 26, "8" + "0" * 25, "I" * 26])
def test_what_is_no_ulid_is_passed_over(odd: str | None) -> None:
    some = Ids()
    some.after(odd)
    assert ULID.from_str(some.next())


def test_no_id_of_an_earlier_run_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """F13, found by scripts/faults: refusals were told with ids whose rows a kill took away; with
    the clock behind, the next run gave the same ids to other orders."""
    highest = str(ULID.from_timestamp(2_000_000_000.0))  # on disk, in both runs
    monkeypatch.setattr(ids, "time", lambda: 1_700_000_000.0)
    runs = []
    for _ in range(2):
        some = Ids()
        some.after(highest)
        runs.append({some.next() for _ in range(100)})
    assert not runs[0] & runs[1]
