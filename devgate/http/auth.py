"""The caller of a request: by a token in its head, or by a session.

What a caller may ask is decided in `devgate.access`, here as on the control channel.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from devgate.access.tokens import may
from devgate.http.problems import Problem
from devgate.http.sessions import WebSession
from devgate.http.web import Web
from devgate.model import Source, limits

# The only methods that a session's cookie is enough for: a browser also sends it with requests
# that another site causes. Pages that change something have forms with a token.
SAFE_METHODS = frozenset({"GET", "HEAD"})
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="devgate"'}


@dataclass(frozen=True, slots=True)
class WebCaller:
    """Who asks, and what is recorded of that one."""

    name: str
    role: str
    source: Source  # what stands in the record of a command: "http:NAME" or "web:NAME"
    session: WebSession | None = None

    @property
    def sites(self) -> frozenset[str] | None:
        """The sites that this one is limited to; None: to none."""
        return self.source.sites

    def may(self, operation: object) -> bool:
        """Whether role and sites give the right to an operation."""
        return may(self.role, operation, self.sites)

    def is_as(self, other: WebCaller) -> bool:
        """Whether this is the same caller with the same rights: another role sees other
        buttons."""
        mine, others = (one.source for one in (self, other))
        return (mine, self.role, mine.sites) == (others, other.role, others.sites)


def identify(web: Web, request: HTTPConnection) -> WebCaller | None:
    """Who asks; None for an unauthenticated peer. Raises Problem (401) for an unknown token."""
    given = request.headers.get("authorization")
    if given is not None:
        scheme, _, secret = given.partition(" ")
        token = None
        if scheme.lower() == "bearer" and web.tokens is not None:
            token = web.tokens.check(secret.strip())
        if token is None:
            raise Problem("401", "a wrong token; nothing was done", 401, CHALLENGE)
        address = address_of(request)
        source = Source(f"http:{token.name}", token.sites, address=address, role=token.role)
        return WebCaller(token.name, token.role, source)
    session = web.sessions.of(request.cookies)
    if session is None:
        return None
    source = Source(
        f"web:{session.name}",
        session.who.sites,
        person=session.name if session.kind == "user" else "",
        address=address_of(request),
        role=session.role,
        session=session.id,
    )
    return WebCaller(session.name, session.role, source, session)


def caller_of(request: HTTPConnection) -> WebCaller:
    """Who asks, on a route that needs a token or a session."""
    caller = request.scope.get("devgate.caller")
    if not isinstance(caller, WebCaller):
        raise Problem("401", "no token; nothing was done", 401, CHALLENGE)
    return caller


def must_be_allowed(web: Web, request: HTTPConnection, operation: object) -> WebCaller:
    """Who asks. Raises Problem (403) if that one's role is below what the operation needs."""
    caller = caller_of(request)
    if not caller.may(operation):
        refuse(web, request, "role", caller, str(operation))
        raise Problem("401", f"{caller.name} may {limits(caller.role, caller.sites)} only; "
                      "nothing was done")  # fmt: skip
    return caller


def keeps_right(web: Web, request: HTTPConnection, operation: str) -> bool:
    """Whether who opened a stream is still known, by the same name, and may still read it."""
    came = caller_of(request)
    try:
        now = identify(web, request)
    except Problem:
        return False
    return (
        now is not None
        and (now.source, now.sites) == (came.source, came.sites)
        and now.may(operation)
    )


def address_of(request: HTTPConnection) -> str:
    """The client's address, without a port; empty if it is not known."""
    return request.client.host if request.client else ""


def refuse(
    web: Web,
    request: HTTPConnection,
    why: str,
    caller: WebCaller | None = None,
    operation: str = "",
) -> None:
    """Count that this request was refused, and log it once a minute for each address."""
    web.gateway.refusals.refuse(
        "http", why, address_of(request),
        source=caller.source if caller else "", operation=operation,
    )  # fmt: skip
