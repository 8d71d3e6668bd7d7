"""`devgate commands`: the history, and single commands looked up or cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import click

from devgate.cli import describe
from devgate.cli.asking import answer, answered, given, pages, print_csv
from devgate.cli.help import Group
from devgate.cli.output import (
    Where,
    common,
    decorated,
    exit_code,
    fail,
    finish,
    options,
    print_error,
    say,
    sentence,
)
from devgate.cli.params import ImeiType, MomentType
from devgate.cli.story import story
from devgate.control.client import Reply, ask
from devgate.model import COMMAND_CSV, Imei

ORDER_HINT = "To see the commands of an order: devgate commands story KEY"
ID_LENGTH = 26  # characters
PAGE_SIZE = 1000  # commands that are asked for at once
LIMIT = click.option("--limit", type=click.IntRange(1), help="At most that many.")
AFTER = click.option("--after", metavar="ID", help="Go on behind this one: `next` of a page.")


# The filters of `history` and its CSV.
_filters = decorated(
    click.option("--outcome", metavar="WORDS",
                 help="Only these outcomes: pending, done, failed, unknown, refused."),
    click.option("--kind", type=click.Choice(["start", "stop"]),
                 help="Only starts, or stops."),
    click.option("--site", help="Only of devices that stand at this site now."),
    click.option("--key", help="Only under this key, an order number."),
    click.option("--source", metavar="WAY",
                 help="Only what was asked by this way: web:anna, http:shop, socket."),
    click.option("--since", type=MomentType(), help="Taken then or later: a date, or 7d ago."),
    click.option("--until", type=MomentType(), help="Taken before then."),
)  # fmt: skip


@click.command()
@click.argument("imei", type=ImeiType(), required=False, metavar="[IMEI]")
@_filters
@click.option("--csv", "as_csv", is_flag=True, help="All that fit, as CSV.")
@LIMIT
@AFTER
@common
def history(
    where: Where, /, imei: Imei | None, limit: int | None, after: str | None, as_csv: bool,
    **filters: object,
) -> None:  # fmt: skip
    """List commands, newest first: all, or those of the device IMEI.

    STATUS is what is known now: a command that got no answer in time is 408, and
    becomes 200, 201 or 202 with the word "late" when its result comes after all.

    \b
    Examples:
      devgate history 123456787654321 --limit 5
      devgate history --outcome failed,unknown --since 7d
      devgate history --site north --since 2026-11-01 --until 2026-12-01 --csv
      devgate history --key order-4711
      devgate history --json | jq '.items[] | select(.status == "408")'
    """
    request = {"type": "history", **given(imei=imei, after=after, **filters)}
    if as_csv:
        print_csv(COMMAND_CSV, pages(where, request, PAGE_SIZE, limit), _cells)
    _page(where, {**request, **given(limit=limit)})


@click.command()
@click.argument("words", nargs=-1, required=True)
@common
def find(where: Where, words: tuple[str, ...]) -> None:
    """Find an order, a device or a site by WORDS.

    WORDS are an order number, an IMEI or a part of it, the number on a sticker, a
    name or a site.

    \b
    Examples:
      devgate find order-4711
      devgate find 77
      devgate find Bay 4
    """
    answer(where, {"type": "find", "q": " ".join(words)}, describe.found)


@click.group(cls=Group)
@options
def commands() -> None:
    """Look up or cancel single commands, by the ids that starts and stops print.

    \b
    Examples:
      devgate commands list --waiting
      devgate commands show 01K3Z6T5A9Q8W7E6R5T4Y3U2I1
      devgate commands story order-4711
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
    fields = given(imei=imei, state=state, limit=limit, after=after)
    _page(where, {"type": "history", **fields})


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
    if not (where.as_json or "state" in reply or len(command) == ID_LENGTH):
        fail(f"{sentence(reply)}\n{ORDER_HINT}", exit_code(reply))
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
    answer(where, {"type": "cancel", "command": command})


commands.add_command(story)


def _cells(item: Reply) -> list[object]:
    cells = [item.get(name) for name in COMMAND_CSV]
    return [str(one).lower() if isinstance(one, bool) else one for one in cells]


def _page(where: Where, request: Mapping[str, object]) -> NoReturn:
    reply = answered(where, request)
    if where.as_json:
        finish(reply, as_json=True)
    say(describe.records(reply.get("items") or ()))
    if reply.get("next"):
        print_error(f"there are more: add --after {reply['next']}")
    raise SystemExit(0)
