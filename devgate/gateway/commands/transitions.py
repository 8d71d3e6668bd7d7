"""All legal transitions of a command's record (control.md section 4), as data.

Every checker judges by this table: the model test, `scripts/faults`, `scripts/crash` and
`scripts/soak`. Nothing of it is asked while the gateway serves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import reduce
from typing import Any, NamedTuple

from devgate.errors import outcome_of


class Place(StrEnum):
    """Where a record stands: its state, and once it has ended also its status and flags."""

    NEW = "new"  # there is no record
    WAITING = "waiting"
    SENT = "sent"
    UNSENT = "unsent"  # it ended, and nothing was sent
    ANSWERED = "answered"  # it ended with the device's own status
    UNKNOWN = "unknown"  # it ended as 408
    AMBIGUOUS = "ambiguous"  # it ended as 408, and is `ambiguous`
    RESOLVED = "resolved"  # it ended as 408, and a person has given a verdict
    LATE = "late"  # the device's own status came after the 408


class Transition(NamedTuple):
    """One change of a record, which one commit writes together with these events. Several
    changes may share a commit."""

    before: Place
    after: Place
    events: tuple[str, ...]
    when: str


ACCEPTED, SENT, ENDED, LATE = "command.accepted", "command.sent", "command.ended", "command.late"
CORRECTED, RESOLVED = "command.corrected", "command.resolved"

TRANSITIONS = (
    Transition(Place.NEW, Place.WAITING, (ACCEPTED,), "it waits for its turn, or for its device"),
    Transition(Place.NEW, Place.SENT, (ACCEPTED, SENT), "its turn is now"),
    Transition(Place.NEW, Place.UNSENT, (ENDED,), "it is refused at once"),
    Transition(Place.WAITING, Place.SENT, (SENT,), "its turn has come"),
    Transition(
        Place.WAITING, Place.UNSENT, (ENDED,),
        "it is cancelled, its time is over, its device has left or takes no start now, or the "
        "gateway stops",
    ),
    Transition(
        Place.SENT, Place.WAITING, (),
        "no byte of it went out, and it waits on: for its device (`expires`), or behind what came "
        "with its device from another node",
    ),
    Transition(Place.SENT, Place.UNSENT, (ENDED,), "no byte of it went out"),
    Transition(Place.SENT, Place.ANSWERED, (ENDED,), "the device answered in time"),
    Transition(
        Place.SENT, Place.UNKNOWN, (ENDED,), "no answer came in time, or the gateway ended before"
    ),
    Transition(
        Place.SENT, Place.LATE, (ENDED,),
        "the answer came late, and both outcomes were on no disk but the side file's",
    ),
    Transition(
        Place.UNKNOWN, Place.AMBIGUOUS, (),
        "fewer answers came than commands were sent; one `command.ambiguous` names them all",
    ),
    Transition(Place.UNKNOWN, Place.LATE, (LATE,), "the answer came after all"),
    Transition(
        Place.UNKNOWN, Place.UNSENT, (CORRECTED,),
        "its node, which was declared dead, comes back and knows that no byte of it went out",
    ),
    Transition(Place.AMBIGUOUS, Place.LATE, (LATE,), "the answers came after all"),
    Transition(Place.UNKNOWN, Place.RESOLVED, (RESOLVED,), "a person resolves it"),
    Transition(Place.AMBIGUOUS, Place.RESOLVED, (RESOLVED,), "a person resolves it"),
    Transition(Place.RESOLVED, Place.LATE, (LATE,), "the answer came after the verdict"),
    Transition(
        Place.LATE, Place.LATE, (RESOLVED,),
        "the answer contradicted the verdict, and a person resolves it again",
    ),
)  # fmt: skip
EVENT_TYPES = frozenset(event for transition in TRANSITIONS for event in transition.events)

Places = frozenset[Place]
START: Places = frozenset({Place.NEW})


def place_of(record: Mapping[str, Any]) -> Place:
    """Where a record stands, by its `state`, `status`, `late`, `ambiguous` and, where it has that,
    `verdict`: those of a row of the database, or of a command record of control.md. Raises
    ValueError for what is none."""
    state, late, ambiguous = record["state"], bool(record["late"]), bool(record["ambiguous"])
    if state in ("waiting", "sent") and not (late or ambiguous):
        return Place(state)
    if state == "ended":
        place = ended_as(record["status"])
        if place is Place.UNKNOWN and not late:
            if record.get("verdict") is not None:
                return Place.RESOLVED
            return Place.AMBIGUOUS if ambiguous else place
        if not ambiguous and (not late or place is Place.ANSWERED):
            return Place.LATE if late else place
    raise ValueError(f"no record is so: {dict(record)}")


def ended_as(status: str) -> Place:
    """Where the status of an outcome leaves a record, as long as nothing came late. Raises
    ValueError for 000, which is none."""
    outcome = outcome_of(status)
    if outcome == "pending":
        raise ValueError(f"{status} is no outcome")
    if outcome in ("done", "failed"):
        return Place.ANSWERED
    return Place.UNKNOWN if outcome == "unknown" else Place.UNSENT


def _reachable() -> dict[Place, frozenset[Place]]:
    found = {place: {place} for place in Place}
    for _ in Place:
        for transition in TRANSITIONS:
            for places in found.values():
                if transition.before in places:
                    places.add(transition.after)
    return {place: frozenset(places) for place, places in found.items()}


_REACHABLE = _reachable()


def reaches(before: Place, after: Place) -> bool:
    """Whether a record that stood at `before` may stand at `after` some time later, or still."""
    return after in _REACHABLE[before]


def after_event(places: Places, type: str, status: str | None = None) -> Places:
    """Where a record may stand behind this event, if it stood at one of these places before.

    START is before a command's first event. `status`: that of an outcome. Nowhere: the event is
    not legal there. Events that the table does not name change nothing.
    """
    if type not in EVENT_TYPES:
        return places
    # One with several events is made of transitions that tell one each (a test looks).
    found = {t.after for t in TRANSITIONS if t.before in places and t.events == (type,)}
    if status is not None and type in (ENDED, LATE):
        place = ended_as(status)
        found &= {place, Place.LATE} if place is Place.ANSWERED else {place}
    return frozenset(_with_silent(found))


def at(place: Place) -> Places:
    """A record that is known to stand there: with where it may be led without an event."""
    return frozenset(_with_silent({place}))


def after_events(events: Iterable[tuple[str, str | None]]) -> Places:
    """Where a record may stand behind all of these (type, status) of one command, from its first
    one on."""
    return reduce(lambda places, event: after_event(places, *event), events, START)


def _with_silent(places: set[Place]) -> set[Place]:
    """And where transitions without an event lead from there."""
    silent = [t for t in TRANSITIONS if not t.events]
    for _ in silent:
        places |= {t.after for t in silent if t.before in places}
    return places
