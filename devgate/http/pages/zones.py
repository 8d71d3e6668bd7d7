"""The time zones of sites: they decide where a day of a report begins."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode
from zoneinfo import available_timezones

from starlette.responses import Response

from devgate.errors import CallerError
from devgate.http.pages.view import Visit, redirect

PATH = "/settings/zones"


@cache
def names() -> list[str]:
    """The zones that are offered: those with the name of a place."""
    return sorted(name for name in available_timezones() if "/" in name and name[:4] != "Etc/")


async def show(visit: Visit, err: CallerError | None = None) -> Response:
    """All sites, each with its zone."""
    reply: Mapping[str, Any] = await visit.ask("zones")
    return visit.page(
        "zones.html",
        title=visit.t("Sites"),
        items=reply["items"],
        default=reply["default"],
        names=names() if visit.may("zone") else (),
        err=err,
        done=visit.request.query_params.get("done", "")[:200],
    )


async def change(visit: Visit) -> Response:
    """Give one site the zone of the form; an empty one is the default."""
    fields = await visit.form()
    caller = visit.must("zone")
    site, zone = fields.get("site", ""), fields.get("zone", "").strip() or None
    try:
        # Not visit.ask(): here a None means something.
        await visit.web.dispatch({"type": "zone", "site": site, "zone": zone}, caller.source)
    except CallerError as err:
        return await show(visit, err)
    return redirect(f"{PATH}?{urlencode({'done': site})}")
