"""The CLI's messages in the reader's language. JSON is for programs, and stays English.

Without a Chinese locale, no file is read and no module is imported for it.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from devgate.language.choice import Language, of_environment

if TYPE_CHECKING:
    from devgate.language.messages import Messages


def language() -> Language:
    """The reader's language."""
    return of_environment(os.environ)


def said(text: str) -> str:
    """A sentence, label or line of help in the reader's language; English if it has no Chinese."""
    return text if language() == "en" else _messages().chinese(text)


def said_of(beginning: str) -> str:
    """The first sentence of the help that begins so, as click lists commands."""
    if language() == "en":
        return beginning
    stem = beginning.removesuffix("...").rstrip()
    found = (chinese for english, chinese in _sentences().items() if english.startswith(stem))
    return next((f"{chinese.partition('。')[0]}。" for chinese in found), beginning)


@cache
def _sentences() -> dict[str, str]:
    from devgate.language.messages import sentences

    return sentences(__file__)


@cache
def _messages() -> Messages:
    from devgate.language.messages import Messages, gateway

    return Messages({**gateway(), **_sentences()})
