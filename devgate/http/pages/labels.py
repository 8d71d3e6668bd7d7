"""Print-ready sheets of QR stickers, for a site or a selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

import trio
from markupsafe import Markup
from starlette.responses import Response

from devgate.gateway.operations import at_hand
from devgate.http.pages import devices
from devgate.http.pages.chosen import sites
from devgate.http.pages.device import status_of
from devgate.http.pages.view import Visit
from devgate.labels import sheet
from devgate.labels.sheet import DEFAULT, SIZES, Label
from devgate.model import imei

MAX_STICKERS = 240  # on one page: to draw a code takes some milliseconds of the processor
SLICE_STICKERS = 2  # that are drawn in one turn of the loop (about 7 ms)


async def show(visit: Visit) -> Response:
    """Sheets of labels for the chosen devices, or for a site."""
    query, gateway = visit.request.query_params, visit.web.gateway
    size = SIZES.get(query.get("size", ""), SIZES[DEFAULT])
    site, cut = query.get("site", ""), query.get("cut", "1") == "1"
    line = "".join(filter(str.isprintable, query.get("line", "")))[: sheet.MAX_LINE].strip()
    phone = query.get("phone") == "1"
    label = partial(_label, visit, line=line, phone=phone)
    match: dict[str, object] = {"site": site} if site else {}
    chosen = [imei(text) for text in dict.fromkeys(query.getlist("imei"))][:MAX_STICKERS]
    if query.get("all") == "1":  # all that match the list's filter, and not those that are ticked
        match, chosen = devices.match_of(query), []
    labels: Sequence[Label] = []
    following = None
    if chosen:
        labels = [label(await status_of(visit, one)) for one in chosen]
    elif match or query.get("all") == "1":
        wanted: dict[str, Any] = {
            **match,
            "after": query.get("after") or None,
            "limit": MAX_STICKERS // size.count * size.count,
        }
        page: Mapping[str, Any] = await visit.ask_or(
            partial(at_hand.devices, gateway, **wanted), "devices", **wanted
        )
        labels = list(map(label, page["items"]))
        following = page["next"]
    query_fields = {name: query[name] for name in ("all", *devices.FILTER) if name in query}
    said = {"line": line, "phone": "1" if phone else ""}
    query_fields |= {name: value for name, value in said.items() if value}
    query_string = urlencode({**query_fields, "size": size.name, "cut": "1" if cut else "0"})
    return visit.page(
        "labels.html",
        title=visit.t("Labels"),
        sheets=await _drawn(labels, size, cut),
        labels=labels,
        sizes=SIZES,
        size=size,
        cut=cut,
        line=line,
        phone=phone,
        site=site,
        chosen=chosen,
        sites=await sites(visit),
        following=None if following is None else f"/labels?{query_string}&after={following}",
    )


async def _drawn(labels: Sequence[Label], size: sheet.Size, cut: bool) -> list[Markup]:
    """The sheets, drawn in small pieces, so that devices do not wait."""
    drawn = []
    for start in range(0, len(labels), size.count):
        some, stickers = labels[start : start + size.count], []
        for number in range(0, len(some), SLICE_STICKERS):
            part = some[number : number + SLICE_STICKERS]
            stickers += [sheet.sticker(label, size, number + n) for n, label in enumerate(part)]
            await trio.lowlevel.checkpoint()
        drawn.append(sheet.svg(stickers, cut=cut))
    return drawn


def _label(visit: Visit, item: Mapping[str, Any], *, line: str, phone: bool) -> Label:
    texts = visit.web.gateway.directory.text
    return Label(
        item["imei"],
        visit.t("No. {id}", id=item["id"]),
        item["name"],
        item["site"],
        (texts(item["imei"], "QR") or b"").decode(),
        line,
        (texts(item["imei"], "TN") or b"").decode() if phone else "",
    )
