"""Two nodes behind Debian's HAProxy, configured as docs/cluster.md says."""

from __future__ import annotations

import select
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.proxied import DEVICES, Fleet, program
from tests.e2e.caller import eventually, obey
from tests.e2e.device import WAIT_SECONDS, Device
from tests.e2e.harness import Gateway

HANGS_SECONDS = 60.0  # without a byte, and without an end; less than `timeout client`
DOWN_SECONDS = 4.0  # until HAProxy has found a node down: two checks, one a second
IMEIS = [f"8600000000000{number:02}" for number in range(8)]

pytestmark = pytest.mark.slow


@pytest.fixture
def fleet(postgres_url: str, tmp_path: Path) -> Iterator[Fleet]:
    running = Fleet(program(), postgres_url, tmp_path)
    try:
        running.run()
        running.nodes["a"].add_devices([{"imei": imei} for imei in IMEIS])
        for node in running.nodes.values():
            node.until(None, "devices", len(IMEIS))
        yield running
    finally:
        running.close()


@pytest.fixture
def devices(fleet: Fleet) -> Iterator[dict[str, Device]]:
    """All are registered through HAProxy."""
    found: dict[str, Device] = {}
    try:
        for imei in IMEIS:
            found[imei] = fleet.register(imei)
        yield found
    finally:
        for device in found.values():
            device.close()


def registered(node: Gateway) -> int:
    """How many devices that node has."""
    count: int = node.ask({"type": "status"})["registered"]
    return count


def ended(devices: Mapping[str, Device]) -> set[str]:
    """Whose connection is over: nothing else is ever to be read here."""
    readable, _, _ = select.select([device.socket for device in devices.values()], [], [], 0)
    return {imei for imei, device in devices.items() if device.socket in readable}


def come_back(fleet: Fleet, devices: dict[str, Device]) -> None:
    """Those whose connection is over register again."""
    for imei in ended(devices):
        devices[imei].expect_end()
        devices[imei].close()
        devices[imei] = fleet.register(imei)


def start(node: Gateway, device: Device, imei: str) -> str:
    """The status of a start that this node is asked for, and that the device obeys."""
    eventually(lambda: node.status(imei)["online"], bool)
    replies: list[dict[str, Any]] = []
    request = {"type": "start", "imei": imei, "long": 7}
    asking = threading.Thread(target=lambda: replies.append(node.ask(request)))
    asking.start()
    obey(device, imei, "QD7")
    asking.join()
    status: str = replies[0]["status"]
    return status


def test_devices_of_a_frozen_node_come_back_at_the_other_one(
    fleet: Fleet, devices: dict[str, Device]
) -> None:
    a, b = fleet.nodes["a"], fleet.nodes["b"]
    half = len(IMEIS) // 2
    assert (registered(a), registered(b)) == (half, half), "the least loaded node gets the next"
    for imei, device in devices.items():
        eventually(lambda imei=imei: a.status(imei)["online"], bool)  # type: ignore[misc]
        assert a.status(imei)["address"] == "{}:{}".format(*device.socket.getsockname())
        assert start(a, device, imei) == "200"

    b.signal(signal.SIGSTOP)
    eventually(lambda: len(ended(devices)), lambda count: count == half)
    come_back(fleet, devices)
    assert registered(a) == len(IMEIS)
    assert not ended(devices)
    for imei, device in devices.items():
        assert start(a, device, imei) == "200"

    eventually(lambda: listed(a), lambda nodes: not nodes["b"]["alive"])
    b.signal(signal.SIGCONT)
    assert b.wait() == 12, "it was declared dead"
    b.start()
    eventually(lambda: listed(a), lambda nodes: nodes["b"]["alive"])


def test_a_rolling_restart(fleet: Fleet, devices: dict[str, Device]) -> None:
    nodes = fleet.nodes
    for node, left, name in ((nodes["a"], nodes["b"], "a"), (nodes["b"], nodes["a"], "b")):
        assert left.cli("nodes", "drain", name).returncode == 0
        deadline = time.monotonic() + WAIT_SECONDS
        while registered(left) < len(IMEIS):
            assert time.monotonic() < deadline
            come_back(fleet, devices)
            time.sleep(0.05)
        assert registered(node) == 0
        node.terminate()
        for imei, device in devices.items():
            assert start(left, device, imei) == "200"
        assert not ended(devices)
        node.start()
        assert not listed(left)[name]["draining"]


def listed(node: Gateway) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in node.ask({"type": "nodes"})["items"]}


def test_no_device_is_left_hanging_while_the_last_node_goes_down(fleet: Fleet) -> None:
    """Each connection of that time is answered or ends, so that the device connects again. By
    default HAProxy tries the same node again after a second, and what it cuts at that moment stays
    open on the device's side."""
    for node in fleet.nodes.values():
        node.signal(signal.SIGKILL)
    opened: list[Device] = []
    try:
        until = time.monotonic() + DOWN_SECONDS
        while time.monotonic() < until:
            opened.append(device := Device(("127.0.0.1", fleet.ports[DEVICES])))
            with suppress(OSError):  # it is closed already
                device.send(f"023000{IMEIS[len(opened) % len(IMEIS)]}HT")
            time.sleep(0.02)
        hanging = [device for device in opened if not answered_or_over(device)]
        assert not hanging, f"{len(hanging)} of {len(opened)}"
    finally:
        for device in opened:
            device.close()
        for node in fleet.nodes.values():
            assert node.wait() == -signal.SIGKILL


def answered_or_over(device: Device) -> bool:
    """Whether there is something to read, be it the end."""
    readable, _, _ = select.select([device.socket], [], [], HANGS_SECONDS)
    return bool(readable)
