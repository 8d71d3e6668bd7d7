"""The API's document for programs. The page for people is `pages.api_docs`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from devgate.http.api.openapi import openapi
from devgate.http.problems import written
from devgate.http.web import Web


def routes(web: Web) -> list[BaseRoute]:
    """The one route."""
    # The document is the same for all callers, and does not change while the gateway runs.
    document = written(openapi(web.settings.public))

    async def json(request: Request) -> Response:
        return Response(document, media_type="application/json")

    return [Route("/api/openapi.json", json)]
