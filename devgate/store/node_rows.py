"""Rows of one commit of a node, and the statements that write them under their conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection

from devgate.store.batch import (
    AFTER,
    COMMAND,
    KEY,
    KINDS,
    ORDERED,
    SPENT,
    Row,
    in_slices,
    statement,
)
from devgate.store.numbering import Values
from devgate.store.verdicts import VERDICT, Verdict

STATE, STATUS = COMMAND.index("state"), COMMAND.index("status")


class CommandRow(NamedTuple):
    """A command as it stands now, with the events of it."""

    values: Values  # in the order of COMMAND
    events: Sequence[Values]
    fresh: bool  # it was never journalled before
    # It is about to be sent: the generation of the connection that it will be sent on.
    generation: int | None = None
    # Whose end it is that was posted: handed back where the row is not written.
    ended: Any = None
    fates: Sequence[Fate] = ()  # one for each that waits for it


class Fate:
    """Why the row was not written, for one who waits for that. Set before anybody is called
    back: of several rows of a command in one commit each has its own."""

    __slots__ = ("why",)

    def __init__(self) -> None:
        self.why: str | None = None


class PresenceRow(NamedTuple):
    """A device as this node sees it, with the events of that."""

    values: Values  # imei, online, since, heard, address, generation
    events: Sequence[Values]


@dataclass(slots=True)
class NodeBatch:
    """What one commit of a node writes: of two rows for one key the later one counts."""

    commands: dict[str, CommandRow] = field(default_factory=dict)
    devices: dict[str, PresenceRow] = field(default_factory=dict)
    plain: dict[str, dict[Any, Values]] = field(default_factory=dict)  # by kind and key
    events: list[Values] = field(default_factory=list)  # that depend on nothing
    verdicts: list[Verdict] = field(default_factory=list)


def gathered(rows: Iterable[Row]) -> NodeBatch:
    """The rows of NodeRecords, sorted out."""
    batch = NodeBatch()
    for kind, values in rows:
        if kind == "order":
            row = CommandRow(*values)
            if (before := batch.commands.get(row.values[0])) is not None:
                fates = (*before.fates, *row.fates)
                if ends(before) and ends(row):
                    # The second one is of what a claim has read, before the first one was there.
                    row = before._replace(fates=fates)
                else:
                    # A row that is replaced before it was written was fresh, and still is.
                    row = row._replace(
                        events=(*before.events, *row.events),
                        fresh=before.fresh or row.fresh,
                        fates=fates,
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


def upsert(conn: Connection, kind: str, rows: Sequence[Values]) -> None:
    """Write rows of a kind of `batch.KINDS`, whatever is there."""
    for some in in_slices(rows):
        conn.exec_driver_sql(_plain(kind, len(some)), tuple(chain.from_iterable(some)))
    if kind in AFTER:
        conn.exec_driver_sql(AFTER[kind]("postgresql"))


def insert_fresh(conn: Connection, rows: Sequence[Values], incarnation: int) -> set[str]:
    """Write commands that were never journalled. Returns the ids of those that are there now: the
    others have an id or a key that is there already."""
    found: set[str] = set()
    for some in in_slices(sorted(rows)):
        values = tuple(chain.from_iterable((*row, incarnation) for row in some))
        found.update(id for (id,) in conn.exec_driver_sql(_fresh(len(some)), values))
    return found


def update_known(
    conn: Connection, rows: Sequence[Values], ends: Set[str], incarnation: int
) -> set[str]:
    """Write commands as they stand now, where ALLOWED; those of `ends`, which end now, where they
    are open. Returns the ids of the rows that were written."""
    found: set[str] = set()
    kinds: dict[tuple[bool, bool], list[Values]] = {}
    for row in sorted(rows):
        frees = row[SPENT] is None and row[KEY] is not None
        kinds.setdefault((frees, row[0] in ends), []).append(row)
    for kind, some_rows in kinds.items():
        for some in in_slices(some_rows):
            values = tuple(chain.from_iterable((*row, incarnation) for row in some))
            found.update(id for (id,) in conn.exec_driver_sql(_known(len(some), *kind), values))
    return found


# What may become of a row that is there. It is open, and this node works on it; or it is a 408,
# which a result may still settle, and which may turn out to be ambiguous.
MINE = "(command.state <> 'ended' AND command.incarnation = excluded.incarnation)"
ALLOWED = (
    f"{MINE} OR (command.status = '408' AND excluded.state = 'ended' AND "
    "((excluded.ambiguous AND NOT command.ambiguous) OR excluded.late))"
)
_COLUMNS = (*COMMAND, "incarnation")
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_ONE = "(" + ", ".join(["%s"] * len(_COLUMNS)) + ")"


@lru_cache(maxsize=64)
def _plain(kind: str, rows: int) -> str:
    return statement("%s", kind, rows)


@lru_cache(maxsize=64)
def _fresh(rows: int) -> str:
    values = ", ".join([_ONE] * rows)
    return f"INSERT INTO command ({_NAMES}) VALUES {values} ON CONFLICT DO NOTHING RETURNING id"


@lru_cache(maxsize=128)
def _known(rows: int, names_spent: bool, ends: bool) -> str:
    """`names_spent`: the rows give their keys free. `ends`: the commands end now."""
    fixed = {"id", *ORDERED} if names_spent else {"id", *ORDERED, "spent"}
    changing = ", ".join(f'"{n}" = excluded."{n}"' for n in _COLUMNS if n not in fixed)
    values = ", ".join([_ONE] * rows)
    return (
        f"INSERT INTO command ({_NAMES}) VALUES {values} ON CONFLICT (id) "
        f"DO UPDATE SET {changing} WHERE {MINE if ends else ALLOWED} RETURNING id"
    )


PRESENCE_COLUMNS = (*KINDS["presence"].columns, "node", "incarnation")


@lru_cache(maxsize=64)
def _presence(rows: int) -> str:
    names = ", ".join(PRESENCE_COLUMNS)
    one = "(" + ", ".join(["%s"] * len(PRESENCE_COLUMNS)) + ")"
    changing = ", ".join(f"{n} = excluded.{n}" for n in PRESENCE_COLUMNS if n != "imei")
    return (
        f"INSERT INTO presence ({names}) VALUES {', '.join([one] * rows)} "
        f"ON CONFLICT (imei) DO UPDATE SET {changing}"
    )


def write_presence(conn: Connection, rows: Sequence[Values], node: str, incarnation: int) -> None:
    """Write devices that are this node's; their rows are locked."""
    for some in in_slices(sorted(rows)):
        values = tuple(chain.from_iterable((*row, node, incarnation) for row in some))
        conn.exec_driver_sql(_presence(len(some)), values)
