"""What a run has left behind, as data: the judge reads nothing else."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from crashing.callers import Order
from crashing.processes import Json
from faulting.judge import Event, Noted
from psycopg.rows import dict_row

from jepsen_lab.callers import Attempt

Start = tuple[str, int]  # IMEI and the number of the start among those of its device


@dataclass
class Devices:
    """What the devices have noted, by the monotonic clock."""

    starts: dict[Start, Noted] = field(default_factory=lambda: defaultdict(Noted))
    lost_links: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    faults: Counter[str] = field(default_factory=Counter)


@dataclass
class History:
    """`wall` is what the wall clock is ahead of the monotonic one, in seconds."""

    orders: Sequence[Order]
    attempts: Mapping[Order, Sequence[Attempt]]
    devices: Devices
    records: Sequence[Json]
    events: Sequence[Event]
    watched: Sequence[Json] = ()
    received: Sequence[Sequence[str]] = ()  # what the receiver of webhooks took
    posted: int = 0  # the number of the newest event that it must have
    odd: Sequence[str] = ()
    wall: float = 0.0
    # From when to when a node stood still between its last look at the lease and a first byte.
    frozen: Sequence[tuple[float, float]] = ()
    # From when to when nothing came through between a node and the load balancers.
    cut_off: Sequence[tuple[float, float]] = ()

    def lines(self) -> Iterator[str]:
        """It as JSON lines, for a person who looks for the cause of a breach."""
        for order in self.orders:
            for one in self.attempts.get(order, ()):
                ended = None if one.reply is None else one.ended
                asked = {"order": order.key, "imei": order.imei, "long": order.long}
                yield json.dumps({**asked, "began": one.began, "ended": ended, "reply": one.reply})
        for record in self.records:
            yield json.dumps({"record": record})
        for event in self.events:
            yield json.dumps({"event": event})


def read_devices(file: Path) -> Devices:
    devices = Devices()
    with file.open() as lines:
        for line in lines:
            if not line.endswith("\n"):
                break
            at, imei, _, what, *more = line.split()
            if what == "in" and more[0] == "QD":
                devices.starts[imei, int(more[1])].came.append(float(at))
            elif what == "out" and more[0] == "QD":
                devices.starts[imei, int(more[1])].answered.append((float(at), more[2]))
            elif what == "fault":
                if more[0] in ("stalled", "half-open"):
                    devices.lost_links[imei].append(float(at))
                devices.faults[more[0]] += 1
            elif what == "mute":
                devices.faults["unanswered"] += 1
            elif what == "odd":
                devices.faults["odd frames"] += 1
    return devices


class Came:
    """Which starts have reached their devices, read as they are noted."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        self._rest = ""
        self._starts: set[Start] = set()
        self._lock = threading.Lock()

    def has(self, imei: str, long: int) -> bool:
        with self._lock:
            with self._file.open() as lines:
                lines.seek(self._read)
                text = self._rest + lines.read()
                self._read = lines.tell()
            *whole, self._rest = text.split("\n")
            for line in whole:
                _, device, _, what, *more = line.split()
                if what == "in" and more[0] == "QD":
                    self._starts.add((device, int(more[1])))
            return (imei, long) in self._starts


def read_records(url: str, where: str = "true") -> list[Json]:
    """All records, named as in replies; or those for which this is true."""
    with psycopg.connect(url) as conn:
        return _records(conn, where)


def read_journal(url: str) -> tuple[list[Json], list[Event]]:
    """All records and all events at one moment: a late answer may come at any time."""
    with psycopg.connect(url) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        query = "SELECT n, type, imei, command, detail FROM event ORDER BY n"
        return _records(conn, "true"), [Event(*row) for row in conn.execute(query)]


def _records(conn: psycopg.Connection, where: str) -> list[Json]:
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(f"SELECT * FROM command WHERE {where} ORDER BY id").fetchall()
    return [{"command": row.pop("id"), **row} for row in rows]


def newest_event(url: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT coalesce(max(n), 0) FROM event").fetchone()
    assert row is not None, "an aggregate has one"
    return int(row[0])


def wall_ahead() -> float:
    return time.time() - time.monotonic()
