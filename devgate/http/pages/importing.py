"""Machines from a CSV file: the file is chosen, previewed, and then imported."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

import trio
from starlette.responses import Response

from devgate.errors import CallerError
from devgate.gateway.operations.importing import ON_CONFLICT, PART_BYTES
from devgate.http.api import arguments, multipart
from devgate.http.pages.machine import SAID
from devgate.http.pages.view import Visit, redirect
from devgate.http.pages.words import number
from devgate.store.device import COLUMNS

CONFLICT_WAYS = ("update", "skip", "fail")
assert set(CONFLICT_WAYS) == set(ON_CONFLICT)


class UploadForm(NamedTuple):
    """The form with the file, as it was read."""

    fields: Mapping[str, str]
    upload: str | None  # the file, where the gateway keeps it; None: an empty one
    name: str


async def show(visit: Visit) -> Response:
    """The form for the file, and what the last import has done."""
    visit.must("import")
    return _choose(visit)


def _choose(visit: Visit, problem: str = "") -> Response:
    done = [number(one, 9) for one in visit.request.query_params.get(SAID, "").split("-")]
    return visit.page(
        "import.html",
        400 if problem else 200,
        title=visit.t("Import from CSV"),
        columns=COLUMNS,
        ways=CONFLICT_WAYS,
        problem=problem,
        done=done if len(done) == 3 and None not in done else None,
    )


async def preview(visit: Visit) -> Response:
    """Show what the file would change; nothing is stored."""
    visit.must("import")
    sent = await _upload_form(visit)
    if sent.upload is None:
        return _choose(visit, visit.t("Choose a file first."))
    way = sent.fields.get("on_conflict", CONFLICT_WAYS[0])
    found = await visit.ask("import", upload=sent.upload, on_conflict=way, dry_run=True)
    return visit.page(
        "import_look.html",
        title=visit.t("Import {name}?", name=sent.name),
        found=found,
        upload=sent.upload,
        way=way,
    )


async def import_upload(visit: Visit) -> Response:
    """Import the file of the preview."""
    fields = await visit.form()
    done = await visit.ask(
        "import", upload=fields.get("upload", ""), on_conflict=fields.get("on_conflict")
    )
    return redirect(f"/devices/import?{SAID}={done['added']}-{done['updated']}-{done['skipped']}")


async def _upload_form(visit: Visit) -> UploadForm:
    """Read the form, and upload its file. Raises Problem, and CallerError as Visit.form()."""
    boundary = multipart.boundary_of(visit.request)
    fields: dict[str, str] = {}
    file: multipart.Part | None = None
    with await arguments.file(visit.request) as spool, closing(multipart.opened(spool)) as body:
        for part in await trio.to_thread.run_sync(list, multipart.parts_of(body, boundary)):
            if part.file is None:
                fields[part.name] = multipart.value(body, part)
            elif part.name == "file" and file is None:
                file = part
        visit.must_be_own_form(fields)
        if file is None or file.start == file.end:
            return UploadForm(fields, None, "")
        upload: str | None = None
        for start in range(file.start, file.end, PART_BYTES):
            piece = await trio.to_thread.run_sync(
                _piece, body, start, min(start + PART_BYTES, file.end)
            )
            reply = await visit.ask("upload", data=piece, upload=upload)
            upload = str(reply["upload"])
    if upload is None:
        raise CallerError("400", "the file is empty")
    return UploadForm(fields, upload, file.file or "")


def _piece(body: object, start: int, end: int) -> str:
    """A part of the file as the operation takes it. For a thread: it may be read from the disk."""
    return base64.b64encode(body[start:end]).decode()  # type: ignore[index]  # bytes or a map
