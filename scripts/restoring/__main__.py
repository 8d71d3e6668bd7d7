"""The command line of scripts/restore."""

from __future__ import annotations

import argparse
import random
import time

from script import run as run_script

from restoring.world import Figures, one_round


def main() -> int:
    """Restore, ask again, count; the exit code is 1 if a machine was started twice."""
    parser = argparse.ArgumentParser(
        prog="scripts/restore",
        description="Back the database up while starts flow, lose it, restore the copy, and ask "
        "for every order again. No machine may start twice for an order.",
    )
    add = parser.add_argument
    add("--rounds", type=int, default=5, metavar="N", help="%(default)s")
    add("--orders", type=int, default=400, metavar="N", help="of a round (%(default)s)")
    add("--store", default="sqlite:///devgate.db", metavar="URL",
        help="SQLite, or an empty PostgreSQL, whose schema is dropped each time")  # fmt: skip
    add("--seed", type=int, default=None, metavar="S", help="throw the same dice again")
    add("--nothing-newer", action="store_true",
        help="restore without a quarantine: it must start machines twice")  # fmt: skip
    args = parser.parse_args()
    seed = random.randrange(1 << 30) if args.seed is None else args.seed
    rng, begun, all_figures = random.Random(seed), time.monotonic(), Figures()
    for number in range(1, args.rounds + 1):
        figures = one_round(args.store, args.orders, rng, held=not args.nothing_newer)
        print(f"round {number}: {figures}", flush=True)
        all_figures.add(figures)
    print(f"{args.rounds} restores in {time.monotonic() - begun:.0f} s, seed {seed}")
    print(f"  {all_figures}")
    for sentence in all_figures.wrong[:20]:
        print(f"  {sentence}")
    bad = bool(all_figures.twice or all_figures.wrong)
    return int(bad is not args.nothing_newer)


if __name__ == "__main__":
    run_script("restore", main)
