"""Unknown outcomes over HTTP: listed, resolved, and shown with the key."""

from __future__ import annotations

import httpx

from tests.e2e.caller import Robot
from tests.http.harness import Json, Site, problem


def unknown(served: Site, client: httpx.Client, imei: str, **more: object) -> str:
    """A start that nobody answered. Returns the command's id."""
    with Robot(served, imei, None):
        body = {"long": 500, "timeout": 0.05, **more}
        found = problem(client.post(f"/api/devices/{imei}/start", json=body), 504, "408")
    return str(found["command"])


def resolve(client: httpx.Client, *ids: str, **more: object) -> httpx.Response:
    body = {"commands": ",".join(ids), "verdict": "refunded", **more}
    return client.post("/api/unknown/resolve", json=body)


def test_an_unknown_outcome_is_resolved_once(
    served: Site, client: httpx.Client, imei: str
) -> None:
    with served.client("command") as staff, served.client("read") as looker:
        id = unknown(served, client, imei, key=f"order-{imei}")
        page: Json = looker.get("/api/unknown", params={"imei": imei, "newer": 600}).json()
        [item] = page["items"]
        assert (item["command"], item["resolution"], page["count"]) == (id, "unresolved", 1)
        assert looker.get("/api/unknown", params={"imei": imei, "older": 600}).json()["count"] == 0
        problem(resolve(looker, id), 403, "401")
        assert id in served.cli("unknown", "list", "--imei", imei).stdout
        reply = resolve(staff, id, note="she called", by="anna")
        assert reply.status_code == 200, reply.text
        assert reply.json()["resolved"] == [id]
        found = problem(resolve(client, id), 409, "409")
        assert "was resolved by http:command:anna" in found["detail"]
        assert [one["by"] for one in found["conflicts"]] == ["http:command:anna"]
        late = served.cli("unknown", "resolve", id, "--verdict", "ran")
        assert (late.returncode, "resolved by http:command:anna" in late.stderr) == (9, True)
        record = looker.get(f"/api/commands/{id}").json()
        assert (record["verdict"], record["note"]) == ("refunded", "she called")
        story = looker.get(f"/api/commands/{id}/story").json()
        assert story["record"] == record
        events = looker.get("/api/events", params={"events": "command.resolved", "imei": imei})
        [event] = events.json()["items"]
        assert (event["command"], event["key"]) == (id, f"order-{imei}")
        assert (event["verdict"], event["by"]) == ("refunded", "http:command:anna")
        assert event["address"] == "127.0.0.1"


def test_what_cannot_be_resolved(served: Site, client: httpx.Client, imei: str) -> None:
    assert "verdict" in problem(resolve(client, "0" * 26, verdict="x"), 400, "400")["detail"]
    assert "commands" in problem(resolve(client, "1"), 400, "400")["detail"]
    assert "no command" in problem(resolve(client, "0" * 26), 404, "400")["detail"]
    problem(client.get(f"/api/commands/{'0' * 26}/story"), 404, "400")
