"""All devices or commands as CSV, read and sent piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from io import StringIO
from typing import Any, cast

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

LOOK_SECONDS = 15.0  # between two looks at the reader's right
PIECE = 65536  # characters that are sent at once


class Export(Streamed):
    """All devices: what the import takes back unchanged."""

    media_type = "text/csv"
    file_name = "devices.csv"

    def __init__(
        self, stream: Stream, known: Callable[[], bool], *, spreadsheet: bool = False
    ) -> None:
        """`known` tells whether the reader still may have it. For a `spreadsheet` no cell is a
        formula; the import is not for that form."""
        kept_as = f'attachment; filename="{self.file_name}"'
        super().__init__(headers={"Content-Disposition": kept_as})
        self._spreadsheet = spreadsheet
        del self.headers["content-length"]  # nobody knows
        self._stream = stream
        self._known = known

    @classmethod
    def of(
        cls, web: Web, request: Request, stream: Stream, operation: str, *,
        spreadsheet: bool = False,
    ) -> Export:  # fmt: skip
        """For who asks for it now, as long as he keeps the right to it."""
        known = partial(keeps_right, web, request, operation)
        return cls(stream, known, spreadsheet=spreadsheet)

    def writer(self, out: StringIO) -> Callable[[Reply], None]:
        """Write the header, and return what writes a line."""
        writer = CsvWriter(out, spreadsheet=self._spreadsheet)
        return lambda line: writer.write(Device(**cast("dict[str, Any]", line)))

    async def flow(self, scope: Scope, send: Send) -> None:
        """Send the file in pieces; cut it off if the right to it was withdrawn."""
        await self.begin(send)
        out = StringIO(newline="")
        write = self.writer(out)
        looked = trio.current_time()
        async with aclosing(self._stream.lines) as lines:
            async for line in lines:
                write(line)
                if out.tell() >= PIECE:
                    if (now := trio.current_time()) >= looked + LOOK_SECONDS:
                        looked = now
                        if not self._known():
                            # Half a file must not look like a whole one.
                            scope["devgate.cut"]()
                            return
                    await send(piece(out.getvalue().encode()))
                    out.seek(0)
                    out.truncate()
        await send(piece(out.getvalue().encode()))


class CommandExport(Export):
    """Commands, the newest first."""

    file_name = "commands.csv"

    def writer(self, out: StringIO) -> Callable[[Reply], None]:
        """Write the header, and return what writes a line."""
        return LinesCsv(out, COMMAND_CSV, spreadsheet=self._spreadsheet).write


class AuditExport(Export):
    """Changes and logins, the newest first."""

    file_name = "audit.csv"

    def writer(self, out: StringIO) -> Callable[[Reply], None]:
        """Write the header, and return what writes a line."""
        return LinesCsv(out, AUDIT_CSV, audit_row, spreadsheet=self._spreadsheet).write


class ReportExport(Export):
    """The lines of a report."""

    file_name = "report.csv"

    def writer(self, out: StringIO) -> Callable[[Reply], None]:
        """Write the header, and return what writes a line."""
        columns = cast("Sequence[str]", self._stream.reply["columns"])
        return LinesCsv(out, columns, spreadsheet=self._spreadsheet).write


KINDS: Mapping[str, type[Export]] = {
    "export": Export,
    "history_export": CommandExport,
    "audit_export": AuditExport,
    "report_export": ReportExport,
}
