"""Examples: jobs for many devices."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.http.api.samples.sample import COMMAND, IMEI, NEXT, Sample

TAG = "Many devices"
ID = "morning-north"
HERE = {"id": ID}
JOB: dict[str, object] = {
    "status": "200", "message": "0 of 2 done", "bulk": ID, "action": "start",
    "state": "waiting", "count": 2, "done": 0, "outcomes": {},
    "asked": {"long": 900, "unit": "seconds"}, "source": "http:shop",
    "asked_at": "2026-11-24T12:00:00.000Z", "ended_at": None,
}  # fmt: skip
ENDED: dict[str, object] = {
    **JOB, "message": "2 of 2 done", "state": "ended", "done": 2,
    "outcomes": {"done": 1, "refused": 1}, "ended_at": "2026-11-24T12:00:02.114Z",
}  # fmt: skip
RESULTS: list[dict[str, object]] = [
    {"imei": IMEI, "name": "Bay 4", "site": "north", "status": "200", "outcome": "done",
     "message": "started", "command": COMMAND},
    {"imei": NEXT, "name": "Bay 5", "site": "north", "status": "404", "outcome": "refused",
     "message": "the device is not connected; nothing was sent", "command": None},
]  # fmt: skip


BULK: Mapping[str, Sample] = {
    "bulk_start": Sample(
        "startDevices", TAG, JOB, json={"bulk": ID, "match": {"site": "north"}, "long": 900},
    ),
    "bulk_stop": Sample(
        "stopDevices", TAG,
        {**JOB, "bulk": "evening", "action": "stop",
         "asked": {"cancel": True}},
        json={"bulk": "evening", "imeis": [IMEI, NEXT], "cancel": True},
    ),
    "bulk_edit": Sample(
        "changeDevices", TAG,
        {**JOB, "bulk": "move", "action": "edit", "asked": {"site": "south"}},
        json={"bulk": "move", "imeis": [IMEI, NEXT], "site": "south"},
    ),
    "bulk_maintenance": Sample(
        "maintainDevices", TAG,
        {**JOB, "bulk": "cushions", "action": "maintenance",
         "asked": {"on": True, "reason": "new cushions"}},
        json={"bulk": "cushions", "imeis": [IMEI, NEXT], "reason": "new cushions"},
    ),
    "bulks": Sample("listJobs", TAG, {"status": "200", "items": [ENDED], "next": None}),
    "bulk": Sample(
        "getJob", TAG, {**ENDED, "items": RESULTS, "next": None}, place=HERE,
        query={"failed": False, "limit": 100},
    ),
    "bulk_cancel": Sample(
        "cancelJob", TAG, {**JOB, "state": "cancelled"}, place=HERE,
    ),
}  # fmt: skip
