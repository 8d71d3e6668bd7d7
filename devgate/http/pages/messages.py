"""What the gateway says in words of its own, in the language of who looks.

Its messages name things: an IMEI, a number, what was given. So a Chinese sentence belongs to a
form with blanks ("no device with the IMEI {imei} is known"), and what stands in the blanks is
translated in its turn, if it is a message itself.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import tomli

from devgate.http.pages.i18n import WORDS, Language

LONGEST = 1000  # characters of a message that are compared with forms


class Form(NamedTuple):
    """Messages that differ in what they name."""

    pattern: re.Pattern[str]
    chinese: str
    letters: int  # that are not blanks


def _form(english: str, chinese: str) -> Form:
    pattern, letters = "", 0
    for literal, name, _, _ in string.Formatter().parse(english):
        pattern += re.escape(literal)
        letters += len(literal)
        if name is not None:
            pattern += f"(?P<{name}>.+?)"
    return Form(re.compile(pattern, re.DOTALL), chinese, letters)


MESSAGES = tomli.loads((Path(__file__).parent / "messages.zh.toml").read_text("utf-8"))
_EXACT = {english: chinese for english, chinese in MESSAGES.items() if "{" not in english}
# Those that say more come first: "{what}; nothing was sent" is for what has no form of its own.
_FORMS = sorted(
    (_form(english, chinese) for english, chinese in MESSAGES.items() if "{" in english),
    key=lambda form: -form.letters,
)


def said(language: Language, message: str) -> str:
    """A message of the gateway in that language; in English where it has no Chinese."""
    return message if language == "en" else _chinese(message)


@lru_cache(maxsize=1024)
def _chinese(message: str) -> str:
    found = WORDS["zh"].get(message) or _EXACT.get(message)
    if found is not None or len(message) > LONGEST:
        return found or message
    for form in _FORMS:
        if match := form.pattern.fullmatch(message):
            # Shorter than the message, so this comes to an end.
            return form.chinese.format(**{k: _chinese(v) for k, v in match.groupdict().items()})
    return message
