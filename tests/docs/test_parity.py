"""Each page is there in English and in Chinese, and who changes one changes the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from devgate.cli.main import cli
from tests.docs import parity
from tests.docs.pages import CONTRIBUTING, IN_CHINESE, ROOT, blocks
from tests.docs.parity import Part, parts, translated

ENGLISH_PAGES = sorted(
    {page for page in parity.DOCS.rglob("*.md") if not page.is_relative_to(IN_CHINESE)}
    | {CONTRIBUTING}
)
# Names that no language changes.
PROPER = {
    "HAProxy", "PostgreSQL", "Webhook", "FAQ", "nginx", "PHP", "Python", "Java", "Node", "TLS",
    "devgate",
}  # fmt: skip


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_each_page_is_there_in_both_languages() -> None:
    chinese = {page.relative_to(IN_CHINESE) for page in IN_CHINESE.rglob("*.md")}
    assert chinese == {translated(page).relative_to(IN_CHINESE) for page in ENGLISH_PAGES}
    assert len(ENGLISH_PAGES) >= 8


@pytest.mark.parametrize("page", ENGLISH_PAGES, ids=name)
def test_both_languages_say_the_same(page: Path) -> None:
    """Change both pages in one commit: the first part that differs is named."""
    english, chinese = parts(page), parts(translated(page))
    assert [part.level for part in chinese] == [part.level for part in english]
    for one, other in zip(english, chinese, strict=True):
        wrong = differences(page, one, other)
        place = f"{name(translated(page))}, “{other.title}”, beside “{one.title}”"
        assert wrong == [], f"{place}: {wrong}"


def differences(page: Path, english: Part, chinese: Part) -> list[tuple[object, ...]]:
    """What one part has and the other does not: a word for it, and both."""
    one, other = english.body, chinese.body
    wrong: list[tuple[object, ...]] = []
    for what, look in (
        ("tables", parity.tables),
        ("items of lists", parity.items),
        ("paragraphs", parity.paragraphs),
    ):
        if look(one) != look(other):
            wrong.append((what, look(one), look(other)))
    ours, theirs = parity.blocks(one), parity.blocks(other)
    if len(ours) != len(theirs):
        wrong.append(("blocks of code", len(ours), len(theirs)))
    wrong += [
        ("code", first, second)
        for first, second in zip(ours, theirs, strict=False)
        if not parity.same_code(first, second)
    ]
    wrong += [
        ("rows in another order", first, second)
        for first, second in zip(parity.rows(one), parity.rows(other), strict=False)
        if first != second and parity.code(one) == parity.code(other)
    ]
    if parity.code(one) != parity.code(other):
        wrong.append(
            (
                "in backquotes",
                parity.code(one) - parity.code(other),
                parity.code(other) - parity.code(one),
            )
        )
    missing = parity.numbers(one) - parity.numbers(other) - parity.spelt(other)
    more = parity.numbers(other) - parity.numbers(one) - parity.spelt(one)
    if missing or more:
        wrong.append(("numbers", missing, more))
    leads, to = (
        sorted(set(parity.links(page, one))),
        sorted(set(parity.links(translated(page), other))),
    )
    if leads != to:
        wrong.append(("links", set(leads) - set(to), set(to) - set(leads)))
    return wrong


@pytest.mark.parametrize("page", ENGLISH_PAGES, ids=name)
def test_each_chinese_heading_has_the_place_of_the_english_one(page: Path) -> None:
    """Chinese headings make no place of their own: a link would lead nowhere."""
    wanted = [parity.anchor(part.title) for part in parts(page)[1:]]
    given = parity.anchors(translated(page))
    assert given == wanted, (
        'put <a id="..."></a> and a blank line above each heading but the first'
    )


@pytest.mark.parametrize("page", ENGLISH_PAGES, ids=name)
def test_the_chinese_page_is_chinese(page: Path) -> None:
    for part in parts(translated(page)):
        assert parity.CHINESE_SIGN.search(part.title) or part.title in PROPER, part.title
    for line in parity.plain(translated(page).read_text("utf-8")).splitlines():
        words = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", line)
        run = re.search(r"(?:[A-Za-z',.]+ ){7,}", words)
        assert run is None, f"a sentence in English: {run and run[0]}"


def test_the_help_in_the_chinese_manual_is_the_real_one() -> None:
    shown = blocks(IN_CHINESE / "manual.md", "text")
    env = {"DEVGATE_LANG": "zh"}
    real = CliRunner().invoke(cli, ["--help"], prog_name="devgate", terminal_width=80, env=env)
    assert shown == [f"$ devgate --help\n{real.output}"], (
        "copy what `DEVGATE_LANG=zh devgate --help` says"
    )


PAGE = """# A page

- Wait 5 s for `key`, see [this](control.md#keys).

```sh
devgate start 1     # a comment
```

| a | b |
|---|---|
| 1 | 2 |
"""


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("5 s", "6 秒", "numbers"),
        ("`key`", "`keys`", "in backquotes"),
        ("#keys", "#limits", "links"),
        ("start 1 ", "start 2 ", "code"),
        ("# a comment", "# 注释\ndevgate stop 1", "code"),
        ("start 1     # a comment", "stop 1      # 注释", "code"),
        ("| 1 | 2 |\n", "| 1 | 2 |\n| 1 | 2 |\n", "tables"),
        ("- Wait", "Wait", "items of lists"),
        ("```sh", "```toml", "code"),
    ],
)
def test_what_differs_is_found(tmp_path: Path, old: str, new: str, what: str) -> None:
    page = parity.DOCS / "manual.md"
    english, chinese = (Part(1, "A page", text) for text in (PAGE, PAGE.replace(old, new)))
    assert [found[0] for found in differences(page, english, chinese)] == [what]


def test_a_translated_page_is_the_same() -> None:
    page = parity.DOCS / "manual.md"
    chinese = (
        PAGE.replace("Wait 5 s for", "等").replace("see", "5 秒, 见").replace("a comment", "注释")
    )
    assert differences(page, Part(1, "A", PAGE), Part(1, "页", chinese)) == []
