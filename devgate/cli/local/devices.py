"""`devgate devices`: the list of known machines.

It is the running gateway's to show and to change. Where none runs, the commands work on its
database. The store is imported in the functions: `--help` needs none of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from devgate.cli import describe
from devgate.cli.local.devices_change import add, disable, edit, enable, remove
from devgate.cli.local.devices_file import export, import_
from devgate.cli.local.stored import asked, store
from devgate.cli.output import (
    Where,
    common,
    complain,
    emit,
    exit_code,
    fail,
    finish,
    options,
    plain,
    say,
)
from devgate.cli.params import ImeiType
from devgate.cli.unknown import approve, dismiss, unknown
from devgate.control.client import NoAnswer, NoGateway, ask
from devgate.model import NO_GATEWAY, Imei, iso

if TYPE_CHECKING:
    from devgate.store.engine import Database

Items = list[dict[str, Any]]
Page = Callable[[str | None, int], tuple[Items, str | None]]  # after, limit: items, next

PAGE = 500  # devices asked for at once
KNOWN = ("imei", "id", "name", "site", "enabled")
# What only a gateway knows of a device, as `status` and `devices` of control.md call it.
LIVE = ("online", "since", "address", "heard", "running_until")
COLUMNS = (
    "imei", "id", "name", "site", "phone", "qr", "unit", "ack_timeout", "enabled"
)  # fmt: skip


@click.group()
@options
def devices() -> None:
    """Keep the list of known devices.

    The commands ask the gateway that runs: what they change is in force when they return. It
    lets root, its own user and whom [control] role allows change devices. Where no gateway
    runs, they work on its database.

    \b
    Examples:
      devgate devices add 123456787654321 --name "Bay 4" --site north
      devgate devices import machines.csv
      devgate devices list --online
    """


@devices.command("list")
@click.option("--online/--offline", default=None, help="Only those that are, or are not.")
@click.option("--running", is_flag=True, help="Only those that run after a start.")
@click.option("--site", help="Only those of one site.")
@click.option(
    "--limit", type=click.IntRange(0), default=100, show_default=True,
    help="At most this many; 0 for all.",
)  # fmt: skip
@click.option("--after", type=ImeiType(), metavar="IMEI", help="Go on behind this one.")
@common
def list_(
    where: Where, online: bool | None, running: bool, site: str | None, limit: int,
    after: str | None,
) -> None:  # fmt: skip
    """List devices, ordered by IMEI.

    Who is online the running gateway says; without one it is unknown.

    \b
    Examples:
      devgate devices list --offline --site north
      devgate devices list --limit 0 --json | jq -r '.items[].imei'
    """
    wanted = {"online": online, "running": running or None, "site": site}
    asked = {name: value for name, value in wanted.items() if value is not None}

    def page(after: str | None, limit: int) -> tuple[Items, str | None]:
        place = {"limit": limit} | ({} if after is None else {"after": after})
        reply = ask(where.socket(), {"type": "devices", **asked, **place})
        if exit_code(reply):
            finish(reply, where.as_json)
        return reply["items"], reply.get("next")

    try:
        _print_pages(where, page, limit, after)
    except NoAnswer:
        raise
    except NoGateway as err:
        if online is not None:
            fail(f"who is online is unknown: {err}", NO_GATEWAY)
        with store(where) as database:
            complain(f"no gateway answers: read from {database.url_shown}, online is unknown")
            _print_pages(where, _stored_pages(database, running, site), limit, after)


def _stored_pages(database: Database, running: bool, site: str | None) -> Page:
    from devgate.store import history
    from devgate.store.search import search

    def page(after: str | None, limit: int) -> tuple[Items, str | None]:
        with database.read() as conn:
            until = dict(history.running(conn, time.time())) if running else {}
            found = search(conn, after, limit + 1, imeis=until if running else None, site=site)
        items: Items = [
            {name: getattr(device, name, None) for name in (*KNOWN, *LIVE)}
            | {"running_until": iso(until.get(device.imei))}
            for device in found[:limit]
        ]
        return items, items[-1]["imei"] if len(found) > limit else None

    return page


def _print_pages(where: Where, page: Page, limit: int, after: str | None) -> None:
    left, header = limit or sys.maxsize, True
    while True:
        items, after = page(after, min(left, PAGE))
        left -= len(items)
        if where.as_json:
            emit({"status": "200", "items": items, "next": after})
        elif items or header:
            lines = describe.devices(items)
            say(lines if header else lines.partition("\n")[2])
        header = False
        if after is None:
            return
        if left <= 0:
            if not where.as_json:
                complain(f"there are more: add --after {after}")
            return


@devices.command()
@click.argument("imei", type=ImeiType())
@common
def show(where: Where, imei: Imei) -> None:
    """Show all that is known of the device IMEI.

    \b
    Example:
      devgate devices show 123456787654321
    """
    reply = asked(where, {"type": "device", "imei": imei})
    if reply is None:
        known = _stored(where, imei)
    elif exit_code(reply):
        finish(reply, where.as_json)
    else:
        known = {name: reply.get(name) for name in (*COLUMNS, *LIVE)}
    if where.as_json:
        return emit({"status": "200", **known})
    for name, value in known.items():
        text = "-" if value is None else plain(str(value))
        if isinstance(value, bool):
            text = "yes" if value else "no"
        say(f"{name.replace('_', ' '):<13}  {text}")
    return None


def _stored(where: Where, imei: Imei) -> dict[str, Any]:
    """What the database has of a device."""
    from devgate.store import devices, history

    with store(where) as database, database.read() as conn:
        device, last = devices.get(conn, imei), history.presence_of(conn, [imei]).get(imei)
        if device is None:
            raise devices.unknown(imei)
    known: dict[str, Any] = device._asdict() | dict.fromkeys(LIVE)
    if last is not None:  # what is on disk says nothing of now
        known |= {name: iso(last[name]) for name in ("heard", "running_until")}
    return known


for command in (add, edit, enable, disable, remove, unknown, approve, dismiss, import_, export):
    devices.add_command(command)
