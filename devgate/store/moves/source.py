"""The SQLite database that is moved, beside the gateway that works with it.

It is read in slices, each in a transaction of its own, because a long one keeps SQLite from
reusing its log. Writes take some milliseconds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devgate.errors import SetupError
from devgate.store.moves.notes import MAX_NOTES, drop, make, names, triggers
from devgate.store.moves.tables import BY_NAME, Key, MovedTable, Values, slices
from devgate.store.schema import SCHEMA, VERSION_TABLE

DELETE_NOTES = 5_000  # notes, in one transaction
STATEMENT_KEYS = 400  # in one statement
LOCK_SECONDS = 5.0  # to wait for the gateway's writer
_MOVED = "this database was moved to "


class NotesMissing(Exception):
    """Not every change was noted: the copy has to begin again."""


class MoveSource:
    """One connection to it. Everything blocks; one thread at a time uses it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._conn = sqlite3.connect(
            file, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        # The gateway looks after its log by itself.
        for pragma in ("synchronous=FULL", "wal_autocheckpoint=0", "temp_store=MEMORY"):
            self._conn.execute(f"PRAGMA {pragma}")

    def close(self) -> None:
        """End the connection."""
        self._conn.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One state of the database, throughout this block. No writer waits for it."""
        with self._transaction("BEGIN"):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction in which nobody else writes. It is on disk when the block has ended."""
        with self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._conn.execute(begin)
        try:
            yield
            self._conn.execute("COMMIT")
        except BaseException:
            if self._conn.in_transaction:
                self._conn.execute("ROLLBACK")
            raise

    # Notes of what changes

    def begin(self, move: str) -> None:
        """Note all changes from now on, for the move of this name."""
        with self.writing():
            make(self._conn, move)

    def end(self) -> None:
        """Stop noting changes."""
        with self.writing():
            drop(self._conn)

    def move(self) -> tuple[str, bool] | None:
        """The name of the move that notes changes here, and whether it was carried out."""
        if not self._has("move_state"):
            return None
        found = self._conn.execute("SELECT id, moved FROM move_state").fetchone()
        return None if found is None else (found[0], bool(found[1]))

    def newest(self, move: str) -> int:
        """The number of the newest note. Raises NotesMissing if one may be missing."""
        version = self._conn.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
        if version != (SCHEMA,):
            raise NotesMissing(f"the schema is {version and version[0]} by now")
        found = self.move()
        if found is None or found[0] != move:
            raise NotesMissing(
                "another move has begun, or a gateway has removed the notes of this one"
            )
        (count,) = self._conn.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'move\\_%' "
            "ESCAPE '\\'"
        ).fetchone()
        if count != len(triggers()):
            raise NotesMissing("a table was made anew")
        newest, upto = self._conn.execute(
            "SELECT max(n), (SELECT upto FROM move_state) FROM move_change"
        ).fetchone()
        if newest is None or newest >= upto:
            raise NotesMissing(f"more than {MAX_NOTES:,} changes were not read")
        number: int = newest
        return number

    def make_room(self) -> None:
        """Extend the bound of the notes: their reader is still running. Notes that were missed
        before stay missed."""
        with self.writing():
            self._conn.execute(
                "UPDATE move_state SET upto = (SELECT max(n) FROM move_change) + ? "
                "WHERE (SELECT max(n) FROM move_change) < upto",
                (MAX_NOTES,),
            )

    def was_read(self, newest: int) -> None:
        """Delete notes before this one."""
        while True:
            with self.writing():
                done = self._conn.execute(
                    "DELETE FROM move_change WHERE n IN "
                    "(SELECT n FROM move_change WHERE n < ? ORDER BY n LIMIT ?)",
                    (newest, DELETE_NOTES),
                )
            if done.rowcount < DELETE_NOTES:
                return

    def changed(self, table: str, after: int, upto: int) -> Iterator[Key]:
        """The keys of that table in these notes, each one once."""
        count = len(BY_NAME[table].key)
        yield from self._conn.execute(
            f"SELECT DISTINCT {', '.join(('k1', 'k2')[:count])} FROM move_change "
            "WHERE n > ? AND n <= ? AND tab = ?",
            (after, upto, table),
        )

    def changed_tables(self, after: int, upto: int) -> list[str]:
        """The names of tables in these notes."""
        found = self._conn.execute(
            "SELECT DISTINCT tab FROM move_change WHERE n > ? AND n <= ?", (after, upto)
        )
        return [name for (name,) in found]

    # Rows

    def count(self, table: MovedTable) -> int:
        """How many rows a table has."""
        number: int = self._conn.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
        return number

    def slice(self, table: MovedTable, after: Key | None, limit: int) -> list[Values]:
        """The next rows, in the order of their keys."""
        order = ", ".join(table.key)
        behind, values = "", ()
        if after is not None:
            behind, values = f" WHERE ({order}) > ({', '.join('?' * len(after))})", after
        query = f"SELECT {table.columns} FROM {table.name}{behind} ORDER BY {order} LIMIT ?"
        return list(table.made(self._conn.execute(query, (*values, limit))))

    def all(self, table: MovedTable) -> list[Values]:
        """All rows of a table that has few."""
        query = f"SELECT {table.columns} FROM {table.name}"
        return list(table.made(self._conn.execute(query)))

    def rows(self, table: MovedTable, keys: Sequence[Key]) -> Iterator[Values]:
        """The rows with these keys that exist."""
        yield from table.made(self._by_keys(table, table.columns, keys))

    def there(self, table: MovedTable, keys: Sequence[Key]) -> set[Key]:
        """Those of these keys that exist."""
        return set(self._by_keys(table, ", ".join(table.key), keys))

    def _by_keys(self, table: MovedTable, columns: str, keys: Sequence[Key]) -> Iterator[Values]:
        one = f"({', '.join('?' * len(table.key))})"
        for some in slices(keys, STATEMENT_KEYS):
            values: list[Any] = [value for key in some for value in key]
            yield from self._conn.execute(
                f"SELECT {columns} FROM {table.name} WHERE ({', '.join(table.key)}) IN "
                f"(VALUES {', '.join([one] * len(some))})",
                values,
            )

    def newest_event(self) -> int:
        """The number of the newest event; 0: there is none."""
        number: int = self._conn.execute("SELECT coalesce(max(n), 0) FROM event").fetchone()[0]
        return number

    # Whose it is

    def owner(self) -> tuple[int, float, str]:
        """Epoch and time of the newest takeover, and the database's own id."""
        row = self._conn.execute("SELECT epoch, taken_at, database FROM owner").fetchone()
        return int(row[0]), float(row[1]), str(row[2])

    def give_away(self, epoch: int, taken_at: float, holder: str, to: str) -> None:
        """Stop all commits of gateways here. One that is started with this database later accepts
        no start. Call it within writing()."""
        self._conn.execute(
            "UPDATE owner SET epoch = ?, taken_at = ?, holder = ?, lost = ?",
            (epoch, taken_at, holder, _MOVED + to),
        )
        for name in names(self._conn, "trigger"):
            self._conn.execute(f"DROP TRIGGER {name}")
        self._conn.execute("DELETE FROM move_change")
        self._conn.execute("UPDATE move_state SET moved = 1")

    def _has(self, table: str) -> bool:
        query = "SELECT 1 FROM sqlite_master WHERE name = ?"
        return self._conn.execute(query, (table,)).fetchone() is not None


def path_of(url: str) -> Path:
    """The absolute path of an SQLite URL's file. Raises SetupError if it does not exist."""
    file = Path(url.removeprefix("sqlite:///")).resolve()
    if not file.exists():
        raise SetupError(f"[store] url: the file {file} is not there", status="400")
    return file
