"""Events over HTTP: in pages, and as they happen."""

from __future__ import annotations

import socket
from itertools import islice

import httpx
import pytest

from tests.e2e.caller import Robot
from tests.http.harness import Json, Site, problem, site, streaming


def numbers(events: list[tuple[str, Json]]) -> list[int]:
    return [data["event"] for name, data in events if name == "message"]


def make_events(client: httpx.Client, count: int) -> None:
    """Add and remove a device, which is two events."""
    for _ in range(count // 2):
        assert client.post("/api/devices", json={"imei": "777000000000001"}).status_code == 201
        assert client.delete("/api/devices/777000000000001").status_code == 200


def test_pages_join_without_a_gap(client: httpx.Client) -> None:
    make_events(client, 20)
    got: list[int] = []
    after, more = 0, True
    while more:
        page = client.get("/api/events", params={"after": after, "limit": 7}).json()
        got += [event["event"] for event in page["items"]]
        more, after = page["next"] is not None, page["last"]
        assert after == got[-1]
    assert got == list(range(1, got[-1] + 1))
    assert client.get("/api/events", params={"after": after}).json()["last"] == after


def test_a_page_of_some_types(served: Site, client: httpx.Client, imei: str) -> None:
    with Robot(served, imei):
        client.post(f"/api/devices/{imei}/start", json={"long": 5})
    page = client.get("/api/events", params={"imei": imei, "events": "command"}).json()
    types = [event["type"] for event in page["items"]]
    assert types == ["command.accepted", "command.sent", "command.ended"]
    made = client.get("/api/events", params={"events": "device.added", "limit": 3}).json()
    assert [event["type"] for event in made["items"]] == ["device.added"] * 3
    assert made["next"] == made["last"] == made["items"][-1]["event"]
    wrong = client.get("/api/events", params={"events": "device,nothing"})
    assert "events" in problem(wrong, 400, "400")["detail"]


def test_a_stream_goes_on_where_it_was(client: httpx.Client) -> None:
    make_events(client, 6)
    with streaming(client, "/api/events/stream", after=0) as stream:
        first = list(islice(stream, 3))
        last = stream.last_id
    assert numbers(first) == [1, 2, 3]
    assert last == "3"
    # Last-Event-ID of a browser that comes back is newer than `after` of the first request.
    with streaming(client, "/api/events/stream", last, after=0) as stream:
        assert numbers(list(islice(stream, 3))) == [4, 5, 6]


def test_a_stream_begins_now(served: Site, client: httpx.Client, imei: str) -> None:
    with streaming(client, "/api/events/stream", imei=imei) as stream, Robot(served, imei):
        event = next(iter(stream))[1]
    known = client.get(f"/api/devices/{imei}").json()
    assert (event["type"], event["name"]) == ("device.online", known["name"])
    page = client.get("/api/events", params={"imei": imei, "events": "device"}).json()
    assert {one["site"] for one in page["items"]} == {known["site"]}
    with streaming(client, "/api/events/stream", "", imei=imei, events="device"):
        pass
    problem(client.get("/api/events/stream", headers={"Last-Event-ID": "x"}), 400, "400")


def test_readers_may_read(served: Site) -> None:
    with (
        served.client("read") as client,
        streaming(client, "/api/events/stream", after=0) as stream,
    ):
        # What was before it is of accounts, which is for those who may change them.
        assert next(iter(stream))[1]["type"] == "device.added"


def test_no_gap_and_no_repeat_across_restarts() -> None:
    with site() as running:
        got: list[int] = []
        last = "0"
        for end in (running.kill, running.terminate, None):
            with running.client() as client:
                make_events(client, 10)
                with streaming(client, "/api/events/stream", last) as stream:
                    got += numbers(list(islice(stream, 10)))
                    last = stream.last_id
                    if end is None:
                        break
                    make_events(client, 6)  # which this reader has not taken yet
                    end()
                    if end == running.terminate:
                        last_ones = list(stream)
                        got += numbers(last_ones)
                        assert last_ones[-1] == ("cut", {"message": "the gateway stops"})
                        last = stream.last_id
            running.start()
        with running.client() as client:
            newest = client.get("/api/status").json()["last_event"]
            if len(got) < newest:
                with streaming(client, "/api/events/stream", last) as stream:
                    got += numbers(list(islice(stream, newest - len(got))))
        assert got == list(range(1, newest + 1))


def test_who_reads_nothing_holds_up_nothing() -> None:
    """A reader that reads nothing delays neither other readers nor the end of the gateway."""
    with site() as running, running.client() as client:
        rows = "imei\n" + "".join(f"7771{n:011}\n" for n in range(900))
        client.post("/api/devices/import", content=rows)
        with socket.create_connection(running.at) as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            token = running.tokens["read"]
            stuck.sendall(
                b"GET /api/events/stream HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 0\r\n"
                b"Authorization: Bearer %s\r\n\r\n" % token.encode()
            )
            assert stuck.recv(8) == b"HTTP/1.1"
            for site_name in ("a", "b", "c", "d"):
                rows = "imei,site\n" + "".join(f"7771{n:011},{site_name}\n" for n in range(900))
                path = "/api/devices/import?on_conflict=update"
                assert client.post(path, content=rows).status_code == 200
            running.terminate()


# Frames


def test_frames_as_they_pass(served: Site, client: httpx.Client, imei: str) -> None:
    with (
        served.register(imei) as device,
        streaming(client, f"/api/devices/{imei}/tap") as stream,
    ):
        device.send(f"023000{imei}HT")
        (_, came), (_, went) = islice(stream, 2)
    assert (came["direction"], came["bytes"]) == ("in", f"023000{imei}HT")
    assert (went["direction"], went["bytes"]) == ("out", f"023200{imei}HT")
    problem(client.get("/api/devices/777777777777777/tap"), 404, "300")


@pytest.mark.parametrize("path", ["/api/events/stream", "/api/devices/export"])
def test_a_look_at_the_head_ends(client: httpx.Client, path: str) -> None:
    response = client.head(path)
    assert response.status_code == 200
    assert response.content == b""
