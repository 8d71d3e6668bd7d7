"""The API for people: each call in words, with code that can be run and the answer to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import trio
from markupsafe import Markup, escape
from starlette.responses import Response

from devgate.access.tokens import NEEDS
from devgate.http.api.about import ABOUT, NEEDS_OF_TYPE, NEEDS_ROLE
from devgate.http.api.endpoints import CALLS, Call, Field
from devgate.http.api.samples.every import SAMPLES
from devgate.http.api.samples.sample import TAGS
from devgate.http.api.schemas import Schema
from devgate.http.api.snippets import LANGUAGES
from devgate.http.pages.drawing import templates
from devgate.http.pages.i18n import translate
from devgate.http.pages.view import Visit
from devgate.http.problems import STATUSES
from devgate.language.choice import Language
from devgate.model import alternatives

KEPT = 8  # renderings: two languages, at the few addresses by which people reach a gateway


class DocumentedCall(NamedTuple):
    """One call on the page."""

    anchor: str
    call: Call
    role: str | None  # None: it depends on the request
    fields: Sequence[tuple[str, Field]]  # each with where it stands
    code: Sequence[tuple[str, str, str]]  # language, its name, the example in it
    reply: str


async def show(visit: Visit) -> Response:
    """The page. Its content is the same for all who read one language at one address."""
    # In a thread: the first time takes about ten milliseconds, and the loop is the devices'.
    shown = await trio.to_thread.run_sync(content, visit.language, visit.base)
    return visit.page("api_docs.html", title="API", styles=("api.css",), content=shown)


@lru_cache(maxsize=KEPT)
def content(language: Language, base: str) -> Markup:
    """All calls, as HTML."""

    def t(text: str, **values: object) -> str:
        return translate(language, text, **values)

    def marked(text: str) -> Markup:
        """Text with `code` between backticks, in the language of who reads."""
        parts = str(escape(t(text))).split("`")
        return Markup("").join(
            Markup(f"<code>{one}</code>" if n % 2 else one) for n, one in enumerate(parts)
        )

    groups = [
        (tag, what, [documented(call, base) for call in CALLS if _tag(call) == tag])
        for tag, what in TAGS.items()
    ]
    template = templates.get_template("api_calls.html")
    return Markup(
        template.render(
            t=t, marked=marked, words=lambda schema: words(language, schema), groups=groups,
            about=ABOUT, codes=STATUSES, languages=LANGUAGES, needs_role=NEEDS_ROLE,
            needs_of_type=NEEDS_OF_TYPE,
        )
    )  # fmt: skip


def documented(call: Call, base: str) -> DocumentedCall:
    """A call with its examples; without, where it has none."""
    parts = (
        ("Path", call.place), ("Query", call.query), ("Header", call.head), ("JSON", call.json)
    )  # fmt: skip
    sample = SAMPLES.get(call.operation)
    reply = ""
    if sample is not None:
        text = isinstance(sample.reply, str)
        reply = str(sample.reply) if text else json.dumps(sample.reply, indent=2)
    return DocumentedCall(
        call.operation or "raw",
        call,
        NEEDS.get(call.operation),
        [(place, one) for place, fields in parts for one in fields],
        [(key, name, write(call, sample, base)) for key, (name, write) in LANGUAGES.items()]
        if sample is not None
        else (),
        reply,
    )


def _tag(call: Call) -> str:
    sample = SAMPLES.get(call.operation)
    return sample.tag if sample is not None else "Gateway"


def words(language: Language, schema: Schema) -> str:
    """What a value of this schema is, in a few words."""

    def t(text: str, **values: object) -> str:
        return translate(language, text, **values)

    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]
    if "enum" in schema:
        choices = [str(one) for one in schema["enum"] if one is not None]
        return alternatives(choices, t(", "), t(" or "))
    if kind == "boolean":
        return t("true or false")
    if kind == "integer":
        least, most = schema["minimum"], schema["maximum"]
        return t("a whole number from {least} to {most}", least=least, most=most)
    if kind == "number" and "minimum" in schema:
        least, most = schema["minimum"], schema["maximum"]
        return t("a number from {least} to {most}", least=least, most=most)
    if kind == "number":
        least, most = schema["exclusiveMinimum"], f"{schema['maximum']:.0f}"
        return t("a number above {least} and at most {most}", least=least, most=most)
    text = t(schema["title"])
    if "maxLength" not in schema:
        return text
    least, most = schema.get("minLength", 0), schema["maxLength"]
    if least:
        return t("{what}, {least} to {most} characters", what=text, least=least, most=most)
    return t("{what}, at most {most} characters", what=text, most=most)
