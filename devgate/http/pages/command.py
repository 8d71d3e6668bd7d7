"""One command, with an order number or without: all that happened, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from devgate.errors import CallerError
from devgate.events.kinds import Event
from devgate.http.board import Concern
from devgate.http.pages import inbox, orders
from devgate.http.pages.live import Live, Values
from devgate.http.pages.view import Visit, redirect


async def show(visit: Visit, status: int = 200, refusal: Sequence[str] = ()) -> Response:
    """The command's story; and the form that resolves it, if its outcome is unknown."""
    try:
        shown = await values(visit)
    except CallerError as err:
        if err.status != "400":
            raise
        text = visit.t("No command has this id, or its record is older than it is kept.")
        return visit.page("problem.html", 404, code="400", text=text, title=visit.t("Sorry"))
    record = shown["item"]["record"]
    return visit.page(
        "command.html",
        status,
        title=record["key"] or visit.t("Command"),
        live=True,
        refusal=refusal,
        **shown,
    )


async def values(visit: Visit) -> Values:
    """The values that change while the page is open."""
    story: Mapping[str, Any] = await visit.ask("story", command=_id(visit))
    item = {
        **story, "verdict": orders.verdict(visit, story), "offsets": orders.offsets(visit, story)
    }  # fmt: skip
    return {"item": item}


def _id(visit: Visit) -> str:
    return str(visit.request.path_params["id"])


def _concern(visit: Visit, shown: Values, event: Event) -> Concern:
    return Concern.AT_ONCE if event.command == _id(visit) else Concern.NONE


LIVE = Live("command.html", values, _concern, pulse=60.0)


async def resolve(visit: Visit) -> Response:
    """Carry out the form of the page."""
    visit.must("resolve")
    fields = await visit.form()
    together = bool(fields.get("together"))
    _, refusal = await inbox.say(visit, fields, [_id(visit)], together=together)
    if refusal:
        return await show(visit, 409, refusal)
    return redirect(f"/commands/{_id(visit)}")
