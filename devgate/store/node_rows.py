"""Rows of one commit of a node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection

from devgate.store.batch import COMMAND, Row, Statements
from devgate.store.numbering import Values
from devgate.store.verdicts import VERDICT, Verdict

STATE = COMMAND.index("state")
TIMES = ("accepted_at", "sent_at", "ended_at", "late_at", "expires_at")
_PLACES = frozenset(map(COMMAND.index, TIMES))
_SQL = Statements("postgresql")


class CommandRow(NamedTuple):
    """The current state of a command, with its events."""

    values: Values  # in the order of COMMAND
    events: Sequence[Values]
    fresh: bool  # it was never journalled before
    # If it is about to be sent: the generation of the connection that it will be sent on.
    generation: int | None = None
    # Whose end it is that was posted: handed back where the row is not written.
    ended: Any = None
    fates: Sequence[Fate] = ()  # one for each that waits for it


class Fate:
    """Why the row was not written, for a caller that waits for it. Set before any callback. Each
    of several rows of one command in a commit has its own."""

    __slots__ = ("why",)

    def __init__(self) -> None:
        self.why: str | None = None


class PresenceRow(NamedTuple):
    """The presence of a device at this node, with its events."""

    values: Values  # imei, online, since, heard, address, generation
    events: Sequence[Values]


@dataclass(slots=True)
class NodeBatch:
    """The rows of one commit of a node. Of two rows with one key the later one counts."""

    commands: dict[str, CommandRow] = field(default_factory=dict)
    devices: dict[str, PresenceRow] = field(default_factory=dict)
    plain: dict[str, dict[Any, Values]] = field(default_factory=dict)  # by kind and key
    events: list[Values] = field(default_factory=list)  # that depend on nothing
    verdicts: list[Verdict] = field(default_factory=list)
    stale: list[Fate] = field(default_factory=list)  # of rows that are not written
    # The position of each event of a command in the order of happening, by the event's id().
    places: dict[int, int] = field(default_factory=dict)

    def place(self, event: Values) -> int:
        """The position of this event among the events of commands."""
        return self.places[id(event)]


def gathered(rows: Iterable[Row]) -> NodeBatch:
    """The rows of NodeRecords, sorted out."""
    batch = NodeBatch()
    for kind, values in rows:
        if kind == "order":
            row = CommandRow(*values)
            for event in row.events:
                batch.places[id(event)] = len(batch.places)
            # The later row comes later: the next start of a device after the end of its last one.
            if (before := batch.commands.pop(row.values[0], None)) is not None:
                if ends(before) and (ends(row) or row.values[STATE] != "ended"):
                    # This one is of what a claim has read before that end was on disk.
                    batch.stale += row.fates
                    row = before
                else:
                    # If a fresh row is replaced before it was written, the new one is fresh, too.
                    row = row._replace(
                        events=(*before.events, *row.events),
                        fresh=before.fresh or row.fresh,
                        fates=(*before.fates, *row.fates),
                    )
            batch.commands[row.values[0]] = row
        elif kind == "device":
            device = PresenceRow(*values)
            if (earlier := batch.devices.get(device.values[0])) is not None:
                device = device._replace(events=(*earlier.events, *device.events))
            batch.devices[device.values[0]] = device
        elif kind == "event":
            batch.events.append(values)
        elif kind == VERDICT:
            batch.verdicts.append(values[0])
        else:
            batch.plain.setdefault(kind, {})[values[0]] = values
    return batch


def ends(row: CommandRow) -> bool:
    """Whether the command ends with this row."""
    return any(event[1] == "command.ended" for event in row.events)


def earlier(row: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
    """A command's row by its columns, with times that are earlier by `seconds`."""
    if not seconds:
        return row
    times = {name: row[name] for name in TIMES if row[name] is not None}
    return {**row, **{name: value - seconds for name, value in times.items()}}


def later(values: Values, seconds: float) -> Values:
    """A command's row with times that are later by `seconds`."""
    return tuple(
        value + seconds if column in _PLACES and value is not None else value
        for column, value in enumerate(values)
    )


def upsert(conn: Connection, kind: str, rows: Sequence[Values]) -> None:
    """Write rows of a kind of `batch.KINDS`; existing ones are replaced."""
    for sql, values in _SQL.of([(kind, rows)] if rows else []):
        conn.exec_driver_sql(sql, values)


def not_written(rows: Sequence[Row], there: Set[int]) -> Iterator[Row]:
    """The rows without those that are on disk, by their id(). Claims stay: their results are
    needed."""
    for row in rows:
        if id(row) not in there:
            yield row
        elif row.kind == "device":
            yield row._replace(values=(row.values[0], []))
