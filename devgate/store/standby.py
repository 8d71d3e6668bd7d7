"""What a standby sees of a database that another gateway works with, until it takes that over.

A free lock does not prove that the other gateway has ended: a restart of the server ends its
session, too, and it comes back within seconds. It goes first, because it may still know rows that
the database lost in a failover. As long as the standby's own session lasts, the server was not
restarted, and the standby takes a free lock at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from devgate.errors import SetupError, StoreAway
from devgate.store.batch import EVENT_COLUMNS
from devgate.store.engine import Database
from devgate.store.engines import make_engine
from devgate.store.event_tables import event
from devgate.store.history import newest_event
from devgate.store.migrating import must_be_known, prepare, version_of
from devgate.store.node_tables import owner
from devgate.store.outage import cannot_be_opened
from devgate.store.ownership import LockHeld, holding_session, lock_session
from devgate.store.schema import SCHEMA

# Seconds that the other gateway has to come back after a restart of the server: without traffic
# it writes after 5 s (build.Storage.idle), and tries again at most 2 s later (store/writer.py).
RETURN_SECONDS = 10.0
CHECK_SECONDS = 60.0  # between two calls of `check` on one session


class LastLook(NamedTuple):
    """What the last look has seen of the database."""

    epoch: int
    newest: tuple[Any, ...] | None  # the newest event


class Standby:
    """Checks whether the database is free, and takes it over. It blocks; one thread uses it.

    While another gateway has it, `check` is called on each new session and once a minute: it may
    raise SetupError for what would prevent a takeover. `clock` gives seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        resume: bool,
        check: Callable[[Database], None] = lambda database: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`resume`: after a loss, starts are accepted without an operator's word."""
        self.holder = ""  # who has the database, in words
        self._url = url
        self._resume = resume
        self._check = check
        self._clock = clock
        self._database: Database | None = None
        self._check_at = -math.inf
        self._readable = False  # the tables exist, with a schema that is known here
        self._seen: LastLook | None = None
        self._found_held = False  # another gateway had the database at some time
        self._free_at: float | None = None  # until then the lock is left to the other gateway

    def look(self) -> Database | None:
        """The database, if this process owns it from now on; None: another gateway has it.

        Raises StoreAway if it cannot be read now, and SetupError for what waiting cannot correct.
        """
        fresh = self._database is None
        database = self._database = self._database or Database(make_engine(self._url))
        try:
            claimed = self._look(database, fresh)
        except SetupError:
            self.close()
            raise
        except (SQLAlchemyError, OSError) as err:
            self.close()
            trouble = cannot_be_opened(database.url_shown, err)
            # If only an existing session has failed, a new one may work.
            raise (trouble if fresh else StoreAway(str(trouble))) from err
        if claimed:
            self._database = None  # it belongs to the caller now
            return database
        return None

    def close(self) -> None:
        """End the session. The next look begins another one."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _look(self, database: Database, fresh: bool) -> bool:
        conn = database.session()
        if fresh:
            self._readable, self._check_at = False, -math.inf
            if self._found_held:
                self._free_at = self._clock() + RETURN_SECONDS
            with conn.begin():
                must_be_known(version_of(conn), database)
        try:
            if self._left_to_the_other(conn):
                return False
            lock_session(conn)
        except LockHeld as held:
            self.holder = str(held)
            self._found_held, self._free_at = True, None
            self._remember(conn)
            if self._readable and self._clock() >= self._check_at:
                self._check_at = self._clock() + CHECK_SECONDS
                self._check(database)
            return False
        prepare(database, upgrade=True)
        lost = self._lost(conn)
        above = self._seen.epoch if self._seen else 0
        database.claim(above=above, lost=None if self._resume else lost)
        return True

    def _left_to_the_other(self, conn: Connection) -> bool:
        """Whether the lock is free and must not be taken yet. Raises LockHeld if it is not
        free."""
        if self._free_at is None:
            return False
        with conn.begin():
            holder = holding_session(conn)
        if holder is not None:
            raise LockHeld(holder)
        self.holder = f"none, and it has {RETURN_SECONDS:g} s to come back after the database"
        return self._clock() < self._free_at

    def _remember(self, conn: Connection) -> None:
        """Note how far the database is, to find out at the takeover whether it lost rows."""
        with conn.begin():
            if not self._readable:
                self._readable = version_of(conn) == SCHEMA
            if self._readable:
                newest = conn.execute(
                    select(*EVENT_COLUMNS).order_by(event.c.n.desc()).limit(1)
                ).first()
                epoch = conn.scalar(select(owner.c.epoch)) or 0
                self._seen = LastLook(epoch, None if newest is None else tuple(newest))

    def _lost(self, conn: Connection) -> str | None:
        """What the database had at an earlier look and lacks now, as a sentence; None: nothing."""
        if self._seen is None or (newest := self._seen.newest) is None:
            return None
        number = newest[-1]
        with conn.begin():
            last = newest_event(conn)
            row = conn.execute(select(*EVENT_COLUMNS).where(event.c.n == number)).first()
        if last >= number and (row is None or tuple(row) == newest):
            return None  # the missing row was old enough to be deleted
        what = f"the events {last + 1} to {number}" if last < number else f"the event {number}"
        return (
            f"the database lost {what}, and their commands, before this gateway took it over; no "
            "start is accepted until `devgate db confirm-loss`"
        )
