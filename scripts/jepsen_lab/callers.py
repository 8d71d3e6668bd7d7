"""Callers who ask any node, and another one where they got no answer."""

from __future__ import annotations

import http.client
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from crashing.callers import PAUSE_SECONDS, Order
from crashing.processes import Json
from faulting.callers import HANG_UP, HTTP, REFUSED, StormBook, asked, by_http, hang_up

from jepsen_lab.node import Node

NO_KEY = 0.1  # share of orders without a key: nobody may ask for them again
CALLER_SECONDS = 60.0  # seconds that a caller goes on asking


@dataclass(eq=False)
class Attempt:
    """One request, by the monotonic clock."""

    began: float
    ended: float = math.inf  # of one without an answer: whatever was asked may happen later
    reply: Json | None = None

    @property
    def refused(self) -> bool:
        """Its caller was told that nothing was sent for this order."""
        return self.reply is not None and self.reply.get("outcome") == "refused"


class LabBook(StormBook):
    """All orders, with each request for them."""

    def __init__(self, run: str, imeis: Sequence[str], seed: int) -> None:
        super().__init__(run, imeis, seed)
        self.attempts: dict[Order, list[Attempt]] = {}
        self.unknown = 0  # answers that said: ask again

    def shape(self, order: Order, rng: random.Random) -> None:
        super().shape(order, rng)
        self.attempts[order] = []

    def order_for(self, imei: str) -> Order:
        """One more start of this device, beside those of the callers."""
        with self._lock:
            self._longs[imei] += 1
            order = Order(imei, self._longs[imei], f"{self._run}-{len(self.orders)}", {})
            self.attempts[order] = []
            self.orders.append(order)
            return order

    def begins_to_ask(self, order: Order) -> Attempt:
        attempt = Attempt(time.monotonic())
        self.attempts[order].append(attempt)
        return attempt


def call(nodes: Sequence[Node], book: LabBook, number: int, pause: float) -> None:
    """One caller's life. `pause`: seconds between two orders, in the mean."""
    rng = random.Random(f"{nodes[0].seed} caller {number}")
    while not book.closed:
        book.begins()
        try:
            if (order := book.take()) is not None:
                pursue(nodes, book, order, rng)
        finally:
            book.is_done()
        time.sleep(rng.expovariate(1 / pause))


def pursue(nodes: Sequence[Node], book: LabBook, order: Order, rng: random.Random) -> None:
    """Ask until the outcome is known, or nothing was sent and the order is given up."""
    request = order.request()
    ends = time.monotonic() + CALLER_SECONDS
    while time.monotonic() < ends:
        status = ask(rng.choice(nodes), book, order, request, rng)
        if status in ("", "unknown"):
            time.sleep(rng.uniform(1, 6) * PAUSE_SECONDS)
        elif status in REFUSED:
            if book.leaves() or not book.flows.is_set():
                return
            time.sleep(rng.uniform(1, 4) * PAUSE_SECONDS)
        elif status == "000":
            request = {**request, "wait": True}
        else:
            return
    if book.flows.is_set():
        book.odd.append(f"{order.key}: its caller never came to know what became of it")


def ask(
    node: Node, book: LabBook, order: Order, request: Mapping[str, object], rng: random.Random
) -> str:
    """Ask once. Returns the status, "" where there was no answer, "unknown" where one says so."""
    attempt = book.begins_to_ask(order)
    try:
        if rng.random() < HANG_UP:
            hang_up(node, dict(request))
            book.hung_up += 1
            return ""
        by_web = rng.random() < HTTP
        reply = by_http(node, dict(request)) if by_web else asked(node, dict(request))
    except (OSError, http.client.HTTPException, ValueError):
        book.crashed()
        return ""
    attempt.reply, attempt.ended = {**reply, "node": node.name}, time.monotonic()
    if reply.get("outcome") == "unknown" and reply["status"] != "408":
        book.unknown += 1
        return "unknown"
    return book.note_answer(order, attempt.reply)


class Anywhere:
    """Asks a node at random (`crashing.watcher.Asked`)."""

    def __init__(self, nodes: Sequence[Node], seed: int) -> None:
        self._nodes = nodes
        self._rng = random.Random(seed)

    def lines(self, request: Mapping[str, object]) -> Iterator[Json]:
        return self._rng.choice(self._nodes).lines(request)
