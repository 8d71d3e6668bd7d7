"""Each call of the API has a name, types to the bottom, an example that fits them, and Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from devgate.gateway.operations.table import OPERATIONS
from devgate.http.api import about
from devgate.http.api.endpoints import CALLS, Call, Field
from devgate.http.api.openapi import openapi
from devgate.http.api.reply_schemas import SHAPES
from devgate.http.api.samples.every import SAMPLES
from devgate.http.api.samples.sample import TAGS, Given, Sample
from devgate.http.api.shapes import ref
from devgate.http.pages.i18n import WORDS
from devgate.http.problems import STATUSES, written
from tests.http.api.documented import HOW, misfits

# Replies whose members depend on the request.
OPEN = {"RawReply"}
EACH = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.operation or "raw")


def sample_of(call: Call) -> Sample:
    sample = SAMPLES.get(call.operation)
    assert sample is not None, (
        f"{call.method} {call.path} has no example: add a Sample for the operation "
        f"{call.operation!r} to a file of devgate/http/api/samples, with its name "
        "(`startDevice`), its tag, and a request and its reply"
    )
    return sample


@EACH
def test_a_call_has_a_name_and_a_tag(call: Call) -> None:
    sample = sample_of(call)
    assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", sample.name), "like startDevice: a verb and what"
    assert [one.name for one in SAMPLES.values()].count(sample.name) == 1
    assert sample.tag in TAGS, f"one of {', '.join(TAGS)}, or a new one in samples/sample.py"


@EACH
def test_its_example_is_what_the_call_takes(call: Call) -> None:
    sample = sample_of(call)
    for place, fields, given in (
        ("place", call.place, sample.place), ("query", call.query, sample.query),
        ("head", call.head, sample.head), ("json", call.json, sample.json or {}),
    ):  # fmt: skip
        fits(f"{place} of {sample.name}", fields, given)
    if call.body in ("csv", "command"):
        assert sample.text, f"the example of {call.path} needs the text of its body"
    elif any(one.required for one in call.json) or call.method == "PATCH":
        assert sample.json is not None, f"the example of {call.path} needs a body (json=...)"


def fits(what: str, fields: tuple[Field, ...], given: Given) -> None:
    known = {one.name: one for one in fields}
    assert set(given) <= set(known), f"{what}: the call takes {', '.join(known) or 'nothing'}"
    missing = {one.name for one in fields if one.required} - set(given)
    assert not missing, f"{what}: {missing} is required"
    for name, value in given.items():
        assert not misfits(known[name].schema, value), f"{what}, {name}"


@EACH
def test_its_reply_is_what_the_document_says(call: Call) -> None:
    reply = sample_of(call).reply
    if not call.reply:
        assert isinstance(reply, str), "the example of a stream is its text"
        return
    assert call.reply in SHAPES, f"{call.path}: no schema is called {call.reply!r}. {HOW}"
    found = misfits(ref(call.reply), reply)
    assert not found, f"the example of {call.path} is not what {call.reply} says: {found}"


def test_no_example_is_left_over() -> None:
    assert set(SAMPLES) == {call.operation for call in CALLS}
    assert set(SAMPLES) - {""} <= set(OPERATIONS)
    assert {sample.tag for sample in SAMPLES.values()} == set(TAGS)


def untyped(schema: Any, place: str) -> Iterator[str]:
    """Where a schema does not say what there is."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in SHAPES:
            yield f"{place}: no schema is called {name}"
        return
    for n, one in enumerate(schema.get("anyOf", ())):
        yield from untyped(one, f"{place}.{n}")
    if "anyOf" in schema:
        return
    if "type" not in schema:
        yield f"{place}: it has no type"
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "array" in kinds:
        if "items" not in schema:
            yield f"{place}: an array that does not say what its items are"
        else:
            yield from untyped(schema["items"], f"{place}[]")
    if "object" in kinds:
        if not schema.get("properties") and not schema.get("additionalProperties"):
            yield f"{place}: an object that does not say what its members are"
        for name, one in schema.get("properties", {}).items():
            yield from untyped(one, f"{place}.{name}")
        if isinstance(more := schema.get("additionalProperties"), dict):
            yield from untyped(more, f"{place}.*")


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in OPEN])
def test_a_schema_is_typed_to_the_bottom(name: str) -> None:
    found = list(untyped(SHAPES[name], name))
    assert not found, f"{found}. {HOW}"


def test_the_search_finds_what_is_not_typed() -> None:
    open_object, open_array = {"type": "object"}, {"type": ["array", "null"]}
    parts = {"a": open_object, "b": open_array, "c": {}, "d": {"$ref": "#/x/Nobody"}}
    assert len(list(untyped({"type": "object", "properties": parts}, "Any"))) == 4


def test_yaml_readers_take_the_document() -> None:
    """Patterns once held control characters as they are."""
    document = openapi("https://gate.example")
    text = written(document).decode()
    assert yaml.safe_load(text) == document
    patterns = re.findall(r'"pattern": ?"(.*?)(?<!\\)"', text)
    assert patterns
    assert all(pattern.isascii() for pattern in patterns)


def said() -> Iterator[str]:
    yield from (about.ABOUT, about.NEEDS_ROLE, about.NEEDS_OF_TYPE, *TAGS, *TAGS.values())
    yield from (text for _, text in STATUSES.values())
    for call in CALLS:
        yield call.summary
        if call.about:
            yield call.about
        for one in (*call.place, *call.query, *call.head, *call.json):
            yield one.about
            if "title" in one.schema:
                yield one.schema["title"]


def test_the_page_says_all_of_it_in_chinese() -> None:
    missing = sorted({text for text in said() if text not in WORDS["zh"]})
    assert not missing, f"translate these in devgate/http/pages/zh_api.toml: {missing}"
