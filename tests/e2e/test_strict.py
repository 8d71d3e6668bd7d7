"""A field that a request may not have is an error, by whichever way in it comes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from devgate.gateway.operations.table import OPERATIONS
from devgate.http.api.endpoints import CALLS
from devgate.model import unknown_field
from tests.e2e.caller import Robot, knowing
from tests.e2e.harness import Gateway, Settings, address
from tests.e2e.test_outcomes import order, post

# What only the control channel has. Over HTTP a file is the body, however long it is; a path has
# one device, and `bulk` is for many; a device's number is `id`, which names a request here.
ONLY_CONTROL = {
    "add": {"number"}, "approve": {"number"}, "edit": {"imeis", "number"},
    "export": {"end"}, "import": {"csv", "upload"}, "remove": {"imeis"},
    "status": {"imei"}, "tap": {"unregistered"}, "upgrade": {"program"},
}  # fmt: skip

# Of the operator's command line, of imports, and of the pages: a token has no password.
NO_CALL = {"take_late", "upload", "password", "second_factor"}


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    settings: Settings = {
        "control": {"tokens": "tokens", "listen": "127.0.0.1:0"},
        "http": {"listen": "127.0.0.1:0"},
        "command": {"require_key": True},
    }
    with knowing(settings) as running:
        yield running


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("order_no", "order_no: unknown field; did you mean key?"),
        ("Key", "Key: unknown field; did you mean key?"),
        ("expire", "expire: unknown field; did you mean expires?"),
        ("zzz", "zzz: unknown field; known are imei, key, timeout, wait, expires, long, unit"),
        ("a\nb" * 99, "'a\\nba\\nb"),
    ],
)
def test_an_unknown_field_of_a_start_is_named_and_nothing_is_done(
    served: Gateway, imei: str, field: str, says: str
) -> None:
    """D2: a misspelt key switched the promise "once per order" off, in silence."""
    with Robot(served, imei) as device:
        reply = served.ask({**order(imei), field: "abc"})
        assert (reply["status"], reply["outcome"]) == ("400", "refused")
        assert reply["message"].startswith(says)
        assert (reply["imei"], reply["command"]) == (imei, None)
        served.ask({"imei": imei, "type": "stop"})
        assert device.seen == ["ST"]


def test_a_field_that_was_ignored_filters_no_list(served: Gateway) -> None:
    """D2: `history` with `status` gave an unfiltered list."""
    reply = served.ask({"type": "history", "status": "408"})
    assert (reply["status"], reply.get("items")) == ("400", None)
    assert reply["message"] == "status: unknown field; did you mean state?"
    reply = served.ask({"type": "devices", "search": "x"})
    assert reply["message"] == "search: unknown field; did you mean q?"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_refuses_what_it_does_not_know(served: Gateway, operation: str) -> None:
    """D2: `id` and `token` are of the envelope, and known everywhere."""
    reply = served.ask({"type": operation, "id": 7, "token": "of no use here", "odd": None})
    assert reply["status"] == "400"
    assert reply["message"].startswith("odd: unknown field; ")
    assert reply["id"] == 7


def test_over_tcp_and_http_too(served: Gateway, imei: str) -> None:
    """D2: control TCP, HTTP bodies and queries, and the control channel's words over HTTP."""
    secret = served.cli("token", "add", f"shop-{imei}", "--role", "command").stdout.strip()
    request = json.dumps({**order(imei), "order_no": "x", "token": secret})
    listens = served.ask({"type": "status"})["listen"]["control"]
    with socket.create_connection(address(listens[0])) as caller:
        caller.sendall(f"command{request}".encode())
        reply = json.loads(caller.makefile("rb").readline())
    assert reply["message"] == "order_no: unknown field; did you mean key?"
    body: dict[str, Any] = {"long": 5, "orderNo": "x"}
    status, found = post(served, secret, f"/api/devices/{imei}/start", json.dumps(body).encode())
    assert (status, found["detail"]) == (400, "orderNo: unknown field; did you mean key?")
    status, found = post(served, secret, "/api/command", f"command{request}".encode())
    assert (status, found["message"]) == (400, "order_no: unknown field; did you mean key?")
    assert found["outcome"] == "refused"


def test_a_batch_file_too(served: Gateway, imei: str) -> None:
    """D2: columns of CSV, and fields of JSON lines."""
    for text, says in (
        (f"imei,long,order_no\n{imei},5,x\n", "order_no: unknown column; did you mean key?"),
        (
            json.dumps({"imei": imei, "long": 5, "kye": "x"}),
            "kye: unknown field; did you mean key?",
        ),
    ):
        done = served.cli("start", "--from", "-", text=text)
        assert done.returncode == 2
        assert says in done.stderr
        assert "nothing was sent" in done.stderr


def test_a_start_without_a_key_is_a_400_where_keys_are_required(
    served: Gateway, imei: str
) -> None:
    """D2: [command] require_key. A stop needs none, and the CLI makes one of its own."""
    with Robot(served, imei) as device:
        for key in ({}, {"key": None}):
            reply = served.ask({"imei": imei, "type": "start", "long": 500, **key})
            assert (reply["status"], reply["outcome"]) == ("400", "refused")
            assert reply["message"].startswith("key: your order number expected")
        assert served.ask({"imei": imei, "type": "stop"})["status"] == "200"
        one = json.loads(served.cli("start", imei, "500", "--json").stdout)
        other = json.loads(served.cli("start", imei, "500", "--json").stdout)
        assert one["outcome"] == other["outcome"] == "done"
        assert one["key"].startswith("cli-")
        assert one["key"] != other["key"], "a random one each"
        batch = served.cli("start", "--from", "-", "--json", text=f"{imei},5\n")
        assert json.loads(batch.stdout)["key"].startswith("cli-")
        assert device.seen == ["ST", "QD500", "QD500", "QD5"]


def test_the_document_and_the_check_have_the_same_fields() -> None:
    """D2: one source. What an operation takes can be said over HTTP, and nothing else."""
    said: dict[str, set[str]] = {}
    for call in CALLS:
        if call.operation:
            fields = (*call.place, *call.query, *call.head, *call.json)
            said.setdefault(call.operation, set()).update(
                one.argument for one in fields if not one.form
            )
    for name, operation in OPERATIONS.items():
        if name in NO_CALL:
            assert name not in said
            continue
        assert said[name] == set(operation.fields) - ONLY_CONTROL.get(name, set()), name


def test_a_long_list_of_known_fields_is_given_where_none_is_near() -> None:
    assert unknown_field("q", ()) == "q: unknown field; known are none"
