"""The search box of every page: it leads to the one thing that is meant, or to a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import Response

from devgate.gateway.operations import at_hand
from devgate.gateway.operations.find import MAX_WORDS
from devgate.http.pages.view import Visit, redirect


async def show(visit: Visit) -> Response:
    """A device by its IMEI or number, an order by its key; else the list of devices."""
    words = visit.request.query_params.get("q", "").strip()[:MAX_WORDS]
    if not words:
        return redirect("/devices")
    found: Mapping[str, Any] = await visit.ask_or(at_hand.now(at_hand.found), "find", q=words)
    devices, commands = found["devices"][: found["exact"]], found["commands"]
    if len(devices) == 1 and not commands and not found["site"]:
        return redirect(f"/devices/{devices[0]['imei']}")
    if commands and not devices and not found["devices"]:
        return redirect(f"/orders?key={quote(commands[0]['key'] or words, safe='')}")
    return redirect(f"/devices?{urlencode({'q': words[:64]})}")
