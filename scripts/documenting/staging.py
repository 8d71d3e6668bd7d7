"""The folder of one language, from which the site of that language is built."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from documenting.links import FENCE, PICTURES, rewritten
from documenting.plan import DOCS, FILES, GENERATED, ROOT, SOURCES, Language, pages, source

PLACE = re.compile(r'^<a id="[^"]+"></a>$')
HEADING = re.compile(r"^(#{1,6}) (.+)$")


class MissingPage(ValueError):
    """A page that the site should have is written in one language alone, or in none."""


def stage(folder: Path, language: Language, generated: Mapping[str, str]) -> None:
    """Write all pages, pictures and files of a language into an empty folder.

    `generated` has the text of each generated page, by its name. Raises MissingPage, and
    BrokenLink for a link that leads nowhere.
    """
    for page in pages():
        out = folder / page
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text_of(page, language, generated), "utf-8")
    for name in FILES:
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, folder / Path(name).name)
    for name in PICTURES:
        shutil.copytree(ROOT / name, folder / Path(name).name)
    shutil.copytree(Path(__file__).parent / "theme", folder / "theme")


def text_of(page: str, language: Language, generated: Mapping[str, str]) -> str:
    """A page as the builder of the site gets it. Raises MissingPage and BrokenLink."""
    if page.startswith(GENERATED):
        return generated[page]
    file = source(page, language)
    if not file.is_file():
        raise MissingPage(
            f"{file.relative_to(ROOT)} is missing: the page {page} has no {language}"
        )
    text = file.read_text("utf-8")
    if language != "en":
        text = named(
            text, source(page, "en").read_text("utf-8"), file.relative_to(ROOT).as_posix()
        )
    return rewritten(text, file, page)


def named(text: str, english: str, name: str) -> str:
    """A translation whose headings have the places of the English ones.

    So a link means the same in both languages, and the switch of languages keeps the place.
    Raises MissingPage if the headings are not the same ones.
    """
    places = iter(slugs(english))
    levels = [mark for mark, _ in headings(english)]
    if [mark for mark, _ in headings(text)] != levels:
        raise MissingPage(f"{name} has other headings than the English page")
    lines, fence = [], ""
    for line in text.splitlines():
        if fence:
            fence = "" if line.strip() == fence else fence
        elif found := FENCE.match(line):
            fence = found[2]
        elif PLACE.match(line):
            continue  # in the repository, where headings cannot be named, this does it
        elif HEADING.match(line):
            line = f"{line} {{ #{next(places)} }}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def headings(text: str) -> list[tuple[str, str]]:
    """The headings of a document: `##` and the words."""
    found, fence = [], ""
    for line in text.splitlines():
        if fence:
            fence = "" if line.strip() == fence else fence
        elif opens := FENCE.match(line):
            fence = opens[2]
        elif match := HEADING.match(line):
            found.append((match[1], match[2]))
    return found


def slugs(text: str) -> list[str]:
    """The places of the headings, as the builder of the site names them."""
    found: list[str] = []
    for _, words in headings(text):
        plain = re.sub(r"[^\w\- ]", "", words.replace("`", "").lower()).strip().replace(" ", "-")
        slug, n = plain, 0
        while slug in found:
            n += 1
            slug = f"{plain}_{n}"
        found.append(slug)
    return found


def unplanned() -> list[str]:
    """Documents in docs/ that no page of the site is made of."""
    found = {file for file in DOCS.rglob("*.md") if "notes" not in file.relative_to(DOCS).parts}
    return sorted(file.relative_to(ROOT).as_posix() for file in found - set(SOURCES))
