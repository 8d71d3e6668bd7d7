"""`scripts/bench cluster`: what a start costs at one gateway alone, and at nodes of a cluster."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmark import postgres
from benchmark.build import build
from benchmark.compare import say
from benchmark.errors import BenchError
from benchmark.figures import Values
from benchmark.generator import generate, options
from benchmark.machine import Cores, cores, describe
from benchmark.measure import CALLERS
from benchmark.report import aligned
from benchmark.samples import time_of
from benchmark.servers import KNOWN_DEVICES, Kind, Server, bare, devgate, serving

DEVICES, ROUNDS, SECONDS = 5_000, 5, 3.0
AGAIN_SECONDS = 5.0  # for which a start at another node than the device's may be a 404
TITLES = {
    "alone": "one gateway alone",
    "one": "one node",
    "right": "two nodes, orders at the device's node",
    "wrong": "two nodes, orders at the other node",
    "nodes": "serve --nodes 2, half of the orders at the other node",
}
STORMS = {
    "storm": "a storm at one gateway alone",
    "storm1": "a storm at one node",
    "storm2": "a storm at two nodes",
}
STORM, WAVE = 100_000, 17_000  # registrations in all, and at once
UNITS = {
    "starts": "starts/s", "p50": "p50 ms", "p99": "p99 ms", "cpu": "us CPU, device's node",
    "entry": "other node", "database": "PostgreSQL",
}  # fmt: skip
STORM_UNITS = {
    "rate": "registrations/s", "wall": "s", "cpu": "us CPU, nodes", "database": "PostgreSQL",
}  # fmt: skip


class Tree(NamedTuple):
    """A devgate that is measured."""

    title: str  # behind that of what is measured
    path: Path | None  # None: this one


class Rig(NamedTuple):
    """What is measured, with which devgate, on which database."""

    key: str
    tree: Tree
    store: str

    @property
    def title(self) -> str:
        """Its row of the table."""
        return {**TITLES, **STORMS}[self.key] + self.tree.title

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.key}{'-beside' if self.tree.path else ''}"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench cluster`."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="S", help="(%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--beside", type=Path, metavar="DIR", help="measure the devgate of that working tree, too"
    )
    parser.add_argument(
        "--only", metavar="KEYS", help=f"some of {', '.join((*TITLES, *STORMS))} (all of them)"
    )
    parser.add_argument(
        "--storm",
        type=int,
        default=STORM,
        metavar="N",
        help="registrations of a storm, in waves (%(default)s)",
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the store goes: on a real disk"
    )


def run(args: argparse.Namespace) -> int:
    """Measure starts of 32 callers, in turn: at a gateway that works alone on PostgreSQL, at one
    node, at two nodes whose orders arrive at the device's node, or at the other one, and at the
    two of `serve --nodes 2`: the kernel spreads devices over them, and one is asked.

    Nodes share the server's core, and PostgreSQL the generator's where there are only two: the
    CPU times can be compared, the rates of two nodes with those of one cannot.
    """
    programs = postgres.programs()
    if programs is None:
        raise BenchError("no initdb and postgres here")
    used = cores()
    found: dict[str, list[Values]] = {}
    wanted = args.only.split(",") if args.only else [*TITLES, *STORMS]
    if unknown := set(wanted) - {*TITLES, *STORMS}:
        raise BenchError(f"--only: there is no {', '.join(sorted(unknown))}")
    with ExitStack() as stack:
        name = tempfile.TemporaryDirectory(prefix="bench-", dir=args.folder)
        folder = Path(stack.enter_context(name)).resolve()
        tools, machine = build(folder), describe(folder, used)
        url = stack.enter_context(postgres.postgres(programs, used.others))
        trees = [Tree("", None)]
        if args.beside is not None:
            trees.append(Tree(f", {args.beside.name}", args.beside.resolve()))
        rigs = [
            Rig(key, tree, postgres.database(url, f"{key}{number}"))
            for key in wanted
            for number, tree in enumerate(trees)
        ]
        for rig in rigs:
            count = args.storm if rig.key in STORMS else None
            _prepare(folder, rig, count)
        for number in range(args.rounds):
            for rig in rigs:
                if rig.key in STORMS:
                    values = _storm(tools.generator, folder, used, rig, args.storm)
                else:
                    values = _measure(tools.generator, folder, used, rig, args.seconds)
                found.setdefault(rig.title, []).append(values)
                rate = values["starts"] if "starts" in values else values["rate"]
                say(f"round {number + 1} of {args.rounds}: {rig.title}, {rate:,.0f}/s")
    lines = [f"{key:8} {value}" for key, value in machine.items()]
    starts = {title: values for title, values in found.items() if "starts" in values[0]}
    storms = {title: values for title, values in found.items() if "rate" in values[0]}
    tables = [
        aligned(rows(some, units)) for some, units in ((starts, UNITS), (storms, STORM_UNITS))
        if some
    ]  # fmt: skip
    print("\n".join([*lines, *("\n" + "\n".join(table) for table in tables)]))
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, "rounds": found}, indent=1) + "\n")
    return 0


def rows(found: dict[str, list[Values]], units: dict[str, str]) -> list[list[str]]:
    """The table: medians, CPU in microseconds."""
    lines = [["", *units.values()]]
    for title, all_values in found.items():
        medians = {unit: statistics.median(one[unit] for one in all_values) for unit in units}
        lines.append([title, *(f"{medians[unit]:,.{_digits(unit)}f}" for unit in units)])
    return lines


def _digits(unit: str) -> int:
    return 1 if unit in ("p50", "p99", "wall") else 0


def _prepare(folder: Path, rig: Rig, count: int | None) -> None:
    """Import its devices; `count` of them, or as many as every bench has."""
    devgate(
        folder, rig.name, rig.title, rig.store, tree=rig.tree.path,
        devices=KNOWN_DEVICES if count is None else count,
    )  # fmt: skip


def _serve(stack: ExitStack, folder: Path, used: Cores, rig: Rig) -> list[Server]:
    names = {"alone": [""], "one": ["a"], "storm": [""], "storm1": ["a"], "nodes": ["n"]}
    return [
        stack.enter_context(serving(_node(folder, rig, name), folder, used.server, settled=1.5))
        for name in names.get(rig.key, ["a", "b"])
    ]


def _storm(generator: Path, folder: Path, used: Cores, rig: Rig, count: int) -> Values:
    """All devices register, in waves that descriptors suffice for, each at the next node. The
    devices of a wave are gone when the next one comes."""
    with ExitStack() as stack:
        servers = _serve(stack, folder, used, rig)
        before = _times(servers)
        wall = 0.0
        for wave, first in enumerate(range(0, count, WAVE)):
            server, size = servers[wave % len(servers)], min(WAVE, count - first)
            words = [*options(first=first, devices=size), "storm", "settle"]
            target = options(port=server.port, control=server.control, pids=server.process.pid)
            with generate(generator, used.generator, *target, *words) as running:
                wall += running.phase("storm").seconds
                running.phase("settle")
        spent = [now - then for now, then in zip(_times(servers), before, strict=True)]
        each = 1e6 / count
        return {
            "rate": count / wall,
            "wall": wall,
            "cpu": sum(spent[:-1]) * each,
            "database": spent[-1] * each,
        }


def _measure(generator: Path, folder: Path, used: Cores, rig: Rig, seconds: float) -> Values:
    key = rig.key
    with ExitStack() as stack:
        servers = _serve(stack, folder, used, rig)
        holder, entry = servers[0], servers[-1 if key == "wrong" else 0]
        words = [
            *options(devices=DEVICES), "storm", "settle",
            *options(
                beating=DEVICES, callers=CALLERS, rate=0, think=0, seconds=seconds,
                # Which node has a device is known to the other one with the next commit.
                again=AGAIN_SECONDS if key in ("wrong", "nodes") else 0,
            ), "starts",
        ]  # fmt: skip
        running = stack.enter_context(
            generate(
                generator, used.generator,
                *options(port=holder.port, control=entry.control, pids=holder.process.pid),
                *words,
            )
        )  # fmt: skip
        running.phase("storm")
        running.phase("settle")
        before = _times(servers)
        starts = running.phase("starts")
        spent = [now - then for now, then in zip(_times(servers), before, strict=True)]
        each = 1e6 / max(1, starts.operations)
        two = key in ("wrong", "nodes")
        return {
            "starts": starts.operations / starts.seconds,
            "p50": starts.more["p50"] * 1e3,
            "p99": starts.more["p99"] * 1e3,
            "cpu": starts.cpu_us if key != "nodes" else spent[0] * each,
            "entry": spent[1] * each if two else 0.0,
            "database": spent[-1] * each,
        }


def _times(servers: Sequence[Server]) -> list[float]:
    """CPU seconds of each gateway, and those of PostgreSQL's processes together."""
    return [
        *(time_of(pid)[0] for server in servers for pid in _gateways(server.process.pid)),
        sum(time_of(pid)[0] for pid in _postgres_processes()),
    ]


def _gateways(pid: int) -> list[int]:
    """The process itself, or those that it supervises, in the order of their start."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] or [pid]


def _postgres_processes() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                name = Path(entry.path, "comm").read_text().strip()
            except OSError:
                continue
            if name == "postgres":
                yield int(entry.name)


def _node(folder: Path, rig: Rig, name: str) -> Kind:
    """A gateway on this store that is the node of this name; "": one that works alone."""
    kind = bare(folder, f"{rig.name}{name}", rig.title, rig.store, tree=rig.tree.path)
    plain = kind.command

    def command(port: int, control: Path) -> list[str | Path]:
        made = plain(port, control)
        config = folder / f"{rig.name}{name}.toml"
        config.write_text(config.read_text() + f'\n[cluster]\nnode = "{name}"\n')
        return [*made, "--nodes", "2"] if rig.key == "nodes" else made

    return kind if not name else replace(kind, command=command)
