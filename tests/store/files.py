"""CSV files and what becomes of them, for the tests of import and export."""

from __future__ import annotations

import io
import random

from devgate.store import devices, intake
from devgate.store.devices import Device
from devgate.store.engine import Database
from devgate.store.intake import OnConflict, Taken


def take(database: Database, text: str | bytes, on_conflict: OnConflict = "fail") -> Taken:
    data = text.encode() if isinstance(text, str) else text
    return intake.take(database, io.BytesIO(data), on_conflict)


def stored(database: Database) -> list[Device]:
    with database.read() as conn:
        return list(devices.all_devices(conn))


def export(database: Database) -> str:
    out = io.StringIO()
    with database.read() as conn:
        intake.give(conn, out)
    return out.getvalue()


def file_of(count: int) -> bytes:
    """Rows in a random order of IMEIs, some with an id."""
    numbers = list(range(count))
    random.Random(1).shuffle(numbers)
    rows = (f"7{n:014},{n if n % 3 else ''},machine {n}" for n in numbers)
    return "\n".join(["imei,id,name", *rows, ""]).encode()
