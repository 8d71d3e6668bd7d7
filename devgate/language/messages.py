"""Messages in Chinese, by their English.

A message contains values: an IMEI, a number, a text. So a Chinese sentence belongs to a form with
blanks ("no device with the IMEI {imei} is known"). The text in a blank is translated, too, if it
is a message itself, unless the blank is {key!s} in the Chinese: then it stays as it is. A form
that ends in {message} says where something is wrong, and not what: it is tried before other forms.

The CLI imports this, and reads the sentences only when they are needed.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path

from devgate.language.choice import Language

MAX_MESSAGE = 1000  # characters of a message that are compared with forms
# Words of a program, which stay as they are; the last one is behind "or", or in a blank of its
# own.
_CHOICES = re.compile(r"[\w.-]+(?:, [\w.-]+)* or [\w.-]+", re.ASCII)
_BUT_THE_LAST = re.compile(r"[\w.-]+(?:, [\w.-]+)+", re.ASCII)


class Form:
    """Messages that differ only in their values."""

    def __init__(self, english: str, chinese: str) -> None:
        self.chinese = chinese
        self._parts = [
            (literal, name) for literal, name, _, _ in string.Formatter().parse(english)
        ]
        self._literals = [literal for literal, _ in self._parts if literal]
        # First the forms that say where, then the longest ones: "{what}; nothing was sent" is for
        # messages without a form of their own.
        self.order = (not english.endswith(": {message}"), -sum(map(len, self._literals)))
        self._verbatim = {name for _, name, _, how in string.Formatter().parse(chinese) if how}
        self._pattern: re.Pattern[str] | None = None

    def blanks(self, message: str) -> dict[str, str] | None:
        """The values in the blanks of the message; None if it has another form."""
        # Most forms do not fit. This finds that ten times faster than a match, and a command of
        # the CLI, which has only one message, does not have to compile hundreds of patterns.
        if not all(literal in message for literal in self._literals):
            return None
        if self._pattern is None:
            self._pattern = re.compile(
                "".join(
                    re.escape(literal) + ("" if name is None else f"(?P<{name}>.+?)")
                    for literal, name in self._parts
                ),
                re.DOTALL,
            )
        match = self._pattern.fullmatch(message)
        return None if match is None else match.groupdict()

    def said(self, blanks: Mapping[str, str], chinese: Callable[[str], str]) -> str:
        """The Chinese with these in its blanks, each as `chinese` has it."""
        return self.chinese.format(
            **{
                name: text
                if name in self._verbatim or _is_choice(name, text)
                else _choices(text)
                if name == "one" and _BUT_THE_LAST.fullmatch(text)
                else chinese(text)
                for name, text in blanks.items()
            }
        )


def _is_choice(name: str, text: str) -> bool:
    """Whether it is a word that a program writes, such as `imei` of "imei or -imei"."""
    return name in ("one", "other") and text.isascii() and " " not in text


def _choices(text: str) -> str:
    return text.replace(", ", "、").replace(" or ", " 或 ")


class Messages:
    """Chinese sentences by their English. `words` are others, which have no blanks."""

    def __init__(self, chinese: Mapping[str, str], words: Mapping[str, str] = {}) -> None:
        self._exact = {text: said for text, said in chinese.items() if "{" not in text}
        self._words = words
        self._forms = sorted(
            (Form(text, said) for text, said in chinese.items() if "{" in text),
            key=lambda form: form.order,
        )
        self.chinese = lru_cache(maxsize=1024)(self._chinese)

    def _chinese(self, message: str) -> str:
        """A message in Chinese; itself where there is none."""
        found = self._words.get(message) or self._exact.get(message)
        if found is not None or len(message) > MAX_MESSAGE:
            return found or message
        for form in self._forms:
            if (blanks := form.blanks(message)) is not None:
                # The value is shorter than the message, so the recursion ends.
                return form.said(blanks, self._chinese)
        return _choices(message) if _CHOICES.fullmatch(message) else message


def sentences(beside: str, language: Language = "zh") -> dict[str, str]:
    """What is said in that language by its English: from the files beside a module."""
    import tomli  # the CLI needs none of it for English

    found: dict[str, str] = {}
    for file in sorted(Path(beside).parent.glob(f"{language}*.toml")):
        found |= tomli.loads(file.read_text("utf-8"))
    return found


@cache
def gateway() -> dict[str, str]:
    """What the gateway says, and what an examination of it finds, by its English."""
    return sentences(__file__)


@cache
def _messages() -> Messages:
    return Messages(gateway())


def said(language: Language, message: str) -> str:
    """A message of the gateway in that language; in English where it has no Chinese."""
    return message if language == "en" else _messages().chinese(message)
