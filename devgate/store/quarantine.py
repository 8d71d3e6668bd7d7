"""A quarantine: no machine is started from a database that may lack the newest orders.

A restored copy does not have the keys that were used after it was made. If a payment provider
repeated its call, the machine would start again. So every start is refused, except for keys that
the shop lists as untried, until an operator lifts the quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import time
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from devgate.errors import CallerError
from devgate.model import to_json
from devgate.store import history
from devgate.store.batch import found_by_device
from devgate.store.event_tables import event
from devgate.store.quarantine_tables import quarantine, untried_key
from devgate.store.schema import command, device

MAX_KEYS = 100_000  # they take at most 20 MB of memory
STATEMENT_ROWS = 500  # rows of one statement
REASON = "a copy was restored, and orders after it are unknown"


class QuarantineState(NamedTuple):
    """Since when starts are refused, and why. Times are seconds since 1970."""

    since: float
    copied_at: float | None  # when the copy was made; later orders are unknown
    reason: str


def read(conn: Connection) -> QuarantineState | None:
    """The quarantine; None: there is none."""
    row = conn.execute(select(quarantine)).first()
    return None if row is None else QuarantineState(*row)


def untried(conn: Connection) -> frozenset[str]:
    """The keys whose starts are accepted during the quarantine."""
    return frozenset(conn.scalars(select(untried_key.c.key)))


def begin(conn: Connection, reason: str, copied_at: float | None = None) -> int:
    """Refuse starts from now on. For a database that no gateway works with.

    Starts in it that wait for their device may have been sent after the copy was made. They count
    as sent from now on, so that none is sent twice: the next gateway ends them as 408, for a
    person to resolve. Returns how many these are. Earlier lists of untried keys are deleted.
    """
    conn.execute(delete(quarantine))
    conn.execute(delete(untried_key))
    held = {"since": time(), "copied_at": copied_at, "reason": reason}
    conn.execute(insert(quarantine).values(held))
    return _sent_perhaps(conn)


def allow(conn: Connection, keys: Iterable[str]) -> int:
    """Accept starts with these keys, too. Returns how many keys are listed now.

    Raises CallerError: 409 if there is no quarantine, 400 for more than MAX_KEYS.
    """
    must_be_held(conn)
    keys = list(dict.fromkeys(keys))
    for start in range(0, len(keys), STATEMENT_ROWS):
        some = keys[start : start + STATEMENT_ROWS]
        there = set(conn.scalars(select(untried_key.c.key).where(untried_key.c.key.in_(some))))
        if fresh := [{"key": key} for key in some if key not in there]:
            conn.execute(insert(untried_key), fresh)
    count = conn.scalar(select(func.count()).select_from(untried_key)) or 0
    if count > MAX_KEYS:
        raise CallerError(
            "400",
            f"keys: at most {MAX_KEYS} keys can be listed as untried; list those of open orders "
            "alone, or lift the quarantine",
        )
    return count


def lift(conn: Connection) -> QuarantineState:
    """End the quarantine: starts are accepted again. Returns it. Raises CallerError (409) if there
    is none."""
    held = must_be_held(conn)
    conn.execute(delete(quarantine))
    conn.execute(delete(untried_key))
    return held


def must_be_held(conn: Connection) -> QuarantineState:
    """The quarantine. Raises CallerError (409) if there is none."""
    if (held := read(conn)) is None:
        raise CallerError("409", "there is no quarantine; nothing is changed")
    return held


def _sent_perhaps(conn: Connection) -> int:
    """Set waiting starts to `sent`, each with its event. Returns how many."""
    number, newest = history.newest(conn)
    at = max(newest, time())
    waiting = and_(command.c.state == "waiting", command.c.type == "start")
    c, d = command.c, device.c
    rows = conn.execute(
        select(c.id, c.imei, c.key, c.long, c.source, d.id.label("number"), d.name, d.site)
        .select_from(command.outerjoin(device, c.imei == d.imei))
        .where(waiting)
        .order_by(c.id)
    ).all()
    sent = [
        (at, "command.sent", row.imei, row.id, _detail(row), n)
        for n, row in enumerate(rows, number + 1)
    ]
    conn.execute(update(command).where(waiting).values(state="sent", sent_at=at, spent=c.key))
    by_device = found_by_device(sent, {row.id for row in rows})
    columns = ("at", "type", "imei", "command", "detail", "n")
    events = [
        {**dict(zip(columns, values, strict=True)), "by_device": by}
        for values, by in zip(sent, by_device, strict=True)
    ]
    for start in range(0, len(events), STATEMENT_ROWS):
        conn.execute(insert(event), events[start : start + STATEMENT_ROWS])
    return len(rows)


def _detail(row: Any) -> str:
    """The detail of a command's event, in the form of `gateway.details`."""
    return to_json({
        "id": row.number, "name": row.name, "site": row.site, "kind": "start", "long": row.long,
        "key": row.key, "source": row.source, "outcome": "pending", "late": False,
    })  # fmt: skip
