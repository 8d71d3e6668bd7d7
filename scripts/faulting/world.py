"""The programs of a storm: a gateway under the preload library, its devices and its receiver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

from crashing.processes import FIRST_IMEI, TIMEOUT_SECONDS, Json, World, free_port
from crashing.receiver import SECRET
from script import Broken

from tests.faults.preload import Faults

CONFIG = """\
[device]
listen = "127.0.0.1:{port}"
flapping = {{ takeovers = 10000, within = 1 }}

[control]
socket = "gateway.sock"
tokens = "tokens"

[http]
listen = "127.0.0.1:{http}"

[command]
ack_timeout = 2
queue_timeout = 5
late_window = 10
max_waiting = 8
drain = 3

[store]
url = {store}
refresh = 2

[log]
level = "info"
format = "json"

[[webhook]]
name = "storm"
url = "http://127.0.0.1:{receiver}/"
secret = "{secret}"
allow_private = true
"""

GRACE = 20.0  # seconds that a gateway may take to be well again after a fault
ASKED = 5.0  # ... and an answer to `status` from a gateway that is well


class LogReader:
    """Reads what a gateway says. It can stop reading, as a stuck log collector does."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path) -> None:
        self.last: deque[str] = deque(maxlen=5)
        self.reads = threading.Event()
        self.reads.set()
        self._process = process
        self._file = file
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._file.open("ab") as out, self._process.stderr as pipe:
            while part := os.read(pipe.fileno(), 65536):
                out.write(part)
                out.flush()
                self.last.extend(part.decode("utf-8", "replace").splitlines()[-5:])
                self.reads.wait()


class StormWorld(World):
    """`server` is PostgreSQL, if the store is there. `plant` names a fault of planted.py."""

    def __init__(
        self, folder: Path, store: str, devices: int, faults: Faults, seed: int, plant: str = ""
    ) -> None:
        self.http, self.receiver, self.second_port = free_port(), free_port(), free_port()
        super().__init__(
            folder, store, devices, CONFIG, http=self.http, receiver=self.receiver, secret=SECRET
        )
        self.url = store
        self.database = folder / "data" / "devgate.db"
        self.faults = faults
        self.seed = seed
        self.plant = plant
        self.log = folder / "serve.log"
        self.reader: LogReader | None = None
        self.lives = 0
        self.token = ""
        self.received = folder / "received.txt"
        self.received.touch()
        self.record.touch()
        self.limits: dict[int, tuple[int, int]] = {}
        self._receiver: subprocess.Popen[bytes] | None = None

    # The gateway

    @property
    def pid(self) -> int:
        assert self._gateway is not None, "it was launched"
        return self._gateway.pid

    @property
    def lives_on(self) -> bool:
        return self._gateway is not None and self._gateway.poll() is None

    def serve(self, config: str = "gateway.toml") -> subprocess.Popen[bytes]:
        """`devgate serve` under the preload library, its log in a pipe."""
        own = {name: value for name, value in os.environ.items() if "DEVGATE" not in name}
        program = ["-m", "faulting.planted", self.plant] if self.plant else ["-m", "devgate"]
        return subprocess.Popen(
            [sys.executable, *program, "serve", "--config", config],
            cwd=self.folder, env={**own, **self.faults.environment()},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def launch(self) -> None:
        self.lives += 1
        self._gateway = self.serve()
        self.reader = LogReader(self._gateway, self.log)

    def words(self, program: str = "serve") -> str:
        if program == "serve" and self.reader is not None:
            return " | ".join(list(self.reader.last)[-2:])
        return super().words(program)

    def signal(self, number: signal.Signals) -> None:
        assert self._gateway is not None, "it was launched"
        self._gateway.send_signal(number)

    def wait(self, seconds: float) -> int | None:
        """The exit code; None if it has not ended by then."""
        assert self._gateway is not None, "it was launched"
        try:
            return self._gateway.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End it as an operator would."""
        self.signal(signal.SIGTERM)
        if code := self.wait(TIMEOUT_SECONDS):
            raise Broken(f"the gateway ended with exit code {code}")

    def status(self, timeout: float = ASKED) -> Json | None:
        """What the gateway says of itself; None where it does not answer in time."""
        try:
            return next(self.lines({"type": "status"}, timeout))
        except OSError:
            return None

    def well(self, seconds: float = GRACE) -> str:
        """Wait until the gateway answers and can write. Returns what is wrong, or nothing."""
        ends = time.monotonic() + seconds
        while True:
            if not self.lives_on:
                assert self._gateway is not None, "it was launched"
                return f"it has ended with {self._gateway.returncode}: {self.words()}"
            status = self.status()
            if status is not None and status.get("store") == "ok":
                return ""
            if time.monotonic() > ends:
                return f"its store is {status['store']!r}" if status else "it does not answer"
            time.sleep(0.02)

    # The others

    def begin_fleet(self) -> None:
        with (self.folder / "devices.log").open("ab") as log:
            self._fleet = subprocess.Popen(
                [sys.executable, "-m", "faulting.devices", "--record", str(self.record),
                 "--first", str(FIRST_IMEI), "--count", str(len(self.imeis)),
                 "--seed", str(self.seed),
                 "--port", str(self.port), "--port", str(self.second_port)],
                env=dict(os.environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def make_token(self) -> None:
        made = subprocess.run(
            [sys.executable, "-m", "devgate", "token", "add", "storm", "--role", "command",
             "--config", "gateway.toml", "--json"],
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise Broken(f"no token could be made: {made.stderr.strip()}")
        self.token = json.loads(made.stdout)["token"]

    def begin_receiver(self) -> None:
        self._receiver = subprocess.Popen(
            [sys.executable, "-m", "crashing.receiver", "--port", str(self.receiver),
             "--record", str(self.received), "--seed", str(self.seed), "--failing", "3",
             "--tolerance", str(10 * 365 * 86400)],
            env=dict(os.environ), stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def kill_receiver(self) -> None:
        if self._receiver is not None:
            self._receiver.kill()
            self._receiver.wait(TIMEOUT_SECONDS)

    def end(self) -> None:
        if self.reader is not None:
            self.reader.reads.set()
        if self.lives_on:
            self.signal(signal.SIGCONT)
        self.kill_receiver()
        super().end()
