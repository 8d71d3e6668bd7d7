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
from benchmark.servers import Kind, Server, bare, devgate, serving

DEVICES, ROUNDS, SECONDS = 5_000, 5, 3.0
TITLES = {
    "alone": "one gateway alone",
    "one": "one node",
    "right": "two nodes, orders at the device's node",
    "wrong": "two nodes, orders at the other node",
}
UNITS = {
    "starts": "starts/s", "p50": "p50 ms", "p99": "p99 ms", "cpu": "us CPU, device's node",
    "entry": "other node", "database": "PostgreSQL",
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench cluster`."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="S", help="(%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the store goes: on a real disk"
    )


def run(args: argparse.Namespace) -> int:
    """Measure starts of 32 callers, in turn: at a gateway that works alone on PostgreSQL, at one
    node, and at two nodes whose orders arrive at the device's node, or at the other one.

    Nodes share the server's core, and PostgreSQL the generator's where there are only two: the
    CPU times can be compared, the rates of two nodes with those of one cannot.
    """
    programs = postgres.programs()
    if programs is None:
        raise BenchError("no initdb and postgres here")
    used = cores()
    found: dict[str, list[Values]] = {key: [] for key in TITLES}
    with ExitStack() as stack:
        name = tempfile.TemporaryDirectory(prefix="bench-", dir=args.folder)
        folder = Path(stack.enter_context(name)).resolve()
        tools, machine = build(folder), describe(folder, used)
        url = stack.enter_context(postgres.postgres(programs, used.others))
        stores = {key: postgres.database(url, key) for key in TITLES}
        for key, store in stores.items():
            devgate(folder, key, key, store)  # its devices are imported here
        for number in range(args.rounds):
            for key in TITLES:
                values = _measure(tools.generator, folder, used, key, stores[key], args.seconds)
                found[key].append(values)
                say(
                    f"round {number + 1} of {args.rounds}: {key}, {values['starts']:,.0f} starts/s"
                )
    lines = [f"{key:8} {value}" for key, value in machine.items()]
    print("\n".join([*lines, "", *aligned(rows(found))]))
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, "rounds": found}, indent=1) + "\n")
    return 0


def rows(found: dict[str, list[Values]]) -> list[list[str]]:
    """The table: medians, CPU per start in microseconds."""
    lines = [["", *UNITS.values()]]
    for key, title in TITLES.items():
        medians = {
            unit: statistics.median(values[unit] for values in found[key]) for unit in UNITS
        }
        lines.append([title, *(f"{medians[unit]:,.{_digits(unit)}f}" for unit in UNITS)])
    return lines


def _digits(unit: str) -> int:
    return 1 if unit in ("p50", "p99") else 0


def _measure(
    generator: Path, folder: Path, used: Cores, key: str, store: str, seconds: float
) -> Values:
    with ExitStack() as stack:
        names = {"alone": [""], "one": ["a"]}.get(key, ["a", "b"])
        servers: list[Server] = [
            stack.enter_context(
                serving(_node(folder, key, store, name), folder, used.server, settled=1.5)
            )
            for name in names
        ]
        holder, entry = servers[0], servers[-1 if key == "wrong" else 0]
        words = [
            *options(devices=DEVICES), "storm", "settle",
            *options(
                beating=DEVICES, callers=CALLERS, rate=0, think=0, seconds=seconds
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
        return {
            "starts": starts.operations / starts.seconds,
            "p50": starts.more["p50"] * 1e3,
            "p99": starts.more["p99"] * 1e3,
            "cpu": starts.cpu_us,
            "entry": spent[1] * each if key == "wrong" else 0.0,
            "database": spent[-1] * each,
        }


def _times(servers: Sequence[Server]) -> list[float]:
    """CPU seconds of each gateway, and those of PostgreSQL's processes together."""
    return [
        *(time_of(server.process.pid)[0] for server in servers),
        sum(time_of(pid)[0] for pid in _postgres_processes()),
    ]


def _postgres_processes() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                name = Path(entry.path, "comm").read_text().strip()
            except OSError:
                continue
            if name == "postgres":
                yield int(entry.name)


def _node(folder: Path, key: str, store: str, name: str) -> Kind:
    """A gateway on this store that is the node of this name; "": one that works alone."""
    kind = bare(folder, f"{key}{name}", TITLES[key], store)
    plain = kind.command

    def command(port: int, control: Path) -> list[str | Path]:
        made = plain(port, control)
        config = folder / f"{key}{name}.toml"
        config.write_text(config.read_text() + f'\n[cluster]\nnode = "{name}"\n')
        return made

    return kind if not name else replace(kind, command=command)
