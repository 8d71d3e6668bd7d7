"""English and Chinese. The English sentence is the key of the Chinese one."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from devgate.language.choice import LANGUAGES, Language, accepted
from devgate.language.messages import gateway, sentences

# By language, the sentence in place of the English one that the pages are written with.
# What the page of the API says is in `zh_api.toml`; what a field may be, the gateway says, too.
WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": sentences(__file__, "en"),
    "zh": {**gateway(), **sentences(__file__)},
}


def chosen(cookie: str | None, header: str) -> Language:
    """The language of a visitor: what was chosen here, else what the browser likes better."""
    for language in LANGUAGES:
        if cookie == language:
            return language
    return accepted(header)


def translate(language: Language, text: str, **values: object) -> str:
    """The sentence in that language, with `{names}` filled in; English where there is none.

    It is markup if one of the values is.
    """
    text = WORDS[language].get(text, text)
    if any(isinstance(value, Markup) for value in values.values()):
        return Markup(text).format(**values)
    return text.format(**values) if values else text
