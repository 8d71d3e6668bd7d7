"""Requests to the gateway that runs: what was given, the reply, and lists page by page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TextIO

from devgate.cli.output import Where, exit_code, fail, finish
from devgate.control.client import REPLY_SECONDS, Reply, ask


def given(**fields: Any) -> dict[str, Any]:
    """These fields, without those that were not given: they are None."""
    return {name: value for name, value in fields.items() if value is not None}


def answer(
    where: Where,
    request: Mapping[str, Any],
    text: Callable[[Mapping[str, Any]], str] | None = None,
    reply_seconds: float = REPLY_SECONDS,
) -> NoReturn:
    """Ask, and end with the reply, as output.finish() does. `reply_seconds`: how long it may
    take."""
    finish(ask(where.socket(), request, reply_seconds), where.as_json, text)


def answered(where: Where, request: Mapping[str, Any]) -> Reply:
    """The reply to a request. A reply that is no success ends the command."""
    reply = ask(where.socket(), request)
    if exit_code(reply):
        finish(reply, where.as_json)
    return reply


def pages(
    where: Where, request: Mapping[str, Any], size: int, limit: int | None = None,
    place: str = "after",
) -> Iterator[Reply]:  # fmt: skip
    """A list page by page, `size` items at once and up to `limit` in all. Each page is asked for
    when the caller is done with the one before. `place` is the field that says where it begins."""
    remaining, more = limit or sys.maxsize, dict[str, Any]()
    while True:
        reply = answered(where, {**request, **more, "limit": min(remaining, size)})
        yield reply
        remaining -= len(reply["items"])
        if remaining <= 0 or reply.get("next") is None:
            return
        more = {place: reply["next"]}


def print_csv(
    header: Sequence[str], found: Iterable[Reply], row: Callable[[Any], Sequence[object]]
) -> NoReturn:
    """Print the items of pages as CSV, and end. A slow reader of the CSV holds nothing open at the
    gateway."""
    import csv  # only here: other commands need not load it

    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(header)
    for page in found:
        out.writerows(map(row, page["items"]))
        sys.stdout.flush()
    raise SystemExit(0)


def first_line(file: TextIO, option: str, max_length: int) -> str:
    """The first line of a file that an option names, which is a secret. If there is none, the
    command ends."""
    try:
        line = file.readline(max_length).strip()
    except UnicodeDecodeError:
        fail(f"{option} {file.name}: UTF-8 expected")
    return line or fail(f"{option} {file.name}: its first line is empty")
