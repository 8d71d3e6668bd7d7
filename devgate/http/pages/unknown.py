"""Unknown devices: those that were refused when they tried to register; add or dismiss them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from devgate.errors import CallerError
from devgate.gateway.operations import at_hand
from devgate.http.board import Concern
from devgate.http.pages.chosen import as_query
from devgate.http.pages.live import Live, Values, of_types
from devgate.http.pages.view import Visit, redirect
from devgate.model import alternatives, imei
from devgate.store.unknown import REASONS

PATH = "/unknown-devices"
PAGE_ROWS = 50
EVENT_TYPES = ("device.unknown", "device.added", "device.changed", "device.removed")
# A button of the page: its operation, further fields, and the message of the page afterwards.
BUTTONS: Mapping[str, tuple[str, Mapping[str, object], str]] = {
    "approve": ("approve", {}, "approved"),
    "dismiss": ("dismiss", {}, "dismissed"),
    "undo": ("dismiss", {"dismissed": False}, "back"),
}


async def show(visit: Visit) -> Response:
    """The list, and what was done last."""
    query = visit.request.query_params
    return visit.page(
        "unknown_devices.html",
        title=visit.t("Unknown devices"),
        live=True,
        reasons=REASONS,
        done=query.get("done", ""),
        about=query.get("imei", "")[:15],
        **await values(visit),
    )


async def values(visit: Visit) -> Values:
    """What the list itself shows."""
    query = visit.request.query_params
    reason, dismissed = query.get("reason", ""), query.get("dismissed") == "1"
    page: Mapping[str, Any] = await visit.ask_or(
        at_hand.now(at_hand.unknown_devices, visit.web.gateway),
        "unknown_devices",
        reason=reason if reason in REASONS else None,
        dismissed=dismissed or None,
        after=query.get("after") or None,
        limit=PAGE_ROWS,
    )
    chosen = {"reason": reason, "dismissed": "1" if dismissed else ""}
    return {
        "page": page,
        "reason": reason,
        "dismissed": dismissed,
        "words": {name: f"refused.{name}" for name in REASONS},
        "after": query.get("after", ""),
        "query": as_query(chosen),
        "approves": page["registration"] == "approve" and visit.may("approve"),
    }


# Most attempts to register make no event.
LIVE = Live("unknown_devices.html", values, of_types(Concern.LATER, *EVENT_TYPES), pulse=20.0)


async def act(visit: Visit) -> Response:
    """Approve or dismiss one device, as a button of the page asks."""
    fields = await visit.form()
    for name, (operation, more, done) in BUTTONS.items():
        if name in fields:
            device = imei(fields[name])
            await visit.ask(operation, imei=device, **more)
            return redirect(f"{PATH}?{urlencode({'done': done, 'imei': device})}")
    raise CallerError("400", f"{alternatives(BUTTONS)}: an IMEI expected, not nothing")
