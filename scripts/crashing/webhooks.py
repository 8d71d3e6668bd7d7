"""The command line of scripts/webhooks-crash."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from script import Broken
from script import run as run_script

from crashing.callers import Book, pursue
from crashing.processes import TIMEOUT_SECONDS, Json, World, free_port
from crashing.receiver import SECRET

SETTLE = 90.0  # seconds in which a caller must know what became of its order
QUIET_SECONDS = 180.0  # ... and in which the receiver must have caught up at the end

WEBHOOK = """
[[webhook]]
name = "crash"
url = "http://127.0.0.1:{port}/"
secret = "{secret}"
allow_private = true
"""


class Receiver:
    """The process that events are posted to, through all of its lives."""

    def __init__(self, world: World, rng: random.Random, failing: float) -> None:
        self.failing = failing
        self.record = world.folder / "received.txt"
        self.lives = 0
        self._rng = rng
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        with (world.folder / "gateway.toml").open("a") as config:
            config.write(WEBHOOK.format(port=self._port, secret=SECRET))

    def start(self) -> None:
        self.lives += 1
        self._process = subprocess.Popen(
            [sys.executable, "-m", "crashing.receiver", "--port", str(self._port),
             "--record", str(self.record), "--seed", str(self._rng.randrange(1 << 30)),
             "--failing", str(self.failing)],
            env=dict(os.environ), stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(TIMEOUT_SECONDS)
            self._process = None

    def received(self) -> list[list[str]]:
        if not self.record.exists():
            return []
        return [line.split() for line in self.record.read_text("ascii").splitlines()]


def main() -> int:
    """Kill both ends, compare, report; the exit code is 1 if an event is lost or out of order."""
    parser = argparse.ArgumentParser(
        prog="scripts/webhooks-crash",
        description="Kill the gateway and a receiver that fails at random while commands flow, "
        "and compare what the receiver took with what the log of events holds.",
    )
    add = parser.add_argument
    add("--commands", type=int, default=2000, metavar="N", help="%(default)s")
    add("--kills", type=int, default=10, metavar="N", help="of each end (%(default)s)")
    add("--devices", type=int, default=40, metavar="N", help="%(default)s")
    add("--callers", type=int, default=8, metavar="N", help="at once (%(default)s)")
    add("--failing", type=float, default=20, metavar="N", help="requests of 100 (%(default)s)")
    add("--store", default="sqlite:///devgate.db", metavar="URL", help="of an empty database")
    add("--seed", type=int, default=None, metavar="S", help="throw the same dice again")
    args = parser.parse_args()
    seed = random.randrange(1 << 30) if args.seed is None else args.seed
    with tempfile.TemporaryDirectory(prefix="hooks-") as folder:
        return run(args, seed, Path(folder))


def run(args: argparse.Namespace, seed: int, folder: Path) -> int:
    begun = time.monotonic()
    world, rng = World(folder, args.store, args.devices), random.Random(seed)
    receiver = Receiver(world, rng, args.failing)
    book = Book(f"run{seed}-{int(time.time())}", world.imeis, seed)
    try:
        events = _crash(args, rng, world, receiver, book)
    finally:
        receiver.kill()
        world.end()
    received = receiver.received()
    lost, order, forged = judge(events, received)
    took = time.monotonic() - begun
    print(f"{args.kills} kills of the gateway, {receiver.lives - 1} of the receiver")
    print(f"{took:.0f} s, {args.callers} callers, {args.devices} devices, seed {seed}")
    print(f"  commands: {len(book.orders)}")
    print(f"  events: {len(events)}")
    print(f"  deliveries that the receiver took: {len(received)}")
    again = repeated(received)
    print(f"  of them again, for no fault of the receiver's: {again}")
    print(f"  that is for each kill of the gateway: {again / max(args.kills, 1):.1f}")
    print(f"lost: {len(lost)}\nout of order: {len(order)}\nforged: {forged}")
    for sentence in [*lost[:20], *order[:20]]:
        print(f"  {sentence}")
    return 1 if lost or order or forged else 0


def judge(
    events: Sequence[Json], received: Sequence[Sequence[str]]
) -> tuple[list[str], list[str], int]:
    """Sentences on events that never came, and on those that came before an older one of their
    device; and how many requests were not signed as they should be."""
    due: dict[str, list[int]] = defaultdict(list)
    for event in events:
        due[str(event["imei"] or "-")].append(int(event["event"]))
    came: dict[str, list[int]] = defaultdict(list)
    seen: set[int] = set()
    forged = 0
    for number, imei, _ in received:
        if number == "forged":
            forged += 1
        elif int(number) not in seen:
            seen.add(int(number))
            came[imei].append(int(number))
    lost = [
        f"event {number} of {imei} never came"
        for imei, numbers in due.items()
        for number in numbers
        if number not in seen
    ]
    order = [
        f"the events of {imei} came first in this order: {numbers}"
        for imei, numbers in came.items()
        if numbers != sorted(numbers)
    ]
    return lost, order, forged


def repeated(received: Sequence[Sequence[str]]) -> int:
    """How often an event came again that the receiver had taken and, if it lived, answered."""
    taken: set[str] = set()
    again = 0
    for number, _, fate in received:
        again += number in taken
        if fate == "taken":
            taken.add(number)
        else:  # it was told that nothing came of it
            taken.discard(number)
    return again


def _crash(
    args: argparse.Namespace, rng: random.Random, world: World, receiver: Receiver, book: Book
) -> list[Json]:
    receiver.start()
    world.launch()
    world.ready()
    world.add_devices()
    world.begin_fleet()
    callers = [
        threading.Thread(target=_call, args=(world, book, args.commands), daemon=True)
        for _ in range(args.callers)
    ]
    for caller in callers:
        caller.start()
    for number in range(1, args.kills + 1):
        _until(book, args.commands * number // (args.kills + 1))
        time.sleep(rng.uniform(0, 0.03))
        first, second = rng.choice([(world.kill, receiver.kill), (receiver.kill, world.kill)])
        first()
        time.sleep(rng.uniform(0, 0.2))
        second()
        world.launch()
        world.ready()
        time.sleep(rng.uniform(0, 1.0))  # commands flow, and nobody is there for their events
        receiver.start()
    for caller in callers:
        caller.join(2 * SETTLE)
        if caller.is_alive():
            raise Broken("a caller never came to know what became of its order")
    _caught_up(world)
    events = list(_events(world))
    world.terminate()
    return events


def _call(world: World, book: Book, most: int) -> None:
    while len(book.orders) < most and (order := book.take()) is not None:
        pursue(world, book, order, SETTLE)


def _until(book: Book, orders: int) -> None:
    ends = time.monotonic() + 2 * TIMEOUT_SECONDS
    while len(book.orders) < orders:
        if time.monotonic() > ends:
            raise Broken("callers get no answers any more")
        time.sleep(0.005)


def _caught_up(world: World) -> None:
    """Wait until nothing is under way and the receiver has all events."""
    ends = time.monotonic() + QUIET_SECONDS
    while True:
        status = world.ask({"type": "status"})
        hook = world.ask({"type": "webhooks"})["items"][0]
        if not (status["in_flight"] or status["waiting"] or hook["lag"]):
            return
        if time.monotonic() > ends:
            raise Broken(f"the receiver does not catch up: {hook}")
        time.sleep(0.05)


def _events(world: World) -> list[Json]:
    """All that the log holds."""
    last = world.ask({"type": "status"})["last_event"]
    events: list[Json] = []
    for event in world.lines({"type": "watch", "after": 0}):
        if "event" in event:
            events.append(event)
            if event["event"] >= last:
                break
    return events


if __name__ == "__main__":
    run_script("webhooks-crash", main)
