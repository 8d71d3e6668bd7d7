"""A quarantine over every way in, and at every node of a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from devgate.store.copies import begin_quarantine
from devgate.store.opening import open_database
from tests.e2e.caller import DEVICES, Robot, eventually
from tests.e2e.harness import Json
from tests.http.harness import Site, problem, site
from tests.http.visitor import visitor
from tests.stores import with_tables

IMEI = "860000000000001"


def start(key: str) -> Json:
    return {"type": "start", "imei": IMEI, "long": 5, "key": key}


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    """In quarantine from its first start on."""
    with site(devices=DEVICES) as running:
        running.terminate()
        begun = running.cli("quarantine", "begin", "--reason", "a disk was lost", "--yes")
        assert begun.returncode == 0, begun.stderr
        running.start()
        yield running


def test_every_way_in_says_so(served: Site) -> None:
    assert "every start is refused: a disk was lost" in served.cli("status").stdout
    assert "a disk was lost" in served.cli("quarantine", "show").stdout
    assert "every start is refused: a disk was lost" in served.cli("fleet").stdout
    found = [json.loads(line) for line in served.cli("doctor", "--json").stdout.splitlines()]
    assert [one["severity"] for one in found if "quarantine" in one["message"]] == ["error"]
    with served.client("read") as reader:
        held = reader.get("/api/quarantine").json()["quarantine"]
        assert (held["reason"], held["keys"], held["copied_at"]) == ("a disk was lost", 0, None)
        assert reader.get("/api/status").json()["quarantine"] == held
        assert reader.post("/api/quarantine/lift").status_code == 403
    for language, words in (("en", "every start is refused"), ("zh", "拒绝一切启动")):
        with visitor(served.url, **{"Accept-Language": language}) as somebody:
            assert words not in somebody.get("/login"), "who is not known learns nothing"
            somebody.log_in(token=served.tokens["read"])
            for path in ("/", "/devices", "/orders"):
                assert words in somebody.get(path)


def test_only_listed_keys_are_started(served: Site) -> None:
    with Robot(served, IMEI) as device, served.client("admin") as admin:
        refused = served.ask(start("order-1"))
        assert (refused["status"], refused["why"], refused["outcome"]) == (
            "423", "quarantine", "refused",
        )  # fmt: skip
        answer = admin.post(f"/api/devices/{IMEI}/start", json={"long": 5, "key": "order-1"})
        assert problem(answer, 423, "423")["why"] == "quarantine"
        assert served.ask({"type": "start", "imei": IMEI, "long": 5})["status"] == "423"
        assert served.ask({"type": "stop", "imei": IMEI})["status"] == "200"
        listed = admin.post("/api/quarantine/untried", json={"keys": ["order-1", "order-2"]})
        assert listed.json()["quarantine"]["keys"] == 2
        assert served.ask(start("order-1"))["status"] == "200"
        assert served.ask(start("order-1"))["status"] == "200", "its record"
        assert served.ask(start("order-3"))["status"] == "423"
        assert device.seen == ["ST", "QD5"]
        for keys in ([], "order-1", [1], [None], [""], ["x"] * 401):
            wrong = served.ask({"type": "quarantine_allow", "keys": keys})
            assert wrong["status"] == "400", keys


def test_a_file_without_keys_is_refused(served: Site) -> None:
    file = served.folder / "keys.csv"
    for content, words in (
        ("order\n1\n", "a column `key` expected"), ("key\n", "there is no key in it"),
        ("", "a column `key` expected"),
    ):  # fmt: skip
        file.write_text(content)
        done = served.cli("quarantine", "allow", str(file))
        assert (done.returncode, words in done.stderr) == (2, True), content
    file.write_bytes("\ufeffkey;x\n".encode())
    assert served.cli("quarantine", "allow", str(file)).returncode == 2


def test_lifted_it_is_over_for_good() -> None:
    with site(devices=DEVICES) as served:
        served.terminate()
        assert served.cli("quarantine", "begin", "--yes").returncode == 0
        served.start()
        assert served.cli("quarantine", "begin", "--yes").returncode == 2, "a gateway runs"
        with Robot(served, IMEI):
            assert served.cli("quarantine", "lift", "--yes").returncode == 0
            assert served.ask(start("order-1"))["status"] == "200"
        again = served.cli("quarantine", "lift", "--yes")
        assert (again.returncode, "there is no quarantine" in again.stderr) == (9, True)
        events = served.ask({"type": "events", "events": "quarantine"})["items"]
        assert [one["type"] for one in events] == ["quarantine.lifted"]
        served.terminate()
        assert served.cli("quarantine", "show").stdout == "there is no quarantine\n"
        assert served.cli("quarantine", "begin", "--yes").returncode == 0
        assert served.cli("quarantine", "lift", "--yes").returncode == 0, "without a gateway"
        served.start()
        assert served.ask({"type": "status"})["quarantine"] is None


def test_all_nodes_obey(postgres_url: str) -> None:
    database = open_database(with_tables(postgres_url))
    database.close()
    begin_quarantine(postgres_url)

    def node(name: str) -> dict[str, dict[str, object]]:
        return {"store": {"url": postgres_url}, "cluster": {"node": name}}

    with site(node("a"), devices=()) as a, site(node("b"), devices=()) as b:
        a.ask({"type": "add", "imei": IMEI})
        with Robot(b, IMEI):
            for one in (a, b):
                assert one.ask(start("order-1")).get("why") == "quarantine"
            assert a.ask({"type": "quarantine_allow", "keys": ["order-1"]})["status"] == "200"
            eventually(lambda: b.ask({"type": "quarantine"})["quarantine"]["keys"], (1).__eq__)
            assert a.ask(start("order-1"))["status"] == "200"
            assert b.ask({"type": "quarantine_lift"})["status"] == "200"
            eventually(lambda: a.ask({"type": "quarantine"})["quarantine"], lambda held: not held)
            assert a.ask(start("order-2"))["status"] == "200"
