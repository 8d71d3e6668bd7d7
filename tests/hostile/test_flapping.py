"""Two connections compete for one IMEI: who pays must not start the attacker's."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.device import Device
from tests.e2e.harness import SAMPLE, Gateway, Settings, gateway, read_reply, request_bytes

KEY = "order-1"


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with gateway(
        {"device": {"flapping": {"takeovers": 5, "within": 8}}},
        devices=[{"imei": SAMPLE}, {"imei": "860000000000001"}],
    ) as running:
        yield running


@contextmanager
def competing(running: Gateway, imei: str, times: int = 5) -> Iterator[Device]:
    """Each takes over from the one before; the last one speaks for the device."""
    with ExitStack() as stack:
        devices = [stack.enter_context(running.register(imei)) for _ in range(times + 1)]
        yield devices[-1]


def test_starts_are_refused_while_two_connections_claim_the_imei(served: Gateway) -> None:
    """H1: 423, `why` is flapping, nothing is sent, and the key stays free."""
    with competing(served, SAMPLE) as last:
        order = {"imei": SAMPLE, "type": "start", "long": "60", "key": KEY}
        refused = served.ask(order)
        assert (refused["status"], refused["why"]) == ("423", "flapping")
        assert refused["outcome"] == "refused"
        assert refused["message"] == "two connections claim this IMEI; nothing was sent"
        record = served.ask({"type": "command", "command": refused["command"]})
        assert (record["status"], record["why"]) == ("423", "flapping")
        done = served.cli("start", SAMPLE, "60", "--key", "other")
        assert done.returncode == 14
        kept = served.ask({**order, "key": "kept", "expires": 60})
        assert kept["status"] == "423"
        # Nothing of it all reached the device; a stop does.
        with served.connect() as caller:
            caller.sendall(request_bytes({"imei": SAMPLE, "type": "stop"}))
            last.expect(f"023000{SAMPLE}ST")
            last.send(f"023200{SAMPLE}ST")
            assert read_reply(caller)["status"] == "200"
        last.expect(f"023200{SAMPLE}ST")
        # The burst is over after `within`; the same order with the same key goes out.
        while (again := served.ask({**order, "wait": False}))["status"] == "423":
            pass
        assert again["status"] == "000"
        last.expect(f"025000{SAMPLE}QD60")


def test_starts_are_sent_where_that_is_configured() -> None:
    """H1: `starts = "send"`."""
    flapping = {"takeovers": 2, "within": 60, "starts": "send"}
    with (
        gateway({"device": {"flapping": flapping}}, devices=[{"imei": SAMPLE}]) as running,
        competing(running, SAMPLE) as last,
    ):
        order = {"imei": SAMPLE, "type": "start", "long": "60", "wait": False}
        assert running.ask(order)["status"] == "000"
        last.expect(f"025000{SAMPLE}QD60")


def test_http_says_423() -> None:
    """H1: over HTTP the status is 423, with `why`."""
    settings: Settings = {
        "device": {"flapping": {"takeovers": 1, "within": 60}},
        "http": {"listen": "127.0.0.1:0"},
        "control": {"tokens": "tokens"},
    }
    with gateway(settings, devices=[{"imei": SAMPLE}]) as running:
        token = running.cli("token", "add", "shop", "--role", "command").stdout.split()[-1]
        [door] = running.ask({"type": "status"})["listen"]["http"]
        request = urllib.request.Request(
            f"http://{door}/api/devices/{SAMPLE}/start",
            b'{"long":60}',
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with (
            competing(running, SAMPLE, 2),
            pytest.raises(urllib.error.HTTPError) as caught,
        ):
            urllib.request.urlopen(request)
        assert caught.value.code == 423
        assert b'"why":"flapping"' in caught.value.read()
        caught.value.close()


def test_an_answer_from_a_new_address_is_marked() -> None:
    """H1: the record and `command.ended` say that another address has answered."""
    with gateway({"device": {"proxy_protocol": True}}, devices=[{"imei": SAMPLE}]) as running:

        def start(host: str) -> bool:
            with running.unregistered() as device:
                device.send(f"PROXY TCP4 {host} 127.0.0.1 5000 1\r\n023000{SAMPLE}HT")
                device.expect(f"023200{SAMPLE}HT")
                with running.connect() as caller:
                    caller.sendall(request_bytes({"imei": SAMPLE, "type": "start", "long": "5"}))
                    device.expect(f"024000{SAMPLE}QD5")
                    device.send(f"023200{SAMPLE}QD")
                    reply = read_reply(caller)
                record = running.ask({"type": "command", "command": reply["command"]})
                told = running.ask({"type": "events", "events": ["command.ended"], "limit": 100})
                assert told["items"][-1]["new_address"] is record["new_address"]
                return bool(record["new_address"])

        assert [start(host) for host in ("9.0.0.1", "9.0.0.1", "9.0.0.2", "9.0.0.2")] == [
            False, False, True, False,
        ]  # fmt: skip


def test_a_proxy_header_of_anybody_else_is_not_believed() -> None:
    """M10: a PROXY header of a peer that is not in `proxy_from` does not set the address."""
    with gateway(
        {"device": {"proxy_protocol": True, "proxy_from": ["10.9.8.7"]}},
        devices=[{"imei": SAMPLE}],
    ) as running:
        with running.unregistered() as device:
            assert (
                device.talk(f"PROXY TCP4 9.9.0.1 127.0.0.1 5 1\r\n023000{SAMPLE}HT".encode())
                == b""
            )
        assert running.ask({"type": "status"})["registered"] == 0
    with gateway(
        {"device": {"proxy_protocol": True, "proxy_from": ["127.0.0.0/8"]}},
        devices=[{"imei": SAMPLE}],
    ) as running:
        with running.unregistered() as device:
            device.send(f"PROXY TCP4 9.9.0.1 127.0.0.1 5 1\r\n023000{SAMPLE}HT")
            device.expect(f"023200{SAMPLE}HT")
        done = running.cli("serve", "--check", "--help")
        assert done.returncode == 0
