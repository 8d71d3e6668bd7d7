"""/metrics: its counts, who may read it, and the Grafana dashboard and rules that use it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from devgate.http.process_metrics import listed, open_files
from tests.e2e.caller import Caller, eventually, obey
from tests.e2e.device import WHO, frame
from tests.http.harness import Site, site

DOCS = Path(__file__).parents[2] / "docs"
UNKNOWN = "999999999999999"

Key = tuple[str, frozenset[tuple[str, str]]]


class Look:
    """One scrape: samples by name and labels, and the names that there can be."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples: dict[Key, float] = {}
        self.names: set[str] = set()
        for family in text_string_to_metric_families(text):
            ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
            self.names |= {family.name + end for end in ends.get(family.type, [""])}
            for sample in family.samples:
                self.samples[sample.name, frozenset(sample.labels.items())] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples.get((f"devgate_{name}", frozenset(labels.items())), 0.0)

    def selects(self, name: str, labels: list[tuple[str, str, str]]) -> bool:
        """Whether a selector of PromQL, with = or =~, finds anything."""
        return any(
            found == name
            and all(
                re.fullmatch(value if how == "=~" else re.escape(value), dict(has).get(label, ""))
                for label, how, value in labels
            )
            for found, has in self.samples
        )


def look(client: httpx.Client) -> Look:
    response = client.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Look(response.text)


def test_what_devices_say_is_counted(served: Site, client: httpx.Client, imei: str) -> None:
    before = look(client)
    with served.register(imei) as device, served.unregistered() as other:
        device.send(frame("000", imei, "TN") * 3)
        device.read(3 * len(frame("200", imei, "TN", "400-500-5620")))
        device.send(frame("000", imei, "QR"))
        device.read(int(device.read(3)) - 3)
        device.send("AT")
        eventually(
            lambda: look(client)("heartbeats_total") - before("heartbeats_total"),
            lambda count: count == 1,
        )
        device.send(frame("201", imei, "QD") + "hello world")
        device.expect(frame("200", imei, "QD"), WHO)
        device.send(frame("000", imei, "XY"))
        device.expect(WHO)
        other.send(frame("000", UNKNOWN, "HT"))
        other.expect(frame("300", UNKNOWN, "HT"))
        device.send(frame("401", imei, "HT"))
        device.expect_nothing(imei)
        now = look(client)
        assert now("connections") - before("connections") == 2
        assert now("devices_online") - before("devices_online") == 1

    def more(name: str, **labels: str) -> float:
        return now(name, **labels) - before(name, **labels)

    for command, status, count in (
        ("HT", "000", 3), ("TN", "000", 3), ("QR", "000", 1), ("QD", "201", 1),
        ("HT", "401", 1), ("other", "other", 1),
    ):  # fmt: skip
        assert more("frames_received_total", command=command, status=status) == count, command
    for command, status, count in (
        ("HT", "200", 2), ("TN", "200", 3), ("QR", "200", 1), ("QD", "200", 1),
        ("HT", "300", 1), ("none", "404", 2),
    ):  # fmt: skip
        assert more("frames_sent_total", command=command, status=status) == count, command
    assert more("malformed_total") == 1
    assert more("echoes_total") == 1
    assert more("connections_accepted_total") == 2
    assert more("poller_arrivals_total") > 5
    assert now("poller_round_seconds_bucket", le="+Inf") == now("poller_round_seconds_count")
    assert imei not in now.text


def test_what_becomes_of_commands_is_counted(
    served: Site, client: httpx.Client, imei: str
) -> None:
    before = look(client)
    start = {"imei": imei, "type": "start", "long": 500}
    assert served.ask(start)["status"] == "404"
    with served.register(imei) as device, Caller(served) as caller:
        caller.send(**start)
        obey(device, imei, "QD500")
        assert caller.line()["status"] == "200"
        caller.send(imei=imei, type="stop", timeout=0.2)
        device.expect(frame("000", imei, "ST"))
        assert caller.line()["status"] == "408"
        device.send(frame("200", imei, "ST"))
        device.expect(frame("200", imei, "ST"))
        # Two in a row: while the first is in flight, the second waits.
        caller.send(**start, id=1)
        caller.send(**start, id=2)
        device.expect(frame("000", imei, "QD", "500"))
        busy = eventually(lambda: look(client), lambda now: now("commands_waiting") == 1)
        assert busy("commands_in_flight") == 1
        device.send(frame("200", imei, "QD"))
        device.expect(frame("200", imei, "QD"))
        obey(device, imei, "QD500")
        assert {caller.line()["status"], caller.line()["status"]} == {"200"}
        with served.register(imei):  # a second connection
            now = look(client)

    def more(name: str, **labels: str) -> float:
        return now(name, **labels) - before(name, **labels)

    assert more("commands_total", type="start", status="404") == 1
    assert more("commands_total", type="start", status="200") == 3
    assert more("commands_total", type="stop", status="408") == 1
    assert more("commands_late_total", type="stop", status="200") == 1
    assert more("commands_sent_total", type="start") == 3
    assert more("commands_sent_total", type="stop") == 1
    assert more("frames_sent_total", command="QD", status="000") == 3
    assert more("command_sending_seconds_count") == 4
    assert more("command_answering_seconds_count") == 3
    assert more("requests_total", operation="start", way="socket", result="done") == 4
    assert more("takeovers_total") == 1
    assert more("commit_seconds_count") > 3
    assert more("commit_rows_sum") > more("commit_rows_count")
    assert more("events_total") > 8
    assert now("store_writable") == 1


def test_requests_are_counted_by_how_they_went(served: Site, client: httpx.Client) -> None:
    before = look(client)
    with served.client("read") as reader:
        assert reader.get("/api/status").status_code == 200
    served.ask({"type": "fly"})
    served.ask({"type": "status", "imei": "1"})
    now = look(client)
    for labels in (
        {"operation": "status", "way": "http", "result": "done"},
        {"operation": "unknown", "way": "socket", "result": "refused"},
        {"operation": "status", "way": "socket", "result": "refused"},
    ):
        assert now("requests_total", **labels) - before("requests_total", **labels) == 1, labels


def test_it_takes_a_token_unless_the_operator_says_otherwise(served: Site) -> None:
    with served.client(None) as peer:
        assert peer.get("/metrics").status_code == 401
    with served.client("read") as reader:
        assert look(reader)("devices_known") == 60
    with site({"http": {"metrics_public": True}}) as open_one, open_one.client(None) as peer:
        look(peer)
        assert peer.get("/api/status").status_code == 401


def test_the_process_is_told_of(client: httpx.Client) -> None:
    samples = look(client).samples

    def of(name: str) -> float:
        return samples[f"process_{name}", frozenset()]

    assert 5 < of("open_fds") < of("max_fds")
    assert 2e7 < of("resident_memory_bytes") < of("virtual_memory_bytes")
    assert of("cpu_seconds_total") > 0
    assert of("start_time_seconds") > 1.7e9


def test_open_files_are_counted_with_and_without_a_list() -> None:
    before = open_files()
    fd = os.dup(0)
    try:
        assert open_files() == listed() == before + 1
    finally:
        os.close(fd)


# The metrics that the dashboard and the rules of the documents use


@pytest.fixture(scope="module")
def offered(served: Site) -> Iterator[Look]:
    with served.client("read") as client:
        yield look(client)


SELECTOR = re.compile(r"\b((?:devgate|process|python)_\w+)(\{[^}]*\})?")
MATCHER = re.compile(r'(\w+)(=~?)"([^"]*)"')
RULES = [
    rule
    for group in yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = json.loads((DOCS / "grafana.json").read_text())["panels"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in PANELS for target in panel.get("targets", [])
]


def test_the_documents_ask_for_what_there_is(offered: Look) -> None:
    found = 0
    for expression in EXPRESSIONS:
        for name, braces in SELECTOR.findall(expression):
            assert name in offered.names, expression
            labels = [m for m in MATCHER.findall(braces) if m[0] not in ("job", "instance")]
            assert not labels or offered.selects(name, labels), expression
            found += 1
    assert found > 60


def test_every_metric_of_ours_is_on_the_dashboard(offered: Look) -> None:
    def family(name: str) -> str:
        return re.sub("_(bucket|sum|count)$", "", name)

    asked = {family(name) for one in EXPRESSIONS for name, _ in SELECTOR.findall(one)}
    ours = {family(name) for name in offered.names if name.startswith("devgate_")}
    assert ours - asked == {"devgate_build_info"}


def test_every_alert_says_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
