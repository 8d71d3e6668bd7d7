"""What comes back, in JSON Schema: the components of the document."""

from __future__ import annotations

from devgate.http.api.schemas import Schema

TEXT: Schema = {"type": "string"}
MAYBE: Schema = {"type": ["string", "null"]}
WHOLE: Schema = {"type": "integer"}
MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
MAYBE_WHOLE: Schema = {"type": ["integer", "null"]}
YES: Schema = {"type": "boolean"}
TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
OBJECT: Schema = {"type": "object"}
ANY: Schema = {"type": ["string", "number", "boolean", "null"]}  # what one field may hold
# refused: nothing was sent for this request, and its key stays free.
OUTCOME: Schema = {
    "type": "string", "enum": ["pending", "done", "failed", "unknown", "refused", "conflict"],
}  # fmt: skip


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def shape(description: str = "", /, **parts: Schema) -> Schema:
    """An object with at least these members."""
    said = {"description": description} if description else {}
    return {"type": "object", **said, "properties": parts, "required": list(parts)}


def optional(whole: Schema, /, **parts: Schema) -> Schema:
    """The same object, which may have these members, too."""
    return {**whole, "properties": {**whole["properties"], **parts}}


def listed(item: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": item}


def page_of(name: str) -> Schema:
    """The schema of a page with items of that name."""
    return shape(
        "A page; `next` is the `after` of the next one, null on the last.",
        status=TEXT, items={"type": "array", "items": ref(name)}, next=MAYBE,
    )  # fmt: skip


LISTED: dict[str, Schema] = {
    "imei": TEXT, "id": WHOLE, "name": TEXT, "site": TEXT, "enabled": YES, "online": YES,
    "since": TIME, "address": MAYBE, "heard": TIME, "running_until": TIME, "unit": TEXT,
}  # fmt: skip
JOB: dict[str, Schema] = {
    "bulk": TEXT,
    "action": {"type": "string", "enum": ["start", "stop", "edit"]},
    "state": {
        "type": "string",
        "enum": ["waiting", "running", "cancelling", "ended", "cancelled", "broken"],
    },
    "done": WHOLE,
    "outcomes": {"type": "object", "additionalProperties": WHOLE},
    "asked": {"type": "object", "additionalProperties": ANY},
    "source": TEXT, "asked_at": TIME, "ended_at": TIME,
}  # fmt: skip
RECORD: dict[str, Schema] = {
    "status": TEXT, "late": YES, "message": TEXT, "imei": TEXT, "type": TEXT, "long": MAYBE_WHOLE,
    "command": TEXT, "key": MAYBE, "source": TEXT, "state": TEXT, "accepted_at": TIME,
    "sent_at": TIME, "ended_at": TIME, "late_at": TIME, "ambiguous": YES, "outcome": OUTCOME,
    "why": MAYBE, "new_address": YES, "group": MAYBE, "resolution": MAYBE, "verdict": MAYBE,
    "note": MAYBE, "resolved_by": MAYBE, "resolved_at": TIME,
}  # fmt: skip

SHAPES: dict[str, Schema] = {
    "Problem": shape(
        "RFC 9457. `code` is devgate's status, `detail` a sentence for a person. `outcome` is "
        "what to branch on. With `conflict`, `earlier` and `earlier_outcome` tell of the command "
        "that has the key.",
        type=TEXT, title=TEXT, status=WHOLE, detail=TEXT, code=TEXT, outcome=OUTCOME,
    ),
    "Reply": shape("`status` is devgate's: 200, or 000 for accepted.", status=TEXT, message=TEXT),
    "Ordered": shape(
        "How a start or stop ended; or that it was accepted, where it was not waited for.",
        status=TEXT, message=TEXT, imei=TEXT, type=TEXT, long=MAYBE_WHOLE, command=TEXT,
        key=MAYBE, outcome=OUTCOME, late=YES, ambiguous=YES,
    ),
    "Command": shape(
        "The record of a command. `status` is what is known now: 000 until it has ended.",
        **RECORD,
    ),
    "Commands": page_of("Command"),
    "Story": shape(
        "A command, its device, and what happened around it.",
        status=TEXT, record=ref("Command"), name=TEXT, site=TEXT, unit=TEXT,
        lines={"type": "array", "items": OBJECT},
    ),
    "Unknown": shape("The record of a command, and where its device is.",
                     **RECORD, name=TEXT, site=TEXT),
    "Unknowns": shape(
        "A page; `next` is the `after` of the next one, null on the last. `count` is how many "
        "there are on all pages, up to 10,000; `more`: there are more.",
        status=TEXT, items={"type": "array", "items": ref("Unknown")}, next=MAYBE, count=WHOLE,
        more=YES,
    ),
    "Resolved": shape(
        "The ids of what is resolved.",
        status=TEXT, message=TEXT, verdict=TEXT, by=TEXT,
        resolved={"type": "array", "items": TEXT},
    ),
    "Status": shape(
        "How the gateway is.",
        status=TEXT, version=TEXT, uptime={"type": "number"}, listen=OBJECT, connections=WHOLE,
        registered=WHOLE, devices=WHOLE, in_flight=WHOLE, waiting=WHOLE, memory=WHOLE,
        store=TEXT, draining=YES, last_event=WHOLE, log_dropped=WHOLE,
        clock=TEXT, background=OBJECT,
    ),
    "Device": shape("A device in a list.", **LISTED),
    "Devices": page_of("Device"),
    "KnownDevice": shape(
        "All that is known of a device; `last` is its last command.",
        status=TEXT, **LISTED, phone=MAYBE, qr=MAYBE,
        ack_timeout=MAYBE_NUMBER, slow={"type": ["object", "null"]},
        last={"anyOf": [ref("Command"), {"type": "null"}]},
    ),
    "StoredDevice": shape(
        "A device as it is stored.",
        status=TEXT, message=TEXT, imei=TEXT, id=WHOLE, name=TEXT, site=TEXT, phone=MAYBE,
        qr=MAYBE, unit=TEXT, ack_timeout=MAYBE_NUMBER, enabled=YES,
    ),
    "Taken": optional(
        shape(
            "What an import has done, in devices; with `dry_run`, what it would do: then `faults` "
            "counts the lines that are wrong, and there are the first 200 of each list.",
            status=TEXT, message=TEXT, added=WHOLE, updated=WHOLE, skipped=WHOLE,
        ),
        rows=WHOLE, faults=WHOLE,
        errors=listed(shape(line=WHOLE, message=TEXT)),
        additions=listed(
            shape(line=WHOLE, imei=TEXT, id=MAYBE_WHOLE, name=TEXT, site=TEXT)
        ),
        changes=listed(shape(line=WHOLE, imei=TEXT, name=TEXT, changes={
            "type": "object", "additionalProperties": shape(old=ANY, new=ANY),
        })),
    ),
    "UnknownDevices": shape(
        "Devices that were refused when they tried to register. `count`: how many there are.",
        status=TEXT, items={"type": "array", "items": shape(
            imei=TEXT, reason=TEXT, address=TEXT, first_at=TIME, last_at=TIME, count=WHOLE,
            connected_as=MAYBE, dismissed=YES, name=MAYBE, site=MAYBE,
        )},
        next=MAYBE, count=WHOLE, registration=TEXT,
    ),
    "DismissedDevice": shape(status=TEXT, message=TEXT, imei=TEXT, dismissed=YES),
    "Bulk": optional(
        shape(
            "A job for many devices. `outcomes` counts those that are done by their outcome. With "
            "`dry_run` only the devices are counted.",
            status=TEXT, message=TEXT, count=WHOLE,
        ),
        **JOB, online=WHOLE, running=WHOLE, disabled=WHOLE,
    ),
    "Bulks": shape(status=TEXT, items=listed(shape(status=TEXT, count=WHOLE, **JOB))),
    "BulkResults": shape(
        "A job, and a page of what came of its devices.",
        status=TEXT, count=WHOLE, **JOB, next=MAYBE_WHOLE,
        items=listed(shape(
            imei=TEXT, name=TEXT, site=TEXT, status=TEXT, outcome=OUTCOME, message=TEXT,
            command=MAYBE,
        )),
    ),
    "Trimmed": shape(
        "What was deleted, in rows; keys are freed. `more`: there is more to delete.",
        status=TEXT, message=TEXT, events=WHOLE, commands=WHOLE, keys=WHOLE, more=YES,
    ),
    "Event": shape("What happened; more members by its type.",
                   event=WHOLE, at=TIME, type=TEXT, imei=MAYBE),
    "Events": shape(
        "A page; `last` is where to go on, now or later. `missed` counts what is no longer kept.",
        status=TEXT, items={"type": "array", "items": ref("Event")}, next=MAYBE_WHOLE,
        last=WHOLE,
    ),
    "Webhooks": shape(
        "Receivers of events, and how far each has come.",
        status=TEXT,
        items={"type": "array", "items": shape(
            name=TEXT, url=TEXT, kept_in=TEXT, state=TEXT, position=WHOLE, lag=WHOLE, error=MAYBE
        )},
    ),
    "ChangedWebhook": shape(
        "A webhook as it is now. `secret` is one that was made, and null if none was.",
        status=TEXT, message=TEXT, name=TEXT, url=TEXT, secret=MAYBE,
    ),
    "Nodes": shape(
        "The nodes of the cluster; `leader` is the one that posts to webhooks.",
        status=TEXT, leader=MAYBE,
        items={"type": "array", "items": shape(
            id=TEXT, alive=YES, draining=YES, address=MAYBE, devices=WHOLE, in_flight=WHOLE,
            version=TEXT, since=TIME,
        )},
    ),
    "DrainedNode": shape(status=TEXT, message=TEXT, node=TEXT, draining=YES),
    "Sites": shape(status=TEXT, items={
        "type": "array", "items": shape(site=TEXT, devices=WHOLE)
    }),
    "Fleet": shape(
        "The last 24 hours: who was online, starts and their outcomes by hour, what to look at.",
        status=TEXT, at=TIME, known=WHOLE, online=WHOLE, offline=WHOLE, disabled=WHOLE,
        absent=shape(
            "Enabled devices that are offline for more than an hour, a day, a week; never seen.",
            hour=WHOLE, day=WHOLE, week=WHOLE, never=WHOLE,
        ),
        worst={"type": "array", "items": shape(
            "A site, and how many of its devices are offline for more than an hour.",
            site=TEXT, devices=WHOLE, offline=WHOLE,
        )},
        attention={"type": "array", "items": ref("Attention")},
        running=WHOLE, unknown=WHOLE,
        day={"type": "array"}, hours={"type": "array"}, dark={"type": "array"},
        odd={"type": "array"},
    ),
    "Attention": shape(
        "Something to look at. `count` and `of` say how much of it there is, `name` is a site's "
        "or a webhook's, `usual` is the usual rate in percent.",
        kind={"type": "string", "enum": [
            "store", "unknown_outcomes", "site_outage", "offline", "failures", "webhook",
            "unknown_devices", "odd_devices",
        ]},
        level={"type": "string", "enum": ["critical", "warning"]},
        count=WHOLE, of=MAYBE_WHOLE, name=MAYBE, since=TIME, detail=MAYBE, usual=MAYBE_NUMBER,
    ),
    "Trend": shape(
        "The fleet by the hour, oldest first. Counts are null for hours that are not counted yet, "
        "`online` (at the end of the hour) also where no event is kept any more.",
        status=TEXT, days=WHOLE, since=TIME, complete=YES,
        hours={"type": "array", "items": shape(
            at=TIME, online=MAYBE_WHOLE, start=MAYBE_WHOLE, stop=MAYBE_WHOLE, done=MAYBE_WHOLE,
            failed=MAYBE_WHOLE, unknown=MAYBE_WHOLE, unsent=MAYBE_WHOLE, open=MAYBE_WHOLE,
        )},
    ),
    "Day": shape(
        "24 hours of one device.",
        status=TEXT, imei=TEXT, since=TIME, until=TIME, online={"type": "array"},
        running={"type": "array"}, commands={"type": "array", "items": ref("Command")},
        events={"type": "array", "items": ref("Event")},
    ),
    "Order": shape(
        "All commands under a key, newest first, each with what happened around it.",
        status=TEXT, key=TEXT, items={"type": "array"},
    ),
}  # fmt: skip
