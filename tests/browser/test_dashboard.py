"""What an operator does with the dashboard, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.axe import serious_faults
from tests.e2e.device import frame
from tests.http.harness import Site

pytestmark = pytest.mark.slow

expect.set_options(timeout=20_000)


def test_a_device_comes_online_is_started_runs_and_is_stopped(served: Site, page: Page) -> None:
    imei = "860000000000001"
    page.goto("/devices?q=Bay")
    row = page.get_by_role("row").filter(has_text=imei)
    expect(row).to_contain_text("Offline")
    expect(page.locator("[data-pulse]")).to_have_text("Live")
    with served.register(imei) as device:
        expect(row).to_contain_text("Idle")  # without loading the page again
        row.get_by_role("link", name="Bay 1", exact=True).click()
        page.get_by_label("Start for").fill("15m")
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Start Bay 1 for 15 min?")
        expect(page.locator(".wire")).to_contain_text("900")
        page.get_by_role("button", name="Start now").dblclick()
        device.expect(frame("000", imei, "QD", "900"))
        expect(page.get_by_role("status")).to_contain_text("waiting for its answer")
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        expect(page.get_by_role("status")).to_contain_text("started")
        expect(page.locator("[data-part=state]")).to_contain_text("Running")
        expect(page.locator(".lane .running")).to_have_count(1)
        page.get_by_text("Frames, live").click()
        page.get_by_role("button", name="Watch").click()
        expect(page.locator(".frames[data-on]")).to_be_visible()
        device.send("AT")
        expect(page.get_by_role("log")).to_contain_text("heartbeat")
        page.get_by_role("link", name="Stop").click()
        page.get_by_role("button", name="Stop now").click()
        device.expect(frame("000", imei, "ST"))
        device.send(frame("200", imei, "ST"))
        device.expect(frame("200", imei, "ST"))
        expect(page.get_by_role("status")).to_contain_text("stopped")
        expect(page.locator("[data-part=state]")).to_contain_text("Idle")
        device.expect_nothing(imei)


def test_an_unknown_outcome_is_seen_and_its_story_told(served: Site, page: Page) -> None:
    imei = "860000000000002"
    with served.register(imei) as device:
        page.goto("/")
        expect(page.locator("[data-part=unknown]")).to_contain_text("None is unresolved.")
        key = "M2026-7"
        served.ask({"type": "start", "imei": imei, "long": 600, "key": key, "timeout": 0.2})
        expect(page.locator("[data-part=attention]")).to_contain_text("Unknown outcomes: 1")
        unknown = page.locator("[data-part=unknown]")
        expect(unknown).to_contain_text("Bay 2")
        expect(unknown).to_contain_text("start 10 min")
        unknown.get_by_role("link", name=key).click()
        expect(page.locator(".verdict")).to_contain_text("Nobody can say")
        device.expect(frame("000", imei, "QD", "600"))
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        served.until(imei, "online", True)
        page.reload()
        expect(page.locator(".verdict")).to_contain_text("The device confirmed the start")
        expect(page.locator(".steps")).to_contain_text("Answer came late")


def test_unknown_outcomes_are_resolved_together_and_come_up_again(
    served: Site, page: Page
) -> None:
    """D8, D9: one answer for two starts; and one that comes behind the verdict."""
    imei = "860000000000006"
    with served.register(imei) as device:
        page.goto("/unknown?person=socket")
        start = {"type": "start", "imei": imei, "timeout": 0.2}
        served.ask({**start, "long": 61, "key": "M-61"})
        device.expect(frame("000", imei, "QD", "61"))
        row = page.get_by_role("row").filter(has_text="M-61")
        expect(row).to_contain_text("Bay 6")  # without loading the page again
        expect(page.locator("[data-part=unresolved]")).to_contain_text("to resolve")
        row.click(position={"x": 300, "y": 8})  # anywhere in it
        page.wait_for_url("**/commands/*")
        page.get_by_label("It did not run").check()
        page.get_by_label("Note").fill("it stood still")
        page.get_by_role("button", name="Resolve").click()
        story = page.locator("[data-part=story]")
        expect(story).to_contain_text("it stood still")
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        expect(story).to_contain_text("says otherwise")
        page.goto("/unknown?state=contradicted")
        expect(row).to_contain_text("It did not run")
        served.ask({**start, "long": 62, "key": "M-62"})
        device.expect(frame("000", imei, "QD", "62"))
        served.ask({**start, "long": 63, "key": "M-63", "timeout": 2, "wait": False})
        device.expect(frame("000", imei, "QD", "63"))
        device.send(frame("200", imei, "QD"))
        page.goto("/unknown")
        expect(page.get_by_text("2 commands of one device")).to_be_visible()
        page.get_by_label("all of them").check()
        page.get_by_label("The customer was refunded").check()
        page.get_by_role("button", name="Resolve").click()
        expect(page.get_by_role("status")).to_have_text("Resolved: 2")
        expect(page.get_by_role("row").filter(has_text="M-62")).to_have_count(0)


def test_lists_are_narrowed_sorted_and_sent_on(served: Site, page: Page) -> None:
    """D7, D10, D15, D22, D24: the address has what is chosen; an order is found anywhere."""
    served.ask({"type": "start", "imei": "860000000000003", "long": 60, "key": "L2026-1"})
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("L2026-1")
    page.keyboard.press("Enter")
    expect(page.locator(".story")).to_contain_text("Nothing was ever sent")
    page.goto("/devices")
    page.get_by_role("link", name="Never seen").click()
    expect(page.get_by_role("status")).to_contain_text(" of ")
    page.get_by_role("columnheader", name="No.").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="No.")).to_have_attribute(
        "aria-sort", "ascending"
    )
    assert page.url.endswith("/devices?state=never-seen&sort=id")
    offline = page.get_by_role("row").filter(has_text="Offline").first
    start = offline.get_by_role("link", name="Start")
    expect(start).to_have_attribute("title", re.compile("offline"))
    page.goto("/orders")
    page.get_by_label("Outcome").select_option("refused")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".named")).to_contain_text("L2026-1")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    assert "L2026-1" in download.value.path().read_text("utf-8")
    page.set_viewport_size({"width": 390, "height": 844})
    row = page.locator(".named tr").filter(has_text="L2026-1")
    for part in (".what", ".device"):  # on a phone, too: the outcome, and whose it is
        box = row.locator(part).bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390


def test_labels_are_chosen_and_printed(page: Page) -> None:
    page.goto("/devices?q=Bay")
    for name in ("Bay 3", "Bay 4"):
        page.get_by_role("checkbox", name=name).check()
    page.get_by_role("button", name="Labels for the selected").click()
    expect(page.locator("svg.sheet")).to_have_count(1)
    page.evaluate("window.print = () => { document.title = 'printed' }")
    page.get_by_role("button", name="Print").click()
    expect(page).to_have_title("printed")
    paper = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1, "one sheet, and nothing around it"


def test_an_unknown_device_is_seen_and_approved(served: Site, page: Page) -> None:
    imei, other = "990000000000001", "990000000000002"
    with served.unregistered() as device:
        for one in (imei, other):
            device.send(frame("000", one, "HT"))
            device.expect(frame("300", one, "HT"))
        page.goto("/devices")
        page.get_by_role("link", name="Unknown devices").click()
        row = page.get_by_role("row").filter(has_text=imei)
        expect(row).to_contain_text("Not in the list")
        row.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("status")).to_have_text(re.compile(f"{imei} is added"))
        expect(page.get_by_role("row").filter(has_text=imei)).to_have_count(0)
        device.send(frame("000", imei, "HT"))
        device.expect(frame("200", imei, "HT"))
        page.get_by_role("link", name="Open the device").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(imei)
    page.goto("/unknown-devices")
    page.get_by_role("button", name=f"Dismiss {other}").click()
    expect(page.get_by_role("row").filter(has_text=other)).to_have_count(0)
    served.ask({"type": "dismiss", "imei": other, "dismissed": False})  # for what axe looks at


def test_language_theme_and_keyboard(served: Site, page: Page) -> None:
    page.goto("/orders?key=none")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("订单")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert page.url.endswith("/orders?key=none")
    served.ask({"type": "start", "imei": "860000000000008", "long": 60, "key": "L2026-2"})
    page.goto("/orders?key=L2026-2")
    expect(page.locator(".story")).to_contain_text("设备未连接")
    page.get_by_role("button", name="配色").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_css("color-scheme", "dark")
    page.get_by_role("button", name="English").click()
    expect(page.locator(".story")).to_contain_text("not connected")
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("bay 5")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row").filter(has_text="Bay 5")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


PATHS = (
    "/", "/?days=7", "/?days=30", "/devices", "/devices/860000000000001",
    "/devices/860000000000001/start?long=1h",
    "/devices?q=Bay&state=never-seen&sort=-since", "/orders", "/orders?outcome=refused",
    "/orders?key=M2026-7", "/labels?site=East", "/unknown-devices", "/alerts", "/api/docs",
    "/unknown?state=resolved", "/unknown", "/reports", "/reports?by=day", "/settings/webhooks",
    "/settings/zones",
)  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_anybodys_way(page: Page, scheme: str) -> None:
    """axe-core finds no serious fault, and no page is wider than a phone."""
    assert serious_faults(page, PATHS, scheme) == []


def test_charts_tell_their_values_to_keyboard_and_pointer(page: Page) -> None:
    """D25: one chart had no values at all, and none could be asked for more than a day."""
    page.goto("/?days=7")
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="1 day", exact=True).click()
    chart, box = page.get_by_role("slider", name="Online"), page.locator(".tip")
    expect(box).to_be_hidden()
    chart.focus()
    page.keyboard.press("End")
    said = chart.get_attribute("aria-valuetext") or ""
    assert re.fullmatch(r"\d\d:\d\d, Online \d+", said)
    page.keyboard.press("ArrowLeft")
    expect(chart).not_to_have_attribute("aria-valuetext", said)
    expect(box).to_contain_text("Online")
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    chart.hover(position={"x": 5, "y": 20})
    expect(box).to_be_visible()
    page.goto("/devices/860000000000001")
    page.locator(".lanes").hover(position={"x": 50, "y": 20})
    expect(box).to_contain_text("Running")


def test_fingers_find_what_they_press(browser: Browser, served: Site, state: object) -> None:
    """D25: each button and link of the frame is 44 pixels high, and a chart shows its values."""
    context = browser.new_context(
        base_url=served.url, locale="en-GB", has_touch=True, is_mobile=True,
        viewport={"width": 390, "height": 844},
        storage_state=state,  # type: ignore[arg-type]  # what storage_state() gave
    )  # fmt: skip
    page = context.new_page()
    for path in PATHS:
        page.goto(path)
        small = page.eval_on_selector_all(
            "button, .button, nav a, select, input:not([type=checkbox], [type=hidden])",
            "found => found.filter(e => e.offsetParent)"
            ".filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML)",
        )
        assert small == [], path
    page.goto("/")
    page.get_by_role("slider", name="Online").tap(position={"x": 5, "y": 20})
    expect(page.locator(".tip")).to_contain_text("Online")
    context.close()


def test_times_are_the_viewers(context: BrowserContext, page: Page) -> None:
    page.goto("/devices/860000000000001?day=2026-01-01")
    name, value = "devgate_zone", "Asia/Shanghai"
    cookies = {cookie["name"]: cookie["value"] for cookie in context.cookies()}
    assert cookies[name] == value
    page.reload()
    assert page.locator("[data-part=day] time").first.get_attribute("datetime") == (
        "2025-12-31T16:00:00.000Z"
    )
    expect(page.locator(".across time").first).to_have_text("00:00")
