"""The configuration by which Zensical builds one language."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from devgate import __version__
from documenting.plan import CALLED, HOME, SECTIONS, Language

NAMES: dict[Language, str] = {"en": "English", "zh": "中文"}
ABOUT: dict[Language, str] = {
    "en": "A gateway that starts rented machines over TCP, each start at most once.",
    "zh": "通过 TCP 启动租赁设备的网关：只启动一次，如实告知结果。",  # noqa: RUF001
}
HOME_NAME: dict[Language, str] = {"en": "Home", "zh": "首页"}
TO_DARK: dict[Language, tuple[str, str]] = {
    "en": ("Use dark colours", "Use light colours"),
    "zh": ("切换到深色", "切换到浅色"),
}
EXTENSIONS = """
[project.markdown_extensions.admonition]
[project.markdown_extensions.attr_list]
[project.markdown_extensions.md_in_html]
[project.markdown_extensions.sane_lists]
[project.markdown_extensions.tables]
[project.markdown_extensions.toc]
permalink = true
slugify = { object = "pymdownx.slugs.slugify", kwds = { case = "lower" } }
[project.markdown_extensions.pymdownx.highlight]
pygments_lang_class = true
[project.markdown_extensions.pymdownx.inlinehilite]
[project.markdown_extensions.pymdownx.superfences]
[project.markdown_extensions.pymdownx.tabbed]
alternate_style = true
"""


def configuration(language: Language) -> str:
    """zensical.toml of a folder with `docs` (what was staged); the site goes into `site`."""
    dark, light = TO_DARK[language]
    features = ["content.code.copy", "navigation.sections", "navigation.top", "toc.follow",
                "search.highlight"]  # fmt: skip
    lines = [
        "[project]",
        f"site_name = {_toml('devgate')}",
        f"site_description = {_toml(ABOUT[language])}",
        f"copyright = {_toml(f'devgate {__version__}')}",
        'docs_dir = "docs"',
        'site_dir = "site"',
        "use_directory_urls = false",
        'extra_css = ["theme/devgate.css"]',
        f"nav = {_nav(language)}",
        "[project.validation]",
        "invalid_links = true",
        "[project.theme]",
        f"language = {_toml(language)}",
        "font = false",  # the fonts of who reads: no other host is asked
        f"features = {_toml(features)}",
        "[[project.theme.palette]]",
        'media = "(prefers-color-scheme: light)"',
        'scheme = "default"',
        f"toggle = {{ icon = 'lucide/sun', name = {_toml(dark)} }}",
        "[[project.theme.palette]]",
        'media = "(prefers-color-scheme: dark)"',
        'scheme = "slate"',
        f"toggle = {{ icon = 'lucide/moon', name = {_toml(light)} }}",
        "[project.extra]",
        "generator = false",
        f"alternate = {_alternate()}",
    ]
    return "\n".join(lines) + EXTENSIONS


def write(folder: Path, language: Language) -> None:
    """Write the configuration beside the staged pages."""
    (folder / "zensical.toml").write_text(configuration(language), "utf-8")


def _nav(language: Language) -> str:
    parts = [f"{{ {_toml(HOME_NAME[language])} = {_toml(HOME)} }}"]
    for section in SECTIONS:
        inner = ", ".join(map(_entry, section.pages))
        parts.append(f"{{ {_toml(section.title(language))} = [{inner}] }}")
    return f"[{', '.join(parts)}]"


def _entry(page: str) -> str:
    return f"{{ {_toml(CALLED[page])} = {_toml(page)} }}" if page in CALLED else _toml(page)


def _alternate() -> str:
    # `built.switch` gives each page the address of the same page in the other language.
    return "[" + ", ".join(
        f'{{ name = {_toml(name)}, link = "/{language}/", lang = "{language}" }}'
        for language, name in NAMES.items()
    ) + "]"  # fmt: skip


def _toml(value: str | Sequence[str]) -> str:
    return json.dumps(value, ensure_ascii=False)
