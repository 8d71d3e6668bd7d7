"""Compares rows of a CSV file with the devices in the database."""

from __future__ import annotations

from typing import Literal, NamedTuple

from sqlalchemy import Connection

from devgate.store import devices
from devgate.store.csv_rows import CsvRow, LineError, OnFault, at, refuse
from devgate.store.device import MAX_ID, Device

OnConflict = Literal["fail", "skip", "update"]


class Change(NamedTuple):
    """An existing device, and what a line of the file makes of it."""

    line: int
    old: Device
    new: Device


class Plan:
    """The changes that some rows make in the current database. `fault` is called for each row that
    conflicts with it."""

    def __init__(
        self,
        conn: Connection,
        rows: list[CsvRow],
        columns: frozenset[str],
        on_conflict: OnConflict,
        fault: OnFault = refuse,
    ) -> None:
        self.added: list[CsvRow] = []
        self.updated: list[Device] = []
        self.changes: list[Change] = []  # those of `updated`, with their lines
        self.skipped = 0
        there = {device.imei: device for device in devices.among(conn, [r.imei for r in rows])}
        ids: list[tuple[int, int, str]] = []  # that must be free: line, id, imei
        for row in rows:
            old = there.get(row.imei)
            if old is None:
                self.added.append(row)
                if row.id is not None:
                    ids.append((row.line, row.id, row.imei))
                continue
            try:
                new = row.over(old, columns) if on_conflict == "update" else row.device(old.id)
            except LineError as err:
                fault(err)
                continue
            if new == old or on_conflict == "skip":
                self.skipped += 1
            elif on_conflict == "update":
                self.updated.append(new)
                self.changes.append(Change(row.line, old, new))
                ids.append((row.line, new.id, row.imei))
            else:
                fault(at(row.line, f"imei: {row.imei} is there already, and not the same"))
        owners = devices.owners(conn, [id for _, id, _ in ids])
        for line, id, imei in ids:
            if owners.get(id, imei) != imei:
                fault(at(line, f"id: {id} is the device {owners[id]}'s"))

    def number(self, free: int) -> None:
        """Number the rows that have no id."""
        for place, row in enumerate(self.added):
            if row.id is None:
                if free > MAX_ID:
                    raise at(row.line, f"id: none is left behind {MAX_ID}; give one")
                self.added[place] = row._replace(id=free)
                free += 1
