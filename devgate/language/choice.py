"""The choice of a language. Standard library only: the CLI imports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: Mapping[Language, str] = {"zh": "中文", "en": "English"}
FULL: Mapping[Language, str] = {"zh": "zh-CN", "en": "en"}  # as tags of BCP 47
# The variables with a program's language; the first that is set counts: ours, then those of POSIX.
VARIABLES = ("DEVGATE_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


def accepted(header: str) -> Language:
    """The language that `Accept-Language` prefers; English if it has none of ours."""
    best: tuple[float, Language] = (0.0, "en")
    for part in header.split(","):
        name, _, quality = part.strip().partition(";")
        tag = name.strip().lower().partition("-")[0]
        try:
            weight = float(quality.partition("=")[2]) if quality else 1.0
        except ValueError:
            continue
        for language in LANGUAGES:
            if tag == language and weight > best[0]:
                best = weight, language
    return best[1]


def of_environment(env: Mapping[str, str]) -> Language:
    """The language of who runs a program: `zh_CN.UTF-8` and `zh` are Chinese."""
    locale = next((env[name] for name in VARIABLES if env.get(name)), "")
    tag = locale.replace("-", "_").partition(".")[0].partition("_")[0]
    return "zh" if tag.lower() == "zh" else "en"
