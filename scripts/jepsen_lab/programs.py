"""All processes of one run: nodes, the network between them, load balancers, devices."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from crashing.processes import FIRST_IMEI, TIMEOUT_SECONDS, free_port
from script import Broken

from jepsen_lab.balancers import Balancer
from jepsen_lab.databases import Pair
from jepsen_lab.node import FENCED, Node

# The nodes, and whether devices come to them through HAProxy alone: acknowledgements are its own
# then, and other rules count for starts without an answer (docs/protocol.md).
NAMES = {"a": True, "b": True, "c": False}
BALANCERS = ("x", "y")
LEAVE = 1.5  # seconds between two starts of a node that ends by itself
KEEP = 0.1  # seconds between two looks for programs that have ended


class Programs:
    """Starts and ends them. What ends by itself is started again, as its machine would."""

    def __init__(
        self,
        folder: Path,
        server: Pair,
        devices: int,
        seed: int,
        calm: float,
        breach: Callable[[str], None],
    ) -> None:
        receiver = free_port()
        self.server = server
        self.nodes = [
            Node(name, folder / name, devices, seed, receiver, server.url_by, relayed=relayed)
            for name, relayed in NAMES.items()
        ]
        self.relayed = [node for node in self.nodes if node.relayed]
        self.balancers = [Balancer(name, folder, self.relayed) for name in BALANCERS]
        self.imeis = self.nodes[0].imeis
        self.record = folder / "seen.txt"
        self.record.touch()
        self.quiet = folder / "quiet"  # while it is there devices keep their links
        self.ends = threading.Event()
        self._folder = folder
        self._seed = seed
        self._calm = calm
        self._breach = breach
        self._fleet: subprocess.Popen[bytes] | None = None
        self._proxies: subprocess.Popen[str] | None = None
        self._proxy_lock = threading.Lock()
        self._keeping = threading.Lock()  # whoever starts or ends processes

    def begin(self, *, direct: bool = True) -> None:
        """Start everything. `direct`: devices come to the node without HAProxy as well."""
        self._begin_proxies()
        first = self.nodes[0]
        first.begin_receiver()
        for node in self.nodes:
            node.launch()
            node.ready()
        first.add_devices()
        first.make_token()
        for balancer in self.balancers:
            balancer.launch()
        ends = time.monotonic() + TIMEOUT_SECONDS
        for node in self.nodes:
            node.token = first.token
            while node.ready()["devices"] < len(self.imeis):  # the others learn that in a second
                if time.monotonic() > ends:
                    raise Broken(f"node {node.name} does not know the devices")
                time.sleep(0.05)
        self._begin_fleet(direct)
        threading.Thread(target=self._keep, daemon=True).start()

    def _begin_fleet(self, direct: bool) -> None:
        ports = [word for one in self.balancers for word in ("--port", str(one.port))]
        if direct:
            others = [node for node in self.nodes if not node.relayed]
            ports += [word for node in others for word in ("--port", str(node.port))]
        with (self._folder / "devices.log").open("ab") as log:
            self._fleet = subprocess.Popen(
                [sys.executable, "-m", "faulting.devices", "--record", str(self.record),
                 "--first", str(FIRST_IMEI), "--count", str(len(self.imeis)),
                 "--seed", str(self._seed), "--calm", str(self._calm),
                 "--quiet", str(self.quiet), *ports],
                env=dict(os.environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def _begin_proxies(self) -> None:
        servers = [word for place in self.server.sockets for word in ("--postgres", str(place))]
        places = []
        for node in self.nodes:
            doors = (node.device_door, node.port, node.http_door, node.http)
            ports = (node.outer, node.inner, *doors, *node.pg_ports)
            places += ["--node", ":".join(map(str, (node.name, *ports)))]
        self._proxies = subprocess.Popen(
            [sys.executable, "-m", "jepsen_lab.proxies", *servers, *places],
            env=dict(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._proxies.stdout is not None
        if self._proxies.stdout.readline() != "ready\n":
            raise Broken("the proxies do not start")

    def _tell_proxies(self, words: str) -> None:
        assert self._proxies is not None
        assert self._proxies.stdin is not None
        assert self._proxies.stdout is not None
        with self._proxy_lock:
            self._proxies.stdin.write(f"{words}\n")
            self._proxies.stdin.flush()
            if self._proxies.stdout.readline() != "done\n":
                raise Broken("the proxies have ended")

    def cut(self, links: Sequence[tuple[str, str]], how: str) -> None:
        """`how`: what is under way is kept (`hold`), packets are lost (`lose`), or connections are
        `reset`."""
        for source, target in links:
            self._tell_proxies(f"cut {source} {target} {how}")

    def mend(self) -> None:
        """All links work again."""
        self._tell_proxies("mend")

    def _keep(self) -> None:
        while not self.ends.wait(KEEP):
            for node in self.nodes:
                with self._keeping:
                    if node.wanted and not node.lives_on and not self.ends.is_set():
                        self._ended(node)
                        node.launch()
            if self._fleet is not None and self._fleet.poll():
                self._breach("the devices' program has ended: see devices.log")
            for balancer in self.balancers:
                with self._keeping:
                    if balancer.wanted and not balancer.lives_on and not self.ends.is_set():
                        balancer.launch()

    def _ended(self, node: Node) -> None:
        code = node.wait(0)
        if code in (-9, FENCED):
            node.ended["killed itself" if code == -9 else "fenced, or not able to start"] += 1
        else:
            self._breach(f"node {node.name} ended with {code}: {node.words()}")
        node.faults.clear()
        if code != -9:
            time.sleep(LEAVE)

    @contextlib.contextmanager
    def away(self, node: Node) -> Iterator[None]:
        """Whoever has it ends and starts this node itself."""
        with self._keeping:
            node.wanted = False
        try:
            yield
        finally:
            with self._keeping:
                if not node.lives_on and not self.ends.is_set():
                    node.launch()
                node.wanted = True

    def leave(self, node: Node) -> None:
        """The devices go for good, and this node dies with what is under way."""
        with self._keeping:
            node.wanted = False
            node.kill()
        fleet, self._fleet = self._fleet, None
        assert fleet is not None
        fleet.kill()
        fleet.wait(TIMEOUT_SECONDS)

    def end(self) -> None:
        """End them all, whatever they do at the moment."""
        self.ends.set()
        with self._keeping:
            for balancer in self.balancers:
                balancer.end()
            for node in self.nodes:
                node.end()
        for process in (self._fleet, self._proxies):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(TIMEOUT_SECONDS)
