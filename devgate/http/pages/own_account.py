"""The account of the viewer: name, password, second factor and sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio
from starlette.responses import Response

from devgate.access.names import MIN_PASSWORD
from devgate.errors import CallerError, DevgateError
from devgate.gateway.operations import second_factor as operation
from devgate.gateway.operations.provider_users import of_provider
from devgate.http.auth import address_of, refuse
from devgate.http.pages import login
from devgate.http.pages.device import picture as _code
from devgate.http.pages.view import Visit, redirect

PATH = "/settings/account"
DONE_TEXTS: Mapping[str, str] = {
    "password": "Your password is changed. You are logged out everywhere else.",
    "off": "The second factor is off.",
    "ended": "That session has ended.",
    "others": "All other sessions have ended.",
}


async def show(visit: Visit, err: DevgateError | None = None) -> Response:
    """The page, and what was done last."""
    caller = visit.must("sessions")
    items: list[Any] = []
    if caller.source.person:
        reply: Mapping[str, Any] = await visit.ask("sessions", user=caller.source.person)
        items = [one for one in reply["items"] if one["kind"] == "user"]
    done = visit.request.query_params.get("done", "")
    return visit.page(
        "own_account.html",
        title=visit.t("Your account"),
        person=caller.source.person,
        of_provider=of_provider(visit.web.gateway, caller.source.person),
        sessions=items,
        second=operation.needed(visit.web.gateway, caller.source.person),
        min_password=MIN_PASSWORD,
        err=err,
        done=visit.t(DONE_TEXTS[done]) if done in DONE_TEXTS and err is None else "",
    )


async def act(visit: Visit) -> Response:
    """Change the password, or end sessions, as a button of the page asks."""
    fields, caller = await visit.form(), visit.must("sessions")
    try:
        if "end" in fields:
            await visit.ask("session_end", session=fields["end"])
            return redirect(f"{PATH}?done=ended")
        if "off" in fields:
            return await _off(visit, fields, caller.source.person)
        if "others" in fields:
            await visit.ask("session_end", user=caller.source.person)
            return redirect(f"{PATH}?done=others")
        return await _password(visit, fields, caller.source.person)
    except DevgateError as err:
        return await show(visit, err)


async def second(visit: Visit) -> Response:
    """The form that turns the second factor on."""
    return _second(visit, operation.new_secret())


def _second(visit: Visit, secret: str, err: DevgateError | None = None) -> Response:
    person = visit.must("second_factor").source.person
    if not person:
        raise CallerError("400", "only a user who has logged in has a second factor of his own")
    return visit.page(
        "second_factor.html",
        title=visit.t("Second factor"),
        secret=secret,
        picture=_code(operation.address_of(secret, person)),
        err=err,
        codes=(),
    )


async def turned_on(visit: Visit) -> Response:
    """Turn it on, and show the codes that replace a lost one. They are not shown again."""
    fields = await visit.form()
    secret = fields.get("secret", "")
    try:
        reply = await _proven(
            visit,
            "second_factor",
            password=fields.get("password") or None,
            secret=secret,
            code=fields.get("code", "").strip() or None,
        )
    except DevgateError as err:
        return _second(visit, secret, err)
    return visit.page("second_factor.html", title=visit.t("Second factor"), codes=reply["codes"])


async def _off(visit: Visit, fields: Mapping[str, str], person: str) -> Response:
    """Turn the second factor off. Attempts are limited as at the login, so that somebody who finds
    an open page cannot guess a code."""
    limit = visit.web.sessions.login_limit
    if not limit.code(person, trio.current_time()):
        raise CallerError("429", "too many attempts: try again in some minutes")
    await visit.ask("second_factor", off=True, code=fields.get("code", "").strip() or None)
    limit.code_fits(person)
    return redirect(f"{PATH}?done=off")


async def _password(visit: Visit, fields: Mapping[str, str], person: str) -> Response:
    await _proven(visit, "password", old=fields.get("old"), new=fields.get("new"))
    cookie = visit.web.sessions.by_name(person)
    assert cookie is not None, "a user who has changed the password is known"
    return await login.begin_session(visit, cookie, f"{PATH}?done=password")


async def _proven(visit: Visit, operation: str, **args: Any) -> Mapping[str, Any]:
    """Ask an operation that needs the password. Attempts are limited as at the login, so that
    somebody who finds an open page cannot guess the password."""
    limit, address = visit.web.sessions.login_limit, address_of(visit.request)
    person, now = visit.must(operation).source.person, trio.current_time()
    if limit.wait(address, person, now) > 0:
        refuse(visit.web, visit.request, "rate", operation=operation)
        raise CallerError("429", "too many attempts: try again in some minutes")
    limit.failed(address, person, now)
    reply: Mapping[str, Any] = await visit.ask(operation, **args)
    limit.succeeded(address, person)
    return reply
