"""Machines and sites in maintenance: begin and end it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from devgate.errors import CallerError, DevgateError
from devgate.gateway.clock import time
from devgate.gateway.operations import at_hand
from devgate.gateway.operations.maintenance import MAX_REASON
from devgate.http.board import Concern
from devgate.http.pages.chosen import sites
from devgate.http.pages.live import Live, Values, of_types
from devgate.http.pages.view import Visit, own_path, redirect
from devgate.model import imei
from devgate.store.device import MAX_NAME

PATH = "/maintenance"
PAGE_ROWS = 100
HOUR, DAY = 3600, 86400
# The lengths that the form offers, in seconds; "": until somebody ends it.
LENGTHS = ("", *(str(n) for n in (HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, DAY, 3 * DAY, 7 * DAY)))
EVENT_PREFIX = "maintenance."


async def show(visit: Visit) -> Response:
    """The list, and a form for a site."""
    return await _list(visit, {"site": visit.request.query_params.get("site", "")[:MAX_NAME]})


async def _list(
    visit: Visit, given: Mapping[str, str], err: DevgateError | None = None
) -> Response:
    return visit.page(
        "maintenance.html",
        title=visit.t("Maintenance"),
        live=True,
        sites=[one["site"] for one in await sites(visit) if one["site"]],
        lengths=LENGTHS,
        max_reason=MAX_REASON,
        given=given,
        err=err,
        **await values(visit),
    )


async def values(visit: Visit) -> Values:
    """The values that change while the page is open."""
    after = visit.request.query_params.get("after") or None
    page: Mapping[str, Any] = await visit.ask_or(
        at_hand.now(at_hand.maintenance, visit.web.gateway, PAGE_ROWS),
        "maintenance", after=after, limit=PAGE_ROWS,
    )  # fmt: skip
    return {"page": page, "after": after}


LIVE = Live("maintenance.html", values, of_types(Concern.AT_ONCE, EVENT_PREFIX), pulse=60.0)


async def act(visit: Visit) -> Response:
    """Begin it for a site, or end it, as a button of the page asks."""
    fields = await visit.form()
    if site := fields.get("end-site"):
        await visit.ask("maintenance_off", site=site)
    elif device := fields.get("end-imei"):
        await visit.ask("maintenance_off", imei=imei(device))
    else:
        try:
            if not fields.get("site", "").strip():
                raise CallerError("400", "site: the name of a site expected, not nothing")
            await visit.ask("maintenance_on", site=fields["site"].strip(), **said(fields))
        except DevgateError as err:
            if err.status not in ("400", "409"):
                raise
            return await _list(visit, fields, err)
    return redirect(own_path(fields.get("next")) if fields.get("next") else PATH)


def said(fields: Mapping[str, str]) -> dict[str, Any]:
    """The reason and the end that a form gives for maintenance, as the operation takes them."""
    reason, length = fields.get("reason", "").strip(), fields.get("length", "")
    found: dict[str, Any] = {"reason": reason} if reason else {}
    if length and length in LENGTHS:
        found["until"] = int(time()) + int(length)
    return found


async def one(visit: Visit) -> Response:
    """The form for one machine."""
    visit.must("maintenance_on")
    return await _one(visit, {})


async def _one(
    visit: Visit, given: Mapping[str, str], err: DevgateError | None = None
) -> Response:
    device = await visit.ask("status", imei=visit.device)
    return visit.page(
        "maintenance_one.html",
        title=visit.t("Maintenance"),
        device=device,
        lengths=LENGTHS,
        max_reason=MAX_REASON,
        given=given,
        err=err,
    )


async def begin(visit: Visit) -> Response:
    """Put the machine in maintenance, or show the form again with what is wrong."""
    fields, device = await visit.form(), visit.device
    try:
        await visit.ask("maintenance_on", imei=device, **said(fields))
    except DevgateError as err:
        if err.status not in ("400", "409"):
            raise
        return await _one(visit, fields, err)
    return redirect(f"/devices/{device}")
