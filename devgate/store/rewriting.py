"""Writes rows again that the database has lost and a node still has in memory.

Several nodes do this, in any order. So a row is written only if there is none, or if the existing
one is older. An event keeps the number under which it was published.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from devgate.store import verdicts
from devgate.store.batch import COMMAND, KINDS, found_by_device, in_slices
from devgate.store.clock_ahead import RIGHT_SECONDS
from devgate.store.node_commits import Committed
from devgate.store.node_devices import UNSEEN
from devgate.store.node_rows import NodeBatch, later
from devgate.store.numbering import Values
from devgate.store.recent import Recent
from devgate.store.verdicts import VERDICT

# Decides which of two rows of a command is the later one.
_RANK = (
    "CASE {0}.state WHEN 'waiting' THEN 0 WHEN 'sent' THEN 1 ELSE 2 END "
    "+ CASE WHEN {0}.late THEN 2 WHEN {0}.ambiguous THEN 1 ELSE 0 END"
)
_FURTHER = f"{_RANK.format('excluded')} > {_RANK.format('command')}"
_COMMAND = (*COMMAND, "incarnation")
_PRESENCE = (*KINDS["presence"].columns, "node", "incarnation")
# Nodes' clocks differ by less than this, and a device comes back at once.
_LATER = (
    "presence.since IS NULL OR excluded.since >= presence.since "
    "OR (NOT presence.online AND excluded.since >= presence.since - 0.5)"
)
_EVENT = KINDS["event"].columns


def write_again(conn: Connection, recent: Recent, beat: int, node: str, incarnation: int) -> int:
    """Write the remembered rows of the commits behind that beat that are missing. Returns how many
    rows were written."""
    rows: dict[str, dict[Any, Values]] = {}
    events: list[Values] = []
    for some_rows, some_events in recent.commits(beat + 1):
        events += some_events
        for kind, some in some_rows.items():
            rows.setdefault(kind, {}).update(some)
    commands = [(*values, incarnation) for values in rows.pop("command", {}).values()]
    # A device that is online gets no connection: it is claimed next, which reads open commands.
    devices = [
        (*values[:-1], UNSEEN if values[1] else values[-1], node, incarnation)
        for values in rows.pop("presence", {}).values()
    ]
    count = _insert(
        conn, "presence", _PRESENCE, sorted(devices, key=_key), _replacing(_PRESENCE, _LATER)
    )
    count += _commands(conn, sorted(commands, key=_key))
    count += verdicts.write_again(conn, rows.pop(VERDICT, {}))
    for kind, some in rows.items():
        columns = KINDS[kind].columns
        table = KINDS[kind].table.name
        count += _insert(conn, table, columns, list(some.values()), _replacing(columns, "true"))
    by_device = found_by_device(events, {values[0] for values in commands})
    numbered = [(*values, by) for values, by in zip(events, by_device, strict=True)]
    return count + _insert(conn, "event", _EVENT, numbered, "DO NOTHING")


def _commands(conn: Connection, commands: Sequence[Values]) -> int:
    """Write commands that are missing, also by their key, and those whose row is older."""
    count = _insert(conn, "command", _COMMAND, commands, "DO NOTHING")
    there: set[str] = set()
    for some in in_slices([values[0] for values in commands]):
        found = conn.exec_driver_sql("SELECT id FROM command WHERE id = ANY(%s)", (list(some),))
        there.update(id for (id,) in found)
    known = [values for values in commands if values[0] in there]
    return count + _insert(conn, "command", _COMMAND, known, _replacing(_COMMAND, _FURTHER))


def _key(values: Values) -> str:
    key: str = values[0]
    return key


def _replacing(columns: Sequence[str], where: str) -> str:
    key, *others = columns
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    return f'("{key}") DO UPDATE SET {changes} WHERE {where}'


def _insert(
    conn: Connection, table: str, columns: Sequence[str], rows: Sequence[Values], conflict: str
) -> int:
    names = ", ".join(f'"{name}"' for name in columns)
    one = "(" + ", ".join(["%s"] * len(columns)) + ")"
    count = 0
    for some in in_slices(rows):
        values: tuple[Any, ...] = tuple(chain.from_iterable(some))
        count += conn.exec_driver_sql(
            f"INSERT INTO {table} ({names}) VALUES {', '.join([one] * len(some))} "
            f"ON CONFLICT {conflict}", values,
        ).rowcount  # fmt: skip
    return count


def remembered(
    batch: NodeBatch, done: Committed, clock_ahead: float
) -> dict[str, dict[Any, Values]]:
    """The rows that a commit has written, as `Recent` remembers them: by kind and key."""
    rows: dict[str, dict[Any, Values]] = {kind: dict(some) for kind, some in batch.plain.items()}
    wrong = clock_ahead if abs(clock_ahead) > RIGHT_SECONDS else 0.0
    commands = {
        id: later(row.values, wrong)
        for id, row in batch.commands.items() if id not in done.refused
    }  # fmt: skip
    others = {claim.imei for claim in done.claims if not claim.won} | {i for i, _ in done.moved}
    devices: dict[Any, Values] = {}
    for key, device in batch.devices.items():
        if key not in others:
            imei, online, since, *more = device.values
            devices[key] = (imei, online, since + clock_ahead if online else since, *more)
    if commands:
        rows["command"] = commands
    if batch.verdicts:
        rows[VERDICT] = verdicts.as_rows(batch.verdicts)
    if devices:
        rows["presence"] = devices
    return rows
