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

    Completes a copy of `devgate db move`. The schema is migrated once no other gateway works with
    the database and the row `owner` names this one. Raises SetupError; StoreAway if the server
    cannot be reached now.
    """

    def claim(database: Database) -> None:
        database.lock()
        if database.dialect == "postgresql":
            # Imported here: a gateway with SQLite does not need this and psycopg.
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
    """Connect once. In opened() an error of it becomes a SetupError."""
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
