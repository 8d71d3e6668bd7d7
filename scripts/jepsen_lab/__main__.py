"""The command line of scripts/jepsen."""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from script import Broken
from script import run as run_script

from jepsen_lab.databases import pair
from jepsen_lab.kinds import KINDS
from jepsen_lab.lab import MAX_PRINTED, Lab
from jepsen_lab.takeovers import measure
from tests.postgres import binaries


def main() -> int:
    """Make faults, compare, report; the exit code is 1 if anything was lost, doubled or wrong."""
    parser = argparse.ArgumentParser(
        prog="scripts/jepsen",
        description="Three nodes share one PostgreSQL with a replica. Devices move between them, "
        "through two HAProxys or directly, callers ask any of them, and faults come at random: "
        "kills, frozen nodes, clocks that jump, failovers, networks that are cut. What devices "
        "saw, callers were told, records and events say is compared.",
    )
    add = parser.add_argument
    add("--minutes", type=float, default=2, metavar="N", help="%(default)s")
    add("--seed", type=int, metavar="S", help="the same faults in the same order")
    add("--replica", choices=("synchronous", "asynchronous"), default="synchronous",
        help="an asynchronous one may lose rows, and a loss has to be noticed before the next "
        "start (%(default)s)")  # fmt: skip
    add("--devices", type=int, default=60, metavar="N", help="%(default)s")
    add("--callers", type=int, default=24, metavar="N", help="at once (%(default)s)")
    add("--pause", type=float, default=0.1, metavar="N",
        help="seconds of a caller between two orders, in the mean (%(default)s)")  # fmt: skip
    add("--calm", type=float, default=8, metavar="N",
        help="seconds that a device stays at a node, in the mean (%(default)s)")  # fmt: skip
    add("--check", type=float, default=90, metavar="N",
        help="seconds between two looks at everything (%(default)s)")  # fmt: skip
    add("--only", action="append", metavar="TEXT",
        help="only faults whose name holds this; several times for several")  # fmt: skip
    add("--times", type=int, default=0, metavar="ROUNDS",
        help="measure how long detection and takeover take, so often for each kind of death, in "
        "place of faults at random")  # fmt: skip
    add("--json", action="store_true", help="one JSON object at the end")
    add("--keep", type=Path, metavar="DIR", help="leave all logs in this folder")
    args = parser.parse_args()
    seed = random.randrange(1 << 30) if args.seed is None else args.seed
    programs = binaries()
    if programs is None:
        raise Broken("PostgreSQL is not installed")
    wanted = args.only or [""]
    kinds = [kind for kind in KINDS if any(text in kind.name for text in wanted)]
    if not kinds:
        raise Broken(f"no fault has {' or '.join(wanted)} in its name")
    began = time.monotonic()
    result: dict[str, Any]
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="jepsen-"))
        server = stack.enter_context(pair(programs, synchronous=args.replica == "synchronous"))
        folder = args.keep or Path(made)
        lab = Lab(folder, server, args.devices, args.callers, seed, args.calm, args.pause)
        times: dict[str, object] = {}
        try:
            if args.times:
                times = measure(lab, args.times)
            else:
                lab.run(args.minutes * 60, kinds, args.check)
        except Broken as err:
            lab.breach(f"broken: {err}")
        finally:
            lab.end()
        result = {
            "seed": seed,
            "replica": args.replica,
            "seconds": round(time.monotonic() - began),
            "devices": args.devices,
            "callers": args.callers,
            **(times or lab.figures()),
            "breaches": lab.breaches,
        }
    if args.json:
        print(json.dumps(result, indent=1))
    else:
        for name, figure in result.items():
            if name != "breaches":
                print(f"{name}: {figure}")
        print(f"breaches: {len(lab.breaches)}")
        for sentence in lab.breaches[:MAX_PRINTED]:
            print(f"  {sentence}")
    return 1 if lab.breaches else 0


def stop(number: int, _: object) -> None:
    """End as a program does that was told to: whoever has started a process ends it first."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, stop)
    run_script("jepsen", main)
