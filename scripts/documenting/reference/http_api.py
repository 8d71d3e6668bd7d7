"""Every call of the HTTP API, from the table that the gateway serves."""

from __future__ import annotations

import json
from functools import partial

from devgate.access.tokens import NEEDS
from devgate.http.api.about import ABOUT, NEEDS_OF_TYPE, NEEDS_ROLE
from devgate.http.api.endpoints import CALLS, Call
from devgate.http.api.misfit import words
from devgate.http.api.samples.every import SAMPLES, sample_of
from devgate.http.api.samples.sample import TAGS
from devgate.http.api.snippets import curl
from devgate.http.pages.api_docs import documented
from devgate.http.pages.i18n import translate
from devgate.http.problems import STATUSES
from documenting.plan import Language
from documenting.words import said, table

BASE = "http://127.0.0.1:8080"


def page(language: Language) -> str:
    """The page as Markdown."""
    codes = [
        (f"`{code}`", str(status), said(language, what))
        for code, (status, what) in STATUSES.items()
    ]
    head = tuple(said(language, word) for word in ("Code", "HTTP", "Means"))
    parts = [
        f"# {said(language, 'The HTTP API')}",
        said(language, "ABOUT API"),
        said(language, ABOUT),
        f"## {said(language, 'Codes')}",
        table(head, *codes),
    ]
    for tag, what in TAGS.items():
        parts += [f"## {said(language, tag)}", said(language, what)]
        for call in CALLS:
            if sample_of(call).tag == tag:
                parts += _call(language, call)
    return "\n\n".join(parts) + "\n"


def _call(language: Language, call: Call) -> list[str]:
    shown = documented(call, BASE)
    role = NEEDS.get(call.operation)
    needs = (
        said(language, NEEDS_ROLE).format(
            role=said(language, f"role.{role}") if language == "zh" else role
        )
        if role
        else said(language, NEEDS_OF_TYPE)
    )
    parts = [
        f"### {said(language, call.summary)}",
        f"`{call.method} {call.path}`",
        f"{said(language, call.about)} {needs}".strip(),
    ]
    if shown.fields:
        rows = [
            (
                f"`{one.name}`",
                said(language, place),
                words(one.schema, partial(translate, language))
                + ("" if one.required else f" ({said(language, 'optional')})"),
                said(language, one.about),
            )
            for place, one in shown.fields
        ]
        head = ("Field", "Where", "Form", "What it is")
        parts.append(table(tuple(said(language, word) for word in head), *rows))
    sample = SAMPLES.get(call.operation)
    if sample is not None:
        parts.append(f"```sh\n{curl(call, sample, BASE)}\n```")
        if shown.reply:
            kind = "text" if isinstance(sample.reply, str) else "json"
            parts.append(f"```{kind}\n{shown.reply.rstrip()}\n```")
    return parts


def document() -> str:
    """The document for programs, OpenAPI 3.1."""
    from devgate.http.api.openapi import openapi

    return json.dumps(openapi(), ensure_ascii=False, indent=1) + "\n"
