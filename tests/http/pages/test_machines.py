"""The list of devices as it is kept in the browser: by a browser without a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest

from tests.http.harness import Site, site
from tests.http.visitor import Visitor, links, visitor

A, B, C = "860000000000001", "860000000000002", "777000000000001"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site() as running:
        running.add_devices(
            [
                {"imei": f"8600000000000{n:02}", "name": f"Bay {n}", "site": "East", "id": n}
                for n in range(1, 31)
            ]
        )
        yield running


def event_of(served: Site, imei: str, type: str) -> dict[str, object]:
    found = served.ask({"type": "events", "imei": imei, "events": type})["items"]
    return dict(found[-1])


def test_a_device_is_added_edited_disabled_and_deleted(served: Site, admin: Visitor) -> None:
    """D6: the dashboard had nothing for the role admin."""
    assert "/devices/add" in links(admin.get("/devices"))
    page = admin.get(f"/devices/add?imei={C}&site=East")
    assert f'value="{C}"' in page
    fields = admin.fields(f"/devices/add?imei={C}&site=East", "/devices/add")
    filled = {**fields, "name": "雷 <5>", "unit": "times", "qr": "a\r\nb"}
    path = admin.post("/devices/add", {**filled, "enabled": "1"})
    assert path == f"/devices/{C}?said=added-{C}"
    assert "雷 &lt;5&gt;" in admin.get(path)
    assert event_of(served, C, "device.added")["source"] == "web:admin"
    again = admin.post("/devices/add", {**filled, "enabled": "1"}, 409)
    assert f"the device {C} is there already" in unescape(again)
    assert 'name="imei"' in again
    assert "雷" in again, "what was typed is kept"

    edit = f"/devices/{C}/edit"
    fields = admin.fields(edit, edit)
    assert (fields["old-unit"], fields["old-enabled"], fields["name"]) == ("times", "1", "雷 <5>")
    served.ask({"type": "edit", "imei": C, "phone": "555"})  # somebody else, meanwhile
    changed = {**fields, "qr": "a\r\nb", "unit": "times", "enabled": "1", "site": "West"}
    assert admin.post(edit, changed) == f"/devices/{C}?said=changed"
    known = served.ask({"type": "device", "imei": C})
    assert (known["site"], known["phone"], known["unit"]) == ("West", "555", "times")
    assert set(event_of(served, C, "device.changed")["changes"]) == {"site"}  # type: ignore[call-overload]
    wrong = admin.post(edit, {**changed, "ack_timeout": "301"}, 400)
    assert re.search(r'id="ack_timeout"[^>]*aria-invalid="true"', wrong)
    taken = admin.post(edit, {**changed, "id": "1"}, 409)
    assert f"1 is the device {A}'s" in unescape(taken)

    disable, remove = f"/devices/{C}/disable", f"/devices/{C}/remove"
    with served.register(C) as device:
        assert admin.post(disable, admin.fields(disable, disable)).endswith("said=disabled")
        device.expect_end()
    enable = f"/devices/{C}/enable"
    admin.post(enable, admin.fields(f"/devices/{C}", enable))
    served.register(C).close()
    assert admin.post(remove, admin.fields(remove, remove)) == f"/devices?said=removed-{C}"
    admin.get(f"/devices/{C}", 404)


def test_only_an_administrator_keeps_the_list(served: Site, admin: Visitor) -> None:
    forms = ("/devices/add", f"/devices/{A}/edit", f"/devices/{A}/remove", "/devices/import")
    with visitor(served.url) as seller:
        seller.log_in(token=served.tokens["command"])
        page = seller.get("/devices")
        assert not {"/devices/add", "/devices/import"} & links(page)
        assert 'value="move"' not in page
        assert "/edit" not in seller.get(f"/devices/{A}")
        token = seller.fields("/", "/logout")
        for path in forms:
            seller.get(path, 403)
            seller.post(path, token, 403)
        seller.post(f"/devices/{A}/enable", token, 403)
        seller.get(f"/bulk?do=disable&imei={A}", 403)
        asked = {**token, "do": "disable", "which": f"imei={A}", "most": "1", "bulk": "x"}
        seller.post("/bulk", asked, 403)
    with visitor(served.url) as reader:
        reader.log_in(token=served.tokens["read"])
        assert 'value="start"' not in reader.get("/devices")
        reader.get(f"/bulk?do=start&imei={A}", 403)
    for path in (*forms[:3], f"/devices/{A}/disable", f"/devices/{A}/enable", "/bulk"):
        foreign = admin.post(path, {"form": "x", "imei": C}, 400)
        assert "no longer valid" in foreign
    assert served.status(A)["enabled"]
    assert served.ask({"type": "bulks"})["items"] == []


def sent(admin: Visitor, data: bytes, way: str = "update", status: int = 200) -> str:
    form = admin.fields("/devices/import", "/devices/import")
    response = admin.client.post(
        "/devices/import", data={**form, "on_conflict": way}, files={"file": ("m.csv", data)}
    )
    assert response.status_code == status, response.text
    return unescape(response.text)


def test_a_file_is_looked_at_and_then_taken(served: Site, admin: Visitor) -> None:
    """D6: import with a preview, and errors by line."""
    wrong = b"imei,name\n12,x\n777000000000002,a\n777000000000002,b\n"
    page = sent(admin, wrong)
    assert "a string of 15 digits expected" in page
    assert "777000000000002 is on line 3 already" in page
    assert "Import now" not in page
    rows = "".join(f"7780000000{n:05},机器 {n},West\n" for n in range(4000))
    page = sent(admin, f"imei,name,site\n{rows}{A},Bay 1,West\n".encode())
    assert "Import m.csv?" in page
    assert "4,000" in page
    assert re.search(r"Bay 1</a></td><td>Site</td><td[^>]*>East</td><td[^>]*>West</td>", page)
    assert served.ask({"type": "devices", "q": "778"})["items"] == [], "nothing was written"
    fields = dict(
        re.findall(r'name="(\w+)" value="([^"]*)"', page.split("/devices/import/take")[1])
    )
    admin.post("/devices/import/take", {**fields, "form": "x"}, 400)
    path = admin.post("/devices/import/take", fields)
    assert "4000 added, 1 changed, 0 left as they were" in admin.get(path)
    assert served.status(A)["site"] == "West"
    assert "send it again" in unescape(admin.post("/devices/import/take", fields, 400))
    assert "not UTF-8 (byte 0xc0)" in sent(admin, b"imei,name\n" + A.encode() + b",\xc0\xd7\n")
    chinese = admin.client.post(
        "/devices/import",
        data=admin.fields("/devices/import", "/devices/import"),
        files={"file": ("m.csv", wrong)},
        headers={"Accept-Language": "zh-CN"},
    )
    assert "IMEI 应为 15 位数字" in chinese.text
    assert "IMEI 777000000000002 已出现在第 3 行" in chinese.text
    assert "Choose a file first" in sent(admin, b"", status=400)
    foreign = admin.client.post("/devices/import", files={"file": ("m.csv", wrong)})
    assert foreign.status_code == 400
    assert "no longer valid" in foreign.text
    assert admin.client.post("/devices/import", data={"form": "x"}).status_code == 415


def test_many_are_chosen_and_moved(served: Site, admin: Visitor) -> None:
    """D6: a bar for those that are ticked, or all that match; a result for each."""
    page = admin.get("/devices?site=East")
    assert all(f'value="{do}"' in page for do in ("start", "stop", "move", "disable", "enable"))
    query = "do=move&imei=860000000000003&imei=860000000000004&site=East"
    confirm = admin.get(f"/bulk?{query}")
    assert "Move 2 devices" in confirm
    assert "Bay 3, Bay 4" in confirm
    fields = admin.fields(f"/bulk?{query}", "/bulk")
    path = admin.post("/bulk", {**fields, "site": "South <1>"})
    assert admin.post("/bulk", {**fields, "site": "South <1>"}) == path, "one job"
    while ">Ended<" not in (page := admin.get(path)):
        pass
    assert page.count('class="state done"') >= 3
    assert served.status("860000000000003")["site"] == "South <1>"

    query = "do=start&all=1&site=East&imei=860000000000003"
    assert re.search(r"Start \d\d devices", admin.get(f"/bulk?{query}"))
    preset = next(one for one in links(admin.get(f"/bulk?{query}")) if one.endswith("long=30m"))
    assert 'name="long" value="30m"' in admin.get(preset)
    fields = admin.fields(f"/bulk?{query}", "/bulk")
    bad = admin.post("/bulk", {**fields, "long": "soon"}, 400)
    assert "long: a whole number from 1 to 86400 expected" in unescape(bad)
    served.ask({"type": "edit", "imei": "860000000000003", "site": "East"})  # one more matches
    grown = admin.post("/bulk", {**fields, "long": "15m"}, 409)
    assert "match by now" in grown
    path = admin.post("/bulk", {**admin.fields(f"/bulk?{query}", "/bulk"), "long": "15m"})
    while ">Ended<" not in (page := admin.get(f"{path}?failed=1")):
        pass
    assert "Not connected" in page
    assert "the device is not connected; nothing was sent" in page
    assert path in links(admin.get("/bulk"))
    admin.get("/bulk?do=start", 400)
    admin.get("/bulk?do=explode&imei=1", 400)
    admin.get("/bulk/nothing", 400)
    assert "<g><title>" in admin.get("/labels?all=1&site=East&imei=860000000000004")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_pages_are_strict_and_whole(served: Site, admin: Visitor, language: str) -> None:
    paths = (
        "/devices/add", f"/devices/{B}/edit", f"/devices/{B}/disable", f"/devices/{B}/remove",
        "/devices/import", "/bulk", f"/bulk?do=start&imei={B}", "/bulk?do=move&all=1",
    )  # fmt: skip
    for path in paths:
        response = admin.client.get(path, headers={"Accept-Language": language})
        assert response.status_code == 200, response.text
        assert "unsafe" not in response.headers["content-security-policy"]
        page = response.text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page), path
        title = re.findall(r"<h1>(.*?)</h1>", page)[0]
        assert bool(re.search("[\u4e00-\u9fff]", title)) is (language == "zh"), title
