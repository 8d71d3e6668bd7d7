"""Commands that are old enough to be deleted, and their keys."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, delete, select, text, update

from devgate.store.event_tables import BY_COMMAND, event
from devgate.store.history import TRIM_ROWS
from devgate.store.schema import command
from devgate.store.unresolved import INBOX

# With NULLs in it the condition of the inbox is neither true nor false.
_NOT_IN_INBOX = text(f"{INBOX} IS NOT TRUE")


def old_commands(conn: Connection, before: float, after: str) -> Sequence[str]:
    """The ids of some commands that ended before that, the oldest first, behind `after`. None of
    the inbox of unknown outcomes: those stay until a person has resolved them."""
    return _some(conn, and_(_older(before), _NOT_IN_INBOX), after)


def delete_commands(conn: Connection, ids: Sequence[str]) -> int:
    """Delete these commands. Returns how many."""
    # Events that are kept longer than their command are found by their device from now on.
    theirs = update(event).where(BY_COMMAND, event.c.command.in_(ids))
    conn.execute(theirs.values(by_device=True))
    count: int = conn.execute(delete(command).where(command.c.id.in_(ids), _NOT_IN_INBOX)).rowcount
    return count


def old_keys(conn: Connection, before: float, after: str) -> Sequence[str]:
    """The ids of some commands with a spent key that ended before that, as old_commands()."""
    return _some(conn, and_(_older(before), command.c.spent.is_not(None)), after)


def free_keys(conn: Connection, ids: Sequence[str]) -> int:
    """Give the keys of these commands free. Returns how many."""
    freed = update(command).where(command.c.id.in_(ids)).values(spent=None)
    count: int = conn.execute(freed).rowcount
    return count


def _older(before: float) -> ColumnElement[bool]:
    c = command.c
    return and_(c.state == "ended", c.accepted_at < before, c.ended_at < before)


def _some(conn: Connection, where: ColumnElement[bool], after: str) -> Sequence[str]:
    """The ids of some of these commands behind `after`, the oldest first."""
    query = select(command.c.id).where(command.c.id > after, where)
    return conn.scalars(query.order_by(command.c.id).limit(TRIM_ROWS)).all()
