"""systemd is notified that the gateway is ready, and then that its loop runs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
import trio
from trio.testing import MockClock

from devgate.systemd import notify, pause, report
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.freezing import frozen
from tests.e2e.harness import Gateway, environment, gateway

# A gateway whose loop turns, and whose poller reads one round and then nothing any more.
STUCK = """
import trio
from devgate.cli.main import cli
from devgate.gateway.devices.rounds import Rounds

async def run(self, pauses):
    await self._poller.wait()
    await trio.sleep_forever()

Rounds.run = run
cli()
"""


def test_a_gateway_beats_until_it_is_frozen(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAIT_SECONDS)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        with gateway(environment=told) as running:
            while not (ready := manager.recv(300)).startswith(b"READY=1\n"):
                pass  # it beats from the start on
            while manager.recv(300) != b"WATCHDOG=1":
                pass
            assert ready.split(b"\n")[1] == (
                b"STATUS=ready; 0 of 0 devices connected, 0 commands in flight"
            )
            assert running.process is not None
            with frozen(running.process.pid):
                manager.setblocking(False)
                with suppress(BlockingIOError):
                    while True:
                        manager.recv(100)
                # No other process beats for it. Nothing comes after a beat that is not there, so
                # this takes real time: that of five beats.
                manager.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    manager.recv(100)
            manager.settimeout(WAIT_SECONDS)
            assert manager.recv(100) == b"WATCHDOG=1"
            running.signal(signal.SIGTERM)
            while manager.recv(300) != b"STOPPING=1":
                pass
            assert running.wait() == 0


def is_silent(manager: socket.socket) -> bool:
    """Whether nothing comes for as long as the socket waits; it may take a moment until then."""
    ends = time.monotonic() + WAIT_SECONDS
    with suppress(TimeoutError):
        while time.monotonic() < ends:
            manager.recv(300)
        return False
    return True


def test_a_gateway_that_reads_no_device_does_not_beat(tmp_path: Path) -> None:
    """Its loop turns, and its database is well: that alone is no reason to go on."""
    served = Gateway()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAIT_SECONDS)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        with served.log_file.open("wb") as log:
            served.process = subprocess.Popen(
                [sys.executable, "-c", STUCK, "serve"], cwd=served.folder, stdout=log, stderr=log,
                env={**environment(served.folder), **told},
            )  # fmt: skip
        try:
            while not manager.recv(300).startswith(b"READY=1\n"):
                pass
            assert manager.recv(300) == b"WATCHDOG=1", "nothing is to be read"
            port = json.loads(served.logged('"ready"'))["devices"].rpartition(":")[2]
            with socket.create_connection(("127.0.0.1", int(port))) as device:
                device.sendall(b"006404")
                manager.settimeout(2.0)  # twenty beats: that none comes takes real time
                assert is_silent(manager)
                assert served.process.poll() is None
        finally:
            served.process.kill()
            served.process.wait()


async def test_there_is_no_beat_while_the_service_does_not_keep_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """It is asked within half of the manager's patience, and soon again once it has said no."""
    asked: list[tuple[float, float]] = []
    answers = iter([True, False, False, True, True])

    def keeps_up(patience: float) -> bool:
        asked.append((trio.current_time() - began, patience))
        answer = next(answers, None)
        if answer is None:
            scope.cancel()
        return bool(answer)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "9000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        began = trio.current_time()
        with trio.CancelScope() as scope:
            await report(lambda: "well", keeps_up)
        said = []
        with suppress(BlockingIOError):
            while True:
                said.append(manager.recv(100))
    assert asked == [(at, 4.5) for at in (0.0, 3.0, 3.25, 3.5, 6.5, 9.5)]
    assert said == [b"WATCHDOG=1", b"STATUS=well", b"WATCHDOG=1", b"WATCHDOG=1"]


def test_what_must_be_heard_waits_for_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd reads nothing while it reloads its units, and its queue is not long."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAIT_SECONDS)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            other.connect(str(tmp_path / "notify"))
            with suppress(BlockingIOError):
                while True:
                    other.send(b"STATUS=x")
        notify("WATCHDOG=1")  # which waits for nothing
        teller = Thread(target=notify, args=("MAINPID=7", WAIT_SECONDS))
        teller.start()
        heard: list[bytes] = []
        while not heard or heard[-1] != b"MAINPID=7":
            heard.append(manager.recv(300))
        teller.join()
    assert set(heard) - {b"WATCHDOG=1"} == {b"STATUS=x", b"MAINPID=7"}


def test_beats_are_for_the_process_that_is_watched() -> None:
    assert pause({"WATCHDOG_USEC": "6000000"}, 7) == 2.0
    assert pause({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "7"}, 7) == 2.0
    assert pause({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "8"}, 7) is None
    assert pause({"WATCHDOG_USEC": "soon"}, 7) is None
    assert pause({}, 7) is None


def test_a_manager_that_has_gone_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0devgate-{tmp_path.name}-{time.time_ns()}")
        manager.settimeout(WAIT_SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + manager.getsockname()[1:].decode())
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"
