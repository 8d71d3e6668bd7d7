"""Webhooks: a list of them, and the forms that add, pause, test and remove one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from devgate.errors import CallerError, DevgateError
from devgate.events.kinds import GROUPS
from devgate.http.pages.view import Visit, redirect
from devgate.model import alternatives

PATH = "/settings/webhooks"
STATE_CLASSES: Mapping[str, str] = {
    "ok": "online", "failing": "failed", "disabled": "disabled", "unusable": "failed",
}  # fmt: skip
# A button of the list: its operation, further fields, and the message of the page afterwards.
BUTTONS: Mapping[str, tuple[str, Mapping[str, object], str]] = {
    "test": ("webhook_test", {}, "tested"),
    "pause": ("webhook_edit", {"enabled": False}, "paused"),
    "resume": ("webhook_edit", {"enabled": True}, "resumed"),
    "remove": ("webhook_remove", {}, "removed"),
}
DONE_TEXTS: Mapping[str, str] = {
    "tested": "{name} took the test.",
    "paused": "{name} gets nothing until it is resumed.",
    "resumed": "{name} goes on with the first event that it has not taken.",
    "removed": "{name} gets nothing more.",
    "changed": "{name} was changed.",
}


async def show(
    visit: Visit,
    err: DevgateError | None = None,
    *,
    given: Mapping[str, str] | None = None,
    secret: tuple[str, str] | None = None,
) -> Response:
    """The list, and what was done last."""
    reply: Mapping[str, Any] = await visit.ask("webhooks")
    query = visit.request.query_params
    done, name = query.get("done", ""), query.get("name", "")[:64]
    return visit.page(
        "webhooks.html",
        title=visit.t("Webhooks"),
        items=reply["items"],
        looks=STATE_CLASSES,
        groups=sorted(GROUPS),
        given=given or {},
        err=err,
        done=visit.t(DONE_TEXTS[done], name=name)
        if done in DONE_TEXTS and not (err or secret)
        else "",
        secret=secret,
    )


async def act(visit: Visit) -> Response:
    """Add a receiver, or do what a button of the list asks. The secret of a new one is shown on
    the answer itself, and nowhere again."""
    fields = await visit.form()
    if "add" in fields:
        return await _add(visit, fields)
    for name, (operation, more, done) in BUTTONS.items():
        if name in fields:
            try:
                await visit.ask(operation, name=fields[name], **more)
            except DevgateError as err:
                return await show(visit, err)
            return redirect(f"{PATH}?{urlencode({'done': done, 'name': fields[name]})}")
    raise CallerError("400", f"add, {alternatives(BUTTONS)} expected, not nothing")


async def _add(visit: Visit, fields: Mapping[str, str]) -> Response:
    wanted = _wanted(fields)
    try:
        reply = await visit.ask(
            "webhook_add",
            name=fields.get("name", "").strip() or None,
            url=fields.get("url", "").strip() or None,
            events=wanted or None,
        )
    except DevgateError as err:
        return await show(visit, err, given=fields)
    return await show(visit, secret=(str(reply["name"]), str(reply["secret"])))


def _wanted(fields: Mapping[str, str]) -> Sequence[str]:
    """The groups of events that are ticked; all of them is the same as none."""
    ticked = [name for name in sorted(GROUPS) if f"group.{name}" in fields]
    return [] if len(ticked) == len(GROUPS) else ticked


async def remove(visit: Visit) -> Response:
    """The page that says what the removal of a webhook means, with the button for it."""
    visit.must("webhook_remove")
    name = visit.request.path_params["name"]
    reply: Mapping[str, Any] = await visit.ask("webhooks")
    found = next((one for one in reply["items"] if one["name"] == name), None)
    if found is None:
        raise CallerError("400", "there is no such webhook")
    title = visit.t("Remove {name}?", name=name)
    return visit.page("webhook_remove.html", title=title, webhook=found)
