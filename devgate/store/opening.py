"""Opens a database: for a reader, for a gateway that owns it, or to migrate it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from devgate.errors import SetupError
from devgate.store.engine import Database
from devgate.store.engines import make_engine
from devgate.store.migrating import prepare
from devgate.store.outage import cannot_be_opened


def open_database(url: str, *, upgrade: bool = False) -> Database:
    """Open the database. A new one gets its tables; an older one is migrated if `upgrade` is true.

    An SQLite file and its folder are made if missing. Raises SetupError, with
    a sentence that never holds a password.
    """
    return opened(url, partial(prepare, upgrade=upgrade))


def claim_database(url: str) -> Database:
    """open_database() for a gateway, which owns the database from here on.

    A copy that `devgate db move` has made is finished. The schema is migrated once no other
    gateway works with the database, and owning it is a row that was written. Raises SetupError;
    StoreAway if the server cannot be reached now.
    """

    def claim(database: Database) -> None:
        database.lock()
        if database.dialect == "postgresql":
            # Here, because a gateway with SQLite need not load this and psycopg.
            from devgate.store.moves.arrival import arrive

            arrive(database)
        prepare(database, upgrade=True)
        database.claim()

    return opened(url, claim)


def upgrade_database(url: str) -> None:
    """Migrate the database with no gateway running. Raises SetupError."""

    def migrate(database: Database) -> None:
        database.lock()
        prepare(database, upgrade=True)

    opened(url, migrate).close()


def reach(database: Database) -> None:
    """Connect once. opened() makes a SetupError of what prevents it."""
    with database.read():
        pass


def opened(url: str, prepare: Callable[[Database], object]) -> Database:
    """Open the database and run `prepare` on it; closed if that fails. Raises SetupError."""
    database = Database(make_engine(url))
    try:
        prepare(database)
    except SetupError:
        database.close()
        raise
    except (SQLAlchemyError, OSError) as err:
        database.close()
        raise cannot_be_opened(database.url_shown, err) from err
    return database
