"""Two nodes as processes, on one PostgreSQL: what devices, callers and operators see of them."""

from __future__ import annotations

import signal
import socket
import threading

import pytest

from tests.cluster.nodes import A, B, claimed, events, in_the_background
from tests.e2e.caller import Caller, eventually, obey, settle
from tests.e2e.harness import Gateway


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
