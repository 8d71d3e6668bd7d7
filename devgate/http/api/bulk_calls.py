"""The calls of the API about many devices at once."""

from __future__ import annotations

from devgate.gateway.bulk import MAX_MACHINES
from devgate.gateway.operations.bulk import CHANGES, MAX_LISTED
from devgate.gateway.operations.device_list import FILTERS
from devgate.http.api import rules
from devgate.http.api import schemas as s
from devgate.http.api.call import LIMIT, Call, Field
from devgate.http.api.maintenance_calls import SAID
from devgate.http.api.record_fields import FILTER_FIELDS, RECORD, TAG_FIELDS
from devgate.http.api.schemas import nullable

_FILTERS = {one.name: one.schema for one in FILTER_FIELDS}
_MATCH = {
    "type": "object", "title": "an object with filters of the list of devices",
    "properties": {name: _FILTERS[name] for name in FILTERS}, "additionalProperties": False,
}  # fmt: skip
_IMEIS = s.many(s.IMEI, "IMEIs", MAX_LISTED)
_ID = Field("id", s.JOB, "The job, by its id.", True, "bulk")
_WHICH = (
    Field("bulk", nullable(s.JOB), "Your own id for the job: under it, it is done once."),
    Field("imeis", nullable(_IMEIS), "These devices; or `match`."),
    Field("match", nullable(_MATCH), "All devices that match, as `GET /api/devices` finds them; "
          "`{}` is all there are."),
    Field("most", nullable(s.whole(0, MAX_MACHINES)), "409 if more devices than this match."),
    Field("dry_run", nullable(s.YES), "true: only count them."),
)  # fmt: skip
_WHICHEVER = rules.one_of(imeis=rules.LIST, match=rules.OBJECT)
_WAIT = (
    Field("timeout", nullable(s.TIMEOUT), "Seconds to wait for each device's answer, once sent."),
    Field("expires", nullable(s.EXPIRES),
          "Seconds that each may be kept for a device that is not connected."),
)  # fmt: skip
_ABOUT = (
    f"At most {MAX_MACHINES:,} devices. The answer comes at once; ask for the job how far it has "
    "come. Few devices are asked at a time. "
)

CALLS: tuple[Call, ...] = (
    Call(
        "POST", "/api/bulk/start", "bulk_start", "Start many devices", "Bulk", body="json",
        json=(
            *_WHICH,
            Field("long", s.LONG, "Seconds; or times, for devices that count them.", True),
            Field("unit", nullable(s.UNIT), "What `long` counts, seconds if it is not given. "
                  "Devices that count otherwise are refused."),
            *_WAIT,
        ),
        rules=(_WHICHEVER,),
        about=_ABOUT + "The key of each start is the job's id, a dash and the IMEI.",
    ),
    Call(
        "POST", "/api/bulk/stop", "bulk_stop", "Stop many devices", "Bulk", body="json",
        json=(
            *_WHICH,
            *_WAIT,
            Field("cancel", nullable(s.YES), "true: cancel the starts that wait."),
        ),
        rules=(_WHICHEVER,),
        about=_ABOUT,
    ),
    Call(
        "POST", "/api/bulk/edit", "bulk_edit", "Change many devices", "Bulk", body="json",
        json=(
            *_WHICH,
            Field("site", s.NAME, "Move them to this site."),
            Field("phone", nullable(s.PHONE), "Their own telephone; null for the gateway's."),
            Field("qr", nullable(s.QR), "Their own text of the QR code; null for the gateway's."),
            Field("unit", s.UNIT, "What the number of a start counts."),
            Field("ack_timeout", nullable(s.TIMEOUT),
                  "Their own seconds to answer a command; null for the gateway's."),
            Field("enabled", s.YES, "false: they are refused when they register."),
            *(one for one in RECORD if one.name in CHANGES),
            *TAG_FIELDS,
        ),
        rules=(_WHICHEVER, rules.some_of(CHANGES)),
        about=_ABOUT + "What is given is changed, and nothing else.",
    ),
    Call(
        "POST", "/api/bulk/maintenance", "bulk_maintenance",
        "Put many devices in maintenance, or end it", "Bulk", body="json",
        json=(
            *_WHICH,
            Field("on", nullable(s.YES), "false: end it."),
            *SAID,
        ),
        rules=(
            _WHICHEVER,
            rules.not_both(on=rules.FALSE, reason=rules.TEXT),
            rules.not_both(on=rules.FALSE, until=rules.WHOLE),
        ),
        about=_ABOUT + "For a whole site there is a call of its own.",
    ),
    Call("GET", "/api/bulk", "bulks", "List the jobs for many devices", "Bulks"),
    Call(
        "GET", "/api/bulk/{id}", "bulk", "How far a job has come", "BulkResults", place=(_ID,),
        statuses={"400": 404},
        query=(
            Field("failed", s.YES, "true: only devices whose outcome is not `done`."),
            Field("after", s.whole(0, MAX_MACHINES), "The `next` of the page before."),
            LIMIT,
        ),
        about="The newest 16 jobs are remembered, until the gateway stops.",
    ),
    Call(
        "POST", "/api/bulk/{id}/cancel", "bulk_cancel", "Cancel a job for many devices", "Bulk",
        place=(_ID,), statuses={"400": 404}, about="What was asked of a device already goes on.",
    ),
)  # fmt: skip
