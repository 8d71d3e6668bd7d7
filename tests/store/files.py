"""CSV files and what becomes of them, for the tests of import and export."""

from __future__ import annotations

import io
import random

from devgate.store import csv_import, devices
from devgate.store.csv_export import CsvWriter
from devgate.store.csv_import import Imported
from devgate.store.csv_plan import OnConflict
from devgate.store.device import Device
from devgate.store.engine import Database


def take(database: Database, text: str | bytes, on_conflict: OnConflict = "fail") -> Imported:
    data = text.encode() if isinstance(text, str) else text
    return csv_import.import_csv(database, io.BytesIO(data), on_conflict)


def stored(database: Database) -> list[Device]:
    with database.read() as conn:
        return list(devices.all_devices(conn))


def export(database: Database) -> str:
    out = io.StringIO()
    with database.read() as conn:
        writer = CsvWriter(out)
        for device in devices.all_devices(conn):
            writer.write(device)
    return out.getvalue()


def file_of(count: int) -> bytes:
    """Rows in a random order of IMEIs, some with an id."""
    numbers = list(range(count))
    random.Random(1).shuffle(numbers)
    rows = (f"7{n:014},{n if n % 3 else ''},machine {n}" for n in numbers)
    return "\n".join(["imei,id,name", *rows, ""]).encode()
