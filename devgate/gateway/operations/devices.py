"""Operations on what is known of devices: look, add, edit, remove, export.

What they write is in the database when they answer, and in force.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from devgate.errors import CallerError
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, status
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.model import Imei
from devgate.store import devices as stored
from devgate.store import history
from devgate.store.device import COLUMNS, MAX_ACK_TIMEOUT, NULLABLE, RECORD, Device, checked
from devgate.store.history import Reading
from devgate.store.machine_record import tagged

PAGE_DEVICES = 1000  # of an export, that one read returns
PLACE_FIELDS = ("latitude", "longitude")
TAGGING = ("tag", "untag")  # of an edit: tags to add, or to remove
ANY_IMEI = Imei("0" * 15)  # of a device that stands for any, to check values


async def device(gateway: Gateway, args: Args, source: str) -> Reply:
    """One device: its status and all of its settings. Raises CallerError (300)."""
    imei = arguments.device(args)
    reply = await status.status(gateway, {"imei": imei}, source)
    known = await gateway.records.read(stored.get, imei)
    if known is None:
        raise stored.unknown(imei)
    return {
        **reply,
        "phone": known.phone,
        "qr": known.qr,
        "ack_timeout": known.ack_timeout,
        **{name: getattr(known, name) for name in RECORD},
    }


async def some(gateway: Gateway, imeis: Collection[str]) -> Sequence[Reply]:
    """These devices, as the list has them; those that are not known are left out. Raises
    StoreError."""
    found, rows = await gateway.records.read(_some, imeis)
    return [status.item(gateway, device, rows.get(device.imei)) for device in found]


def _some(
    conn: Reading, imeis: Collection[str]
) -> tuple[Sequence[Device], Mapping[str, history.Record]]:
    return [*stored.among(conn, imeis)], history.presence_of(conn, [*imeis])


async def add(gateway: Gateway, args: Args, source: str) -> Reply:
    """Add a device. Raises CallerError (409) if its IMEI or its id is taken."""
    imei, fields = arguments.device(args), given(args)

    def change(conn: Reading) -> Device:
        stored.claim(conn)
        if "id" not in fields:
            fields["id"] = stored.next_id(conn)
        return stored.add(conn, Device(imei, **fields))

    with gateway.knowledge.changing(source, imei):
        device = await gateway.records.change(change)
        await gateway.knowledge.refresh()
    gateway.places.changed()
    return {
        "status": "200", "message": f"added {imei} as number {device.id}", **device._asdict()
    }  # fmt: skip


async def edit(gateway: Gateway, args: Args, source: str) -> Reply:
    """Change fields of a device, or of several, all or none. Raises CallerError: 300, or 409 if
    the id is taken."""
    imeis, fields = arguments.devices(args), given(args)
    if not fields:
        raise CallerError("400", f"nothing to change: one of {', '.join(COLUMNS[1:])} expected")
    if "id" in fields and len(imeis) > 1:
        raise CallerError("400", "id: one device alone can have it")

    old: dict[Imei, Device] = {}
    change = partial(stored.edit_all, imeis=imeis, changes=fields, old=old)
    found = await _changed(gateway, imeis, source, change, old)
    if "imei" in args:
        return {"status": "200", "message": f"changed {imeis[0]}", **found[0]._asdict()}
    return {"status": "200", "message": f"changed {len(imeis)} devices", "imeis": imeis}


async def remove(gateway: Gateway, args: Args, source: str) -> Reply:
    """Remove a device, or several, all or none; connections end. Raises CallerError (300)."""
    imeis = arguments.devices(args)
    await _changed(gateway, imeis, source, partial(stored.remove, imeis=imeis))
    if "imei" in args:
        return {"status": "200", "message": f"removed {imeis[0]}", "imei": imeis[0]}
    return {"status": "200", "message": f"removed {len(imeis)} devices", "imeis": imeis}


async def _changed(
    gateway: Gateway,
    imeis: Sequence[Imei],
    source: str,
    change: Callable[[Reading], list[Device] | None],
    old: Mapping[Imei, Device] = {},
) -> list[Device]:
    with ExitStack() as stack:
        for imei in imeis:
            stack.enter_context(gateway.knowledge.changing(source, imei))
        await gateway.knowledge.learn(imeis)  # events say what they were before
        found = await gateway.records.change(change) or []
        for device in found:
            gateway.knowledge.note_record(device.imei, old[device.imei], device)
        await gateway.knowledge.refresh()
    gateway.places.changed()
    return found


def given(args: Args) -> dict[str, Any]:
    """The fields of a device in the request, by the names of the columns. Types are checked here,
    values by the store. `number` is the device's `id` where that names the request: on the
    socket."""
    if "number" in args:
        if "id" in args:
            raise CallerError("400", "number: either number or id expected, not both")
        args = {**args, "id": args["number"]}
    found: dict[str, Any] = {}
    if len(alone := [name for name in PLACE_FIELDS if name in args]) == 1:
        [missing] = set(PLACE_FIELDS) - {*alone}
        raise CallerError("400", f"{missing}: a number expected, for {alone[0]} is given")
    for name in (*COLUMNS[1:], *TAGGING):
        if name not in args:
            continue
        value = args[name]
        if name == "id":
            value = arguments.number(args, "id")
        elif name == "ack_timeout":
            value = arguments.seconds(args, name, MAX_ACK_TIMEOUT)
        elif name == "enabled":
            value = arguments.yes(args, "enabled", True)
        elif name in PLACE_FIELDS and value is not None:
            pass  # a number: the store says what else is wrong with it
        elif not isinstance(value, str) and not (value is None and name in NULLABLE):
            raise arguments.expected(name, "a string", value)
        if name == "id" and value is None:
            continue  # to be counted up, or left as it is
        found[name] = value
    return found


def check(fields: Mapping[str, Any]) -> None:
    """Whether any device can have that. Raises CallerError (400), which names the field."""
    alone = {name: value for name, value in fields.items() if name not in TAGGING}
    checked(Device(ANY_IMEI, 0, **alone))
    tagged(None, fields.get("tag"), fields.get("untag"))


async def export(gateway: Gateway, args: Args, source: str) -> Stream:
    """All devices by IMEI, one a line. With `end`, a last line says that they were all."""
    end, sites = arguments.yes(args, "end", False), arguments.own_sites(args)
    # An error here is a reply.
    first = await gateway.records.read(stored.page, None, PAGE_DEVICES, sites)
    return Stream({"status": "200", "message": "all devices"}, _all(gateway, first, end, sites))


async def _all(
    gateway: Gateway, page: list[Device], end: bool, sites: frozenset[str] | None
) -> AsyncGenerator[Reply, None]:
    """Each device, by IMEI. Read page by page: who reads slowly keeps no transaction open."""
    while page:
        for one in page:
            yield one._asdict()
        page = await gateway.records.read(stored.page, page[-1].imei, PAGE_DEVICES, sites)
    if end:
        yield {"end": True}
