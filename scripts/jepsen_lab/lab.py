"""One run: three nodes, devices and callers; one fault comes after the other, and the judge
looks."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from crashing.processes import FIRST, PATIENCE, Broken, free_port
from crashing.verdict import Verdict
from crashing.watcher import Watcher

from jepsen_lab.callers import Anywhere, LabBook, ask, call
from jepsen_lab.history import (
    Came,
    History,
    newest_event,
    read_devices,
    read_events,
    read_records,
    wall_ahead,
)
from jepsen_lab.judge import judge
from jepsen_lab.kinds import Fault
from jepsen_lab.node import FENCED, Node
from tests.postgres import Postgres

NAMES = ("a", "b", "c")
CALM = (0.3, 3.0)  # seconds between the recovery from one fault and the next one
TOGETHER = 0.2  # share of faults during which another one is made
WELL = 30.0  # seconds until a node is well once nothing is wrong any more; the machine is busy
AGAIN = 15.0  # seconds after the last fault until every device has had a start
SETTLE = 90.0  # seconds in which all callers come to know what became of their orders
LEFT = 40.0  # seconds until nothing is open of devices and of a node that are gone for good
LEAVE = 1.5  # seconds between two starts of a node that ends by itself
MOST_SAID = 25
OPEN = "state <> 'ended'"


class Lab:
    """`rng` is for faults alone: with one seed they come in the same order, not at the same
    moments."""

    def __init__(
        self, folder: Path, server: Postgres, devices: int, callers: int, seed: int, calm: float
    ) -> None:
        self.server = server
        self.rng = random.Random(seed)
        self.seed = seed
        self.callers = callers
        self.calm = calm
        self.url = server.create_database()
        receiver = free_port()
        options = self.url.partition("?")[2].partition("&")[2]
        self.nodes = [
            Node(name, folder / name, devices, seed, receiver, options) for name in NAMES
        ]
        self.imeis = self.nodes[0].imeis
        self.record = folder / "seen.txt"
        self.record.touch()
        self.came = Came(self.record)
        self.book = LabBook(f"run{seed}", self.imeis, seed)
        self.breaches: list[str] = []
        self.done: Counter[str] = Counter()
        self.frozen: list[tuple[float, float]] = []
        self.again: list[float] = []  # how long the devices took after the last fault
        self.verdict = Verdict()
        self._folder = folder
        self._quiet = folder / "quiet"  # while it is there devices keep their links
        self._said: set[str] = set()
        self._began = time.monotonic()
        self._fleet: subprocess.Popen[bytes] | None = None
        self._proxies: subprocess.Popen[str] | None = None
        self._proxy_lock = threading.Lock()
        self._keeping = threading.Lock()  # whoever starts or ends processes
        self._ends = threading.Event()

    def breach(self, sentence: str) -> None:
        if sentence in self._said:
            return
        self._said.add(sentence)
        self.breaches.append(sentence)
        if len(self.breaches) <= MOST_SAID:
            say(f"BREACH {time.monotonic() - self._began:7.1f} s: {sentence}")

    # Processes

    def begin(self) -> None:
        """Start everything; return when starts flow."""
        self._begin_proxies()
        first = self.nodes[0]
        first.begin_receiver()
        for node in self.nodes:
            node.launch()
            node.ready()
        first.add_devices()
        first.make_token()
        ends = time.monotonic() + PATIENCE
        for node in self.nodes:
            node.token = first.token
            while node.ready()["devices"] < len(self.imeis):  # the others learn that in a second
                if time.monotonic() > ends:
                    raise Broken(f"node {node.name} does not know the devices")
                time.sleep(0.05)
        self._begin_fleet()
        threading.Thread(target=self._keep, daemon=True).start()
        self.watcher = Watcher(Anywhere(self.nodes, self.seed), 0)
        for number in range(self.callers):
            threading.Thread(
                target=call, args=(self.nodes, self.book, number), daemon=True
            ).start()
        ends = time.monotonic() + PATIENCE
        while self.book.taken < len(self.imeis):
            if time.monotonic() > ends:
                raise Broken("no starts flow")
            time.sleep(0.02)

    def _begin_fleet(self) -> None:
        ports = [word for node in self.nodes for word in ("--port", str(node.port))]
        with (self._folder / "devices.log").open("ab") as log:
            self._fleet = subprocess.Popen(
                [sys.executable, "-m", "faulting.devices", "--record", str(self.record),
                 "--first", str(FIRST), "--count", str(len(self.imeis)),
                 "--seed", str(self.seed), "--calm", str(self.calm),
                 "--quiet", str(self._quiet), *ports],
                env=dict(os.environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def _begin_proxies(self) -> None:
        socket = self.server.data.parent / ".s.PGSQL.5432"
        places = [
            word
            for node in self.nodes
            for word in ("--node", f"{node.name}:{node.outer}:{node.inner}:{node.pg_port}")
        ]
        self._proxies = subprocess.Popen(
            [sys.executable, "-m", "jepsen_lab.proxies", "--postgres", str(socket), *places],
            env=dict(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._proxies.stdout is not None
        if self._proxies.stdout.readline() != "ready\n":
            raise Broken("the proxies do not start")

    def tell_proxies(self, words: str) -> None:
        assert self._proxies is not None
        assert self._proxies.stdin is not None
        assert self._proxies.stdout is not None
        with self._proxy_lock:
            self._proxies.stdin.write(f"{words}\n")
            self._proxies.stdin.flush()
            if self._proxies.stdout.readline() != "done\n":
                raise Broken("the proxies have ended")

    def cut(self, links: Sequence[tuple[str, str]]) -> None:
        """Cut these for some seconds."""
        how = self.rng.choice(["hold", "hold", "reset"])
        for source, target in links:
            self.tell_proxies(f"cut {source} {target} {how}")
        time.sleep(self.rng.uniform(0.5, 9))
        self.tell_proxies("mend")

    def _keep(self) -> None:
        """Start every node again that has ended, as its machine would."""
        while not self._ends.wait(0.1):
            for node in self.nodes:
                with self._keeping:
                    if node.wanted and not node.lives_on:
                        self._ended(node)
                        node.launch()

    def _ended(self, node: Node) -> None:
        code = node.wait(0)
        if code in (-9, FENCED):
            node.ended["killed itself" if code == -9 else "fenced, or not able to start"] += 1
        else:
            self.breach(f"node {node.name} ended with {code}: {node.words()}")
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
                if not node.lives_on:
                    node.launch()
                node.wanted = True

    def end(self) -> None:
        self._ends.set()
        with self._keeping:
            for node in self.nodes:
                node.end()
        for process in (self._fleet, self._proxies):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(PATIENCE)

    # Faults

    def run(self, seconds: float, kinds: Sequence[Fault], check_every: float) -> None:
        """Make faults for that long; look at everything now and then, and at the end."""
        self.begin()
        ends = time.monotonic() + seconds
        check = time.monotonic() + check_every
        while time.monotonic() < ends:
            time.sleep(self.rng.uniform(*CALM))
            self._make(kinds)
            if time.monotonic() > check and ends - time.monotonic() > check_every / 2:
                self.check()
                self._quiet.unlink()
                self.book.flows.set()
                check = time.monotonic() + check_every
        self.check()
        self.leave()

    def _make(self, kinds: Sequence[Fault]) -> None:
        made = self._chosen(kinds)
        if made.with_others and self.rng.random() < TOGETHER:
            other = self._chosen([kind for kind in kinds if kind.with_others])
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
        say(f"{time.monotonic() - self._began:7.1f} s {kind.name} {node.name}")
        try:
            kind.run(self, node)
        except Exception as err:
            self.breach(f"the lab itself: {kind.name}: {err!r}")
        self.done[kind.name] += 1

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

    # Looking

    def check(self) -> None:
        """Every device takes a start; then all comes to rest and is compared."""
        self.tell_proxies("mend")
        self._quiet.touch()
        if not self.book.pause(SETTLE):
            self.breach(f"{self.book.busy} callers do not come to know what became of theirs")
        self.again.append(self.all_start())
        self.rest()
        self.look()

    def all_start(self) -> float:
        """How long until each device has had a start."""
        began = time.monotonic()
        missing = {}
        lock = threading.Lock()

        def start(imei: str) -> None:
            rng = random.Random(f"{self.seed} {imei} {began}")
            while time.monotonic() < began + AGAIN:
                order = self.book.order_for(imei)
                with lock:
                    missing[imei] = order
                said = ask(rng.choice(self.nodes), self.book, order, order.request(), rng)
                if said in ("200", "201", "202") or self.came.has(imei, order.long):
                    with lock:
                        del missing[imei]
                    return
                time.sleep(0.1)

        threads = [
            threading.Thread(target=start, args=(imei,), daemon=True) for imei in self.imeis
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(AGAIN + 60)
        for imei, order in missing.items():
            replies = [attempt.reply for attempt in self.book.attempts[order]]
            self.breach(
                f"{imei} took no start within {AGAIN:.0f} s after the last fault: {replies}"
            )
        return time.monotonic() - began

    def rest(self) -> None:
        """Until nothing is open, and the watcher and the receiver have all events."""
        ends, position = time.monotonic() + SETTLE, -1
        while True:
            still, last = read_records(self.url, OPEN), newest_event(self.url)
            posted = self._position()
            if posted > position:
                position, ends = posted, max(ends, time.monotonic() + SETTLE / 3)
            if not still and self.watcher.last >= last - 5 and posted >= last - 5:
                self.rested = min(posted, self.watcher.last)
                return
            if time.monotonic() > ends:
                self.rested = min(posted, self.watcher.last)
                self.breach(
                    f"no rest: {len(still)} open, {still[:3]}; events {last}, watcher at "
                    f"{self.watcher.last}, webhook at {posted}"
                )
                return
            time.sleep(0.5)

    def _position(self) -> int:
        for node in self.nodes:
            with contextlib.suppress(OSError, KeyError, IndexError):
                return int(node.ask({"type": "webhooks"})["items"][0]["position"])
        return -1

    def look(self) -> None:
        watched = list(self.watcher.events)
        received = self.nodes[0].received.read_text("ascii").splitlines()
        history = History(
            list(self.book.orders),
            dict(self.book.attempts),
            read_devices(self.record),
            read_records(self.url),
            read_events(self.url),
            watched,
            [line.split() for line in received],
            self.rested,
            list(self.book.odd),
            wall_ahead(),
            list(self.frozen),
        )
        with (self._folder / "history.jsonl").open("w") as out:
            for line in history.lines():
                out.write(f"{line}\n")
        self.verdict = judge(history)
        for name in ("doubled", "lost", "other"):
            for sentence in getattr(self.verdict, name):
                self.breach(f"{name}: {sentence}")
        say(
            f"{time.monotonic() - self._began:7.1f} s {self.done.total()} faults, "
            f"{len(self.book.orders)} orders, "
            f"{self.verdict.figures['starts that devices saw']} starts, "
            f"{len(self.breaches)} breaches"
        )

    def leave(self) -> None:
        """Devices go for good with commands in flight, and one node dies with them: all ends."""
        threads = []
        for imei in self.imeis:
            order = self.book.order_for(imei)
            if self.rng.random() < 0.3:
                order.extra = {"expires": 5}
            node = self.rng.choice(self.nodes[1:])
            rng = random.Random(imei)
            threads.append(
                threading.Thread(
                    target=ask, args=(node, self.book, order, order.request(), rng), daemon=True
                )
            )
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        with self._keeping:
            self.nodes[0].wanted = False
            self.nodes[0].kill()
        assert self._fleet is not None
        self._fleet.kill()
        ends = time.monotonic() + LEFT
        while still := read_records(self.url, OPEN):
            if time.monotonic() > ends:
                self.breach(f"{len(still)} did not end after their devices had gone: {still[:3]}")
                break
            time.sleep(0.5)
        for thread in threads:
            thread.join(5)
        self.book.closed = True
        self.rest()
        self.look()


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
