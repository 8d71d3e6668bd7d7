"""The progress of counting for reports: it survives a restart."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from devgate.store import usage_sums
from devgate.store.event_tables import event
from devgate.store.numbering import time_of
from devgate.store.schema import command
from devgate.store.usage_tables import usage_day, usage_state, usage_work

ZONE, SITE = "zone:", "site:"  # what names of work begin with
SITES, ALL = "sites", "all"
MAX_FIRST_EVENTS = 1000  # events that are searched for the first commands
# Each name has at most one row: ordering the same work again restarts it.


class Work(NamedTuple):
    """A row of what is to be counted."""

    name: str
    day: int
    imei: str


class State(NamedTuple):
    """Up to which event changes of commands have been counted."""

    position: int  # the number of an event
    at: float  # its time
    zone: str  # of sites without their own


def state(conn: Connection) -> State | None:
    """The stored state; None: nothing was ever counted."""
    row = conn.execute(
        select(usage_state.c.position, usage_state.c.at, usage_state.c.zone)
    ).first()
    return None if row is None else State(*row)


def begin(conn: Connection, found: State) -> None:
    """Begin to count: once in a database's life."""
    if state(conn) is None:
        conn.execute(insert(usage_state).values(found._asdict()))


def counted_up_to(conn: Connection, position: int, at: float) -> None:
    """Store that changes up to this event have been counted."""
    conn.execute(
        update(usage_state)
        .where(usage_state.c.position < position)
        .values(position=position, at=at)
    )


def restart_at(conn: Connection, position: int, at: float) -> None:
    """Continue behind this event, also if it is an earlier one: the database is another copy."""
    conn.execute(update(usage_state).values(position=position, at=at))


def set_zone(conn: Connection, zone: str) -> None:
    """Set the zone of sites without their own."""
    conn.execute(update(usage_state).values(zone=zone))


def works(conn: Connection) -> list[Work]:
    """All that is to be counted, by name."""
    columns = usage_work.c.name, usage_work.c.day, usage_work.c.imei
    return [Work(*row) for row in conn.execute(select(*columns).order_by(usage_work.c.name))]


def keep(conn: Connection, work: Work) -> None:
    """Store new work, or its progress."""
    values = {"day": work.day, "imei": work.imei}
    change = update(usage_work).where(usage_work.c.name == work.name).values(values)
    if not conn.execute(change).rowcount:
        conn.execute(insert(usage_work).values(name=work.name, **values))


def advance(conn: Connection, before: Work, after: Work | None) -> None:
    """Store the progress from `before` to `after`, or the end of the work (None). Does nothing if
    the work was restarted, or another node has done this step."""
    here = (
        (usage_work.c.name == before.name)
        & (usage_work.c.day == before.day)
        & (usage_work.c.imei == before.imei)
    )
    if after is None:
        conn.execute(delete(usage_work).where(here))
    else:
        conn.execute(update(usage_work).where(here).values(day=after.day, imei=after.imei))


def drop(conn: Connection, name: str) -> None:
    """Delete this work."""
    conn.execute(delete(usage_work).where(usage_work.c.name == name))


def queue_site(conn: Connection, site: str, day: int) -> None:
    """Count the days of a site again, from this one back."""
    keep(conn, Work(SITE + site, day, ""))


def oldest_number(conn: Connection) -> int:
    """The number of the oldest event that is kept; 0 if there is none."""
    return conn.scalar(select(func.min(event.c.n))) or 0


def oldest_command(conn: Connection) -> float | None:
    """When the oldest command that is kept was taken; None if there is none."""
    id = conn.scalar(select(func.min(command.c.id)))
    return None if id is None else time_of(id)


def has_all_commands(conn: Connection) -> bool:
    """Whether no command was ever deleted. That is known only if all events are kept; then the
    first commands in them must exist."""
    first = (
        select(event.c.n, event.c.command).order_by(event.c.n).limit(MAX_FIRST_EVENTS).subquery()
    )
    number, id = conn.execute(select(func.min(first.c.n), func.min(first.c.command))).one()
    oldest = conn.scalar(select(func.min(command.c.id)))
    return number == 1 and id is not None and oldest is not None and bool(oldest <= id)


def forget(conn: Connection, before: int, limit: int) -> int:
    """Delete some rows of days before that one. Returns how many."""
    some = select(usage_day.c.day, usage_day.c.imei).where(usage_day.c.day < before)
    found = conn.execute(some.order_by(usage_day.c.day, usage_day.c.imei).limit(limit)).all()
    if not found:
        return 0
    last = found[-1]
    usage_sums.hold(conn)
    rows = delete(usage_day).where(
        (usage_day.c.day < last.day)
        | ((usage_day.c.day == last.day) & (usage_day.c.imei <= last.imei))
    )
    count: int = conn.execute(rows).rowcount
    return count
