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
from devgate.http.api.misfit import words
from devgate.http.api.samples.every import SAMPLES, sample_of
from devgate.http.api.samples.sample import TAGS
from devgate.http.api.snippets import LANGUAGES
from devgate.http.pages.drawing import templates
from devgate.http.pages.i18n import translate
from devgate.http.pages.view import Visit
from devgate.http.problems import STATUSES
from devgate.language.choice import Language

MAX_CACHED = 8  # pages: two languages, at the few addresses by which people reach a gateway


class DocumentedCall(NamedTuple):
    """One call on the page."""

    anchor: str
    call: Call
    role: str | None  # None: it depends on the request
    fields: Sequence[tuple[str, Field]]  # each with its place in the request
    code: Sequence[tuple[str, str, str]]  # language, its name, the example in it
    reply: str


async def show(visit: Visit) -> Response:
    """The page. Its content is the same for all viewers with one language at one address."""
    # In a thread: the first time takes about ten milliseconds, in which devices would wait.
    shown = await trio.to_thread.run_sync(content, visit.language, visit.base)
    return visit.page("api_docs.html", title="API", styles=("api.css",), content=shown)


@lru_cache(maxsize=MAX_CACHED)
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
        (tag, what, [documented(call, base) for call in CALLS if sample_of(call).tag == tag])
        for tag, what in TAGS.items()
    ]
    template = templates.get_template("api_calls.html")
    return Markup(
        template.render(
            t=t, marked=marked, words=lambda schema: words(schema, t), groups=groups,
            about=ABOUT, codes=STATUSES, languages=LANGUAGES, needs_role=NEEDS_ROLE,
            needs_of_type=NEEDS_OF_TYPE,
        )
    )  # fmt: skip


def documented(call: Call, base: str) -> DocumentedCall:
    """A call with its examples, if it has any."""
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
