"""A quarantine: a database that may lack the newest orders lets no machine be started.

A copy that was restored does not know which keys were used after it was made. A payment provider
that repeats its call would start the machine once more. So every start is refused, but for the
keys that the shop knows to be untried, until an operator lifts the quarantine.
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

MAX_KEYS = 100_000  # they are in memory, at most 20 MB of it
PAGE = 500  # rows of one statement
REASON = "a copy was restored, and orders after it are unknown"


class Held(NamedTuple):
    """Since when starts are refused, and why. Times are seconds since 1970."""

    since: float
    copied_at: float | None  # what came later is unknown
    reason: str


def read(conn: Connection) -> Held | None:
    """None: there is no quarantine."""
    row = conn.execute(select(quarantine)).first()
    return None if row is None else Held(*row)


def untried(conn: Connection) -> frozenset[str]:
    """The keys that may be started all the same."""
    return frozenset(conn.scalars(select(untried_key.c.key)))


def begin(conn: Connection, reason: str, copied_at: float | None = None) -> int:
    """From now on starts are refused. For a database that no gateway works with.

    Starts that wait in it for their device may have been sent after the copy was made: they
    count as sent from now on, so that none is sent twice. The next gateway ends them as 408, for
    a person to resolve. Returns how many these are. What was listed as untried before is not any
    more.
    """
    conn.execute(delete(quarantine))
    conn.execute(delete(untried_key))
    held = {"since": time(), "copied_at": copied_at, "reason": reason}
    conn.execute(insert(quarantine).values(held))
    return _sent_perhaps(conn)


def allow(conn: Connection, keys: Iterable[str]) -> int:
    """These may be started, too. Returns how many keys that are now.

    Raises CallerError: 409 if there is no quarantine, 400 for more than MAX_KEYS.
    """
    must_be_held(conn)
    keys = list(dict.fromkeys(keys))
    for start in range(0, len(keys), PAGE):
        some = keys[start : start + PAGE]
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


def lift(conn: Connection) -> Held:
    """Starts are accepted again. Returns what was lifted. Raises CallerError (409) if there is no
    quarantine."""
    held = must_be_held(conn)
    conn.execute(delete(quarantine))
    conn.execute(delete(untried_key))
    return held


def must_be_held(conn: Connection) -> Held:
    """The quarantine. Raises CallerError (409) if there is none."""
    if (held := read(conn)) is None:
        raise CallerError("409", "there is no quarantine; nothing is changed")
    return held


def _sent_perhaps(conn: Connection) -> int:
    """Starts that wait become `sent`, each with its event. Returns how many."""
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
    told = [
        (at, "command.sent", row.imei, row.id, _detail(row), n)
        for n, row in enumerate(rows, number + 1)
    ]
    conn.execute(update(command).where(waiting).values(state="sent", sent_at=at, spent=c.key))
    by_device = found_by_device(told, {row.id for row in rows})
    columns = ("at", "type", "imei", "command", "detail", "n")
    events = [
        {**dict(zip(columns, values, strict=True)), "by_device": by}
        for values, by in zip(told, by_device, strict=True)
    ]
    for start in range(0, len(events), PAGE):
        conn.execute(insert(event), events[start : start + PAGE])
    return len(rows)


def _detail(row: Any) -> str:
    """What the event of a command tells, as `gateway.details` has it."""
    return to_json({
        "id": row.number, "name": row.name, "site": row.site, "kind": "start", "long": row.long,
        "key": row.key, "source": row.source, "outcome": "pending", "late": False,
    })  # fmt: skip
