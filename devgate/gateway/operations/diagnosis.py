"""The operation that says how well one machine does, from what is on disk of it."""

from __future__ import annotations

from typing import NamedTuple

from devgate.errors import no_device
from devgate.gateway.clock import time
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.gateway.reports.diagnosis import (
    DAY_SECONDS,
    DAYS,
    Connections,
    EventItem,
    answers,
)
from devgate.model import Imei, iso
from devgate.store import devices as stored
from devgate.store import diagnosis as reads
from devgate.store.device import Device
from devgate.store.diagnosis import CommandAnswer
from devgate.store.history import Reading


class MachineData(NamedTuple):
    """What the database has of one machine."""

    device: Device
    events: list[EventItem]
    complete: bool  # there are no older events in that time
    answers: list[CommandAnswer]
    others: list[CommandAnswer]  # of machines of its model
    compared: int  # the number of these machines


async def diagnosis(gateway: Gateway, args: Args, source: str) -> Reply:
    """Reconnects, silences, absences and answers of one device, over 1, 7 or 30 days up to now."""
    imei, now = arguments.device(args), time()
    given = arguments.number(args, "days")
    days = DAYS[1] if given is None else given
    if days not in DAYS:
        raise arguments.expected("days", "one of 1, 7, 30", days)
    since = now - days * DAY_SECONDS
    await gateway.records.flushed()
    found = await gateway.records.read(_read, imei, since)
    connections = Connections(found.events, since, now, days)
    device = found.device
    return {
        "status": "200",
        "imei": imei,
        "name": device.name,
        "site": device.site,
        "serial": device.serial,
        "model": device.model,
        "firmware": device.firmware,
        "iccid": device.iccid,
        "days": days,
        "since": iso(since),
        "until": iso(now),
        "complete": found.complete,
        **connections.reply(),
        "answers": answers(found.answers),
        "others": {"devices": found.compared, **answers(found.others)},
    }


def _read(conn: Reading, imei: Imei, since: float) -> MachineData:
    device = stored.get(conn, imei)
    if device is None:
        raise no_device(imei)
    events, complete = reads.events_of(conn, imei, since)
    own_answers = reads.answers_of(conn, imei, since, reads.MAX_ANSWERS)
    others: list[CommandAnswer] = []
    imeis = reads.others_of(conn, imei, device.model) if device.model else ()
    for one in imeis:
        others += reads.answers_of(conn, one, since, reads.MAX_OTHER_ANSWERS)
    items = [(at, type, detail) for at, type, detail in events]
    return MachineData(device, items, complete, own_answers, others, len(imeis))
