"""The command line of scripts/faults."""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from script import Broken
from script import run as run_script

from faulting import power
from faulting.databases import database_faults
from faulting.kinds import PROCESS
from faulting.planted import NO_FSYNC, PLANTS
from faulting.storm import MAX_PRINTED, Storm, say
from faulting.world import StormWorld
from tests.faults.preload import preloaded
from tests.postgres import Postgres, binaries, running

TMPFS = "2g"


def main() -> int:
    """Make faults, compare, report; the exit code is 1 if anything was lost, doubled or wrong."""
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Starts flow while one fault comes after the other: kills, frozen processes, "
        "disks, databases, clocks, limits, logs, links. At checkpoints and at the end everything "
        "that devices saw, callers were told and receivers got is compared with the database.",
    )
    add = parser.add_argument
    add("what", nargs="?", choices=("storm", "power"), default="storm",
        help="power: cut the power at --cuts moments of a run on SQLite, where unsynced writes "
        "are lost, reordered or torn, and start a gateway on what is left")  # fmt: skip
    add("--cuts", type=int, default=100, metavar="N", help="of the power (%(default)s)")
    add("--seconds", type=float, default=20, metavar="N",
        help="that starts flow for these cuts (%(default)s)")  # fmt: skip
    add("--minutes", type=float, default=10, metavar="N", help="%(default)s")
    add("--database", choices=("sqlite", "postgresql", "both"), default="both",
        help="both: each for half of the time (%(default)s)")  # fmt: skip
    add("--seed", type=int, metavar="S", help="throw the same dice again")
    add("--devices", type=int, default=100, metavar="N", help="%(default)s")
    add("--callers", type=int, default=60, metavar="N", help="at once (%(default)s)")
    add("--plant", default="", choices=["", *PLANTS, NO_FSYNC], metavar="NAME",
        help="a gateway with this fault, which the checker must find: "
        f"{', '.join(PLANTS)}; with power also {NO_FSYNC}")  # fmt: skip
    add("--only", default="", metavar="TEXT", help="only faults whose name holds this")
    add("--without", action="append", default=[], metavar="TEXT",
        help="no faults whose name holds this")  # fmt: skip
    add("--keep", type=Path, metavar="DIR", help="leave all logs and databases in this folder")
    args = parser.parse_args()
    seed = random.randrange(1 << 30) if args.seed is None else args.seed
    if args.what == "power":
        return cut_power(args, seed)
    kinds = ["sqlite", "postgresql"] if args.database == "both" else [args.database]
    if "postgresql" in kinds and binaries() is None:
        say("PostgreSQL is not installed: SQLite has all of the time")
        kinds = ["sqlite"]
    print(f"seed {seed}")
    good = True
    for kind in kinds:
        good &= run(args, seed, kind, args.minutes * 60 / len(kinds))
    return 0 if good else 1


def cut_power(args: argparse.Namespace, seed: int) -> int:
    begun = time.monotonic()
    print(f"seed {seed}")
    with workplace(args.keep, "power") as folder:
        done, figures = power.run(
            folder, args.cuts, args.seconds, seed, args.plant, stop_at_breach=bool(args.plant)
        )
    return 0 if power.report(done, figures, time.monotonic() - begun, seed) else 1


def run(args: argparse.Namespace, seed: int, kind: str, seconds: float) -> bool:
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(workplace(args.keep, kind))
        server: Postgres | None = None
        url = "sqlite:///data/devgate.db"
        if kind == "postgresql":
            programs = binaries()
            assert programs is not None, "the caller has looked"
            server = stack.enter_context(running(programs))
            url = server.create_database()
        faults = stack.enter_context(preloaded(folder / "control", path="/devgate.db"))
        world = StormWorld(folder, url, args.devices, faults, seed, args.plant)
        storm = Storm(world, faults, seed, kind, server, args.callers)
        chosen = [
            fault
            for fault in [*PROCESS, *database_faults()]
            if kind in fault.databases
            and args.only in fault.name
            and not any(text in fault.name for text in args.without)
        ]
        broken = ""
        try:
            storm.run(seconds, chosen, stop_at_breach=bool(args.plant))
        except Broken as err:
            broken = str(err)
        finally:
            world.end()
    report(storm, kind, time.monotonic() - begun, seed)
    if broken:
        print(f"broken: {broken}")
    return not storm.breaches and not broken


def report(storm: Storm, kind: str, took: float, seed: int) -> None:
    print(f"\n{kind}: {took:.0f} s, {storm.callers} callers, "
          f"{len(storm.world.imeis)} devices, seed {seed}")  # fmt: skip
    print(f"  faults: {storm.done.total()}")
    for name, count in sorted(storm.done.items(), key=lambda pair: -pair[1]):
        print(f"    {count:4} {name}")
    for name, why in storm.skipped.items():
        print(f"    skipped: {name}: {why}")
    for name, count in storm.ended.items():
        print(f"    {count:4} times it may have ended, and did: {name}")
    for name, figure in storm.judge.figures.items():
        print(f"  {name}: {figure}")
    print(f"breaches: {len(storm.breaches)}")
    if storm.found_after is not None:
        print(f"  the first one after {storm.found_after:.0f} s")
    for sentence in storm.breaches[:MAX_PRINTED]:
        print(f"  {sentence}")


@contextlib.contextmanager
def workplace(keep: Path | None, kind: str) -> Iterator[Path]:
    """A folder for one storm. Its folder `data`, for the database, is a tmpfs of its own where
    the right exists, so that it can be full while nothing else is."""
    with contextlib.ExitStack() as stack:
        if keep is not None:
            folder = keep / kind
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        data = folder / "data"
        data.mkdir(parents=True)
        made = None
        if keep is None:
            made = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={TMPFS}", "tmpfs", str(data)],
                capture_output=True, check=False,
            )  # fmt: skip
        try:
            yield folder
        finally:
            if made is not None and made.returncode == 0:
                subprocess.run(["umount", "--lazy", str(data)], check=True)


if __name__ == "__main__":
    run_script("faults", main)
