"""Sockets that systemd has opened (sd_listen_fds)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devgate.errors import SetupError
from devgate.net.given import Given, Open, activated
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway, environment
from tests.upgrade.harness import upgrade

START = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
for number, fd in enumerate(map(int, sys.argv[1].split(",")), 3):
    os.dup2(fd, number + 100)
for number in range(3, 3 + len(sys.argv[1].split(","))):
    os.dup2(number + 100, number)
    os.set_inheritable(number, True)
os.execv(sys.executable, [sys.executable, "-m", "devgate", "serve"])
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_a_gateway_takes_them_and_hands_them_over(listener: socket.socket) -> None:
    running = Gateway({"device": {"listen": "127.0.0.1:1"}})  # a port that it could not have
    path = str(running.folder / "s")
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(path)
        control.listen()
        running.fill([{"imei": "860000000000000"}])
        with running.log_file.open("ab") as log:
            running.process = subprocess.Popen(
                [sys.executable, "-c", START, f"{listener.fileno()},{control.fileno()}"],
                cwd=running.folder,
                env={
                    **environment(running.folder),
                    "LISTEN_FDS": "2",
                    "LISTEN_FDNAMES": "device:devgate.socket",
                },
                pass_fds=[listener.fileno(), control.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        running.socket = Path(path)
        try:
            running.device = listener.getsockname()
            # Whoever comes before it is ready waits in the kernel.
            with running.register("860000000000000") as device:
                assert running.ask({"type": "status"})["listen"]["control"] == [path]
                upgrade_with(running, path)
                device.expect_nothing("860000000000000")
            assert running.process is not None
            running.signal(signal.SIGTERM)
            assert running.process.wait(WAIT_SECONDS) == 0, running.log()
            assert os.path.exists(path), "the file is systemd's"
        finally:
            if running.process is not None and running.process.poll() is None:
                running.process.kill()
                running.process.wait()


def upgrade_with(running: Gateway, path: str) -> None:
    text = (running.folder / "gateway.toml").read_text("utf-8")
    (running.folder / "gateway.toml").write_text(text.replace("run/devgate.sock", path), "utf-8")
    upgrade(running)


def test_nothing_is_taken_that_is_meant_for_another_process() -> None:
    assert activated({}, 7) == []
    assert activated({"LISTEN_FDS": "2", "LISTEN_PID": "8"}, 7) == []


def test_a_name_stands_for_a_door_and_an_address_for_itself(listener: socket.socket) -> None:
    host, port = listener.getsockname()
    place, other = f"{host}:{port}", "127.0.0.1:9"
    named = Given([Open("device", listener, True)])
    assert named.of("http", [place]) == [place]
    assert named.of("device", [other, place]) == [listener], "in the place of all"
    assert named.of("device", [other]) == [other], "once"
    unnamed = Given([Open("", listener, False)])
    assert unnamed.of("device", [other]) == [other]
    assert unnamed.of("http", [other, place]) == [other, listener]


def test_one_that_no_door_wants_is_a_mistake(listener: socket.socket) -> None:
    given = Given([Open("", listener, False)], must_be_used=True)
    with pytest.raises(SetupError, match="LISTEN_FDS: nothing is configured for 127"):
        given.end()
    Given([Open("device", listener, False)]).end()
    assert listener.fileno() == -1, "the gateway before listened there, and nobody does now"
