"""Who is asking: a token in the request's head, or somebody who has logged in.

What a caller may ask is decided in `gateway.access`, here as on the control channel.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from devgate.gateway.access import may
from devgate.http.problems import Problem
from devgate.http.sessions import Session
from devgate.http.web import Web

# With a session's cookie one only looks: the browser sends it along with whatever another site
# makes it send. Pages that change something have forms with a token of their own.
LOOKING = frozenset({"GET", "HEAD"})
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="devgate"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what is recorded of it."""

    name: str
    role: str
    source: str  # what stands in the record of a command: "http:NAME" or "web:NAME"
    session: Session | None = None

    def may(self, operation: object) -> bool:
        return may(self.role, operation)


def identify(web: Web, request: HTTPConnection) -> Caller | None:
    """Who asks; None for a stranger. Raises Problem (401) for a token that is none of ours."""
    given = request.headers.get("authorization")
    if given is not None:
        scheme, _, secret = given.partition(" ")
        token = None
        if scheme.lower() == "bearer" and web.tokens is not None:
            token = web.tokens.check(secret.strip())
        if token is None:
            raise Problem("401", "a wrong token; nothing was done", 401, CHALLENGE)
        return Caller(token.name, token.role, f"http:{token.name}")
    session = web.sessions.of(request.cookies)
    if session is None:
        return None
    return Caller(session.name, session.role, f"web:{session.name}", session)


def caller_of(request: HTTPConnection) -> Caller:
    """Who asks, on a route that lets no stranger in."""
    caller = request.scope.get("devgate.caller")
    if not isinstance(caller, Caller):
        raise Problem("401", "no token; nothing was done", 401, CHALLENGE)
    return caller


def must_be_allowed(caller: Caller, operation: object) -> None:
    """Raises Problem (403) if the caller's role is below what the operation needs."""
    if not caller.may(operation):
        raise Problem("401", f"{caller.name} may {caller.role} only; nothing was done")
