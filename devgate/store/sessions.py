"""Statements on sessions: who is logged in, since when and from where."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from devgate.store.account_tables import account_revision
from devgate.store.account_tables import account_session as t

MAX_LISTED = 200  # sessions of one account that are found at once, the newest
TRIM_SESSIONS = 500  # that are deleted with each one that begins: more than can begin meanwhile


class StoredSession(NamedTuple):
    """A login session, in the columns of its table. Times are seconds since 1970."""

    id: str
    kind: str
    name: str
    began_at: float
    until: float
    address: str
    agent: str
    ended: bool = False


def begin(conn: Connection, session: StoredSession) -> None:
    """Add a session. Deletes some whose cookie is not valid any more."""
    old = select(t.c.id).where(t.c.until < session.began_at).limit(TRIM_SESSIONS)
    conn.execute(delete(t).where(t.c.id.in_(old)))
    conn.execute(insert(t).values(session._asdict()))


def of(
    conn: Connection, name: str | None, now: float, kind: str | None = None
) -> Sequence[StoredSession]:
    """Sessions that have not ended, the newest first: all, or those of that name or kind."""
    query = select(t).where(t.c.until >= now, ~t.c.ended)
    if name is not None:
        query = query.where(t.c.name == name)
    if kind is not None:
        query = query.where(t.c.kind == kind)
    rows = conn.execute(query.order_by(t.c.began_at.desc()).limit(MAX_LISTED))
    return [_of(row) for row in rows]


def get(conn: Connection, id: str) -> StoredSession | None:
    """The session of that id, if it is known."""
    row = conn.execute(select(t).where(t.c.id == id)).one_or_none()
    return None if row is None else _of(row)


def end(conn: Connection, ids: Collection[str]) -> None:
    """End these sessions. Every node sees that at its next look for changes."""
    conn.execute(update(t).where(t.c.id.in_(ids)).values(ended=True))
    conn.execute(update(account_revision).values(n=account_revision.c.n + 1))


def ended(conn: Connection, now: float) -> frozenset[str]:
    """The ids of ended sessions whose cookie has not expired yet."""
    return frozenset(conn.scalars(select(t.c.id).where(t.c.ended, t.c.until >= now)))


def _of(row: Any) -> StoredSession:
    return StoredSession(*row)._replace(ended=bool(row.ended))
