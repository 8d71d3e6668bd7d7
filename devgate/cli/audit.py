"""`devgate audit`: who changed what, and who logged in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from devgate.cli.asking import given, pages, print_csv
from devgate.cli.language import said
from devgate.cli.moments import exact
from devgate.cli.output import Where, common, finish, in_short, say, table
from devgate.cli.params import MomentType
from devgate.model import AUDIT_CSV, audit_detail, audit_row

LIMIT, PAGE_SIZE = 50, 1000  # events that are shown by default, and that are asked for at once


@click.command()
@click.option("--by", "source", metavar="WHO", help="Only by this one: anna, web:anna, socket.")
@click.option("--events", metavar="TYPES", help="Only these: account, session.began, device.")
@click.option("--since", type=MomentType(), help="Then or later: a date, or 7d ago.")
@click.option("--until", type=MomentType(), help="Before then.")
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
    request = {"type": "audit", **given(**filters)}
    if as_csv:
        print_csv(AUDIT_CSV, pages(where, request, PAGE_SIZE), audit_row)
    # Page by page back into the past, until there are `limit`.
    found = list(pages(where, request, limit, limit))
    items = [one for page in found for one in page["items"]]
    if where.as_json:
        finish({**found[-1], "items": items}, as_json=True)
    if items:
        say(table([name.upper() for name in AUDIT_CSV if name != "event"], map(_row, items)))
    else:
        click.echo(said("no matching entries"), err=True)


def _row(event: Mapping[str, Any]) -> list[object]:
    """An event as a row of the table: as in CSV, but with its detail in words and shortened."""
    at, _, *row, _ = audit_row(event)
    detail = audit_detail(event)
    text = in_short(detail) if detail else ""
    return [exact(at), *row, said(text) if isinstance(detail, str) else text]
