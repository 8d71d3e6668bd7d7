"""The list of devices as an administrator keeps it, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.axe import serious_faults
from tests.e2e.device import frame
from tests.http.harness import Site

pytestmark = pytest.mark.slow

NEW = "777000000000001"


@pytest.fixture
def page(administrator: Page) -> Page:
    return administrator


def csv(text: str) -> FilePayload:
    return {"name": "m.csv", "mimeType": "text/csv", "buffer": text.encode()}


def test_a_device_is_added_and_a_file_imported(served: Site, page: Page) -> None:
    """D6: nothing of it was in the dashboard."""
    page.goto("/devices")
    page.get_by_role("link", name="Add a device").click()
    expect(page.get_by_label("IMEI")).to_be_focused()
    page.get_by_label("IMEI").fill(NEW)
    page.get_by_label("Name").fill("Chair 9")
    page.locator("#id").fill("1")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("1 is the device")
    expect(page.locator("#id")).to_be_focused()
    page.locator("#id").fill("")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Chair 9")

    page.goto("/devices/import")
    page.get_by_label("File").set_input_files(csv("imei,name\n5,x\n"))
    page.get_by_role("button", name="Look at it first").click()
    expect(page.get_by_role("row").last).to_contain_text("a string of 15 digits expected")
    page.get_by_role("link", name="Choose another file").click()
    page.get_by_label("File").set_input_files(csv(f"imei,name\n{NEW},Chair 10\n"))
    page.get_by_role("button", name="Look at it first").click()
    expect(page.get_by_role("row").last).to_contain_text("Chair 9")
    page.get_by_role("button", name="Import now").click()
    expect(page.get_by_role("status")).to_contain_text("0 added, 1 changed")

    page.goto(f"/devices/{NEW}")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status").first).to_contain_text(f"{NEW} was deleted")
    assert served.status(NEW)["status"] == "300"


def test_many_are_ticked_and_what_came_of_each_is_seen(served: Site, page: Page) -> None:
    """D6: a bar for what is selected or all that match, with progress and a result for each."""
    page.goto("/devices?q=Bay")
    page.get_by_role("checkbox", name="Select all on this page").check()
    expect(page.locator("[data-count]")).to_have_text("9 selected")
    page.get_by_role("checkbox", name="Bay 8").uncheck()
    expect(page.locator("[data-count]")).to_have_text("8 selected")
    page.get_by_role("button", name="Move").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Move 8 devices")
    page.get_by_label("To which site?").fill("Hall 2")
    page.get_by_role("button", name="Move 8 devices").click()
    progress, results = page.locator("[data-part=progress]"), page.locator("[data-part=results]")
    expect(progress).to_contain_text("Ended")
    expect(results.get_by_role("row")).to_have_count(9)
    imei = "860000000000005"
    with served.register(imei) as device:
        page.goto("/devices?q=Bay&site=Hall+2")
        page.get_by_role("checkbox", name="All that match").check()
        expect(page.locator("[data-count]")).to_have_text("All that match")
        page.get_by_role("group").get_by_role("button", name="Start").click()
        page.get_by_label("For how long").fill("10m")
        page.get_by_role("button", name="Start 8 devices").dblclick()
        device.expect(frame("000", imei, "QD", "600"))
        expect(progress).to_contain_text("Under way")
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        expect(progress).to_contain_text("Ended")  # without loading the page again
        expect(progress).to_contain_text("7 refused")
        page.get_by_role("link", name="not done").click()
        expect(results.get_by_role("row")).to_have_count(8)
        device.expect_nothing(imei)
    served.ask({"type": "bulk_edit", "match": {"q": "Bay"}, "site": "East"})


def test_a_rule_is_made_and_what_it_finds_is_seen(served: Site, page: Page) -> None:
    imei = "860000000000003"
    page.goto("/alerts")
    page.get_by_role("link", name="Add a receiver").click()
    page.get_by_label("Name").fill("ops")
    page.get_by_label("URL").fill("wecombot://0123456789abcdef")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("ops is saved")
    page.get_by_role("link", name="Add a rule").click()
    page.get_by_label("Name").fill("away")
    page.get_by_label("Minutes that it has to last").fill("0")
    page.get_by_label("ops").check()
    with served.register(imei):
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("[data-part=rules]")).to_contain_text("Machine offline")
        expect(page.locator("[data-part=firing]")).to_contain_text("Nothing fires")
    served.until(imei, "online", False)
    served.ask({"type": "alert_rule_edit", "name": "away", "repeat": 60})  # it looks at once
    expect(page.locator("[data-part=firing]")).to_contain_text("Bay 3")  # without a reload
    page.goto("/")
    expect(page.locator("[data-part=firing]")).to_contain_text("Bay 3")


PATHS = (
    "/alerts", "/alerts/add-rule", "/alerts/add-receiver",
    "/devices", "/devices/860000000000001", "/devices/add", "/devices/860000000000001/edit",
    "/devices/860000000000001/remove", "/devices/import", "/bulk", "/bulk?do=start&all=1&q=Bay",
    "/bulk?do=move&imei=860000000000001", "/bulk/axe", "/maintenance",
    "/devices/860000000000001/maintenance", "/devices/860000000000001/diagnosis?days=30", "/map",
    "/bulk?do=maintain&imei=860000000000001",
)  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_anybodys_way(served: Site, page: Page, scheme: str) -> None:
    """axe-core finds no serious fault, and no page is wider than a phone."""
    served.ask({"type": "bulk_stop", "imeis": ["860000000000001"], "bulk": "axe"})
    assert serious_faults(page, PATHS, scheme) == []


def test_a_machine_and_a_site_are_put_in_maintenance(served: Site, page: Page) -> None:
    """Customers cannot start it, and staff test it; the page says why, and until when."""
    imei = "860000000000004"
    with served.register(imei) as device:
        page.goto(f"/devices/{imei}")
        page.get_by_role("link", name="Maintenance").click()
        page.get_by_label("Reason").fill("new cushions")
        page.get_by_label("How long it lasts").select_option("7200")
        page.get_by_role("button", name="Begin maintenance").click()
        notice = page.get_by_role("status").filter(has_text="In maintenance")
        expect(notice).to_contain_text("new cushions")
        assert served.ask({"type": "start", "imei": imei, "long": 5})["why"] == "maintenance"
        page.get_by_role("link", name="Test for 5 s").click()
        page.get_by_role("button", name="Start now").click()
        device.expect(frame("000", imei, "QD", "5"))
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        page.get_by_role("button", name="End maintenance").click()
        expect(notice).to_have_count(0)

        page.goto("/maintenance")
        page.get_by_label("Site", exact=True).fill("East")
        page.get_by_role("button", name="Begin maintenance").click()
        expect(page.get_by_role("row").last).to_contain_text("the whole site")
        page.goto("/devices?q=Bay")
        expect(page.get_by_role("row").filter(has_text="Maintenance")).to_have_count(9)
        page.goto("/maintenance")
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_text("None. Customers can start")).to_be_visible()

    page.goto("/devices?q=Bay")
    page.get_by_role("checkbox", name="Select all on this page").check()
    page.get_by_role("button", name="Maintenance", exact=False).first.click()
    page.get_by_label("Reason").fill("floor")
    page.get_by_role("button", name="Put 9 devices in maintenance").click()
    expect(page.locator("[data-part=progress]")).to_contain_text("Ended")
    served.ask({"type": "maintenance_off", "imeis": [f"8600000000000{n:02}" for n in range(9)]})


def test_a_machine_has_a_record(served: Site, page: Page) -> None:
    """What is written down of it is kept, shown and found; a mistake is named at its field."""
    imei = "860000000000006"
    page.goto(f"/devices/{imei}/edit")
    page.get_by_text("Record of the machine").click()
    page.get_by_label("Model").fill("MC-4")
    page.get_by_label("Serial number").fill("S-6")
    page.get_by_label("Tags").fill("leather, hall")
    page.get_by_label("Latitude").fill("31.2")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("latitude is given")
    page.get_by_label("Longitude").fill("121.5")
    page.get_by_role("button", name="Save").click()
    record = page.locator("#record")
    expect(record).to_contain_text("MC-4")
    record.get_by_role("link", name="leather").click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.goto("/find?q=S-6")
    expect(page.locator("main")).to_contain_text(imei)
    page.goto("/devices?q=Bay")
    page.get_by_role("checkbox", name="Select all on this page").check()
    page.get_by_role("button", name="Tags").click()
    page.get_by_label("Tags to add").fill("all")
    page.get_by_role("button", name="Tag 9 devices").click()
    expect(page.locator("[data-part=progress]")).to_contain_text("Ended")
    assert served.ask({"type": "devices", "tag": "all", "count": True})["count"] == 9
    served.ask({"type": "bulk_edit", "match": {"q": "Bay"}, "tags": ""})
    served.ask({"type": "edit", "imei": imei, "latitude": None, "longitude": None})


def test_a_machine_is_diagnosed_and_tested(served: Site, page: Page) -> None:
    """Its reconnects over days, a test of 5 s, and a report that is copied."""
    imei = "860000000000007"
    with served.register(imei):
        served.until(imei, "online", True)
    served.until(imei, "online", False)
    with served.register(imei) as device:
        served.until(imei, "online", True)
        page.goto(f"/devices/{imei}")
        page.get_by_role("link", name="Diagnosis").click()
        page.get_by_role("link", name="30 days").click()
        expect(page.get_by_role("row")).to_have_count(31)
        report = page.get_by_label("Report for the maker")
        expect(report).to_have_value(re.compile(rf"IMEI {imei}[\s\S]*closed by the device"))
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == report.input_value()
        page.get_by_role("link", name="Test for 5 s").click()
        page.get_by_role("button", name="Start now").click()
        device.expect(frame("000", imei, "QD", "5"))
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))


def test_sites_are_dots_on_a_map(served: Site, page: Page) -> None:
    """A dot leads to the site's devices; the picture comes from here, and from no other host."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    imeis = [f"8600000000000{n:02}" for n in range(2)]
    for imei, place in zip(imeis, ((31.2, 121.5), (48.1, 11.6)), strict=True):
        served.ask({"type": "edit", "imei": imei, "latitude": place[0], "longitude": place[1],
                    "site": f"city {imei[-1]}"})  # fmt: skip
    page.goto("/map")
    dots = page.locator("svg.map circle")
    expect(dots).to_have_count(2)
    page.get_by_role("link", name="Zoom in").click()
    expect(dots).to_have_count(0)  # between the two there is none
    page.get_by_role("link", name="All sites").click()
    page.locator("svg.map a").filter(has_text="city 1").click()
    expect(page.get_by_role("row")).to_have_count(2)
    assert asked
    assert all(url.startswith(served.url) for url in asked)
    assert any(url.endswith("/static/land.svg") for url in asked)
    for imei in imeis:
        served.ask({"type": "edit", "imei": imei, "site": "East", "latitude": None,
                    "longitude": None})  # fmt: skip
