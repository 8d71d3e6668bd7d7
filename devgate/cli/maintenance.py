"""`devgate maintenance`: machines and sites that take no customer's start for a while."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from devgate.cli.asking import answer, given
from devgate.cli.describe import ago
from devgate.cli.help import Group
from devgate.cli.language import said
from devgate.cli.output import Where, common, decorated, finish, options, print_error, table
from devgate.cli.params import ImeiType, MomentType, SpanType
from devgate.control.client import ask
from devgate.model import Imei

HEADER = ("SITE", "IMEI", "NAME", "SINCE", "UNTIL", "REASON", "BY")
WHICH = (
    click.argument("imeis", metavar="[IMEI]...", type=ImeiType(), nargs=-1),
    click.option("--site", help="All machines that stand there, now or later."),
)
# `devgate bulk maintenance` has these options, too.
SAID = (
    click.option("--reason", help="Why, for those who look."),
    click.option(
        "--for", "length", type=SpanType(), help="It ends by itself after so long: 2h, 3d."
    ),
    click.option(
        "--until",
        type=MomentType(),
        help="It ends by itself at that time: 2026-11-28, or with a time.",
    ),
)


@click.group(cls=Group)
@options
def maintenance() -> None:
    """Keep customers from starting machines that are being repaired.

    A machine in maintenance stays connected. A customer's start is refused (exit code 14, its key
    stays free); `devgate start IMEI 5 --test` still starts it.

    \b
    Examples:
      devgate maintenance on 860000000000001 --reason "new cushions" --for 2h
      devgate maintenance on --site "Mall North" --until 2026-11-28
      devgate maintenance list
      devgate maintenance off 860000000000001
    """


@maintenance.command()
@decorated(*WHICH, *SAID)
@common
def on(where: Where, /, imeis: tuple[Imei, ...], site: str | None, **details: Any) -> None:
    """Put machines, or a whole site, in maintenance.

    Without --for or --until it lasts until `devgate maintenance off`. Given once more, it gets
    the new reason and end.

    \b
    Examples:
      devgate maintenance on 860000000000001 860000000000002 --reason "power works" --for 3h
      devgate maintenance on --site "Mall North" --until 2026-11-28T06:00
    """
    request = {"type": "maintenance_on", **_which(imeis, site), **said_of(**details)}
    answer(where, request)


@maintenance.command()
@decorated(*WHICH)
@common
def off(where: Where, imeis: tuple[Imei, ...], site: str | None) -> None:
    """Let customers start machines, or a whole site, again.

    \b
    Examples:
      devgate maintenance off 860000000000001
      devgate maintenance off --site "Mall North"
    """
    answer(where, {"type": "maintenance_off", **_which(imeis, site)})


@maintenance.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), help="At most that many.")
@click.option("--after", metavar="PLACE", help="Go on behind this place: `next` of a page.")
@common
def list_(where: Where, limit: int | None, after: str | None) -> None:
    """List what is in maintenance: sites first, then machines.

    \b
    Example:
      devgate maintenance list --json | jq -r '.items[].imei'
    """
    reply = ask(where.socket(), {"type": "maintenance", **given(limit=limit, after=after)})
    if not where.as_json and reply.get("next"):
        print_error(f"there is more: --after '{reply['next']}'")
    finish(reply, where.as_json, _listed)


def said_of(reason: str | None, length: float | None, until: int | None) -> dict[str, Any]:
    """The reason and the end of maintenance that begins, as fields of a request."""
    if length is not None and until is not None:
        raise click.UsageError("Give --for or --until, not both.")
    if length is not None:
        until = int(time.time() + length)
    return given(reason=reason, until=until)


def _which(imeis: tuple[Imei, ...], site: str | None) -> dict[str, Any]:
    if bool(imeis) == bool(site):
        raise click.UsageError("Name machines by their IMEIs, or a --site.")
    return {"site": site} if site else {"imeis": list(imeis)}


def _listed(reply: Mapping[str, Any]) -> str:
    items = reply.get("items") or ()
    if not items:
        return said("nothing is in maintenance")
    return table(HEADER, [
        (
            one.get("site") or "", one.get("imei") or said("(the whole site)"),
            one.get("name") or "", ago(one.get("since")), _end(one.get("until")),
            one.get("reason") or "", one.get("source"),
        )
        for one in items
    ])  # fmt: skip


def _end(until: object) -> str:
    return ago(until) if until else said("somebody ends it")
