"""The table of a record's transitions, and what is judged by it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from devgate.gateway.commands.transitions import (
    ACCEPTED,
    CORRECTED,
    ENDED,
    LATE,
    RESOLVED,
    SENT,
    TRANSITIONS,
    Place,
    after_event,
    after_events,
    ended_as,
    place_of,
    reaches,
)

FINAL = {Place.UNSENT, Place.ANSWERED, Place.LATE}


def record(state: str, status: str = "000", **flags: object) -> dict[str, Any]:
    return {"state": state, "status": status, "late": False, "ambiguous": False, **flags}


@pytest.mark.parametrize(
    ("place", "row"),
    [
        (Place.WAITING, record("waiting")),
        (Place.SENT, record("sent")),
        (Place.UNSENT, record("ended", "404")),
        (Place.UNSENT, record("ended", "409")),  # of an earlier version
        (Place.ANSWERED, record("ended", "201")),
        (Place.UNKNOWN, record("ended", "408")),
        (Place.AMBIGUOUS, record("ended", "408", ambiguous=True)),
        (Place.LATE, record("ended", "202", late=True)),
        (Place.RESOLVED, record("ended", "408", verdict="ran")),
        (Place.RESOLVED, record("ended", "408", ambiguous=True, verdict="ran")),
        (Place.UNKNOWN, record("ended", "408", verdict=None)),
        (Place.LATE, record("ended", "200", late=True, verdict="refunded")),
    ],
)
def test_where_a_record_stands(place: Place, row: dict[str, Any]) -> None:
    assert place_of(row) is place


@pytest.mark.parametrize(
    "row",
    [
        record("waiting", late=True),
        record("sent", ambiguous=True),
        record("ended", "404", late=True),
        record("ended", "408", late=True),
        record("ended", "200", ambiguous=True),
        record("ended", "000"),
        record("over"),
    ],
)
def test_what_no_record_is(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no record is so|no outcome"):
        place_of(row)


def test_final_places_are_left_by_nothing_and_all_others_end() -> None:
    changing = {t.before for t in TRANSITIONS if t.after is not t.before}
    assert changing == set(Place) - FINAL
    for place in set(Place) - FINAL - {Place.UNKNOWN, Place.AMBIGUOUS, Place.RESOLVED}:
        assert all(reaches(place, final) for final in FINAL)
    assert not reaches(Place.UNKNOWN, Place.ANSWERED)
    assert not reaches(Place.AMBIGUOUS, Place.UNSENT)
    assert not reaches(Place.RESOLVED, Place.UNSENT)
    assert all(reaches(place, place) for place in Place)
    assert not any(reaches(place, Place.NEW) for place in Place if place is not Place.NEW)


def test_one_with_several_events_is_made_of_such_that_tell_one_each() -> None:
    """after_event() relies on it."""
    steps = {(t.before, t.after): t.events for t in TRANSITIONS if len(t.events) == 1}
    for long in (t for t in TRANSITIONS if len(t.events) > 1):
        found = [
            (first, second)
            for first in steps
            for second in steps
            if first[0] is long.before
            and second == (first[1], long.after)
            and steps[first] + steps[second] == long.events
        ]
        assert len(found) == 1


LEGAL: list[tuple[list[tuple[str, str | None]], set[Place]]] = [
    ([(ACCEPTED, None)], {Place.WAITING}),
    ([(ACCEPTED, None), (SENT, None)], {Place.SENT, Place.WAITING}),
    ([(ENDED, "404")], {Place.UNSENT}),
    ([(ACCEPTED, None), (ENDED, "410")], {Place.UNSENT}),
    ([(ACCEPTED, None), (SENT, None), (SENT, None), (ENDED, "200")], {Place.ANSWERED, Place.LATE}),
    ([(ACCEPTED, None), (SENT, None), (ENDED, "503")], {Place.UNSENT}),
    ([(ACCEPTED, None), (SENT, None), (ENDED, "408")], {Place.UNKNOWN, Place.AMBIGUOUS}),
    ([(ACCEPTED, None), (SENT, None), (ENDED, "408"), (LATE, "201")], {Place.LATE}),
    ([(ACCEPTED, None), (SENT, None), (ENDED, "408"), (RESOLVED, "408")], {Place.RESOLVED}),
    (
        [
            (ACCEPTED, None),
            (SENT, None),
            (ENDED, "408"),
            (RESOLVED, "408"),
            (LATE, "200"),
            (RESOLVED, "200"),
        ],
        {Place.LATE},
    ),
    ([("device.online", None), (ACCEPTED, None), ("command.ambiguous", "408")], {Place.WAITING}),
]


@pytest.mark.parametrize(("events", "places"), LEGAL)
def test_events_that_are_legal(events: list[tuple[str, str | None]], places: set[Place]) -> None:
    assert after_events(events) == places


ILLEGAL: list[list[tuple[str, str | None]]] = [
    [(SENT, None)],
    [(LATE, "200")],
    [(ENDED, "200")],
    [(ENDED, "408")],
    [(ACCEPTED, None), (ACCEPTED, None)],
    [(ACCEPTED, None), (ENDED, "200")],
    [(ACCEPTED, None), (ENDED, "408")],
    [(ACCEPTED, None), (SENT, None), (ENDED, "200"), (ENDED, "200")],
    [(ACCEPTED, None), (SENT, None), (ENDED, "200"), (LATE, "200")],
    [(ACCEPTED, None), (SENT, None), (ENDED, "404"), (SENT, None)],
    [(ACCEPTED, None), (SENT, None), (ENDED, "408"), (LATE, "404")],
    [(ACCEPTED, None), (SENT, None), (ENDED, "408"), (ENDED, "404")],
    [(ACCEPTED, None), (SENT, None), (ENDED, "408"), (SENT, None)],
    [(ACCEPTED, None), (SENT, None), (ENDED, "408"), (LATE, "200"), (LATE, "200")],
    [(ACCEPTED, None), (SENT, None), (ENDED, "408"), (RESOLVED, "408"), (RESOLVED, "408")],
    [(ACCEPTED, None), (SENT, None), (ENDED, "408"), (RESOLVED, "408"), (CORRECTED, "404")],
]


@pytest.mark.parametrize("events", ILLEGAL)
def test_events_that_are_not(events: list[tuple[str, str | None]]) -> None:
    assert after_events(events[:-1]), "the last one is the one that is not legal"
    assert after_events(events) == frozenset()


def test_nothing_leads_out_of_nowhere() -> None:
    for events in ILLEGAL:
        for first, second in pairwise([*events, (ENDED, "404")]):
            assert after_event(frozenset(), *first) == after_event(frozenset(), *second) == set()


def test_an_outcome_is_told_by_its_status() -> None:
    assert [ended_as(status) for status in ("200", "202", "408", "503", "423")] == [
        Place.ANSWERED, Place.ANSWERED, Place.UNKNOWN, Place.UNSENT, Place.UNSENT,
    ]  # fmt: skip
