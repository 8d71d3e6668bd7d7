"""`devgate unknown`: the inbox of commands whose outcome is unknown, and what became of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from devgate.cli import describe
from devgate.cli.asking import answer, answered, pages
from devgate.cli.help import Group
from devgate.cli.output import (
    YES,
    Where,
    certain,
    common,
    decorated,
    emit,
    exit_code,
    fail,
    finish,
    options,
    print_error,
    say,
    sentence,
    tell,
)
from devgate.cli.params import ImeiType, SpanType
from devgate.cli.story import COMMAND_ID
from devgate.control.client import ask
from devgate.model import Imei

VERDICTS = ("ran", "did_not_run", "refunded", "other")
PAGE_SIZE = 200  # commands that are resolved at once


@click.group(cls=Group)
@options
def unknown() -> None:
    """Resolve commands that were sent and got no answer in time: nobody knows whether they ran.

    Each stays in this list until a person has looked and said what became of it, or until the
    device's answer comes after all.

    \b
    Examples:
      devgate unknown list --site "Mall North"
      devgate unknown resolve order-4711 --verdict refunded --note "asked the customer"
    """


_filters = decorated(
    click.option("--site", help="Only of this site."),
    click.option("--imei", type=ImeiType(), metavar="IMEI", help="Only of this device."),
    click.option("--person", help="Only those that this one asked for, or resolved."),
    click.option("--older", type=SpanType(), help="Only those that ended longer ago: 1h, 2d."),
    click.option("--newer", type=SpanType(), help="Only those that ended at most so long ago."),
    click.option("--stops", is_flag=True, help="Also stops."),
    click.option("--old", is_flag=True, help="Also those from before the inbox was there."),
)  # fmt: skip


@unknown.command("list")
@click.option(
    "--state", type=click.Choice(("unresolved", "contradicted", "resolved")),
    help="Contradicted: only those whose answer came behind the verdict and says otherwise. "
    "Resolved: what people have said.",
)  # fmt: skip
@_filters
@click.option("--limit", type=click.IntRange(1), help="At most that many.")
@click.option("--after", metavar="ID", help="Go on behind this one: `next` of a page.")
@common
def list_(where: Where, /, **filters: Any) -> None:
    """List what nobody has resolved, newest first. Commands of a group stand together.

    A group is ambiguous: fewer answers came than commands were sent, so that nobody knows which
    of them the device carried out.

    \b
    Examples:
      devgate unknown list --older 1d
      devgate unknown list --state resolved --person anna
      devgate unknown list --json | jq -r '.items[].key'
    """
    reply = answered(where, {"type": "unknown", **_given(filters)})
    if where.as_json:
        finish(reply, as_json=True)
    say(describe.unknown(reply.get("items") or ()))
    if reply.get("next"):
        count = f"{reply.get('count'):,}{'+' if reply.get('more') else ''}"
        print_error(f"there are {count} in all: add --after {reply['next']}")


@unknown.command()
@click.argument("commands", nargs=-1, metavar="[ID|KEY]...")
@click.option("--verdict", type=click.Choice(VERDICTS), required=True, help="What became of it.")
@click.option("--note", help="A sentence for those who look at it later.")
@click.option("--by", help="Who says so. Default: your name on this machine.")
@click.option("--together", is_flag=True, help="Also the others of its group.")
@click.option("--all", "all_", is_flag=True, help="All of the inbox that fit the filters below.")
@_filters
@YES
@common
def resolve(
    where: Where,
    /,
    commands: Sequence[str],
    verdict: str,
    note: str | None,
    by: str | None,
    together: bool,
    all_: bool,
    yes: bool,
    imei: Imei | None,
    **filters: Any,
) -> None:
    """Say what became of commands, by their ids or by their keys.

    The first verdict counts. Where somebody else was earlier, that one is named and the exit code
    is 9. The status of the command stays 408, and its key stays spent. An answer that comes after
    the verdict and says otherwise brings the command up again.

    \b
    Examples:
      devgate unknown resolve order-4711 --verdict ran
      devgate unknown resolve 01M8ACJXG58JF64186BWEAMZCP --verdict refunded --together
      devgate unknown resolve --all --old --older 30d --verdict other --yes
    """
    wanted = _given({**filters, "imei": imei})
    if all_ == bool(commands):
        fail("ids or keys of commands expected, or --all")
    if wanted and not all_:
        fail(f"--{next(iter(wanted))}: only with --all")
    said: dict[str, object] = {
        "type": "resolve",
        "verdict": verdict,
        "note": note,
        "by": by or _me(),
    }
    said |= {"together": True} if together else {}
    if not all_:
        ids = [_found(where, one) for one in commands]
        answer(where, {**said, "commands": ids})
    _resolve_all(where, said, wanted, yes)


def _resolve_all(
    where: Where, said: Mapping[str, object], wanted: Mapping[str, object], yes: bool
) -> None:
    code = done = 0
    for page in pages(where, {"type": "unknown", **wanted}, PAGE_SIZE):
        if not page["items"]:
            continue
        if not done and not code:
            count = f"{page.get('count'):,}{'+' if page.get('more') else ''}"
            certain(f"Resolve {count} as {said['verdict']}?", yes)
        ids = [item["command"] for item in page["items"]]
        reply = ask(where.socket(), {**said, "commands": ids})
        done += len(reply.get("resolved") or ())
        if where.as_json:
            emit(reply)
        elif exit_code(reply):
            print_error(sentence(reply))
        code = code or exit_code(reply)
        if exit_code(reply) not in (0, 9):
            break
    if not where.as_json:
        tell(f"resolved {done:,}, as {said['verdict']}")
    raise SystemExit(code)


def _found(where: Where, given: str) -> str:
    """The id of a command that was given by id or key. A key may have several commands, of which
    one was sent."""
    if COMMAND_ID.fullmatch(given):
        return given
    reply = answered(where, {"type": "history", "key": given})
    found = [item for item in reply.get("items") or () if item.get("resolution")]
    if not found:
        fail(f"no command with the key {given} has, or had, an unknown outcome")
    return str(found[0]["command"])


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, without flags that are off."""
    return {
        name: value for name, value in fields.items() if value is not None and value is not False
    }


def _me() -> str:
    """The name of the user who runs this."""
    import pwd

    try:
        name = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return name[:64]
