"""A real browser: Debian's Chromium, driven by Playwright. Plain functions, no trio here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from devgate.access.users import add
from tests.e2e.device import WAIT_SECONDS
from tests.http.harness import Site, site
from tests.http.visitor import NAME, PASSWORD

ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed, and CI must test with it")
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    settings: dict[str, dict[str, object]] = {
        "http": {"users": "users"}, "device": {"registration": "approve"},
        # What a device is to answer in time, and late, comes between things that a browser does.
        "command": {"ack_timeout": WAIT_SECONDS, "late_window": 5 * WAIT_SECONDS},
    }  # fmt: skip
    with site(settings) as running:
        add(running.folder / "users", NAME, "command", PASSWORD)
        running.add_devices(
            [
                {"imei": f"8600000000000{n:02}", "name": f"Bay {n}", "site": "East"}
                for n in range(9)
            ]
        )
        yield running


@pytest.fixture(scope="module")
def state(browser: Browser, served: Site) -> object:
    """The cookies of one who has logged in by hand."""
    context = browser.new_context(locale="en-GB", base_url=served.url)
    page = context.new_page()
    page.goto("/orders")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").first.click()
    page.wait_for_url("**/orders")
    found = context.storage_state()
    context.close()
    return found


@pytest.fixture
def context(browser: Browser, served: Site, state: object) -> Iterator[BrowserContext]:
    opened = browser.new_context(
        locale="en-GB",
        timezone_id="Asia/Shanghai",
        base_url=served.url,
        storage_state=state,  # type: ignore[arg-type]  # what storage_state() gave
    )
    opened.set_default_timeout(WAIT_SECONDS * 1000)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page; at the end nothing may stand in its console."""
    complaints: list[str] = []
    opened = context.new_page()
    opened.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    assert complaints == []


@pytest.fixture
def administrator(browser: Browser, served: Site) -> Iterator[Page]:
    """An administrator's page; at the end nothing may stand in its console."""
    context = browser.new_context(locale="en-GB", base_url=served.url)
    context.set_default_timeout(WAIT_SECONDS * 1000)
    opened, complaints = context.new_page(), list[str]()
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto("/login")
    opened.get_by_text("With a token instead").click()
    opened.get_by_label("Token").fill(served.tokens["admin"])
    opened.locator("form", has=opened.get_by_label("Token")).get_by_role("button").last.click()
    opened.wait_for_url("**/")
    yield opened
    # A form that is shown again says so by its status; and Playwright is quicker than autofocus.
    expected = ("the server responded with a status of 4", "Autofocus processing was blocked")
    assert [one for one in complaints if not any(text in one for text in expected)] == []
    context.close()
