"""Users, tokens and the audit as an administrator keeps them, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import serious_faults
from tests.e2e.device import WAIT_SECONDS
from tests.http.harness import Site
from tests.http.visitor import PASSWORD

pytestmark = pytest.mark.slow

PATHS = (
    "/settings/people", "/settings/people/edit?name=boss", "/settings/people/remove?name=boss",
    "/settings/tokens", "/settings/tokens/edit?name=admin", "/settings/audit",
    "/settings/account", "/settings/account/second-factor",
)  # fmt: skip


@pytest.fixture
def page(browser: Browser, served: Site) -> Iterator[Page]:
    """An administrator's page; at the end nothing may stand in its console."""
    served.ask({"type": "user_add", "name": "boss", "role": "admin", "password": PASSWORD})
    context = browser.new_context(locale="en-GB", base_url=served.url)
    context.set_default_timeout(WAIT_SECONDS * 1000)
    opened, complaints = context.new_page(), list[str]()
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto("/login")
    opened.get_by_label("User name").fill("boss")
    opened.get_by_label("Password").fill(PASSWORD)
    opened.get_by_role("button", name="Log in").first.click()
    opened.wait_for_url("**/")
    yield opened
    assert complaints == []
    context.close()


def test_a_franchisee_is_invited_and_sees_his_site(
    browser: Browser, served: Site, page: Page
) -> None:
    """D6, D21: nothing of it was in the dashboard, and no name in Chinese could be."""
    served.ask({"type": "add", "imei": "777000000000077", "name": "Secret chair", "site": "West"})
    page.goto("/settings/people")
    page.get_by_label("Name").fill("王芳")
    page.get_by_label("only these").check()
    page.get_by_role("textbox", name="Sites").fill("East")
    page.get_by_role("button", name="Add").click()
    link = page.locator(".notice.done code").inner_text()
    context = browser.new_context(locale="en-GB")
    wang = context.new_page()
    wang.goto(link)
    wang.get_by_label("Password").fill(PASSWORD)
    wang.get_by_role("button", name="Log in").click()
    expect(wang.get_by_role("link", name="Fleet", exact=True)).to_have_count(1)
    expect(wang.get_by_text("Secret chair")).to_have_count(0)
    wang.goto(f"{served.url}/devices")
    expect(wang.get_by_role("link", name="Bay 1", exact=True)).to_be_visible()
    expect(wang.get_by_text("Secret chair")).to_have_count(0)
    wang.goto(f"{served.url}/settings/account")
    expect(wang.get_by_role("listitem").filter(has_text="this one")).to_contain_text("127.0.0.1")
    wang.get_by_label("Password until now").fill(PASSWORD)
    wang.get_by_label("New password").fill(f"{PASSWORD} too")
    wang.get_by_role("button", name="Change").click()
    expect(wang.get_by_role("status")).to_be_visible()
    wang.get_by_role("link", name="Turn on").click()
    expect(wang.get_by_label("Password")).to_be_visible()
    context.close()
    page.goto("/settings/audit")
    expect(page.locator(".audit li").first).to_contain_text("Logged in")
    page.get_by_label("What").select_option("account")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".audit")).to_contain_text("王芳")
    served.ask({"type": "remove", "imei": "777000000000077"})
    served.ask({"type": "user_remove", "name": "王芳"})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_for_everybody(page: Page, scheme: str) -> None:
    """axe-core finds no serious fault, and no page is wider than a phone."""
    assert serious_faults(page, PATHS, scheme) == []
