"""The servers that are compared: how each is prepared, started and stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.build import Tools
from benchmark.errors import BenchError

START_SECONDS = 30.0  # seconds until a server must answer
STOP_SECONDS = 30.0  # seconds that a gateway may drain
FIRST_IMEI = 860_000_000_000_000
KNOWN_DEVICES = 20_000
PROGRAM = (sys.executable, "-m", "devgate")

CONFIG = """\
[device]
listen = "127.0.0.1:{port}"

[service]
phone = "400-500-5620"

[control]
socket = "{control}"

[store]
url = "{store}"

[log]
level = "{level}"
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the servers. `command` gets a port and a socket, and returns what to run."""

    key: str
    title: str
    command: Callable[[int, Path], list[str | Path]]
    full: bool = True  # all figures; otherwise only those that a journal changes
    tree: Path | None = None  # the working tree whose devgate runs; None: this one
    # Instead of all figures: what it takes with devgate's rows, in this database.
    rows: Path | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, ready for devices."""

    process: subprocess.Popen[str]
    port: int
    control: Path


@contextmanager
def serving(
    kind: Kind, folder: Path, core: int, *, port: int = 0, settled: float = 0.2
) -> Iterator[Server]:
    """The server, pinned to `core` and ready; it is stopped at the end.

    `settled` seconds pass after its socket answers. `port` 0 takes a free one.
    """
    port = port or free_port()
    control = folder / f"{kind.key}.sock"
    log = folder / f"{kind.key}.log"
    command = kind.command(port, control)
    with (
        log.open("a") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            text=True,
            **_of(kind.tree),
            # In the child, before it has threads: all of them are to be on that core.
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        ) as process,
    ):
        try:
            _wait_until_it_answers(process, control, log)
            time.sleep(settled)
            yield Server(process, port, control)
        finally:
            stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    """SIGTERM, and SIGKILL where that is not heard in time."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def peers(folder: Path, tools: Tools) -> list[Kind]:
    """What devgate is compared with, as far as this machine has it."""
    kinds = [Kind("floor", "C floor", lambda p, s: [tools.floor, str(p), s])]
    if tools.rows is not None:
        kinds.append(replace(kinds[0], key="rows", title="C + rows", rows=folder / "rows.db"))
    if tools.uvloop:
        uvloop = [sys.executable, "-m", "benchmark.peers.uvloop_protocol"]
        kinds.append(Kind("uvloop", "uvloop", lambda p, s: [*uvloop, str(p), s]))
    if tools.go is not None:
        go = tools.go
        kinds.append(Kind("go", "Go net", lambda p, s: [go, str(p), s]))
    trio = [sys.executable, "-m", "benchmark.peers.trio_tasks"]
    kinds.append(Kind("trio", "trio tasks", lambda p, s: [*trio, str(p), s]))
    return kinds


def devgate(
    folder: Path,
    key: str,
    title: str,
    store: str,
    *,
    full: bool = True,
    level: str = "warning",
    tree: Path | None = None,
    devices: int = KNOWN_DEVICES,
) -> Kind:
    """The real gateway with the bench's devices in a store of its own.

    The devices are imported here, once, by the real CLI. BenchError if that fails.
    """
    kind = bare(folder, key, title, store, full=full, level=level, tree=tree)
    imeis = folder / "devices.csv"
    rows = "".join(f"{FIRST_IMEI + i}\n" for i in range(devices))
    imeis.write_text(f"imei\n{rows}")
    done = subprocess.run(
        [*PROGRAM, "--config", folder / f"{key}.toml", "devices", "import", imeis],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **_of(tree),
    )
    if done.returncode:
        raise BenchError(f"{title}: devgate devices import failed: {done.stderr.strip()}")
    return kind


def bare(
    folder: Path,
    key: str,
    title: str,
    store: str,
    *,
    full: bool = True,
    level: str = "warning",
    tree: Path | None = None,
) -> Kind:
    """The real gateway on a store as it is. Its configuration is written here, its log by it."""
    config = folder / f"{key}.toml"

    def command(port: int, control: Path) -> list[str | Path]:
        config.write_text(CONFIG.format(port=port, control=control, store=store, level=level))
        return [*PROGRAM, "--config", config, "serve"]

    command(0, folder / f"{key}.sock")  # the CLI wants a configuration before anything runs
    return Kind(key, title, command, full, tree)


def _of(tree: Path | None) -> dict[str, Any]:
    """How a program of another working tree is run: `python -m` looks into the current folder
    first, and then into PYTHONPATH."""
    if tree is None:
        return {}
    return {"cwd": tree, "env": {**os.environ, "PYTHONPATH": str(tree)}}


def _wait_until_it_answers(process: subprocess.Popen[str], control: Path, log: Path) -> None:
    """Every server here opens the door for devices first, and that for callers last."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(str(control))
            except OSError:
                pass
            else:
                return
        if process.poll() is not None:
            break
        time.sleep(0.01)
    last = log.read_text().strip().splitlines()[-1:] or ["it said nothing"]
    raise BenchError(f"{control.stem} does not answer at its socket: {last[0]}")
