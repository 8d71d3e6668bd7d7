"""The rows of a CSV file, each checked by itself. control.md section 3 has the columns."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple, cast

from devgate.errors import CallerError
from devgate.model import Imei, imei, nearest, shown
from devgate.store.device import COLUMNS, MAX_ID, RECORD, Device, Unit, checked
from devgate.store.machine_record import degrees

MAX_LINE = 65536  # bytes: far more than a row can need; a file without newlines ends there
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
BOM = b"\xef\xbb\xbf"
YES_AND_NO: Mapping[str, bool] = {
    "": True, "true": True, "1": True, "yes": True, "false": False, "0": False, "no": False,
}  # fmt: skip


class CsvRow(NamedTuple):
    """One good row, and the line that it starts on. An absent column has its default."""

    line: int
    imei: Imei
    id: int | None  # None: the next free one
    name: str
    site: str
    phone: str | None
    qr: str | None
    unit: Unit
    ack_timeout: float | None
    enabled: bool
    iccid: str | None = None
    sim_phone: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    installed_on: str | None = None
    note: str | None = None
    tags: str | None = None
    latitude: float | None = None
    longitude: float | None = None

    def device(self, id: int) -> Device:
        """The device in the row; with `id`, if the row has none."""
        return Device(self.imei, id if self.id is None else self.id, *self[3:])

    def over(self, old: Device, columns: frozenset[str]) -> Device:
        """The existing device, changed in the columns of the file.

        Raises CallerError (400) if the result cannot be stored.
        """
        says: dict[str, Any] = {name: getattr(self, name) for name in columns}
        if self.id is None:
            says.pop("id", None)
        new = old._replace(**says)
        try:
            return new if new == old else checked(new)
        except CallerError as err:
            raise at(self.line, str(err)) from None


class LineError(CallerError):
    """An error (400) in a file, with the line at fault."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__("400", f"line {line}: {text}")
        self.line = line
        self.text = text


OnFault = Callable[[LineError], None]


def at(line: int, text: str) -> LineError:
    """An error in a file, with the line at fault."""
    return LineError(line, text)


def refuse(err: LineError) -> None:
    """Raises the error of the first wrong line: nothing of the file is imported."""
    raise err


def read_rows(file: BinaryIO, fault: OnFault = refuse) -> tuple[frozenset[str], Iterator[CsvRow]]:
    """The columns of the file, and its good rows. Empty lines are skipped, and count as lines.

    `fault` is called for each wrong row. Raises LineError, also while iterating, for an error
    after which nothing can be read: a wrong header, or a file that is not CSV or not UTF-8.
    """
    records = _records(file)
    line, header = next(records, (1, []))
    names = [name.strip().lower() for name in header]
    if not names:
        raise at(line, f"a header expected: {','.join(COLUMNS)} or some of them")
    for name in names:
        if name not in COLUMNS:
            raise _unknown(line, name)
        if names.count(name) > 1:
            raise at(line, f"the column {name} is there twice")
    if "imei" not in names:
        raise at(line, "the column imei is missing")
    return frozenset(names), _rows(names, records, fault)


def _unknown(line: int, name: str) -> LineError:
    """The error for an unknown column. In some languages spreadsheets write no commas."""
    for sign, called in ((";", "semicolons"), ("\t", "tabs")):
        if sign in name:
            return at(line, f"there are {called} between the columns; write the file with commas")
    if guess := nearest(name, COLUMNS):
        return at(line, f"unknown column {shown(name)}; did you mean {guess}?")
    return at(line, f"unknown column {shown(name)}; {','.join(COLUMNS)} are known")


def _rows(
    names: list[str], records: Iterator[tuple[int, list[str]]], fault: OnFault
) -> Iterator[CsvRow]:
    for line, cells in records:
        if len(cells) != len(names):
            fault(at(line, f"{len(names)} columns expected, as in the header, not {len(cells)}"))
            continue
        try:
            row = _row(line, dict(zip(names, cells, strict=True)))
        except CallerError as err:
            fault(at(line, str(err)))
        else:
            yield row


def _row(line: int, given: Mapping[str, str]) -> CsvRow:
    number = given.get("id", "").strip()
    if number and not (number.isascii() and number.isdigit()):
        raise CallerError("400", f"id: a number expected, not {shown(number)}")
    enabled = YES_AND_NO.get(given.get("enabled", "").strip().lower())
    if enabled is None:
        raise CallerError("400", f"enabled: true or false expected, not {shown(given['enabled'])}")
    device = checked(
        Device(
            imei=imei(given["imei"].strip()),
            # The id is not known yet: texts must fit with the longest one.
            id=int(number[:12]) if number else MAX_ID,
            name=given.get("name", ""),
            site=given.get("site", ""),
            phone=given.get("phone"),
            qr=given.get("qr"),
            ack_timeout=_seconds(given.get("ack_timeout", "").strip()),
            unit=cast("Unit", given.get("unit", "").strip() or "seconds"),
            enabled=enabled,
            **_record(given),
        )
    )
    return CsvRow(line, device.imei, device.id if number else None, *device[2:])


def _record(given: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the machine's record in the row, without empty cells."""
    found: dict[str, Any] = {}
    for name in RECORD:
        if (text := given.get(name, "")).strip():
            text = text if name == "note" else text.strip()
            placed = name in ("latitude", "longitude")
            found[name] = degrees(name, text) if placed else text
    return found


def _seconds(text: str) -> float | None:
    if not text:
        return None
    if not SECONDS.fullmatch(text):
        raise CallerError("400", f"ack_timeout: a number of seconds expected, not {shown(text)}")
    return float(text)


def _records(file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line that it starts on."""
    reader = csv.reader(_lines(file), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as err:
            raise at(line, f"not CSV: {err}") from None
        if cells is None:
            return
        if cells:
            yield line, cells


def _lines(file: BinaryIO) -> Iterator[str]:
    """The lines as text, each with its end: csv wants line breaks within quotes unchanged."""
    number = 0
    while raw := file.readline(MAX_LINE):
        number += 1
        if len(raw) == MAX_LINE and not raw.endswith(b"\n"):
            raise at(number, f"longer than {MAX_LINE} bytes")
        if number == 1:
            raw = raw.removeprefix(BOM)
        try:
            yield raw.decode()
        except UnicodeDecodeError as err:
            raise at(
                number, f"not UTF-8 (byte {raw[err.start]:#04x}); save the file as CSV UTF-8"
            ) from None
