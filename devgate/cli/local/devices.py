"""`devgate devices`: the list of known machines, kept in the database directly.

A running gateway is notified afterwards, so that the change is in force when the command returns.
The store is imported in the functions: `--help` needs none of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import click

from devgate.cli import describe
from devgate.cli.local.devices_file import export, import_
from devgate.cli.local.stored import done, store
from devgate.cli.output import (
    YES,
    Where,
    certain,
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
from devgate.cli.params import NONE, ImeiType, OwnSpan
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


@click.group()
@options
def devices() -> None:
    """Keep the list of known devices.

    The commands work on the database directly, with the gateway running or not. When one
    returns, a running gateway works by the change.

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
    from devgate.store import devices, history

    with store(where) as database, database.read() as conn:
        device, last = devices.get(conn, imei), history.presence_of(conn, [imei]).get(imei)
        if device is None:
            raise devices.unknown(imei)
    known: dict[str, Any] = device._asdict() | dict.fromkeys(LIVE)
    if last is not None:  # what is on disk says nothing of now
        known |= {name: iso(last[name]) for name in ("heard", "running_until")}
    try:
        live: Mapping[str, Any] = ask(where.socket(), {"type": "status", "imei": imei})
    except NoGateway:
        live = {}
    if live.get("status") == "200":
        known |= {name: live.get(name) for name in LIVE}
    if where.as_json:
        return emit({"status": "200", **known})
    for name, value in known.items():
        text = "-" if value is None else plain(str(value))
        if isinstance(value, bool):
            text = "yes" if value else "no"
        say(f"{name.replace('_', ' '):<13}  {text}")
    return None


def _fields(command: Callable[..., None]) -> Callable[..., None]:
    """The options that `add` and `edit` share."""
    for decorate in reversed((
        click.option("--id", type=int, help="The number that {id} in texts stands for."),
        click.option("--name", help="What people call it."),
        click.option("--site", help="Where it stands."),
        click.option("--phone", help='Its own service telephone; "" for the gateway\'s.'),
        click.option("--qr", help='Its own text of the QR code; "" for the gateway\'s.'),
        click.option("--unit", type=click.Choice(["seconds", "times"]),
                     help="What the number of a start counts."),
        click.option("--ack-timeout", type=OwnSpan(),
                     help='Its own seconds to answer a command; "" for the gateway\'s.'),
    )):  # fmt: skip
        command = decorate(command)
    return command


def _own(value: Any) -> Any:
    """None for what is the gateway's default again."""
    return None if value is NONE else value


@devices.command()
@click.argument("imei", type=ImeiType())
@_fields
@click.option("--disabled", is_flag=True, help="Known, but refused when it registers.")
@common
def add(where: Where, /, imei: Imei, disabled: bool, **fields: Any) -> None:
    """Add the device IMEI. Without --id it gets the next number.

    \b
    Examples:
      devgate devices add 123456787654321
      devgate devices add 123456787654322 --id 17 --name "Bay 5" --phone 400-500-5620
    """
    from devgate.store import devices
    from devgate.store.device import Device

    given = {name: _own(value) for name, value in fields.items() if value is not None}
    with store(where) as database:
        with database.write() as conn:
            devices.claim(conn)
            if "id" not in given:
                given["id"] = devices.next_id(conn)
            device = devices.add(conn, Device(imei, enabled=not disabled, **given))
        done(where, database, f"added {imei} as number {device.id}", **device._asdict())


@devices.command()
@click.argument("imei", type=ImeiType())
@_fields
@common
def edit(where: Where, /, imei: Imei, **fields: Any) -> None:
    """Change the device IMEI: what is given, and nothing else.

    \b
    Examples:
      devgate devices edit 123456787654321 --site south --unit times
      devgate devices edit 123456787654321 --phone ""
      devgate devices edit 123456787654321 --ack-timeout 30s
    """
    changes = {name: _own(value) for name, value in fields.items() if value is not None}
    if not changes:
        raise click.UsageError("Say what to change, --name or --site for example.")
    _change(where, (imei,), changes, "changed")


@devices.command()
@click.argument("imeis", metavar="IMEI...", type=ImeiType(), nargs=-1, required=True)
@common
def enable(where: Where, imeis: tuple[Imei, ...]) -> None:
    """Let devices register again.

    \b
    Example:
      devgate devices enable 123456787654321
    """
    _change(where, imeis, {"enabled": True}, "enabled")


@devices.command()
@click.argument("imeis", metavar="IMEI...", type=ImeiType(), nargs=-1, required=True)
@common
def disable(where: Where, imeis: tuple[Imei, ...]) -> None:
    """Refuse devices without forgetting them: they lose their connections.

    \b
    Example:
      devgate devices disable 123456787654321 123456787654322
    """
    _change(where, imeis, {"enabled": False}, "disabled")


def _change(
    where: Where, imeis: tuple[Imei, ...], changes: Mapping[str, Any], word: str
) -> NoReturn:
    from devgate.store import devices

    with store(where) as database:
        with database.write() as conn:
            new = [devices.edit(conn, imei, changes) for imei in imeis]
        fields = new[0]._asdict() if len(new) == 1 else {"imeis": imeis}
        done(where, database, f"{word} {', '.join(imeis)}", **fields)


@devices.command()
@click.argument("imeis", metavar="IMEI...", type=ImeiType(), nargs=-1, required=True)
@YES
@common
def remove(where: Where, imeis: tuple[Imei, ...], yes: bool) -> None:
    """Forget devices, all or none. Their history stays.

    \b
    Example:
      devgate devices remove 123456787654321 123456787654322 --yes
    """
    from devgate.store import devices

    certain(f"Remove {', '.join(imeis)}?", yes)
    with store(where) as database:
        with database.write() as conn:
            devices.remove(conn, imeis)
        done(where, database, f"removed {', '.join(imeis)}", imeis=imeis)


devices.add_command(import_)
devices.add_command(export)
