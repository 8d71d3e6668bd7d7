"""`devgate report` and `devgate zones`: what machines did, by machine, site, day or month."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from devgate.cli.asking import answer, answered, given, pages, print_csv
from devgate.cli.help import Group
from devgate.cli.language import said
from devgate.cli.output import (
    Where,
    common,
    finish,
    options,
    print_error,
    say,
    table,
)
from devgate.cli.params import ImeiType
from devgate.model import Imei, in_units

MAX_LINES = 1000  # lines that are asked for at once
BY = ("machine", "site", "day", "month")
COUNTS = ("starts", "done", "failed", "unknown", "refused", "open", "seconds", "times",
          "availability")  # fmt: skip
ABOUT = {"machine": ("imei", "name", "site"), "site": ("site",), "day": ("day",),
         "month": ("month",)}  # fmt: skip
SORTS = click.Choice(COUNTS)


@click.command()
@click.option("--by", type=click.Choice(BY), default=BY[0], help="What a line is about.",
              show_default=True)  # fmt: skip
@click.option("--month", metavar="YYYY-MM", help="All days of this month.")
@click.option("--from", "first", metavar="DAY", help="From this day on (YYYY-MM-DD).")
@click.option("--to", "last", metavar="DAY", help="Up to this day, which is included.")
@click.option("--site", help="Only of this site.")
@click.option("--imei", type=ImeiType(), help="Only of this device.")
@click.option("--sort", type=SORTS, help="The largest first; of availability the smallest.")
@click.option("--limit", type=click.IntRange(1), help="At most that many lines.")
@click.option("--csv", "as_csv", is_flag=True, help="All lines, as CSV.")
@common
def report(
    where: Where, /, by: str, month: str | None, first: str | None, last: str | None,
    site: str | None, imei: Imei | None, sort: str | None, limit: int | None, as_csv: bool,
) -> None:  # fmt: skip
    """Report what machines did: starts and what became of them, time, availability.

    Without --month, --from and --to it is the month up to now. A start counts on the day
    on which it was taken, in the time zone of its site (`devgate zones`). DONE are starts
    that the device confirmed, or of which a person says that it ran; RUN is what these
    asked for, as a duration or in times. AVAILABLE is the share of time that machines were
    connected, over days that are over.

    \b
    Examples:
      devgate report --by site --month 2026-11
      devgate report --by day --site north --from 2026-11-01 --to 2026-11-14
      devgate report --sort failed --limit 20
      devgate report --month 2026-11 --csv > november.csv
      devgate report --json | jq '.total'
    """
    fields = given(by=by, month=month, first=first, last=last, site=site, imei=imei, sort=sort)
    request = {"type": "report", **fields}
    if as_csv:
        columns = (*ABOUT[by], *COUNTS)
        found = pages(where, {**request, "offset": 0}, MAX_LINES, limit, "offset")
        print_csv(columns, found, lambda line: [line[name] for name in columns])
    reply = answered(where, {**request, **given(limit=limit)})
    if where.as_json:
        finish(reply, as_json=True)
    say(_listed(reply))
    if reply["next"] is not None and limit is None:
        print_error(f"there are {reply['count']} lines: add --csv for all, or --limit")
    if not reply["complete"]:
        print_error("days are still counted; ask again")


def _listed(reply: Mapping[str, Any]) -> str:
    about = ABOUT[reply["by"]]
    header = (*(name.upper() for name in about), "STARTS", "DONE", "FAILED", "UNKNOWN", "REFUSED",
              "OPEN", "RUN", "AVAILABLE")  # fmt: skip
    rows = [[one[name] for name in about] + _cells(one) for one in reply["items"]]
    total = [said("total"), *[""] * (len(about) - 1), *_cells(reply["total"])]
    lines = table(header, [*rows, total])
    days = said(f"{reply['first']} to {reply['last']}, zone {reply['zone']}")
    return f"{days}\n\n{lines}"


def _cells(one: Mapping[str, Any]) -> list[object]:
    parts = []
    if one["seconds"] or not one["times"]:
        parts.append(" ".join(f"{count} {said(unit)}" for count, unit in in_units(one["seconds"])))
    if one["times"]:
        parts.append(said(f"{one['times']} times"))
    share = "" if one["availability"] is None else f"{one['availability']:.1f} %"
    return [*(one[name] for name in COUNTS[:6]), ", ".join(parts), share]


@click.group(cls=Group)
@options
def zones() -> None:
    """Manage the time zones of sites: they decide where a day of a report begins.

    A site without one has that of `[report] zone` in gateway.toml.

    \b
    Examples:
      devgate zones list
      devgate zones set "Berlin Hbf" Europe/Berlin
    """


@zones.command("list")
@common
def list_(where: Where) -> None:
    """List the sites, how many machines each has, and its time zone.

    \b
    Example:
      devgate zones list --json | jq '.items[] | select(.zone != null)'
    """

    def listed(reply: Mapping[str, Any]) -> str:
        default = f"({reply['default']})"
        rows = [(one["site"], one["devices"], one["zone"] or default) for one in reply["items"]]
        return table(("SITE", "DEVICES", "ZONE"), rows)

    answer(where, {"type": "zones"}, listed)


@zones.command("set")
@click.argument("site")
@click.argument("zone", required=False, metavar="[ZONE]")
@common
def set_(where: Where, site: str, zone: str | None) -> None:
    """Give SITE the time zone ZONE, such as Europe/Berlin; without one, the default again.

    The days of its machines are counted anew, as far as commands are kept.

    \b
    Examples:
      devgate zones set "Berlin Hbf" Europe/Berlin
      devgate zones set "Berlin Hbf"
    """
    answer(where, {"type": "zone", "site": site, "zone": zone})
