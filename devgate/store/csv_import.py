"""Devices from a CSV file: checked whole, then written in short transactions.

`rows` reads the file, `staging` keeps its rows on the side, and this part brings them into
the database. control.md section 3 has the rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from devgate.errors import CallerError, StoreError
from devgate.store import devices
from devgate.store.csv_plan import OnConflict, Plan
from devgate.store.csv_rows import CsvRow, read_rows
from devgate.store.engine import Database
from devgate.store.outage import busy, outage
from devgate.store.staging import Staging

Progress = Callable[[str, int, int], None]  # what is done, so much of it, of so much (0: unknown)

# Seconds that one transaction may keep SQLite's lock from a command. control.md allows about
# 50 ms, and a commit takes from time to time twice as long as the one before.
HOLD_SECONDS = 0.03
PAUSE_SECONDS = 0.005  # between two: a waiting writer looks every 2 ms whether the lock is free
FIRST_ROWS, MIN_ROWS, MAX_ROWS = 200, 20, 20_000  # in one transaction
CHECK_ROWS = 1000  # rows that are compared with the database at once
LOCK_SECONDS = 60.0  # to go on trying while other programs hold the lock


@dataclass(slots=True)
class Imported:
    """What an import has done, in devices."""

    added: int = 0
    updated: int = 0
    skipped: int = 0  # there already, and left as they were

    @property
    def rows(self) -> int:
        """How many rows of the file are done."""
        return self.added + self.updated + self.skipped

    def __str__(self) -> str:
        return f"{self.added} added, {self.updated} updated, {self.skipped} there already"


def import_csv(
    database: Database,
    file: BinaryIO,
    on_conflict: OnConflict = "fail",
    progress: Progress = lambda what, done, total: None,
) -> Imported:
    """Import a CSV file, which may be a pipe.

    "fail" imports nothing if a device of the file is there already and differs; equal ones do
    no harm, so that an import that was cut short can be run again. "update" changes what the
    file has columns for.

    Raises CallerError (400) with the line at fault: nothing of the file is imported then, unless
    another program changed its devices at the same time. Raises StoreError if the database
    stays locked or away: what was written stays, and the same import again completes it.
    """
    with Staging() as staging:
        size = size_of(file)
        columns, rows = read_rows(file)
        for count in staging.fill(rows):
            progress("reading", file.tell() if size else count, size)
        job = _Import(database, staging, columns, on_conflict, progress)
        try:
            job.check()
            job.write()
        except CallerError as err:
            if not job.imported.rows:
                raise
            raise CallerError(
                "400", f"{err}; another program changed it meanwhile, and {job.so_far()}"
            ) from None
        except DBAPIError as err:
            why = outage(err)
            if why is None:
                raise
            raise StoreError(f"{why}; {job.so_far()}") from err
        return job.imported


class _Import:
    """One file on its way into the database."""

    def __init__(
        self,
        database: Database,
        staging: Staging,
        columns: frozenset[str],
        on_conflict: OnConflict,
        progress: Progress,
    ) -> None:
        self.imported = Imported()
        self._database = database
        self._staging = staging
        self._columns = columns
        self._on_conflict = on_conflict
        self._progress = progress

    def so_far(self) -> str:
        done, total = self.imported.rows, self._staging.count
        return f"{done} of {total} rows are in: run the same import again to complete it"

    def check(self) -> None:
        """Raise CallerError for the first row that the database is against. Writes nothing."""
        with self._database.read() as conn:
            if not devices.page(conn, None, 1):
                return
            line = done = 0
            while rows := self._staging.after(line, CHECK_ROWS):
                self._plan(conn, rows)
                line, done = rows[-1].line, done + len(rows)
                self._progress("checking", done, self._staging.count)

    def write(self) -> None:
        line, size = 0, FIRST_ROWS
        while rows := self._staging.after(line, size):
            held = self._write_patiently(rows)
            line = rows[-1].line
            self._progress("writing", self.imported.rows, self._staging.count)
            # At most twice as many: one quick transaction says little about the next.
            size = min(
                MAX_ROWS, max(MIN_ROWS, int(size * min(2.0, HOLD_SECONDS / max(held, 1e-3))))
            )
            time.sleep(PAUSE_SECONDS)

    def _write_patiently(self, rows: list[CsvRow]) -> float:
        patience = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return self._write(rows)
            except DBAPIError as err:
                if not busy(err) or time.monotonic() > patience:
                    raise
            time.sleep(PAUSE_SECONDS)

    def _write(self, rows: list[CsvRow]) -> float:
        """Write some rows in a transaction of their own. Returns how long it held its lock."""
        with self._database.write() as conn:
            since = time.monotonic()
            devices.claim(conn)
            plan = self._plan(conn, rows)
            if any(row.id is None for row in plan.added):
                # Above all ids of the file, which later rows will bring.
                free = max(devices.next_id(conn), self._staging.highest_id + 1)
                plan.number(free)
            devices.insert_all(conn, (row.device(-1) for row in plan.added))
            devices.update_all(conn, plan.updated)
        self.imported.added += len(plan.added)
        self.imported.updated += len(plan.updated)
        self.imported.skipped += plan.skipped
        return time.monotonic() - since

    def _plan(self, conn: Connection, rows: list[CsvRow]) -> Plan:
        return Plan(conn, rows, self._columns, self._on_conflict)


def size_of(file: BinaryIO) -> int:
    """The size of a file, 0 if nobody knows: a pipe."""
    if not file.seekable():
        return 0
    at = file.tell()
    size = file.seek(0, 2)
    file.seek(at)
    return size
