"""Looks at everything: each device takes a start, all comes to rest, and is compared."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from typing import TYPE_CHECKING

from crashing.callers import Order
from crashing.verdict import Verdict
from crashing.watcher import Watcher

from jepsen_lab.callers import Anywhere, ask
from jepsen_lab.history import (
    Came,
    History,
    newest_event,
    read_devices,
    read_journal,
    read_records,
    wall_ahead,
)
from jepsen_lab.judge import judge
from jepsen_lab.said import say

if TYPE_CHECKING:
    from jepsen_lab.lab import Lab

RECOVERY_SECONDS = 15.0  # seconds after the last fault until every device has had a start
SETTLE = 90.0  # seconds in which all callers come to know what became of their orders
LEFT = 40.0  # seconds until nothing is open of devices and of a node that are gone for good
OPEN = "state <> 'ended'"


class Looks:
    """Of one lab, which is at rest while they look."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.watcher = Watcher(Anywhere(lab.nodes, lab.seed), 0)
        self.again: list[float] = []  # how long the devices took after the last fault
        self.verdict = Verdict()
        self._came = Came(lab.programs.record)
        self._rested = 0  # the newest event when everything was at rest

    def check(self) -> None:
        """Every device takes a start; then all comes to rest and is compared."""
        lab = self._lab
        lab.programs.mend()
        lab.programs.quiet.touch()
        if not lab.book.pause(SETTLE):
            lab.breach(f"{lab.book.busy} callers do not come to know what became of theirs")
        self.again.append(self._all_start())
        self._rest()
        self._look()

    def _all_start(self) -> float:
        """How long until each device has had a start."""
        lab, began = self._lab, time.monotonic()
        missing: dict[str, Order] = {}
        lock = threading.Lock()

        def start(imei: str) -> None:
            rng = random.Random(f"{lab.seed} {imei} {began}")
            while time.monotonic() < began + RECOVERY_SECONDS:
                order = lab.book.order_for(imei)
                with lock:
                    missing[imei] = order
                said = ask(rng.choice(lab.nodes), lab.book, order, order.request(), rng)
                if said in ("200", "201", "202") or self._came.has(imei, order.long):
                    with lock:
                        del missing[imei]
                    return
                time.sleep(0.1)

        threads = [threading.Thread(target=start, args=(imei,), daemon=True) for imei in lab.imeis]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(RECOVERY_SECONDS + 60)
        for imei, order in missing.items():
            replies = [attempt.reply for attempt in lab.book.attempts[order]]
            lab.breach(
                f"{imei} took no start within {RECOVERY_SECONDS:.0f} s after the last fault: "
                f"{replies}; "
                f"connections and devices of the nodes: {self._counts()}"
            )
        return time.monotonic() - began

    def _counts(self) -> dict[str, object]:
        """A node with more connections than devices has one that has not registered."""
        said = {node.name: node.status() for node in self._lab.nodes}
        return {
            name: status and (status["connections"], status["registered"])
            for name, status in said.items()
        }

    def _rest(self) -> None:
        """Until nothing is open, and the watcher and the receiver have all events."""
        lab, url = self._lab, self._lab.server.url
        ends, position = time.monotonic() + SETTLE, -1
        while True:
            still, last = read_records(url, OPEN), newest_event(url)
            posted = self._position()
            if posted > position:
                position, ends = posted, max(ends, time.monotonic() + SETTLE / 3)
            if not still and self.watcher.last >= last - 5 and posted >= last - 5:
                break
            if time.monotonic() > ends:
                lab.breach(
                    f"no rest: {len(still)} open, {still[:3]}; events {last}, watcher at "
                    f"{self.watcher.last}, webhook at {posted}"
                )
                break
            time.sleep(0.5)
        self._rested = min(posted, self.watcher.last)

    def _position(self) -> int:
        for node in self._lab.nodes:
            with contextlib.suppress(OSError, KeyError, IndexError):
                return int(node.ask({"type": "webhooks"})["items"][0]["position"])
        return -1

    def _look(self) -> None:
        lab, url = self._lab, self._lab.server.url
        received = lab.nodes[0].received.read_text("ascii").splitlines()
        # Ahead of the database: a late answer may still come. What was told is on disk already.
        watched = list(self.watcher.events)
        records, events = read_journal(url)
        history = History(
            list(lab.book.orders),
            dict(lab.book.attempts),
            read_devices(lab.programs.record),  # behind the database: what it knows was answered
            records,
            events,
            watched,
            [line.split() for line in received],
            self._rested,
            list(lab.book.odd),
            wall_ahead(),
            list(lab.frozen),
            list(lab.cut_off),
        )
        with (lab.folder / "history.jsonl").open("w") as out:
            for line in history.lines():
                out.write(f"{line}\n")
        self.verdict = judge(history)
        lab.judged(self.verdict, history.devices)
        say(
            f"{lab.seconds:7.1f} s {lab.done.total()} faults, "
            f"{len(lab.book.orders)} orders, "
            f"{self.verdict.figures['starts that devices saw']} starts, "
            f"{len(lab.breaches)} breaches"
        )

    def leave(self) -> None:
        """Devices go for good with commands in flight, and one node dies with them: all ends."""
        lab = self._lab
        threads = []
        for imei in lab.imeis:
            order = lab.book.order_for(imei)
            if lab.rng.random() < 0.3:
                order.extra = {"expires": 5}
            node = lab.rng.choice(lab.nodes[1:])
            rng = random.Random(imei)
            threads.append(
                threading.Thread(
                    target=ask, args=(node, lab.book, order, order.request(), rng), daemon=True
                )
            )
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        lab.programs.leave(lab.nodes[0])
        ends = time.monotonic() + LEFT
        while still := read_records(lab.server.url, OPEN):
            if time.monotonic() > ends:
                lab.breach(f"{len(still)} did not end after their devices had gone: {still[:3]}")
                break
            time.sleep(0.5)
        for thread in threads:
            thread.join(5)
        lab.book.closed = True
        self._rest()
        self._look()
