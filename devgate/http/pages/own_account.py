"""One's own account: who one is, one's password, and where one is logged in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio
from starlette.responses import Response

from devgate.access.names import MIN_PASSWORD
from devgate.errors import CallerError, DevgateError
from devgate.http.auth import address_of, refuse
from devgate.http.pages import login
from devgate.http.pages.view import Visit, to
from devgate.http.problems import http_status

PATH = "/settings/account"
DONE: Mapping[str, str] = {
    "password": "Your password is changed. You are logged out everywhere else.",
    "ended": "That session has ended.",
    "others": "All other sessions have ended.",
}


async def show(visit: Visit) -> Response:
    """The page, and what was done last."""
    return await _page(visit)


async def _page(visit: Visit, err: DevgateError | None = None) -> Response:
    caller = visit.must("sessions")
    items: list[Any] = []
    if caller.source.person:
        reply: Mapping[str, Any] = await visit.ask("sessions", user=caller.source.person)
        items = [one for one in reply["items"] if one["kind"] == "user"]
    done = visit.request.query_params.get("done", "")
    return visit.page(
        "own_account.html",
        200 if err is None else http_status(err.status),
        title=visit.t("Your account"),
        person=caller.source.person,
        sessions=items,
        least=MIN_PASSWORD,
        problem="" if err is None else str(err),
        done=visit.t(DONE[done]) if done in DONE and err is None else "",
    )


async def act(visit: Visit) -> Response:
    """Change the password, or end sessions, as a button of the page asks."""
    fields, caller = await visit.form(), visit.must("sessions")
    try:
        if "end" in fields:
            await visit.ask("session_end", session=fields["end"])
            return to(f"{PATH}?done=ended")
        if "others" in fields:
            await visit.ask("session_end", user=caller.source.person)
            return to(f"{PATH}?done=others")
        return await _password(visit, fields, caller.source.person)
    except DevgateError as err:
        return await _page(visit, err)


async def _password(visit: Visit, fields: Mapping[str, str], person: str) -> Response:
    """With the brake of a login: who finds an open page guesses no password there."""
    limit, address = visit.web.sessions.login_limit, address_of(visit.request)
    now = trio.current_time()
    if limit.wait(address, person, now) > 0:
        refuse(visit.web, visit.request, "rate", operation="password")
        raise CallerError("429", "too many attempts: try again in some minutes")
    limit.failed(address, person, now)
    await visit.ask("password", old=fields.get("old"), new=fields.get("new"))
    limit.succeeded(address, person)
    cookie = visit.web.sessions.by_name(person)
    assert cookie is not None, "who has changed it is known"
    return await login.begun(visit, cookie, f"{PATH}?done=password")
