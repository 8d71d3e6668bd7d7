"""The API's own document, OpenAPI 3.1, from the one table of calls."""

from __future__ import annotations

from devgate import __version__
from devgate.http.api.about import ABOUT, needs
from devgate.http.api.endpoints import CALLS, Call, Field
from devgate.http.api.reply_schemas import SHAPES
from devgate.http.api.samples.every import sample_of
from devgate.http.api.samples.sample import TAGS, Given, Sample
from devgate.http.api.shapes import ref
from devgate.http.problems import PROBLEM_TYPE, STATUSES

Json = dict[str, object]
STREAM_TYPES = {"csv": "text/csv", "events": "text/event-stream"}
BODY_TYPES = {"csv": "text/csv", "command": "text/plain"}
STRING = {"type": "string"}


def openapi(public: str = "") -> Json:
    """The document; `public` is the address of the gateway, if it is known."""
    paths: dict[str, Json] = {}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "devgate",
            "version": __version__,
            "summary": "Start and stop rented machines, and see what they do.",
            "description": ABOUT,
            "contact": {"name": "the devgate authors"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        **({"externalDocs": {"url": f"{public}/api/docs"}} if public else {}),
        "servers": [{"url": public or "/"}],
        "tags": [{"name": name, "description": what} for name, what in TAGS.items()],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": SHAPES,
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "A token that `devgate token add` has made.",
                }
            },
        },
    }  # fmt: skip


def _operation(call: Call) -> Json:
    sample = sample_of(call)
    found: Json = {
        "operationId": sample.name,
        "tags": [sample.tag],
        "summary": call.summary,
        "description": f"{call.about} {needs(call)}".strip(),
        "parameters": [
            *(_parameter(one, "path", sample.place) for one in call.place),
            *(_parameter(one, "query", sample.query) for one in call.query),
            *(_parameter(one, "header", sample.head) for one in call.head),
        ],
        "responses": _responses(call, sample),
    }
    if call.body is not None:
        found["requestBody"] = _body(call, sample)
    return found


def _parameter(one: Field, place: str, given: Given) -> Json:
    found: Json = {
        "name": one.name, "in": place, "required": one.required, "description": one.about,
        "schema": one.schema,
    }  # fmt: skip
    if one.name in given:
        found["example"] = given[one.name]
    return found


def _body(call: Call, sample: Sample) -> Json:
    if call.body != "json":
        media: Json = {"schema": STRING, "example": sample.text}
        return {"required": True, "content": {BODY_TYPES[str(call.body)]: media}}
    required = [one.name for one in call.json if one.required]
    schema: Json = {
        "type": "object",
        "properties": {one.name: {**one.schema, "description": one.about} for one in call.json},
        "required": required,
        "additionalProperties": False,
    }
    if call.rules:
        schema["allOf"] = list(call.rules)
    some = call.method == "PATCH"  # none of its fields is required, but at least one is expected
    if some:
        schema["minProperties"] = 1
    media = {"schema": schema}
    if sample.json is not None:
        media["example"] = sample.json
    must = bool(required or call.rules or some)
    return {"required": must, "content": {"application/json": media}}


def _responses(call: Call, sample: Sample) -> Json:
    schema = ref(call.reply) if call.reply else STRING
    media = STREAM_TYPES[call.stream] if call.stream else "application/json"
    shown: Json = {"schema": schema}
    # Spectral mistakes an object with `default` and `items`, as /api/zones has, for a schema.
    if not (isinstance(sample.reply, dict) and {"default", "items"} <= set(sample.reply)):
        shown["example"] = sample.reply
    good: Json = {"description": "Done.", "content": {media: shown}}
    found: Json = {"201" if call.created else "200": good}
    if call.created:
        place = {"description": "Where it is now.", "schema": STRING}
        found["201"] = {**good, "description": "Added.", "headers": {"Location": place}}
    if call.waits or call.body == "command":
        found["202"] = {
            "description": "Accepted, and not waited for.",
            "content": {media: {"schema": schema, "example": _accepted(sample)}},
        }
    for kind, what, code, text in (
        ("4XX", "Not done; `code` says why.", "400", "long: a whole number expected"),
        ("5XX", "It failed or is unknown.", "503", "the gateway is shutting down"),
    ):
        content: Json = {PROBLEM_TYPE: {"schema": ref("Problem"), "example": _problem(code, text)}}
        if call.body == "command":
            content["application/json"] = {"schema": ref("RawReply")}
        found[kind] = {"description": what, "content": content}
    return found


def _accepted(sample: Sample) -> Json:
    reply = dict(sample.reply) if isinstance(sample.reply, dict) else {}
    return {**reply, "status": "000", "message": "accepted", "outcome": "pending"}


def _problem(code: str, text: str) -> Json:
    status = STATUSES[code][0]
    titles = {400: "Bad Request", 503: "Service Unavailable"}
    return {
        "type": f"/api/docs#{code}", "title": titles[status], "status": status, "code": code,
        "detail": f"{text}; nothing was done", "outcome": "refused",
    }  # fmt: skip
