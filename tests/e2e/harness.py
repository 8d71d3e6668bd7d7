"""The real gateway as a process of its own, real devices' sockets, and the real command line.

Nothing here knows the inside of devgate: what a test sees is what a device, a web application
or an operator would see.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import forked
from tests.e2e.device import WAIT_SECONDS, Device
from tests.forked import Forked
from tests.stores import make_once

Json = dict[str, Any]
Settings = Mapping[str, Mapping[str, object]]

# The device of protocol.md's samples: the id in its QR code is 16.
SAMPLE = "123456787654321"

# False: each process is a new interpreter, which the fixture `new_interpreters` asks for.
forks = True


def toml(value: object) -> str:
    """A value as TOML; strings are written alike in TOML and JSON."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def environment(folder: Path) -> dict[str, str]:
    """This process's environment without what would lead devgate elsewhere."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DEVGATE_")}
    kept["DEVGATE_LANG"] = "en"
    return {
        **kept,
        "DEVGATE_CONFIG": str(folder / "gateway.toml"),
        "PYTHONPATH": str(Path(__file__).parents[2]),  # this devgate, installed or not
        "PYTHONUNBUFFERED": "1",
    }


def run(
    folder: Path, *arguments: str, text: str | None = None, through: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """`devgate ARGUMENTS` with the configuration in `folder`, until it ends.

    `through` is a command that runs what is written behind it.
    """
    if forks and not through:
        return forked.run(arguments, folder, environment(folder), text, WAIT_SECONDS)
    return subprocess.run(
        [*through, sys.executable, "-m", "devgate", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        input=text,
        timeout=WAIT_SECONDS,
    )


class Gateway:
    """One `devgate serve`, started by `start` and ended by `terminate` or `kill`.

    Its folder is short and its own, because the path of a Unix socket may have only 107 bytes.
    """

    def __init__(self, settings: Settings | None = None, *, store: str = "sqlite:///devgate.db"):
        self.folder = Path(tempfile.mkdtemp(prefix="dg-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.socket = self.folder / "run" / "devgate.sock"
        self.log_file = self.folder / "gateway.log"
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.device: tuple[str, int] = ("", 0)
        self.killed = False
        self.environment: dict[str, str] = {}  # beside `environment(folder)`; for launch()
        self.configure(settings or {}, store=store)

    def configure(self, settings: Settings, *, store: str = "sqlite:///devgate.db") -> None:
        """Write gateway.toml: free ports, a store of its own, and `settings` above these."""
        tables: dict[str, dict[str, object]] = {
            "device": {"listen": "127.0.0.1:0"},
            "control": {"socket": "run/devgate.sock"},
            "store": {"url": store},
        }
        for name, table in settings.items():
            tables.setdefault(name, {}).update(table)
        self.store = str(tables["store"]["url"])
        lines = []
        for name, table in tables.items():
            lines += [f"[{name}]", *(f"{key} = {toml(value)}" for key, value in table.items())]
        (self.folder / "gateway.toml").write_text("\n".join(lines) + "\n", "utf-8")

    # Lifetime

    def launch(self, *arguments: str, stderr: int | None = None) -> None:
        """Start the process without waiting for it. `stderr`: a descriptor in place of the log."""
        command = ["serve", *arguments]
        env = {**environment(self.folder), **self.environment}
        with open(os.devnull) as nothing, self.log_file.open("ab") as log:
            fds = [nothing.fileno(), log.fileno(), log.fileno() if stderr is None else stderr]
            if forks:
                self.process = Forked(command, self.folder, env, fds)
            else:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "devgate", *command],
                    cwd=self.folder, env=env, stdin=fds[0], stdout=fds[1], stderr=fds[2],
                )  # fmt: skip
        self.killed = False

    def start(self, *arguments: str, stderr: int | None = None) -> None:
        """Start the process and wait until it answers on its control socket."""
        self.launch(*arguments, stderr=stderr)
        assert self.process is not None
        ends = time.monotonic() + WAIT_SECONDS
        while True:
            assert self.process.poll() is None, f"the gateway ended at once:\n{self.log()}"
            assert time.monotonic() < ends, f"the gateway does not get ready:\n{self.log()}"
            # A socket file may be a dead gateway's, until the new one replaces it.
            with contextlib.suppress(OSError):
                status = self.ask({"type": "status"})
                break
            time.sleep(0.02)
        assert status["status"] == "200", status
        self.device = address(status["listen"]["device"][0])

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait until the process has ended. Returns its exit code."""
        assert self.process is not None
        return self.process.wait(WAIT_SECONDS)

    def terminate(self) -> None:
        """End it as a service manager would, and see that it ended well."""
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.log()
        assert not self.socket.exists(), "a gateway removes its socket when it ends"

    def kill(self) -> None:
        """End it without a chance to do anything, as a power cut would."""
        self.killed = True
        self.signal(signal.SIGKILL)
        self.wait()

    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    def logged(self, *words: str) -> str:
        """The first line of the log that has all `words`; it may take a moment to come."""
        ends = time.monotonic() + WAIT_SECONDS
        while True:
            for line in self.log().splitlines():
                if all(word in line for word in words):
                    return line
            assert time.monotonic() < ends, f"no line with {words} in the log:\n{self.log()}"
            time.sleep(0.02)

    # Asking

    def connect(self, timeout: float = WAIT_SECONDS) -> socket.socket:
        """A connection to the control socket, for the caller to close."""
        caller = socket.socket(socket.AF_UNIX)
        caller.settimeout(timeout)
        try:
            caller.connect(str(self.socket))
        except OSError:
            caller.close()
            raise
        return caller

    def ask(self, request: Mapping[str, object]) -> Json:
        """The reply to one request."""
        with self.connect() as caller:
            caller.sendall(request_bytes(request))
            return read_reply(caller)

    def status(self, imei: str) -> Json:
        return self.ask({"type": "status", "imei": imei})

    def until(self, imei: str | None, key: str, value: object) -> Json:
        """Ask for the status until its `key` is `value`. Returns that status."""
        request = {"type": "status"} if imei is None else {"type": "status", "imei": imei}
        ends = time.monotonic() + WAIT_SECONDS
        while True:
            status = self.ask(request)
            if status[key] == value:
                return status
            assert time.monotonic() < ends, f"{key} does not become {value!r}: {status}"
            time.sleep(0.02)

    def cli(
        self, *arguments: str, text: str | None = None, through: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """`devgate ARGUMENTS` as an operator runs it."""
        done = run(self.folder, *arguments, text=text, through=through)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    # Devices

    def add_devices(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Make devices known by `devgate devices import`; a row has the columns of the CSV."""
        names = sorted({name for row in rows for name in row})
        file = self.folder / "devices.csv"
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, names)
            writer.writeheader()
            writer.writerows(rows)
        done = self.cli("devices", "import", str(file))
        assert done.returncode == 0, done.stderr

    def fill(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Before it starts: the store has its tables, and these devices in them."""

        def make() -> None:
            if rows:
                self.add_devices(rows)
            else:
                done = self.cli("devices", "list")
                assert done.returncode == 0, done.stderr

        url = self.store
        if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
            url = f"sqlite:///{self.folder / url.removeprefix('sqlite:///')}"
        make_once(url, ("devices", json.dumps(rows)), make)

    def unregistered(self, **options: int) -> Device:
        """A new connection that has said nothing yet, for the caller to close."""
        return Device(self.device, **options)

    def register(self, imei: str) -> Device:
        """A new connection that has registered as `imei`, for the caller to close."""
        device = self.unregistered()
        device.send(f"023000{imei}HT")
        device.expect(f"023200{imei}HT")
        return device


@contextlib.contextmanager
def gateway(
    settings: Settings | None = None,
    *,
    store: str = "sqlite:///devgate.db",
    arguments: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    devices: Sequence[Mapping[str, object]] | None = None,
) -> Iterator[Gateway]:
    """A running gateway, in a folder that holds these files, by their names, when it starts.

    `environment` is added to that of the process. `devices` are those that it knows; without
    them it makes its store itself. At the end it must stop well and have nothing odd in its log.
    """
    running = Gateway(settings, store=store)
    running.environment.update(environment or {})
    try:
        for name, content in (files or {}).items():
            (running.folder / name).write_bytes(content)
        if devices is not None:
            running.fill(devices)
        running.start(*arguments)
        yield running
        if running.process is not None and running.process.poll() is None:
            running.terminate()
        assert "Traceback" not in running.log(), running.log()
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        shutil.rmtree(running.folder)


def address(text: str) -> tuple[str, int]:
    """ "127.0.0.1:12306" or "[::1]:12306" as a pair for `connect`."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def request_bytes(request: Mapping[str, object]) -> bytes:
    return b"command" + json.dumps(request).encode()


def read_reply(caller: socket.socket) -> Json:
    """The next line of a control connection; a ConnectionError if none comes."""
    line = b""
    while not line.endswith(b"\n"):
        ready = caller.recv(65536, socket.MSG_PEEK)  # what follows the line is the caller's
        if not ready:
            raise ConnectionError(f"no reply, only {line!r}")
        line += caller.recv(ready.find(b"\n") + 1 or len(ready))
    reply: Json = json.loads(line)
    return reply
