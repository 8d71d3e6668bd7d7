"""Pages that do not follow what happens, and an outage of the database."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.caller import eventually
from tests.e2e.device import WAIT_SECONDS
from tests.http.harness import site
from tests.postgres import Postgres

pytestmark = pytest.mark.slow


def test_the_banner_of_an_outage_goes_when_that_is_over(
    browser: Browser, postgres: Postgres, postgres_url: str
) -> None:
    """It stayed until the page was loaded again."""
    with site({"store": {"url": postgres_url}}) as running:
        context = browser.new_context(locale="en-GB", base_url=running.url)
        context.set_default_timeout(WAIT_SECONDS * 1000)
        page = context.new_page()
        page.goto("/settings/webhooks")
        page.get_by_text("With a token instead").click()
        token = page.get_by_label("Token")
        token.fill(running.tokens["admin"])
        token.press("Enter")
        page.wait_for_url("**/settings/webhooks")
        banner = page.get_by_role("alert")
        expect(banner).to_have_count(0)
        postgres.stop()
        eventually(lambda: running.ask({"type": "status"})["store"], lambda state: state != "ok")
        page.reload()
        expect(banner).to_contain_text("The database")
        page.get_by_label("Address").fill("https://shop.example/devgate")
        postgres.start()
        expect(banner).to_have_count(0, timeout=WAIT_SECONDS * 1000)
        assert page.get_by_label("Address").input_value() == "https://shop.example/devgate"
        context.close()
