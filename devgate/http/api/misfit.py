"""Whether a value fits a schema of ours, and in words what would fit."""

from __future__ import annotations

import re
from collections.abc import Callable

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
            and not value.endswith("\n")  # `$` also matches in front of it
        )
    return (
        type(value) in ((int,) if kind == "integer" else (int, float))
        and isinstance(value, int | float)
        and schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and value > schema.get("exclusiveMinimum", value - 1)
    )


def _filled(text: str, **values: object) -> str:
    return text.format(**values) if values else text


def words(schema: Schema, t: Callable[..., str] = _filled) -> str:
    """What a value of this schema is, in words for a sentence. `t` translates a text for its
    reader and fills in the blanks."""
    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]
    if "enum" in schema:
        choices = [str(one) for one in schema["enum"] if one is not None]
        return alternatives(choices, t(", "), t(" or "))
    if kind == "boolean":
        return t("true or false")
    low, high = schema.get("minimum"), schema.get("maximum")
    if kind == "integer":
        return t("a whole number from {least} to {most}", least=low, most=high)
    if kind == "number" and low is not None:
        return t("a number from {least} to {most}", least=low, most=high)
    if kind == "number":
        above = schema["exclusiveMinimum"]
        return t("a number above {least} and at most {most}", least=above, most=f"{high:.0f}")
    what = t(schema["title"])
    if "maxLength" not in schema:
        return what
    shortest, longest = schema.get("minLength", 0), schema["maxLength"]
    if shortest:
        text = "{what}, {least} to {most} characters"
        return t(text, what=what, least=shortest, most=longest)
    return t("{what}, at most {most} characters", what=what, most=longest)
