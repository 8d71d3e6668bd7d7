"""Every type of event, from the table by which they are written."""

from __future__ import annotations

from devgate.events.kinds import AUDIT, GROUPS, KINDS, NAMED, PRIVATE
from devgate.gateway.storage import NOISE
from documenting.plan import Language
from documenting.words import said, table

SHORT = "short of room: not written"


def page(language: Language) -> str:
    """The page as Markdown."""
    parts = [f"# {said(language, 'All events')}", said(language, "ABOUT EVENTS")]
    head = tuple(said(language, word) for word in ("Type", "What it tells", "Remarks"))
    for group in sorted(GROUPS):
        rows = [
            (f"`{kind}`", said(language, what), _remarks(language, kind))
            for kind, what in KINDS.items()
            if kind.partition(".")[0] == group
        ]
        parts += [f"## `{group}`", table(head, *rows)]
    return "\n\n".join(parts) + "\n"


def _remarks(language: Language, kind: str) -> str:
    remarks = [
        (kind in PRIVATE, "for the role admin"),
        (kind in NAMED, "to webhooks that name it"),
        (kind in AUDIT, "in the audit"),
        (kind in NOISE, SHORT),
    ]
    comma = "；" if language == "zh" else "; "  # noqa: RUF001
    return comma.join(said(language, text) for holds, text in remarks if holds)
