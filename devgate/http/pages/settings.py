"""The pages of gateway.toml, the texts of machines, and an examination."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from starlette.responses import Response

from devgate.http.pages import words
from devgate.http.pages.view import Visit, redirect
from devgate.http.problems import Problem


async def first(visit: Visit) -> Response:
    """The first section that the viewer may open. Raises Problem (403) if there is none."""
    if not visit.sections:
        raise Problem("401", "your role does not allow this; nothing was done")
    return redirect(visit.sections[0].path)


async def configuration(visit: Visit) -> Response:
    """Every key by its table; `all=1` of the query also shows those at their default."""
    reply: Mapping[str, Any] = await visit.ask("settings")
    everything = visit.request.query_params.get("all") == "1"
    items = [one for one in reply["items"] if everything or one["from"] != "default"]
    tables = [
        (name, list(keys))
        for name, keys in groupby(items, lambda one: one["key"].partition(".")[0])
    ]
    return visit.page(
        "configuration.html",
        title=visit.t("Configuration"),
        file=reply["file"],
        tables=tables,
        everything=everything,
        written=written,
    )


def written(visit: Visit, item: Mapping[str, Any]) -> str:
    """A value as people read it; nothing for an empty one."""
    value = item["value"]
    if value is None or value in ("", []):
        return ""
    if item["unit"] == "seconds":
        if 0 < value < 1:  # words.span() has whole seconds
            return f"{value:g} {visit.t('s')}"
        return words.span(visit.language, value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, list) else str(value)


async def texts(visit: Visit) -> Response:
    """The texts of machines that have none of their own."""
    reply: Mapping[str, Any] = await visit.ask("settings")
    values = {one["key"]: one for one in reply["items"]}
    service = visit.web.gateway.settings.service
    example = service.qr.replace("{id}", "1024").replace("{imei}", "860000000001024")
    return visit.page(
        "texts.html",
        title=visit.t("Texts"),
        file=reply["file"],
        phone=values["service.phone"],
        qr=values["service.qr"],
        example=example,
    )


async def doctor(visit: Visit) -> Response:
    """What an examination finds, the worst first."""
    reply: Mapping[str, Any] = await visit.ask("doctor")
    found = [one for one in reply["items"] if one["severity"] != "ok"]
    return visit.page(
        "doctor.html",
        title=visit.t("Examination"),
        at=reply["at"],
        found=found,
        right=[one for one in reply["items"] if one["severity"] == "ok"],
        looks={"error": "failed", "warning": "unknown"},
    )
