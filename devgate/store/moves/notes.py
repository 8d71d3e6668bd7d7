"""Notes of changes in the SQLite database that is moved: triggers store the keys of changed rows.

They see the writes of every program. Both tables and all triggers have names with `move_`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from functools import cache
from pathlib import Path

from devgate.store.modes import lock_file
from devgate.store.moves.tables import KEYED, MovedTable

# The maximum of keys that are noted and not read. So the notes of a move that was killed are
# bounded; the gateway removes them at its next start.
MAX_NOTES = 1_000_000

_ROOM = "(SELECT max(n) FROM move_change) < (SELECT upto FROM move_state)"


def make(conn: sqlite3.Connection, move: str) -> None:
    """Note all changes from now on, for the move of this name. Within a transaction."""
    drop(conn)
    conn.execute(
        "CREATE TABLE move_state (id TEXT NOT NULL, upto INTEGER NOT NULL, "
        "moved INTEGER NOT NULL DEFAULT 0)"
    )
    conn.execute("CREATE TABLE move_change (n INTEGER PRIMARY KEY, tab, k1, k2)")
    conn.execute("INSERT INTO move_change (n, tab) VALUES (1, '')")
    conn.execute("INSERT INTO move_state VALUES (?, ?, 0)", (move, MAX_NOTES))
    for statement in triggers():
        conn.execute(statement)


def drop(conn: sqlite3.Connection) -> None:
    """Stop noting changes. Within a transaction."""
    for type in ("trigger", "table"):
        for name in names(conn, type):
            conn.execute(f"DROP {type} {name}")


def names(conn: sqlite3.Connection, type: str) -> list[str]:
    """The triggers, or the tables, that are there for a move."""
    found = conn.execute(
        "SELECT name FROM sqlite_master WHERE type = ? AND name LIKE 'move\\_%' ESCAPE '\\'",
        (type,),
    )
    return [name for (name,) in found]


@cache
def triggers() -> tuple[str, ...]:
    """The statements that make the triggers."""
    made = []
    for table in KEYED:
        name, new, old = table.name, _key(table, "NEW"), _key(table, "OLD")
        note = f"INSERT INTO move_change (tab, k1, k2) SELECT '{name}', "
        # A changed key is noted as two: the old one has no row now, and the new one has.
        other = " OR ".join(f"NEW.{one} <> OLD.{one}" for one in table.key)
        bodies = {
            "insert": [f"{note}{new}"],
            "update": [f"{note}{new}", f"{note}{old} WHERE {other}"],
            "delete": [f"{note}{old}"],
        }
        if name == "event":
            del bodies["insert"]  # new events are found by their numbers
        for what, body in bodies.items():
            made.append(
                f"CREATE TRIGGER move_{name}_{what} AFTER {what} ON {name} WHEN {_ROOM} "
                f"BEGIN {'; '.join(body)}; END"
            )
    # INSERT OR REPLACE removes a device with the same number, and no trigger of DELETE runs.
    made.append(
        f"CREATE TRIGGER move_device_replace BEFORE INSERT ON device WHEN {_ROOM} BEGIN "
        "INSERT INTO move_change (tab, k1) SELECT 'device', imei FROM device WHERE id = NEW.id; "
        "END"
    )
    return tuple(made)


def _key(table: MovedTable, row: str) -> str:
    parts = [f"{row}.{one}" for one in table.key]
    return ", ".join((*parts, "NULL")[:2])


class MoverLock:
    """The file `<database>.move`, locked while a process moves the database."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.move")
        self._file = -1

    def acquire(self) -> bool:
        """False: another process has it. Raises OSError."""
        self._file = lock_file(self._path, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give it up; the second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def clean(conn: sqlite3.Connection, file: Path) -> bool:
    """Remove the notes of a move that was killed. Returns whether there were any. Those of a
    running or a completed move stay. Raises sqlite3.Error and OSError."""
    if not names(conn, "trigger"):
        return False
    lock = MoverLock(file)
    if not lock.acquire():
        return False
    try:
        conn.execute("BEGIN IMMEDIATE")
        drop(conn)
        conn.execute("COMMIT")
    finally:
        lock.release()
    return True
