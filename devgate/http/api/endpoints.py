"""The API in one table: its routes, its checks and its documents are made from it."""

from __future__ import annotations

from devgate.gateway.operations.table import OPERATIONS
from devgate.http.api import rules
from devgate.http.api import schemas as s
from devgate.http.api.account_calls import CALLS as ACCOUNTS
from devgate.http.api.alert_calls import CALLS as ALERTS
from devgate.http.api.bulk_calls import CALLS as BULK
from devgate.http.api.call import DEVICE_FILTER, LIMIT
from devgate.http.api.call import Call as Call
from devgate.http.api.call import Field as Field
from devgate.http.api.command_calls import CALLS as COMMANDS
from devgate.http.api.maintenance_calls import CALLS as MAINTENANCE
from devgate.http.api.record_fields import FILTER_FIELDS, RECORD, TAG_FIELDS
from devgate.http.api.schemas import nullable
from devgate.http.api.service_calls import CALLS as SERVICE
from devgate.http.api.usage_calls import CALLS as USAGE

_IMEI = Field("imei", s.IMEI, "The device.", True)
_KEY = "Your own name for the command, an order number: it is never done twice."
_HEAD = (Field("Idempotency-Key", s.KEY, _KEY, becomes="key"),)
_ORDER = (
    Field("key", nullable(s.KEY), _KEY + " The header `Idempotency-Key` says the same."),
    Field("timeout", nullable(s.TIMEOUT), "Seconds to wait for the device's answer, once sent."),
    Field("wait", nullable(s.YES), "false: answer 202 as soon as the command is recorded."),
    Field("expires", nullable(s.EXPIRES),
          "Seconds that it may be kept for a device that is not connected."),
)  # fmt: skip
_START = (
    Field("long", s.LONG, "Seconds; or times, for a device that counts them.", True),
    *_ORDER,
    Field("unit", nullable(s.UNIT), "What `long` is meant to count: checked, if given."),
)
_AFTER = Field("after", s.POSITION, "Events behind this number.")
_KINDS = Field("events", s.EVENTS, "Only of these types: `device`, or `command.ended,device`.")
_DEVICE = (
    Field("id", s.NUMBER, "The number that `{id}` in texts stands for."),
    Field("name", s.NAME, "What people call it."),
    Field("site", s.NAME, "Where it stands."),
    Field("phone", nullable(s.PHONE), "Its own service telephone; null for the gateway's."),
    Field("qr", nullable(s.QR), "Its own text of the QR code; null for the gateway's."),
    Field("unit", s.UNIT, "What the number of a start counts."),
    Field("ack_timeout", nullable(s.TIMEOUT),
          "Its own seconds to answer a command; null for the gateway's."),
    Field("enabled", s.YES, "false: it is refused when it registers."),
    *RECORD,
)  # fmt: skip
_STREAM = "Server-sent events, until you close the connection; a comment shows that it lives."

# Each field is one that the operation takes: `_check` below compares them at import.
CALLS: tuple[Call, ...] = (
    Call(
        "POST", "/api/devices/{imei}/start", "start", "Start a device", "Ordered",
        place=(_IMEI,), head=_HEAD, body="json", waits=True,
        json=_START,
        about="The answer comes with the device's own. Anything but a start that the device "
        "confirmed is an error; 504 says that the outcome is unknown: ask for the command later.",
    ),
    Call(
        "POST", "/api/devices/{imei}/stop", "stop", "Stop a device", "Ordered",
        place=(_IMEI,), head=_HEAD, body="json", waits=True,
        json=(*_ORDER, Field("cancel", nullable(s.YES), "true: cancel the starts that wait.")),
    ),
    Call(
        "POST", "/api/devices/{imei}/test", "test_start", "Start a device to test it", "Ordered",
        place=(_IMEI,), head=_HEAD, body="json", waits=True,
        json=_START,
        about="As a start, but for staff: a device in maintenance is started, too. Its record has "
        "`why` `test`.",
    ),
    Call("GET", "/api/status", "status", "How the gateway is", "Status"),
    Call(
        "GET", "/api/devices", "devices", "List or search devices", "Devices",
        about="A page may be shorter than `limit` and still have a `next`: what no index "
        "gives is looked for among some thousands of devices at a time.",
        query=(
            *FILTER_FIELDS,
            Field("sort", s.SORT, "By what they are sorted; with `-` the last first."),
            Field("count", s.YES, "true: say how many there are, up to 10,000."),
            Field("after", s.CURSOR, "Devices behind this place: the `next` of the page before."),
            Field("before", s.CURSOR,
                  "Devices in front of this place: the `prev` of the page behind."),
            LIMIT,
        ),
    ),
    Call(
        "POST", "/api/devices", "add", "Add a device", "StoredDevice", body="json", created="imei",
        json=(_IMEI, *_DEVICE), rules=rules.COORDINATES,
        about="Without `id` it gets the next number.",
    ),
    Call(
        "POST", "/api/devices/import", "import", "Import devices from CSV", "Taken", body="csv",
        query=(
            Field("on_conflict", s.CONFLICT, "What to do with IMEIs that are there."),
            Field("dry_run", s.YES, "true: only say what would change, and what is wrong."),
        ),
        about="A header names the columns: imei, and any of id, name, site, phone, qr, unit, "
        "ack_timeout, enabled, and the fields of the machine's record. The whole file is checked "
        "first: an error names its line, and nothing is taken. With `dry_run` all "
        "lines that are wrong are named, up to 200.",
    ),
    Call(
        "GET", "/api/devices/export", "export", "Export all devices as CSV", "", stream="csv",
        query=(
            Field("for", s.EXPORT, "spreadsheet: no cell is taken for a formula there, and it "
                  "is not for the import.", form=True),
        ),
        about="What the import takes back unchanged.",
    ),
    Call("GET", "/api/devices/{imei}", "device", "One device", "KnownDevice", place=(_IMEI,)),
    Call(
        "PATCH", "/api/devices/{imei}", "edit", "Change a device", "StoredDevice",
        place=(_IMEI,), body="json", json=(*_DEVICE, *TAG_FIELDS), rules=rules.COORDINATES,
        about="What is given, and nothing else.",
    ),
    Call(
        "DELETE", "/api/devices/{imei}", "remove", "Forget a device", "RemovedDevice",
        place=(_IMEI,), about="Its history stays.",
    ),
    *BULK,
    *MAINTENANCE,
    Call(
        "GET", "/api/devices/{imei}/day", "day", "One device's day", "Day", place=(_IMEI,),
        query=(Field("since", s.whole(0, 2**40), "Seconds since 1970; without it, 24 h ago."),),
    ),
    Call(
        "GET", "/api/devices/{imei}/tap", "tap", "One device's frames as they pass", "",
        place=(_IMEI,), stream="events", about=_STREAM,
    ),
    Call(
        "GET", "/api/unknown-devices", "unknown_devices",
        "List devices that were refused when they tried to register", "UnknownDevices",
        query=(
            Field("reason", s.REASON, "Only those that were refused for this."),
            Field("dismissed", s.YES, "true: those that were dismissed, and no others."),
            Field("after", s.IMEI, "Behind this IMEI: the `next` of the page before."),
            LIMIT,
        ),
        about="Who tried last comes first. At most 1,000 are kept: the first to go are those that "
        "tried once.",
    ),
    Call(
        "POST", "/api/unknown-devices/{imei}/approve", "approve",
        "Add a device that tried to register", "StoredDevice", place=(_IMEI,), body="json",
        json=_DEVICE, rules=rules.COORDINATES,
        about="409 unless `[device] registration` is `approve`. Without `id` it gets the next "
        "number.",
    ),
    Call(
        "POST", "/api/unknown-devices/{imei}/dismiss", "dismiss",
        "Leave a device out of the list of unknown ones", "DismissedDevice", place=(_IMEI,),
        body="json", json=(Field("dismissed", s.YES, "false: take that back."),),
        about="It is refused as before.",
    ),
    *COMMANDS,
    Call(
        "POST", "/api/command", "", "A request of the control channel", "RawReply", body="command",
        about='`command{"imei":"123456787654321","type":"start","long":"0500"}`, for code that '
        "speaks it already. The answer is the control channel's, on one line, whatever comes of "
        "it; its HTTP status is the one of every other call.",
    ),
    Call(
        "POST", "/api/refresh", "refresh", "Read what other programs changed of the devices",
        "Refreshed",
    ),
    Call(
        "POST", "/api/confirm-loss", "confirm_loss",
        "Accept starts again after the database lost rows", "ConfirmedLoss",
    ),
    Call(
        "POST", "/api/trim", "trim", "Trust the clock, and delete what is old enough", "Trimmed",
    ),
    Call(
        "GET", "/api/events", "events", "List events, oldest first", "Events",
        query=(_AFTER, DEVICE_FILTER, _KINDS, LIMIT),
    ),
    Call(
        "GET", "/api/events/stream", "watch", "Events as they happen", "", stream="events",
        query=(_AFTER, DEVICE_FILTER, _KINDS),
        head=(Field("Last-Event-ID", s.POSITION, "Go on behind this event.", becomes="after"),),
        about=_STREAM + " Nothing is left out and nothing comes twice, if you come back with the "
        "last `id` as `Last-Event-ID`, as browsers do by themselves.",
    ),
    Call(
        "GET", "/api/find", "find", "Find an order, a device or a site", "Found",
        query=(Field("q", s.WORDS, "An order's key or id, an IMEI, a number, a name.", True),),
        about="`devices` begins with the `exact` ones: those whose IMEI or number it is.",
    ),
    Call("GET", "/api/sites", "sites", "List the sites", "Sites"),
    Call(
        "GET", "/api/fleet", "fleet", "The fleet's day", "Fleet",
        about="`attention` is what a person should look at, worst first.",
    ),
    Call(
        "GET", "/api/fleet/trend", "trend", "The fleet by the hour", "Trend",
        query=(Field("days", s.DAYS, "How many days, up to now."),),
        about="Hours that are over are counted once, when they are asked for: `complete` is false "
        "until all of them are.",
    ),
    Call(
        "GET", "/api/orders", "order", "All that happened to an order", "Order",
        query=(Field("key", s.KEY, "The key of its command.", True),),
    ),
    *ALERTS,
    *USAGE,
    *SERVICE,
    *ACCOUNTS,
)  # fmt: skip


def _check() -> None:
    for call in CALLS:
        fields = (*call.place, *call.query, *call.head, *call.json)
        known = OPERATIONS[call.operation].fields if call.operation else ()
        unknown = {one.argument for one in fields if not one.form} - set(known)
        assert not unknown, f"{call.operation} does not take {unknown}"


_check()
