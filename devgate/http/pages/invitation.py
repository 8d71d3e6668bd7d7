"""An invitation: a word with which a password can be set, once. To open the page does not use it
up, because messengers open every address that they transmit."""

from __future__ import annotations

import trio
from starlette.responses import Response

from devgate.access.names import Busy, check_password
from devgate.errors import SetupError
from devgate.gateway.operations import passwords as operation
from devgate.http.auth import address_of, refuse
from devgate.http.pages import login
from devgate.http.pages.view import Visit

OVER_TEXT = "This invitation was used already, or is too old. Ask for another."
ACCOUNT = "invitation"  # for the limits of logins all invitations are one account


async def show(visit: Visit) -> Response:
    """The form for a password, with the name that it is for."""
    return _form(visit, visit.request.query_params.get("word", ""))


def _form(visit: Visit, word: str, wrong: str = "", status: int = 200) -> Response:
    name = operation.invited(visit.web.gateway, word)
    return visit.page(
        "invitation.html",
        status if name else 403,
        title=visit.t("Choose a password"),
        name=name,
        word=word,
        wrong=wrong or ("" if name else visit.t(OVER_TEXT)),
    )


async def accept(visit: Visit) -> Response:
    """Set the password, and log in."""
    fields = await visit.form()
    word, password = fields.get("word", ""), fields.get("password", "")
    limit, address = visit.web.sessions.login_limit, address_of(visit.request)
    if limit.wait(address, ACCOUNT, trio.current_time()) > 0:
        refuse(visit.web, visit.request, "rate", operation="invitation")
        return _form(visit, "", status=429)
    if operation.invited(visit.web.gateway, word) is None:
        limit.failed(address, ACCOUNT, trio.current_time())
        refuse(visit.web, visit.request, "login", operation="invitation")
        return _form(visit, word, status=403)
    try:
        check_password(password)
        name = await operation.accept(visit.web.gateway, word, password, address)
    except (SetupError, Busy) as err:
        return _form(visit, word, visit.said(str(err)) or visit.t("Try again."), 400)
    cookie = None if name is None else visit.web.sessions.by_name(name)
    if cookie is None:  # somebody else was faster
        return _form(visit, word, status=403)
    return await login.after_password(visit, cookie, "/")
