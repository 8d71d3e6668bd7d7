"""The API's own document, OpenAPI 3.1, from the one table of calls."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from devgate import __version__
from devgate.http.api.docs import STYLE, docs, needs
from devgate.http.api.endpoints import CALLS, Call, Field
from devgate.http.api.reply_schemas import SHAPES, ref
from devgate.http.problems import MEDIA, written
from devgate.http.web import Web

Json = dict[str, object]
STREAMS = {"csv": "text/csv", "events": "text/event-stream"}
WORD = {"type": "string"}

ABOUT = (
    "Each call carries a token (`Authorization: Bearer dg_...`, made by `devgate token add`). "
    "What did not succeed is never a 2xx: it is a problem (RFC 9457) with devgate's own status as "
    "`code`. A start whose answer is 504 may have been carried out: ask for its command, or ask "
    "again with the same key."
)


def routes(web: Web) -> list[BaseRoute]:
    """The document and the page made of it."""
    # Both are the same for everybody and for as long as the gateway runs.
    document, page = written(openapi(web.settings.public)), docs(ABOUT).encode()

    async def json(request: Request) -> Response:
        return Response(document, media_type="application/json")

    async def html(request: Request) -> Response:
        return Response(page, media_type="text/html")

    async def style(request: Request) -> Response:
        return Response(STYLE, media_type="text/css")

    return [
        Route("/api/openapi.json", json),
        Route("/api/docs", html),
        Route("/api/docs.css", style),
    ]


def openapi(public: str = "") -> Json:
    """The document; `public` is the address of the gateway, if it is known."""
    paths: dict[str, Json] = {}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "devgate", "version": __version__, "description": ABOUT},
        "servers": [{"url": public or "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": SHAPES,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(call: Call) -> Json:
    found: Json = {
        "operationId": call.operation or "raw",
        "summary": call.summary,
        "description": f"{call.about} {needs(call)}".strip(),
        "parameters": [
            *(_parameter(one, "path") for one in call.place),
            *(_parameter(one, "query") for one in call.query),
            *(_parameter(one, "header") for one in call.head),
        ],
        "responses": _responses(call),
    }
    if call.body is not None:
        found["requestBody"] = _body(call)
    return found


def _parameter(one: Field, place: str) -> Json:
    return {
        "name": one.name, "in": place, "required": one.required, "description": one.about,
        "schema": one.schema,
    }  # fmt: skip


def _body(call: Call) -> Json:
    if call.body != "json":
        media = "text/csv" if call.body == "csv" else "text/plain"
        return {"required": True, "content": {media: {"schema": WORD}}}
    required = [one.name for one in call.json if one.required]
    schema: Json = {
        "type": "object",
        "properties": {one.name: {**one.schema, "description": one.about} for one in call.json},
        "required": required,
        "additionalProperties": False,
    }
    some = call.method == "PATCH"  # of nothing that is required, one thing is
    if some:
        schema["minProperties"] = 1
    return {
        "required": bool(required) or some,
        "content": {"application/json": {"schema": schema}},
    }


def _responses(call: Call) -> Json:
    schema = ref(call.reply) if call.reply else WORD
    media = STREAMS[call.stream] if call.stream else "application/json"
    good: Json = {"description": "Done.", "content": {media: {"schema": schema}}}
    found: Json = {"201" if call.created else "200": good}
    if call.created:
        place = {"description": "Where it is now.", "schema": WORD}
        found["201"] = {**good, "description": "Added.", "headers": {"Location": place}}
    if call.waits or call.body == "command":
        found["202"] = {**good, "description": "Accepted, and not waited for."}
    content: Json = {MEDIA: {"schema": ref("Problem")}}
    if call.body == "command":
        content["application/json"] = {"schema": ref("Reply")}
    for kind, what in (("4XX", "Not done; `code` says why."), ("5XX", "It failed or is unknown.")):
        found[kind] = {"description": what, "content": content}
    return found
