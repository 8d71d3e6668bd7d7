"""Reports over all ways in, and the first steps of an empty gateway."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.e2e.caller import eventually, settle
from tests.e2e.device import frame
from tests.http.harness import Json, Site, problem, site
from tests.http.visitor import Visitor, visitor

A, B = "860000000000001", "860000000000002"
ZONE = "Asia/Shanghai"


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    """One start that was confirmed, one that failed, one that was refused."""
    devices = [
        {"imei": A, "id": 1, "name": "Bay <1>", "site": "East & West"},
        {"imei": B, "id": 2, "name": "=Bay 2", "site": "North"},
    ]
    with site({"report": {"zone": ZONE}}, devices=devices) as running:
        with running.register(A) as device:
            for status, key in (("200", "r-1"), ("201", "r-2")):
                start = {"type": "start", "imei": A, "long": 90, "key": key, "wait": False}
                running.ask(start)
                device.expect(frame("000", A, "QD", "90"))
                settle(device, A, "QD", status)
        assert running.ask({"type": "start", "imei": B, "long": 60})["status"] == "404"
        yield running


@pytest.fixture
def counted(served: Site) -> Iterator[httpx.Client]:
    """A client, once all three starts are in the report."""
    with served.client("read") as client:

        def report() -> Json:
            return dict(client.get("/api/report").json())

        eventually(report, lambda found: found["complete"] and found["total"]["starts"] == 3)
        yield client


def today() -> str:
    return datetime.now(ZoneInfo(ZONE)).date().isoformat()


def test_it_is_told_by_machine_site_day_and_month(counted: httpx.Client) -> None:
    machines = counted.get("/api/report").json()
    assert machines["zone"] == ZONE
    assert machines["first"] == today()[:8] + "01"
    [one, two] = machines["items"]
    assert (one["imei"], one["name"], one["site"]) == (A, "Bay <1>", "East & West")
    assert [one[name] for name in ("starts", "done", "failed", "refused")] == [2, 1, 1, 0]
    assert (one["seconds"], one["times"], one["availability"]) == (90, 0, None)
    assert (two["refused"], two["seconds"]) == (1, 0)
    assert machines["total"]["starts"] == 3
    sites = counted.get("/api/report", params={"by": "site", "sort": "refused"}).json()
    assert [one["site"] for one in sites["items"]] == ["North", "East & West"]
    days = counted.get("/api/report", params={"by": "day", "site": "North"}).json()
    assert [(one["day"], one["starts"]) for one in days["items"]] == [(today(), 1)]
    months = counted.get("/api/report", params={"by": "month", "month": today()[:7]}).json()
    assert [(one["month"], one["starts"]) for one in months["items"]] == [(today()[:7], 3)]
    none = counted.get("/api/report", params={"month": "2001-02", "by": "day"}).json()
    assert (none["first"], none["last"], none["items"]) == ("2001-02-01", "2001-02-28", [])


def test_pages_and_csv(counted: httpx.Client) -> None:
    first = counted.get("/api/report", params={"limit": 1}).json()
    assert (first["count"], first["next"]) == (2, 1)
    second = counted.get("/api/report", params={"limit": 1, "offset": 1}).json()
    assert [one["imei"] for one in second["items"]] == [B]
    assert second["next"] is None
    text = counted.get("/api/report/export", params={"sort": "starts"}).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["imei"] for row in rows] == [A, B]
    assert (rows[0]["seconds"], rows[0]["availability"]) == ("90", "")
    sheet = counted.get("/api/report/export", params={"for": "spreadsheet"}).text
    assert "'=Bay 2" in sheet


@pytest.mark.parametrize(
    "given",
    [
        {"month": "2026-13"}, {"first": "2026-02-30"},
        {"first": "2026-02-03", "last": "2026-02-02"},
        {"month": "2026-02", "first": "2026-02-01"}, {"by": "hour"}, {"sort": "name"},
        {"first": "1990-01-01", "last": "2026-01-01"}, {"offset": "-1"},
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused(served: Site, given: dict[str, str]) -> None:
    with served.client("read") as client:
        problem(client.get("/api/report", params=given), 400, "400")


def test_the_command_line_says_the_same(served: Site, counted: httpx.Client) -> None:
    text = served.cli("report", "--by", "site").stdout
    assert re.search(r"East & West +2 +1 +1 +0 +0 +0 +1 min 30 s", text)
    assert re.search(r"total +3 +1 +1", text)
    lines = served.cli("report", "--csv").stdout.splitlines()
    assert lines[0].startswith("imei,name,site,starts,done")
    assert len(lines) == 3
    assert json.loads(served.cli("report", "--json").stdout)["total"]["starts"] == 3
    assert served.cli("report", "--month", "x").returncode == 2


def test_the_page(counted: httpx.Client, admin: Visitor) -> None:
    page = unescape(admin.get("/reports?by=site"))
    assert "by=machine&site=East+%26+West" in page
    assert "1 min 30 s" in page
    assert "Bay <1>" in unescape(admin.get("/reports?site=East+%26+West&sort=starts"))
    assert today() in admin.get("/reports?by=day")
    assert "Nothing was counted" in admin.get("/reports?month=2001-02")
    wrong = admin.get("/reports?first=2026-02-03&last=2026-02-02", 400)
    assert "a day from first on" in wrong


def test_a_site_gets_a_zone_of_its_own(
    served: Site, counted: httpx.Client, admin: Visitor
) -> None:
    form = {"form": admin.fields("/settings/zones", "/settings/zones")["form"], "site": "North"}
    wrong = admin.post("/settings/zones", {**form, "zone": "Mars/Olympus"}, 400)
    assert "the name of a time zone" in unescape(wrong)
    done = admin.post("/settings/zones", {**form, "zone": "Pacific/Kiritimati"})
    assert "counted anew" in admin.get(done)
    listed = {one["site"]: one["zone"] for one in counted.get("/api/zones").json()["items"]}
    assert listed == {"North": "Pacific/Kiritimati", "East & West": None}

    def days() -> list[str]:
        reply = counted.get("/api/report", params={"by": "day", "site": "North", "last": ahead})
        return [one["day"] for one in reply.json()["items"] if one["starts"]]

    ahead = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    there = datetime.now(ZoneInfo("Pacific/Kiritimati")).date().isoformat()
    eventually(days, lambda found: found == [there])
    assert served.cli("zones", "set", "North").returncode == 0
    assert "(Asia/Shanghai)" in served.cli("zones", "list").stdout
    eventually(days, lambda found: found == [today()])
    with served.client("command") as client:
        body = {"site": "North", "zone": None}
        problem(client.put("/api/zones", json=body), 403, "401")
    with served.client() as client:
        problem(client.put("/api/zones", json={"site": "Nowhere", "zone": None}), 404, "400")


SNIPPET = re.compile(r'<pre class="code" tabindex="0" data-snippet="(\w+)">(.*?)</pre>', re.DOTALL)


def test_an_empty_gateway_leads_to_a_snippet_that_works_as_pasted(tmp_path: Path) -> None:
    with site() as running, visitor(running.url) as admin:
        admin.log_in(token=running.tokens["admin"])
        assert "/settings/begin" in admin.get("/")
        page = admin.get("/settings/begin")
        port = running.ask({"type": "status"})["listen"]["device"][0].rpartition(":")[2]
        assert f"<b>{port}</b>" in page
        running.add_devices([{"imei": A, "name": "Bay 1"}])
        assert "/settings/begin" not in admin.get("/").partition('class="card attention')[2]
        form = admin.fields("/settings/begin", "/settings/begin")
        page = admin.post("/settings/begin", form, 200)
        assert "dg_..." not in page
        assert "The token shop was made" in page
        assert "shop-2 was made" in admin.post("/settings/begin", form, 200)
        code = {name: unescape(text) for name, text in SNIPPET.findall(page)}
        ran = 0
        for name, program in (("curl", "sh"), ("php", "php")):
            if shutil.which(program) is None or shutil.which(name) is None:
                continue
            file = tmp_path / name
            file.write_text(code[name])
            with running.register(A) as device:
                process = subprocess.Popen(
                    [program, file], stdout=subprocess.PIPE, text=True
                )  # answers only once the device has
                device.expect(frame("000", A, "QD", "60"))
                settle(device, A, "QD")
                said, _ = process.communicate(timeout=60)
            assert json.loads(said.splitlines()[0])["outcome"] == "done"
            if name == "php":
                assert said.splitlines()[1] == "it runs"
            ran += 1
        if not ran:
            pytest.skip("neither curl nor PHP is installed")
