"""How long it takes until a node that dies in some way is declared dead, and its devices start."""

from __future__ import annotations

import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
from crashing.processes import TIMEOUT_SECONDS, Json
from script import Broken

from jepsen_lab.kinds import all_links
from jepsen_lab.node import Node
from jepsen_lab.said import say

if TYPE_CHECKING:
    from jepsen_lab.lab import Lab

LOOK_SECONDS = 0.02  # seconds between two looks
SHARE = 6  # a victim has at least one in SHARE of all devices
LONGEST = 30.0  # seconds until the devices of a dead node can be started
STILL = 8.0  # seconds until what the links of devices do wrong is over


@contextmanager
def killed(lab: Lab, node: Node) -> Iterator[None]:
    """kill -9; its machine does not start it again."""
    with lab.away(node):
        node.kill()
        yield


@contextmanager
def frozen(lab: Lab, node: Node) -> Iterator[None]:
    """SIGSTOP, with a load balancer and no watchdog."""
    node.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        node.go_on()


@contextmanager
def parted(lab: Lab, node: Node) -> Iterator[None]:
    """Its machine has lost its network: no packet goes through."""
    lab.programs.cut(all_links(lab, node), "lose")
    try:
        yield
    finally:
        lab.programs.mend()


Kind = Callable[["Lab", Node], AbstractContextManager[None]]

KINDS: dict[str, Kind] = {
    "kill -9": killed,
    "SIGSTOP": frozen,
    "partition": parted,
}


def measure(lab: Lab, rounds: int) -> dict[str, object]:
    """Seconds from the fault, as median and range, for each kind: until the node is declared
    dead, and until the first and the last of its devices have been started by another node. All
    devices come through HAProxy."""
    lab.programs.begin(direct=False)
    found: dict[str, list[tuple[float | None, list[float]]]] = {name: [] for name in KINDS}
    for _ in range(rounds):
        for name, kind in KINDS.items():
            node = _victim(lab)
            say(f"{lab.seconds:7.1f} s {name} {node.name}")
            found[name].append(_one(lab, node, kind))
            lab.recover(name, lab.nodes)
    return {
        name: {
            "declared dead after s": _spread([dead for dead, _ in rows if dead is not None]),
            "first of its devices started after s": _spread([min(took) for _, took in rows]),
            "all of its devices started after s": _spread([max(took) for _, took in rows]),
            "devices": sum(len(took) for _, took in rows),
        }
        for name, rows in found.items()
    }


def _one(lab: Lab, node: Node, kind: Kind) -> tuple[float | None, list[float]]:
    incarnation, imeis = _devices(lab, node)
    others = [one for one in lab.nodes if one is not node]
    took: list[float] = []
    said: dict[str, Json] = {}  # the last reply of each that has not started
    dead: list[float] = []
    ends = threading.Event()

    def start(number: int, imei: str) -> None:
        asked = 0
        while time.monotonic() - began < LONGEST:
            asked += 1
            request = {"type": "start", "imei": imei, "long": 1, "key": f"{began}-{imei}-{asked}"}
            said[imei] = {"message": f"no reply to try {asked}"}
            with suppress(OSError):
                said[imei] = others[number % 2].ask(request)
            if said[imei].get("status") in ("200", "201", "202"):
                took.append(time.monotonic() - began)
                del said[imei]
                return
            time.sleep(LOOK_SECONDS)

    def look() -> None:
        query = "SELECT alive AND incarnation = %s FROM node WHERE id = %s"
        with psycopg.connect(lab.server.url, autocommit=True) as conn:
            while not ends.wait(LOOK_SECONDS):
                if conn.execute(query, (incarnation, node.name)).fetchone() == (False,):
                    dead.append(time.monotonic() - began)
                    return

    threads = [threading.Thread(target=start, args=pair, daemon=True) for pair in enumerate(imeis)]
    watching = threading.Thread(target=look, daemon=True)
    began = time.monotonic()
    watching.start()
    with kind(lab, node):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        watching.join(LONGEST)
    ends.set()
    for imei, reply in said.items():
        say(f"{imei} did not start, the last reply: {reply}")
    if said:
        lab.breach(f"{len(said)} devices of {node.name} did not start elsewhere")
    return (dead[0] if dead else None), took or [LONGEST]


def _victim(lab: Lab) -> Node:
    """A node that has its share of the devices, which are at rest."""
    lab.programs.quiet.unlink(missing_ok=True)
    node = lab.rng.choice(lab.programs.relayed)
    ends = time.monotonic() + 4 * TIMEOUT_SECONDS
    while True:
        while len(_devices(lab, node)[1]) * SHARE < len(lab.imeis):
            if time.monotonic() > ends:
                raise Broken(f"no devices come to node {node.name}")
            time.sleep(0.1)
        lab.programs.quiet.touch()
        time.sleep(STILL)
        if len(_devices(lab, node)[1]) * SHARE >= len(lab.imeis):
            return node
        lab.programs.quiet.unlink()


def _devices(lab: Lab, node: Node) -> tuple[int, list[str]]:
    """The incarnation of a node, and its devices."""
    with psycopg.connect(lab.server.url) as conn:
        [(incarnation,)] = conn.execute("SELECT incarnation FROM node WHERE id = %s", (node.name,))
        rows = conn.execute(
            "SELECT imei FROM presence WHERE online AND incarnation = %s", (incarnation,)
        ).fetchall()
    return incarnation, [imei for (imei,) in rows]


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "not at all"
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
