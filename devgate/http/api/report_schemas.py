"""JSON Schemas of replies about the past: events, the fleet's day, a device's day, an order."""

from __future__ import annotations

from devgate.http.api.schemas import Schema
from devgate.http.api.shapes import (
    ANY,
    AT,
    MAYBE,
    MAYBE_NUMBER,
    MAYBE_WHOLE,
    NUMBER,
    OUTCOME,
    TEXT,
    TIME,
    WHOLE,
    YES,
    counted,
    either,
    listed,
    optional,
    page_of,
    ref,
    shape,
)

# Further members of events: which of them an event has depends on its type.
DETAILS: dict[str, Schema] = {
    "command": TEXT, "id": MAYBE_WHOLE, "name": MAYBE, "site": MAYBE, "kind": TEXT,
    "long": MAYBE_WHOLE, "key": MAYBE, "source": TEXT, "outcome": OUTCOME, "late": YES,
    "status": TEXT, "message": TEXT, "why": MAYBE, "new_address": YES, "address": MAYBE,
    "connection": WHOLE, "displaced": TEXT, "takeovers": WHOLE, "within": NUMBER,
    "seconds": NUMBER, "ack_timeout": NUMBER, "said": TEXT, "commands": listed(ref("Keyed")),
    "verdict": MAYBE, "note": MAYBE, "by": MAYBE, "until": TIME,
    "reason": TEXT, "count": WHOLE, "left_out": WHOLE, "enabled": YES,
    "changes": counted(ref("Change")), "rule": TEXT, "receiver": TEXT, "subjects": listed(TEXT),
    "role": TEXT,
    "sites": {"type": ["array", "null"], "items": TEXT}, "skipped": WHOLE, "operation": TEXT,
    "given": counted(ANY),
}  # fmt: skip
COMMAND: dict[str, Schema] = {
    "status": TEXT, "late": YES, "message": TEXT, "imei": TEXT, "type": TEXT,
    "long": MAYBE_WHOLE, "command": TEXT, "key": MAYBE, "source": TEXT, "state": TEXT,
    "accepted_at": AT, "sent_at": TIME, "ended_at": TIME, "late_at": TIME, "expires_at": TIME,
    "running": YES, "ambiguous": YES, "outcome": OUTCOME, "why": MAYBE, "new_address": YES,
    "group": MAYBE, "resolution": MAYBE, "verdict": MAYBE, "note": MAYBE, "resolved_by": MAYBE,
    "resolved_at": TIME,
}  # fmt: skip

ANSWERS: dict[str, Schema] = {
    "commands": WHOLE, "unanswered": WHOLE, "failed": WHOLE, "median": MAYBE_NUMBER,
    "nine_in_ten": MAYBE_NUMBER, "slowest": MAYBE_NUMBER,
}  # fmt: skip

STORY: dict[str, Schema] = {
    "record": ref("Command"),
    "name": TEXT,
    "site": TEXT,
    "unit": TEXT,
    "before": either("Event"),
    "lines": listed(ref("StoryLine")),
}

REPORTS: dict[str, Schema] = {
    "Diagnosis": shape(
        "How well one device does. `away_seconds`: without a connection. `complete` is false if "
        "there are more events than are looked at. `others`: of its model.",
        status=TEXT, imei=TEXT, name=TEXT, site=TEXT, serial=MAYBE, model=MAYBE, firmware=MAYBE,
        iccid=MAYBE, days=WHOLE, since=AT, until=AT, complete=YES, reconnects=WHOLE,
        silences=WHOLE, away_seconds=WHOLE, by_day=listed(ref("DiagnosedDay")),
        reasons=counted(WHOLE), odd=counted(WHOLE), longest=listed(ref("Absence")),
        answers=ref("Answers"), others=ref("OtherAnswers"),
    ),
    "Place": shape(
        "A site, in degrees north and east. `placed`: how many of its devices have a place in "
        "their record. `offline`: for more than an hour.",
        site=TEXT, latitude=NUMBER, longitude=NUMBER, placed=WHOLE, devices=WHOLE, offline=WHOLE,
    ),
    "Places": shape(
        "Where the sites are; `unplaced` sites have no place.",
        status=TEXT, items=listed(ref("Place")), unplaced=WHOLE, next={"type": "null"},
    ),
    "DiagnosedDay": shape(
        "24 hours.", since=AT, reconnects=WHOLE, silences=WHOLE, away_seconds=WHOLE,
    ),
    "Absence": shape(
        "A time without a connection; `until` is null if it lasts.",
        since=AT, until=TIME, reason=TEXT, seconds=WHOLE,
    ),
    "Answers": shape(
        "What became of commands that were sent, and within how many seconds half of them, nine "
        "in ten and all were answered.",
        **ANSWERS,
    ),
    "OtherAnswers": shape("The same of `devices` other ones.", devices=WHOLE, **ANSWERS),
    "Keyed": shape("A command, and its key.", command=TEXT, key=MAYBE),
    "Change": shape("A field that was changed.", old=ANY, new=ANY),
    "Event": optional(
        shape(
            "What happened. Which members it has besides depends on its type.",
            event=WHOLE, at=AT, type=TEXT, imei=MAYBE,
        ),
        **DETAILS,
    ),
    "Events": optional(
        shape(
            "A page; `last` is where to go on, now or later. `missed` counts what is no longer "
            "kept.",
            status=TEXT, items=listed(ref("Event")), next=MAYBE_WHOLE, last=WHOLE,
        ),
        missed=WHOLE,
    ),
    "OnlineAt": shape("How many devices were online then.", at=AT, online=WHOLE),
    "Hour": shape(
        "The starts and stops of one hour, and how they ended; `unsent`: nothing was sent.",
        at=AT, start=WHOLE, stop=WHOLE, done=WHOLE, failed=WHOLE, unknown=WHOLE, unsent=WHOLE,
        open=WHOLE,
    ),
    "Outage": shape(
        "Many devices of one site were lost within minutes; `back` of them are connected again.",
        site=TEXT, devices=WHOLE, of=WHOLE, first=AT, last=AT, back=WHOLE,
    ),
    "OddDevice": shape(
        "A device that did something unusual: an event of this type, so often.",
        imei=TEXT, type=TEXT, times=WHOLE, last=AT, name=TEXT, site=TEXT,
    ),
    "Absent": shape(
        "Enabled devices that are offline for more than an hour, a day, a week; never seen.",
        hour=WHOLE, day=WHOLE, week=WHOLE, never=WHOLE,
    ),
    "WorstSite": shape(
        "A site, and how many of its devices are offline for more than an hour.",
        site=TEXT, devices=WHOLE, offline=WHOLE,
    ),
    "Attention": shape(
        "Something to look at. `count` and `of` say how much of it there is, `name` is a site's, "
        "a webhook's or a certificate's door, `usual` is the usual rate in percent.",
        kind={"type": "string", "enum": [
            "store", "quarantine", "unknown_outcomes", "site_outage", "offline", "failures",
            "webhook", "unknown_devices", "odd_devices", "certificate",
        ]},
        level={"type": "string", "enum": ["critical", "warning"]},
        count=WHOLE, of=MAYBE_WHOLE, name=MAYBE, since=TIME, detail=MAYBE, usual=MAYBE_NUMBER,
    ),
    "TrendHour": shape(
        "One hour of the fleet.",
        at=AT, online=MAYBE_WHOLE, start=MAYBE_WHOLE, stop=MAYBE_WHOLE, done=MAYBE_WHOLE,
        failed=MAYBE_WHOLE, unknown=MAYBE_WHOLE, unsent=MAYBE_WHOLE, open=MAYBE_WHOLE,
    ),
    "Trend": shape(
        "The fleet by the hour, oldest first. Counts are null for hours that are not counted yet, "
        "`online` (at the end of the hour) also where no event is kept any more.",
        status=TEXT, days=WHOLE, since=AT, complete=YES, hours=listed(ref("TrendHour")),
    ),
    "Fleet": shape(
        "The last 24 hours: who was online, starts and their outcomes by hour, what to look at.",
        status=TEXT, at=AT, known=WHOLE, online=WHOLE, offline=WHOLE, disabled=WHOLE,
        absent=ref("Absent"), worst=listed(ref("WorstSite")), attention=listed(ref("Attention")),
        running=WHOLE, in_flight=WHOLE, waiting=WHOLE, unknown=WHOLE, unresolved=WHOLE,
        failed=WHOLE, starts=WHOLE,
        day=listed(ref("OnlineAt")),
        hours=listed(ref("Hour")), dark=listed(ref("Outage")),
        to_look_at=listed(ref("NamedCommand")), odd=listed(ref("OddDevice")),
        latest=listed(ref("NamedCommand")), sites=counted(WHOLE), store=TEXT,
    ),
    "Span": {
        "type": "object", "description": "From one time to another.",
        "properties": {"from": AT, "to": AT}, "required": ["from", "to"],
    },
    "Day": shape(
        "24 hours of one device.",
        status=TEXT, imei=TEXT, since=AT, until=AT, now=AT, online=listed(ref("Span")),
        running=listed(ref("Span")), commands=listed(ref("Command")),
        events=listed(ref("Event")),
    ),
    "StoryLine": optional(
        shape(
            "An event; or a moment that the record remembers, and which has no number.",
            at=AT, type=TEXT, imei=MAYBE,
        ),
        event=WHOLE, **DETAILS,
    ),
    "Story": shape(
        "One command and what happened around it. `before`: the event that says whether the "
        "device was online when it began.",
        status=TEXT, **STORY,
    ),
    "StoryOfOrder": shape("One of an order's commands, told as a story.", **STORY),
    "Unknowns": page_of("NamedCommand", count=WHOLE, more=YES),
    "Resolved": shape(
        "The ids of what is resolved.",
        status=TEXT, message=TEXT, verdict=TEXT, by=TEXT, resolved=listed(TEXT),
        conflicts=listed(ref("NotResolved")),
    ),
    "NotResolved": shape(
        "A command that was not resolved, and why: who was earlier, for example.",
        command=TEXT, key=MAYBE, message=TEXT, verdict=MAYBE, by=MAYBE, at=TIME,
    ),
    "Order": shape(
        "All commands under a key, newest first, each with what happened around it.",
        status=TEXT, key=TEXT, items=listed(ref("StoryOfOrder")),
    ),
    "Site": shape("A site, and how many devices it has.", site=TEXT, devices=WHOLE),
    "Sites": shape(status=TEXT, items=listed(ref("Site"))),
    "UnknownDevice": shape(
        "A device that was refused when it tried to register. `name` and `site` are null unless "
        "it is known; `connected_as` is whose connection said a wrong IMEI.",
        imei=TEXT, reason={"type": "string", "enum": ["unknown", "disabled", "wrong"]},
        address=TEXT, first_at=AT, last_at=AT, count=WHOLE, connected_as=MAYBE, dismissed=YES,
        name=MAYBE, site=MAYBE,
    ),
    "UnknownDevices": page_of(
        "UnknownDevice", count=WHOLE,
        registration={"type": "string", "enum": ["listed", "approve"]},
    ),
    "DismissedDevice": shape(status=TEXT, message=TEXT, imei=TEXT, dismissed=YES),
    "Node": shape(
        "A node of the cluster.",
        id=TEXT, alive=YES, draining=YES, address=MAYBE, devices=WHOLE, in_flight=WHOLE,
        version=TEXT, since=TIME,
    ),
    "Nodes": shape(
        "The nodes of the cluster; `leader` is the one that posts to webhooks.",
        status=TEXT, leader=MAYBE, items=listed(ref("Node")), next={"type": "null"},
    ),
    "DrainedNode": shape(status=TEXT, message=TEXT, node=TEXT, draining=YES),
}  # fmt: skip
