"""The two languages of the pages."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from devgate.http import pages
from devgate.http.pages.i18n import WORDS, chosen
from devgate.language.messages import sentences

FOLDER = Path(pages.__file__).parent


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en-GB,zh;q=0.9", "en"),
        (None, "fr, zh;q=0.2, en;q=0.1", "zh"),
        (None, "fr", "en"),
        (None, "zh;q=x, ;;", "en"),
        ("en", "zh", "en"),
        ("xx", "zh", "zh"),
    ],
)
def test_the_language_is_the_browsers_or_the_chosen_one(
    cookie: str | None, accepted: str, language: str
) -> None:
    assert chosen(cookie, accepted) == language


def said() -> Iterator[str]:
    """Every sentence that a template or page hands over for translation."""
    for file in [*FOLDER.glob("templates/*.html"), *FOLDER.glob("*.py")]:
        text = re.sub(r'"\s*\n\s*"', "", file.read_text("utf-8"))
        for quote in "\"'":
            yield from re.findall(rf"\bt\(\s*{quote}((?:[^{quote}\\]|\\.)+){quote}", text)


def test_all_that_is_said_is_said_in_chinese() -> None:
    missing = {text for text in said() if text not in WORDS["zh"]}
    assert not missing


def test_both_languages_have_the_same_blanks() -> None:
    def blanks(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for english, chinese in sentences(str(FOLDER / "i18n.py")).items():
        assert blanks(english) == blanks(chinese), english
