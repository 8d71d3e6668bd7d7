"""Callers with orders: each asks with its key until it knows, across every crash."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from crashing.processes import Json, World

SENT = ("200", "201", "202", "408")  # something was sent, or may have been
UNSENT = ("404", "410", "429", "503")  # nothing was: the same order may be asked again
PAUSE_SECONDS = 0.05  # seconds before an order is asked again that met no device, or no gateway
GIVE_UP = 0.1  # share of unsent orders that their caller leaves at that
REPEAT = 0.2  # share of orders that somebody asks for once more: a payment is called back twice


@dataclass(eq=False)
class Order:
    """One start that was paid for. `long` is its own among those of its device."""

    imei: str
    long: int
    key: str
    extra: dict[str, object]
    answers: list[Json] = field(default_factory=list)
    type: str = "start"

    def request(self) -> dict[str, object]:
        order = {"imei": self.imei, "type": self.type, "key": self.key, **self.extra}
        return {**order, "long": self.long} if self.type == "start" else order


class Book:
    """All orders of a run. Threads share it."""

    def __init__(self, run: str, imeis: Sequence[str], seed: int) -> None:
        self.orders: list[Order] = []
        self.odd: list[str] = []  # answers that no order should ever get
        self.taken = 0  # answers that something was sent, or will be
        self.crashes = 0  # requests that a crash left without an answer
        self.closed = False
        self._run = run
        self._imeis = imeis
        self._longs: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def take(self) -> Order | None:
        """An order to pursue: usually a new one. None when the book is closed."""
        with self._lock:
            if self.closed:
                return None
            rng = self._random
            if self.orders and rng.random() < REPEAT:
                return rng.choice(self.orders[-50:])
            imei = rng.choice(self._imeis)
            self._longs[imei] += 1
            extra: dict[str, object] = rng.choice([{}, {}, {"wait": False}, {"expires": 20}])
            key = f"{self._run}-{len(self.orders)}"
            order = Order(imei, self._longs[imei], key, extra)
            self.shape(order, rng)
            self.orders.append(order)
            return order

    def shape(self, order: Order, rng: random.Random) -> None:
        """What else an order may be; for subclasses."""

    def note_answer(self, order: Order, reply: Json) -> str:
        """Note an answer. Returns its status."""
        status = str(reply.get("status"))
        with self._lock:
            order.answers.append(reply)
            self.taken += status not in UNSENT
            if status not in ("000", *SENT, *UNSENT):
                self.odd.append(f"{order.key} was answered {reply}")
        return status

    def crashed(self) -> None:
        with self._lock:
            self.crashes += 1

    def leaves(self) -> bool:
        with self._lock:
            return self._random.random() < GIVE_UP


def call(world: World, book: Book, patience: float) -> None:
    """One caller's life. `patience` is how long it asks for one order at the most."""
    while (order := book.take()) is not None:
        pursue(world, book, order, patience)


def pursue(world: World, book: Book, order: Order, patience: float) -> None:
    """Ask until the order's outcome is known, or it was not sent and is given up."""
    request, ends = order.request(), time.monotonic() + patience
    while time.monotonic() < ends:
        try:
            status = book.note_answer(order, world.ask(request))
        except OSError:
            book.crashed()
            time.sleep(PAUSE_SECONDS)
            continue
        if status in UNSENT:
            if book.leaves():
                return
            time.sleep(2 * PAUSE_SECONDS)
        elif status == "000":
            request = {**request, "wait": True}
        else:
            return
