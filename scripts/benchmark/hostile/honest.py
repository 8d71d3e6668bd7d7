"""The honest side: what a device and a caller see while somebody attacks."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError

HONEST, STARTED = "860000000000101", "860000000000102"
FRAME_SECONDS = 0.02  # seconds between two TN
START_SECONDS = 0.1  # ... and between two starts


@dataclass(slots=True)
class Seen:
    """Latencies in milliseconds, what the attack cost otherwise, and what became of it."""

    tn: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    failed: int = 0  # starts that were not 200
    events: int = 0
    log: int = 0  # bytes
    read: int = 0  # bytes that the gateway read
    waited: float = 0.0  # seconds that its loop could have run and had no core
    attack: Sequence[int] = ()  # numbers of the Tally
    broken: str = ""  # why there is nothing to be seen


@contextlib.contextmanager
def device(port: int, imei: str) -> Iterator[socket.socket]:
    """A registered one. Raises BenchError."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(f"023000{imei}HT".encode())
        if sock.recv(23)[3:6] != b"200":
            raise BenchError(f"{imei} could not register")
        yield sock


def asks(sock: socket.socket, seen: Seen, over: threading.Event) -> None:
    """TN, again and again."""
    frame = f"023000{HONEST}TN".encode()
    while not over.wait(FRAME_SECONDS):
        began = time.perf_counter()
        sock.sendall(frame)
        if not sock.recv(100):
            seen.broken = "the honest device lost its connection"
            return
        seen.tn.append((time.perf_counter() - began) * 1e3)


def obeys(sock: socket.socket, over: threading.Event) -> None:
    """What a device does that is started."""
    sock.settimeout(0.2)
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            # An acknowledgement may stand in front of it.
            if f"024000{STARTED}QD1".encode() in sock.recv(100):
                sock.sendall(f"023200{STARTED}QD".encode())


def starts(control: Path, seen: Seen, over: threading.Event) -> None:
    """Starts, one after the other."""
    order = {"imei": STARTED, "type": "start", "long": 1, "timeout": 30}
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(40)
        caller.connect(str(control))
        lines = caller.makefile("rb")
        while not over.wait(START_SECONDS):
            began = time.perf_counter()
            caller.sendall(b"command" + json.dumps(order).encode())
            reply = json.loads(lines.readline())
            seen.starts.append((time.perf_counter() - began) * 1e3)
            seen.failed += reply["status"] != "200"


def status(control: Path) -> dict[str, Any]:
    """What the gateway says of itself."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(40)
        caller.connect(str(control))
        caller.sendall(b'command{"type":"status"}')
        found: dict[str, Any] = json.loads(caller.makefile("rb").readline())
        return found
