"""Logging in through the provider of [http.oidc]: the request to it, and the return from it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio
from starlette.responses import Response

from devgate.errors import DevgateError
from devgate.gateway.operations.provider_users import Unwanted, known_as
from devgate.http.auth import address_of
from devgate.http.pages.login import (
    BUSY_SECONDS,
    begin_session,
    login_form,
    refuse_for,
    tell_of_refusal,
)
from devgate.http.pages.view import Visit, own_path, redirect

if TYPE_CHECKING:
    from devgate.http.oidc.login import Oidc

log = logging.getLogger("devgate.access")

PATH = "/login/oidc"
CALLBACK = "/login/oidc/callback"
# The account for the limits of logins: an address whose answers are refused has to wait, as after
# wrong passwords. No user has this name, so that nobody else waits.
ACCOUNT = "\0provider"
AWAY_TEXT = "{provider} cannot be reached. Try again later, or log in with a password."


async def begin(visit: Visit) -> Response:
    """Send the browser to the provider."""
    oidc, path = visit.web.oidc, own_path(visit.request.query_params.get("next"))
    if oidc is None:
        return redirect("/login")
    from devgate.http.oidc.asking import ProviderAway
    from devgate.http.oidc.login import LOGIN_COOKIE, LOGIN_SECONDS

    try:
        made = await oidc.begin(path)
    except ProviderAway:
        return login_form(visit, AWAY_TEXT, 503, provider=visit.web.provider)
    response = redirect(made.url)
    response.set_cookie(
        visit.web.sessions.prefix + LOGIN_COOKIE, made.cookie, LOGIN_SECONDS, httponly=True,
        samesite="lax", secure=visit.secure,
    )  # fmt: skip
    return response


async def ended(visit: Visit) -> Response:
    """Answer a browser that returns from the provider. Each login can be ended once."""
    oidc = visit.web.oidc
    if oidc is None:
        return redirect("/login")
    from devgate.http.oidc.login import LOGIN_COOKIE

    name = visit.web.sessions.prefix + LOGIN_COOKIE
    response = await _ended(visit, oidc, visit.request.cookies.get(name, ""))
    response.delete_cookie(name, httponly=True, samesite="lax", secure=visit.secure)
    return response


async def _ended(visit: Visit, oidc: Oidc, cookie: str) -> Response:
    from devgate.http.oidc.asking import ProviderAway, ProviderRefused

    given = visit.request.query_params
    under_way = oidc.begun(cookie, given)
    if under_way is None:
        return login_form(
            visit, "That took too long, or was begun in another window. Log in again.", 403
        )
    word, path = under_way
    address, limit = address_of(visit.request), visit.web.sessions.login_limit
    if (wait := limit.wait(address, ACCOUNT, trio.current_time())) > 0:
        return refuse_for(visit, "Too many attempts. Try again in {wait} seconds.", 429, wait)
    called = visit.web.provider
    if "error" in given:
        return login_form(visit, "{provider} did not let you in.", 403, provider=called)
    limit.failed(address, ACCOUNT, trio.current_time())
    try:
        identity = await oidc.identify(word, given)
        name = await known_as(
            visit.web.gateway, oidc.settings, identity.subject, identity.claims, address
        )
    except ProviderAway as err:
        limit.not_looked_at(address, ACCOUNT)
        log.warning("provider of logins is away issuer=%s reason=%s", oidc.settings.issuer, err)
        return login_form(visit, AWAY_TEXT, 503, provider=called)
    except ProviderRefused as err:
        if tell_of_refusal(visit, "", reason=str(err)):
            log.warning(
                "answer of the provider is not good issuer=%s reason=%s address=%s",
                oidc.settings.issuer, err, address,
            )  # fmt: skip
        return login_form(visit, "The answer of {provider} is not good. Log in again.", 403,
                    provider=called)  # fmt: skip
    except Unwanted as err:
        tell_of_refusal(visit, "", reason=str(err))
        return login_form(visit, status=403, said=visit.said(str(err)))
    except DevgateError:
        limit.not_looked_at(address, ACCOUNT)
        raise
    limit.succeeded(address, ACCOUNT)
    session = visit.web.sessions.by_name(name)
    if session is None or not limit.begin(name, trio.current_time()):
        return refuse_for(
            visit, "Too many people log in. Try again in {wait} seconds.", 429, BUSY_SECONDS
        )
    return await begin_session(visit, session, path)
