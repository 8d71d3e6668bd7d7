"""Starts and stops by the pages, what became of them, and the list of orders."""

from __future__ import annotations

import re
from html import escape, unescape
from urllib.parse import urlencode

import pytest

from tests.e2e.caller import Caller, settle
from tests.e2e.device import frame
from tests.http.harness import Site
from tests.http.pages.conftest import SITE
from tests.http.visitor import Visitor, links, visitor


def test_a_start_is_shown_first_and_sent_once(served: Site, someone: Visitor) -> None:
    imei, path = "860000000000002", "/devices/860000000000002/start"
    with served.register(imei) as device:
        page = someone.get(f"{path}?long=15m")
        for part in ("026", "000", imei, "QD", "900"):
            assert f"<b>{part}</b>" in page
        fields = someone.fields(f"{path}?long=15m", path)
        first = someone.post(path, fields)
        device.expect(frame("000", imei, "QD", "900"))
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        assert someone.post(path, fields) == first, "the same form again is the same command"
        device.expect_nothing(imei)
        served.until(imei, "online", True)
        page = someone.get(first)
        assert "started" in page
        assert "Running" in page
        assert served.status(imei)["last"]["source"] == "web:command"
        assert "already" in someone.get(f"{path}?long=15m")
        answer = someone.post(path, {**fields, "long": "60"}, 409)
        assert "was used for another command" in unescape(answer)
        device.expect_nothing(imei)


def test_an_offline_device_and_an_unknown_outcome(served: Site, someone: Visitor) -> None:
    imei = "860000000000003"
    assert "not connected" in someone.order(imei, "stop")
    assert "nothing will be sent" in someone.get(f"/devices/{imei}/stop")
    served.ask({"type": "edit", "imei": imei, "ack_timeout": 0.5})
    with served.register(imei):
        someone.order(imei)
        key = served.status(imei)["last"]["key"]
        ends = served.ask({"type": "history", "imei": imei, "key": key})["items"][0]
        while ends["state"] != "ended":
            ends = served.ask({"type": "command", "command": ends["command"]})
        page = someone.get(f"/devices/{imei}?command={ends['command']}")
        assert "Do not repeat it" in page
        assert key in someone.get("/")
        story = someone.get(f"/orders?key={key}")
        for words in ("Nobody can say", "Command accepted", "Sent to the device", "Unknown"):
            assert words in story


def test_an_unknown_outcome_is_resolved_once(served: Site, someone: Visitor) -> None:
    """D8, D9: nobody could settle it, and a command without a key had no page."""
    imei, note = "860000000000005", "<u>she called"
    with served.register(imei):
        for long in (1, 2):
            served.ask({"type": "start", "imei": imei, "long": long, "timeout": 0.05})
    last, first = (
        item["command"] for item in served.ask({"type": "history", "imei": imei})["items"]
    )
    query = f"/unknown?{urlencode({'site': SITE})}"
    page = someone.get(query)
    assert re.search(r'<b class="count">\d', page)
    assert {f"/commands/{first}", f"/commands/{last}", f"/devices/{imei}"} <= links(page)
    fields = someone.fields(f"/commands/{first}", f"/commands/{first}")
    assert "Command without an order number" in someone.get(f"/commands/{first}")
    said = {"form": fields["form"], "note": note, "verdict": "refunded"}
    answer = someone.post("/unknown", said, 400)
    assert "Nothing was selected." in answer
    behind = someone.post("/unknown?stops=1", {**said, f"c.{first}": "1"})
    assert behind == "/unknown?stops=1&done=1"
    page = someone.get(behind)
    assert "Resolved: 1" in page
    assert f"/commands/{first}" not in links(page)
    assert f"/commands/{last}" in links(page)
    page = someone.get(f"/commands/{first}")
    for words in (
        "The customer was refunded",
        "web:command",
        escape(note),
        "Resolved by a person",
    ):
        assert words in page
    assert "What became of it?" not in page
    again = someone.post(f"/commands/{first}", {**said, "verdict": "ran"}, 409)
    assert f"{first} was resolved already, by web:command: The customer was refunded" in again
    both = {f"c.{first}": "1", f"c.{last}": "1"}
    assert "was resolved already" in someone.post("/unknown", {**said, **both, "note": ""}, 409)
    assert f"/commands/{last}" not in links(someone.get(query))
    someone.get("/commands/nobody", 404)
    with visitor(served.url) as reader:
        reader.log_in(token=served.tokens["read"])
        assert "What became of it?" not in reader.get("/unknown")
        reader.post("/unknown", {**reader.fields("/", "/logout"), **both, "verdict": "ran"}, 403)


def test_a_device_that_answers_too_late(served: Site, someone: Visitor) -> None:
    imei = "860000000000004"
    served.ask({"type": "edit", "imei": imei, "ack_timeout": 0.5})
    with served.register(imei) as device, Caller(served) as caller:
        for long in (1, 2, 3):
            assert "later than ack_timeout" not in someone.get(f"/devices/{imei}")
            assert caller.ask(imei=imei, type="start", long=long)["status"] == "408"
            device.expect(frame("000", imei, "QD", str(long)))
            settle(device, imei, "QD")
    page = someone.get(f"/devices/{imei}")
    assert re.search(r"Answers after [\d.]+ s, later than ack_timeout \(0\.5 s\)", page)


@pytest.mark.parametrize("long", ["0", "-5", "soon", "9" * 40, "86401"])
def test_a_length_that_cannot_be(someone: Visitor, long: str) -> None:
    assert "cannot be sent" in someone.get(f"/devices/860000000000001/start?long={long}")


@pytest.mark.parametrize(("long", "sent"), [("1h30", 3630), ("1h30m", 5400), ("15 min", 900)])
def test_a_length_is_shown_as_it_will_be_sent(someone: Visitor, long: str, sent: int) -> None:
    page = someone.get(f"/devices/860000000000001/start?long={long}")
    assert "cannot be sent" not in page
    assert f"<b>{sent}</b>" in page


def test_orders_are_narrowed_and_paged(served: Site, someone: Visitor) -> None:
    """D7: the page had the newest 20, no filter, no way back and no file."""
    for n in range(52):
        order = {"type": "start", "imei": f"8600000000000{n + 1:02}", "long": 60}
        served.ask({**order, "key": f"many-{n}"})
    first = someone.get("/orders?outcome=refused&kind=start")
    assert "many-51<" in first
    (following,) = (link for link in links(first) if "after=" in link)
    second = someone.get(unescape(following))
    assert "many-0<" in second
    (back,) = (link for link in links(second) if "before=" in link)
    assert "many-51<" in someone.get(unescape(back))
    (file,) = (link for link in links(first) if link.startswith("/api/commands/export"))
    answer = someone.client.get(unescape(file))
    assert answer.headers["content-disposition"] == 'attachment; filename="commands.csv"'
    assert answer.text.count("many-") == 52
    assert "No command is like that" in someone.get("/orders?outcome=done&until=2020-01-01")


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_a_day_that_no_clock_counts_to_is_left_out(
    someone: Visitor, admin: Visitor, day: str
) -> None:
    for page in (
        someone.get(f"/orders?since={day}&until={day}"),
        admin.get(f"/settings/audit?since={day}&until={day}"),
    ):
        assert f'value="{day}"' not in page


def test_a_day_has_its_commands_and_an_offline_device_no_buttons(
    served: Site, someone: Visitor
) -> None:
    """D23, D24: a chosen day had the newest commands, and an offline machine its buttons."""
    imei = "860000000000012"
    served.ask({"type": "start", "imei": imei, "long": 60, "key": "of-today"})
    now = someone.get(f"/devices/{imei}")
    assert "First page" not in now, "it is the first"
    assert "of-today<" in now
    assert "nothing can be sent to it" in now
    assert f'href="/devices/{imei}/start' not in now
    assert "of-today<" not in someone.get(f"/devices/{imei}?day=2026-01-02")
    with served.register(imei):
        now = someone.get(f"/devices/{imei}")
        assert re.search(rf'href="/devices/{imei}/start\?long=15m".*15 min', now)
