"""Verdicts of people on unknown outcomes: one conditional statement for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, or_, text, update

from devgate.store.schema import command
from devgate.store.unresolved import INBOX

VERDICT = "verdict"  # the kind of such a row of a batch
Values = tuple[Any, ...]

_WRITTEN = ("verdict", "note", "resolved_by", "resolved_at", "resolved_status")
_RESOLVE = (
    update(command)
    .where(command.c.id.in_(bindparam("ids", expanding=True)), text(INBOX))
    .values(
        verdict=bindparam("given"),
        note=bindparam("text"),
        resolved_by=bindparam("by"),
        resolved_at=bindparam("at"),
        resolved_status=command.c.status,
    )
    .returning(command.c.id, command.c.status)
)
_REPEAT = (
    update(command)
    .where(
        command.c.id == bindparam("of"),
        or_(
            command.c.resolved_at.is_(None),
            command.c.resolved_at < bindparam("new_resolved_at"),
        ),
    )
    .values({name: bindparam(f"new_{name}") for name in _WRITTEN})
)


@dataclass(slots=True, eq=False)
class Verdict:
    """A person's verdict on these commands.

    It counts only for those that are in the inbox when it is written: they have no other verdict
    yet. The commit sets `resolved`, before any callback.
    """

    ids: Sequence[str]
    given: str  # `ran`, `did_not_run`, `refunded` or `other`
    note: str | None
    by: str
    at: float  # wall clock
    tell: Callable[[str, str], Values]  # makes the event of a command, from its id and status
    resolved: Mapping[str, str] = field(default_factory=dict)  # by id: the status that it had


def resolve(conn: Connection, verdicts: Sequence[Verdict]) -> list[Values]:
    """Write the verdicts where they count. Returns their events, in the order of the ids."""
    events: list[Values] = []
    for one in verdicts:
        values = {
            "ids": list(one.ids), "given": one.given, "text": one.note, "by": one.by, "at": one.at,
        }  # fmt: skip
        one.resolved = {row.id: row.status for row in conn.execute(_RESOLVE, values)}
        events += [one.tell(id, status) for id, status in sorted(one.resolved.items())]
    return events


def as_rows(verdicts: Sequence[Verdict]) -> dict[str, Values]:
    """What was written, by the id of the command: what write_again() takes."""
    return {
        id: (one.given, one.note, one.by, one.at, status)
        for one in verdicts
        for id, status in one.resolved.items()
    }


def write_again(conn: Connection, rows: Mapping[str, Values]) -> int:
    """Write verdicts into a database that has lost them. Later verdicts are not replaced. Returns
    how many were written."""
    count = 0
    for id, values in rows.items():
        named = {f"new_{name}": value for name, value in zip(_WRITTEN, values, strict=True)}
        count += conn.execute(_REPEAT, {"of": id, **named}).rowcount
    return count
