"""`devgate commands story`: all that happened to a command, or to all of an order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from devgate.cli import describe
from devgate.cli.asking import answer
from devgate.cli.language import said
from devgate.cli.moments import clock
from devgate.cli.output import Where, common, table

HEADER = ("AT", "AFTER", "EVENT", "DETAIL")
COMMAND_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
# The fields of an event that are shown beside its type, in this order.
DETAILS = ("kind", "long", "status", "message", "reason", "verdict", "by", "note", "address")


@click.command()
@click.argument("name", metavar="ID|KEY")
@common
def story(where: Where, name: str) -> None:
    """Tell all that happened to the command ID, or to the commands of the order KEY.

    AFTER is the time since the command was accepted. Lines with a star are of the command itself,
    the others of its device at that time.

    \b
    Examples:
      devgate commands story 01M8ACJXG58JF64186BWEAMZCP
      devgate commands story order-4711
    """
    if COMMAND_ID.fullmatch(name):
        answer(where, {"type": "story", "command": name}, _text)
    answer(where, {"type": "order", "key": name}, _all)


def _all(reply: Mapping[str, Any]) -> str:
    return "\n\n".join(map(_text, reply["items"])) or said("no commands")


def _text(story: Mapping[str, Any]) -> str:
    return f"{describe.record(story['record'])}\n\n{table(HEADER, _lines(story))}"


def _lines(story: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    record = story["record"]
    began = datetime.fromisoformat(record["accepted_at"])
    before = [story["before"]] if story["before"] else []
    for line in [*before, *story["lines"]]:
        star = "*" if line.get("command") == record["command"] else " "
        after = (datetime.fromisoformat(line["at"]) - began).total_seconds()
        yield clock(line["at"]), _distance(after), f"{star} {line['type']}", _detail(line)


def _distance(seconds: float) -> str:
    size = abs(seconds)
    text = f"{size:.3f} s" if size < 60 else describe.span(size)
    return f"{'-' if seconds < 0 else '+'}{text}" if seconds else "0"


def _detail(line: Mapping[str, Any]) -> str:
    parts = [(name, line[name]) for name in DETAILS if line.get(name) not in (None, "")]
    return "  ".join(
        f"{name}={said(str(value)) if name in ('message', 'reason') else value}"
        for name, value in parts
    )
