"""JSON Schemas of replies: the components of the document."""

from __future__ import annotations

from devgate.http.api.account_schemas import ACCOUNTS
from devgate.http.api.alert_schemas import ALERTS
from devgate.http.api.report_schemas import COMMAND, REPORTS
from devgate.http.api.schemas import Schema
from devgate.http.api.settings_schemas import SETTINGS
from devgate.http.api.shapes import (
    ANY,
    MAYBE,
    MAYBE_NUMBER,
    MAYBE_WHOLE,
    NUMBER,
    OUTCOME,
    TEXT,
    TIME,
    WHOLE,
    YES,
    both_ways,
    counted,
    either,
    listed,
    optional,
    page_of,
    ref,
    shape,
)
from devgate.http.api.usage_calls import REPORT

LISTED: dict[str, Schema] = {
    "imei": TEXT, "id": WHOLE, "name": TEXT, "site": TEXT, "enabled": YES, "online": YES,
    "since": TIME, "address": MAYBE, "heard": TIME, "running_until": TIME, "unit": TEXT,
    "maintenance": either("InMaintenance"),
}  # fmt: skip
JOB: dict[str, Schema] = {
    "bulk": TEXT,
    "action": {"type": "string", "enum": ["start", "stop", "edit", "maintenance"]},
    "state": {
        "type": "string",
        "enum": ["waiting", "running", "cancelling", "ended", "cancelled", "broken"],
    },
    "done": WHOLE,
    "outcomes": counted(WHOLE), "asked": counted(ANY),
    "source": TEXT, "asked_at": TIME, "ended_at": TIME,
}  # fmt: skip
MAINTENANCE: dict[str, Schema] = {"reason": TEXT, "since": TIME, "until": TIME}
RECORD: dict[str, Schema] = {
    "iccid": MAYBE, "sim_phone": MAYBE, "model": MAYBE, "firmware": MAYBE, "serial": MAYBE,
    "installed_on": MAYBE, "note": MAYBE, "tags": MAYBE, "latitude": MAYBE_NUMBER,
    "longitude": MAYBE_NUMBER,
}  # fmt: skip
WEBHOOK: dict[str, Schema] = {"status": TEXT, "message": TEXT, "name": TEXT}

SHAPES: dict[str, Schema] = {
    "Outcome": {
        "type": "string",
        "enum": ["pending", "done", "failed", "unknown", "refused", "conflict"],
        "description": "What to branch on. refused: nothing was sent for this request, and its "
        "key stays free.",
    },
    "Problem": optional(
        shape(
            "RFC 9457. `code` is devgate's status, `detail` a sentence for a person. `outcome` is "
            "what to branch on. With `conflict`, `earlier` and `earlier_outcome` tell of the "
            "command that has the key.",
            type=TEXT, title=TEXT, status=WHOLE, detail=TEXT, code=TEXT, outcome=OUTCOME,
        ),
        earlier=TEXT, earlier_outcome=OUTCOME, operation=TEXT, imei=TEXT, long=MAYBE_WHOLE,
        command=MAYBE, key=MAYBE, late=YES, ambiguous=YES, why=TEXT,
        resolved=listed(TEXT), conflicts=listed(ref("NotResolved")),
    ),
    "RawReply": {
        "type": "object", "properties": {"status": TEXT}, "required": ["status"],
        "description": "What the control channel answers: its members depend on the request.",
        "additionalProperties": True,
    },
    "Ordered": optional(
        shape(
            "How a start or stop ended; or that it was accepted, where it was not waited for.",
            status=TEXT, message=TEXT, imei=TEXT, type=TEXT, long=MAYBE_WHOLE, command=TEXT,
            key=MAYBE, outcome=OUTCOME, late=YES, ambiguous=YES,
        ),
        why=TEXT,
    ),
    "Command": shape(
        "The record of a command. `status` is what is known now: 000 until it has ended.",
        **COMMAND,
    ),
    "NamedCommand": shape(
        "A command, with what its device is called.", **COMMAND, name=MAYBE, site=MAYBE
    ),
    "Commands": both_ways("NamedCommand"),
    "Found": shape(
        "What the words stand for, of each the first few; `exact`: how many of the devices have "
        "them as their IMEI or number. `site` is null unless they are one's name.",
        status=TEXT, q=TEXT, exact=WHOLE, site=MAYBE, devices=listed(ref("Device")),
        commands=listed(ref("NamedCommand")),
    ),
    "Listens": optional(
        shape("The addresses of each door that is open."),
        device=listed(TEXT), control=listed(TEXT), http=listed(TEXT), cluster=listed(TEXT),
    ),
    "Status": optional(
        shape(
            "How the gateway is. `node` and `nodes` are those of a cluster.",
            status=TEXT, version=TEXT, pid=WHOLE, uptime=NUMBER, listen=ref("Listens"),
            connections=WHOLE, registered=WHOLE, devices=WHOLE, in_flight=WHOLE, waiting=WHOLE,
            memory=WHOLE,
            store=TEXT, database=TEXT, draining=YES, takeovers=WHOLE, last_event=WHOLE,
            log_dropped=WHOLE, clock=TEXT, background=counted(TEXT), tasks=WHOLE,
            quarantine=either("Quarantine"),
        ),
        node=TEXT, nodes=listed(ref("Node")),
    ),
    "Device": shape("A device in a list.", **LISTED),
    "Devices": both_ways("Device"),
    "SlowAnswers": shape(
        "How late the last answers came, in seconds, where that is later than ack_timeout.",
        seconds=NUMBER, ack_timeout=NUMBER,
    ),
    "KnownDevice": shape(
        "All that is known of a device; `last` is its last command.",
        status=TEXT, **LISTED, phone=MAYBE, qr=MAYBE, ack_timeout=MAYBE_NUMBER, **RECORD,
        slow=either("SlowAnswers"), last=either("Command"),
    ),
    "StoredDevice": shape(
        "A device as it is stored.",
        status=TEXT, message=TEXT, imei=TEXT, id=WHOLE, name=TEXT, site=TEXT, phone=MAYBE,
        qr=MAYBE, unit=TEXT, ack_timeout=MAYBE_NUMBER, enabled=YES, **RECORD,
    ),
    "RemovedDevice": shape(status=TEXT, message=TEXT, imei=TEXT),
    "WrongLine": shape("A line of a CSV file, and what is wrong with it.",
                       line=WHOLE, message=TEXT),
    "AddedLine": shape(
        "A device that a line of a CSV file adds; without `id` it gets the next number.",
        line=WHOLE, imei=TEXT, id=MAYBE_WHOLE, name=TEXT, site=TEXT,
    ),
    "ChangedLine": shape(
        "A device that a line of a CSV file changes.",
        line=WHOLE, imei=TEXT, name=TEXT, changes=counted(ref("Change")),
    ),
    "Taken": optional(
        shape(
            "What an import has done, in devices; with `dry_run`, what it would do: then `faults` "
            "counts the lines that are wrong, and there are the first 200 of each list.",
            status=TEXT, message=TEXT, added=WHOLE, updated=WHOLE, skipped=WHOLE,
        ),
        rows=WHOLE, faults=WHOLE, errors=listed(ref("WrongLine")),
        additions=listed(ref("AddedLine")), changes=listed(ref("ChangedLine")),
    ),
    "Refreshed": shape(
        "How many devices were changed by other programs.",
        status=TEXT, message=TEXT, changed=WHOLE, database=TEXT,
    ),
    "ConfirmedLoss": shape(
        "`lost`: what the database had lost; null if nothing was.",
        status=TEXT, message=TEXT, lost=MAYBE,
    ),
    "Bulk": optional(
        shape(
            "A job for many devices. `outcomes` counts those that are done by their outcome. With "
            "`dry_run` only the devices are counted.",
            status=TEXT, message=TEXT, count=WHOLE,
        ),
        **JOB, online=WHOLE, running=WHOLE, disabled=WHOLE, maintenance=WHOLE,
    ),
    "BulkJob": shape(
        "A job for many devices.", status=TEXT, message=TEXT, count=WHOLE, **JOB
    ),
    "Bulks": shape(status=TEXT, items=listed(ref("BulkJob")), next={"type": "null"}),
    "BulkResult": shape(
        "What came of one device of a job.",
        imei=TEXT, name=TEXT, site=TEXT, status=TEXT, outcome=OUTCOME, message=TEXT,
        command=MAYBE,
    ),
    "BulkResults": shape(
        "A job, and a page of what came of its devices.",
        status=TEXT, message=TEXT, count=WHOLE, **JOB, next=MAYBE_WHOLE,
        items=listed(ref("BulkResult")),
    ),
    "Quarantine": shape(
        "Every start is refused, but for those with a key that is listed as untried: `keys` "
        "counts these. `copied_at`: when the copy was made that was restored.",
        since=TIME, copied_at=TIME, reason=TEXT, keys=WHOLE,
    ),
    "QuarantineState": shape(
        "The quarantine; null if there is none.",
        status=TEXT, message=TEXT, quarantine=either("Quarantine"),
    ),
    "LogLevel": shape(
        "The level in force, and that of the configuration.",
        status=TEXT, message=TEXT, level=TEXT, configured=TEXT,
    ),
    "Trimmed": shape(
        "What was deleted, in rows; keys are freed. `more`: there is more to delete.",
        status=TEXT, message=TEXT, events=WHOLE, commands=WHOLE, keys=WHOLE, more=YES,
    ),
    "Upgraded": shape(
        "Another process is the gateway now. `connections` of devices were handed over, those "
        "with TLS are `closed`; `seconds` is how long devices waited.",
        status=TEXT, message=TEXT, version=TEXT, former=TEXT, pid=WHOLE, connections=WHOLE,
        closed=WHOLE, seconds=NUMBER,
    ),
    "Webhook": shape(
        "A receiver of events: how far it has come, and how its deliveries go. `events`: none "
        "means all. `lag` counts events, `behind` seconds.",
        name=TEXT, url=TEXT, events=listed(TEXT), kept_in=TEXT, state=TEXT, position=WHOLE,
        lag=WHOLE, behind=NUMBER, under_way=WHOLE, failures=WHOLE, next_at=TIME, error=MAYBE,
        delivered_at=TIME, missed=WHOLE,
    ),
    "Webhooks": shape(
        "Receivers of events, and how far each has come.",
        status=TEXT, items=listed(ref("Webhook")), next={"type": "null"},
    ),
    "ChangedWebhook": optional(
        shape(
            "A webhook as it is now. `secret` is one that was made, and null if none was.",
            **WEBHOOK, url=TEXT, secret=MAYBE,
        ),
        after=WHOLE,
    ),
    "RemovedWebhook": shape(**WEBHOOK),
    "TestedWebhook": shape(**WEBHOOK),
    "ReplayedWebhook": shape(**WEBHOOK, after=WHOLE),
    "InMaintenance": shape(
        "Why customers may not start this device; `whole_site`: because its site is in "
        "maintenance. `until` is null if somebody has to end it.",
        whole_site=YES, **MAINTENANCE, source=TEXT,
    ),
    "Maintenance": shape(
        "A device, or a site (without an `imei`), that takes no customer's start.",
        imei=MAYBE, name=MAYBE, site=MAYBE, **MAINTENANCE, source=TEXT,
    ),
    "Maintenances": page_of("Maintenance"),
    "Maintained": optional(
        shape(
            "Which devices, or which site. `reason`, `since` and `until` come where it began.",
            status=TEXT, message=TEXT, imeis=listed(TEXT), site=MAYBE,
        ),
        **MAINTENANCE,
    ),
    "RemovedNode": shape(status=TEXT, message=TEXT, node=TEXT),
    **ALERTS,
    **REPORTS,
    **ACCOUNTS,
    **SETTINGS,
    **REPORT,
}  # fmt: skip
