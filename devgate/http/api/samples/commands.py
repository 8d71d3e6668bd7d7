"""Examples: start, stop, and records of commands."""

from __future__ import annotations

from collections.abc import Mapping

from devgate.http.api.samples.sample import ACCEPTED, COMMAND, ENDED, IMEI, KEY, SENT, Sample

TAG = "Commands"
HERE = {"imei": IMEI}
ORDERED: dict[str, object] = {
    "status": "200", "message": "started", "imei": IMEI, "type": "start", "long": 900,
    "command": COMMAND, "key": KEY, "outcome": "done", "late": False, "ambiguous": False,
}  # fmt: skip
RECORD: dict[str, object] = {
    "status": "200", "late": False, "message": "started", "imei": IMEI, "type": "start",
    "long": 900, "command": COMMAND, "key": KEY, "source": "http:shop", "state": "ended",
    "accepted_at": ACCEPTED, "sent_at": SENT, "ended_at": ENDED, "late_at": None,
    "expires_at": None, "running": False, "why": None, "new_address": False,
    "ambiguous": False, "outcome": "done", "group": None, "resolution": None, "verdict": None,
    "note": None, "resolved_by": None, "resolved_at": None,
}  # fmt: skip
NAMED: dict[str, object] = {**RECORD, "name": "Bay 4", "site": "north"}
EXPORTED = (
    "accepted_at,imei,name,site,type,long,outcome,status,late,message,key,source,command,sent_at,"
    f"ended_at,late_at\n{ACCEPTED},{IMEI},Bay 4,north,start,900,done,200,false,started,{KEY},"
    f"http:shop,{COMMAND},{SENT},{ENDED},\n"
)
UNKNOWN: dict[str, object] = {
    **RECORD, "status": "408", "outcome": "unknown", "resolution": "unresolved",
    "message": "sent, but no answer came in time: the outcome is unknown, the device may have "
    "done it", "name": "Bay 4", "site": "north",
}  # fmt: skip
CANCELLED: dict[str, object] = {
    **RECORD, "message": "cancelled; nothing was sent", "sent_at": None,
    "expires_at": "2026-11-24T13:00:00.000Z", "outcome": "refused",
}  # fmt: skip

COMMANDS: Mapping[str, Sample] = {
    "start": Sample(
        "startDevice", TAG, ORDERED, place=HERE, head={"Idempotency-Key": KEY},
        json={"long": 900, "unit": "seconds"},
    ),
    "test_start": Sample(
        "testDevice", TAG, {**ORDERED, "long": 5, "why": "test"}, place=HERE,
        head={"Idempotency-Key": KEY}, json={"long": 5, "unit": "seconds"},
    ),
    "stop": Sample(
        "stopDevice", TAG,
        {**ORDERED, "message": "stopped", "type": "stop", "long": None, "key": None},
        place=HERE, json={"cancel": True},
    ),
    "history": Sample(
        "listCommands", TAG,
        {"status": "200", "items": [NAMED], "next": COMMAND, "prev": None, "count": 87,
         "more": False},
        query={"outcome": "failed,unknown", "site": "north", "count": True, "limit": 20},
    ),
    "history_export": Sample(
        "exportCommands", TAG, EXPORTED, query={"outcome": "done", "since": 1795478400}
    ),
    "command": Sample("getCommand", TAG, RECORD, place={"id": COMMAND}),
    "cancel": Sample("cancelCommand", TAG, CANCELLED, place={"id": COMMAND}),
    "unknown": Sample(
        "listUnknownOutcomes", TAG,
        {"status": "200", "items": [UNKNOWN], "next": None, "count": 1, "more": False},
        query={"site": "north", "older": 600, "stops": False},
    ),
    "resolve": Sample(
        "resolveOutcomes", TAG,
        {"status": "200", "message": "resolved 1, as refunded", "verdict": "refunded",
         "by": "http:shop:li", "resolved": [COMMAND], "conflicts": []},
        json={"commands": COMMAND, "verdict": "refunded", "note": "customer called",
              "by": "li"},
    ),
    "": Sample(
        "sendRawRequest", TAG, {**ORDERED, "long": 500, "key": None},
        text=f'command{{"imei":"{IMEI}","type":"start","long":"0500"}}',
    ),
}  # fmt: skip
