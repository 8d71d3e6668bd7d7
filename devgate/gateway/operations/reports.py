"""Operations about the past: one device's day, and all that happened to one order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devgate.errors import CallerError, no_device
from devgate.events.kinds import Event
from devgate.gateway.clock import time
from devgate.gateway.command_record import record
from devgate.gateway.gateway import Gateway
from devgate.gateway.operations import arguments, status
from devgate.gateway.operations.arguments import Args
from devgate.gateway.operations.reply import Reply
from devgate.gateway.reports import fleet_day
from devgate.gateway.reports.spans import Span, online_spans, running_spans, settled_at
from devgate.model import Imei, iso
from devgate.store import devices as stored
from devgate.store import history, statistics
from devgate.store.finding import in_time
from devgate.store.history import Reading, Record

MAX_ITEMS = 2000  # events, or commands, of one device in a reply
MAX_COMMANDS_OF_KEY = 20  # a key has several only if nothing was sent for the others
LOOK_BACK_SECONDS = 60.0  # before an order, that belong to its story


async def day(gateway: Gateway, args: Args, source: str) -> Reply:
    """24 hours of one device, from `since` (seconds since 1970; without it, the last ones)."""
    imei, now = arguments.device(args), time()
    given = arguments.number(args, "since")
    since = now - fleet_day.DAY if given is None else float(given)
    if since > now:
        raise CallerError("400", "since: a time that has begun expected, not one of the future")
    until = min(now, since + fleet_day.DAY)
    await gateway.records.flushed()
    await gateway.knowledge.learn([imei])
    counts = gateway.directory.counts_times(imei)
    # A start may reach into the day from as far back as the longest one there is.
    reach = 0 if counts else min(gateway.settings.command.max_long, 7 * fleet_day.DAY)
    before, events, commands = await gateway.records.read(_day, imei, since, until, reach)
    running = [] if counts else running_spans(commands, until)
    if (ends := gateway.running.until(imei)) is not None and running and until == now:
        running[-1] = running[-1]._replace(until=min(ends, until))
    return {
        "status": "200",
        "imei": imei,
        "since": iso(since),
        "until": iso(since + fleet_day.DAY),
        "now": iso(until),
        "online": _spans(online_spans(before, events, since, until), since),
        "running": _spans(running, since),
        "commands": [record(row) for row in commands if row["accepted_at"] >= since],
        "events": [event.line() for event in events],
    }


def _day(
    conn: Reading, imei: Imei, since: float, until: float, reach: float
) -> tuple[Event | None, list[Event], Sequence[Record]]:
    if stored.get(conn, imei) is None:
        raise no_device(imei)
    before = statistics.presence_before(conn, imei, since)
    events = in_time(conn, imei, since, until, MAX_ITEMS)
    commands = statistics.commands_of(conn, imei, since - reach, until + 1, MAX_ITEMS)
    return Event.of(before) if before else None, [Event.of(row) for row in events], commands


def _spans(spans: Sequence[Span], since: float) -> list[dict[str, object]]:
    return [
        {"from": iso(max(span.since, since)), "to": iso(span.until)}
        for span in spans
        if span.until > since
    ]


async def order(gateway: Gateway, args: Args, source: str) -> Reply:
    """All commands under one key, newest first, each with what happened around it."""
    key = arguments.key(args)
    if key is None:
        raise CallerError("400", "key: the caller's name for the command expected, not nothing")
    await gateway.records.flushed()
    window = gateway.settings.command.late_window
    items = await gateway.records.read(_stories, key, window)
    return {"status": "200", "key": key, "items": items}


async def story(gateway: Gateway, args: Args, source: str) -> Reply:
    """One command, with what happened around it. Raises CallerError (400) if there is none."""
    id = status.command_id(args)
    row = await status.row_of(gateway, id)
    window = gateway.settings.command.late_window
    return {"status": "200", **await gateway.records.read(_story, row, window)}


def _stories(conn: Reading, key: str, window: float) -> list[Reply]:
    return [
        _story(conn, row, window) for row in history.page(conn, key=key, limit=MAX_COMMANDS_OF_KEY)
    ]


def _story(conn: Reading, row: Record, window: float) -> Reply:
    imei, began = Imei(row["imei"]), row["accepted_at"]
    settled = settled_at(row)
    ends = (row["late_at"] or row["ended_at"] or time()) + window
    if settled is not None and row["type"] == "start":
        ends = max(ends, settled + row["long"] + LOOK_BACK_SECONDS)
    events = in_time(conn, imei, began - LOOK_BACK_SECONDS, ends, MAX_ITEMS)
    before = statistics.presence_before(conn, imei, began - LOOK_BACK_SECONDS)
    device = stored.get(conn, imei)
    lines: list[dict[str, Any]] = [Event.of(one).line() for one in events]
    event_types = {line["type"] for line in lines if line.get("command") == row["id"]}
    lines += _remembered(row, event_types)  # events are deleted earlier than commands
    if settled is not None and row["type"] == "start" and device and device.unit == "seconds":
        due = settled + row["long"]
        type = "run.due" if due <= time() else "run.planned"
        lines.append({"at": iso(due), "type": type, "imei": imei})
    lines.sort(key=lambda line: str(line["at"]))
    return {
        "record": record(row),
        "name": device.name if device else "",
        "site": device.site if device else "",
        "unit": device.unit if device else "seconds",
        "before": Event.of(before).line() if before else None,
        "lines": lines,
    }


def _remembered(row: Record, known: set[str]) -> list[dict[str, Any]]:
    """What the record itself says of a command whose events have been deleted."""
    moments = {
        "command.accepted": row["accepted_at"],
        "command.sent": row["sent_at"],
        "command.ended": row["ended_at"],
        "command.late": row["late_at"],
        "command.resolved": row["resolved_at"],
    }
    base = {"imei": row["imei"], "command": row["id"], "kind": row["type"], "long": row["long"]}
    said = {"verdict": row["verdict"], "note": row["note"], "by": row["resolved_by"]}
    return [
        {"at": iso(at), "type": type, **base, "key": row["key"], "source": row["source"],
         "status": row["status"], **(said if type == "command.resolved" else {})}
        for type, at in moments.items()
        if at is not None and type not in known
    ]  # fmt: skip
