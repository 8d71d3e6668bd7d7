"""All devices as CSV, read and sent piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from io import StringIO
from typing import Any, cast

import trio
from starlette.requests import Request
from starlette.types import Scope, Send

from devgate.gateway.operations.reply import Stream
from devgate.http.auth import keeps_right
from devgate.http.live.streams import Streamed, piece
from devgate.http.web import Web
from devgate.store.csv_export import CsvWriter
from devgate.store.device import Device

LOOK_SECONDS = 15.0  # between two looks at the reader's right
PIECE = 65536  # characters that are sent at once


class Export(Streamed):
    """What the import takes back unchanged."""

    media_type = "text/csv"

    def __init__(
        self, stream: Stream, known: Callable[[], bool], *, spreadsheet: bool = False
    ) -> None:
        """`known` tells whether the reader still may have it. For a `spreadsheet` no cell is a
        formula; the import is not for that form."""
        super().__init__(headers={"Content-Disposition": 'attachment; filename="devices.csv"'})
        self._spreadsheet = spreadsheet
        del self.headers["content-length"]  # nobody knows
        self._stream = stream
        self._known = known

    @classmethod
    def of(
        cls, web: Web, request: Request, stream: Stream, *, spreadsheet: bool = False
    ) -> Export:
        """For who asks for it now, as long as he keeps the right to it."""
        known = partial(keeps_right, web, request, "export")
        return cls(stream, known, spreadsheet=spreadsheet)

    async def flow(self, scope: Scope, send: Send) -> None:
        """Send the file in pieces; cut it off if the right to it was withdrawn."""
        await self.begin(send)
        out = StringIO(newline="")
        writer = CsvWriter(out, spreadsheet=self._spreadsheet)
        looked = trio.current_time()
        async with aclosing(self._stream.lines) as lines:
            async for device in lines:
                writer.write(Device(**cast("dict[str, Any]", device)))
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
