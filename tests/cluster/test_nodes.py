"""Two nodes as processes, on one PostgreSQL: what devices, callers and operators see of them."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.e2e.caller import Caller, eventually, obey, settle
from tests.e2e.harness import Gateway, Json, gateway
from tests.postgres import Postgres

A, B, C = "860000000000001", "860000000000002", "860000000000003"
D = "860000000000004"  # that no node knows at first
DEVICES = [{"imei": imei} for imei in (A, B, C)]


@contextmanager
def node(
    name: str, url: str, devices: Sequence[Json] | None = None, **settings: Any
) -> Iterator[Gateway]:
    with gateway({"cluster": {"node": name}, **settings}, store=url, devices=devices) as running:
        yield running


@pytest.fixture
def two(postgres: Postgres) -> Iterator[tuple[Gateway, Gateway]]:
    url = postgres.create_database()
    with ExitStack() as stack:
        a = stack.enter_context(node("a", url, DEVICES))
        b = stack.enter_context(node("b", url))
        yield a, b


def claimed(node: Gateway, imei: str) -> None:
    """Return once the device takes commands there."""
    eventually(lambda: node.status(imei), lambda status: bool(status["online"]))


def events(node: Gateway, **more: object) -> list[tuple[int, str]]:
    reply = node.ask({"type": "events", "limit": 500, "after": 0, **more})
    return [(event["event"], event["type"]) for event in reply["items"]]


def in_the_background(node: Gateway, **request: object) -> Any:
    """Ask; returns a function that waits for the reply."""
    replies: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: replies.append(node.ask(request)))
    thread.start()

    def reply() -> dict[str, Any]:
        thread.join()
        [found] = replies
        return found

    return reply


def test_a_start_at_the_other_node_reaches_the_device(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    with a.register(A) as device:
        claimed(b, A)
        reply = in_the_background(b, type="start", imei=A, long=7, key="k")
        obey(device, A, "QD7")
        found = reply()
        assert (found["status"], found["outcome"]) == ("200", "done")
        for one in two:  # the key, wherever it is asked for
            again = one.ask({"type": "start", "imei": A, "long": 7, "key": "k"})
            assert (again["status"], again["command"]) == ("200", found["command"])
        other = b.ask({"type": "start", "imei": A, "long": 8, "key": "k"})
        assert (other["status"], other["outcome"]) == ("409", "conflict")
        device.expect_nothing(A)
        assert events(b)[-3:] == events(a)[-3:]
        numbers = [n for n, _ in events(a)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_device_that_is_nowhere_is_404_at_each(two: tuple[Gateway, Gateway]) -> None:
    for one in two:
        assert one.ask({"type": "start", "imei": B, "long": 5})["status"] == "404"


def test_a_result_at_another_node_settles_the_command(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    with a.register(A) as first:
        reply = in_the_background(a, type="start", imei=A, long=7)
        first.expect(f"024000{A}QD7")
        with b.register(A) as second:
            first.expect_end()
            settle(second, A, "QD7")
            found = reply()
            assert (found["status"], found["late"]) == ("200", False)
            assert b.status(A)["last"]["command"] == found["command"]
    names = [name for _, name in events(b, imei=A)]
    online = [name for name in names if name.startswith("device.") and name != "device.added"]
    assert online[:2] == ["device.online", "device.taken_over"]


def test_a_start_that_waits_goes_out_where_the_device_registers(
    two: tuple[Gateway, Gateway],
) -> None:
    a, b = two
    with b.register(A) as device:
        claimed(b, A)
        device.close()
    eventually(lambda: b.status(A), lambda status: not status["online"])
    with Caller(a) as waiting:
        waiting.send(type="start", imei=A, long=9, expires=60)
        eventually(
            lambda: b.ask({"type": "history", "imei": A, "limit": 1})["items"],
            lambda found: bool(found) and found[0]["state"] == "waiting",
        )
        with b.register(A) as device:
            obey(device, A, "QD9")
            assert waiting.line()["status"] == "200"


def test_what_a_killed_node_had_sent_is_unknown_and_settled_late(
    two: tuple[Gateway, Gateway],
) -> None:
    a, b = two
    with a.register(A) as device:
        thread = in_the_background_that_dies(a, type="start", imei=A, long=11, key="k")
        device.expect(f"025000{A}QD11")
        a.kill()
        thread.join()
    found = eventually(
        lambda: b.ask({"type": "history", "imei": A, "limit": 1})["items"][0],
        lambda record: bool(record["status"] == "408"),
    )
    assert found["outcome"] == "unknown"
    eventually(lambda: b.status(A), lambda status: not status["online"])
    with b.register(A) as device:
        claimed(b, A)
        settle(device, A, "QD11")
        again = {"type": "start", "imei": A, "long": 11, "key": "k"}
        found = eventually(lambda: b.ask(again), lambda reply: bool(reply["late"]))
        assert found["status"] == "200"
        # The next one is not misjudged by it.
        reply = in_the_background(b, type="start", imei=A, long=12)
        obey(device, A, "QD12")
        assert reply()["status"] == "200"
    a.start()
    assert [name for _, name in events(a, imei=A)].count("command.late") == 1


def in_the_background_that_dies(node: Gateway, **request: object) -> threading.Thread:
    def ask() -> None:
        with pytest.raises(ConnectionError):
            node.ask(request)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_a_frozen_node_ends_and_its_devices_come_back_elsewhere(
    two: tuple[Gateway, Gateway],
) -> None:
    a, b = two
    with a.register(A):
        claimed(a, A)
        a.signal(signal.SIGSTOP)
        b.logged("node declared dead", '"a"')
        with b.register(A) as device:
            reply = in_the_background(b, type="start", imei=A, long=5)
            obey(device, A, "QD5")
            assert reply()["status"] == "200"
        a.signal(signal.SIGCONT)
        assert a.wait() == 12
        assert "declared dead" in a.log()
        a.killed = True


def test_a_node_that_stops_leaves_at_once(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    with a.register(A), Caller(b) as watcher:
        claimed(a, A)
        watcher.follow(type="watch", after=0)
        a.terminate()
        found = watcher.until(lambda event: event["type"] == "device.offline")
        assert found[-1]["reason"] == "the gateway stops"
        with b.register(A) as device:
            reply = in_the_background(b, type="start", imei=A, long=5)
            obey(device, A, "QD5")
            assert reply()["status"] == "200"


def test_devices_and_webhooks_are_changed_at_the_leader_from_each_node(
    two: tuple[Gateway, Gateway],
) -> None:
    for one, imei in zip(two, ("860000000000011", "860000000000012"), strict=True):
        assert one.ask({"type": "add", "imei": imei, "name": "hall"})["status"] == "200"
        assert one.ask({"type": "device", "imei": imei})["name"] == "hall"
    for one in two:
        eventually(lambda one=one: one.ask({"type": "status"}), lambda s: s["devices"] == 5)  # type: ignore[misc]
    added = [n for n, name in events(two[0], events=["device.added"])]
    assert len(added) == len(set(added))


def test_a_tap_follows_a_device_of_another_node(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    with a.register(A) as device, Caller(b) as tap:
        claimed(a, A)
        assert tap.follow(type="tap", imei=A)["status"] == "200"
        device.send(f"023000{A}TN")
        frames = tap.until(lambda line: line.get("direction") == "in")
        assert frames[-1]["bytes"] == f"023000{A}TN"


def test_a_drained_node_sends_its_devices_to_the_others(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    with a.register(A) as device, Caller(b) as waiting:
        claimed(a, A)
        with a.register(B) as busy:
            claimed(b, B)
            waiting.send(type="start", imei=B, long=7)
            busy.expect(f"024000{B}QD7")
            assert b.ask({"type": "node_drain", "node": "a"})["status"] == "200"
            device.expect_end()
            # What is in flight has its answer first; then that one goes, too.
            settle(busy, B, "QD7")
            assert waiting.line()["status"] == "200"
            busy.expect_end()
    assert not opens(a)
    with b.register(A) as device:
        claimed(a, A)
        waited = in_the_background(a, type="start", imei=A, long=5)
        obey(device, A, "QD5")
        assert waited()["status"] == "200"
    assert b.ask({"type": "node_drain", "node": "a", "draining": False})["status"] == "200"
    eventually(lambda: opens(a), lambda there: there)


def opens(node: Gateway) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(node.device) == 0


def test_a_change_of_a_device_is_told_once(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    a.add_devices([{"imei": "860000000000021"}])
    for one in two:
        eventually(lambda one=one: one.ask({"type": "status"})["devices"], lambda n: n == 4)  # type: ignore[misc]
    assert b.ask({"type": "edit", "imei": A, "name": "hall"})["status"] == "200"
    told = eventually(
        lambda: events(b, events=["device.changed"], imei=A), lambda found: bool(found)
    )
    assert len(told) == 1
    assert len(events(a, events=["device.added"], imei="860000000000021")) == 1


def test_a_change_of_a_device_is_in_force_at_the_node_that_has_it(
    two: tuple[Gateway, Gateway],
) -> None:
    """Neither node has loaded any device."""
    a, b = two
    with b.register(A) as device:
        claimed(a, A)
        assert a.ask({"type": "edit", "imei": A, "phone": "110"})["status"] == "200"

        def phone() -> bytes:
            device.send(f"023000{A}TN")
            return device.read(int(device.read(3)) - 3)

        eventually(phone, lambda said: said == f"200{A}TN110".encode())
        assert a.ask({"type": "edit", "imei": A, "enabled": False})["status"] == "200"
        device.expect_end()
    for node in two:
        with node.unregistered() as device:
            device.send(f"023000{A}HT")
            device.expect(f"023401{A}HT")
    assert b.ask({"type": "remove", "imei": A})["status"] == "200"
    for node in two:

        def answer(node: Gateway = node) -> bytes:
            with node.unregistered() as device:
                device.send(f"023000{A}HT")
                return device.read(6)

        eventually(answer, lambda said: said == b"023300")


def test_a_duration_is_none_for_a_device_that_counts_times(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    assert a.ask({"type": "add", "imei": D, "unit": "times"})["status"] == "200"
    order = {"type": "start", "imei": D, "long": 5, "unit": "seconds"}
    for node in two:  # nobody has it
        assert node.ask(order)["status"] == "400"
    with a.register(D):
        claimed(b, D)
        assert [node.ask(order)["status"] for node in two] == ["400", "400"]


def test_each_node_lists_the_devices_of_all(two: tuple[Gateway, Gateway]) -> None:
    a, b = two
    with a.register(A) as device, b.register(B):
        claimed(b, A)
        claimed(a, B)
        waited = in_the_background(a, type="start", imei=A, long=300)
        obey(device, A, "QD300")
        assert waited()["status"] == "200"
        for one in two:
            found = one.ask({"type": "devices", "online": True})["items"]
            assert [item["imei"] for item in found] == [A, B]
            assert all(item["online"] for item in found)
            [running] = one.ask({"type": "devices", "running": True})["items"]
            assert (running["imei"], bool(running["running_until"])) == (A, True)
            eventually(
                lambda one=one: one.ask({"type": "fleet"}),  # type: ignore[misc]
                lambda fleet: (fleet["online"], fleet["running"]) == (2, 1),
            )


def test_a_file_that_is_another_one_than_the_others_is_refused(postgres: Postgres) -> None:
    url = postgres.create_database()
    key = b"x" * 43 + b"="
    with gateway({"cluster": {"node": "a"}}, store=url, files={"devgate.key": key}) as a:
        other = Gateway({"cluster": {"node": "b"}}, store=url)
        done = other.cli("serve")
        assert done.returncode == 2
        assert "[store] key_file: the other nodes have this file" in done.stderr
        (other.folder / "devgate.key").write_bytes(key[1:] + b"y")
        done = other.cli("serve")
        assert "another one than that of the other nodes: copy it" in done.stderr
        (other.folder / "devgate.key").write_bytes(key)
        other.start()
        other.terminate()
        assert a.ask({"type": "status"})["status"] == "200"


def test_a_request_that_is_none_is_refused_before_a_node_is_looked_for(
    two: tuple[Gateway, Gateway],
) -> None:
    wrong: list[dict[str, object]] = [
        {"type": "status", "imei": "\0"},
        {"type": "device", "imei": "8600000000000011"},
        {"type": "tap", "imei": 860000000000001},
        {"type": "cancel", "command": "\0"},
        {"type": "cancel", "command": "\ud800"},
        {"type": ["status"]},
    ]
    for one in two:
        for request in wrong:
            assert one.ask(request)["status"] == "400", request
