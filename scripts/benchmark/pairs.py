"""`scripts/bench pairs`: this working tree beside another one, in interleaved pairs.

Two runs on a shared machine differ by a fifth. The two halves of a pair run within half a minute
of each other, so that most of what disturbs one disturbs the other, and each pair gives a ratio.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmark import postgres
from benchmark.build import build
from benchmark.compare import STORM, say
from benchmark.errors import BenchError
from benchmark.figures import Figure, Values
from benchmark.generator import Generator, Word, generate, options
from benchmark.machine import Cores, cores, describe, most_devices
from benchmark.measure import CALLERS, DEPTH, LOAD, LOADED, THINK, hand_over
from benchmark.report import aligned
from benchmark.servers import Kind, Server, devgate, serving

HERE = Path(__file__).resolve().parent.parent.parent
PAIRS = 20
CONFIDENCE = 0.95
LEVELS = ("warning", "info")  # of the gateway's log; info is its default
TN_DEVICES = 1_000
STORM_FIGURES = {"storm_cpu", "storm_wall", "memory"}

FIGURES = (
    Figure("starts_cpu", f"starts, {CALLERS} callers", "us CPU"),
    Figure("starts", f"starts, {CALLERS} callers", "1/s", 0, more_is_better=True),
    Figure("start_p50", f"starts, {CALLERS} callers: p50", "us", 0),
    Figure("start_p99", f"starts, {CALLERS} callers: p99", "us", 0),
    Figure("one_p50", f"start, one caller, {LOAD:,} heartbeats/s: p50", "us", 0),
    Figure("one_p99", f"start, one caller, {LOAD:,} heartbeats/s: p99", "us", 0),
    Figure("storm_cpu", "a registration of a storm, until settled", "us CPU", 1),
    Figure("storm_wall", "storm, until the last answer", "s", 2),
    Figure("memory", "memory per idle device", "bytes", 0),
    Figure("handover", "SIGTERM to all registered at the successor", "s", 2),
    Figure("tn", f"TN, {TN_DEVICES:,} connections", "us CPU", 2),
    Figure("tn_8", f"TN, {TN_DEVICES:,} connections, {DEPTH} in a write", "us CPU", 2),
)


@dataclass(frozen=True, slots=True)
class Part:
    """What is measured together: words for the generator, and what its phases come to."""

    words: Callable[[int, float], list[Word]]  # for that many devices and seconds
    read: Callable[[Run], Values]


@dataclass(frozen=True, slots=True)
class Run:
    """One gateway and its load, while they are measured."""

    generator: Generator
    server: Server
    kind: Kind
    folder: Path
    core: int  # the gateway's
    devices: int


def _tn_words(_devices: int, seconds: float) -> list[Word]:
    return [
        *options(devices=TN_DEVICES), "storm", "settle",
        *options(seconds=seconds, inflight=TN_DEVICES), "tn", f"depth={DEPTH}", "tn", "depth=1",
    ]  # fmt: skip


def _tn(run: Run) -> Values:
    generator = run.generator
    generator.phase("storm"), generator.phase("settle")
    return {"tn": generator.phase("tn").cpu_us, "tn_8": generator.phase("tn").cpu_us}


def _storm_words(devices: int, _seconds: float) -> list[Word]:
    return [*options(devices=devices), "memory", "storm", "settle", "memory"]


def _storm(run: Run) -> Values:
    empty = run.generator.phase("memory")
    storm, settled = run.generator.phase("storm"), run.generator.phase("settle")
    idle = run.generator.phase("memory")
    count = max(1, storm.operations)  # those of "tn" are there already
    return {
        "storm_cpu": (storm.cpu + settled.cpu) / count * 1e6,
        "storm_wall": storm.seconds,
        "memory": (idle.more["bytes"] - empty.more["bytes"]) / count,
    }


def _starts_words(devices: int, seconds: float) -> list[Word]:
    # Without heartbeats: their CPU would be counted with the starts'.
    return [
        *options(beating=devices, callers=CALLERS, rate=0, think=0, seconds=seconds), "starts",
    ]  # fmt: skip


def _starts(run: Run) -> Values:
    starts = run.generator.phase("starts")
    return {
        "starts_cpu": starts.cpu_us,
        "starts": starts.operations / starts.seconds,
        "start_p50": starts.more["p50"] * 1e6,
        "start_p99": starts.more["p99"] * 1e6,
    }


def _one_words(devices: int, seconds: float) -> list[Word]:
    return [
        *options(beating=devices, callers=1, rate=LOAD, think=THINK, seconds=seconds), "starts",
    ]  # fmt: skip


def _one(run: Run) -> Values:
    more = run.generator.phase("starts").more
    return {"one_p50": more["p50"] * 1e6, "one_p99": more["p99"] * 1e6}


def _handover_words(devices: int, _seconds: float) -> list[Word]:
    return [*options(beating=devices, rate=LOAD), "reconnect=1", "wait"]


def _handover(run: Run) -> Values:
    return {"handover": hand_over(run.folder, run.core, run.kind, run.server, run.generator)}


# In this order: the frames need few devices, starts need devices that are there, and the gateway
# that is measured has gone after the handover.
PARTS: Mapping[str, Part] = {
    "tn": Part(_tn_words, _tn),
    "storm": Part(_storm_words, _storm),
    "starts": Part(_starts_words, _starts),
    "one": Part(_one_words, _one),
    "handover": Part(_handover_words, _handover),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench pairs`."""
    parser.add_argument("base", type=Path, metavar="BASE_TREE", help="for example a git worktree")
    parser.add_argument(
        "pairs", type=int, nargs="?", default=PAIRS, metavar="N", help="pairs (%(default)s)"
    )
    parser.add_argument(
        "--only", type=_parts, default=tuple(PARTS), metavar="A,B", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="of each load (3)")
    parser.add_argument(
        "--devices", type=int, default=STORM, metavar="N", help="in a storm (%(default)s)"
    )
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, not on SQLite")
    parser.add_argument(
        "--log", choices=LEVELS, default=LEVELS[0], help="the gateways' log level (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the stores go: on a real disk"
    )


def run(args: argparse.Namespace) -> int:
    """Compare this tree with BASE_TREE: starts, registrations, TN frames, memory and a restart.

    Both run with this tree's Python and libraries, each on a store of its own. A pair is one
    run of either, close together, and the order alternates. The table has the medians, and the
    median change from BASE_TREE to this tree over the pairs with its 95 % interval.
    """
    base = args.base.resolve()
    if not (base / "devgate" / "__main__.py").is_file():
        raise BenchError(f"{args.base}: a working tree of devgate expected")
    if args.pairs < 1:
        raise BenchError("one pair at least")
    if args.devices > most_devices():
        raise BenchError(f"--devices: {most_devices()} connections at most are possible here")
    found: list[tuple[Values, Values]] = []
    with ExitStack() as stack:
        name = tempfile.TemporaryDirectory(prefix="bench-", dir=args.folder)
        folder = Path(stack.enter_context(name)).resolve()
        used, tools = cores(), build(folder)
        machine = describe(folder, used)
        kinds = [
            devgate(folder, key, key, url, level=args.log, tree=tree)
            for (key, tree), url in zip(
                {"base": base, "this": HERE}.items(),
                _stores(folder, used, stack, on_postgres=args.postgres),
                strict=True,
            )
        ]
        for number in range(args.pairs):
            order = (0, 1) if number % 2 == 0 else (1, 0)
            half: dict[int, Values] = {}
            for which in order:
                half[which] = _measure(tools.generator, folder, used, kinds[which], args)
            found.append((half[0], half[1]))
            say(f"pair {number + 1} of {args.pairs}: {_in_short(found[-1])}")
    lines = [f"{key:8} {value}" for key, value in machine.items()]
    store = "PostgreSQL" if args.postgres else "SQLite"
    lines.append(f"{'pairs':8} {args.pairs}, log level {args.log}, on {store}; base is {base}")
    print("\n".join([*lines, "", *aligned(rows(found))]))
    if args.json:
        plain = {"machine": machine, "pairs": found}
        args.json.write_text(json.dumps(plain, indent=1) + "\n")
    return 0


def rows(pairs: Sequence[tuple[Values, Values]]) -> list[list[str]]:
    """The table: a row for each figure that was measured."""
    lines = [["", "", "base", "this tree", "change", f"{CONFIDENCE:.0%} interval"]]
    for figure in FIGURES:
        both = [(b[figure.key], t[figure.key]) for b, t in pairs if figure.key in b]
        if not both:
            continue
        changes = [this / base - 1 for base, this in both]
        low, high = interval(changes)
        lines.append([
            figure.title, figure.unit,
            *(f"{statistics.median(side):,.{figure.digits}f}" for side in zip(*both, strict=True)),
            f"{statistics.median(changes):+.1%}", f"{low:+.1%} to {high:+.1%}",
        ])  # fmt: skip
    return lines


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the median of what these are drawn from lies with CONFIDENCE, whatever its shape.

    It is bounded by two of the values: the k-th from either end, for the largest k whose chance
    to miss is small enough. With five values or fewer these are the outermost, and less sure.
    """
    ordered, count = sorted(values), len(values)
    k, missed = 1, 2 / 2**count
    while k < (count + 1) // 2:
        missed += 2 * math.comb(count, k) / 2**count
        if missed > 1 - CONFIDENCE:
            break
        k += 1
    return ordered[k - 1], ordered[count - k]


def _measure(
    generator: Path, folder: Path, used: Cores, kind: Kind, args: argparse.Namespace
) -> Values:
    needs_devices = not {"starts", "one", "handover"}.isdisjoint(args.only)
    names = {*args.only, *(["storm"] if needs_devices else [])}
    parts = [part for name, part in PARTS.items() if name in names]
    words = [word for part in parts for word in part.words(args.devices, args.seconds)]
    values: Values = {}
    with (
        serving(kind, folder, used.server, settled=LOADED) as server,
        generate(
            generator,
            used.generator,
            *options(port=server.port, control=server.control, pids=server.process.pid),
            *words,
        ) as running,
    ):
        run = Run(running, server, kind, folder, used.server, args.devices)
        for part in parts:
            values |= part.read(run)
    if "storm" not in args.only:
        values = {key: value for key, value in values.items() if key not in STORM_FIGURES}
    return values


def _stores(folder: Path, used: Cores, stack: ExitStack, *, on_postgres: bool) -> list[str]:
    if not on_postgres:
        return [f"sqlite:///{folder}/{name}.db" for name in ("base", "this")]
    programs = postgres.programs()
    if programs is None:
        raise BenchError("--postgres: no initdb and postgres here")
    url = stack.enter_context(postgres.postgres(programs, used.others))
    return [postgres.database(url, name) for name in ("base", "this")]


def _in_short(pair: tuple[Values, Values]) -> str:
    base, this = pair
    changes = (
        f"{figure.key} {this[figure.key] / base[figure.key] - 1:+.1%}"
        for figure in FIGURES
        if figure.key in base
    )
    return ", ".join(changes)


def _parts(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(PARTS):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: {', '.join(PARTS)} expected"
        )
    return names
