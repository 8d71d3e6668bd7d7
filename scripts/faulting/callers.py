"""Callers in a storm: over the socket and over HTTP, several for one key, some hang up."""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Sequence

from crashing.callers import PAUSE_SECONDS, UNSENT, Book, Order
from crashing.processes import Json

from faulting.world import StormWorld

HTTP = 0.4  # share of requests that go by HTTP
HANG_UP = 0.02  # share of requests whose caller does not wait for the reply, and asks again
STOPS = 0.04  # share of orders that are stops
TIMEOUT = 45.0  # seconds that a caller waits for one reply
REFUSED = ("401", "423", *UNSENT)  # nothing was sent, and the same order may be asked again


class StormBook(Book):
    """All orders of a storm, which can pause."""

    def __init__(self, run: str, imeis: Sequence[str], seed: int) -> None:
        super().__init__(run, imeis, seed)
        self.flows = threading.Event()
        self.flows.set()
        self.busy = 0  # callers with an order in hand
        self.hung_up = 0
        self._counting = threading.Lock()

    def shape(self, order: Order, rng: random.Random) -> None:
        if rng.random() < STOPS:
            order.type = "stop"
            order.extra = rng.choice([{}, {"cancel": True}, {"wait": False}])
        elif rng.random() < 0.1:
            order.extra = {**order.extra, "timeout": rng.choice([1, 3])}
        elif rng.random() < 0.05:
            order.extra = {"expires": 2, "wait": rng.random() < 0.5}

    def begins(self) -> None:
        self.flows.wait()
        with self._counting:
            self.busy += 1

    def is_done(self) -> None:
        with self._counting:
            self.busy -= 1

    def pause(self, seconds: float) -> bool:
        """Let no new order begin; wait until all that are in hand are done with."""
        self.flows.clear()
        ends = time.monotonic() + seconds
        while self.busy:
            if time.monotonic() > ends:
                return False
            time.sleep(0.02)
        return True


def call(world: StormWorld, book: StormBook, number: int) -> None:
    """One caller's life."""
    rng = random.Random(f"{world.seed} caller {number}")
    while not book.closed:
        book.begins()
        try:
            if (order := book.take()) is not None:
                pursue(world, book, order, rng)
        finally:
            book.is_done()
        time.sleep(rng.expovariate(1 / 0.02))


def pursue(world: StormWorld, book: StormBook, order: Order, rng: random.Random) -> None:
    """Ask until the outcome is known, or nothing was sent and the order is given up."""
    request = order.request()
    ends = time.monotonic() + 180
    while time.monotonic() < ends:
        try:
            if rng.random() < HANG_UP:
                hang_up(world, request)
                book.hung_up += 1
                continue
            reply = by_http(world, request) if rng.random() < HTTP else asked(world, request)
        except (OSError, http.client.HTTPException, ValueError):
            book.crashed()
            time.sleep(rng.uniform(1, 6) * PAUSE_SECONDS)
            continue
        status = book.note_answer(order, reply)
        if status in REFUSED:
            if book.leaves() or not book.flows.is_set():
                return
            time.sleep(rng.uniform(1, 4) * PAUSE_SECONDS)
        elif status == "000":
            request = {**request, "wait": True}
        else:
            return
    book.odd.append(f"{order.key}: its caller never came to know what became of it")


def asked(world: StormWorld, request: dict[str, object]) -> Json:
    return next(world.lines(request, TIMEOUT))


def hang_up(world: StormWorld, request: dict[str, object]) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(TIMEOUT)
        caller.connect(str(world.socket))
        caller.sendall(b"command" + json.dumps(request).encode())


def by_http(world: StormWorld, request: dict[str, object]) -> Json:
    """The same request in a POST; the answer is the control channel's."""
    connection = http.client.HTTPConnection("127.0.0.1", world.http, timeout=TIMEOUT)
    try:
        connection.request(
            "POST", "/api/command", b"command" + json.dumps(request).encode(),
            {"Authorization": f"Bearer {world.token}", "Content-Type": "text/plain"},
        )  # fmt: skip
        response = connection.getresponse()
        reply: Json = json.loads(response.read())
    finally:
        connection.close()
    if not isinstance(reply.get("status"), str) or "command" not in reply:
        raise ValueError(f"the door refused: {reply}")  # its own answer, and none of the order
    return reply
