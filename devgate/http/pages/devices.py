"""The list of devices: searched, filtered, and read page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from devgate.errors import CallerError
from devgate.http.pages.view import Visit, to
from devgate.model import imei

SHOWN = 50
# What the filter by state says to the operation.
STATES: Mapping[str, Mapping[str, bool]] = {
    "": {},
    "online": {"online": True},
    "running": {"running": True},
    "offline": {"online": False},
    "disabled": {"enabled": False},
}


async def show(visit: Visit) -> Response:
    query = visit.request.query_params
    words, site = query.get("q", "").strip()[:64], query.get("site", "")
    state = query.get("state", "")
    if state not in STATES:
        state = ""
    if (known := _one(visit, words)) is not None and not site and not state:
        return to(f"/devices/{known}")
    page: Mapping[str, Any] = await visit.ask(
        "devices",
        q=words or None,
        site=site or None,
        after=query.get("after") or None,
        limit=SHOWN,
        **STATES[state],
    )
    sites = await visit.ask("sites")
    chosen = {"q": words, "site": site, "state": state}
    kept = urlencode({name: value for name, value in chosen.items() if value})
    return visit.page(
        "devices.html",
        title=visit.t("Devices"),
        live="/live",
        page=page,
        sites=sites["items"],
        chosen=chosen,
        states=STATES,
        kept=kept,
        after=query.get("after", ""),
        total=len(visit.web.gateway.directory),
    )


def _one(visit: Visit, words: str) -> str | None:
    """The device whose whole IMEI was typed or scanned."""
    try:
        found = imei(words)
    except CallerError:
        return None
    return found if visit.web.gateway.directory.admits(found) is not None else None
