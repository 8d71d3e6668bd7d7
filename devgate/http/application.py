"""All routes, the check of callers in front of them, and their errors as answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import cast
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from devgate.errors import DevgateError
from devgate.http import health, metrics, problems
from devgate.http.api import documents
from devgate.http.api import routes as api
from devgate.http.auth import CHALLENGE, SAFE_METHODS, WebCaller, identify, refuse
from devgate.http.forwarded import Proxies
from devgate.http.headers import SafeHeaders
from devgate.http.pages import missing
from devgate.http.pages import routes as pages
from devgate.http.pages.view import Visit
from devgate.http.problems import Problem
from devgate.http.serving.connection import WebConnection
from devgate.http.web import Web

# Paths that need no token and no session.
OPEN_PATHS = (
    "/healthz", "/readyz", "/login", "/login/oidc", "/login/oidc/callback", "/invitation",
    "/preferences", "/favicon.ico",
)  # fmt: skip
OPEN_BELOW = "/static/"
HEALTH_PATHS = ("/healthz", "/readyz")  # for these, places are reserved when all others are taken
NO_ROOM = "all connections are in use; nothing was done"
ROUTE_MODULES = (api, documents, health, metrics, pages)


class Admission:
    """Admits known callers only. It stands in front of every route, also of new ones."""

    def __init__(self, app: ASGIApp, web: Web) -> None:
        self._app = app
        self._web = web
        self._proxies = Proxies(web.settings.proxies)
        self._open = (*OPEN_PATHS, "/metrics") if web.settings.metrics_public else OPEN_PATHS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application: answer the request, or refuse it."""
        self._find_client(scope)
        connection: WebConnection | None = scope.get("devgate.connection")
        refusal = self._refusal(scope)
        if connection is not None and connection.only_health and scope["path"] not in HEALTH_PATHS:
            refusal = problems.problem("503", NO_ROOM, 503, {"Retry-After": "5"})
            connection.finish()
        caller = scope.get("devgate.caller")
        if refusal is not None or caller is None:
            await (refusal or self._app)(scope, receive, send)
            return
        quota = self._web.quota
        try:
            if connection is not None:
                self._claim(connection, caller)
            scope["devgate.stream"] = partial(self._stream, Request(scope), caller)
            with quota.request(caller.source, caller.role):
                await self._app(scope, receive, send)
        except Problem as err:
            refuse(self._web, Request(scope), "share", caller)
            answer = problems.problem(err.code, str(err), err.status, err.headers)
            await answer(scope, receive, send)

    @contextmanager
    def _stream(self, request: Request, caller: WebCaller) -> Iterator[None]:
        """Count a stream while it goes on. Raises Problem (429) if that is one too many."""
        with ExitStack() as counted:
            try:
                counted.enter_context(self._web.quota.stream(caller.source))
            except Problem:
                refuse(self._web, request, "share", caller)
                raise
            yield

    def _claim(self, connection: WebConnection, caller: WebCaller) -> None:
        """The connection is this caller's from now on."""
        if connection.known == caller.source:
            return
        quota = self._web.quota
        if connection.known:
            quota.disconnect(connection.known)
            connection.known = ""
        try:
            quota.connect(caller.source, caller.role)
        except Problem:
            connection.finish()
            raise
        connection.known = caller.source

    def _find_client(self, scope: Scope) -> None:
        """Replace the address of a proxy by that of the client."""
        if peer := scope.get("client"):
            forwarded = Headers(scope=scope).getlist("x-forwarded-for")
            scope["client"] = (self._proxies.client(peer[0], forwarded), peer[1])

    def _refusal(self, scope: Scope) -> Response | None:
        request, path = Request(scope), scope["path"]
        try:
            caller = identify(self._web, request)
        except Problem as err:
            refuse(self._web, request, "token")
            return problems.problem(err.code, str(err), err.status, err.headers)
        scope["devgate.caller"] = caller
        if path in self._open or path.startswith(OPEN_BELOW):
            return None
        if caller is None:
            if request.method in SAFE_METHODS and _shows_pages(request):
                back = path + ("?" + request.url.query if request.url.query else "")
                return RedirectResponse(f"/login?{urlencode({'next': back})}", 303)
            return problems.problem("401", "no token; nothing was done", 401, CHALLENGE)
        if _is_api(path) and caller.session is not None and request.method not in SAFE_METHODS:
            return problems.problem(
                "401",
                "a token expected: a session may only look; nothing was done",
                401,
                CHALLENGE,
            )
        return None


def application(web: Web) -> Starlette:
    """The application: all routes, and what is done for each request."""
    return Starlette(
        routes=[route for part in ROUTE_MODULES for route in part.routes(web)],
        middleware=[
            Middleware(SafeHeaders, secure=web.secure),
            Middleware(Admission, web=web),
        ],
        exception_handlers={
            Problem: _problem,
            DevgateError: _devgate,
            HTTPException: partial(_http, web),
        },
    )


async def _problem(request: Request, err: Exception) -> Response:
    err = cast("Problem", err)
    return problems.problem(err.code, str(err), err.status, err.headers)


async def _devgate(request: Request, err: Exception) -> Response:
    return problems.problem_of(cast("DevgateError", err))


async def _http(web: Web, request: Request, err: Exception) -> Response:
    """Answer an error that Starlette raises: there is no such route, or not for this method."""
    err = cast("HTTPException", err)
    nothing_here = err.status_code in (404, 405)
    if nothing_here and _shows_pages(request) and not _is_api(request.url.path):
        return missing.show(Visit(web, request), err.status_code, err.headers or {})
    text = {404: "there is nothing here", 405: f"{request.method} is not for this"}
    return problems.problem(
        "400", text.get(err.status_code, err.detail), err.status_code, err.headers or {}
    )


def _shows_pages(request: Request) -> bool:
    """Whether a browser asks, and a person will look at the answer."""
    return "text/html" in request.headers.get("accept", "")


def _is_api(path: str) -> bool:
    return path == "/api" or path.startswith("/api/")
