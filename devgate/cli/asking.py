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
    patience: float = REPLY_SECONDS,
) -> NoReturn:
    """Ask, and end with the reply, as output.finish() does. `patience`: seconds until it is
    there."""
    finish(ask(where.socket(), request, patience), where.as_json, text)


def answered(where: Where, request: Mapping[str, Any]) -> Reply:
    """The reply to a request. One that is no success ends the command."""
    reply = ask(where.socket(), request)
    if exit_code(reply):
        finish(reply, where.as_json)
    return reply


def pages(
    where: Where, request: Mapping[str, Any], size: int, most: int | None = None,
    place: str = "after",
) -> Iterator[Reply]:  # fmt: skip
    """A list page by page, each asked for when the one before was taken: `size` items at once, and
    `most` in all. `place` is the field that says where a page begins."""
    left, more = most or sys.maxsize, dict[str, Any]()
    while True:
        reply = answered(where, {**request, **more, "limit": min(left, size)})
        yield reply
        left -= len(reply["items"])
        if left <= 0 or reply.get("next") is None:
            return
        more = {place: reply["next"]}


def print_csv(
    header: Sequence[str], found: Iterable[Reply], row: Callable[[Any], Sequence[object]]
) -> NoReturn:
    """The items of pages as CSV, and end. A program that reads slowly keeps nothing open at the
    gateway."""
    import csv  # not for every command

    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(header)
    for page in found:
        out.writerows(map(row, page["items"]))
        sys.stdout.flush()
    raise SystemExit(0)


def first_line(file: TextIO, option: str, most: int) -> str:
    """What a file that an option names has in its first line, which is a secret. None ends the
    command."""
    try:
        line = file.readline(most).strip()
    except UnicodeDecodeError:
        fail(f"{option} {file.name}: UTF-8 expected")
    return line or fail(f"{option} {file.name}: its first line is empty")
