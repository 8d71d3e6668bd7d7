"""systemd hears that the gateway is ready, and then that its loop turns."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from devgate.systemd import notify, pause
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import gateway


def test_a_gateway_beats_until_it_is_frozen(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAIT_SECONDS)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        with gateway(environment=told) as running:
            said = {manager.recv(300) for _ in range(6)}
            assert b"WATCHDOG=1" in said
            (ready,) = (words for words in said if words.startswith(b"READY=1\n"))
            assert ready.split(b"\n")[1] == (
                b"STATUS=ready; 0 of 0 devices connected, 0 commands in flight"
            )
            running.signal(signal.SIGSTOP)
            time.sleep(0.2)
            manager.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    manager.recv(100)
            time.sleep(0.5)
            with pytest.raises(BlockingIOError):
                manager.recv(100)
            running.signal(signal.SIGCONT)
            manager.settimeout(WAIT_SECONDS)
            assert manager.recv(100) == b"WATCHDOG=1"
            running.signal(signal.SIGTERM)
            while manager.recv(300) != b"STOPPING=1":
                pass
            assert running.wait() == 0


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
