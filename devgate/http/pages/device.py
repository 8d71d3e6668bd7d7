"""One device: its day, its commands, and the forms that start, test and stop it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import segno
from markupsafe import Markup
from starlette.responses import Response

from devgate.errors import CallerError, StoreError
from devgate.events.kinds import Event
from devgate.gateway.operations import at_hand
from devgate.gateway.reports.fleet_day import DAY, HOUR
from devgate.gateway.reports.past import group_of
from devgate.http.auth import refuse
from devgate.http.board import Concern
from devgate.http.pages import charts, words
from devgate.http.pages.charts import LanePoint, Lanes
from devgate.http.pages.live import Live, Values
from devgate.http.pages.view import Visit, redirect
from devgate.model import Imei, iso
from devgate.protocol.frames import encode
from devgate.store.device import RECORD

MAX_COMMANDS = 20  # that are shown
MAX_EVENTS = 40
TICK_SECONDS = 6 * HOUR
FRAME_COMMAND = {"start": "QD", "stop": "ST", "test": "QD"}
OPERATION_OF = {"start": "start", "stop": "stop", "test": "test_start"}  # the operations
TEST_LONG = {"seconds": 5, "times": 1}
LANES = (("Online", "online"), ("Running", "running"))
PRESETS = {"seconds": ("15m", "30m", "1h", "2h"), "times": ("1", "3", "5", "10")}


def presets(visit: Visit, unit: str) -> list[tuple[str, str]]:
    """The numbers of the buttons that start it: as a query has them, and as people read them."""
    return [
        (one, words.long_of(visit.language, words.read_long(one, unit), unit))
        for one in PRESETS[unit]
    ]


async def show(visit: Visit) -> Response:
    """The page of one device."""
    shown = await values(visit)
    device = shown["device"]
    texts = visit.web.gateway.directory
    record: Mapping[str, Any] = await visit.ask_or(
        at_hand.now(at_hand.nothing), "device", imei=device["imei"]
    )
    phone, qr = ((texts.text(device["imei"], name) or b"").decode() for name in ("TN", "QR"))
    return visit.page(
        "device.html",
        title=device["name"] or device["imei"],
        live=True,
        phone=phone,
        qr=qr,
        code=picture(qr),
        record=[(name, record[name]) for name in RECORD if record.get(name) is not None],
        **shown,
    )


async def values(visit: Visit) -> Values:
    """The values that change while the page is open."""
    device, gateway = visit.device, visit.web.gateway
    status = await status_of(visit, device)
    begin, now = _begin(visit), int(visit.now)
    since = now // HOUR * HOUR + HOUR - DAY if begin is None else begin
    query = visit.request.query_params
    day: Mapping[str, Any] = await visit.ask_or(
        at_hand.now(at_hand.day, device, since, now), "day", imei=device, since=since
    )
    after, before = query.get("after") or None, query.get("before") or None
    history = await visit.ask_or(
        at_hand.now(at_hand.history, gateway, imei=device, limit=MAX_COMMANDS),
        "history", imei=device, limit=MAX_COMMANDS, after=after, before=None if after else before,
        **({} if begin is None else {"since": begin, "until": begin + DAY}),
    )  # fmt: skip
    ordered = query.get("command")
    start = words.moment(day["since"])
    assert start is not None, "a day begins"
    day_before, day_behind = words.neighbours(start, visit.zone)
    return {
        "device": status,
        "day": day,
        "presets": presets(visit, status["unit"]),
        "test": TEST_LONG[status["unit"]],
        "today": begin is None,
        "query": "" if begin is None else urlencode({"day": query["day"]}),
        "inside": after or before,
        "before": day_before,
        "behind": day_behind,
        "lanes": _lanes(visit, day),
        "ticks": [iso(since + n * TICK_SECONDS) for n in range(DAY // TICK_SECONDS + 1)],
        "events": day["events"][: -MAX_EVENTS - 1 : -1],
        "history": history,
        "ordered": await _ordered(visit, ordered) if ordered else None,
    }


async def _ordered(visit: Visit, id: str) -> Mapping[str, Any] | None:
    try:
        return await visit.ask("command", command=id)
    except StoreError as err:  # it has ended: memory holds those under way
        visit.away = str(err)
        return None


async def status_of(visit: Visit, device: Imei) -> Mapping[str, Any]:
    """The state of a device; from memory if the database cannot be read."""
    known = at_hand.now(at_hand.device, visit.web.gateway, device)
    return await visit.ask_or(known, "status", imei=device)


def _concern(visit: Visit, shown: Values, event: Event) -> Concern:
    concerned = event.imei == visit.request.path_params["imei"]
    # Maintenance of a whole site: it may be the site of this device.
    concerned = concerned or (event.imei is None and event.type.startswith("maintenance."))
    return Concern.AT_ONCE if concerned else Concern.NONE


# The page says when the device was last heard, and a heartbeat makes no event.
LIVE = Live("device.html", values, _concern, pulse=20.0)


def _begin(visit: Visit) -> int | None:
    """When the day that is asked for began; None for the last 24 hours."""
    found = words.midnight(visit.request.query_params.get("day", ""), visit.zone)
    if found is None or found.timestamp() > visit.now or found.year < 2000:
        return None
    return int(found.timestamp())


def _lanes(visit: Visit, day: Mapping[str, Any]) -> Lanes:
    since = words.seconds_of(day["since"])
    until = since + DAY

    def spans(name: str) -> list[tuple[float, float]]:
        return [(words.seconds_of(one["from"]), words.seconds_of(one["to"])) for one in day[name]]

    points = [
        LanePoint(
            words.seconds_of(command["accepted_at"]),
            group_of(command["status"]),
            f"{visit.asked(command)}: {visit.t(words.status_of(command))}",
        )
        for command in day["commands"]
    ]
    return charts.lanes(
        [(visit.t(title), kind, spans(kind)) for title, kind in LANES],
        (visit.t("Commands"), points),
        since,
        until,
        none=visit.t("no"),
    )


@lru_cache(maxsize=256)  # it takes some milliseconds, and the page is drawn often
def picture(text: str) -> Markup | None:
    """The QR code as SVG, without style: the page's style sheet gives it its size."""
    if not text:
        return None
    code = segno.make(text, micro=False, error="m")
    return Markup(code.svg_inline(scale=1, border=2, omitsize=True, svgclass="qr", title=text))


def _what(visit: Visit) -> str:
    what = str(visit.request.path_params["what"])
    if what not in FRAME_COMMAND:
        raise CallerError("400", "there is nothing here; a device can be started and stopped")
    return what


async def confirm(visit: Visit) -> Response:
    """Show the frame that will be sent, and the button that sends it."""
    device, what = visit.device, _what(visit)
    if not visit.may(OPERATION_OF[what]):
        refuse(visit.web, visit.request, "role", visit.caller, OPERATION_OF[what])
        raise CallerError("401", "your role allows to look, not to command; nothing was sent")
    status = await status_of(visit, device)
    unit, given = status["unit"], visit.request.query_params.get("long", "")
    max_long = visit.web.gateway.settings.command.max_long
    long = None if what == "stop" else words.read_long(given, unit)
    if what != "stop" and (long is None or not 1 <= long <= max_long):
        return visit.page(
            "start.html", title=visit.t("Start"), device=status, given=given, max_long=max_long,
            presets=presets(visit, unit),
        )  # fmt: skip
    data = b"" if long is None else str(long).encode()
    frame = encode("000", device, FRAME_COMMAND[what], data).decode()
    return visit.page(
        "confirm.html",
        title=visit.t("Confirm"),
        device=status,
        what=what,
        long=long,
        given=given,
        frame=(
            ("len", "length", frame[:3]),
            ("status", "status", frame[3:6]),
            ("imei", "IMEI", frame[6:21]),
            ("kind", "command", frame[21:23]),
            ("data", "number", frame[23:]),
        ),
        # One key for this form: however often it is sent, the device is started once.
        key=f"web-{secrets.token_hex(8)}",
        ack=visit.web.gateway.settings.command.ack_timeout,
    )


async def order(visit: Visit) -> Response:
    """Carry out what a form of the page asks for."""
    device, what, fields = visit.device, _what(visit), await visit.form()
    args: dict[str, object] = {"imei": device, "key": fields.get("key") or None, "wait": False}
    if what != "stop":
        args["long"] = fields.get("long", "")
    else:
        args["cancel"] = True if fields.get("cancel") else None
    reply = await visit.ask(OPERATION_OF[what], **args)
    if reply["command"] is None:
        raise CallerError(str(reply["status"]), str(reply["message"]))
    return redirect(f"/devices/{device}?command={quote(str(reply['command']))}")
