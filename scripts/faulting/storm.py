"""One storm: starts flow, one fault comes after the other, and the checker looks."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from crashing.processes import TIMEOUT_SECONDS
from crashing.watcher import Watcher
from script import Broken

from faulting.callers import StormBook, call
from faulting.judge import Judge
from faulting.world import StormWorld
from tests.faults.preload import Faults
from tests.postgres import Postgres

CALM = (0.2, 2.0)  # seconds between the recovery from one fault and the next one
CHECK_FIRST, CHECK_EVERY = 40.0, 150.0  # seconds until the first checkpoint; between later ones
CHECK_PLANT = 40.0  # ... where a planted fault is to be found
MAX_PRINTED = 25  # breaches that are told at once; the others are counted
MORE_SECONDS = 600.0  # beyond SETTLE, for a webhook that gets on
SETTLE = 120.0  # seconds in which all callers must know what became of their orders


class Skip(Exception):
    """This fault cannot be made here. Says why."""


@dataclass
class Fault:
    """`run` makes it and waits until its cause is gone. `may_end`: the gateway may end by it."""

    name: str
    weight: float
    run: Callable[[Storm], object]
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    may_end: bool = False


@dataclass(eq=False)
class Storm:
    world: StormWorld
    faults: Faults
    seed: int
    kind: str  # "sqlite" or "postgresql"
    server: Postgres | None = None
    callers: int = 24
    breaches: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)  # by a fault that may do so
    closed: list[tuple[float, float, str]] = field(default_factory=list)  # no start may go out

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.book = StormBook(f"run{self.seed}", self.world.imeis, self.seed)
        self.judge = Judge(self)
        self.began = time.monotonic()
        self.found_after: float | None = None
        self.rested = 0  # the newest event when everything was at rest

    def breach(self, sentence: str) -> None:
        sentence = f"{time.monotonic() - self.began:7.1f} s: {sentence}"
        if self.found_after is None:
            self.found_after = time.monotonic() - self.began
        self.breaches.append(sentence)
        if len(self.breaches) <= MAX_PRINTED:
            say(f"BREACH {sentence}")

    def run(self, seconds: float, faults: list[Fault], *, stop_at_breach: bool = False) -> None:
        """Begin all programs, make faults for that long, and look at everything at the end."""
        self.begin()
        ends = self.began + seconds
        check = self.began + min(CHECK_FIRST, seconds / 2)
        left = list(faults)
        while left and (time.monotonic() < ends or not self.done):
            time.sleep(self.rng.uniform(*CALM))
            fault = self.rng.choices(left, [fault.weight for fault in left])[0]
            self._make(fault, left)
            if time.monotonic() > check:
                self.check()
                check = time.monotonic() + (CHECK_PLANT if stop_at_breach else CHECK_EVERY)
            if stop_at_breach and self.breaches:
                break
        self.book.closed = True
        self.check()
        self.world.faults.clear()
        if not self.world.lives_on:
            self.breach("the process is not there at the end")

    def begin(self) -> None:
        """Start everything; return when starts flow."""
        world = self.world
        if not (world.folder / "devices.csv").exists():
            world.add_devices()
        world.make_token()
        world.begin_receiver()
        world.launch()
        world.ready()
        world.begin_fleet()
        self.watcher = Watcher(world, 0)
        for number in range(self.callers):
            threading.Thread(target=call, args=(world, self.book, number), daemon=True).start()
        ends = time.monotonic() + TIMEOUT_SECONDS
        while self.book.taken < 2 * len(world.imeis):
            if time.monotonic() > ends:
                raise Broken("no starts flow")
            time.sleep(0.02)

    def _make(self, fault: Fault, left: list[Fault]) -> None:
        began = time.monotonic()
        try:
            fault.run(self)
        except Skip as why:
            self.skipped[fault.name] = str(why)
            left.remove(fault)
            return
        self.done[fault.name] += 1
        self.recover(fault)
        took = time.monotonic() - began
        if took > 30:
            say(f"{fault.name} and the recovery from it took {took:.0f} s")

    def recover(self, fault: Fault) -> None:
        """The cause is gone: the gateway must be well again, or is started again if it ended."""
        self.faults.clear()
        world = self.world
        wrong = world.well()
        if not wrong:
            return
        if not world.lives_on and fault.may_end:
            self.ended[fault.name] += 1
        else:
            self.breach(f"after the fault `{fault.name}` {wrong}")
        if world.lives_on:
            world.kill()
        self.relaunch()

    def relaunch(self) -> None:
        world = self.world
        world.launch()
        if wrong := world.well(TIMEOUT_SECONDS):
            if world.lives_on:
                world.kill()
            raise Broken(f"the gateway does not come back: {wrong}")

    def check(self) -> None:
        """Let everything come to rest, and compare."""
        if not self.book.pause(SETTLE):
            self.breach(
                f"{self.book.busy} callers do not come to know what became of their orders"
            )
        try:
            self._rest()
            self.judge.look()
        finally:
            self.book.flows.set()
        spent = time.monotonic() - self.began
        say(
            f"{spent:5.0f} s: {self.done.total()} faults, {len(self.book.orders)} orders, "
            f"{self.judge.seen} starts seen by devices, {len(self.breaches)} breaches"
        )

    def _rest(self) -> None:
        """Until nothing waits or is in flight, the watcher has all and so has the receiver."""
        world, position = self.world, -1
        ends = end = time.monotonic() + SETTLE
        while True:
            try:
                status = world.ask({"type": "status"})
                hook = world.ask({"type": "webhooks"})["items"][0]
            except (OSError, KeyError) as err:
                status, hook = {"in_flight": repr(err)}, {}
            else:
                last = status["last_event"]
                busy = status["in_flight"] or status["waiting"] or hook["lag"]
                if hook["position"] > position:  # a busy machine posts slowly; it gets on
                    position = hook["position"]
                    ends = min(time.monotonic() + SETTLE, end + MORE_SECONDS)
                if not busy and self.watcher.last >= last:
                    self.rested = last
                    return
            if time.monotonic() > ends:
                self.breach(f"no rest: {status}, {hook}, watcher at {self.watcher.last}")
                return
            time.sleep(0.05)


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
