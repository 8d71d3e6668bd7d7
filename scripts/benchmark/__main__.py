"""The command line of scripts/bench."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from script import run as run_script

from benchmark.cluster import arguments as cluster_arguments
from benchmark.cluster import run as run_cluster
from benchmark.compare import FULL, NAMES, QUICK, STORM, compare, draw
from benchmark.hostile.run import arguments as hostile_arguments
from benchmark.hostile.run import run as run_hostile
from benchmark.lists import arguments as lists_arguments
from benchmark.lists import run as run_lists
from benchmark.pairs import arguments as pairs_arguments
from benchmark.pairs import run as run_pairs
from benchmark.path import arguments as path_arguments
from benchmark.path import run as run_path
from benchmark.report import as_json, table
from benchmark.scale import arguments as scale_arguments
from benchmark.scale import outputs
from benchmark.scale import run as run_scale
from benchmark.web import arguments as web_arguments
from benchmark.web import run as run_web

Command = tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]
COMMANDS: Mapping[str, Command] = {
    "scale": (scale_arguments, run_scale),
    "web": (web_arguments, run_web),
    "hostile": (hostile_arguments, run_hostile),
    "pairs": (pairs_arguments, run_pairs),
    "cluster": (cluster_arguments, run_cluster),
    "lists": (lists_arguments, run_lists),
    "path": (path_arguments, run_path),
}


def main() -> int:
    """Run the bench; the exit code is 1 if a server failed."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure devgate beside other servers, and print one table.",
        epilog="`scripts/bench scale --help`: how the cost grows with the number of devices. "
        "`scripts/bench web --help`: what open dashboards cost. "
        "`scripts/bench hostile --help`: beside attacks. "
        "`scripts/bench pairs --help`: this tree beside another one. "
        "`scripts/bench cluster --help`: nodes of a cluster. "
        "`scripts/bench lists --help`: pages of lists with a million devices. "
        "`scripts/bench path --help`: a start's path through the code.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, under two minutes")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds (3; with --quick 1)")
    parser.add_argument(
        "--only", type=_names, default=(), metavar="A,B", help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--devices", type=int, default=STORM, metavar="N", help="in a storm (%(default)s)"
    )
    outputs(parser)
    if command := COMMANDS.get(sys.argv[1] if sys.argv[1:] else ""):
        add_arguments, run = command
        parser = argparse.ArgumentParser(
            prog=f"scripts/bench {sys.argv[1]}", description=run.__doc__
        )
        add_arguments(parser)
        return run(parser.parse_args(sys.argv[2:]))
    args = parser.parse_args()
    pace = dataclasses.replace(QUICK if args.quick else FULL, devices=args.devices)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=args.folder) as folder:
        result = compare(Path(folder), args.only, args.rounds or (1 if args.quick else 3), pace)
    print(table(result))
    if args.json:
        args.json.write_text(json.dumps(as_json(result), indent=1) + "\n")
    if args.svg:
        args.svg.write_text(draw(result))
    complete = all(result.rounds[kind.key] for kind in result.kinds)
    return 0 if complete and result.kinds else 1


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: {', '.join(NAMES)} expected"
        )
    return names


if __name__ == "__main__":
    run_script("bench", main)
