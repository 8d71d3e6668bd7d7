"""English and Chinese. The English sentence is the key of the Chinese one."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from devgate.language.choice import LANGUAGES, Language, accepted
from devgate.language.messages import gateway, sentences

# For each language: the English sentence in the code of a page, and the one that is shown instead.
# The sentences of the API's page are in `zh_api.toml`.
WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": sentences(__file__, "en"),
    "zh": {**gateway(), **sentences(__file__)},
}


def chosen(cookie: str | None, header: str) -> Language:
    """The language of a visitor: the one that was chosen here, else the browser's preference."""
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
