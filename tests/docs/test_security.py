"""docs/security.md names tests that exist, and a reason wherever something is not met."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT, read

PAGE = ROOT / "docs" / "security.md"
NAME = re.compile(r"`([\w/]+\.py)::(\w+)`")
STATES = {"met", "partly", "not met"}
CHAPTERS = ("3.", "4.", "5.", "7.", "8.", "9.", "11.", "12.", "13.")  # of issue 10


def rows() -> list[list[str]]:
    lines = [line for line in read(PAGE).splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_each_row_names_tests_that_exist() -> None:
    """M9 and the ASVS part of issue 10: a row is worth what its test shows."""
    assert len(rows()) > 50
    for requirement, state, shown in rows():
        assert state in STATES, requirement
        names = NAME.findall(shown)
        if state == "met":
            assert names, f"{requirement}: a test expected"
        else:
            assert len(shown) >= 8 or names, f"{requirement}: a reason expected"
        for file, name in names:
            text = read(ROOT / "tests" / file)
            assert re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), f"{file}::{name}"


def test_every_chapter_that_was_asked_for_is_there() -> None:
    """Issue 10, item 7: V3, V4, V5, V7, V8, V9, V11, V12 and V13."""
    for chapter in CHAPTERS:
        assert any(chapter in f" {row[0]}" for row in rows()), chapter


def test_the_threat_model_names_what_is_asked_for() -> None:
    """M9, ASVS 8.3.4: what an IMEI proves, which port may face the internet, what `read` sees."""
    text = read(ROOT / "SECURITY.md")
    for words in (
        "An IMEI is a name, not a secret", "Which port may face the internet",
        "What the role `read` may see", "Private APN", "VPN", "Report a vulnerability",
    ):  # fmt: skip
        assert words in text
