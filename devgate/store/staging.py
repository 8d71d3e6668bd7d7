"""A file's checked rows, staged in a file until all of them are known to be good."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Self

from devgate.errors import StoreError
from devgate.store.csv_rows import CsvRow, OnFault, at, refuse

BATCH_ROWS = 2000  # rows: what is in memory at once
# The database has no name: SQLite keeps it in a deleted file in the temporary folder.
SET_UP = """
PRAGMA journal_mode = MEMORY;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16000;
CREATE TABLE row (
    line INTEGER PRIMARY KEY, imei TEXT NOT NULL UNIQUE, id INTEGER UNIQUE,
    name TEXT, site TEXT, phone TEXT, qr TEXT, unit TEXT, ack_timeout REAL, enabled INTEGER,
    iccid TEXT, sim_phone TEXT, model TEXT, firmware TEXT, serial TEXT, installed_on TEXT,
    note TEXT, tags TEXT, latitude REAL, longitude REAL
);
"""
INSERT = f"INSERT INTO row VALUES ({','.join('?' * len(CsvRow._fields))})"
ENABLED = CsvRow._fields.index("enabled")


class Staging:
    """Rows in the order of their lines, no IMEI and no id among them twice. In bounded memory."""

    def __init__(self) -> None:
        self.count = 0
        self.highest_id = 0
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(SET_UP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    def fill(self, rows: Iterable[CsvRow], fault: OnFault = refuse) -> Iterator[int]:
        """Store all rows; yields their number from time to time.

        `fault` is called for each whose IMEI or id was there before. Raises StoreError if the
        temporary folder is full.
        """
        remaining = iter(rows)
        while batch := list(islice(remaining, BATCH_ROWS)):
            try:
                self._db.execute("BEGIN")
                try:
                    self._db.executemany(INSERT, batch)
                except sqlite3.IntegrityError:
                    self._db.execute("ROLLBACK")
                    self._db.execute("BEGIN")
                    batch = [row for row in batch if self._add(row, fault)]
                self._db.execute("COMMIT")
            except sqlite3.OperationalError as err:
                raise StoreError(
                    f"the temporary folder cannot take the file's rows: {err}; make room, "
                    "or set TMPDIR to a folder that has it"
                ) from None
            self.count += len(batch)
            self.highest_id = max([self.highest_id, *(row.id or 0 for row in batch)])
            yield self.count

    def _add(self, row: CsvRow, fault: OnFault) -> bool:
        """Store one row, if its IMEI and its id are not stored already."""
        for name, value in (("imei", row.imei), ("id", row.id)):
            found = self._db.execute(f"SELECT line FROM row WHERE {name} = ?", (value,))
            if (first := found.fetchone()) is not None:
                fault(at(row.line, f"{name}: {value} is on line {first[0]} already"))
                return False
        self._db.execute(INSERT, row)
        return True

    def after(self, line: int, limit: int) -> list[CsvRow]:
        """At most `limit` rows behind this line."""
        found = self._db.execute(
            "SELECT * FROM row WHERE line > ? ORDER BY line LIMIT ?", (line, limit)
        )
        return [
            CsvRow._make((*row[:ENABLED], bool(row[ENABLED]), *row[ENABLED + 1 :]))
            for row in found
        ]
