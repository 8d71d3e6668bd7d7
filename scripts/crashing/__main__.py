"""The command line of scripts/crash."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from script import Broken
from script import run as run_script

from crashing.callers import Book, call
from crashing.processes import TIMEOUT_SECONDS, World
from crashing.verdict import Verdict, judge
from crashing.watcher import Watcher

EARLY = 0.15  # share of lives that end before the gateway is ready
SETTLE = 90.0  # seconds in which callers must come to know what became of their orders


def main() -> int:
    """Kill, compare, report; the exit code is 1 if anything was lost, doubled or wrong."""
    parser = argparse.ArgumentParser(
        prog="scripts/crash",
        description="Kill the gateway at random moments while starts flow, start it again, and "
        "at the end compare what devices saw, what callers were told and what the journal says.",
    )
    add = parser.add_argument
    add("--kills", type=int, default=100, metavar="N", help="with starts under way (%(default)s)")
    add("--starts", type=int, default=5000, metavar="N", help="seen by devices (%(default)s)")
    add("--devices", type=int, default=40, metavar="N", help="%(default)s")
    add("--callers", type=int, default=16, metavar="N", help="at once (%(default)s)")
    add("--store", default="sqlite:///devgate.db", metavar="URL", help="of an empty database")
    add("--seed", type=int, default=None, metavar="S", help="throw the same dice again")
    add("--keep", type=Path, metavar="DIR", help="work in this folder, and leave it behind")
    args = parser.parse_args()
    seed = random.randrange(1 << 30) if args.seed is None else args.seed
    if args.keep:
        args.keep.mkdir(parents=True)
        return run(args, seed, args.keep)
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        return run(args, seed, Path(folder))


def run(args: argparse.Namespace, seed: int, folder: Path) -> int:
    begun = time.monotonic()
    world = World(folder, args.store, args.devices)
    try:
        verdict, early = _crash(args, seed, world)
    finally:
        world.end()
    took = time.monotonic() - begun
    print(f"{args.kills} kills while starts flowed, {early} while the gateway started")
    print(f"{took:.0f} s, {args.callers} callers, {args.devices} devices, seed {seed}")
    for name, figure in verdict.figures.items():
        print(f"  {name}: {figure}")
    for name in ("lost", "doubled", "other"):
        found: list[str] = getattr(verdict, name)
        print(f"{name if name != 'other' else 'other faults'}: {len(found)}")
        for sentence in found[:20]:
            print(f"  {sentence}")
    return 0 if verdict.good else 1


def _crash(args: argparse.Namespace, seed: int, world: World) -> tuple[Verdict, int]:
    rng = random.Random(seed)
    world.launch()
    status = world.ready()
    world.add_devices()
    world.begin_fleet()
    watcher = Watcher(world, status["last_event"])
    book = Book(f"run{seed}-{int(time.time())}", world.imeis, seed)
    callers = [
        threading.Thread(target=call, args=(world, book, SETTLE), daemon=True)
        for _ in range(args.callers)
    ]
    for caller in callers:
        caller.start()
    kills = early = 0
    while kills < args.kills or len(world.seen()) < args.starts:
        if kills < args.kills:
            _wait_for_answers(book, rng.randint(1, 3 * args.starts // args.kills + 1))
            time.sleep(rng.uniform(0, 0.03))
            world.kill()
            kills += 1
            while rng.random() < EARLY:
                world.launch()
                time.sleep(rng.uniform(0.1, 0.8))
                world.kill()
                early += 1
            world.launch()
            world.ready()
            if kills % 10 == 0:
                _say(f"{kills} kills, {len(world.seen())} starts seen")
        else:
            _wait_for_answers(book, 50)
    book.closed = True
    for caller in callers:
        caller.join(2 * SETTLE)
        if caller.is_alive():
            raise Broken("a caller never came to know what became of its order")
    _wait_until_idle(world)
    records = list(world.history())
    last = world.ask({"type": "status"})["last_event"]
    ends = time.monotonic() + TIMEOUT_SECONDS
    while watcher.last < last and time.monotonic() < ends:
        time.sleep(0.02)
    world.terminate()
    watcher.end()
    return judge(book, world.seen(), records, watcher.events), early


def _wait_for_answers(book: Book, count: int) -> None:
    """Wait until this many more starts have been answered as sent or accepted."""
    wanted, ends = book.taken + count, time.monotonic() + 2 * TIMEOUT_SECONDS
    while book.taken < wanted:
        if time.monotonic() > ends:
            raise Broken("callers get no answers any more")
        time.sleep(0.005)


def _wait_until_idle(world: World) -> None:
    """Until nothing waits and nothing is in flight: what is kept has gone or is overdue."""
    ends = time.monotonic() + 2 * TIMEOUT_SECONDS
    while (status := world.ask({"type": "status"}))["in_flight"] or status["waiting"]:
        if time.monotonic() > ends:
            raise Broken("commands are under way for ever")
        time.sleep(0.05)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_script("crash", main)
