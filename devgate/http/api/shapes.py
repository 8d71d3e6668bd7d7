"""The parts that schemas of replies are made of. Each is typed to the bottom: an array says what
its items are, and an object what its members are."""

from __future__ import annotations

from devgate.http.api.schemas import Schema

TEXT: Schema = {"type": "string"}
MAYBE: Schema = {"type": ["string", "null"]}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
MAYBE_WHOLE: Schema = {"type": ["integer", "null"]}
YES: Schema = {"type": "boolean"}
TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
AT: Schema = {"type": "string", "format": "date-time"}
ANY: Schema = {"type": ["string", "number", "boolean", "null"]}  # what one field may hold


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


OUTCOME = ref("Outcome")


def shape(description: str = "", /, **parts: Schema) -> Schema:
    """An object with at least these members."""
    said = {"description": description} if description else {}
    return {"type": "object", **said, "properties": parts, "required": list(parts)}


def optional(whole: Schema, /, **parts: Schema) -> Schema:
    """The same object, which may have these members, too."""
    return {**whole, "properties": {**whole["properties"], **parts}}


def listed(item: Schema) -> Schema:
    """An array of these."""
    return {"type": "array", "items": item}


def counted(value: Schema) -> Schema:
    """An object whose members are named by what they are about, each with such a value."""
    return {"type": "object", "additionalProperties": value}


def either(name: str) -> Schema:
    """The schema of that name, or null."""
    return {"anyOf": [ref(name), {"type": "null"}]}


def page_of(name: str, **more: Schema) -> Schema:
    """A page with items of that schema, and what else it tells."""
    return shape(
        "A page; `next` is the `after` of the next one, null on the last.",
        status=TEXT, items=listed(ref(name)), next=MAYBE, **more,
    )  # fmt: skip


def both_ways(name: str) -> Schema:
    """A page that can be read in both directions, and counted."""
    return optional(
        shape(
            "A page; `next` is the `after` of the next one, `prev` the `before` of the one in "
            "front. `count` and `more` come where they were asked for: there may be `more`.",
            status=TEXT, items=listed(ref(name)), next=MAYBE, prev=MAYBE,
        ),
        count=WHOLE, more=YES,
    )  # fmt: skip
