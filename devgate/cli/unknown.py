"""`devgate devices unknown|approve|dismiss`: machines that were refused when they registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import click

from devgate.cli.asking import given
from devgate.cli.describe import ago
from devgate.cli.language import said
from devgate.cli.output import (
    Where,
    common,
    emit,
    exit_code,
    finish,
    print_error,
    say,
    sentence,
    table,
)
from devgate.cli.params import ImeiType
from devgate.control.client import ask

HEADER = ("IMEI", "WHY", "FROM", "TIMES", "FIRST", "LAST", "DEVICE")
IMEIS = click.argument("imeis", metavar="IMEI...", type=ImeiType(), nargs=-1, required=True)


@click.command()
@click.option(
    "--reason", type=click.Choice(["unknown", "disabled", "wrong"]),
    help="Only those that were refused for this.",
)  # fmt: skip
@click.option("--dismissed", is_flag=True, help="Those that were dismissed, and no others.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="At most this many.",
)
@click.option("--after", type=ImeiType(), metavar="IMEI", help="Go on behind this one.")
@common
def unknown(
    where: Where, reason: str | None, dismissed: bool, limit: int, after: str | None
) -> None:
    """List machines that tried to register and were refused; who tried last comes first.

    WHY is `unknown` (nobody knows the IMEI), `disabled`, or `wrong`: a machine that is connected
    as DEVICE said another IMEI. The list has 1,000 at most.

    \b
    Examples:
      devgate devices unknown
      devgate devices unknown --reason unknown --json | jq -r '.items[].imei'
    """
    fields = given(reason=reason, dismissed=dismissed or None, limit=limit, after=after)
    reply = ask(where.socket(), {"type": "unknown_devices", **fields})
    if reply.get("next") and not where.as_json:
        print_error(f"there are more: add --after {reply['next']}")
    finish(reply, where.as_json, _listed)


def _listed(reply: Mapping[str, Any]) -> str:
    items = reply.get("items") or ()
    if not items:
        return said("no unknown devices: every machine that tried to register was let in")
    return table(HEADER, [_row(item) for item in items])


def _row(item: Mapping[str, Any]) -> list[object]:
    return [
        item.get("imei"), said(str(item.get("reason"))), item.get("address"), item.get("count"),
        ago(item.get("first_at")), ago(item.get("last_at")),
        item.get("connected_as") or item.get("name"),
    ]  # fmt: skip


@click.command()
@IMEIS
@click.option("--name", help="What people call it.")
@click.option("--site", help="Where it stands.")
@common
def approve(where: Where, imeis: tuple[str, ...], name: str | None, site: str | None) -> None:
    """Add machines that tried to register: each gets the next number, and may register.

    For gateways with [device] registration = "approve". With "listed", `devgate devices add` does.

    \b
    Example:
      devgate devices approve 123456787654321 --name "Bay 4" --site north
    """
    _each(where, imeis, {"type": "approve", **given(name=name, site=site)})


@click.command()
@IMEIS
@click.option("--undo", is_flag=True, help="Take it back: they are in the list again.")
@common
def dismiss(where: Where, imeis: tuple[str, ...], undo: bool) -> None:
    """Leave machines out of the list of unknown ones. They are refused as before.

    \b
    Example:
      devgate devices dismiss 123456787654321
    """
    _each(where, imeis, {"type": "dismiss", "dismissed": not undo})


def _each(where: Where, imeis: tuple[str, ...], request: Mapping[str, object]) -> NoReturn:
    """Ask for each of them, also after a failure. The first failure is the exit code."""
    socket, worst = where.socket(), 0
    for imei in imeis:
        reply = ask(socket, {**request, "imei": imei})
        code = exit_code(reply)
        worst = worst or code
        if where.as_json:
            emit(reply)
        elif code:
            print_error(sentence(reply))
        else:
            say(sentence(reply))
    raise SystemExit(worst)
