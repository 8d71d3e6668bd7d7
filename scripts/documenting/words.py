"""Chinese for the generated pages: the program's own, and of what only the site says."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import tomli

from devgate.http.pages.i18n import WORDS
from documenting.english import ABOVE
from documenting.plan import Language


class NoChinese(ValueError):
    """A sentence of the program that a Chinese page would show in English."""


@cache
def own() -> dict[str, str]:
    """The sentences that only the site has, by their English."""
    return tomli.loads((Path(__file__).parent / "zh.toml").read_text("utf-8"))


def said(language: Language, text: str) -> str:
    """The sentence in that language. Raises NoChinese."""
    if language == "en" or not text:
        return ABOVE.get(text, text)
    found = own().get(text) or WORDS["zh"].get(text)
    if found is None:
        raise NoChinese(f"scripts/documenting/zh.toml has no Chinese of: {text}")
    return found.strip()


def cell(text: str) -> str:
    """Text as it may stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def table(*rows: tuple[str, ...]) -> str:
    """A table; the first row is its head."""
    lines = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines) + "\n"
