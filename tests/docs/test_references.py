"""A reference to a document, or to a section or rule of one, leads somewhere.

In code, comments and documents a section is named as "protocol.md section 4" or "control.md
sections 1 and 2", a rule as "architecture.md section 7, rule 3". A section without a name is
one of the document that the same file named last, a rule without a section one of the section
named last. Within a document of docs/ a section without a name is its own. A page of docs/zh says
"protocol.md 第 4 节" and "规则 4", and its sections are those of the English page of that name.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from documenting.plan import GENERATED, OUTSIDE, pages

from tests.docs.pages import ROOT, section

NUMBERS = r"\d+(?:(?:, | and | to )\d+)*"
TOKEN = re.compile(
    r"\bRFC \d+,? sections? [\d.]+"  # no document of ours
    r"|(?P<page>[\w./-]*\w\.md)\b"
    rf"|\b[Ss]ections? (?P<sections>{NUMBERS})(?:, rules? (?P<of>{NUMBERS}))?"
    rf"|\b[Rr]ules? (?P<rules>{NUMBERS})\b"
)
HEADING = re.compile(r"^## (\d+)\. ", re.MULTILINE)
CHINESE = (
    (re.compile(r" ?第 (\d+) 节[,\uff0c]?"), r" section \1,"),
    (re.compile(r" ?规则 (\d+)"), r" rule \1"),
)
DOCS = ROOT / "docs"
# Pages that are made of the program when the site is built, or have another name there.
OF_THE_SITE = {page for page in pages() if page.startswith(GENERATED)} | set(OUTSIDE)
PLACES = (DOCS, DOCS / "guides", DOCS / "zh", DOCS / "zh" / "guides")
SEARCHED = (
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".in",
    ".sh",
    ".c",
    ".h",
    ".yml",
    ".html",
    ".js",
    ".css",
)
OUR_OWN = "tests/docs/test_references.py"  # it has references that lead nowhere, to be found


def files() -> list[Path]:
    """What git knows or would add: code, tests, scripts and documents."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [ROOT / name for name in done.stdout.splitlines() if name != OUR_OWN]
    return [
        file
        for file in found
        if file.is_file() and (file.suffix in SEARCHED or (not file.suffix and is_text(file)))
    ]


def is_text(file: Path) -> bool:
    return b"\0" not in file.read_bytes()[:1024]


def references(text: str) -> Iterator[tuple[str, int, int]]:
    """Every document, section (0: none) and rule (0: none) that code, or a text without sections
    of its own, names."""
    yield from found(text, "", 0)


def references_of(page: Path) -> Iterator[tuple[str, int, int]]:
    """The same for a document with sections: what has no name is its own."""
    own, last, text = f"docs/{page.name}", 0, page.read_text("utf-8")
    for part in re.split(r"(?=^## )", text, flags=re.MULTILINE):
        heading = HEADING.match(part)
        last = int(heading[1]) if heading else 0
        # A name counts for the sections right behind it, and for nothing that comes later.
        yield from found(part, own, last)


def found(text: str, own: str, home: int) -> Iterator[tuple[str, int, int]]:
    page, last = own, home
    # A comment goes on in its next line.
    joined = re.sub(r"\s*\n\s*(?:#|//|\*|--)?\s*", " ", text)
    for chinese, english in CHINESE:
        joined = chinese.sub(english, joined)
    for token in TOKEN.finditer(joined):
        if token["page"]:
            yield token["page"], 0, 0
            if not own or re.match(r"`?\)?,? [Ss]ections? \d", joined[token.end() :]):
                page, last = token["page"], 0
        elif token["sections"]:
            for last in numbers(token["sections"]):
                yield page, last, 0
            for rule in numbers(token["of"] or ""):
                yield page, last, rule
            if own:
                page, last = own, home
        elif token["rules"]:
            for rule in numbers(token["rules"]):
                yield page, last, rule


def numbers(words: str) -> Iterator[int]:
    """The numbers of "1", "1 and 2", "1, 3" and "1 to 4"."""
    for part in re.split(r", | and ", words) if words else ():
        first, _, end = part.partition(" to ")
        yield from range(int(first), int(end or first) + 1)


@cache
def document(name: str) -> Path:
    """The document that a reference names, by its path or its name alone."""
    if name in OF_THE_SITE:
        return ROOT / "scripts" / "documenting" / "plan.py"
    for place in (ROOT / name, *(folder / name for folder in PLACES)):
        if place.is_file() and place.name == Path(name).name:
            return place
    raise ValueError(f"there is no document {name}")


@cache
def resolve(page: str, number: int, rule: int) -> None:
    """Raises ValueError if there is no such document, section or rule."""
    if not page:
        raise ValueError(f"section {number}: of which document?")
    file = document(page)
    if not number:
        if rule:
            raise ValueError(f"rule {rule} of {page}: of which section?")
        return
    text = section(file, number)
    if rule and not re.search(rf"^(?:{rule}\. |\*\*Rule {rule}: )", text, re.MULTILINE):
        raise ValueError(f"{page} section {number} has no rule {rule}")


def dangling(named: Iterable[tuple[str, int, int]]) -> list[str]:
    """What is wrong with these references."""
    wrong = []
    for reference in named:
        try:
            resolve(*reference)
        except ValueError as err:
            wrong.append(str(err))
    return wrong


def test_no_reference_is_dangling() -> None:
    wrong = {}
    for file in files():
        text = file.read_text("utf-8")
        has_sections = file.parent in PLACES and HEADING.search(text)
        if said := dangling(references_of(file) if has_sections else references(text)):
            wrong[str(file.relative_to(ROOT))] = said
    assert wrong == {}


def test_references_are_found() -> None:
    """The search has not gone blind: the code refers to these sections."""
    code = [
        reference
        for file in files()
        if file.suffix == ".py" and file.is_relative_to(ROOT / "devgate")
        for reference in references(file.read_text("utf-8"))
    ]
    for wanted in (
        ("protocol.md", 1, 0), ("protocol.md", 2, 0), ("protocol.md", 3, 0), ("protocol.md", 4, 0),
        ("control.md", 1, 0), ("control.md", 2, 0), ("control.md", 3, 0),
    ):  # fmt: skip
        assert wanted in code, wanted


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("# protocol.md section 4", 0),
        ("# protocol.md\n# sections 1 to 3, and control.md sections 1 and 2", 0),
        ("protocol.md section 2, rule 4; Rule 3 as well", 0),
        ("protocol.md section 99", 1),
        ("# protocol.md section\n# 99", 1),
        ("protocol.md section 2, rule 99", 1),
        ("protocol.md section 1 and its rule 1", 1),
        ("section 2", 1),
        ("RFC 9113 section 5.3.2", 0),
        ("nowhere.md", 1),
        ("docs/nowhere.md section 1", 2),
        ("protocol.md 第 2 节，规则 4，以及规则 3", 0),  # noqa: RUF001
        ("见 protocol.md 第 99 节", 1),
        ("protocol.md 第 2 节，规则 99", 1),  # noqa: RUF001
    ],
)
def test_what_leads_nowhere_is_found(text: str, wrong: int) -> None:
    assert len(dangling(references(text))) == wrong
