"""A form with a file in it (RFC 7578), from a body that lies on the disk."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from typing import IO, NamedTuple

from starlette.requests import Request

from devgate.http.api.arguments import bad
from devgate.model import shown

CONTENT_TYPE = re.compile(
    r'multipart/form-data\s*;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE
)
_FLAGS = re.IGNORECASE | re.MULTILINE
NAME = re.compile(rb'^content-disposition:[^\r\n]*?;\s*name="([^"\r\n]*)"', _FLAGS)
FILENAME = re.compile(rb'^content-disposition:[^\r\n]*?;\s*filename="([^"\r\n]*)"', _FLAGS)
MAX_PARTS = 20
MAX_HEAD = 8192  # bytes in front of a part's content
MAX_VALUE = 4096  # bytes of a field that is no file


class Part(NamedTuple):
    """One field: where its content lies in the body."""

    name: str
    file: str | None  # the name of the file on its sender's machine; None: no file
    start: int
    end: int


def boundary_of(request: Request) -> bytes:
    """The boundary between two fields. Raises Problem (415) for a form of another type."""
    kind = request.headers.get("content-type", "")
    found = CONTENT_TYPE.match(kind)
    if found is None:
        raise bad(f"Content-Type: multipart/form-data expected, not {shown(kind)}", 415)
    return (found[1] or found[2]).encode("latin-1")


def parts_of(body: mmap.mmap | bytes, boundary: bytes) -> Iterator[Part]:
    """The fields in their order. Raises Problem (400) for a body that is no such form."""
    line = b"--" + boundary
    at = 0 if body[: len(line)] == line else -1
    for _ in range(MAX_PARTS):
        if at < 0:
            raise bad("the body: it ended too early")
        at += len(line)
        if body[at : at + 2] == b"--":
            return
        begin = body.find(b"\r\n\r\n", at, at + MAX_HEAD)
        if begin < 0:
            raise bad(f"the form: a field with at most {MAX_HEAD} bytes of head expected")
        head = bytes(body[at:begin])
        name, file = NAME.search(head), FILENAME.search(head)
        if name is None:
            raise bad("the form: a field without a name")
        end = body.find(b"\r\n" + line, begin + 2)
        if end < 0:
            raise bad("the body: it ended too early")
        yield Part(
            name[1].decode("utf-8", "replace"),
            None if file is None else file[1].decode("utf-8", "replace"),
            begin + 4,
            max(begin + 4, end),
        )
        at = end + 2
    raise bad(f"the form: at most {MAX_PARTS} fields expected")


def opened(spool: IO[bytes]) -> mmap.mmap:
    """The body's bytes, without reading them into memory. Raises Problem (400) if it is empty."""
    if not spool.seek(0, 2):
        raise bad("the body: it ended too early")
    return mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ)


def value(body: mmap.mmap | bytes, part: Part) -> str:
    """The text of a field that is no file. Raises Problem (413) above MAX_VALUE."""
    if part.end - part.start > MAX_VALUE:
        raise bad(f"the form: at most {MAX_VALUE} bytes in a field expected", 413)
    return bytes(body[part.start : part.end]).decode("utf-8", "replace")
