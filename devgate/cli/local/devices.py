"""`devgate devices`: the list of known machines.

The commands ask the running gateway. If none runs, they work on its database. The store is
imported in the functions: `--help` does not need it.
"""

from __future__ import annotations

from typing import Any

import click

from devgate.cli.help import Group
from devgate.cli.language import said
from devgate.cli.local.devices_change import add, disable, edit, enable, remove
from devgate.cli.local.devices_file import export, import_
from devgate.cli.local.devices_list import LIVE_FIELDS, list_
from devgate.cli.local.stored import asked, store
from devgate.cli.moments import exact
from devgate.cli.output import (
    Where,
    common,
    emit,
    exit_code,
    finish,
    options,
    plain,
    say,
    width,
)
from devgate.cli.params import ImeiType
from devgate.cli.unknown import approve, dismiss, unknown
from devgate.model import Imei, iso

COLUMNS = (
    "imei", "id", "name", "site", "phone", "qr", "unit", "ack_timeout", "enabled", "iccid",
    "sim_phone", "model", "firmware", "serial", "installed_on", "note", "tags", "latitude",
    "longitude",
)  # fmt: skip
TIME_FIELDS = ("since", "heard", "running_until")


@click.group(cls=Group)
@options
def devices() -> None:
    """Manage the list of known devices.

    The commands ask the gateway that runs: what they change is in force when they return. It
    lets root, its own user and whom [control] role allows change devices. Where no gateway
    runs, they work on its database.

    \b
    Examples:
      devgate devices add 123456787654321 --name "Bay 4" --site north
      devgate devices import machines.csv
      devgate devices list --online
    """


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
        known = {name: reply.get(name) for name in (*COLUMNS, *LIVE_FIELDS)}
    if where.as_json:
        return emit({"status": "200", **known})
    for name, value in known.items():
        text = "-" if value is None else plain(str(value))
        if isinstance(value, bool):
            text = said("yes" if value else "no")
        elif name in TIME_FIELDS and value is not None:
            text = exact(value)
        label = said(name.replace("_", " "))
        say(f"{label}{' ' * (13 - width(label))}  {text}")
    return None


def _stored(where: Where, imei: Imei) -> dict[str, Any]:
    """What the database has of a device."""
    from devgate.store import devices, history

    with store(where) as database, database.read() as conn:
        device, last = devices.get(conn, imei), history.presence_of(conn, [imei]).get(imei)
        if device is None:
            raise devices.unknown(imei)
    known: dict[str, Any] = device._asdict() | dict.fromkeys(LIVE_FIELDS)
    if last is not None:  # whether it is online now is not on disk
        known |= {name: iso(last[name]) for name in ("heard", "running_until")}
    return known


for command in (
    list_, add, edit, enable, disable, remove, unknown, approve, dismiss, import_, export,
):  # fmt: skip
    devices.add_command(command)
