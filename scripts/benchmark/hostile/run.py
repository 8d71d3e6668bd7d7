"""The honest side: what a device and a caller see while somebody attacks."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.hostile.attacks import ATTACKS
from benchmark.servers import START_PATIENCE, STOP_PATIENCE, free_port

HONEST, STARTED = "860000000000101", "860000000000102"
EVERY = 0.02  # seconds between two TN
STARTS_EVERY = 0.1  # ... and between two starts
SETTLE = 1.0  # seconds that the attacker has before anything is measured
CONFIG = """\
[device]
listen = "127.0.0.1:{device}"
[control]
socket = "{folder}/s"
listen = "127.0.0.1:{control}"
tokens = "{folder}/tokens"
[http]
listen = "127.0.0.1:{http}"
[store]
url = "sqlite:///{folder}/devgate.db"
"""


@dataclass(slots=True)
class Seen:
    """Latencies in milliseconds, and what the attack cost otherwise."""

    tn: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    failed: int = 0  # starts that were not 200
    events: int = 0
    log: int = 0  # bytes


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench hostile`."""
    parser.add_argument("--seconds", type=float, default=5.0, help="for each attack (%(default)s)")
    parser.add_argument("--tree", type=Path, metavar="DIR", help="another working tree's devgate")
    parser.add_argument(
        "--only", default="", metavar="A,B", help=f"of {', '.join(ATTACKS)}; default: all"
    )


def run(args: argparse.Namespace) -> int:
    """An honest device's TN and a start's latency beside each attack of the security review.

    A fresh gateway for each; the attacker is a process of its own.
    """
    names = [name for name in args.only.split(",") if name] or list(ATTACKS)
    if unknown := set(names) - set(ATTACKS):
        raise BenchError(f"{', '.join(sorted(unknown))}: one of {', '.join(ATTACKS)} expected")
    print(
        "| attack | TN p50 | p99 | max, ms | start p50 | max, ms | not 200 | events/s | log B/s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in names:
        print(_row(name, _beside(name, args.seconds, args.tree), args.seconds), flush=True)
    return 0


def _row(name: str, seen: Seen, seconds: float) -> str:
    tn, starts = sorted(seen.tn), sorted(seen.starts)

    def at(values: list[float], share: float) -> str:
        if not values:
            return "none"
        return f"{values[min(len(values) - 1, int(len(values) * share))]:.1f}"

    return (
        f"| {ATTACKS[name].door}: {ATTACKS[name].words} | {at(tn, 0.5)} | {at(tn, 0.99)} | "
        f"{at(tn, 1)} | {at(starts, 0.5)} | {at(starts, 1)} | {seen.failed} | "
        f"{seen.events / seconds:.0f} | {seen.log / seconds:.0f} |"
    )


def _beside(name: str, seconds: float, tree: Path | None) -> Seen:
    with (
        tempfile.TemporaryDirectory(prefix="hostile-") as text,
        _gateway(Path(text), tree) as ports,
    ):
        folder, seen = Path(text), Seen()
        control = str(folder / "s")
        with (
            _device(ports["device"], HONEST) as honest,
            _device(ports["device"], STARTED) as other,
        ):
            over = threading.Event()
            threads = [
                threading.Thread(target=_asks, args=(honest, seen, over)),
                threading.Thread(target=_obeys, args=(other, over)),
                threading.Thread(target=_starts, args=(control, seen, over)),
            ]
            with _attacker(name, ports):
                time.sleep(SETTLE)
                before, wrote = _events(control), (folder / "log").stat().st_size
                for thread in threads:
                    thread.start()
                time.sleep(seconds)
                over.set()
                for thread in threads:
                    thread.join()
            seen.events = _events(control) - before - 3 * len(seen.starts)
            seen.log = (folder / "log").stat().st_size - wrote
        return seen


@contextlib.contextmanager
def _gateway(folder: Path, tree: Path | None) -> Iterator[dict[str, int]]:
    ports = {name: free_port() for name in ("device", "control", "http")}
    (folder / "gateway.toml").write_text(CONFIG.format(folder=folder, **ports))
    environment = {**os.environ, "DEVGATE_CONFIG": str(folder / "gateway.toml")}
    if tree is not None:
        environment["PYTHONPATH"] = str(tree)
    program = [sys.executable, "-m", "devgate"]
    place = tree or Path.cwd()
    rows = "".join(f"{860000000000000 + n}\n" for n in range(200))
    (folder / "devices.csv").write_text("imei\n" + rows)
    for words in (["token", "add", "x", "--role", "read"], ["devices", "import", "devices.csv"]):
        subprocess.run(
            [*program, *words], cwd=folder, env=environment, check=False, capture_output=True
        )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*program, "serve"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        ends = time.monotonic() + START_PATIENCE
        while not (folder / "s").exists():
            if server.poll() is not None or time.monotonic() > ends:
                raise BenchError(f"{place}: no gateway: {(folder / 'log').read_text()}")
            time.sleep(0.05)
        time.sleep(0.2)
        yield ports
    finally:
        server.terminate()
        try:
            server.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextlib.contextmanager
def _attacker(name: str, ports: dict[str, int]) -> Iterator[None]:
    program = [sys.executable, "-m", "benchmark.hostile.attacks", name]
    with subprocess.Popen([*program, str(ports[ATTACKS[name].door])]) as attacker:
        try:
            yield
        finally:
            attacker.kill()


@contextlib.contextmanager
def _device(port: int, imei: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(f"023000{imei}HT".encode())
        if sock.recv(23)[3:6] != b"200":
            raise BenchError(f"{imei} could not register")
        yield sock


def _asks(sock: socket.socket, seen: Seen, over: threading.Event) -> None:
    frame = f"023000{HONEST}TN".encode()
    while not over.wait(EVERY):
        began = time.perf_counter()
        sock.sendall(frame)
        if not sock.recv(100):
            raise BenchError("the honest device lost its connection")
        seen.tn.append((time.perf_counter() - began) * 1e3)


def _obeys(sock: socket.socket, over: threading.Event) -> None:
    sock.settimeout(0.2)
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            # An acknowledgement may stand in front of it.
            if f"024000{STARTED}QD1".encode() in sock.recv(100):
                sock.sendall(f"023200{STARTED}QD".encode())


def _starts(control: str, seen: Seen, over: threading.Event) -> None:
    order = {"imei": STARTED, "type": "start", "long": 1, "timeout": 30}
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(40)
        caller.connect(control)
        lines = caller.makefile("rb")
        while not over.wait(STARTS_EVERY):
            began = time.perf_counter()
            caller.sendall(b"command" + json.dumps(order).encode())
            reply = json.loads(lines.readline())
            seen.starts.append((time.perf_counter() - began) * 1e3)
            seen.failed += reply["status"] != "200"


def _events(control: str) -> int:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(40)
        caller.connect(control)
        caller.sendall(b'command{"type":"status"}')
        return int(json.loads(caller.makefile("rb").readline())["last_event"])
