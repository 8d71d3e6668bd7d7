"""Webhooks over HTTP: added, changed, removed, by who may."""

from __future__ import annotations

import httpx

from tests.http.harness import Site, problem
from tests.webhooks.receiver import SECRET

URL = "https://shop.example/hook?token=hush"


def test_a_webhook_has_its_life(client: httpx.Client) -> None:
    response = client.post("/api/webhooks", json={"name": "shop", "url": URL, "events": "command"})
    assert (response.status_code, response.headers["location"]) == (201, "/api/webhooks/shop")
    made = response.json()["secret"]
    assert made.startswith("whsec_")
    try:
        [item] = client.get("/api/webhooks").json()["items"]
        assert (item["url"], item["kept_in"], item["events"]) == (
            "https://shop.example/hook", "database", ["command"],
        )  # fmt: skip
        response = client.patch("/api/webhooks/shop", json={"events": None, "enabled": False})
        assert response.status_code == 200, response.text
        assert response.json()["secret"] is None
        response = client.patch("/api/webhooks/shop", json={"new_secret": True})
        assert response.json()["secret"] not in (None, made)
        listed = client.get("/api/webhooks")
        [item] = listed.json()["items"]
        assert (item["events"], item["state"]) == ([], "disabled")
        assert "whsec_" not in listed.text
        again = client.post("/api/webhooks", json={"name": "shop", "url": URL})
        problem(again, 409, "409")
    finally:
        assert client.delete("/api/webhooks/shop").status_code == 200
    problem(client.delete("/api/webhooks/shop"), 404, "400")
    assert client.get("/api/webhooks").json()["items"] == []


def test_what_is_wrong_is_named(client: httpx.Client) -> None:
    right = {"name": "shop", "url": URL}
    for change, names in (
        ({"name": "a b"}, "name: 1 to 64 letters"),
        ({"url": "ftp://shop.example"}, "url: a URL of http or https"),
        ({"url": "http://[::1]:5/"}, "url: ::1 is not a public address; set [control] private_"),
        ({"events": "device.onlin"}, "events: types of events"),
        ({"secret": "whsec_x"}, "secret: whsec_ and 24 to 64 bytes"),
        ({"allow_private": True}, "unknown field"),
    ):
        response = client.post("/api/webhooks", json={**right, **change})
        assert names in problem(response, 400, "400")["detail"]
    problem(client.patch("/api/webhooks/shop", json={}), 400, "400")
    problem(client.patch("/api/webhooks/shop", json={"enabled": True}), 404, "400")
    later = problem(client.post("/api/webhooks", json={**right, "after": 2**40}), 404, "400")
    assert later["detail"].startswith("after: the number of an event, up to ")
    assert client.post("/api/webhooks", json=right).status_code == 201
    try:
        both = {"new_secret": True, "secret": SECRET}
        response = client.patch("/api/webhooks/shop", json=both)
        assert "new_secret: either" in problem(response, 400, "400")["detail"]
        assert client.patch("/api/webhooks/shop", json={"secret": SECRET}).status_code == 200
    finally:
        client.delete("/api/webhooks/shop")


def test_only_an_admin_may(served: Site) -> None:
    for role in ("read", "command"):
        with served.client(role) as client:
            for response in (
                client.post("/api/webhooks", json={"name": "shop", "url": URL}),
                client.patch("/api/webhooks/shop", json={"enabled": True}),
                client.delete("/api/webhooks/shop"),
                client.post(
                    "/api/command",
                    content='command{"type":"webhook_add","name":"shop","url":"https://a.example"}',
                ),
            ):
                assert response.status_code == 403
    with served.client() as client:
        assert client.get("/api/webhooks").json()["items"] == []
