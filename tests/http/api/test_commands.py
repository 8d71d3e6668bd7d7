"""Starting and stopping devices over HTTP: nothing but a confirmed start looks like one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.caller import Robot, eventually
from tests.e2e.device import frame
from tests.http.harness import Json, Site, problem


def start(client: httpx.Client, imei: str, **more: object) -> httpx.Response:
    return client.post(f"/api/devices/{imei}/start", json={"long": 500, **more})


def test_a_confirmed_start_and_stop(served: Site, client: httpx.Client, imei: str) -> None:
    with Robot(served, imei) as device:
        response = start(client, imei)
        assert response.status_code == 200
        reply: Json = response.json()
        assert reply["status"] == "200"
        assert reply["message"] == "started"
        assert (reply["imei"], reply["type"], reply["long"]) == (imei, "start", 500)
        assert client.post(f"/api/devices/{imei}/stop").json()["message"] == "stopped"
    assert device.seen == ["QD500", "ST"]
    record = client.get(f"/api/commands/{reply['command']}").json()
    assert record["source"] == "http:admin"
    assert record["state"] == "ended"


def test_sentences_are_chinese_for_who_reads_that(
    served: Site, client: httpx.Client, imei: str
) -> None:
    """All other members are the same as in English."""
    chinese = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
    path = f"/api/devices/{imei}/start"
    with Robot(served, imei):
        response = client.post(path, json={"long": 500, "key": f"a {imei}"}, headers=chinese)
        again = client.post(path, json={"long": 500, "key": f"a {imei}"}).json()
        assert response.json() == {**again, "message": "已启动"}
        raw = f'command{{"imei":"{imei}","type":"stop"}}'
        answered = client.post("/api/command", content=raw, headers=chinese)
        assert answered.json()["message"] == "已停止"
    wrong = [
        client.post(path, json={"long": 0}, headers={**chinese, **language}) for language in (
            {}, {"Accept-Language": "en"}
        )
    ]  # fmt: skip
    message, english = (problem(one, 400, "400") for one in wrong)
    assert message == {**english, "detail": "long：应为 1 到 86400 的整数，而不是 0"}  # noqa: RUF001
    assert [one.headers.get("Content-Language") for one in wrong] == ["zh-CN", None]
    with served.client(role=None) as nobody:
        refused = nobody.get("/api/devices", headers=chinese)
        assert problem(refused, 401, "401")["detail"] == "缺少令牌；未做任何操作"  # noqa: RUF001


@pytest.mark.parametrize(
    ("says", "status", "code"), [("201", 502, "201"), ("202", 502, "202"), (None, 504, "408")]
)
def test_what_is_no_success_is_no_2xx(
    served: Site, client: httpx.Client, imei: str, says: str | None, status: int, code: str
) -> None:
    more = {} if says else {"timeout": 0.2}
    with Robot(served, imei, says):
        found = problem(start(client, imei, key=f"order {imei}", **more), status, code)
    assert found["imei"] == imei
    assert found["operation"] == "start"
    assert found["key"] == f"order {imei}"
    assert client.get(f"/api/commands/{found['command']}").json()["status"] == code


def test_nothing_is_sent_to_who_is_not_there(client: httpx.Client, imei: str) -> None:
    assert "nothing was sent" in problem(start(client, imei), 409, "404")["detail"]
    problem(start(client, "999999999999999"), 404, "300")
    assert client.patch(f"/api/devices/{imei}", json={"enabled": False}).status_code == 200
    assert "disabled" in problem(start(client, imei), 403, "401")["detail"]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, "long"),
        ({"long": "500"}, "long"),
        ({"long": 0}, "long"),
        ({"long": True}, "long"),
        ({"long": 5, "key": "a\nb"}, "key"),
        ({"long": 5, "timeout": 0}, "timeout"),
        ({"long": 5, "wait": "no"}, "wait"),
        ({"long": 5, "lng": 5}, "lng"),
        ([5], "object"),
    ],
)
def test_a_wrong_field_is_named(client: httpx.Client, imei: str, body: object, names: str) -> None:
    response = client.post(f"/api/devices/{imei}/start", json=body)
    assert names in problem(response, 400, "400")["detail"]


@pytest.mark.parametrize("body", [{}, {"long": 0}, {"long": 86401}, {"long": True}])
def test_the_bound_of_a_start_is_the_one_in_force(
    served: Site, client: httpx.Client, imei: str, body: dict[str, object]
) -> None:
    """The bound is [command] max_long, with the same message as on the socket."""
    message = served.ask({"type": "start", "imei": imei, **body})["message"]
    assert message.startswith("long: a whole number from 1 to 86400 expected, not ")
    response = client.post(f"/api/devices/{imei}/start", json=body)
    assert problem(response, 400, "400")["detail"] == message
    many = client.post("/api/bulk/start", json={"imeis": [imei], **body})
    assert problem(many, 400, "400")["detail"] == message


@pytest.mark.parametrize(
    "body", [b"{", b'{"long":NaN}', b'{"long":1e999}', b"\xff", b"[" * 9999, b'{"long":"\\ud800"}']
)
def test_what_is_no_json_is_told(client: httpx.Client, imei: str, body: bytes) -> None:
    problem(client.post(f"/api/devices/{imei}/start", content=body), 400, "400")


def test_another_type_of_body_is_refused(client: httpx.Client, imei: str) -> None:
    response = client.post(f"/api/devices/{imei}/start", data={"long": "5"})
    assert "application/json" in problem(response, 415, "400")["detail"]


def test_a_whole_number_may_be_written_with_a_point(
    served: Site, client: httpx.Client, imei: str
) -> None:
    with Robot(served, imei) as device:
        response = client.post(f"/api/devices/{imei}/start", content=b'{"long": 5.0}')
        assert response.json()["long"] == 5
    assert device.seen == ["QD5"]


def test_not_waited_for_is_202(served: Site, client: httpx.Client, imei: str) -> None:
    with Robot(served, imei):
        response = start(client, imei, wait=False)
        assert response.status_code == 202
        assert response.json()["status"] == "000"
        path = f"/api/commands/{response.json()['command']}"
        eventually(lambda: client.get(path).json()["status"], lambda status: status == "200")


def test_the_header_is_the_key(served: Site, client: httpx.Client, imei: str) -> None:
    """D31: header and body with two keys are a bad request, not a used key."""
    head = {"Idempotency-Key": f"order-{imei}"}
    path = f"/api/devices/{imei}/start"

    def ask(_: int) -> httpx.Response:
        return client.post(path, json={"long": 500}, headers=head)

    with Robot(served, imei) as device, ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(ask, range(8)))
        assert {response.status_code for response in responses} == {200}
        assert len({response.json()["command"] for response in responses}) == 1
        problem(client.post(path, json={"long": 501}, headers=head), 409, "409")
        both = {"long": 500, "key": "another"}
        assert "key" in problem(client.post(path, json=both, headers=head), 400, "400")["detail"]
    assert device.seen == ["QD500"]
    items = client.get("/api/commands", params={"key": f"order-{imei}"}).json()["items"]
    assert [item["status"] for item in items] == ["200"]
    story = client.get("/api/orders", params={"key": f"order-{imei}"}).json()["items"]
    assert [one["record"]["imei"] for one in story] == [imei]


def test_a_kept_start_is_cancelled_once(client: httpx.Client, imei: str) -> None:
    waiting = start(client, imei, wait=False, expires=60).json()["command"]
    listed = client.get("/api/commands", params={"imei": imei, "state": "waiting"}).json()
    assert [item["command"] for item in listed["items"]] == [waiting]
    cancelled = client.post(f"/api/commands/{waiting}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["message"] == "cancelled; nothing was sent"
    problem(client.post(f"/api/commands/{waiting}/cancel"), 409, "409")
    for path in ("/api/commands/" + "0" * 26, "/api/commands/" + "0" * 26 + "/cancel"):
        response = client.request("POST" if path.endswith("cancel") else "GET", path)
        assert "no command has the id" in problem(response, 404, "400")["detail"]


def test_too_many_waiting_is_429(client: httpx.Client, imei: str) -> None:
    answers = [start(client, imei, wait=False, expires=60) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    client.post(f"/api/devices/{imei}/stop", json={"cancel": True})


def test_commands_come_in_pages(client: httpx.Client, imei: str) -> None:
    made = [problem(start(client, imei), 409, "404")["command"] for _ in range(5)]
    got: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = client.get("/api/commands", params={"imei": imei, "limit": "2", **after}).json()
        got += [item["command"] for item in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert sorted(got, reverse=True) == got
    assert set(got) == set(made)


# The control channel's own words, as a body


def raw(client: httpx.Client, text: str | bytes) -> httpx.Response:
    return client.post("/api/command", content=text)


def test_old_code_gets_the_answer_that_it_knows(
    served: Site, client: httpx.Client, imei: str
) -> None:
    with served.register(imei) as device, ThreadPoolExecutor(1) as pool:
        asked = f'command{{"imei":"{imei}","type":"start","long":"0500","id":7}}\n'
        waiting = pool.submit(raw, client, asked)
        device.expect(frame("000", imei, "QD", "500"))
        device.send(frame("200", imei, "QD"))
        response = waiting.result()
    assert response.status_code == 200
    assert response.text.endswith("}\n")
    assert response.json()["status"] == "200"
    assert (response.json()["long"], response.json()["id"]) == (500, 7)


def test_a_failure_has_its_status_twice(client: httpx.Client, imei: str) -> None:
    response = raw(client, f'command{{"imei":"{imei}","type":"stop"}}')
    assert (response.status_code, response.json()["status"]) == (409, "404")
    response = raw(client, 'command{"imei":"12","type":"start","long":5}')
    assert (response.status_code, response.json()["status"]) == (400, "400")
    assert response.json() | {"message": ""} == {
        "status": "400", "message": "", "imei": "12", "type": "start", "long": 5, "command": None,
        "outcome": "refused",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "hello", "command", "command[]", 'command{"type":"start"', b"command{\xff}"]
)
def test_what_is_no_command_is_a_problem(client: httpx.Client, text: str | bytes) -> None:
    problem(raw(client, text), 400, "400")


def test_streams_have_calls_of_their_own(client: httpx.Client) -> None:
    for kind in ("watch", "tap", "export"):
        response = raw(client, f'command{{"type":"{kind}"}}')
        assert "call of its own" in response.json()["message"]
        assert response.status_code == 400
    assert "one of start" in raw(client, 'command{"type":[]}').json()["message"]
