"""The messages of the gateway in the language of the viewer.

The sentences of the pages are looked up, too: a blank of a message may hold one of them.
"""

from __future__ import annotations

from devgate.http.pages.i18n import WORDS
from devgate.language.choice import Language
from devgate.language.messages import Messages, gateway

_MESSAGES = Messages(gateway(), WORDS["zh"])


def said(language: Language, message: str) -> str:
    """A message of the gateway in that language; in English where it has no Chinese."""
    return message if language == "en" else _MESSAGES.chinese(message)
