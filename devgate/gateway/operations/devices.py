"""Operations on what is known of devices: look, search, add, edit, remove, import, export.

What they write is in the database when they answer, and in force.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from typing import Any, BinaryIO, cast

import trio

from devgate.errors import CallerError, StoreError
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, fleetwide, status
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply, Stream
from devgate.model import Imei, shown
from devgate.store import csv_import, history
from devgate.store import devices as stored
from devgate.store.device import COLUMNS, MAX_ACK_TIMEOUT, MAX_NAME, Device
from devgate.store.history import Reading
from devgate.store.search import search

PAGE = 1000  # devices of an export that are read at once
MAX_SEARCH = 64  # characters of what is looked for
ON_CONFLICT = ("fail", "skip", "update")


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
    }


async def devices(gateway: Gateway, args: Args, source: str) -> Reply:
    """A page of known devices, with their state. The filters are combined with "and"."""
    online, running = arguments.maybe(args, "online"), arguments.maybe(args, "running")
    after, limit = arguments.text(args, "after", 15), arguments.limit(args)
    only: set[str] | None = None
    without: set[str] = set()
    for wanted, imeis in ((online, fleetwide.online), (running, fleetwide.running)):
        if wanted:
            found_now = set(await imeis(gateway))
            only = found_now if only is None else only & found_now
        elif wanted is False:
            without |= set(await imeis(gateway))
    found, rows = await gateway.records.read(
        _page,
        after,
        limit + 1,
        text=arguments.text(args, "q", MAX_SEARCH),
        site=arguments.text(args, "site", MAX_NAME),
        enabled=arguments.maybe(args, "enabled"),
        imeis=only,
        without=without,
    )
    more = len(found) > limit
    items = [status.item(gateway, device, rows.get(device.imei)) for device in found[:limit]]
    return {"status": "200", "items": items, "next": items[-1]["imei"] if more else None}


def _page(
    conn: Reading, /, after: str | None, limit: int, **wanted: Any
) -> tuple[Sequence[Device], Mapping[str, history.Record]]:
    found = search(conn, after, limit, **wanted)
    return found, history.presence_of(conn, [device.imei for device in found])


async def add(gateway: Gateway, args: Args, source: str) -> Reply:
    """Add a device. Raises CallerError (409) if its IMEI or its id is taken."""
    imei, given = arguments.device(args), _given(args)

    def change(conn: Reading) -> Device:
        stored.claim(conn)
        if stored.get(conn, imei) is not None:
            raise CallerError("409", f"imei: the device {imei} is there already")
        id = given.pop("id", None)
        if id is None:
            id = stored.next_id(conn)
        _must_be_free(conn, imei, id)
        return stored.add(conn, Device(imei, id, **given))

    return await _changed(gateway, imei, source, change, f"added {imei}")


async def edit(gateway: Gateway, args: Args, source: str) -> Reply:
    """Change fields of a device. Raises CallerError: 300, or 409 if the id is taken."""
    imei, given = arguments.device(args), _given(args)
    if not given:
        raise CallerError("400", f"nothing to change: one of {', '.join(COLUMNS[1:])} expected")

    def change(conn: Reading) -> Device:
        stored.claim(conn)
        if (id := given.get("id")) is not None:
            _must_be_free(conn, imei, id)
        return stored.edit(conn, imei, given)

    return await _changed(gateway, imei, source, change, f"changed {imei}")


async def remove(gateway: Gateway, args: Args, source: str) -> Reply:
    """Remove a device; its connection ends. Raises CallerError (300)."""
    imei = arguments.device(args)
    with gateway.knowledge.changing(source, imei):
        await gateway.records.change(stored.remove, [imei])
        await gateway.knowledge.refresh()
    return {"status": "200", "message": f"removed {imei}", "imei": imei}


async def _changed(
    gateway: Gateway,
    imei: Imei,
    source: str,
    change: Callable[[Reading], Device],
    message: str,
) -> Reply:
    with gateway.knowledge.changing(source, imei):
        device = await gateway.records.change(change)
        await gateway.knowledge.refresh()
    return {"status": "200", "message": message, **device._asdict()}


def _must_be_free(conn: Reading, imei: Imei, id: int) -> None:
    owner = stored.owners(conn, [id]).get(id, imei)
    if owner != imei:
        raise CallerError("409", f"id: {id} is the device {owner}'s")


def _given(args: Args) -> dict[str, Any]:
    """What the request says of a device, by the columns' names. Values are the store's to check,
    types are ours."""
    given: dict[str, Any] = {}
    for name in COLUMNS[1:]:
        if name not in args:
            continue
        value = args[name]
        if name == "id":
            value = arguments.number(args, "id")
        elif name == "ack_timeout":
            value = arguments.seconds(args, name, MAX_ACK_TIMEOUT)
        elif name == "enabled":
            value = arguments.yes(args, "enabled", True)
        elif not isinstance(value, str) and not (value is None and name in ("phone", "qr")):
            raise CallerError("400", f"{name}: a string expected, not {shown(value)}")
        if name == "id" and value is None:
            continue  # to be counted up, or left as it is
        given[name] = value
    return given


async def import_devices(gateway: Gateway, args: Args, source: str) -> Reply:
    """Import. `csv` is the text, or (within the process) a file of it."""
    given = args.get("csv")
    if isinstance(given, str):
        given = BytesIO(given.encode("utf-8", "surrogatepass"))
    if given is None or not hasattr(given, "readline"):
        raise CallerError("400", f"csv: a text expected, not {shown(given)}")
    on_conflict = arguments.choice(args, "on_conflict", ON_CONFLICT) or "fail"

    def progress(what: str, done: int, total: int) -> None:
        if gateway.orders.closed:
            raise StoreError("the gateway stops; run the same import again to complete it")

    # What was begun is finished: half an import helps nobody whose connection was lost.
    with trio.CancelScope(shield=True), gateway.knowledge.changing(source):
        try:
            imported = await gateway.records.whole(
                csv_import.import_csv,
                cast("BinaryIO", given),
                cast("csv_import.OnConflict", on_conflict),
                progress,
            )
        finally:
            await gateway.knowledge.refresh()  # some of it may be there, whatever happened
    message = (
        f"{imported.added} added, {imported.updated} updated, {imported.skipped} there already"
    )
    return {"status": "200", "message": message, **asdict(imported)}


async def export(gateway: Gateway, args: Args, source: str) -> Stream:
    """All devices by IMEI, one a line."""
    first = await gateway.records.read(search, None, PAGE)  # an error here is a reply
    return Stream({"status": "200", "message": "all devices"}, _all(gateway, first))


async def _all(gateway: Gateway, page: list[Device]) -> AsyncGenerator[Reply, None]:
    """Each device, by IMEI. Read page by page: who reads slowly keeps no transaction open."""
    while page:
        for one in page:
            yield one._asdict()
        page = await gateway.records.read(search, page[-1].imei, PAGE)
