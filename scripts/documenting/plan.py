"""Which pages the site has, in which order, and where each comes from.

A page is a file of docs/ (its Chinese: the same name below docs/zh/) or is generated. Its name is
the same in both languages, so that the switch of languages leads to the same page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


class Section(NamedTuple):
    """A part of the navigation."""

    english: str
    chinese: str
    pages: tuple[str, ...]

    def title(self, language: Language) -> str:
        return self.chinese if language == "zh" else self.english


HOME = "index.md"
SECTIONS = (
    Section("Begin", "入门", ("start.md", "concepts.md", "readme.md")),
    Section(
        "Guides",
        "指南",
        (
            "guides/shop-http.md",
            "guides/shop-socket.md",
            "guides/webhooks.md",
            "guides/postgresql.md",
            "guides/tls.md",
            "guides/load-balancer.md",
            "guides/backup.md",
            "upgrade.md",
            "cluster.md",
        ),
    ),
    Section("Operate", "运维", ("manual.md", "troubleshooting.md", "tuning.md", "faq.md")),
    Section("Firmware", "设备固件", ("firmware.md", "protocol.md")),
    Section(
        "Reference",
        "参考",
        (
            "control.md",
            "reference/settings.md",
            "reference/commands.md",
            "reference/http-api.md",
            "reference/events.md",
            "reference/metrics.md",
        ),
    ),
    Section("Inside", "内部", ("architecture.md", "contributing.md", "security.md")),
)
# Pages whose files are not in docs/ under the page's name: the English one, the Chinese one.
OUTSIDE = {
    "contributing.md": ("CONTRIBUTING.md", "docs/zh/CONTRIBUTING.md"),
    "readme.md": ("README.md", "README.zh-CN.md"),
}
# What the navigation calls pages whose heading says something else.
CALLED = {"readme.md": "README"}
GENERATED = "reference/"

# Files of the repository that the site has under another name.
ELSEWHERE = {
    "gateway.toml": "reference/settings.md",
}
# Files that pages link to, and that are handed out as they are.
FILES = ("docs/grafana.json", "docs/alerts.yml", "docs/vectors.json")


def pages() -> Iterator[str]:
    """Every page, by its name in the site's folder of a language."""
    yield HOME
    for section in SECTIONS:
        yield from section.pages


def source(page: str, language: Language) -> Path:
    """The file of a page that is not generated."""
    if page in OUTSIDE:
        return ROOT / OUTSIDE[page][LANGUAGES.index(language)]
    return DOCS / "zh" / page if language == "zh" else DOCS / page


def page_of(file: Path) -> str | None:
    """The page that a file of the repository is, in whichever language; None if it is none."""
    name = file.relative_to(ROOT).as_posix()
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    return SOURCES.get(file)


SOURCES = {
    source(page, language): page
    for page in pages()
    for language in LANGUAGES
    if not page.startswith(GENERATED)
}
