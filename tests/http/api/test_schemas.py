"""The check of requests reads the API's schemas as JSON Schema says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from devgate.http.api.endpoints import CALLS
from devgate.http.api.misfit import misfit
from devgate.http.api.reply_schemas import SHAPES
from devgate.http.api.schemas import Schema

FIELDS = {
    json.dumps(field.schema, sort_keys=True): field.schema
    for call in CALLS
    for field in (*call.place, *call.query, *call.head, *call.json)
}
JSON = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(), st.lists(st.none(), max_size=1), st.just({}),
)  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_the_schemas_of_replies_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(SHAPES[name])


@pytest.mark.parametrize("schema", FIELDS.values(), ids=range(len(FIELDS)))
@pytest.mark.parametrize("examples", [15, pytest.param(60, marks=pytest.mark.slow)])
def test_a_field_is_judged_as_its_schema_says(schema: Schema, examples: int) -> None:
    judge = Draft202012Validator(schema)
    judge.check_schema(schema)

    def judged(value: Any) -> None:
        fits = judge.is_valid(value)
        if isinstance(value, float) and "integer" in schema["type"]:
            fits = False  # 5.0 is an integer to JSON Schema, and none to us
        if isinstance(value, str) and value.endswith("\n"):
            fits = False  # `$` lets it pass in Python's patterns, not in ECMA-262's
        assert (misfit(schema, value) is None) == fits

    for value in limits(schema):
        judged(value)
    strategies: list[st.SearchStrategy[Any]] = [JSON]
    if "pattern" in schema:
        strategies.append(st.from_regex(schema["pattern"]))
    settings(max_examples=examples)(given(value=st.one_of(strategies))(judged))()


def limits(schema: Schema) -> list[Any]:
    """Values about the limits of this schema."""
    found: list[Any] = [*schema.get("enum", ())]
    for key in ("minimum", "maximum", "exclusiveMinimum"):
        if key in schema:
            limit = schema[key]
            found += [limit - 1, limit - 0.5, limit, float(limit), limit + 0.5, limit + 1]
    for key in ("minLength", "maxLength"):
        if key in schema:
            found += ["a" * length for length in range(schema[key] - 1, schema[key] + 2)]
    return found
