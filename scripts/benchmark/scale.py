"""`scripts/bench scale`: how the cost grows with the number of devices."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmark.build import Tools, build
from benchmark.compare import say
from benchmark.errors import BenchError
from benchmark.figures import Values
from benchmark.generator import Generator, Phase, Word, generate, options
from benchmark.machine import cores, describe, most_devices
from benchmark.report import aligned
from benchmark.servers import Kind, Server, devgate, peers, serving
from benchmark.svg import Lines, picture

COUNTS = (1_000, 3_000, 6_000, 10_000, 15_000)
GATEWAYS = (1, 2, 4, 7)
TOTAL = 100_000  # sockets in all, for the most gateways
NAMES = ("devgate", "floor", "uvloop", "go", "trio")
IDLE = 3.0  # seconds without any load; a sweep comes once a second
INFLIGHT = 100  # devices that ask at once: the same load, whatever the fleet's size
# Key: title and unit in the picture, head of the column in the table, digits.
CURVES = {
    "tn": ("TN, 100 asking at once", "us CPU", "us/TN", 1),
    "storm": ("registration", "us CPU", "us/registration", 1),
    "memory": ("memory per idle device", "bytes", "bytes/device", 0),
    "idle": ("idle: the sweeps", "ms CPU a second", "idle ms/s", 3),
    "sweep": ("idle: the sweeps", "ns CPU a device and second", "idle ns/device/s", 0),
}


@dataclass(frozen=True, slots=True)
class Step:
    """So many devices at so many processes of one kind, and what they cost."""

    title: str
    gateways: int
    devices: int  # in all
    values: Values  # by the keys of CURVES


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench scale`."""
    parser.add_argument("--quick", action="store_true", help="short phases and fewer steps")
    parser.add_argument(
        "--only", default="devgate,floor", metavar="A,B", help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--total", type=int, default=TOTAL, metavar="N",
        help="sockets at the most gateways, side by side (%(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Measure 1,000 to 15,000 devices at one process, then several side by side."""
    only = tuple(args.only.split(","))
    if unknown := set(only) - set(NAMES):
        raise BenchError(f"--only {', '.join(sorted(unknown))}: {', '.join(NAMES)} expected")
    most = min(most_devices(), COUNTS[-1])
    seconds = 0.7 if args.quick else 3.0
    counts = [n for n in COUNTS if n <= most][:: 2 if args.quick else 1]
    fleets = [(n, min(most, args.total // GATEWAYS[-1])) for n in GATEWAYS]
    if args.quick:
        fleets = fleets[1::2]
    with tempfile.TemporaryDirectory(prefix="bench-", dir=args.folder) as name:
        folder = Path(name)
        tools = build(folder)
        kinds = [kind for kind in peers(tools) if kind.key in only]
        if "devgate" in only:
            kinds.insert(0, _gateway(folder, "devgate"))
        one = [_several(tools, folder, [kind], n, seconds) for n in counts for kind in kinds]
        copies = [_copies(folder, kind, GATEWAYS[-1]) for kind in kinds]
        many = [
            _several(tools, folder, several[:gateways], each, seconds)
            for gateways, each in fleets
            for several in copies
        ]
        machine = describe(folder, cores())
    print("\n".join(f"{key:8} {value}" for key, value in machine.items()))
    print("\n".join(["", *aligned(_rows([*one, *many]))]))
    if args.json:
        steps = [_plain(step) for step in [*one, *many]]
        args.json.write_text(json.dumps({"machine": machine, "steps": steps}, indent=1) + "\n")
    if args.svg:
        note = f"{machine['date']}; {machine['cpu']}; {machine['kernel']}"
        args.svg.write_text(
            picture("devgate: cost against the number of devices", note, [
                *_panels(one, "devices"),
                *_panels(many, "devices at up to 7 processes"),
            ], columns=4)
        )  # fmt: skip
    return 0


def _gateway(folder: Path, key: str) -> Kind:
    return devgate(folder, key, "devgate", f"sqlite:///{folder}/{key}.db")


def _copies(folder: Path, kind: Kind, gateways: int) -> list[Kind]:
    """As many of a kind, each with a store and a socket of its own."""
    if kind.key == "devgate":
        return [_gateway(folder, f"devgate{i}") for i in range(gateways)]
    return [Kind(f"{kind.key}{i}", kind.title, kind.command) for i in range(gateways)]


def _several(
    tools: Tools, folder: Path, several: Sequence[Kind], each: int, seconds: float
) -> Step:
    """Let `each` devices register at each of `several` servers, and measure them together."""
    where = cores()
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serving(server, folder, where.server)) for server in several
        ]
        generators = [
            stack.enter_context(
                generate(tools.generator, where.generator, *_words(server, i, each, seconds))
            )
            for i, server in enumerate(servers)
        ]
        values = _together(generators, each)
    title, total = several[0].title, each * len(several)
    say(f"{title}: {total:,} devices at {len(several)} of them")
    return Step(title, len(several), total, values)


def _words(server: Server, number: int, each: int, seconds: float) -> list[Word]:
    """Every generator has source addresses of its own, and waits for the others in between."""
    return [
        *options(port=server.port, control=server.control, pids=server.process.pid),
        *options(source=f"127.0.{number + 1}.2", devices=each),
        "memory", "storm", "settle", "wait", f"seconds={IDLE}", "pause", "memory", "wait",
        *options(seconds=seconds, inflight=INFLIGHT), "tn",
    ]  # fmt: skip


def _together(generators: Sequence[Generator], each: int) -> Values:
    def all_report(name: str) -> list[Phase]:
        return [generator.phase(name) for generator in generators]

    def all_go_on() -> None:
        for generator in generators:
            generator.go_on()
        all_report("wait")

    empty, storm, settled = all_report("memory"), all_report("storm"), all_report("settle")
    all_go_on()
    idle, full = all_report("pause"), all_report("memory")
    all_go_on()
    tn = all_report("tn")
    total = each * len(generators)
    idle_cpu = sum(phase.cpu / phase.seconds for phase in idle)
    grown = sum(f.more["bytes"] - e.more["bytes"] for f, e in zip(full, empty, strict=True))
    return {
        "tn": sum(p.cpu for p in tn) / sum(p.operations for p in tn) * 1e6,
        "storm": sum(p.cpu for p in [*storm, *settled]) / total * 1e6,
        "memory": grown / total,
        "idle": idle_cpu * 1e3,
        "sweep": idle_cpu / total * 1e9,
    }


def _rows(steps: Sequence[Step]) -> list[list[str]]:
    header = ["server", "processes", "devices"]
    header += [head for _title, _unit, head, _digits in CURVES.values()]
    rows = [header]
    for step in steps:
        cells = [step.title, str(step.gateways), f"{step.devices:,}"]
        cells += [f"{step.values[key]:,.{digits}f}" for key, (*_names, digits) in CURVES.items()]
        rows.append(cells)
    return rows


def _plain(step: Step) -> dict[str, object]:
    return {
        "server": step.title,
        "gateways": step.gateways,
        "devices": step.devices,
        **step.values,
    }


def _panels(steps: Sequence[Step], x: str) -> list[Lines]:
    panels = []
    for key, (title, unit, _head, _digits) in CURVES.items():
        if key == "sweep":
            continue  # the same as `idle`, in the table for the eye
        curves = [
            (title, [(s.devices, s.values[key]) for s in steps if s.title == title])
            for title in dict.fromkeys(step.title for step in steps)
        ]
        panels.append(Lines(title, f"{unit}, by {x}", curves))
    return panels
