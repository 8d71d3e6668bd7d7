"""The command line of scripts/bench."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from benchmark.cluster import arguments as cluster_arguments
from benchmark.cluster import run as run_cluster
from benchmark.compare import FULL, NAMES, QUICK, STORM, compare, draw
from benchmark.errors import BenchError
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
from benchmark.scale import run as run_scale
from benchmark.web import arguments as web_arguments
from benchmark.web import run as run_web


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
    if sys.argv[1:2] == ["scale"]:
        parser = argparse.ArgumentParser(prog="scripts/bench scale", description=run_scale.__doc__)
        scale_arguments(parser)
        outputs(parser)
        return run_scale(parser.parse_args(sys.argv[2:]))
    if sys.argv[1:2] == ["web"]:
        parser = argparse.ArgumentParser(prog="scripts/bench web", description=run_web.__doc__)
        web_arguments(parser)
        return run_web(parser.parse_args(sys.argv[2:]))
    if sys.argv[1:2] == ["cluster"]:
        parser = argparse.ArgumentParser(
            prog="scripts/bench cluster", description=run_cluster.__doc__
        )
        cluster_arguments(parser)
        return run_cluster(parser.parse_args(sys.argv[2:]))
    if sys.argv[1:2] == ["lists"]:
        parser = argparse.ArgumentParser(prog="scripts/bench lists", description=run_lists.__doc__)
        lists_arguments(parser)
        return run_lists(parser.parse_args(sys.argv[2:]))
    if sys.argv[1:2] == ["hostile"]:
        parser = argparse.ArgumentParser(
            prog="scripts/bench hostile", description=run_hostile.__doc__
        )
        hostile_arguments(parser)
        return run_hostile(parser.parse_args(sys.argv[2:]))
    if sys.argv[1:2] == ["pairs"]:
        parser = argparse.ArgumentParser(prog="scripts/bench pairs", description=run_pairs.__doc__)
        pairs_arguments(parser)
        return run_pairs(parser.parse_args(sys.argv[2:]))
    if sys.argv[1:2] == ["path"]:
        parser = argparse.ArgumentParser(prog="scripts/bench path", description=run_path.__doc__)
        path_arguments(parser)
        return run_path(parser.parse_args(sys.argv[2:]))
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


def outputs(parser: argparse.ArgumentParser) -> None:
    """The options that both kinds of run have."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw them there")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the stores go: on a real disk"
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: {', '.join(NAMES)} expected"
        )
    return names


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as err:
        print(f"bench: {err}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
