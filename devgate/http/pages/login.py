"""Log in, log out, and choose a language or a theme."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import suppress

import trio
from starlette.responses import Response

from devgate.access.users import MAX_NAME, Busy
from devgate.errors import StoreError
from devgate.gateway.clock import time
from devgate.gateway.operations import second_factor
from devgate.http.auth import address_of, refuse
from devgate.http.pages.view import LANGUAGE, THEME, THEMES, Visit, own_path, redirect
from devgate.http.sessions import SESSION_SECONDS
from devgate.language.choice import LANGUAGES
from devgate.store import sessions as stored
from devgate.store.sessions import StoredSession

log = logging.getLogger("devgate.access")

MAX_AGENT = 200  # characters of what a browser calls itself
BUSY_SECONDS = 5.0  # until one may try again whose login was refused because of too many others


async def show(visit: Visit) -> Response:
    """The form; or, with the word of a one-time login, log in."""
    if word := visit.request.query_params.get("once"):
        if (cookie := visit.web.sessions.by_invitation(word)) is not None:
            return await begin_session(visit, cookie, "/")
        if visit.caller is None:
            return login_form(
                visit, "This login was used already, or is too old. Ask for another."
            )
    if visit.caller is not None:
        return redirect("/")
    return login_form(visit)


def login_form(
    visit: Visit, wrong: str = "", status: int = 200, wait: float = 0.0, name: str = "",
    said: str = "", **named: str,
) -> Response:  # fmt: skip
    """The form, with the name that was given, so that only the password is typed again. What was
    wrong is `wrong`, a sentence of ours whose blanks `named` fills in, or `said` as it is."""
    return visit.page(
        "login.html",
        status,
        title=visit.t("Log in"),
        wrong=visit.t(wrong, wait=math.ceil(wait), **named) if wrong else said,
        name=name,
        next=own_path(visit.request.query_params.get("next")),
        users=visit.web.users is not None,
        tokens=visit.web.tokens is not None,
        provider=visit.web.provider,
        nobody=not visit.web.provider
        and not any(
            known is not None and known.known.entries()
            for known in (visit.web.users, visit.web.tokens)
        ),
    )


async def enter(visit: Visit) -> Response:
    """Log in, by the form: with a token, or with a name and a password."""
    fields = await visit.form()
    if pending := fields.get("second", ""):
        return await _code(visit, pending, fields)
    token = fields.get("token", "").strip()
    # For the limits all tokens are one account, which is not slowed down: nobody can guess a
    # token.
    account = "" if token else fields.get("name", "")[:MAX_NAME]
    address, limit = address_of(visit.request), visit.web.sessions.login_limit
    if (wait := limit.wait(address, account, trio.current_time())) > 0:
        return refuse_for(
            visit, "Too many attempts. Try again in {wait} seconds.", 429, wait, account
        )
    delay = 0.0 if token else limit.delay(address, account, trio.current_time())
    # It counts as a failure until it is checked, so that attempts at the same time all count.
    limit.failed(address, account, trio.current_time())
    try:
        with visit.web.sessions.slowed(delay):
            await trio.sleep(delay)
        cookie = await _cookie(visit, token, account, fields.get("password", ""), address)
    except Busy:
        limit.not_looked_at(address, account)
        return refuse_for(
            visit,
            "Too many people log in. Try again in {wait} seconds.",
            503,
            BUSY_SECONDS,
            account,
        )
    if cookie is None:
        tell_of_refusal(visit, account)
        return login_form(
            visit, "That is not right. Check the name and the password.", 403, name=account
        )
    limit.succeeded(address, account)
    if not limit.begin(account or token, trio.current_time()):
        return refuse_for(
            visit,
            "Too many people log in. Try again in {wait} seconds.",
            429,
            BUSY_SECONDS,
            account,
        )
    return await after_password(visit, cookie, own_path(fields.get("next")))


async def after_password(visit: Visit, cookie: str, path: str) -> Response:
    """Go on after a correct password: log in, or ask for the code of the second factor."""
    sessions = visit.web.sessions
    session = sessions.of({sessions.cookie: cookie})
    if session is None or session.kind != "user":
        return await begin_session(visit, cookie, path)
    if not second_factor.needed(visit.web.gateway, session.name):
        return await begin_session(visit, cookie, path)
    return _code_form(visit, sessions.pending(session), path)


def _code_form(
    visit: Visit, pending: str, path: str, wrong: str = "", status: int = 200
) -> Response:
    return visit.page(
        "login_code.html", status, title=visit.t("Log in"), pending=pending, next=path,
        wrong=visit.t(wrong) if wrong else "",
    )  # fmt: skip


async def _code(visit: Visit, pending: str, fields: Mapping[str, str]) -> Response:
    """Log in with the code of a second factor. Each code is good once."""
    sessions, path = visit.web.sessions, own_path(fields.get("next"))
    name = sessions.of_pending(pending)
    if name is None:
        return login_form(visit, "That took too long. Log in again.", 403)
    limit = sessions.login_limit
    if not limit.code(name, trio.current_time()):
        refuse(visit.web, visit.request, "rate", operation="login")
        return _code_form(visit, pending, path, "Too many wrong codes. Try again later.", 429)
    if not await second_factor.verify(visit.web.gateway, name, fields.get("code", "")):
        tell_of_refusal(visit, name)
        return _code_form(visit, pending, path, "That is not the code of now.", 403)
    limit.code_fits(name)
    cookie = sessions.by_name(name)
    if cookie is None:
        return login_form(visit, "That took too long. Log in again.", 403)
    return await begin_session(visit, cookie, path)


async def _cookie(visit: Visit, token: str, name: str, password: str, address: str) -> str | None:
    sessions = visit.web.sessions
    if token:
        return sessions.by_token(token)
    return await sessions.by_password(name, password, address)


def refuse_for(visit: Visit, wrong: str, status: int, wait: float, name: str = "") -> Response:
    """Refuse a login that may be tried again after `wait` seconds: the form, with the name that
    was given."""
    refuse(visit.web, visit.request, "rate", operation="login")
    response = login_form(visit, wrong, status, wait, name)
    response.headers["Retry-After"] = str(math.ceil(wait))
    return response


def tell_of_refusal(visit: Visit, account: str, **more: object) -> bool:
    """Record a refused login. The log names the account only if there is such a user: any other
    text may be a password. `more` is for the event. False: no event, as there are too many."""
    known, gateway = visit.web.sessions.is_user(account), visit.web.gateway
    source, address = f"web:{account}" if known else "", address_of(visit.request)
    gateway.refusals.refuse("http", "login", address, source=source, operation="login")
    if (skipped := visit.web.login_events.turn(address, trio.current_time())) is not None:
        gateway.records.event(
            "session.refused", None, name=account if known else None, address=address,
            skipped=skipped, **more,
        )  # fmt: skip
        return True
    return False


async def begin_session(visit: Visit, cookie: str, path: str) -> Response:
    """Set the cookie of a session that has begun, and list the session."""
    sessions, address = visit.web.sessions, address_of(visit.request)
    if (session := sessions.of({sessions.cookie: cookie})) is not None:
        log.info(
            "login source=%s kind=%s role=%s address=%s",
            f"web:{session.name}", session.kind, session.role, address,
        )  # fmt: skip
        gateway, now = visit.web.gateway, time()
        gateway.records.event(
            "session.began", None, name=session.name, kind=session.kind, role=session.role,
            source=f"web:{session.name}", address=address,
        )  # fmt: skip
        agent = visit.request.headers.get("user-agent", "")[:MAX_AGENT]
        try:
            await gateway.records.change(
                stored.begin,
                StoredSession(session.id, session.kind, session.name, now, now + SESSION_SECONDS,
                        address, "".join(filter(str.isprintable, agent))),
            )  # fmt: skip
        except StoreError as err:  # the login goes on
            log.warning("session not listed source=%s reason=%s", f"web:{session.name}", err)
    response = redirect(path)
    response.set_cookie(
        sessions.cookie,
        cookie,
        SESSION_SECONDS,
        httponly=True,
        samesite="lax",
        secure=visit.secure,
    )
    return response


async def leave(visit: Visit) -> Response:
    """Log out."""
    await visit.form()
    sessions, caller = visit.web.sessions, visit.caller
    if caller is not None and caller.session is not None:
        await sessions.end(caller.session)
        log.info("logout source=%s address=%s", caller.source, address_of(visit.request))
        with suppress(StoreError):  # at this gateway it has ended
            await visit.web.gateway.accounts.change(stored.end, [caller.session.id])
    response = redirect("/login")
    response.delete_cookie(sessions.cookie, httponly=True, samesite="lax", secure=visit.secure)
    return response


async def prefer(visit: Visit) -> Response:
    """Set the language or the theme in a cookie. It works without a login."""
    fields = await visit.form()
    response = redirect(own_path(fields.get("next")))
    if (language := fields.get("language", "")) in LANGUAGES:
        visit.remember(response, LANGUAGE, language)
    if (theme := fields.get("theme", "")) in THEMES:
        visit.remember(response, THEME, theme)
    return response
