"""The gateway of `scripts/bench web`: with a user and a past, and devices that come and go."""

from __future__ import annotations

import os
import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

from benchmark.errors import BenchError
from benchmark.machine import Cores
from benchmark.servers import FIRST_IMEI, KNOWN_DEVICES, Kind, devgate, free_port
from devgate.access.users import add

USER, PASSWORD = "bench", "only on this machine"
SITE = 50  # devices of one
DAY = 86400
COMING = 0.5  # seconds between two that come, and between two that go
MAX_DEVICES = 20  # of them at once
PROBE_SECONDS = 0.02  # seconds between two questions of the probe
ANSWER_SECONDS = 30.0  # seconds for an answer; then something is broken
PROBE = FIRST_IMEI + KNOWN_DEVICES - 1
GUESTS = FIRST_IMEI + KNOWN_DEVICES - 1000

HTTP = """
[http]
listen = "127.0.0.1:{port}"
users = "{folder}/users"
secret = "{folder}/secret"
"""


def gateway(folder: Path, past: int) -> tuple[Kind, int]:
    """A gateway whose devices have names and sites, and the port of its dashboard.

    Its store tells of `past` events of the last day.
    """
    store = folder / "devgate.db"
    kind = devgate(folder, "devgate", "devgate", f"sqlite:///{store}")
    config, port = folder / "devgate.toml", free_port()
    _name(folder, config)
    _remember(store, past)
    add(folder / "users", USER, "admin", PASSWORD)

    def command(devices: int, control: Path) -> list[str | Path]:
        words = kind.command(devices, control)
        with config.open("a") as file:
            file.write(HTTP.format(port=port, folder=folder))
        return words

    return Kind(kind.key, kind.title, command), port


def _name(folder: Path, config: Path) -> None:
    table = folder / "named.csv"
    rows = (f"{FIRST_IMEI + i},Machine {i},Site {i // SITE}\n" for i in range(KNOWN_DEVICES))
    table.write_text("imei,name,site\n" + "".join(rows))
    command: list[str | Path] = [sys.executable, "-m", "devgate", "--config", config]
    command += ["devices", "import", table, "--on-conflict", "update"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"devgate devices import failed: {done.stderr.strip()}")


def _remember(store: Path, past: int) -> None:
    """Devices that went and came back, some at any time. The gateway is not running yet."""
    dice, now = random.Random(1), time.time()
    rows = []
    for n in range(past):
        device, came = str(FIRST_IMEI + dice.randrange(KNOWN_DEVICES)), n % 2
        type = "device.online" if came else "device.offline"
        detail = '{"address":"127.0.0.1:1"}' if came else '{"reason":"it closed"}'
        rows.append((n + 1, now - DAY + DAY * n / max(1, past), type, device, detail))
    with closing(sqlite3.connect(store)) as database, database:
        last = database.execute("select coalesce(max(n), 0) from event").fetchone()[0]
        database.executemany(
            "insert into event (n, at, type, imei, detail) values (?, ?, ?, ?, ?)",
            [(n + last, *rest) for n, *rest in rows],
        )


class _Beside(ABC):
    """Something that goes on in a thread of its own until it is left."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.broken: Exception | None = None
        self.stopping = threading.Event()

    @abstractmethod
    def work(self) -> None:
        """What goes on, until `stopping` is set."""

    @classmethod
    @contextmanager
    def running(cls, port: int, where: Cores) -> Iterator[Self]:
        """Raises BenchError at the end if it broke."""
        made = cls(port)

        def guarded() -> None:
            os.sched_setaffinity(0, {where.generator})
            try:
                made.work()
            except Exception as err:
                made.broken = err

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.stopping.set()
            thread.join(ANSWER_SECONDS)
        if made.broken is not None:
            raise BenchError(f"{cls.__name__}: {made.broken}")

    def device(self, imei: int) -> socket.socket:
        """One that has registered."""
        sock = socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked(sock, b"023000%dHT" % imei)
        return sock

    @staticmethod
    def asked(sock: socket.socket, frame: bytes) -> bytes:
        sock.sendall(frame)
        answer = sock.recv(4096)
        if not answer:
            raise BenchError("the gateway closed a device's connection")
        return answer


class Churn(_Beside):
    """Devices that come and go: there is always something that happened."""

    def work(self) -> None:
        here: deque[socket.socket] = deque()
        dice, number = random.Random(1), 0
        while not self.stopping.wait(COMING / 2):
            if len(here) < dice.randrange(MAX_DEVICES):
                here.append(self.device(GUESTS + number % 900))
                number += 1
            else:
                here.popleft().close()
        for sock in here:
            sock.close()


class Probe(_Beside):
    """A device that asks for its text again and again, and how long each answer took."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.latencies: list[float] = []  # seconds

    def work(self) -> None:
        question = b"023000%dTN" % PROBE
        with self.device(PROBE) as sock:
            while not self.stopping.wait(PROBE_SECONDS):
                began = time.perf_counter()
                self.asked(sock, question)
                self.latencies.append(time.perf_counter() - began)
