"""`scripts/bench scale`: how the cost grows with the number of devices. It must be flat."""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmark import known
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
IDLE = 3.0  # seconds without any load, before and after: a sweep comes once a second
INFLIGHT = 100  # devices that ask at once: the same load, whatever the fleet's size
PANEL_WIDTH = 232


@dataclass(frozen=True, slots=True)
class Curve:
    """One of the figures."""

    title: str
    unit: str  # in the picture
    head: str  # of its column in the table
    digits: int
    drawn: bool = True


CURVES: Mapping[str, Curve] = {
    "tn": Curve("a frame", f"us CPU, TN, {INFLIGHT} at once", "us/TN", 1),
    "storm": Curve("a registration", "us CPU, until settled", "us/registration", 1),
    "memory": Curve("memory per idle device", "bytes", "bytes/device", 0),
    # What an idle gateway does beyond an empty one: it looks for silent devices once a second.
    "sweep": Curve("a sweep, per idle device", "ns CPU", "ns/device/sweep", 0),
    "sweep_ms": Curve("a sweep", "ms CPU", "ms/sweep", 2, drawn=False),
}


@dataclass(frozen=True, slots=True)
class Step:
    """What a number of devices costs at a number of processes of one kind."""

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
    parser.add_argument(
        "--known-only", action="store_true",
        help="only what known devices cost that are not connected",
    )  # fmt: skip
    outputs(parser)


def outputs(parser: argparse.ArgumentParser) -> None:
    """Where results go, and stores; `scripts/bench` alone has these options, too."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw them there")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the stores go: on a real disk"
    )


def run(args: argparse.Namespace) -> int:
    """Measure 1,000 to 15,000 devices at one process, then several side by side, up to 100,000.

    Then start devgate on up to a million known devices. The exit code is 1 if one of those
    takes more memory than was promised.
    """
    only = tuple(args.only.split(","))
    if unknown := set(only) - set(NAMES):
        raise BenchError(f"--only {', '.join(sorted(unknown))}: {', '.join(NAMES)} expected")
    one: list[Step] = []
    many: list[Step] = []
    costs: list[known.Cost] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=args.folder) as name:
        folder = Path(name)
        if not args.known_only:
            one, many = _connected(folder, only, args.total, quick=args.quick)
        if "devgate" in only:
            costs = known.measure(folder, 1 if args.quick else known.ROUNDS)
        machine = describe(folder, cores())
    print("\n".join(f"{key:8} {value}" for key, value in machine.items()))
    if one:
        print("\n".join(["", *aligned(_rows([*one, *many])), "", *_growth(one)]))
    kept = True
    if costs:
        sentence, kept = known.verdict(costs)
        print("\n".join(["", *aligned(known.rows(costs)), "", sentence]))
    if args.json:
        steps = [_plain(step) for step in [*one, *many]]
        plain = {"machine": machine, "steps": steps, "known": list(map(dataclasses.asdict, costs))}
        args.json.write_text(json.dumps(plain, indent=1) + "\n")
    if args.svg:
        args.svg.write_text(_draw(machine, one, many, costs))
    return 0 if kept else 1


def _connected(
    folder: Path, only: Sequence[str], total: int, *, quick: bool
) -> tuple[list[Step], list[Step]]:
    """Ever more devices at one process of each kind, and at ever more processes."""
    most = min(most_devices(), COUNTS[-1])
    seconds = 0.7 if quick else 3.0
    counts = [n for n in COUNTS if n <= most][:: 2 if quick else 1]
    fleets = [(n, min(most, total // GATEWAYS[-1])) for n in GATEWAYS]
    if quick:
        fleets = fleets[1::2]
    tools = build(folder)
    kinds = [kind for kind in peers(folder, tools) if kind.key in only]
    if "devgate" in only:
        kinds.insert(0, _gateway(folder, "devgate"))
    one = [_several(tools, folder, [kind], n, seconds) for n in counts for kind in kinds]
    copies = [_copies(folder, kind, GATEWAYS[-1]) for kind in kinds]
    many = [
        _several(tools, folder, several[:gateways], each, seconds)
        for gateways, each in fleets
        for several in copies
    ]
    return one, many


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
        # None at first, so that none is missing while it waits.
        *options(source=f"127.0.{number + 1}.2", devices=0, seconds=IDLE),
        "settle", "pause", "memory", "wait", *options(devices=each),
        "storm", "settle", "wait", "pause", "memory", "wait",
        *options(seconds=seconds, inflight=INFLIGHT), "tn",
    ]  # fmt: skip


def _together(generators: Sequence[Generator], each: int) -> Values:
    def all_report(name: str) -> list[Phase]:
        return [generator.phase(name) for generator in generators]

    def all_go_on() -> None:
        for generator in generators:
            generator.go_on()
        all_report("wait")

    all_report("settle")  # what a start leaves to do
    alone, empty = all_report("pause"), all_report("memory")
    all_go_on()
    storm, settled = all_report("storm"), all_report("settle")
    all_go_on()
    idle, full = all_report("pause"), all_report("memory")
    all_go_on()
    tn = all_report("tn")
    total = each * len(generators)
    # Both take a second, so this is a sweep of each process. It is never less than nothing.
    sweep = max(
        0.0, sum(i.cpu / i.seconds - a.cpu / a.seconds for i, a in zip(idle, alone, strict=True))
    )
    grown = sum(f.more["bytes"] - e.more["bytes"] for f, e in zip(full, empty, strict=True))
    return {
        "tn": sum(p.cpu for p in tn) / sum(p.operations for p in tn) * 1e6,
        "storm": sum(p.cpu for p in [*storm, *settled]) / total * 1e6,
        "memory": grown / total,
        "sweep": sweep / total * 1e9,
        "sweep_ms": sweep / len(generators) * 1e3,
    }


def _rows(steps: Sequence[Step]) -> list[list[str]]:
    rows = [["server", "processes", "devices", *(curve.head for curve in CURVES.values())]]
    for step in steps:
        cells = [step.title, str(step.gateways), f"{step.devices:,}"]
        cells += [f"{step.values[key]:,.{curve.digits}f}" for key, curve in CURVES.items()]
        rows.append(cells)
    return rows


def _growth(steps: Sequence[Step]) -> list[str]:
    """How far it is from flat, a line for each server. The floor's growth is the machine's."""
    lines = []
    for title in dict.fromkeys(step.title for step in steps):
        first, *_, last = [step for step in steps if step.title == title]
        times = [
            f"{curve.title} {last.values[key] / first.values[key]:.2f}"
            for key, curve in CURVES.items()
            if curve.drawn and first.values[key] > 0
        ]
        lines.append(
            f"{title} with {last.devices:,} devices, in times of its cost with "
            f"{first.devices:,}: {', '.join(times)}"
        )
    return lines


def _plain(step: Step) -> dict[str, object]:
    return {
        "server": step.title,
        "gateways": step.gateways,
        "devices": step.devices,
        **step.values,
    }


def _draw(
    machine: Mapping[str, str],
    one: Sequence[Step],
    many: Sequence[Step],
    costs: Sequence[known.Cost],
) -> str:
    rows = {
        "One process": _panels(one),
        f"{', '.join(map(str, GATEWAYS[:-1]))} and {GATEWAYS[-1]} processes side by side, "
        "each with its own part of the devices": _panels(many),
        "Known devices, none of them connected": known.panels(costs) if costs else [],
    }
    rows = {heading: panels for heading, panels in rows.items() if panels}
    note = f"{machine['date']}; {machine['cpu']}; {machine['kernel']}; Python {machine['python']}"
    return picture(
        "devgate: cost against the number of devices", note,
        [panel for panels in rows.values() for panel in panels],
        columns=4, headings=list(rows), panel_width=PANEL_WIDTH,
    )  # fmt: skip


def _panels(steps: Sequence[Step]) -> list[Lines]:
    if not steps:
        return []
    titles = dict.fromkeys(step.title for step in steps)
    panels = []
    for key, curve in CURVES.items():
        curves = [
            (title, [(s.devices, s.values[key]) for s in steps if s.title == title])
            for title in titles
        ]
        # A server that does nothing of the kind (the floor sweeps nothing) is left out there.
        curves = [(title, some) for title, some in curves if sum(y for _x, y in some) >= len(some)]
        if curve.drawn:
            panels.append(Lines(curve.title, f"{curve.unit}, by devices", curves))
    return panels
