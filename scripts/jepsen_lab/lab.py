"""One run: three nodes, devices and callers; one fault comes after the other, and the judge
looks."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from crashing.processes import TIMEOUT_SECONDS
from crashing.verdict import Verdict
from script import Broken

from jepsen_lab.callers import LabBook, call
from jepsen_lab.databases import Pair
from jepsen_lab.history import Devices
from jepsen_lab.kinds import Fault
from jepsen_lab.looking import Looks
from jepsen_lab.losses import Failover, Operator
from jepsen_lab.node import Node
from jepsen_lab.programs import Programs
from jepsen_lab.proxies import LB
from jepsen_lab.said import say

CALM = (0.3, 3.0)  # seconds between the recovery from one fault and the next one
TOGETHER = 0.2  # share of faults during which another one is made
WELL = 30.0  # seconds until a node is well once nothing is wrong any more; the machine is busy
MAX_PRINTED = 25


class Lab:
    """`rng` is for faults alone: with one seed they come in the same order, not at the same
    moments. `pause` is that of a caller between two orders, in seconds and in the mean."""

    def __init__(
        self,
        folder: Path,
        server: Pair,
        devices: int,
        callers: int,
        seed: int,
        calm: float,
        pause: float,
    ) -> None:
        self.folder = folder
        self.server = server
        self.rng = random.Random(seed)
        self.seed = seed
        self.programs = Programs(folder, server, devices, seed, calm, self.breach)
        self.nodes = self.programs.nodes
        self.imeis = self.programs.imeis
        self.book = LabBook(f"run{seed}", self.imeis, seed)
        self.breaches: list[str] = []
        self.forgotten: list[str] = []  # what an asynchronous replica has lost
        self.done: Counter[str] = Counter()
        # From when to when a node stood still before a first byte, or a node's clock was wrong.
        self.frozen: list[tuple[float, float]] = []
        self.cut_off: list[tuple[float, float]] = []  # a node from the load balancers
        self.operator = Operator(server, self.nodes, seed)
        self.looks: Looks | None = None  # once starts flow
        self._callers = callers
        self._pause = pause
        self._said: set[str] = set()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    def breach(self, sentence: str) -> None:
        """Something is not as a cluster promises. Reported once."""
        if sentence in self._said:
            return
        self._said.add(sentence)
        self.breaches.append(sentence)
        if len(self.breaches) <= MAX_PRINTED:
            say(f"BREACH {self.seconds:7.1f} s: {sentence}")

    def judged(self, verdict: Verdict, devices: Devices) -> None:
        """All that the judge has found. An asynchronous replica may lose rows, but no start may
        come twice."""
        for sentence in verdict.doubled:
            self.breach(f"doubled: {sentence}")
        rest = [*verdict.lost, *verdict.other]
        if self.operator.confirmed and not self.server.synchronous:
            self.forgotten = rest
        else:
            for sentence in rest:
                self.breach(sentence)
        for sentence in self.operator.judge(devices):
            self.breach(f"loss: {sentence}")
        if self.server.synchronous and self.operator.confirmed:
            self.breach("rows were lost, although the replica is synchronous")

    def begin(self) -> None:
        """Start everything; return when starts flow."""
        self.programs.begin()
        self.looks = Looks(self)
        for number in range(self._callers):
            threading.Thread(
                target=call, args=(self.nodes, self.book, number, self._pause), daemon=True
            ).start()
        ends = time.monotonic() + TIMEOUT_SECONDS
        while self.book.taken < len(self.imeis):
            if time.monotonic() > ends:
                raise Broken("no starts flow")
            time.sleep(0.02)

    def end(self) -> None:
        """End all programs, whatever they do at the moment."""
        self.operator.end()
        self.programs.end()

    def run(self, seconds: float, kinds: Sequence[Fault], check_every: float) -> None:
        """Make faults for that long; look at everything from time to time, and at the end."""
        self.begin()
        assert self.looks is not None, "it has begun"
        ends = time.monotonic() + seconds
        check = time.monotonic() + check_every
        while time.monotonic() < ends:
            time.sleep(self.rng.uniform(*CALM))
            self._make(kinds)
            if time.monotonic() > check and ends - time.monotonic() > check_every / 2:
                self.looks.check()
                self.programs.quiet.unlink()
                self.book.flows.set()
                check = time.monotonic() + check_every
        self.looks.check()
        self.looks.leave()

    def figures(self) -> dict[str, object]:
        """What was done, and what was found."""
        looks = self.looks
        losses = [
            {"events": one.lost, "noticed after s": one.noticed and round(one.noticed - one.at, 2)}
            for one in self.operator.failovers
            if one.lost
        ]
        return {
            "faults": {"in all": self.done.total(), **self.done},
            "nodes ended by themselves": {node.name: dict(node.ended) for node in self.nodes},
            "all devices again after s": [
                round(seconds, 1) for seconds in (looks.again if looks else ())
            ],
            "failovers that lost events": losses,
            "losses confirmed": self.operator.confirmed,
            "not whole after losses": len(self.forgotten),
            "for example": self.forgotten[:5],
            **(looks.verdict.figures if looks else {}),
        }

    # Faults

    def _make(self, kinds: Sequence[Fault]) -> None:
        made = self._chosen(kinds)
        others = [kind for kind in kinds if kind.with_others]
        if made.with_others and self.rng.random() < TOGETHER:
            other = self._chosen(others)
            first, second = self.rng.sample(self.nodes, 2)
            thread = threading.Thread(target=self._guarded, args=(other, second), daemon=True)
            thread.start()
            self._guarded(made, first)
            thread.join()
        else:
            self._guarded(made, self.rng.choice(self.nodes))
        self.recover(made.name, self.nodes)

    def _chosen(self, kinds: Sequence[Fault]) -> Fault:
        return self.rng.choices(kinds, [kind.weight for kind in kinds])[0]

    def _guarded(self, kind: Fault, node: Node) -> None:
        say(f"{self.seconds:7.1f} s {kind.name} {node.name}")
        try:
            kind.run(self, node)
        except Exception as err:
            self.breach(f"the lab itself: {kind.name}: {err!r}")
        self.done[kind.name] += 1

    def away(self, node: Node) -> AbstractContextManager[None]:
        """Whoever has it ends and starts this node itself."""
        return self.programs.away(node)

    def cut(self, links: Sequence[tuple[str, str]]) -> None:
        """Cut these for some seconds."""
        began = time.monotonic()
        self.programs.cut(links, self.rng.choice(["hold", "lose", "reset"]))
        time.sleep(self.rng.uniform(0.5, 9))
        self.programs.mend()
        if any(source == LB for source, _ in links):
            self.cut_off.append((began, time.monotonic()))

    def fail_over(self) -> None:
        """To the replica; what of it has been told and is lost is noted."""
        looks = self.looks
        assert looks is not None, "it has begun"

        def promotes(newest: int) -> None:
            lost = max(0, looks.watcher.last - newest)
            self.operator.failovers.append(Failover(time.monotonic(), lost))

        self.server.fail_over(self.rng, promotes)

    def recover(self, after: str, nodes: Sequence[Node]) -> None:
        """The cause is gone: all nodes must be well within WELL."""
        ends = time.monotonic() + WELL
        for node in nodes:
            while True:
                status = node.status() if node.lives_on else None
                if status is not None and status["store"] == "ok":
                    break
                if time.monotonic() > ends:
                    said = status["store"] if status else "it does not answer"
                    self.breach(f"node {node.name} is not well after {after}: {said}")
                    node.kill()  # and is started again
                    ends = time.monotonic() + WELL
                time.sleep(0.05)
