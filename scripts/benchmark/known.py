"""What known devices cost that are not connected: their part of a start, and their memory."""

from __future__ import annotations

import json
import sqlite3
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmark.compare import say
from benchmark.errors import BenchError
from benchmark.machine import cores
from benchmark.servers import FIRST_IMEI, Kind, Server, bare, serving
from benchmark.svg import Lines
from devgate.control.client import NoGateway, ask
from devgate.store.opening import open_database

COUNTS = (10_000, 100_000, 1_000_000)
LIMIT = 300  # bytes that a known device may take, which is what was promised
ROUNDS = 3  # starts at each count; the median of their times
# The schema, its checks and its triggers are the real ones: other programs may write so, too.
# Ten times as quick as an import, which lets a gateway beside it have its turn.
FILL = """\
INSERT INTO device (imei, id, name, site)
WITH RECURSIVE number(n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ?2)
SELECT printf('%015d', ?3 + n), n + 1, 'Chair ' || n, 'Site ' || (n % 997) FROM number
"""


@dataclass(frozen=True, slots=True)
class Start:
    """A gateway that has just started on a store with this many devices."""

    known: int
    seconds: float  # from the program's start to its first answer
    loading: float  # of these between its first and its last word before that
    memory: float  # resident, in bytes
    peak: float


@dataclass(frozen=True, slots=True)
class Cost:
    """The same for people: what is due to the devices, above an empty store."""

    known: int
    seconds: float
    loading: float
    memory: float
    peak: float
    us_a_device: float
    bytes_a_device: float


def measure(folder: Path, rounds: int) -> list[Cost]:
    """Start the real gateway on an empty store and on ever more known devices."""
    store = folder / "known.db"
    kind = bare(folder, "known", "devgate", f"sqlite:///{store}", level="info")
    open_database(f"sqlite:///{store}").close()
    empty = _median([_start(kind, folder, 0) for _ in range(rounds)])
    costs, there = [], 0
    for known in COUNTS:
        began = time.monotonic()
        with closing(sqlite3.connect(store)) as database, database:
            database.execute(FILL, (there, known, FIRST_IMEI))
        there = known
        one = _median([_start(kind, folder, known) for _ in range(rounds)])
        costs.append(_above(one, empty))
        say(f"{known:,} known devices, {time.monotonic() - began:.0f} s")
    return [_above(empty, empty), *costs]


def _start(kind: Kind, folder: Path, known: int) -> Start:
    log = folder / f"{kind.key}.log"
    log.write_text("")
    began = time.monotonic()
    with serving(kind, folder, cores().server, settled=0) as server:
        seconds = time.monotonic() - began
        found = _known(server)
        if found != known:
            raise BenchError(f"the gateway knows {found:,} devices and not {known:,}")
        memory, peak = (_memory(server, name) for name in ("VmRSS", "VmHWM"))
    return Start(known, seconds, _loading(log), memory, peak)


def _known(server: Server) -> int:
    try:
        return int(ask(str(server.control), {"type": "status"})["devices"])
    except NoGateway as err:
        raise BenchError(f"the gateway does not say how many devices it knows: {err}") from None


def _memory(server: Server, name: str) -> float:
    status = Path("/proc", str(server.process.pid), "status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def _loading(log: Path) -> float:
    """Seconds from the first line of its log to the one that says `ready`."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    times = [datetime.fromisoformat(line["at"]) for line in lines if line["event"] == "ready"]
    if not times:
        raise BenchError("the gateway's log does not say when it was ready")
    return (times[0] - datetime.fromisoformat(lines[0]["at"])).total_seconds()


def _median(starts: Sequence[Start]) -> Start:
    values = zip(*((s.seconds, s.loading, s.memory, s.peak) for s in starts), strict=True)
    return Start(starts[0].known, *map(statistics.median, values))


def _above(one: Start, empty: Start) -> Cost:
    loading, devices = one.loading - empty.loading, one.known or 1
    return Cost(
        one.known, one.seconds, loading, one.memory, one.peak,
        loading / devices * 1e6, (one.memory - empty.memory) / devices,
    )  # fmt: skip


def rows(costs: Sequence[Cost]) -> list[list[str]]:
    """A table for people."""
    header = ["known devices", "start s", "of it loading s", "us/device", "bytes/device"]
    return [
        [*header, "resident MB", "at most MB"],
        *(
            [
                f"{c.known:,}", f"{c.seconds:.2f}", f"{c.loading:.2f}", f"{c.us_a_device:.2f}",
                f"{c.bytes_a_device:.0f}", f"{c.memory / 1e6:.1f}", f"{c.peak / 1e6:.1f}",
            ]
            for c in costs
        ),
    ]  # fmt: skip


def verdict(costs: Sequence[Cost]) -> tuple[str, bool]:
    """A sentence on the largest store, and whether the promise is kept there.

    In a small one, the database's cache is most of what comes on top of an empty one.
    """
    last = costs[-1]
    kept = last.bytes_a_device < LIMIT
    return (
        f"{last.known:,} known devices: ready after {last.seconds:.1f} s, "
        f"{last.bytes_a_device:.0f} bytes each, {'below' if kept else 'NOT below'} {LIMIT}"
    ), kept


def panels(costs: Sequence[Cost]) -> list[Lines]:
    """The same as curves."""

    def curve(key: str, some: Sequence[Cost], scale: float = 1) -> list[tuple[float, float]]:
        return [(cost.known, getattr(cost, key) * scale) for cost in some]

    some, by = costs[1:], "by known devices"
    return [
        Lines("start to ready", f"s, {by}", [("devgate", curve("seconds", costs))]),
        Lines(
            "of it loading, per device", f"us, {by}",
            [("devgate", curve("us_a_device", some))], decades=True,
        ),
        Lines(
            "memory per known device", f"bytes, {by}",
            [("devgate", curve("bytes_a_device", some))], (LIMIT, f"at most {LIMIT}"), True,
        ),
        Lines("memory in all", f"MB, {by}", [("devgate", curve("memory", costs, 1e-6))]),
    ]  # fmt: skip
