"""What an English page and its Chinese one must have in common, as lists that can be compared.

Both languages say the same, so a change of one page is a change of the other in the same commit.
A test cannot read Chinese. It compares what no translation changes: headings and their levels,
tables, items of lists, code, keys in backquotes, numbers, links and pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.docs.pages import IN_CHINESE as TRANSLATED
from tests.docs.pages import ROOT, read

DOCS = ROOT / "docs"
CHINESE_SIGN = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef\u2018-\u201d]")
HEADING = re.compile(r"^(#+) (.+)$")
ANCHOR = re.compile(r'^<a id="([^"]+)"></a>$', re.MULTILINE)
INDENTED = re.compile(r"(?:(?<=\n\n)|(?<=\A\n))(?:^    .*\n)+", re.MULTILINE)
FENCED = re.compile(r"^(```\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)*(?![\w])")
TEN_THOUSANDS = re.compile(r"(\d+(?:\.\d+)?) ?万")
SPELT = {
    "一千": "1,000", "一万": "10,000", "十万": "100,000", "一百万": "1,000,000",
    "一千万": "10,000,000", "thousand": "1,000", "ten thousand": "10,000",
    "hundred thousand": "100,000", "million": "1,000,000", "ten million": "10,000,000",
}  # fmt: skip
# What a program prints is Chinese on the Chinese page; what somebody types is the same.
PRINTED = ("```text", "```console")


class Part(NamedTuple):
    """A heading with what stands below it, up to the next heading of any level."""

    level: int
    title: str
    body: str


def translated(page: Path) -> Path:
    """Where the Chinese page of an English one is: below docs/zh under the same name."""
    return TRANSLATED / (page.relative_to(DOCS) if page.is_relative_to(DOCS) else page.name)


def parts(page: Path) -> list[Part]:
    """The page by its headings, but for those within fenced blocks. What comes in front of the
    first heading is left out."""
    found: list[Part] = []
    fenced = False
    for line in read(page).splitlines(keepends=True):
        fenced ^= line.startswith("```")
        heading = None if fenced else HEADING.match(line.rstrip("\n"))
        if heading:
            found.append(Part(len(heading[1]), heading[2], ""))
        elif found:
            found[-1] = found[-1]._replace(body=found[-1].body + line)
    return found


def anchor(title: str) -> str:
    """The place of a heading, as GitHub and MkDocs name it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def anchors(page: Path) -> list[str]:
    """The explicit places on a page, in order."""
    return ANCHOR.findall(read(page))


def blocks(body: str) -> list[list[str]]:
    """The lines of each fenced and each indented block. A line ends at its first Chinese sign:
    in front of it both languages are the same, and behind it stands a comment or a label. Of
    what a program prints, the lines that are typed (`$ ...`) are left, and the block's name."""
    found = []
    for name, text in FENCED.findall(body):
        lines = text.splitlines()
        if name in PRINTED:
            lines = [line for line in lines if line.startswith("$ ")]
        found.append([name, *lines])
    return found + [group.splitlines() for group in INDENTED.findall(FENCED.sub("", body))]


def same_code(english: list[str], chinese: list[str]) -> bool:
    """Whether each line of a block is the other's, up to a Chinese comment or label."""
    return len(english) == len(chinese) and all(
        one == other or one.startswith(common(other))
        for one, other in zip(english, chinese, strict=True)
    )


def common(line: str) -> str:
    """What the English line has as well: all, or what is in front of the Chinese comment."""
    sign = CHINESE_SIGN.search(line)
    if sign is None:
        return line + "\n"  # the whole line, and no more
    before = line[: sign.start()]
    comment = re.search(r"(?:^|\s)#", before)
    return before[: comment.end()] if comment else before


def plain(body: str) -> str:
    """Prose and tables: without blocks and explicit places."""
    return INDENTED.sub("", ANCHOR.sub("", FENCED.sub("", body)))


def code(body: str) -> set[str]:
    """Keys, commands, names: whatever stands in backquotes."""
    return set(CODE.findall(plain(body)))


def numbers(body: str) -> set[str]:
    """Every number in digits outside of code and links; "10 万" is 100,000."""
    text = LINK.sub("", CODE.sub("", plain(body)))
    text = TEN_THOUSANDS.sub(lambda found: f"{float(found[1]) * 10_000:,.0f} ", text)
    return {found.rstrip(",") for found in NUMBER.findall(text)}


def spelt(body: str) -> set[str]:
    """Round numbers in words, which the other language may have in digits."""
    return {number for words, number in SPELT.items() if words in plain(body)}


def tables(body: str) -> list[tuple[int, int]]:
    """The rows and the columns of each table."""
    found = re.findall(r"(?:^\|.*\n)+", plain(body), re.MULTILINE)
    return [(table.count("\n"), bars(table.splitlines()[1])) for table in found]


def rows(body: str) -> list[set[str]]:
    """What each row of the tables has in backquotes, in order."""
    return [set(CODE.findall(line)) for line in plain(body).splitlines() if line.startswith("|")]


def bars(row: str) -> int:
    return row.count("|") - 1


def items(body: str) -> list[int]:
    """The depth of each item of lists, in order."""
    found = re.findall(r"^( *)(?:-|\d+\.) ", plain(body), re.MULTILINE)
    return [len(indent) for indent in found]


def paragraphs(body: str) -> int:
    """How many stand between blank lines; a list or a table is one."""
    return len(re.findall(r"(?:^.*\S.*\n?)+", plain(body), re.MULTILINE))


def links(page: Path, body: str) -> Iterator[str]:
    """Where links and pictures lead, as paths from the root of the repository. The Chinese README
    and the pages below docs/zh count as the English ones; a picture may have a Chinese twin, in
    another size or other colours, too."""
    for picture, target in LINK.findall(plain(body)):
        if re.match(r"\w+:", target):
            yield target
            continue
        file, _, place = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if path.is_relative_to(TRANSLATED):
            path = DOCS / path.relative_to(TRANSLATED)
            if not path.exists():
                path = ROOT / path.name  # CONTRIBUTING.md is at the root
        name = str(path.relative_to(ROOT)).replace("README.zh-CN.md", "README.md")
        if picture:
            name = re.sub(r"(?:-dark|-phone)*(?:-zh)?\.png", ".png", name)
        yield f"{name}#{place}"
