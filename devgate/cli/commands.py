"""What became of commands: history, and single commands looked up or cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import click

from devgate.cli import describe
from devgate.cli.output import Where, common, complain, exit_code, finish, options, say
from devgate.cli.params import ImeiType
from devgate.control.client import ask
from devgate.model import Imei

LIMIT = click.option("--limit", type=click.IntRange(1), help="At most that many.")
AFTER = click.option("--after", metavar="ID", help="Go on behind this one: `next` of a page.")


@click.command()
@click.argument("imei", type=ImeiType(), required=False, metavar="[IMEI]")
@LIMIT
@AFTER
@common
def history(where: Where, imei: Imei | None, limit: int | None, after: str | None) -> None:
    """List commands, newest first: all, or those of the device IMEI.

    STATUS is what is known now: a command that got no answer in time is 408, and
    becomes 200, 201 or 202 with the word "late" when its result comes after all.

    \b
    Examples:
      devgate history 123456787654321 --limit 5
      devgate history --json | jq '.items[] | select(.status == "408")'
    """
    _page(where, {"imei": imei, "limit": limit, "after": after})


@click.group()
@options
def commands() -> None:
    """Look up or cancel single commands, by the ids that starts and stops print.

    \b
    Examples:
      devgate commands list --waiting
      devgate commands show 01K3Z6T5A9Q8W7E6R5T4Y3U2I1
      devgate commands cancel 01K3Z6T5A9Q8W7E6R5T4Y3U2I1
    """


@commands.command("list")
@click.argument("imei", type=ImeiType(), required=False, metavar="[IMEI]")
@click.option("--waiting", is_flag=True, help="Only those that wait to be sent.")
@LIMIT
@AFTER
@common
def list_(
    where: Where, imei: Imei | None, waiting: bool, limit: int | None, after: str | None
) -> None:
    """List commands, newest first.

    \b
    Examples:
      devgate commands list --waiting
      devgate commands list 123456787654321 --limit 5
    """
    state = "waiting" if waiting else None
    _page(where, {"imei": imei, "state": state, "limit": limit, "after": after})


@commands.command()
@click.argument("command", metavar="ID")
@common
def show(where: Where, command: str) -> None:
    """Show all that is known about the command ID.

    The exit code is that of the command's own outcome (`devgate start --help`).

    \b
    Example:
      devgate commands show 01K3Z6T5A9Q8W7E6R5T4Y3U2I1
    """
    reply = ask(where.socket(), {"type": "command", "command": command})
    if where.as_json or "state" not in reply:
        finish(reply, where.as_json)
    say(describe.record(reply))
    raise SystemExit(exit_code(reply))


@commands.command()
@click.argument("command", metavar="ID")
@common
def cancel(where: Where, command: str) -> None:
    """Cancel the command ID, if it still waits to be sent.

    What was sent cannot be called back: stop the device instead.

    \b
    Example:
      devgate commands cancel 01K3Z6T5A9Q8W7E6R5T4Y3U2I1
    """
    finish(ask(where.socket(), {"type": "cancel", "command": command}), where.as_json)


def _page(where: Where, fields: Mapping[str, object]) -> NoReturn:
    given = {name: value for name, value in fields.items() if value is not None}
    reply: Mapping[str, Any] = ask(where.socket(), {"type": "history", **given})
    if where.as_json or (code := exit_code(reply)):
        finish(reply, where.as_json)
    say(describe.records(reply.get("items") or ()))
    if reply.get("next"):
        complain(f"there are more: add --after {reply['next']}")
    raise SystemExit(code)
