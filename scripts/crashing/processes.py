"""The programs of one run: the gateway that is killed, and the devices that live on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from script import Broken

Json = dict[str, Any]

FIRST_IMEI = 860000000000001  # IMEI of the first device; the others count up
PORTS = (15_000, 32_000)  # below net.ipv4.ip_local_port_range
TIMEOUT_SECONDS = 30.0  # seconds that anything may take that takes a moment
ANSWER = 60.0  # ... and a reply, which may wait for a device and for its turn

CONFIG = """\
[device]
listen = "127.0.0.1:{port}"

[control]
socket = "gateway.sock"

[command]
ack_timeout = 2
queue_timeout = 5
max_waiting = 8

[store]
url = {store}

[log]
level = "warning"
format = "console"
"""


def free_port() -> int:
    """A port of loopback that nobody listens on now, and that the kernel gives no connection: the
    programs come back to it after each kill."""
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


class World:
    """A folder with all that a run writes: configuration, store, logs, the devices' record."""

    def __init__(
        self,
        folder: Path,
        store: str,
        devices: int,
        config: str = CONFIG,
        environment: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        """`config` is the text of gateway.toml, with {port} and {store} to fill in, and `more`.
        `environment` is added to the programs' own."""
        self.environment = dict(environment or {})
        self.folder = folder
        self.imeis = [f"{FIRST_IMEI + n:015}" for n in range(devices)]
        self.record = folder / "seen.txt"
        self.socket = folder / "gateway.sock"
        # One port for all lives of the gateway: devices come back to where they were.
        self.port = free_port()
        written = config.format(port=self.port, store=json.dumps(store), **more)
        (folder / "gateway.toml").write_text(written, "utf-8")
        self._gateway: subprocess.Popen[bytes] | None = None
        self._fleet: subprocess.Popen[bytes] | None = None

    def devgate(self, *arguments: str) -> subprocess.Popen[bytes]:
        """`devgate ARGUMENTS`, in the background; its words go to a log."""
        own = {name: value for name, value in os.environ.items() if "DEVGATE" not in name}
        own |= self.environment
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "devgate", *arguments, "--config", "gateway.toml"],
                cwd=self.folder, env=own, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def add_devices(self) -> None:
        """Make the devices known; those of an earlier run in the same store may be there."""
        file = self.folder / "devices.csv"
        file.write_text("\n".join(["imei", *self.imeis]) + "\n", "utf-8")
        importing = self.devgate("devices", "import", str(file), "--on-conflict", "skip")
        if importing.wait(TIMEOUT_SECONDS):
            raise Broken(f"the devices cannot be imported: {self.words('devices')}")

    def begin_fleet(self) -> None:
        self._fleet = self.devgate(
            "simulate", f"127.0.0.1:{self.port}", "--count", str(len(self.imeis)),
            "--first", self.imeis[0], "--delay", "0.005-0.08", "--record", str(self.record),
        )  # fmt: skip

    def launch(self) -> None:
        """Begin a life of the gateway, without waiting for it."""
        self._gateway = self.devgate("serve")

    def ready(self) -> Json:
        """Wait until the gateway answers. Returns its status."""
        ends = time.monotonic() + TIMEOUT_SECONDS
        while True:
            assert self._gateway is not None, "it was launched"
            if self._gateway.poll() is not None:
                raise Broken(f"the gateway does not start: {self.words('serve')}")
            try:
                return self.ask({"type": "status"})
            except OSError:
                if time.monotonic() > ends:
                    raise Broken("the gateway does not get ready") from None
            time.sleep(0.01)

    def kill(self) -> None:
        assert self._gateway is not None, "it was launched"
        self._gateway.kill()
        self._gateway.wait(TIMEOUT_SECONDS)

    def end(self) -> None:
        """End both programs, whatever they do at the moment."""
        for process in (self._gateway, self._fleet):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(TIMEOUT_SECONDS)

    def terminate(self) -> None:
        """End both as an operator would, and see that they end well."""
        for name, process in (("gateway", self._gateway), ("simulator", self._fleet)):
            assert process is not None, "it was launched"
            process.send_signal(signal.SIGTERM)
            if code := process.wait(TIMEOUT_SECONDS):
                raise Broken(f"the {name} ended with exit code {code}")

    def words(self, program: str) -> str:
        """The last line that a program wrote."""
        return "".join((self.folder / f"{program}.log").read_text("utf-8").splitlines()[-1:])

    def seen(self) -> list[tuple[str, int]]:
        """Every start that a device saw: its IMEI and its number."""
        if not self.record.exists():
            return []
        lines = self.record.read_text("ascii").splitlines()
        return [(imei, int(long)) for imei, long, _ in map(str.split, lines)]

    # Asking

    def lines(self, request: Mapping[str, object], timeout: float = ANSWER) -> Iterator[Json]:
        """All lines that answer a request. OSError when the gateway dies meanwhile."""
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(timeout)
            caller.connect(str(self.socket))
            caller.sendall(b"command" + json.dumps(request).encode())
            with caller.makefile("rb") as file:
                while (line := file.readline()).endswith(b"\n"):
                    yield json.loads(line)
        raise ConnectionError("the gateway is gone")

    def ask(self, request: Mapping[str, object]) -> Json:
        return next(self.lines(request))

    def history(self) -> Iterator[Json]:
        """All records, newest first."""
        after: dict[str, object] = {}
        while True:
            page = self.ask({"type": "history", "limit": 1000, **after})
            yield from page["items"]
            if page["next"] is None:
                return
            after = {"after": page["next"]}
