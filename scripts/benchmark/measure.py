"""Measure one server once: the figures that a round adds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark import rows
from benchmark.build import Tools
from benchmark.errors import BenchError
from benchmark.figures import Values
from benchmark.generator import Generator, Word, generate, options
from benchmark.machine import Cores
from benchmark.servers import Kind, Server, serving, stop

BEATING = 10_000
PACED = 18_000  # heartbeats a second: what 1,000,000 devices send, one each 55 s
LOAD = 2_000  # heartbeats a second while starts are timed
THINK = 0.004  # seconds between one caller's starts
CALLERS = 32
DEPTH = 8
# Seconds after which devgate has loaded what it does not need for its devices: none of that is
# their memory.
LOADED = 3.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each phase takes, in seconds, and how many devices register."""

    tn: float
    heartbeats: float
    one_caller: float
    callers: float
    waves: float
    devices: int


@dataclass(frozen=True, slots=True)
class Rig:
    """What every measurement needs."""

    tools: Tools
    folder: Path
    cores: Cores
    pace: Pace


def measure(rig: Rig, kind: Kind) -> Values:
    """All figures of one server. BenchError if it, or the generator, did not do its part."""
    values: Values = {}
    if kind.rows is not None:
        return _rows(rig, kind, kind.rows)
    if kind.full:
        values |= _frames(rig, kind)
    return values | _fleet(rig, kind)


def _frames(rig: Rig, kind: Kind) -> Values:
    """TN in a closed loop, on a fresh server."""
    seconds = rig.pace.tn
    words = [
        *options(seconds=seconds, devices=100), "storm", "inflight=100", "tn",
        "devices=1000", "storm", "inflight=1000", "tn", f"depth={DEPTH}", "tn",
    ]  # fmt: skip
    with (
        serving(kind, rig.folder, rig.cores.server, settled=LOADED) as server,
        generate(rig.tools.generator, rig.cores.generator, *_at(server), *words) as generator,
    ):
        phases = [generator.phase(name) for name in ("storm", "tn", "storm", "tn", "tn")]
    return {
        "tn_100": phases[1].cpu_us,
        "tn_1000": phases[3].cpu_us,
        "tn_8": phases[4].cpu_us,
    }


def _rows(rig: Rig, kind: Kind, database: Path) -> Values:
    """A storm with the rows that devgate writes for it, and starts of which only rows are left."""
    program = rig.tools.rows
    if program is None:
        raise BenchError("the program for the rows was not built")
    with (
        serving(kind, rig.folder, rig.cores.server) as server,
        generate(
            rig.tools.generator, rig.cores.generator, *_at(server),
            *options(devices=rig.pace.devices), "storm", "settle",
        ) as generator,
    ):  # fmt: skip
        storm, settled = generator.phase("storm"), generator.phase("settle")
    written = rows.registrations(program, database, rig.cores, rig.pace.devices)
    return {
        "storm_cpu": storm.cpu + settled.cpu + written,
        **rows.starts(program, database, rig.cores, rig.pace.callers),
    }


def _fleet(rig: Rig, kind: Kind) -> Values:
    """A storm, what the fleet takes when idle and when it beats, starts, and the handover."""
    pace = rig.pace
    words = [
        *options(devices=pace.devices, beating=min(BEATING, pace.devices)),
        "memory", "storm", "settle", "memory",
        *options(seconds=pace.heartbeats, rate=PACED), "heartbeats",
        *options(seconds=pace.one_caller, rate=LOAD, callers=1, think=THINK), "starts",
        *options(seconds=pace.callers, callers=CALLERS, think=0), "starts",
        *options(seconds=pace.waves), "waves",
        "reconnect=1", "wait",
    ]  # fmt: skip
    with (
        serving(kind, rig.folder, rig.cores.server, settled=LOADED) as server,
        generate(rig.tools.generator, rig.cores.generator, *_at(server), *words) as generator,
    ):
        empty = generator.phase("memory")
        storm = generator.phase("storm")
        settled = generator.phase("settle")
        idle = generator.phase("memory")
        heartbeats = generator.phase("heartbeats")
        one, many = generator.phase("starts"), generator.phase("starts")
        waves = generator.phase("waves")
        handover = hand_over(rig.folder, rig.cores.server, kind, server, generator)
    values = {
        # What is put off is not saved: events and journal are part of the price.
        "storm_cpu": storm.cpu + settled.cpu,
        "storm_wall": storm.seconds,
        "memory": (idle.more["bytes"] - empty.more["bytes"]) / pace.devices,
        "heartbeat": heartbeats.cpu_us,
        "start_p50": one.more["p50"] * 1e6,
        "start_p99": one.more["p99"] * 1e6,
        "starts": many.operations / many.seconds,
        "starts_cpu": many.cpu_us,
        "wave_p50": waves.more["p50"] * 1e6,
        "wave_p99": waves.more["p99"] * 1e6,
        "handover": handover,
    }
    journal = ("start", "wave", "handover")
    return values if kind.full else _only(values, journal)


def hand_over(folder: Path, core: int, kind: Kind, server: Server, generator: Generator) -> float:
    """Seconds from SIGTERM until all devices are registered at a successor.

    The successor starts when the old process has gone, as under systemd; the fleet beats at
    LOAD meanwhile and comes back as soon as it can.
    """
    began = time.monotonic()
    stop(server.process)
    with serving(kind, folder, core, port=server.port, settled=0):
        generator.phase("lost")
        back = generator.phase("back")
        generator.go_on()
        generator.phase("wait")
    return back.at - began


def _at(server: Server) -> list[Word]:
    return options(port=server.port, control=server.control, pids=server.process.pid)


def _only(values: Values, prefixes: Iterable[str]) -> Values:
    return {key: v for key, v in values.items() if key.startswith(tuple(prefixes))}
