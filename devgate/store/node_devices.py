"""The devices of a node: it claims them under the lock of their rows, with their open commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from devgate.model import to_json
from devgate.store.batch import names
from devgate.store.node_commits import Claim, Committed
from devgate.store.node_rows import STATE, NodeBatch, PresenceRow
from devgate.store.node_statements import array, write_presence
from devgate.store.nodes import Member
from devgate.store.numbering import Values
from devgate.store.schema import command as command_table
from devgate.store.trips import TripAnswer, Trips

# The generation of a connection in a row that was lost and written again: the open commands of the
# device must be read again, as if another node had had it.
UNSEEN = -1
AHEAD_SECONDS = 5.0  # the maximum difference of the nodes' clocks
BELIEVED_SECONDS = 30.0  # a registration so far in the future is one of a wrong clock

_LOCK = (
    "SELECT imei, online, since, address, running_until, generation, incarnation "
    "FROM presence WHERE imei = ANY($1::text[]) ORDER BY imei FOR NO KEY UPDATE"
)
_MISSING = "INSERT INTO presence (imei) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"
_ALIVE = "SELECT incarnation FROM node WHERE alive"
_OPEN = (
    "SELECT id FROM command WHERE state <> 'ended' AND imei = ANY($1::text[]) ORDER BY id "
    "FOR NO KEY UPDATE"
)
_ADOPT = (
    "UPDATE command SET incarnation = $2::bigint WHERE state <> 'ended' AND imei = ANY($1::text[])"
)
_COLUMNS = tuple(column.name for column in command_table.columns)
_ROWS = f"SELECT {names(_COLUMNS)} FROM command WHERE imei = ANY($1::text[])"
_THEIRS = (
    f"{_ROWS} AND state <> 'ended' UNION ALL {_ROWS} AND status = '408' "
    "AND ended_at BETWEEN $2::float8 AND $3::float8"
)
_HELD = "SELECT id, detail FROM open_results WHERE id = ANY($1::text[]) AND detail <> ''"


class There(NamedTuple):
    """The row of a device, which is locked."""

    imei: str
    online: bool
    since: float | None
    address: str | None
    running_until: float | None
    generation: int
    incarnation: int | None


# By IMEI: whether it is online, the incarnation that has it, the generation of its connection.
Held = dict[str, tuple[bool, int | None, int]]


class NodeDevices:
    """The rows of `presence`, as one node writes them."""

    def __init__(self, member: Member, late_window: float, clock: Callable[[], float]) -> None:
        """`late_window`: seconds for which a 408 may still be settled by a result. `clock`: the
        one that the times of the rows are of."""
        self._time = clock
        self._member = member
        self._late_window = late_window

    def lock(self, trips: Trips, batch: NodeBatch) -> TripAnswer:
        """Ask for the rows of all devices that the batch changes or depends on, and lock them."""
        imeis = {*_concerned(batch), *batch.plain.get("running", ())}
        return trips.ask(_LOCK, array(sorted(imeis))) if imeis else TripAnswer()

    def claim(
        self,
        trips: Trips,
        batch: NodeBatch,
        locked: TripAnswer,
        events: list[Values],
        done: Committed,
        clock_ahead: float,
    ) -> Held:
        """Claim the devices that have registered.

        `locked` is the answer to lock(). `clock_ahead`: seconds by which the database's clock is
        ahead of this one's. Adds the results of the claims to `done`, and their events to
        `events`.
        """
        rows = found(locked)
        if missing := sorted(_concerned(batch) - rows.keys()):
            # A missing row cannot be locked: without it two nodes would both be the first.
            trips.ask(_MISSING, array(missing))
            relocked = trips.ask(_LOCK, array(missing))
            trips.go()
            rows |= found(relocked)
        mine = self._member.incarnation
        held = held_of(rows)
        alive: set[int] | None = None
        written, claims = [], []
        for imei, device in batch.devices.items():
            row, values = rows[imei], device.values
            online, generation = values[1], values[5]
            same = row.incarnation == mine and row.generation == generation
            if not online:
                if row.incarnation not in (mine, None):
                    done.moved.append((imei, generation))
                elif row.online and row.generation <= generation:
                    # An older one: the connection has come and gone since the last commit.
                    written.append(values)
                    events += _alternating(device, row, mine)
                continue
            since = values[2] + clock_ahead
            values = (imei, True, since, *values[3:])
            if same and row.online:
                written.append(values)
                events += device.events  # of a registration that was not told at first
                claims.append((Claim(imei, generation, True), row))
                continue
            other = None
            if row.online and row.incarnation != mine and row.incarnation is not None:
                if alive is None:
                    alive = {incarnation for (incarnation,) in trips.rows(_ALIVE)}
                if row.incarnation in alive:
                    other = row.incarnation
            believed = self._time() + clock_ahead + BELIEVED_SECONDS
            if other is not None and since < (row.since or 0.0) < believed:
                done.claims.append(Claim(imei, generation, False, other=other))
                continue
            written.append(values)
            current = row.incarnation == mine and row.generation != UNSEEN
            claims.append((Claim(imei, generation, True, current, other), row))
            events += _alternating(device, row, mine)
        if written:
            write_presence(trips, written, self._member.id, mine)
            for values in written:
                held[values[0]] = (values[1], mine, values[5])
        self._adopt(trips, claims, done, clock_ahead)
        return held

    def _adopt(
        self,
        trips: Trips,
        claims: Iterable[tuple[Claim, There]],
        done: Committed,
        clock_ahead: float,
    ) -> None:
        """Read the open commands of devices that another node had before. Their rows are locked,
        so no other node can add commands."""
        adopted = {claim.imei: (claim, row) for claim, row in claims if not claim.current}
        done.claims += [claim for claim, _ in claims if claim.current]
        if not adopted:
            return
        imeis = array(sorted(adopted))
        trips.ask(_OPEN, imeis)
        trips.ask(_ADOPT, imeis, self._member.incarnation)
        # One that ended in the future was written by a node whose clock was wrong: it would take
        # answers to other starts until that time has come.
        now = self._time() + clock_ahead
        theirs = trips.ask(_THEIRS, imeis, now - self._late_window, now + AHEAD_SECONDS)
        ids = [f"{imei}:{kind}" for imei in adopted for kind in ("QD", "ST")]
        held = trips.ask(_HELD, array(ids))
        trips.go()
        commands: dict[str, list[dict[str, Any]]] = {}
        for values in theirs.rows:
            row = dict(zip(_COLUMNS, values, strict=True))
            commands.setdefault(row["imei"], []).append(row)
        results: dict[str, list[tuple[str, str]]] = {}
        for id, detail in held.rows:
            results.setdefault(id.partition(":")[0], []).append((id, detail))
        for imei, (claim, there) in adopted.items():
            done.claims.append(
                claim._replace(
                    commands=commands.get(imei, ()),
                    held=results.get(imei, ()),
                    running_until=there.running_until,
                )
            )


def found(locked: TripAnswer) -> dict[str, There]:
    """The rows in the answer to lock(), by IMEI."""
    return {row[0]: There._make(row) for row in locked.rows}


def held_of(rows: Mapping[str, There]) -> Held:
    """Who has these devices."""
    return {imei: (row.online, row.incarnation, row.generation) for imei, row in rows.items()}


def _concerned(batch: NodeBatch) -> set[str]:
    """The devices that are claimed or given up, or whose commands depend on their node."""
    return {*batch.devices, *(row.values[1] for row in batch.commands.values() if asks(row))}


def asks(row: Any) -> bool:
    """Whether the row of a command depends on the node of its device."""
    state = row.values[STATE]
    return (state == "sent" and row.generation is not None) or (state == "waiting" and row.fresh)


def _alternating(device: PresenceRow, row: There, mine: int) -> list[Values]:
    """The events of this node about a device, such that online and offline alternate among the
    events of all nodes. `row` is the row of the device."""
    found: list[Values] = []
    online, here = row.online, row.incarnation == mine
    for at, type, imei, command, detail in device.events:
        if type == "device.offline":
            if not (online and here):
                continue  # another node has told what became of that connection
            online = False
        else:
            more = json.loads(detail)
            if online and type == "device.online":
                type, more["displaced"] = "device.taken_over", row.address
            elif not online and type == "device.taken_over":
                type = "device.online"
                more.pop("displaced", None)
            detail = to_json(more)
            online = here = True
        found.append((at, type, imei, command, detail))
    imei, is_online, since, _, address, generation = device.values
    if is_online and not online and not here and row.incarnation is not None:
        # It was told when the connection began, and has been another node's since.
        detail = to_json({"address": address, "connection": generation})
        found.append((since, "device.online", imei, None, detail))
    return found
