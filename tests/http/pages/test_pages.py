"""The dashboard's pages, as a browser without a script gets them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from devgate.http import pages
from tests.http.harness import Site
from tests.http.pages.conftest import SITE
from tests.http.visitor import Visitor, links

FOLDER = Path(pages.__file__).parent


PATHS = (
    "/", "/devices", "/devices?state=offline", "/devices/860000000000001", "/orders",
    "/devices/860000000000001/start", "/devices/860000000000001/start?long=1h",
    "/devices?q=7&state=never-seen&sort=-since", "/devices?state=failing-5&sort=state",
    "/orders?outcome=refused&since=2026-01-01&until=2026-12-31&kind=start&source=web:x",
    "/devices/860000000000001/stop", "/orders?key=none", "/labels", f"/labels?site={SITE}",
    "/alerts",
    "/unknown-devices", "/unknown-devices?dismissed=1&reason=wrong", "/maintenance?site=East",
    "/devices/860000000000001/maintenance", "/devices/860000000000001/test?long=5",
    "/devices/860000000000001/diagnosis?days=30", "/map?zoom=2&north=31&east=121",
    "/unknown", "/unknown?state=resolved&age=last+day&stops=1&old=1&person=anna",
    "/reports", "/reports?by=month&site=x&sort=failed", "/settings/webhooks", "/settings/zones",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_strict_and_whole(someone: Visitor, path: str) -> None:
    response = someone.client.get(path, headers={"Accept-Language": "zh-CN,en;q=0.5"})
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert '<html lang="zh-CN"' in response.text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", response.text)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', response.text)
    assert "<u>" not in response.text
    for link in links(response.text):
        if link.startswith("/static/"):
            assert someone.client.get(link).status_code == 200


def test_a_fleet_that_is_offline_is_red(someone: Visitor) -> None:
    """D10: "300 of 3002" stood there in green, and offline machines nowhere."""
    page = someone.get("/")
    online, offline = re.findall(r'<a href="/devices\?state=\w+">(<b.*?</b>)', page)[:2]
    assert online == "<b>0</b>"
    assert offline == '<b class="failed">60</b>'


def test_devices_are_found_and_paged(someone: Visitor) -> None:
    page = someone.get("/devices")
    assert "Bay 50<" in page
    assert "Bay 51<" not in page
    (following,) = (link for link in links(page) if "after=" in link)
    assert "Bay 51<" in someone.get(following)
    assert "Bay 7<" in someone.get("/devices?q=bay+7")
    assert someone.client.get("/devices?q=860000000000009").headers["location"] == (
        "/devices/860000000000009"
    )
    assert "No device is like that" in someone.get("/devices?q=nothing")
    someone.get("/devices/860000000000999", 404)
    someone.get("/devices/12", 400)
    someone.get("/devices/860000000000001/explode", 400)
    someone.get("/devices/860000000000001?day=2026-13-45&command=", 200)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404), ("GET", "/devices/1/2/3", 404), ("POST", "/nowhere", 404),
        ("GET", "/static/nothing.css", 404), ("GET", "/logout", 405),
    ],
)  # fmt: skip
def test_an_address_that_leads_nowhere(
    someone: Visitor, method: str, path: str, status: int
) -> None:
    response = someone.client.request(method, path, headers={"Accept-Language": "zh"})
    assert (response.status_code, response.headers.get("allow")) == (
        status,
        "POST" if status == 405 else None,
    )
    assert '<html lang="zh-CN"' in response.text
    assert "没有这个页面" in response.text
    assert "/" in links(response.text)
    other = someone.client.request(method, path, headers={"Accept": "*/*"})
    assert (other.status_code, other.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    api = someone.client.get(f"/api{path}")
    assert (api.status_code, api.headers["content-type"]) == (404, "application/problem+json")


def test_a_day_of_another_time(someone: Visitor) -> None:
    someone.client.cookies.set("devgate_zone", "Asia/Shanghai")
    page = someone.get("/devices/860000000000001?day=2024-02-29")
    assert 'datetime="2024-02-28T16:00:00.000Z"' in page
    assert {
        "/devices/860000000000001?day=2024-02-28",
        "/devices/860000000000001?day=2024-03-01",
    } <= (links(page))


def test_labels_of_a_site_and_of_some(someone: Visitor) -> None:
    page = someone.get(f"/labels?site={SITE.replace('&', '%26')}&size=65&cut=0")
    assert page.count('<svg xmlns="http://www.w3.org/2000/svg" class="sheet"') == 1
    assert page.count("<g><title>") == 60
    assert "stroke-dasharray" not in page
    assert "No. 1<" in page
    worded = someone.get("/labels?imei=860000000000002&line=scan+here&phone=1&lang=zh")
    assert ">scan here</text>" in worded
    assert ">400-500-5620</text>" in worded
    some = someone.get("/labels?imei=860000000000002&imei=860000000000001&size=2")
    assert some.index("860000000000002: http") < some.index("860000000000001: http")


def test_one_box_leads_to_what_is_meant(served: Site, someone: Visitor) -> None:
    """D15: it found machines only, and none by the number on its sticker."""

    def led(words: str) -> str:
        answer = someone.client.get("/find", params={"q": words})
        assert answer.status_code == 303
        return answer.headers["location"]

    served.ask({"type": "start", "imei": "860000000000009", "long": 60, "key": "M-4711/7"})
    assert led("M-4711/7") == "/orders?key=M-4711%2F7"
    for number in ("860000000000009", "9", "No. 9", "no.9", "编号 9"):
        assert led(number) == "/devices/860000000000009"
    assert led("Bay 9") == "/devices?q=Bay+9"
    assert led("") == "/devices"
