"""The finished site: the switch of languages, and what may not be wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SWITCH = re.compile(r'(<(?:a|link)\b[^>]*?\bhref=)"?[^"\s>]*"?([^>]*\bhreflang="?(en|zh)\b)')
# Attributes by which a browser fetches something for the page, without being asked.
FETCHED = {"src", "srcset", "poster", "data"}
FETCHING_LINKS = {"stylesheet", "icon", "preload", "preconnect", "manifest", "modulepreload"}
NO_PAGE = "404.html"


class Unswitched(ValueError):
    """A page has no switch of languages: the template of the theme has changed."""


def switch(out: Path) -> None:
    """Lead the switch of each page to the same page in the other language."""
    for page in out.rglob("*.html"):
        name = page.relative_to(out)
        chinese = name.parts[0] == "zh"
        same = Path(*name.parts[1:]) if chinese else name
        up = "../" * (len(name.parts) - 1)
        leads = {"en": f"{up}{same.as_posix()}", "zh": f"{up}zh/{same.as_posix()}"}
        text, count = SWITCH.subn(partial(_led, leads), page.read_text("utf-8"))
        if count < 2 and name.name != NO_PAGE:
            raise Unswitched(f"{name}: {count} links to another language")
        page.write_text(text, "utf-8")


def _led(leads: Mapping[str, str], found: re.Match[str]) -> str:
    return f'{found[1]}"{leads[found[3]]}"{found[2]}'


class Seen(HTMLParser):
    """What a page links to, what it fetches, and the places that can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.places.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and FETCHING_LINKS & set(given.get("rel", "").split()):
            self.fetched.append(given.get("href", ""))
        self.fetched += [given[name] for name in FETCHED & set(given)]


@cache
def seen(page: Path) -> Seen:
    """A page, read once."""
    found = Seen()
    found.feed(page.read_text("utf-8"))
    return found


def wrong(out: Path) -> list[str]:
    """Everything that is wrong: links that lead nowhere, and what comes from another host."""
    return [*dangling(out), *foreign(out)]


def dangling(out: Path) -> Iterator[str]:
    """Links and pictures that lead to no file of the site, or to no place in it."""
    for page in sorted(out.rglob("*.html")):
        if page.name == NO_PAGE:  # it is shown at any address, so its links begin at the root
            continue
        for link in {*seen(page).links, *seen(page).fetched}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            where = f"{page.relative_to(out)} links to {link}"
            if not target.is_file():
                yield f"{where}, which is not there"
            elif target.suffix == ".html" and (place := unquote(parts.fragment)):
                if place in seen(target).places:
                    continue
                yield f"{where}, where no heading has that name"


def foreign(out: Path) -> Iterator[str]:
    """What pages and style sheets would fetch from another host."""
    for page in sorted(out.rglob("*.html")):
        for source in seen(page).fetched:
            if urlsplit(source).netloc or urlsplit(source).scheme in ("http", "https"):
                yield f"{page.relative_to(out)} fetches {source} from another host"
    for sheet in sorted(out.rglob("*.css")):
        for source in re.findall(r"""(?:url\(|@import\s+)['"]?((?:https?:)?//[^'")\s]+)""",
                                 sheet.read_text("utf-8")):  # fmt: skip
            yield f"{sheet.relative_to(out)} fetches {source} from another host"
