"""Which devices are a node's: claimed under the lock of their rows, with what is under way."""

from __future__ import annotations

import json
from collections.abc import Iterable
from time import time
from typing import Any

from sqlalchemy import Connection, text

from devgate.store.node_commits import Claim, Committed
from devgate.store.node_rows import STATE, NodeBatch, PresenceRow, write_presence
from devgate.store.nodes import Member
from devgate.store.numbering import Values

# The generation of a device's connection, in a row that was lost and written again: what is under
# way for the device is to be looked at, as if another node had had it.
UNSEEN = -1
BELIEVED_SECONDS = 30.0  # a registration so far in the future is one of a wrong clock

_LOCKED = text(
    "SELECT imei, online, since, address, running_until, generation, node, incarnation "
    "FROM presence WHERE imei = ANY(:imeis) ORDER BY imei FOR NO KEY UPDATE"
)
_MISSING = text(
    "INSERT INTO presence (imei) SELECT unnest(CAST(:imeis AS text[])) ON CONFLICT DO NOTHING"
)
_ALIVE = text("SELECT incarnation FROM node WHERE alive")
_OPEN = text(
    "SELECT id FROM command WHERE state <> 'ended' AND imei = ANY(:imeis) ORDER BY id "
    "FOR NO KEY UPDATE"
)
_TAKE = text(
    "UPDATE command SET incarnation = :incarnation WHERE state <> 'ended' AND imei = ANY(:imeis)"
)
_THEIRS = text(
    "SELECT * FROM command WHERE imei = ANY(:imeis) AND state <> 'ended' UNION ALL "
    "SELECT * FROM command WHERE imei = ANY(:imeis) AND status = '408' AND ended_at >= :since"
)
_HELD = text("SELECT id, detail FROM open_results WHERE id = ANY(:ids) AND detail <> ''")


class Devices:
    """The rows of `presence`, as one node writes them."""

    def __init__(self, member: Member, late_window: float) -> None:
        """`late_window`: seconds for which a 408 may still be settled by a result."""
        self._member = member
        self._late_window = late_window

    def write(
        self,
        conn: Connection,
        batch: NodeBatch,
        events: list[Values],
        done: Committed,
        clock_ahead: float,
    ) -> dict[str, tuple[bool, int | None, int]]:
        """Lock the devices that the batch is about, and claim those that have registered.

        `clock_ahead`: seconds by which the database's clock is ahead of this one's. Adds what
        becomes of the claims to `done`, and the events that are to be told.
        Returns by IMEI: whether it is online, the incarnation that has it, the generation.
        """
        asking = {row.values[1] for row in batch.commands.values() if asks(row)}
        imeis = sorted({*batch.devices, *asking})
        if not imeis:
            return {}
        rows = {row.imei: row for row in conn.execute(_LOCKED, {"imeis": imeis})}
        if missing := [imei for imei in imeis if imei not in rows]:
            # A row that is not there cannot be locked, and two nodes would both be the first.
            conn.execute(_MISSING, {"imeis": missing})
            rows |= {row.imei: row for row in conn.execute(_LOCKED, {"imeis": missing})}
        mine = self._member.incarnation
        held = {imei: (row.online, row.incarnation, row.generation) for imei, row in rows.items()}
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
                    alive = set(conn.scalars(_ALIVE))
                if row.incarnation in alive:
                    other = row.incarnation
            believed = time() + clock_ahead + BELIEVED_SECONDS
            if other is not None and since < (row.since or 0.0) < believed:
                done.claims.append(Claim(imei, generation, False, other=other))
                continue
            written.append(values)
            current = row.incarnation == mine and row.generation != UNSEEN
            claims.append((Claim(imei, generation, True, current, other), row))
            events += _alternating(device, row, mine)
        if written:
            write_presence(conn, written, self._member.id, mine)
            for values in written:
                held[values[0]] = (values[1], mine, values[5])
        self._adopt(conn, claims, done, clock_ahead)
        return held

    def _adopt(
        self,
        conn: Connection,
        claims: Iterable[tuple[Claim, Any]],
        done: Committed,
        clock_ahead: float,
    ) -> None:
        """Bring what is under way for devices that another node had before: with their rows
        locked no other node can add to it."""
        adopted = {claim.imei: (claim, row) for claim, row in claims if not claim.current}
        done.claims += [claim for claim, _ in claims if claim.current]
        if not adopted:
            return
        imeis = sorted(adopted)
        conn.execute(_OPEN, {"imeis": imeis})
        conn.execute(_TAKE, {"imeis": imeis, "incarnation": self._member.incarnation})
        since = time() + clock_ahead - self._late_window
        commands: dict[str, list[dict[str, Any]]] = {}
        for found in conn.execute(_THEIRS, {"imeis": imeis, "since": since}):
            commands.setdefault(found.imei, []).append(found._asdict())
        ids = [f"{imei}:{kind}" for imei in imeis for kind in ("QD", "ST")]
        results: dict[str, list[tuple[str, str]]] = {}
        for id, detail in conn.execute(_HELD, {"ids": ids}):
            results.setdefault(id.partition(":")[0], []).append((id, detail))
        for imei, (claim, row) in adopted.items():
            done.claims.append(
                claim._replace(
                    commands=commands.get(imei, ()),
                    held=results.get(imei, ()),
                    running_until=row.running_until,
                )
            )


def asks(row: Any) -> bool:
    """Whether a command's row depends on where its device is."""
    state = row.values[STATE]
    return (state == "sent" and row.generation is not None) or (state == "waiting" and row.fresh)


def _alternating(device: PresenceRow, row: Any, mine: int) -> list[Values]:
    """The events of this node about a device, so that online and offline alternate among those of
    all nodes. `row` is what the database says of the device."""
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
            detail = _compact(more)
            online = here = True
        found.append((at, type, imei, command, detail))
    imei, is_online, since, _, address, generation = device.values
    if is_online and not online and not here and row.incarnation is not None:
        # It was told when the connection began, and has been another node's since.
        detail = _compact({"address": address, "connection": generation})
        found.append((since, "device.online", imei, None, detail))
    return found


def _compact(detail: dict[str, Any]) -> str:
    return json.dumps(detail, ensure_ascii=False, separators=(",", ":"))
