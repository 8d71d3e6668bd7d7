"""`devgate devices add`, `edit`, `enable`, `disable` and `remove`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import click

from devgate.cli.local.stored import asked, done, store
from devgate.cli.output import YES, Where, certain, common, decorated, exit_code, finish
from devgate.cli.params import EMPTY, ImeiType, OwnSpanType, PositionType
from devgate.model import Imei

# Texts of a machine's record, as the store has them, which is not imported for a request.
RECORD = ("model", "serial", "firmware", "installed_on", "iccid", "sim_phone", "tags", "note")


# The options that `add` and `edit` share.
_fields = decorated(
    click.option("--id", type=int, help="The number that {id} in texts stands for."),
    click.option("--name", help="What people call it."),
    click.option("--site", help="Where it stands."),
    click.option("--phone", help='Its own service telephone; "" for the gateway\'s.'),
    click.option("--qr", help='Its own text of the QR code; "" for the gateway\'s.'),
    click.option("--unit", type=click.Choice(["seconds", "times"]),
                 help="What the number of a start counts."),
    click.option("--ack-timeout", type=OwnSpanType(),
                 help='Its own seconds to answer a command; "" for the gateway\'s.'),
    click.option("--model", help='Its model; as of all below, "" for none.'),
    click.option("--serial", help="The maker's own number, as on its plate."),
    click.option("--firmware", help="The version of its firmware."),
    click.option("--installed-on", metavar="DAY", help="Since when it stands there."),
    click.option("--iccid", help="Of its SIM: 18 to 22 digits."),
    click.option("--sim-phone", metavar="NUMBER", help="The telephone number of its SIM."),
    click.option("--tags", help="Words to find it by, with commas between."),
    click.option("--note", help="What people should know."),
    click.option("--position", type=PositionType(), help="Degrees north and east."),
)  # fmt: skip


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given. None: the gateway's default again, or not known any more."""
    given = {name: None if value is EMPTY else value for name, value in fields.items()
             if value is not None}  # fmt: skip
    for name in RECORD:
        if given.get(name) == "":
            given[name] = None
    if "position" in given:
        place = given.pop("position") or (None, None)
        given |= dict(zip(("latitude", "longitude"), place, strict=True))
    return given


def _asking(given: Mapping[str, Any]) -> dict[str, Any]:
    """These as the fields of a request, where `id` names the request itself."""
    return {"number" if name == "id" else name: value for name, value in given.items()}


@click.command()
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
    given = _given(fields)
    if disabled:
        given["enabled"] = False
    reply = asked(where, {"type": "add", "imei": imei, **_asking(given)})
    if reply is not None:
        finish(reply, where.as_json)

    from devgate.store import devices
    from devgate.store.device import Device

    with store(where) as database:
        with database.write() as conn:
            devices.claim(conn)
            if "id" not in given:
                given["id"] = devices.next_id(conn)
            device = devices.add(conn, Device(imei, **given))
        done(where, database, f"added {imei} as number {device.id}", **device._asdict())


@click.command()
@click.argument("imei", type=ImeiType())
@_fields
@click.option("--tag", help="Tags to add to those that are there.")
@click.option("--untag", help="Tags to take away.")
@common
def edit(where: Where, /, imei: Imei, **fields: Any) -> None:
    """Change the device IMEI: what is given, and nothing else.

    \b
    Examples:
      devgate devices edit 123456787654321 --site south --unit times
      devgate devices edit 123456787654321 --phone ""
      devgate devices edit 123456787654321 --ack-timeout 30s
      devgate devices edit 123456787654321 --model MC-4 --position 31.2304,121.4737
      devgate devices edit 123456787654321 --tag leather
    """
    changes = _given(fields)
    if not changes:
        raise click.UsageError("Say what to change, --name or --site for example.")
    _change(where, (imei,), changes, "changed")


@click.command()
@click.argument("imeis", metavar="IMEI...", type=ImeiType(), nargs=-1, required=True)
@common
def enable(where: Where, imeis: tuple[Imei, ...]) -> None:
    """Let devices register again.

    \b
    Example:
      devgate devices enable 123456787654321
    """
    _change(where, imeis, {"enabled": True}, "enabled")


@click.command()
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
    _ask(where, imeis, {"type": "edit", **_asking(changes)}, word)

    from devgate.store import devices

    with store(where) as database:
        with database.write() as conn:
            new = devices.edit_all(conn, imeis, changes)
        fields = new[0]._asdict() if len(new) == 1 else {"imeis": imeis}
        done(where, database, f"{word} {', '.join(imeis)}", **fields)


def _ask(where: Where, imeis: tuple[Imei, ...], request: Mapping[str, Any], word: str) -> None:
    """Ask the gateway that runs, and end with its reply; return if none runs."""
    which = {"imei": imeis[0]} if len(imeis) == 1 else {"imeis": imeis}
    reply = asked(where, {**request, **which})
    if reply is None:
        return
    if not exit_code(reply):
        reply["message"] = f"{word} {', '.join(imeis)}"
    finish(reply, where.as_json)


@click.command()
@click.argument("imeis", metavar="IMEI...", type=ImeiType(), nargs=-1, required=True)
@YES
@common
def remove(where: Where, imeis: tuple[Imei, ...], yes: bool) -> None:
    """Forget devices, all or none. Their history stays.

    \b
    Example:
      devgate devices remove 123456787654321 123456787654322 --yes
    """
    certain(f"Remove {', '.join(imeis)}?", yes)
    _ask(where, imeis, {"type": "remove"}, "removed")

    from devgate.store import devices

    with store(where) as database:
        with database.write() as conn:
            devices.remove(conn, imeis)
        fields: dict[str, Any] = {"imei": imeis[0]} if len(imeis) == 1 else {"imeis": imeis}
        done(where, database, f"removed {', '.join(imeis)}", **fields)
