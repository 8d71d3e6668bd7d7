"""Two nodes as processes: the list of nodes over every way in, drained and removed ones."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.caller import Robot
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway
from tests.http.harness import Site, site

Json = dict[str, Any]


@pytest.fixture
def two(postgres_url: str) -> Iterator[tuple[Site, Gateway]]:
    """Nodes a and b, which end at the end of the test if not before; a has an HTTP door."""
    with ExitStack() as stack:
        nodes: list[Site] = []
        for name in ("a", "b"):
            settings: dict[str, dict[str, object]] = {
                "store": {"url": postgres_url}, "cluster": {"node": name},
                "control": {"tokens": "tokens" if name == "a" else ""},
            }  # fmt: skip
            nodes.append(stack.enter_context(site(settings)))
        nodes[1].tokens = nodes[0].tokens  # they are in the database
        yield nodes[0], nodes[1]


def listed(gateway: Gateway) -> dict[str, Json]:
    done = gateway.cli("nodes", "list", "--json")
    assert done.returncode == 0, done.stderr
    return {node["id"]: node for node in json.loads(done.stdout)["items"]}


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_nodes_over_every_way_in(two: tuple[Site, Gateway]) -> None:
    a, b = two
    refused = b.ask({"type": "upgrade"})
    assert (refused["status"], "drain it" in refused["message"]) == ("409", True)
    found = listed(b)
    assert set(found) == {"a", "b"}
    for node in found.values():
        assert node["alive"]
        assert node["address"].startswith("127.0.0.1:")
        assert node["since"].endswith("Z")
    until(lambda: {node["id"] for node in a.ask({"type": "status"})["nodes"]} == {"a", "b"})
    assert b.ask({"type": "status"})["node"] == "b"
    with a.client("read") as reader, a.client("command") as seller:
        reply = reader.get("/api/nodes").json()
        assert [node["id"] for node in reply["items"]] == ["a", "b"]
        assert reader.post("/api/nodes/b/drain").status_code == 403
        assert seller.delete("/api/nodes/b").status_code == 403
    until(lambda: a.ask({"type": "nodes"})["leader"] in ("a", "b"))


def test_drain_and_its_undoing(two: tuple[Site, Gateway]) -> None:
    a, b = two
    assert a.cli("nodes", "drain", "b").stdout == "node b is drained from now on\n"
    assert listed(a)["b"]["draining"]
    done = b.cli("nodes", "drain", "a")
    assert (done.returncode, done.stdout) == (9, "")
    assert "no other node is there to take its devices" in done.stderr
    assert b.cli("nodes", "drain", "b", "--undo").stdout == "node b works on\n"
    assert not listed(a)["b"]["draining"]
    with a.client("admin") as admin:
        reply = admin.post("/api/nodes/b/drain")
        assert (reply.status_code, reply.json()["draining"]) == (200, True)
        assert admin.post("/api/nodes/b/drain", json={"draining": False}).status_code == 200
        assert admin.post("/api/nodes/x/drain").status_code == 404
    assert not listed(a)["b"]["draining"]


def test_a_living_node_is_not_removed_and_a_dead_one_is(two: tuple[Site, Gateway]) -> None:
    a, b = two
    done = a.cli("nodes", "remove", "b", "--yes")
    assert done.returncode == 9
    assert "node b lives: stop it first" in done.stderr
    b.terminate()
    assert not listed(a)["b"]["alive"]
    done = a.cli("nodes", "drain", "b")
    assert (done.returncode, "node b cannot be drained: it is dead" in done.stderr) == (9, True)
    assert a.cli("nodes", "remove", "b", "--yes").stdout == "node b is forgotten\n"
    assert set(listed(a)) == {"a"}
    done = a.cli("nodes", "remove", "b", "--yes")
    assert (done.returncode, "no node is called 'b'" in done.stderr) == (2, True)
    b.start()
    assert set(listed(a)) == {"a", "b"}


def test_a_gateway_that_works_alone_has_no_nodes() -> None:
    with site() as alone:
        for request in (
            {"type": "nodes"},
            {"type": "node_drain", "node": "a"},
            {"type": "node_remove", "node": "a"},
        ):
            reply = alone.ask(request)
            assert reply["status"] == "400"
            assert "this gateway works alone" in reply["message"]
        assert "nodes" not in alone.ask({"type": "status"})
        with alone.client("admin") as admin:
            assert admin.get("/api/nodes").status_code == 404


def test_metrics_tell_of_every_node(two: tuple[Site, Gateway]) -> None:
    a, b = two

    def samples() -> dict[str, float]:
        with a.client("read") as reader:
            lines = reader.get("/metrics").text.splitlines()
        found = (line.rsplit(" ", 1) for line in lines if line.startswith("devgate_node"))
        return {name: float(value) for name, value in found}

    until(lambda: samples().get("devgate_nodes") == 2)
    a.add_devices([{"imei": "860000000000001"}])
    until(lambda: b.ask({"type": "status"})["devices"] == 1)
    with b.register("860000000000001"):
        until(lambda: samples()['devgate_node_devices{node="b"}'] == 1)
        assert samples()['devgate_node_devices{node="a"}'] == 0
    assert a.cli("nodes", "drain", "b").returncode == 0
    until(lambda: samples()['devgate_node_draining{node="b"}'] == 1)
    until(lambda: samples()["devgate_node_leads"] == 1)
    b.kill()
    until(lambda: samples()["devgate_nodes"] == 1)
    last = samples()
    assert last['devgate_node_alive{node="a"}'] == 1
    assert last['devgate_node_alive{node="b"}'] == 0
    assert last['devgate_node_draining{node="b"}'] == 0


def test_files_and_jobs_are_the_leaders_whichever_node_is_asked(two: tuple[Site, Gateway]) -> None:
    """A file over HTTP at a node that does not lead failed: a file is no JSON."""
    text = "imei,site\n" + "".join(f"7770000000{n:05},east\n" for n in range(4000))
    assert len(text) > 65536, "more than one request between nodes holds"
    done = []
    for node in two:
        until(lambda node=node: node.ask({"type": "nodes"})["leader"] in ("a", "b"))  # type: ignore[misc]
        assert isinstance(node, Site)
        with node.client("admin") as admin:
            reply = admin.post(
                "/api/devices/import", content=text, headers={"Content-Type": "text/csv"}
            )
            done.append((reply.status_code, reply.json()["added"], reply.json()["skipped"]))
        assert node.cli("devices", "import", "-", text=text).stdout.startswith("0 added")
    assert done == [(200, 4000, 0), (200, 0, 4000)]
    imeis = [f"7770000000{n:05}" for n in range(5)]
    for n, node in enumerate(two):
        order = {"type": "bulk_edit", "imeis": imeis, "site": f"hall {n}", "bulk": f"move-{n}"}
        assert node.ask(order)["count"] == 5
        for other in two:
            until(lambda: other.ask({"type": "bulk", "bulk": f"move-{n}"})["done"] == 5)  # noqa: B023
        until(lambda: node.status(imeis[0])["site"] == f"hall {n}")  # noqa: B023


def test_accounts_are_one_for_all_nodes(two: tuple[Site, Gateway]) -> None:
    """A token of one node is known at the other, and so are its sites: also where a request goes
    on to the node of the device."""
    a, b = two
    north, south = "860000000000101", "860000000000202"
    for imei, place in ((north, "North"), (south, "South")):
        assert b.ask({"type": "add", "imei": imei, "site": place})["status"] == "200"
    made = b.ask({"type": "token_add", "name": "mine", "role": "admin", "sites": ["North"]})
    with a.client(None) as client:
        client.headers["Authorization"] = f"Bearer {made['token']}"
        until(lambda: client.get("/api/devices").status_code == 200)
        with Robot(b, north), Robot(b, south) as other:
            for imei, status in ((north, 200), (south, 404)):
                assert client.get(f"/api/devices/{imei}").status_code == status
                start = client.post(f"/api/devices/{imei}/start", json={"long": 5})
                assert start.status_code == status
            assert client.patch(f"/api/devices/{north}", json={"site": "South"}).status_code == 403
            assert client.patch(f"/api/devices/{south}", json={"name": "x"}).status_code == 404
            assert other.seen == []
        b.ask({"type": "token_remove", "name": "mine"})
        until(lambda: client.get("/api/devices").status_code == 401)


def test_one_node_counts_for_reports_and_the_next_leader_goes_on(
    two: tuple[Site, Gateway],
) -> None:
    a, b = two
    imei = "860000000000001"
    a.add_devices([{"imei": imei, "site": "East"}])

    def starts() -> set[int]:
        """As each node that lives tells it; who is asked counts sooner, if it leads."""
        return {one.ask({"type": "report"})["total"]["starts"] for one in two if one.process}

    for count in (1, 2):
        assert b.ask({"type": "start", "imei": imei, "long": 60})["status"] == "404"
        until(lambda count=count: starts() == {count})  # type: ignore[misc]
        leader = a.ask({"type": "nodes"})["leader"] if count == 1 else "-"
        if leader == "a":  # b leads from now on
            a.terminate()
            a.process = None
            until(lambda: b.ask({"type": "nodes"})["leader"] == "b")
