"""Reports, the settings and the first steps, as an administrator uses them in a real browser."""

from __future__ import annotations

import csv

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import serious_faults
from tests.e2e.caller import eventually, settle
from tests.e2e.device import frame
from tests.http.harness import Site

pytestmark = pytest.mark.slow

IMEI = "860000000000001"
SETTINGS = (
    "/settings/configuration?all=1", "/settings/texts", "/settings/zones", "/settings/webhooks",
    "/settings/doctor", "/settings/upgrade", "/settings/begin", "/reports?by=site",
)  # fmt: skip


def test_a_report_is_read_and_taken_away(served: Site, administrator: Page) -> None:
    page = administrator
    with served.register(IMEI) as device:
        served.ask({"type": "start", "imei": IMEI, "long": 90, "key": "rep-1", "wait": False})
        device.expect(frame("000", IMEI, "QD", "90"))
        settle(device, IMEI, "QD")
    eventually(lambda: served.ask({"type": "report"}), lambda found: bool(found["total"]["done"]))
    page.get_by_role("link", name="Reports").click()
    row = page.get_by_role("row").filter(has_text="Bay 1")
    expect(row).to_contain_text("1 min 30 s")
    page.get_by_role("link", name="Sites").first.click()
    page.get_by_role("row").get_by_role("link", name="East").click()
    expect(row).to_contain_text("1 min 30 s")
    page.get_by_role("columnheader", name="Failed").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Failed")).to_have_attribute(
        "aria-sort", "descending"
    )
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    with download.value.path().open(encoding="utf-8-sig") as file:
        found = [line for line in csv.DictReader(file) if line["imei"] == IMEI]
    assert [line["seconds"] for line in found] == ["90"]
    page.get_by_role("link", name="Days").first.click()
    page.locator("[rel=prev]").click()  # the month before
    expect(page.get_by_text("Nothing was counted")).to_be_visible()


def test_settings_are_seen_and_kept(served: Site, administrator: Page) -> None:
    page = administrator
    page.get_by_role("link", name="Settings").click()
    expect(page.locator("main")).to_contain_text(str(served.folder / "gateway.toml"))
    sections = page.get_by_role("navigation", name="Settings")
    sections.get_by_role("link", name="Webhooks").click()
    page.get_by_label("Name").fill("till")
    page.get_by_label("Address").fill("https://till.example/devgate")
    page.get_by_label("command").check()
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("status")).to_contain_text("whsec_")
    row = page.get_by_role("listitem").filter(has_text="till.example")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    row.get_by_role("button", name="Resume").click()
    row.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("status")).to_contain_text("till gets nothing more")
    sections.get_by_role("link", name="Sites").click()
    page.get_by_label("Time zone of East").fill("Europe/Berlin")
    page.get_by_role("button", name="Save East").click()
    expect(page.get_by_label("Time zone of East")).to_have_value("Europe/Berlin")
    sections.get_by_role("link", name="Examination").click()
    expect(page.locator(".findings").first).to_be_visible()
    sections.get_by_role("link", name="First steps").click()
    expect(page.locator("[data-snippet=php]")).to_contain_text(f"{served.url}/api/devices/86")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_anybodys_way(administrator: Page, scheme: str) -> None:
    assert serious_faults(administrator, SETTINGS, scheme) == []
