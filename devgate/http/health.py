"""/healthz and /readyz: what a supervisor or a load balancer asks. It needs no token."""

from __future__ import annotations

import os
from collections.abc import Mapping

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from devgate.gateway.gateway import Gateway
from devgate.http.problems import written
from devgate.http.web import Web

# The poller's progress is noted once a second. A loop that stalls this long has lost devices.
BEHIND_SECONDS = 5.0

OK = "ok"


def routes(web: Web) -> list[BaseRoute]:
    """Both answer 200, or 503 with what is wrong."""

    async def healthz(request: Request) -> Response:
        return _response(alive(web.gateway))

    async def readyz(request: Request) -> Response:
        return _response(ready(web.gateway))

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def alive(gateway: Gateway) -> Mapping[str, str]:
    """The checks that fail if the process has to be started again."""
    behind = trio.current_time() - gateway.desk.counts.progress
    if behind < BEHIND_SECONDS:
        poller = OK
    elif behind == float("inf"):
        poller = "it has not begun"
    else:
        poller = f"devices have not been answered for {behind:.0f} seconds"
    return {"poller": poller}


def ready(gateway: Gateway) -> Mapping[str, str]:
    """The checks that fail if no orders can be sent here. Each is `ok`, or says what is wrong."""
    state = gateway.records.state
    return {
        **alive(gateway),
        "store": OK if state == "ok" else f"it cannot be written: {state}",
        "control": _control(gateway),
        "draining": _draining(gateway),
    }


def _draining(gateway: Gateway) -> str:
    if gateway.orders.closed:
        return "the gateway is stopping"
    if gateway.cluster is not None and gateway.cluster.draining:
        return "this node is drained"
    return OK


def _control(gateway: Gateway) -> str:
    doors = gateway.listens.get("control", [])
    sockets = [door for door in doors if "/" in door]
    if not sockets:
        return "its socket is not open yet"
    if not all(map(os.path.exists, sockets)):
        return "somebody has removed its socket; restart the gateway"
    return OK


def _response(checks: Mapping[str, str]) -> Response:
    well = all(said == OK for said in checks.values())
    body = {"status": OK if well else "failing", "checks": checks}
    return Response(
        written(body),
        200 if well else 503,
        {"Cache-Control": "no-store"},
        media_type="application/json",
    )
