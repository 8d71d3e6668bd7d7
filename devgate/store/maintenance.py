"""Statements on machines and whole sites that are in maintenance."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, and_, case, delete, func, insert, or_, select, tuple_, update

from devgate.errors import CallerError
from devgate.store import devices, schema
from devgate.store.maintenance_tables import maintenance as t

IMEI: Final = "imei"  # kinds
SITE: Final = "site"
MAX_ROWS = 100_000  # that are in maintenance at once: every gateway has them in memory
RETAIN_SECONDS = 86400.0  # how long a row stays after its end
PAGE_ROWS = 2000  # rows that are read at once


class MaintenanceEntry(NamedTuple):
    """A machine or a site that is, or was, in maintenance. Times are wall clock, in seconds."""

    kind: str
    name: str
    reason: str
    since: float
    until: float | None  # None: until somebody ends it
    source: str
    ended: bool = False

    def over(self, now: float) -> bool:
        """Whether it has ended by that time."""
        return self.ended or (self.until is not None and self.until <= now)


# The row behind which the next look begins: revision, kind, name. Each change moves a row to the
# end, and all changes of one transaction become visible at once: so a look misses none.
Place = tuple[int, str, str]
BEGIN: Place = (0, "", "")

_ENTRY = select(*(t.c[name] for name in MaintenanceEntry._fields))
_PLACE = tuple_(t.c.revision, t.c.kind, t.c.name)


def _next_revision(conn: Connection) -> int:
    """A higher number than all earlier changes have. Nobody else gets one until this transaction
    ends, so whoever sees this number also sees all lower ones."""
    devices.claim(conn)
    conn.execute(update(schema.revision).values(n=schema.revision.c.n + 1))
    return devices.revision(conn)


def changed(conn: Connection, after: Place) -> tuple[Sequence[MaintenanceEntry], Place]:
    """The rows that were written behind that place, at most PAGE_ROWS, and the place of the
    last."""
    rows = conn.execute(
        _ENTRY.add_columns(t.c.revision)
        .where(tuple_(*after) < _PLACE)
        .order_by(t.c.revision, t.c.kind, t.c.name)
        .limit(PAGE_ROWS)
    ).all()
    found = [MaintenanceEntry._make(row[:-1]) for row in rows]
    return found, ((rows[-1][-1], found[-1].kind, found[-1].name) if rows else after)


def begin(
    conn: Connection,
    kind: str,
    names: Sequence[str],
    reason: str,
    until: float | None,
    source: str,
    now: float,
) -> list[MaintenanceEntry]:
    """Put machines or sites in maintenance, all or none. Those in maintenance keep their `since`.

    Raises CallerError: 300 for a machine that is not known, 409 if that would be too many.
    """
    revision = _next_revision(conn)
    if kind == IMEI:
        known = {device.imei for device in devices.among(conn, names)}
        if missing := [name for name in names if name not in known]:
            raise devices.unknown(missing[0])
    there = _among(conn, kind, names)
    new = [name for name in names if name not in there]
    if new and (conn.scalar(select(func.count()).select_from(t)) or 0) + len(new) > MAX_ROWS:
        raise CallerError(
            "409",
            f"more than {MAX_ROWS} machines and sites would be in maintenance; nothing was "
            "changed; end some, or name a whole site",
        )
    found = []
    for name in names:
        old = there.get(name)
        since = old.since if old is not None and not old.over(now) else now
        found.append(MaintenanceEntry(kind, name, reason, since, until, source))
    if there:
        conn.execute(delete(t).where(t.c.kind == kind, t.c.name.in_(list(there))))
    conn.execute(insert(t), [{**entry._asdict(), "revision": revision} for entry in found])
    return found


def end(conn: Connection, kind: str, names: Sequence[str], now: float) -> list[MaintenanceEntry]:
    """End it for these. Returns those that were in maintenance, as they were."""
    revision = _next_revision(conn)
    found = [one for one in _among(conn, kind, names).values() if not one.over(now)]
    if found:
        _end(conn, kind, [one.name for one in found], now, revision)
    return found


def end_over(conn: Connection, now: float) -> list[MaintenanceEntry]:
    """End those whose time is over, at most PAGE_ROWS, and delete those that ended long ago.
    Returns the former."""
    over = _ENTRY.where(~t.c.ended, t.c.until <= now).limit(PAGE_ROWS)
    found = [MaintenanceEntry._make(row) for row in conn.execute(over)]
    if found:
        revision = _next_revision(conn)
        for kind in (IMEI, SITE):
            if names := [one.name for one in found if one.kind == kind]:
                _end(conn, kind, names, None, revision)
    conn.execute(delete(t).where(t.c.ended, t.c.until < now - RETAIN_SECONDS))
    return found


def _end(
    conn: Connection, kind: str, names: Sequence[str], now: float | None, revision: int
) -> None:
    """`now`: when it ended, if not at its planned end."""
    until: dict[str, Any] = {} if now is None else {"until": now}
    for some in devices.in_chunks(names):
        conn.execute(
            update(t)
            .where(t.c.kind == kind, t.c.name.in_(some))
            .values(ended=True, revision=revision, **until)
        )


def _among(conn: Connection, kind: str, names: Sequence[str]) -> dict[str, MaintenanceEntry]:
    found: dict[str, MaintenanceEntry] = {}
    for some in devices.in_chunks(names):
        for row in conn.execute(_ENTRY.where(t.c.kind == kind, t.c.name.in_(some))):
            found[row.name] = MaintenanceEntry._make(row)
    return found


def page(
    conn: Connection,
    now: float,
    after: tuple[str, str] | None,
    limit: int,
    sites: Collection[str] | None = None,
) -> Sequence[tuple[MaintenanceEntry, str | None, str | None]]:
    """What is in maintenance at that time, with the name and the site of machines: first sites,
    by name, then machines, by IMEI. `after` is a kind and a name. `sites`: only of these."""
    d = schema.device.c
    query = (
        _ENTRY.add_columns(d.name.label("called"), d.site)
        .outerjoin(schema.device, and_(t.c.kind == IMEI, d.imei == t.c.name))
        .where(~t.c.ended, or_(t.c.until.is_(None), t.c.until > now))
        .order_by(t.c.kind.desc(), t.c.name)
        .limit(limit)
    )
    if sites is not None:
        query = query.where(case((t.c.kind == SITE, t.c.name), else_=d.site).in_(sorted(sites)))
    if after is not None:
        kind, name = after
        query = query.where(or_(t.c.kind < kind, and_(t.c.kind == kind, t.c.name > name)))
    return [(MaintenanceEntry._make(row[:-2]), row[-2], row[-1]) for row in conn.execute(query)]
