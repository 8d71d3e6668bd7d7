"""What stands in somebody's way on a page: as axe-core sees it, and on a phone."""

from __future__ import annotations

from collections.abc import Iterable

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

PHONE = {"width": 390, "height": 844}
# Links of the header that one would have to find by moving it.
OUT_OF_SIGHT = """[...document.querySelectorAll("nav a")].map(link => [link.textContent,
    link.getBoundingClientRect()]).filter(([, box]) => box.left < 0 || box.right > innerWidth)
    .map(([text]) => text)"""


def serious_faults(page: Page, paths: Iterable[str], scheme: str) -> list[tuple[str, str, object]]:
    """(path, rule, HTML) of each. No page may be wider than a phone, and no link of the header out
    of its sight."""
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    found: list[tuple[str, str, object]] = []
    for path in paths:
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(path)
        found += [
            (path, fault["id"], [node["html"] for node in fault["nodes"]][:3])
            for fault in Axe().run(page).response["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
        page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"], f"{path} is {wide} pixels wide"
        assert page.evaluate(OUT_OF_SIGHT) == [], path
    return found
