"""Rules between the fields of one request, in JSON Schema.

The operations check it, each with a sentence of its own; a test compares the two. null stands for
a field that is not given.
"""

from __future__ import annotations

from collections.abc import Iterable

from devgate.alerts.rule import KINDS
from devgate.http.api.schemas import Schema

TRUE, FALSE = {"const": True}, {"const": False}
OBJECT: Schema = {"type": "object"}
TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
LIST: Schema = {"type": "array", "items": {}}  # a linter requires `items`


def one_of(**values: Schema) -> Schema:
    """Exactly one of these fields, with such a value."""
    return {"oneOf": [_has(**{name: value}) for name, value in values.items()]}


def some_of(names: Iterable[str]) -> Schema:
    """At least one of these fields."""
    return {"anyOf": [{"required": [name]} for name in names]}


def not_both(**values: Schema) -> Schema:
    """Not all of these fields with such values."""
    return {"not": _has(**values)}


def _has(**values: Schema) -> Schema:
    return {"required": [*values], "properties": values}


COORDINATES: tuple[Schema, ...] = (
    {"dependentRequired": {"latitude": ["longitude"], "longitude": ["latitude"]}},
    {
        "anyOf": [
            {"properties": {"latitude": {"type": kind}, "longitude": {"type": kind}}}
            for kind in ("number", "null")
        ]
    },
)


_SOME = {"minimum": 1}
_CERTIFICATE = {"enum": [name for name, one in KINDS.items() if one.minutes is None]}
ALERT: tuple[Schema, ...] = (
    not_both(
        kind={"enum": [n for n, one in KINDS.items() if one.minutes is not None]}, days=_SOME
    ),
    not_both(kind=_CERTIFICATE, days={"const": 0}),
    not_both(kind=_CERTIFICATE, minutes=_SOME),
    not_both(
        kind={"enum": [name for name, one in KINDS.items() if not one.sited]},
        site={"type": "string", "minLength": 1},
    ),
    not_both(kind={"enum": [name for name, one in KINDS.items() if not one.many]}, tag=TEXT),
)
