"""Every metric, from what a gateway that runs says of itself."""

from __future__ import annotations

import re
from typing import NamedTuple

from documenting.plan import Language
from documenting.words import said, table


class Metric(NamedTuple):
    """One family of /metrics."""

    name: str
    type: str
    about: str
    labels: tuple[str, ...]


def families(text: str) -> list[Metric]:
    """The families in a page of /metrics, in its order."""
    about = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE))
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    found = []
    for name, what in about.items():
        sample = re.search(rf"^{name}(?:_bucket|_total)?\{{(.*?)\}} ", text, re.MULTILINE)
        labels = re.findall(r'(\w+)="', sample[1]) if sample else []
        kept = tuple(label for label in labels if label != "le")
        found.append(Metric(name, types[name], what, kept))
    return found


def page(language: Language, text: str) -> str:
    """The page as Markdown, of the text that /metrics has."""
    rows = [
        (
            f"`{metric.name}`",
            said(language, metric.type),
            " ".join(f"`{label}`" for label in metric.labels),
            said(language, metric.about),
        )
        for metric in families(text)
        if not metric.name.endswith("_created")
    ]
    head = tuple(said(language, word) for word in ("Name", "Kind", "Labels", "What it counts"))
    parts = [f"# {said(language, 'All metrics')}", said(language, "ABOUT METRICS")]
    ours = [row for row in rows if row[0].startswith("`devgate_")]
    parts += [f"## {said(language, 'The gateway')}", table(head, *ours)]
    others = [row for row in rows if row not in ours]
    parts += [f"## {said(language, 'The process')}", table(head, *others)]
    return "\n\n".join(parts) + "\n"
