"""Coming in, going out, and what a visitor likes better."""

from __future__ import annotations

import logging
import math

import trio
from starlette.responses import Response

from devgate.http.pages.i18n import LANGUAGES
from devgate.http.pages.view import LANGUAGE, THEME, THEMES, Visit, own_path, to
from devgate.http.sessions import COOKIE, LASTS

log = logging.getLogger("devgate.http")


async def show(visit: Visit) -> Response:
    """The form; or, with a word that logs in once, the way in."""
    if word := visit.request.query_params.get("once"):
        if (cookie := visit.web.sessions.by_invitation(word)) is not None:
            return _in(visit, cookie, "/")
        if visit.caller is None:
            return _form(visit, "This login was used already, or is too old. Ask for another.")
    if visit.caller is not None:
        return to("/")
    return _form(visit)


def _form(visit: Visit, wrong: str = "", status: int = 200, wait: float = 0.0) -> Response:
    return visit.page(
        "login.html",
        status,
        title=visit.t("Log in"),
        wrong=visit.t(wrong, wait=math.ceil(wait)) if wrong else "",
        next=own_path(visit.request.query_params.get("next")),
        users=visit.web.users is not None,
        tokens=visit.web.tokens is not None,
    )


async def enter(visit: Visit) -> Response:
    fields = await visit.form()
    address, pace = _address(visit), visit.web.sessions.pace
    if (wait := pace.wait(address, trio.current_time())) > 0:
        text = "Too many attempts. Try again in {wait} seconds."
        return _form(visit, text, 429, wait)
    sessions = visit.web.sessions
    # Counted before it is looked at: attempts at once are all counted, too.
    pace.failed(address, trio.current_time())
    if token := fields.get("token", "").strip():
        cookie = sessions.by_token(token)
    else:
        cookie = await sessions.by_password(fields.get("name", ""), fields.get("password", ""))
    if cookie is None:
        log.warning("login refused address=%s", address)
        return _form(visit, "That is not right. Check the name and the password.", 403)
    pace.succeeded(address)
    return _in(visit, cookie, own_path(fields.get("next")))


def _in(visit: Visit, cookie: str, path: str) -> Response:
    response = to(path)
    response.set_cookie(COOKIE, cookie, LASTS, httponly=True, samesite="lax", secure=visit.secure)
    return response


def _address(visit: Visit) -> str:
    return visit.request.client.host if visit.request.client else ""


async def leave(visit: Visit) -> Response:
    await visit.form()
    response = to("/login")
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=visit.secure)
    return response


async def prefer(visit: Visit) -> Response:
    """Another language or theme. Works without a login, and is no secret of anybody."""
    fields = await visit.form()
    response = to(own_path(fields.get("next")))
    if (language := fields.get("language", "")) in LANGUAGES:
        visit.remember(response, LANGUAGE, language)
    if (theme := fields.get("theme", "")) in THEMES:
        visit.remember(response, THEME, theme)
    return response
