"""Properties of a copy of a database: its last event, its secrets, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from devgate.errors import SetupError
from devgate.store import quarantine
from devgate.store.engine import Database
from devgate.store.event_tables import event
from devgate.store.health import missing_indexes
from devgate.store.migrating import prepare, version_of
from devgate.store.node_tables import owner
from devgate.store.opening import opened
from devgate.store.outage import in_words
from devgate.store.quarantine import QuarantineState
from devgate.store.schema import SCHEMA, command, device
from devgate.store.seal import Seal, SealError
from devgate.store.webhook_tables import webhook

MAX_SHOWN = 5  # gaps, and lines of SQLite's check, that are named


class Facts(NamedTuple):
    """How far a database goes. Times are seconds since 1970."""

    schema: str
    database: str  # its own id
    devices: int
    events: int
    newest_event: int  # its number; 0: there is none
    newest_at: float | None  # when that was
    newest_command: str | None  # the id of the newest order
    sealed: int  # secrets of webhooks that only the key file opens


def facts(conn: Connection, shown: str) -> Facts | None:
    """How far this database goes; None: it has no tables of devgate. `shown` names it in errors.

    Works with older schemas, too. Raises SetupError for a newer one.
    """
    version = version_of(conn)
    if version is None:
        return None
    if version > SCHEMA:
        raise SetupError(
            f"{shown} has schema {version}, and this devgate knows schemas up to {SCHEMA}; use "
            "the newer devgate that made it"
        )
    newest = conn.execute(
        select(event.c.n, event.c.at).order_by(event.c.n.desc()).limit(1)
    ).first()
    return Facts(
        schema=version,
        database=conn.scalar(select(owner.c.database)) or "",
        devices=conn.scalar(select(func.count()).select_from(device)) or 0,
        events=conn.scalar(select(func.count()).select_from(event)) or 0,
        newest_event=0 if newest is None else newest.n,
        newest_at=None if newest is None else newest.at,
        newest_command=conn.scalar(select(command.c.id).order_by(command.c.id.desc()).limit(1)),
        sealed=sum(Seal.is_closed(secret) for secret in conn.scalars(select(webhook.c.secret))),
    )


def faults(conn: Connection) -> Iterator[str]:
    """What is wrong with the rows, in sentences. Reads the whole file of SQLite."""
    if conn.dialect.name == "sqlite":
        said = [row[0] for row in conn.execute(text("PRAGMA integrity_check(20)"))]
        yield from (f"SQLite says that the file is damaged: {line}" for line in _first(said))
    if version_of(conn) == SCHEMA:
        for name in missing_indexes(conn):
            yield f"the index {name} is missing"
    first, last, count = conn.execute(
        select(func.min(event.c.n), func.max(event.c.n), func.count())
    ).one()
    if count and last - first + 1 != count:
        yield f"{last - first + 1 - count} events are missing between {first} and {last}"


def unreadable(conn: Connection, seal: Seal) -> Iterator[str]:
    """A sentence for each webhook whose secret the key file does not open."""
    for name, secret in conn.execute(select(webhook.c.name, webhook.c.secret)):
        try:
            seal.open(secret)
        except SealError as err:
            yield f"the secret of the webhook {name} cannot be read: {err}"


def _first(said: list[str]) -> list[str]:
    bad = [line for line in said if line != "ok"]
    return bad[:MAX_SHOWN] + (
        [f"... and {len(bad) - MAX_SHOWN} more"] if len(bad) > MAX_SHOWN else []
    )


def begin_quarantine(url: str, reason: str = "") -> int:
    """quarantine.begin() for a database that no gateway works with; migrates its schema. Raises
    SetupError if a gateway works with it, or if it cannot be used."""
    count = 0

    def work(database: Database) -> None:
        nonlocal count
        database.lock()
        prepare(database, upgrade=True)
        with database.write() as conn:
            count = quarantine.begin(conn, reason or quarantine.REASON)

    opened(url, work).close()
    return count


def lift_quarantine(url: str) -> QuarantineState:
    """quarantine.lift() for a database that no gateway works with. Raises SetupError if a gateway
    works with it, or if it cannot be used, and CallerError (409) if there is no quarantine."""
    database = opened(url, lambda database: database.lock())
    try:
        with in_words(), database.write() as conn:
            return quarantine.lift(conn)
    finally:
        database.close()


def is_damage(err: BaseException) -> bool:
    """Whether SQLite reports that a file is damaged or not a database."""
    words = str(getattr(err, "orig", None) or err)
    return isinstance(err, DBAPIError) and ("malformed" in words or "not a database" in words)
