"""Replies as lines: fields in the order of control.md section 1."""

from __future__ import annotations

import json

import pytest

from devgate.control.outbox import Reply, line, refusal
from devgate.errors import CallerError


def test_a_reply_is_one_compact_line() -> None:
    reply: Reply = {"status": "200", "message": "started\n启动", "items": [1, None, True]}
    assert line(reply, {}) == (
        '{"status":"200","message":"started\\n启动","items":[1,null,true]}\n'.encode()
    )


@pytest.mark.parametrize("given", [0, None, "a", 1.5, [1, {"b": None}], {"id": {}}, True, "启"])
def test_the_id_is_echoed_last_whatever_it_is(given: object) -> None:
    reply: Reply = {"status": "200", "id": 16, "name": "washer"}
    wire = line(reply, {"id": given})
    assert list(json.loads(wire)) == ["status", "name", "id"]
    assert json.loads(wire)["id"] == given
    assert reply["id"] == 16, "the caller's dict is left alone"


def test_without_an_id_nothing_is_added() -> None:
    assert line({"status": "200", "id": 16}, {"type": "status"}) == b'{"status":"200","id":16}\n'


def test_half_a_surrogate_pair_comes_back_as_an_escape() -> None:
    assert line({"message": "启"}, {"id": "\ud800"}) == b'{"message":"\\u542f","id":"\\ud800"}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}, b"bytes"])
def test_what_is_no_json_is_our_own_fault(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        line({"status": value}, {})


@pytest.mark.parametrize("kind", ["start", "stop"])
def test_a_refused_device_command_has_the_fields_of_its_reply(kind: str) -> None:
    request = {"id": 7, "long": "0500", "type": kind, "imei": "123456787654321", "key": "k"}
    reply = refusal(request, CallerError("404", "the device is not connected; nothing was sent"))
    assert line(reply, request) == (
        b'{"status":"404","message":"the device is not connected; nothing was sent",'
        b'"imei":"123456787654321","type":"%s","long":"0500","command":null,"id":7,"outcome":"refused"}\n'
        % kind.encode()
    )


def test_what_was_not_given_is_null() -> None:
    reply = refusal({"type": "stop"}, CallerError("400", "imei: expected"))
    assert reply == {
        "status": "400", "message": "imei: expected",
        "imei": None, "type": "stop", "long": None, "command": None,
        "outcome": "refused",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["status", None, 5, ["start"], {"start": 1}])
def test_any_other_refusal_is_status_message_and_outcome(kind: object) -> None:
    reply = refusal({"type": kind}, CallerError("400", "no"))
    assert reply == {"status": "400", "message": "no", "outcome": "refused"}
