"""An operator who confirms what a failover has lost, and what happened before that was noticed."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from faulting.judge import HELD_UP

from jepsen_lab.databases import Pair
from jepsen_lab.history import Devices
from jepsen_lab.node import Node
from jepsen_lab.said import say

LOOK_SECONDS = 0.1  # seconds between two looks whether a loss is reported
THINKS = (0.5, 3.0)  # seconds until the operator confirms it
# Seconds behind the promotion in which bytes may still arrive that were sent before it.
ON_THE_WAY = 0.5


@dataclass
class Failover:
    """`lost`: events that somebody was told of are not there any more."""

    at: float  # by the monotonic clock
    lost: int
    noticed: float | None = None  # when the database said so


class Operator:
    """Looks at the database, and confirms each loss that the nodes report."""

    def __init__(self, server: Pair, nodes: Sequence[Node], seed: int) -> None:
        self.failovers: list[Failover] = []
        self.confirmed = 0
        self._server = server
        self._nodes = nodes
        self._rng = random.Random(f"{seed} operator")
        self._ends = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def end(self) -> None:
        self._ends.set()

    def _run(self) -> None:
        while not self._ends.wait(LOOK_SECONDS):
            with contextlib.suppress(psycopg.Error):
                self._look()

    def _look(self) -> None:
        with psycopg.connect(self._server.url, autocommit=True) as conn:
            conn.execute("SET statement_timeout = '3s'")
            while not self._ends.wait(LOOK_SECONDS):
                row = conn.execute("SELECT lost FROM owner").fetchone()
                if row is None or row[0] is None:
                    continue
                now = time.monotonic()
                for one in self.failovers:
                    one.noticed = one.noticed or now
                say(f"loss: {row[0]}")
                self._ends.wait(self._rng.uniform(*THINKS))
                for node in self._rng.sample(list(self._nodes), len(self._nodes)):
                    with contextlib.suppress(OSError):
                        if node.ask({"type": "confirm_loss"})["message"].startswith("confirmed"):
                            self.confirmed += 1
                            break

    def judge(self, devices: Devices) -> list[str]:
        """Starts that reached a device after rows were lost, and before that was noticed."""
        found = []
        for one in self.failovers:
            if not one.lost:
                continue
            until = one.noticed
            if until is None:
                found.append(f"the loss of {one.lost} events at {one.at:.1f} was never noticed")
                continue
            found += [
                f"{imei} was started {at - one.at:.2f} s after the failover that lost {one.lost} "
                f"events, which was noticed after {until - one.at:.2f} s"
                for (imei, _), noted in devices.starts.items()
                for at in noted.came
                if one.at + ON_THE_WAY < at < until - LOOK_SECONDS
                and not any(0 < at - link < HELD_UP for link in devices.lost_links.get(imei, ()))
            ]
        return found
