"""Examples: events, and what reports make of them."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.http.api.samples.commands import RECORD, UNKNOWN
from devgate.http.api.samples.sample import ACCEPTED, COMMAND, ENDED, IMEI, KEY, SENT, Sample

HERE = {"imei": IMEI}
NAMED = {"name": "Bay 4", "site": "north"}
OF_COMMAND: dict[str, object] = {
    "imei": IMEI, "command": COMMAND, "id": 16, **NAMED, "kind": "start", "long": 900,
    "key": KEY, "source": "http:shop",
}  # fmt: skip
WENT: dict[str, object] = {
    "event": 4712, "at": SENT, "type": "command.sent", **OF_COMMAND, "outcome": "pending",
    "late": False,
}  # fmt: skip
CAME: dict[str, object] = {
    "event": 4713, "at": ENDED, "type": "command.ended", **OF_COMMAND, "outcome": "done",
    "late": False, "status": "200", "message": "started", "why": None, "new_address": False,
}  # fmt: skip
ONLINE: dict[str, object] = {
    "event": 4702, "at": "2026-11-24T06:30:11.208Z", "type": "device.online", "imei": IMEI,
    "id": 16, **NAMED, "address": "203.0.113.9:40112",
}  # fmt: skip
STREAM = (
    f'id: 4713\ndata: {{"event":4713,"at":"{ENDED}","type":"command.ended","imei":"{IMEI}",'
    f'"command":"{COMMAND}","key":"{KEY}","outcome":"done","status":"200"}}\n\n'
)
HOUR: dict[str, object] = {
    "at": "2026-11-24T12:00:00.000Z", "start": 41, "stop": 3, "done": 42, "failed": 0,
    "unknown": 1, "unsent": 1, "open": 0,
}  # fmt: skip
COUNTS: dict[str, object] = {
    "starts": 41, "done": 40, "failed": 0, "unknown": 1, "refused": 0, "open": 0,
    "seconds": 36_000, "times": 0, "availability": 99.4,
}  # fmt: skip
STORY: dict[str, object] = {
    "record": RECORD, **NAMED, "unit": "seconds", "before": ONLINE,
    "lines": [
        {"at": ACCEPTED, "type": "command.accepted", **OF_COMMAND, "status": "200"},
        WENT, CAME, {"at": "2026-11-24T12:15:00.512Z", "type": "run.due", "imei": IMEI},
    ],
}  # fmt: skip

REPORTS: Mapping[str, Sample] = {
    "events": Sample(
        "listEvents", "Events",
        {"status": "200", "items": [WENT, CAME], "next": None, "last": 4713},
        query={"after": 4711, "events": "command"},
    ),
    "watch": Sample(
        "followEvents", "Events", STREAM, query={"events": "command.ended"},
        head={"Last-Event-ID": 4712},
    ),
    "sites": Sample(
        "listSites", "Reports", {"status": "200", "items": [{"site": "north", "devices": 212}]}
    ),
    "fleet": Sample(
        "getFleet", "Reports",
        {
            "status": "200", "at": "2026-11-24T12:30:00.000Z", "known": 3000, "online": 2871,
            "offline": 117, "disabled": 12,
            "absent": {"hour": 31, "day": 9, "week": 4, "never": 2},
            "worst": [{"site": "south", "devices": 44, "offline": 4}],
            "attention": [{
                "kind": "unknown_outcomes", "level": "critical", "count": 1, "of": None,
                "name": None, "since": None, "detail": None, "usual": None,
            }],
            "running": 402, "in_flight": 1, "waiting": 0, "unknown": 1, "unresolved": 1,
            "failed": 0,
            "starts": 41, "day": [{"at": "2026-11-24T12:30:00.000Z", "online": 2871}],
            "hours": [HOUR],
            "dark": [{
                "site": "south", "devices": 40, "of": 44, "first": "2026-11-24T11:02:10.000Z",
                "last": "2026-11-24T11:03:02.000Z", "back": 40,
            }],
            "to_look_at": [UNKNOWN],
            "odd": [{
                "imei": IMEI, "type": "device.slow", "times": 2, **NAMED,
                "last": "2026-11-24T10:41:00.000Z",
            }],
            "latest": [{**RECORD, **NAMED}], "sites": {"north": 212, "south": 44}, "store": "ok",
        },
    ),
    "trend": Sample(
        "getTrend", "Reports",
        {"status": "200", "days": 1, "since": HOUR["at"], "complete": True,
         "hours": [{**HOUR, "online": 2871}]},
        query={"days": 1},
    ),
    "report": Sample(
        "getReport", "Reports",
        {
            "status": "200", "by": "machine", "first": "2026-11-01", "last": "2026-11-24",
            "zone": "Asia/Shanghai", "counted_to": "2026-11-24T12:30:00.000Z", "complete": True,
            "items": [{"imei": IMEI, **NAMED, **COUNTS}], "total": COUNTS, "count": 1,
            "next": None,
        },
        query={"by": "machine", "month": "2026-11", "site": "north"},
    ),
    "report_export": Sample(
        "exportReport", "Reports",
        "day,starts,done,failed,unknown,refused,open,seconds,times,availability\n"
        "2026-11-24,41,40,0,1,0,0,36000,0,99.4\n",
        query={"by": "day", "first": "2026-11-24", "last": "2026-11-24"},
    ),
    "zones": Sample(
        "listZones", "Reports",
        {"status": "200", "default": "Asia/Shanghai",
         "items": [{"site": "north", "devices": 212, "zone": None}]},
    ),
    "zone": Sample(
        "setZone", "Reports",
        {"status": "200",
         "message": "days of north are cut in the zone Europe/Berlin and counted anew",
         "site": "north", "zone": "Europe/Berlin"},
        json={"site": "north", "zone": "Europe/Berlin"},
    ),
    "day": Sample(
        "getDeviceDay", "Reports",
        {
            "status": "200", "imei": IMEI, "since": "2026-11-24T00:00:00.000Z",
            "until": "2026-11-25T00:00:00.000Z", "now": "2026-11-24T12:30:00.000Z",
            "online": [{"from": ONLINE["at"], "to": "2026-11-24T12:30:00.000Z"}],
            "running": [{"from": ENDED, "to": "2026-11-24T12:15:00.512Z"}],
            "commands": [RECORD], "events": [ONLINE, WENT, CAME],
        },
        place=HERE, query={"since": 1_795_478_400},
    ),
    "story": Sample(
        "getCommandStory", "Reports", {"status": "200", **STORY}, place={"id": COMMAND},
    ),
    "order": Sample(
        "getOrder", "Reports",
        {
            "status": "200", "key": KEY,
            "items": [STORY],
        },
        query={"key": KEY},
    ),
}  # fmt: skip
