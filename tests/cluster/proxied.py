"""Two nodes behind a HAProxy that has the configuration of docs/cluster.md."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.docs.pages import CLUSTER, blocks
from tests.e2e.caller import eventually
from tests.e2e.device import Device
from tests.e2e.harness import Gateway, gateway

DEVICES, WEB = "12306", "8010"  # HAProxy's own ports on the page
NODES = {"a": ("12311", "8011"), "b": ("12312", "8012")}  # for devices, and for HTTP


def program() -> str:
    """HAProxy. Skips the test where it is not installed."""
    found = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("HAProxy is not installed, and CI must test with it")
        pytest.skip("HAProxy is not installed (Debian: apt-get install haproxy)")
    return found


class Fleet:
    """The nodes by name, and HAProxy in front of them."""

    def __init__(self, program: str, store: str, folder: Path) -> None:
        names = [DEVICES, WEB, *(port for ports in NODES.values() for port in ports)]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        [written] = blocks(CLUSTER, "haproxy")
        self.config, self.log = folder / "haproxy.cfg", folder / "haproxy.log"
        self.config.write_text(
            re.sub(r"\b(?:" + "|".join(names) + r")\b", lambda m: str(self.ports[m[0]]), written)
        )
        self.nodes: dict[str, Gateway] = {}
        self._program = program
        self._store = store
        self._stack = ExitStack()

    def run(self) -> None:
        for name in NODES:
            self.nodes[name] = self._stack.enter_context(self.node(name))
        with self.log.open("ab") as log:
            proxy = subprocess.Popen([self._program, "-db", "-f", self.config], stderr=log)
        self._stack.callback(proxy.wait)
        self._stack.callback(proxy.terminate)
        eventually(lambda: self.reached() or proxy.poll() is not None, bool)
        assert proxy.poll() is None, self.log.read_text()

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def node(self, name: str) -> Iterator[Gateway]:
        """Settings are those of the page, too."""
        device, web = (f"127.0.0.1:{self.ports[port]}" for port in NODES[name])
        settings: dict[str, dict[str, object]] = {
            "cluster": {"node": name},
            "device": {"listen": device, "proxy_protocol": True, "proxy_from": ["127.0.0.1"]},
            "http": {"listen": web, "proxies": ["127.0.0.1"]},
            "control": {"tokens": "tokens"},
        }
        with gateway(settings, store=self._store, files={"tokens": b""}) as running:
            yield running

    def reached(self) -> bool:
        """HAProxy leads to a node."""
        try:
            return (
                httpx.get(f"http://127.0.0.1:{self.ports[WEB]}/readyz", verify=False).status_code
                == 200
            )
        except httpx.HTTPError:
            return False

    def register(self, imei: str) -> Device:
        """A device that comes through HAProxy, as often as it takes."""
        return eventually(lambda: self._register(imei), lambda device: device is not None)  # type: ignore[return-value]

    def _register(self, imei: str) -> Device | None:
        device = Device(("127.0.0.1", self.ports[DEVICES]))
        try:
            device.send(f"023000{imei}HT")
            if device.read(23) == f"023200{imei}HT".encode():
                return device
        except OSError:
            pass
        device.close()
        return None


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in socks]
