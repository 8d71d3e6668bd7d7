"""Copies rows and later changes from SQLite to PostgreSQL, and compares the two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from sqlalchemy import Connection

from devgate.errors import SetupError
from devgate.store.moves import target
from devgate.store.moves.source import MoveSource
from devgate.store.moves.tables import BY_NAME, EVENTS, SINGLE, Key, MovedTable, Values, slices
from devgate.store.moves.target import Move

SLICE_ROWS = 2_000  # rows in a transaction of SQLite
STATEMENT_KEYS = 1_000  # keys in a statement of PostgreSQL
MAX_PAUSE_SECONDS = 0.05  # seconds behind a slice; as long as it took, up to that

# A table, rows that are done, and rows in all.
OnProgress = Callable[[str, int, int], None]


class Differs(SetupError):
    """Rows of PostgreSQL differ from those of SQLite."""

    def __init__(self, table: str, rows: int) -> None:
        super().__init__(
            f"{rows} rows of the table {table} are not what they were in SQLite: was something "
            "else written into the new database? Run `devgate db move` again, which begins anew"
        )


def copied(
    source: MoveSource,
    conn: Connection,
    table: MovedTable,
    on_progress: OnProgress,
    *,
    patient: bool,
) -> None:
    """Copy a table, slice by slice. Rows may change meanwhile: call catch_up() next. `patient`:
    pause between slices, for a gateway that uses the same disk and processor."""
    with source.reading():
        count = source.count(table)
    target.copy(conn, table, _rows(source, table, count, on_progress, patient))
    on_progress(table.name, count, count)


def _rows(
    source: MoveSource, table: MovedTable, count: int, on_progress: OnProgress, patient: bool
) -> Iterator[Values]:
    done = 0
    for some in _slices(source, table, patient):
        yield from some
        done += len(some)
        on_progress(table.name, done, max(count, done))


def _slices(source: MoveSource, table: MovedTable, patient: bool) -> Iterator[list[Values]]:
    after: Key | None = None
    while True:
        began = time.monotonic()
        with source.reading():
            some = source.slice(table, after, SLICE_ROWS)
        if not some:
            return
        yield some
        if len(some) < SLICE_ROWS:
            return  # and no race against what is added
        after = table.key_of(some[-1])
        if patient:
            time.sleep(min(MAX_PAUSE_SECONDS, time.monotonic() - began))


def catch_up(source: MoveSource, conn: Connection, move: Move) -> Move:
    """Bring the target up to date with the source, within a transaction of both. The caller has
    locked `move`. Returns how far the move is.

    Rows that were written are read again, and compared. Raises NotesMissing and Differs.
    """
    newest = source.newest(move.id)
    event = source.newest_event()
    if event > move.event:
        fresh = _events(source, move.event, event)
        target.copy(conn, EVENTS, fresh)
    for name in source.changed_tables(move.change, newest):
        _replace(source, conn, BY_NAME[name], move.change, newest)
    for table in SINGLE:
        rows = source.all(table)
        conn.exec_driver_sql(f"DELETE FROM {table.name}")
        target.copy(conn, table, rows)
        if sorted(map(repr, target.all_rows(conn, table))) != sorted(map(repr, rows)):
            raise Differs(table.name, len(rows))
    target.note(conn, change=newest, event=event)
    return move._replace(change=newest, event=event)


def _events(source: MoveSource, after: int, upto: int) -> Iterator[Values]:
    last: Key = (after,)
    while some := source.slice(EVENTS, last, SLICE_ROWS):
        yield from some
        last = EVENTS.key_of(some[-1])
        if last[0] >= upto:
            return


def _replace(
    source: MoveSource, conn: Connection, table: MovedTable, after: int, upto: int
) -> None:
    """Deletes all changed rows first: a unique value may have moved to another row."""
    for keys in slices(source.changed(table.name, after, upto), STATEMENT_KEYS):
        target.delete(conn, table, keys)
    target.copy(
        conn,
        table,
        (
            row
            for keys in slices(source.changed(table.name, after, upto), STATEMENT_KEYS)
            for row in source.rows(table, keys)
        ),
    )
    for keys in slices(source.changed(table.name, after, upto), STATEMENT_KEYS):
        ours = {table.key_of(row): row for row in source.rows(table, keys)}
        if (theirs := target.rows(conn, table, keys)) != ours:
            raise Differs(table.name, _different(ours, theirs))


def compared(
    source: MoveSource,
    conn: Connection,
    table: MovedTable,
    move: Move,
    on_progress: OnProgress,
    *,
    patient: bool,
) -> int:
    """Compare all rows of a table, as they were at the note `move.change`. `conn` must see one
    state of the target throughout. Returns the number of rows. Raises Differs and NotesMissing."""
    changed = _Changed(source, table, move)
    with source.reading():
        count, done = source.count(table), 0
    for some in _slices(source, table, patient):
        ours = {table.key_of(row): row for row in some}
        theirs = target.rows(conn, table, list(ours))
        if ours != theirs:
            _must_be_changed(changed, _keys_of_difference(ours, theirs))
        done += len(some)
        on_progress(table.name, done, max(count, done))
    for keys in slices(target.keys(conn, table), STATEMENT_KEYS):
        with source.reading():
            there = source.there(table, keys)
        on_progress(table.name, done, done)
        if gone := [key for key in keys if key not in there]:
            _must_be_changed(changed, gone)
    return done


class _Changed:
    """The keys that have changed since the target was last up to date."""

    def __init__(self, source: MoveSource, table: MovedTable, move: Move) -> None:
        self.table = table
        self._source = source
        self._move = move
        self._read = move.change
        self._keys: set[Key] = set()

    def others(self, keys: list[Key]) -> list[Key]:
        """Those of the keys that have not changed."""
        with self._source.reading():
            newest = self._source.newest(self._move.id)
            self._keys.update(self._source.changed(self.table.name, self._read, newest))
        self._read = newest
        unchanged = [key for key in keys if key not in self._keys]
        if self.table is EVENTS:  # later events have no notes
            unchanged = [key for key in unchanged if key[0] <= self._move.event]
        return unchanged


def _must_be_changed(changed: _Changed, keys: list[Key]) -> None:
    if others := changed.others(keys):
        raise Differs(changed.table.name, len(others))


def _keys_of_difference(ours: dict[Key, Values], theirs: dict[Key, Values]) -> list[Key]:
    return [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]


def _different(ours: dict[Key, Values], theirs: dict[Key, Values]) -> int:
    return len(_keys_of_difference(ours, theirs))
