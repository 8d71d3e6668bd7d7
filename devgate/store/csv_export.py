"""Devices as CSV, which imports again unchanged, and lists: control.md section 3."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from devgate.store.device import COLUMNS, Device

# What a spreadsheet takes for the beginning of a formula, also as full-width characters.
FORMULA = tuple("=+-@\t\r＝＋－＠")  # noqa: RUF001
BOM = "\ufeff"  # by which a spreadsheet knows that the file is UTF-8


class CsvWriter:
    """Writes the header at once, and then device after device.

    For a `spreadsheet` no cell is a formula; that form is for people, not for the import.
    """

    def __init__(self, out: IO[str], *, spreadsheet: bool = False) -> None:
        self._spreadsheet = spreadsheet
        # csv does not quote a lone carriage return on its own account.
        self._plain = csv.writer(out, lineterminator="\n")
        self._quoted = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        if spreadsheet:
            out.write(BOM)
        self._plain.writerow(COLUMNS)

    def write(self, device: Device) -> None:
        """One more line; more than one where a QR text has line breaks."""
        row = [_cell(value) for value in device]
        returns = any(isinstance(cell, str) and "\r" in cell for cell in row)
        writer = self._quoted if returns else self._plain
        writer.writerow(map(_harmless, row) if self._spreadsheet else row)


def _harmless(cell: object) -> object:
    """An apostrophe makes a text of what would be a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _cell(value: object) -> object:
    """`15`, `7.5`, `true`; empty for none."""
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value).lower() if isinstance(value, bool) else value


class LinesCsv:
    """Writes the header at once, and then line after line of these columns.

    For a `spreadsheet` no cell is a formula.
    """

    def __init__(
        self,
        out: IO[str],
        columns: Sequence[str],
        cells: Callable[[Mapping[str, object]], Sequence[object]] | None = None,
        *,
        spreadsheet: bool = False,
    ) -> None:
        """`cells`: those of a line; None: what it has by the names of the columns."""
        self._spreadsheet = spreadsheet
        self._cells = cells or (lambda record: [record[name] for name in columns])
        self._writer = csv.writer(out, lineterminator="\n")
        if spreadsheet:
            out.write(BOM)
        self._writer.writerow(columns)

    def write(self, record: Mapping[str, object]) -> None:
        """One more line."""
        cells = self._cells(record)
        row = [str(cell).lower() if isinstance(cell, bool) else cell for cell in cells]
        self._writer.writerow(map(_harmless, row) if self._spreadsheet else row)
