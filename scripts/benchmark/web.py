"""`scripts/bench web`: what open dashboards and scrapes of metrics cost the devices."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.build import build
from benchmark.compare import say
from benchmark.errors import BenchError
from benchmark.generator import Word, generate, options
from benchmark.machine import Cores, cores, describe, most_devices
from benchmark.report import aligned
from benchmark.servers import Server, serving
from benchmark.viewers import Scraping, Viewers, logged_in
from benchmark.watched import Churn, Probe, gateway

DEVICES, RATE = 10_000, 1_800  # heartbeats a second in all: a busy day of that many devices
DASHBOARDS = 20
PAST = 50_000  # events of the last day that the store holds already
SETTLED = 3.0  # seconds from the opening of pages until the measuring begins
SPELLS = {"alone": "nobody looks", "watched": "dashboards open", "scraped": "/metrics 5 a second"}


@dataclass(frozen=True, slots=True)
class Spell:
    """Some seconds of one kind."""

    kind: str
    cpu: float  # percent of a core
    worst: float  # ms until a TN was answered, the longest
    median: float  # ms
    sent_rate: float  # KiB a second that the pages were sent


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench web`."""
    parser.add_argument("--quick", action="store_true", help="one short round, under 40 s")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds (3; with --quick 1)")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="of each spell (20; with --quick 5)"
    )
    parser.add_argument("--devices", type=int, default=DEVICES, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--rate", type=int, default=RATE, metavar="N", help="heartbeats a second (%(default)s)"
    )
    parser.add_argument(
        "--dashboards", type=int, default=DASHBOARDS, metavar="N", help="(%(default)s)"
    )
    parser.add_argument(
        "--only", choices=("watched", "scraped"), help="one of the two, beside nobody"
    )
    parser.add_argument(
        "--pages", default="/", metavar="A,B",
        help="what they show, in turn; {imei} is another device in each (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--past", type=int, default=PAST, metavar="N",
        help="events of the last day in the store (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all spells there")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the store goes: on a real disk"
    )


def run(args: argparse.Namespace) -> int:
    """Measure a gateway alone, with dashboards open, and with its metrics scraped, in turn."""
    if args.devices > most_devices():
        raise BenchError(f"{args.devices} devices are too many for one process here")
    where = cores()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=args.folder) as name:
        folder = Path(name)
        generator = build(folder).generator
        kind, web = gateway(folder, args.past)
        with serving(kind, folder, where.server) as server:
            words = _words(server, args.devices, args.rate)
            with generate(generator, where.generator, *words) as load:
                load.phase("storm")
                load.phase("settle")
                spells = list(_spells(args, server, web, where))
                load.go_on()  # and it ends
        machine = describe(folder, where)
    print("\n".join(f"{key:8} {value}" for key, value in machine.items()))
    print(f"{'load':8} {args.devices:,} devices, {args.rate:,} heartbeats a second")
    print("\n".join(["", *aligned(_rows(spells, args.dashboards))]))
    if args.json:
        found = {"machine": machine, "spells": [asdict(spell) for spell in spells]}
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _words(server: Server, devices: int, rate: int) -> list[Word]:
    return [
        *options(port=server.port, pids=server.process.pid, devices=devices, beating=devices),
        "storm", "settle", *options(rate=rate, reconnect=1), "wait",
    ]  # fmt: skip


def _spells(args: argparse.Namespace, server: Server, web: int, where: Cores) -> Iterator[Spell]:
    rounds = args.rounds or (1 if args.quick else 3)
    seconds = args.seconds or (5.0 if args.quick else 20.0)
    cookies = logged_in(web)
    with Churn.running(server.port, where), Probe.running(server.port, where) as probe:
        for number in range(rounds):
            for kind in SPELLS:
                if args.only not in (None, kind) and kind != "alone":
                    continue
                with _looked_at(kind, args, web, cookies) as viewers:
                    time.sleep(SETTLED)
                    spell = _spell(kind, server, probe, viewers, seconds)
                say(f"round {number + 1} of {rounds}: {SPELLS[kind]}, {spell.cpu:.2f} % of a core")
                yield spell


@contextmanager
def _looked_at(
    kind: str, args: argparse.Namespace, web: int, cookies: str
) -> Iterator[Viewers | None]:
    if kind == "watched":
        with Viewers.running(web, cookies, args.dashboards, args.pages.split(",")) as viewers:
            yield viewers
    elif kind == "scraped":
        with Scraping.running(web, cookies):
            yield None
    else:
        yield None


def _spell(
    kind: str, server: Server, probe: Probe, viewers: Viewers | None, seconds: float
) -> Spell:
    # Linux's clock of another process. It counts the threads that have ended, too: those that
    # read the database come and go.
    clock = ~server.process.pid << 3 | 2
    probe.latencies.clear()
    read, began = (viewers.read if viewers else 0), time.monotonic()
    used = time.clock_gettime(clock)
    time.sleep(seconds)
    passed, cpu = time.monotonic() - began, time.clock_gettime(clock) - used
    latencies = list(probe.latencies) or [float("nan")]
    sent_bytes = (viewers.read if viewers else 0) - read
    return Spell(
        kind,
        100 * cpu / passed,
        1e3 * max(latencies),
        1e3 * statistics.median(latencies),
        sent_bytes / passed / 1024,
    )


def _rows(spells: Sequence[Spell], dashboards: int) -> list[list[str]]:
    """Means. What a spell adds is taken from the one of its own round: a machine's days differ."""
    rows = [["spell", "", "CPU %", "adds", "+-", "relative", "TN ms", "worst", "KiB/s"]]
    alone = [spell.cpu for spell in spells if spell.kind == "alone"]
    for kind, title in SPELLS.items():
        these = [spell for spell in spells if spell.kind == kind]
        if not these:
            continue
        adds = [spell.cpu - base for spell, base in zip(these, alone, strict=True)]
        error = statistics.stdev(adds) / len(adds) ** 0.5 if len(adds) > 1 else float("nan")
        rows.append(
            [
                title,
                str(dashboards) if kind == "watched" else "",
                f"{statistics.mean(spell.cpu for spell in these):.2f}",
                *(
                    ("", "", "")
                    if kind == "alone"
                    else (
                        f"{statistics.mean(adds):+.2f}",
                        f"{error:.2f}",
                        f"{100 * statistics.mean(adds) / statistics.mean(alone):+.1f} %",
                    )
                ),
                f"{statistics.median(spell.median for spell in these):.2f}",
                f"{statistics.median(spell.worst for spell in these):.1f}",
                f"{statistics.mean(spell.sent_rate for spell in these):.1f}",
            ]
        )
    return rows
