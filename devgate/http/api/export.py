"""All devices, commands or lines of a report as CSV, read and sent piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from io import StringIO
from typing import Any, NamedTuple, cast

import trio
from starlette.requests import Request
from starlette.types import Scope, Send

from devgate.gateway.operations.reply import Reply, Stream
from devgate.http.auth import keeps_right
from devgate.http.live.streams import Streamed, piece
from devgate.http.web import Web
from devgate.model import AUDIT_CSV, COMMAND_CSV, audit_row
from devgate.store.csv_export import CsvWriter, LinesCsv
from devgate.store.device import Device

CHECK_SECONDS = 15.0  # between two checks that the reader still has the right to the export
PIECE_CHARACTERS = 65536  # characters that are sent at once


WriteLine = Callable[[Reply], None]


class ExportKind(NamedTuple):
    """What differs between exports. `lines` writes the header, and returns the function that
    writes a line."""

    file_name: str
    lines: Callable[[StringIO, Stream, bool], WriteLine]


def _devices(out: StringIO, stream: Stream, spreadsheet: bool) -> WriteLine:
    writer = CsvWriter(out, spreadsheet=spreadsheet)
    return lambda line: writer.write(Device(**cast("dict[str, Any]", line)))


def _commands(out: StringIO, stream: Stream, spreadsheet: bool) -> WriteLine:
    return LinesCsv(out, COMMAND_CSV, spreadsheet=spreadsheet).write


def _audit(out: StringIO, stream: Stream, spreadsheet: bool) -> WriteLine:
    return LinesCsv(out, AUDIT_CSV, audit_row, spreadsheet=spreadsheet).write


def _report(out: StringIO, stream: Stream, spreadsheet: bool) -> WriteLine:
    columns = cast("Sequence[str]", stream.reply["columns"])
    return LinesCsv(out, columns, spreadsheet=spreadsheet).write


KINDS: Mapping[str, ExportKind] = {
    "export": ExportKind("devices.csv", _devices),  # what the import takes back unchanged
    "history_export": ExportKind("commands.csv", _commands),
    "audit_export": ExportKind("audit.csv", _audit),
    "report_export": ExportKind("report.csv", _report),
}


class Export(Streamed):
    """The lines of an operation as a file, sent while the caller has the right to the operation.
    For a `spreadsheet` no cell is a formula; that form cannot be imported again."""

    media_type = "text/csv"

    def __init__(
        self, web: Web, request: Request, stream: Stream, operation: str, *, spreadsheet: bool
    ) -> None:
        self._kind = KINDS[operation]
        disposition = f'attachment; filename="{self._kind.file_name}"'
        super().__init__(headers={"Content-Disposition": disposition})
        self._spreadsheet = spreadsheet
        del self.headers["content-length"]  # it is not known
        self._stream = stream
        self._keeps_right = partial(keeps_right, web, request, operation)

    async def flow(self, scope: Scope, send: Send) -> None:
        """Send the file in pieces; cut it off if the right to it was withdrawn."""
        await self.begin(send)
        out = StringIO(newline="")
        write = self._kind.lines(out, self._stream, self._spreadsheet)
        checked_at = trio.current_time()
        async with aclosing(self._stream.lines) as lines:
            async for line in lines:
                write(line)
                if out.tell() >= PIECE_CHARACTERS:
                    if (now := trio.current_time()) >= checked_at + CHECK_SECONDS:
                        checked_at = now
                        if not self._keeps_right():
                            # Half a file must not look like a whole one.
                            scope["devgate.cut"]()
                            return
                    await send(piece(out.getvalue().encode()))
                    out.seek(0)
                    out.truncate()
        await send(piece(out.getvalue().encode()))
