"""Compares what the API answers with its own document: no member may be missing in the
document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator, ValidationError

from devgate.http.api.endpoints import CALLS, Call
from devgate.http.api.reply_schemas import SHAPES
from devgate.http.api.schemas import Schema

HOW = (
    "The types of replies are in devgate/http/api/reply_schemas.py and report_schemas.py; all "
    "members have to be there, those that may be absent in `optional()`"
)


def strict(schema: Any) -> Any:
    """The same, without room for members that it does not name."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {name: strict(value) for name, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


COMPONENTS = {"components": {"schemas": strict(SHAPES)}}


def misfits(schema: Schema, value: object) -> list[str]:
    """The places at which a value does not fit the schema, read strictly."""
    validator = Draft202012Validator({**strict(schema), **COMPONENTS})
    return [complaint(error) for error in validator.iter_errors(value)]


def complaint(error: ValidationError) -> str:
    place = "/".join(map(str, error.absolute_path)) or "the reply"
    return f"{place}: {error.message[:300]}"


@cache
def _patterns() -> list[tuple[re.Pattern[str], Call]]:
    plain_first = sorted(CALLS, key=lambda call: "{" in call.path)
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", call.path)), call) for call in plain_first]


def call_of(method: str, path: str) -> Call | None:
    for pattern, call in _patterns():
        if call.method == method and pattern.fullmatch(path):
            return call
    return None


def must_be_documented(response: httpx.Response) -> None:
    """A hook of a client: compares each response with the document, member by member."""
    kind = response.headers.get("content-type", "")
    call = call_of(response.request.method, response.request.url.path)
    if call is None or not kind.endswith("json"):
        return
    response.read()
    name = call.reply if kind == "application/json" else "Problem"
    found = misfits({"$ref": f"#/components/schemas/{name}"}, response.json())
    assert not found, (
        f"{call.method} {call.path} answers what {name} does not tell: {found}. {HOW}"
    )
