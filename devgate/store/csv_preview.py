"""A preview of a CSV import: every line with an error, and what would change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from devgate.store.csv_import import CHECK_ROWS, Progress, size_of
from devgate.store.csv_plan import Change, OnConflict, Plan
from devgate.store.csv_rows import CsvRow, LineError, read_rows
from devgate.store.engine import Database
from devgate.store.staging import Staging

MAX_SHOWN = 200  # lines at fault, additions and changes that are kept, of each


@dataclass(slots=True)
class Preview:
    """What the import would do. Nothing was written, and others may change devices meanwhile."""

    rows: int = 0  # good ones, each for itself
    added: int = 0
    updated: int = 0
    skipped: int = 0
    faults: int = 0  # lines: with one of them the import takes nothing
    errors: list[LineError] = field(default_factory=list)  # the first of them
    additions: list[CsvRow] = field(default_factory=list)  # the first of them
    changes: list[Change] = field(default_factory=list)  # the first of them

    def fault(self, err: LineError) -> None:
        """One more line at fault."""
        self.faults += 1
        if len(self.errors) < MAX_SHOWN:
            self.errors.append(err)

    def reply(self) -> dict[str, object]:
        """It as the reply to an import with `dry_run`."""
        faults = f"{self.faults} lines are wrong: nothing would be taken"
        would = f"{self.added} to add, {self.updated} to change, {self.skipped} there already"
        return {
            "status": "200",
            "message": faults if self.faults else would,
            "rows": self.rows,
            "added": self.added,
            "updated": self.updated,
            "skipped": self.skipped,
            "faults": self.faults,
            "errors": [{"line": err.line, "message": err.text} for err in self.errors],
            "additions": [_addition(row) for row in self.additions],
            "changes": [_change(change) for change in self.changes],
        }


def _addition(row: CsvRow) -> dict[str, object]:
    return {"line": row.line, "imei": row.imei, "id": row.id, "name": row.name, "site": row.site}


def _change(change: Change) -> dict[str, object]:
    fields = zip(change.old._fields, change.old, change.new, strict=True)
    changed = {name: {"old": old, "new": new} for name, old, new in fields if old != new}
    return {
        "line": change.line, "imei": change.new.imei, "name": change.new.name, "changes": changed
    }  # fmt: skip


def preview_csv(
    database: Database, file: BinaryIO, on_conflict: OnConflict, progress: Progress
) -> Preview:
    """Read the whole file and compare it, in bounded memory. Raises StoreError."""
    found = Preview()
    with Staging() as staging:
        size = size_of(file)
        columns: frozenset[str] = frozenset()
        try:
            columns, rows = read_rows(file, found.fault)
            for count in staging.fill(rows, found.fault):
                progress("reading", file.tell() if size else count, size)
        except LineError as err:  # what follows cannot be read
            found.fault(err)
        found.rows = staging.count
        with database.read() as conn:
            line = done = 0
            while some := staging.after(line, CHECK_ROWS):
                plan = Plan(conn, some, columns, on_conflict, found.fault)
                found.added += len(plan.added)
                found.updated += len(plan.updated)
                found.skipped += plan.skipped
                found.additions += plan.added[: MAX_SHOWN - len(found.additions)]
                found.changes += plan.changes[: MAX_SHOWN - len(found.changes)]
                line, done = some[-1].line, done + len(some)
                progress("checking", done, staging.count)
    found.errors.sort(key=lambda err: err.line)
    return found
