"""`devgate quarantine`: show, begin and lift a quarantine, and list untried keys."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from devgate.cli.asking import answered
from devgate.cli.describe import quarantine as described
from devgate.cli.help import Group
from devgate.cli.language import said
from devgate.cli.output import YES, Where, certain, common, fail, finish, options
from devgate.control.client import NoGateway, ask
from devgate.model import EXIT

KEYS_PER_REQUEST = 400  # keys; a request has 64 KiB at most


@click.group(cls=Group)
@options
def quarantine() -> None:
    """Refuse starts after a restore, until it is known what was tried.

    A database that was restored from a copy does not know which orders came after that: their
    keys are free, and an order that is asked for again would start its machine a second time. In
    quarantine every start is refused with 423, but for keys that your shop lists as never tried.

    \b
    Examples:
      devgate quarantine show
      devgate quarantine allow never-tried.csv
      devgate quarantine lift
    """


@quarantine.command()
@common
def show(where: Where) -> None:
    """Show whether starts are refused, since when, and how many keys are listed as untried.

    \b
    Example:
      devgate quarantine show --json | jq .quarantine
    """
    try:
        reply: Mapping[str, Any] = ask(where.socket(), {"type": "quarantine"})
    except NoGateway as err:
        reply = _stored(where, err)
    finish(reply, where.as_json, _shown)


@quarantine.command()
@click.argument("file", type=click.Path(path_type=Path))
@common
def allow(where: Where, file: Path) -> None:
    """List the keys in FILE as never tried: starts with them are accepted.

    FILE is CSV with a header that has a column `key`; other columns are ignored. List only orders
    of which you know that no start was ever asked with their key: those that were paid while the
    shop was closed, say. A key is good for one start, as ever. 100,000 can be listed.

    \b
    Example:
      devgate quarantine allow never-tried.csv
    """
    keys = list(_keys(file))
    if not keys:
        fail(f"{file}: there is no key in it", EXIT["400"])
    reply: Mapping[str, Any] = {}
    for start in range(0, len(keys), KEYS_PER_REQUEST):
        some = keys[start : start + KEYS_PER_REQUEST]
        reply = answered(where, {"type": "quarantine_allow", "keys": some})
    held = reply["quarantine"]
    message = f"keys listed as untried: {len(keys)} now, {held['keys']} in all"
    finish({**reply, "message": message}, where.as_json)


@quarantine.command()
@YES
@common
def lift(where: Where, yes: bool) -> None:
    """Accept all starts again.

    Do that once no order can come again that was tried after the copy was made: your shop knows
    what became of them, and payment providers have stopped repeating their calls.

    With no gateway running, it is lifted in the database itself.

    \b
    Example:
      devgate quarantine lift
    """
    certain("Accept all starts again, also for keys that may have been tried?", yes)
    try:
        reply = ask(where.socket(), {"type": "quarantine_lift"})
    except NoGateway as err:
        _absent(err)
        from devgate.cli.local.stored import configured
        from devgate.store.copies import lift_quarantine

        held = lift_quarantine(configured(where))
        reply = {"status": "200", "message": f"the quarantine is lifted ({held.reason})"}
    finish(reply, where.as_json)


@quarantine.command()
@click.option("--reason", default="", help="Why, in a sentence that everybody sees.")
@YES
@common
def begin(where: Where, reason: str, yes: bool) -> None:
    """Begin a quarantine, with no gateway running.

    `devgate restore` does this by itself. This is for a database that was restored in another
    way: from a file system's snapshot, or by the provider of your PostgreSQL. Starts that wait
    in it for their device may have been sent since: they count as sent, and their outcome is
    unknown.

    \b
    Example:
      systemctl stop devgate && devgate quarantine begin
    """
    from devgate.cli.local.stored import configured
    from devgate.store.copies import begin_quarantine

    certain("Refuse every start until the quarantine is lifted?", yes)
    count = begin_quarantine(configured(where), reason)
    finish(
        {
            "status": "200",
            "message": f"every start is refused from now on; {count} starts that waited count as "
            "sent, with an unknown outcome",
            "waiting": count,
        },
        where.as_json,
    )


def _keys(file: Path) -> Iterator[str]:
    """The column `key`. A file that has none ends the command."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines)
            if "key" not in (rows.fieldnames or ()):
                fail(f"{file}: a header with a column `key` expected", EXIT["400"])
            for row in rows:
                if key := (row["key"] or "").strip():
                    yield key
    except OSError as err:
        fail(f"{file}: {err.strerror}", EXIT["400"])
    except (UnicodeDecodeError, csv.Error) as err:
        fail(f"{file}: no CSV in UTF-8: {err}", EXIT["400"])


def _absent(err: NoGateway) -> None:
    """Raise the error unless no gateway runs: a gateway that runs works with the database."""
    if not err.absent:
        raise err


def _stored(where: Where, err: NoGateway) -> Mapping[str, Any]:
    _absent(err)
    from devgate.cli.local.stored import store
    from devgate.model import iso
    from devgate.store.quarantine import read, untried

    with store(where) as database, database.read() as conn:
        held, keys = read(conn), len(untried(conn))
    found = held and {
        "since": iso(held.since), "copied_at": iso(held.copied_at), "reason": held.reason,
        "keys": keys,
    }  # fmt: skip
    return {"status": "200", "message": "there is no quarantine", "quarantine": found}


def _shown(reply: Mapping[str, Any]) -> str:
    return described(reply.get("quarantine")) or said("there is no quarantine")
