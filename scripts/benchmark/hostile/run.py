"""The table of `scripts/bench hostile`: one row for each attack."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.hostile.attacks import ATTACKS
from benchmark.hostile.gateway import bytes_read, gateway, missing, waited
from benchmark.hostile.honest import HONEST, STARTED, Seen, asks, device, obeys, starts, status
from benchmark.hostile.tally import Count, turn_at

SETTLE = 1.0  # seconds that the attacker has before anything is measured
TITLES = (
    "attack", "TN p50", "p99", "max, ms", "turn p99, ms of CPU", "no core, ms/s", "start p50",
    "max, ms", "not 200", "events/s", "log B/s", "opened/s", "closed/s", "read kB/s",
    "HTTP/2 frames/s",
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench hostile`."""
    parser.add_argument("--seconds", type=float, default=5.0, help="for each attack (%(default)s)")
    parser.add_argument("--tree", type=Path, metavar="DIR", help="another working tree's devgate")
    parser.add_argument(
        "--only", default="", metavar="A,B", help=f"of {', '.join(ATTACKS)}; default: all"
    )


def run(args: argparse.Namespace) -> int:
    """An honest device's TN and a start's latency beside each attack of the security review.

    A fresh gateway for each; the attacker is a process of its own. `turn p99` is how long the
    gateway's loop is away from the devices, in CPU: other work of the machine does not change it.
    `no core` is how long the loop had to wait for a core: on a quiet machine next to nothing.
    The last four columns are of the attack: connections opened, those that the gateway closed,
    and what it read. Nothing read is no attack.
    """
    names = [name for name in args.only.split(",") if name] or list(ATTACKS)
    if unknown := set(names) - set(ATTACKS):
        raise BenchError(f"{', '.join(sorted(unknown))}: one of {', '.join(ATTACKS)} expected")
    tree = None if args.tree is None else args.tree.resolve()
    if tree is not None and not (tree / "devgate" / "__main__.py").is_file():
        raise BenchError(f"{args.tree}: a working tree of devgate expected")
    if tree is not None and (lacks := missing(tree)):
        # A gateway without a library that it loads late would answer 500, and cheaply.
        raise BenchError(f"{args.tree} needs {', '.join(lacks)}: install that in .venv-bench")
    for cells in (TITLES, ["---"] * len(TITLES)):
        print("|", " | ".join(cells), "|")
    for name in names:
        attack = ATTACKS[name]
        try:
            cells = _row(_beside(name, args.seconds, tree), args.seconds)
        except BenchError as err:
            cells = [f"not measured: {str(err).strip().splitlines()[-1]}"]
        print("|", " | ".join([f"{attack.door}: {attack.words}", *cells]), "|", flush=True)
    return 0


def _row(seen: Seen, seconds: float) -> list[str]:
    tn, begun = sorted(seen.tn), sorted(seen.starts)

    def at(values: list[float], share: float) -> str:
        if not values:
            return "none"
        return f"{values[min(len(values) - 1, int(len(values) * share))]:.1f}"

    counted = [
        seen.events, seen.log, seen.attack[Count.OPENED], seen.attack[Count.CLOSED],
        seen.read / 1000, seen.attack[Count.FRAMES],
    ]  # fmt: skip
    return [
        at(tn, 0.5), at(tn, 0.99), at(tn, 1), f"{turn_at(seen.attack, 0.99):.1f}",
        f"{seen.waited / seconds * 1000:.0f}",
        at(begun, 0.5), at(begun, 1), str(seen.failed),
        *(f"{count / seconds:,.0f}" for count in counted),
    ]  # fmt: skip


def _beside(name: str, seconds: float, tree: Path | None) -> Seen:
    with (
        tempfile.TemporaryDirectory(prefix="hostile-") as text,
        gateway(Path(text), tree, tls=ATTACKS[name].door == "https") as running,
    ):
        folder, seen = Path(text), Seen()
        control, log = folder / "s", folder / "log"
        with (
            device(running.ports["device"], HONEST) as honest,
            device(running.ports["device"], STARTED) as other,
        ):
            over, all_started = threading.Event(), threading.Event()
            obeying = threading.Thread(target=obeys, args=(other, all_started))
            asking = [
                threading.Thread(target=asks, args=(honest, seen, over)),
                threading.Thread(target=starts, args=(control, seen, over)),
            ]
            with _attacker(name, running.ports, running.tally_file):
                time.sleep(SETTLE)
                first, wrote = status(control)["last_event"], log.stat().st_size
                read, attack = bytes_read(running.process), running.tally.now()
                without_core = waited(running.process)
                for thread in (obeying, *asking):
                    thread.start()
                time.sleep(seconds)
                over.set()
                seen.waited = waited(running.process) - without_core
                pairs = zip(running.tally.now(), attack, strict=True)
                seen.attack = [after - before for after, before in pairs]
                seen.read = bytes_read(running.process) - read + seen.attack[Count.READ]
                for thread in asking:
                    thread.join()
                all_started.set()  # not earlier: the last start is to be answered, too
                obeying.join()
            seen.events = status(control)["last_event"] - first - 3 * len(seen.starts)
            seen.log = log.stat().st_size - wrote
        if seen.broken:
            raise BenchError(seen.broken)
        return seen


@contextlib.contextmanager
def _attacker(name: str, ports: dict[str, int], tally: Path) -> Iterator[None]:
    program = [sys.executable, "-m", "benchmark.hostile.attacks", name]
    door = ATTACKS[name].door.removesuffix("s")
    with subprocess.Popen([*program, str(ports[door]), str(tally)]) as attacker:
        try:
            yield
            if attacker.poll() is not None:
                raise BenchError("the attacker has ended")
        finally:
            attacker.kill()
