"""`devgate audit`: who changed what, and who came in."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from devgate.cli.language import said
from devgate.cli.moments import exact
from devgate.cli.output import Where, common, exit_code, finish, in_short, say, table
from devgate.cli.params import Moment
from devgate.control.client import ask
from devgate.model import AUDIT_CSV, audit_detail, audit_row

LIMIT, PAGE = 50, 1000  # events that are shown by default, and that are asked for at once


@click.command()
@click.option("--by", "source", metavar="WHO", help="Only by this one: anna, web:anna, socket.")
@click.option("--events", metavar="TYPES", help="Only these: account, session.began, device.")
@click.option("--since", type=Moment(), help="Then or later: a date, or 7d ago.")
@click.option("--until", type=Moment(), help="Before then.")
@click.option("--limit", type=click.IntRange(1, 1000), default=LIMIT, show_default=True,
              help="At most that many.")  # fmt: skip
@click.option("--csv", "as_csv", is_flag=True, help="All that fit, as CSV.")
@common
def audit(where: Where, /, limit: int, as_csv: bool, **filters: object) -> None:
    """List who changed what and who logged in, newest first.

    \b
    Examples:
      devgate audit --since 7d
      devgate audit --by wang --events device
      devgate audit --events session.refused
      devgate audit --since 2026-11-01 --csv > audit.csv
    """
    given = {name: value for name, value in filters.items() if value is not None}
    if as_csv:
        _csv(where, given)
    reply = _page(where, given, limit)
    if exit_code(reply) or where.as_json:
        finish(reply, where.as_json)
    if rows := [_row(one) for one in reply["items"]]:
        say(table([name.upper() for name in AUDIT_CSV if name != "event"], rows))
    else:
        click.echo(said("no matching entries"), err=True)


def _row(event: Mapping[str, Any]) -> list[object]:
    """An event as a line of the table: as in CSV, in words and bounded."""
    at, _, *row, _ = audit_row(event)
    detail = audit_detail(event)
    text = in_short(detail) if detail else ""
    return [exact(at), *row, said(text) if isinstance(detail, str) else text]


def _page(where: Where, given: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Looked for further and further back, until there are so many."""
    items: list[Any] = []
    after: int | None = None
    while True:
        more = {} if after is None else {"after": after}
        request = {"type": "audit", **given, **more, "limit": limit - len(items)}
        reply = dict(ask(where.socket(), request))
        if exit_code(reply):
            return reply
        items += reply["items"]
        after = reply["next"]
        if after is None or len(items) == limit:
            return {**reply, "items": items}


def _csv(where: Where, given: Mapping[str, Any]) -> NoReturn:
    """Page by page: a program that reads slowly keeps nothing open at the gateway."""
    import csv  # not for every command

    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(AUDIT_CSV)
    more: dict[str, Any] = {}
    while True:
        reply: Mapping[str, Any]
        reply = ask(where.socket(), {"type": "audit", **given, **more, "limit": PAGE})
        if code := exit_code(reply):
            finish(reply, where.as_json)
        out.writerows(map(audit_row, reply["items"]))
        sys.stdout.flush()
        if reply["next"] is None:
            raise SystemExit(code)
        more = {"after": reply["next"]}
