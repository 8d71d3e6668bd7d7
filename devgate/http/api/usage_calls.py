"""The calls of the API about reports and the time zones of sites, and what comes back."""

from __future__ import annotations

from devgate.gateway.operations.usage import BY, MAX_OFFSET, SORTS
from devgate.http.api import schemas as s
from devgate.http.api.call import DEVICE_FILTER, FOR_SHEET, LIMIT, Call, Field
from devgate.http.api.schemas import Schema, nullable, whole
from devgate.http.api.shapes import (
    AT,
    MAYBE,
    MAYBE_NUMBER,
    MAYBE_WHOLE,
    TEXT,
    WHOLE,
    YES,
    listed,
    optional,
    ref,
    shape,
)

_BY = s.choice(BY, default=BY[0])
_SORT = s.choice(SORTS)
_ASKED = (
    Field("by", _BY, "What a line is about."),
    Field("month", s.MONTH, "All days of this month; or `first` and `last`."),
    Field("first", s.REPORTED, "From this day on; without it, from the first of the month."),
    Field("last", s.REPORTED, "Up to this day, which is included; without it, up to today."),
    Field("site", s.SITE, "Only of this site."),
    DEVICE_FILTER,
    Field("sort", _SORT, "The largest of this first; of `availability` the smallest."),
)
_COUNTED = (
    "Starts count on the day on which they were taken, in the time zone of their site. `done` are "
    "those that the device confirmed or of which a person says that it ran, `seconds` and `times` "
    "are what these asked for. `availability` is the share of time that devices were connected, "
    "in percent, over days that are over. What changed is counted within some minutes, up to "
    "`counted_to`; `complete` is false while days are counted anew."
)

CALLS: tuple[Call, ...] = (
    Call(
        "GET", "/api/report", "report", "What machines did", "Report",
        query=(
            *_ASKED,
            Field("offset", whole(0, MAX_OFFSET), "Lines that are left out."),
            LIMIT,
        ),
        about=_COUNTED,
    ),
    Call(
        "GET", "/api/report/export", "report_export", "A report as CSV", "", stream="csv",
        query=(*_ASKED, FOR_SHEET),
    ),
    Call("GET", "/api/zones", "zones", "List the time zones of sites", "Zones"),
    Call(
        "PUT", "/api/zones", "zone", "Give a site a time zone", "ChangedZone", body="json",
        json=(
            Field("site", s.SITE, "The site.", True),
            Field("zone", nullable(s.ZONE), "Its zone; null for that of `[report] zone`."),
        ),
        about="Its days are counted anew, as far as commands are kept.",
    ),
)  # fmt: skip

_COUNTS: dict[str, Schema] = {
    **dict.fromkeys(SORTS[:-1], WHOLE), "availability": MAYBE_NUMBER
}  # fmt: skip
REPORT: dict[str, Schema] = {
    "ReportLine": optional(
        shape("One line of a report. By what it is about it has one of the others.", **_COUNTS),
        imei=TEXT, name=TEXT, site=TEXT, day=TEXT, month=TEXT,
    ),
    "ReportTotal": shape("The sum of all lines, also of those on other pages.", **_COUNTS),
    "Report": shape(
        "A page of a report; `next` is the `offset` of the next one, `count` says how many lines "
        "there are. `zone` is that of sites without their own.",
        status=TEXT, by={"type": "string", "enum": list(BY)}, first=TEXT, last=TEXT, zone=TEXT,
        counted_to=AT, complete=YES, items=listed(ref("ReportLine")), total=ref("ReportTotal"),
        count=WHOLE, next=MAYBE_WHOLE,
    ),
    "Zone": shape(
        "A site and its time zone; null: it has the default.",
        site=TEXT, devices=WHOLE, zone=MAYBE,
    ),
    "Zones": shape(status=TEXT, default=TEXT, items=listed(ref("Zone"))),
    "ChangedZone": shape(status=TEXT, message=TEXT, site=TEXT, zone=MAYBE),
}  # fmt: skip
