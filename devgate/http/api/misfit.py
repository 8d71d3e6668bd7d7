"""Whether a value fits a schema of ours, and in words what does."""

from __future__ import annotations

import re

from devgate.http.api.schemas import UNSAID, Schema
from devgate.model import alternatives, shown


def misfit(schema: Schema, value: object) -> str | None:
    """What was expected instead, in words; None if the value fits."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if value is None:
        return None if "null" in kinds else words(schema)
    if _fits(schema, kinds[0], value):
        return None
    expected = f"{words(schema)} expected"
    return expected if schema.get("title") in UNSAID else f"{expected}, not {shown(value)}"


def _fits(schema: Schema, kind: str, value: object) -> bool:
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "not" in schema and value in schema["not"]["enum"]:
        return False
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "array":
        return (
            isinstance(value, list)
            and schema["minItems"] <= len(value) <= schema["maxItems"]
            and all(misfit(schema["items"], one) is None for one in value)
        )
    if kind == "object":
        known = schema["properties"]
        return isinstance(value, dict) and all(
            name in known and misfit(known[name], one) is None for name, one in value.items()
        )
    if kind == "string":
        return (
            isinstance(value, str)
            and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10_000)
            and re.search(schema.get("pattern", ""), value) is not None
            and not value.endswith("\n")  # which $ lets pass
        )
    return (
        type(value) in ((int,) if kind == "integer" else (int, float))
        and isinstance(value, int | float)
        and schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and value > schema.get("exclusiveMinimum", value - 1)
    )


def words(schema: Schema) -> str:
    """What a value of this schema is, as a sentence of ours may say it."""
    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]
    if "enum" in schema:
        return alternatives([str(one) for one in schema["enum"] if one is not None])
    if kind == "boolean":
        return "true or false"
    if kind == "integer":
        return f"a whole number from {schema['minimum']} to {schema['maximum']}"
    if kind == "number" and "minimum" in schema:
        return f"a number from {schema['minimum']} to {schema['maximum']}"
    if kind == "number":
        return f"a number above {schema['exclusiveMinimum']} and at most {schema['maximum']:.0f}"
    size = ""
    if "maxLength" in schema:
        least = schema.get("minLength", 0)
        size = f", {least} to {schema['maxLength']} characters" if least else (
            f", at most {schema['maxLength']} characters"
        )  # fmt: skip
    return f"{schema['title']}{size}"
