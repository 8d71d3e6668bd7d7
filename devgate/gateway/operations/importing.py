"""Operations that import devices from a CSV file: it is uploaded in parts, checked, imported."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import BytesIO
from typing import BinaryIO, cast

import trio

from devgate.errors import CallerError, StoreError
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.store import csv_import, csv_preview
from devgate.store.csv_plan import OnConflict

ON_CONFLICT = ("fail", "skip", "update")
PART_BYTES = 45_000  # of a file in one request, which has at most 64 KiB
MAX_ID_LENGTH = 64  # of an upload, in characters


async def upload(gateway: Gateway, args: Args, source: str) -> Reply:
    """Store a part of a file; without `data`, return how far an import of it is."""
    id, data = arguments.text(args, "upload", MAX_ID_LENGTH), _data(args)
    uploads = gateway.uploads
    if data is None and id is None:
        raise CallerError("400", "data: a part of the file, in base64, expected, not nothing")
    one = uploads.find(str(id)) if data is None else await uploads.add(id, data)
    what, done, total = one.progress
    return {
        "status": "200", "message": f"{one.size} bytes are here", "upload": one.id,
        "size": one.size, "doing": what, "done": done, "total": total,
    }  # fmt: skip


def _data(args: Args) -> bytes | None:
    given = args.get("data")
    if given is None:
        return None
    try:
        data = base64.b64decode(given, validate=True) if isinstance(given, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if not 1 <= len(data) <= PART_BYTES:
        raise arguments.expected("data", f"1 to {PART_BYTES} bytes in base64", given)
    return data


def parts(file: BinaryIO) -> Iterator[str]:
    """The file in parts as upload() takes them, each read when it is asked for."""
    while data := file.read(PART_BYTES):
        yield base64.b64encode(data).decode()


async def import_devices(gateway: Gateway, args: Args, source: str) -> Reply:
    """Import; with `dry_run` say what an import would do. `csv` is the text, or (within the
    process) a file of it; `upload` a file that was handed over. Raises CallerError (400), with
    the line at fault."""
    on_conflict = cast("OnConflict", arguments.choice(args, "on_conflict", ON_CONFLICT) or "fail")
    dry = arguments.yes(args, "dry_run", False)
    id = arguments.text(args, "upload", MAX_ID_LENGTH)
    with _file(gateway, args, id) as (file, note):

        def progress(what: str, done: int, total: int) -> None:
            if gateway.orders.closed:
                raise StoreError("the gateway stops; run the same import again to complete it")
            note(what, done, total)

        if dry:
            preview = await gateway.records.whole(
                csv_preview.preview_csv, file, on_conflict, progress
            )
            return preview.reply()
        # What was begun is finished, also if the caller's connection is lost.
        with trio.CancelScope(shield=True), gateway.knowledge.changing(source):
            try:
                imported = await gateway.records.whole(
                    csv_import.import_csv, file, on_conflict, progress
                )
            finally:
                await gateway.knowledge.refresh()  # after an error, a part may be imported
    if id is not None:
        gateway.uploads.drop(id)
    return {"status": "200", "message": str(imported), **asdict(imported)}


@contextmanager
def _file(
    gateway: Gateway, args: Args, id: str | None
) -> Iterator[tuple[BinaryIO, csv_import.Progress]]:
    given = args.get("csv")
    if (given is None) == (id is None):
        raise CallerError("400", "csv: a text expected, or a file as upload, and not both")
    if id is not None:
        with gateway.uploads.reading(id) as one:
            yield cast("BinaryIO", one.file), one.note
        return
    if isinstance(given, str):
        given = BytesIO(given.encode("utf-8", "surrogatepass"))
    if not hasattr(given, "readline"):
        raise arguments.expected("csv", "a text", given)
    yield cast("BinaryIO", given), lambda what, done, total: None
