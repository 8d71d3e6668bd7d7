"""The whole way in through a provider of OpenID Connect, as somebody with a browser goes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.axe import serious_faults
from tests.e2e.device import WAIT_SECONDS
from tests.http.harness import Site
from tests.http.oidc.canaille import PASSWORD
from tests.http.oidc.gateway import gateway_with_provider

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with gateway_with_provider() as running:
        yield running


def test_a_colleague_logs_in_with_the_account_of_the_firm(browser: Browser, served: Site) -> None:
    context = browser.new_context(locale="zh-CN", base_url=served.url)
    context.set_default_timeout(WAIT_SECONDS * 1000)
    page, complaints = context.new_page(), list[str]()
    page.goto("/orders")
    page.on("console", lambda message: complaints.append(message.text))
    assert serious_faults(page, ["/login?next=/orders"], "light") == []
    page.get_by_role("link", name="用 SSO 登录").click()
    page.locator("input[name=login]").fill("fang")
    page.locator("input[name=login]").press("Enter")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url(f"{served.url}/orders")
    assert serious_faults(page, ["/settings/account"], "light") == []
    expect(page.get_by_text("王芳", exact=True).first).to_be_visible()
    expect(page.get_by_text("您通过认证服务登录")).to_be_visible()
    assert [one for one in complaints if served.url in one] == []
    context.close()
