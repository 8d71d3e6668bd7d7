"""How a database passes from one running gateway to the next, without a moment in which it is
nobody's: the lock goes from one to the other, and the epoch says whose the database is.

Everything here blocks.
"""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.resources import files
from time import time

from sqlalchemy import Connection, select, text, update

from devgate.errors import SetupError
from devgate.store.engine import Database
from devgate.store.files import Files
from devgate.store.migrating import migrating, version_of
from devgate.store.node_tables import owner
from devgate.store.opening import opened
from devgate.store.ownership import (
    CLAIMING,
    Fence,
    Owner,
    keep_alive,
    note_loss,
    this_process,
)
from devgate.store.schema import SCHEMA

LOCK_SECONDS = 20  # that PostgreSQL lets the next gateway wait for the lock
LOOK_SECONDS = 0.002  # between two looks whether it waits

_WAIT = text("SELECT pg_advisory_lock(hashtext(current_schema()), :number)")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtext(current_schema()), :number)")
_WAITS = text("SELECT 1 FROM pg_locks WHERE pid = :pid AND locktype = 'advisory' AND NOT granted")
_PID = text("SELECT pg_backend_pid()")

log = logging.getLogger("devgate.store")


def open_beside(url: str, former: Owner) -> Database:
    """Open the database of a running gateway for the program that follows it. It may be read;
    nothing is written before claim_from().

    Its schema is brought up to date first, if the gateway that runs may go on with that. It may
    also be the copy in PostgreSQL of the SQLite database that the gateway works with. Raises
    SetupError.
    """

    def prepare(database: Database) -> None:
        if database.dialect == "postgresql":
            # Here, because a gateway with SQLite need not load this and psycopg.
            from devgate.store.moves.arrival import arriving

            database.arrival = arriving(database)
        if database.arrival is None:
            _bring_up_to_date(database)
        else:
            database.arrival.must_be_of(former)
            database.arrival.catch_up()
        database.owner = Owner(former.epoch + 1, time(), former.database, former.lost)
        database.fence = Fence(database.owner, database.dialect)
        database.loss = former.lost
        if database.file is not None:
            database.files = Files(database.file)

    return opened(url, prepare)


def claim_from(database: Database, former: Owner) -> None:
    """Own the database, if `former` still owns it: then `former` commits nothing more. Raises
    SetupError if another gateway owns it by now."""
    current = database.owner
    assert current is not None, "open_beside has made it"
    o = owner.c
    if database.arrival is not None:
        database.arrival.end(current)
        database.arrival.close()
        database.arrival = None
        database.loss = former.lost
        return
    values = {"epoch": current.epoch, "taken_at": current.taken_at, "holder": this_process()}
    with database.write() as conn:
        is_formers = (o.epoch == former.epoch) & (o.taken_at == former.taken_at)
        if conn.execute(update(owner).where(is_formers).values(**values)).rowcount != 1:
            row = conn.execute(select(o.holder, o.epoch)).first()
            raise SetupError(
                "the database has another owner than the gateway that hands it over: "
                f"{row.holder if row else 'none'}",
                status="503",
            )
        lost = conn.scalar(select(o.lost))
        if former.lost and not lost:
            note_loss(conn, former.lost)
    database.loss = former.lost
    database.name_holder()


def wait_for_lock(conn: Connection) -> None:
    """PostgreSQL: take the lock, as the first that gets it once it is given up."""
    keep_alive(conn)
    conn.execute(text(f"SET lock_timeout = '{LOCK_SECONDS}s'"))
    conn.execute(_WAIT, {"number": CLAIMING})
    conn.execute(text("RESET lock_timeout"))
    conn.commit()


def session_of(conn: Connection) -> int:
    """PostgreSQL's number of this session."""
    found: int = conn.scalar(_PID) or 0
    conn.commit()
    return found


def waits(database: Database, session: int) -> bool:
    """PostgreSQL: whether that session waits for the lock."""
    with database.read() as conn:
        return conn.execute(_WAITS, {"pid": session}).first() is not None


def unlock(conn: Connection) -> None:
    """PostgreSQL: give the lock up, to whoever waits for it."""
    conn.execute(_UNLOCK, {"number": CLAIMING})
    conn.commit()


def _bring_up_to_date(database: Database) -> None:
    with database.read() as conn:
        found = version_of(conn)
    if found == SCHEMA:
        return
    with migrating(database) as (conn, found):
        if found == SCHEMA:
            return
        if found is None:
            raise SetupError(
                f"the database {database.url_shown} is empty, and the gateway works with another "
                "one: run `devgate db move` first, or set [store] url back",
                status="409",
            )
        if alone := [name for name in steps_after(found) if not runs_beside(name)]:
            raise SetupError(
                f"the database has schema {found}, and the step to {alone[0][1:5]} cannot be made "
                "while a gateway works with it: stop the gateway, and start the new version",
                status="409",
            )
        from devgate.store.migrations.run import upgrade

        upgrade(conn)
        log.warning(
            "schema of the database upgraded beside a gateway from=%s to=%s", found, SCHEMA
        )


def steps_after(schema: str) -> list[str]:
    """The modules of all migrations behind that schema, oldest first."""
    folder = files("devgate.store.migrations.versions")
    names = sorted(
        one.name.removesuffix(".py")
        for one in folder.iterdir()
        if one.name.startswith("v") and one.name.endswith(".py")
    )
    return [name for name in names if name[1:5] > schema]


def runs_beside(name: str) -> bool:
    """Whether the version before can go on working after this migration."""
    module = import_module(f"devgate.store.migrations.versions.{name}")
    return bool(getattr(module, "beside", False))
