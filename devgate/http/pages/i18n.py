"""English and Chinese. The English sentence is the key of the Chinese one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tomli
from markupsafe import Markup

from devgate.language.choice import LANGUAGES, Language, accepted

# By language, the sentence in place of the English one that the pages are written with.
# What the page of the API says is in `zh_api.toml`.
WORDS: Mapping[Language, Mapping[str, str]] = {
    language: {
        text: words
        for file in sorted(Path(__file__).parent.glob(f"{language}*.toml"))
        for text, words in tomli.loads(file.read_text("utf-8")).items()
    }
    for language in LANGUAGES
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
