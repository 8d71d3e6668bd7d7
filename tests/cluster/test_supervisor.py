"""`devgate serve --nodes N`: several processes at the same addresses."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.caller import eventually, obey
from tests.e2e.harness import Gateway, read_reply
from tests.postgres import Postgres

IMEIS = [f"8600000000000{number:02}" for number in range(24)]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def is_there(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def pids(running: Gateway) -> dict[str, int]:
    """The newest process of each node, as the log says."""
    found = {}
    for line in running.log().splitlines():
        if '"node started"' in line:
            words = line.replace(",", "").replace("}", "").replace('"', "").split()
            found[words[words.index("node:", words.index("started")) + 1]] = int(words[-1])
    return found


@pytest.fixture
def running(postgres: Postgres) -> Iterator[Gateway]:
    made = Gateway(
        {"device": {"listen": f"127.0.0.1:{free_port()}"}, "cluster": {"node": "m"}},
        store=postgres.create_database(),
    )
    made.environment["WATCHDOG_USEC"] = "4000000"
    try:
        made.start("--nodes", "2")
        made.add_devices([{"imei": imei} for imei in IMEIS])
        for path in (made.socket, made.socket.with_name("devgate-2.sock")):
            eventually(lambda path=path: known(path), lambda count: count == len(IMEIS))  # type: ignore[misc]
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        shutil.rmtree(made.folder, ignore_errors=True)


def known(path: Path) -> int:
    """How many devices the node with this control socket knows; -1: it does not answer yet."""
    with socket.socket(socket.AF_UNIX) as caller:
        if caller.connect_ex(str(path)) != 0:
            return -1
        caller.sendall(b'command{"type":"status"}')
        return int(read_reply(caller)["devices"])


def test_nodes_share_a_port_and_are_started_again(running: Gateway) -> None:
    with ExitStack() as stack:
        devices = {imei: stack.enter_context(running.register(imei)) for imei in IMEIS}
        here = running.ask({"type": "status"})["registered"]
        assert 0 < here < len(IMEIS), "the kernel gives each connection to one of them"
        for imei, device in list(devices.items())[:6]:
            with running.connect() as caller:
                caller.sendall(f'command{{"type":"start","imei":"{imei}","long":5}}'.encode())
                obey(device, imei, "QD5")
                assert b'"200"' in caller.recv(4096)
    before = pids(running)
    assert sorted(before) == ["m-1", "m-2"]
    os.kill(before["m-2"], signal.SIGKILL)
    after = eventually(lambda: pids(running), lambda now: now["m-2"] != before["m-2"])
    assert after["m-1"] == before["m-1"]
    running.terminate()
    assert not any(is_there(pid) for pid in after.values())


def test_nodes_end_with_a_supervisor_that_was_killed(running: Gateway) -> None:
    nodes = pids(running)
    running.kill()
    for pid in nodes.values():
        eventually(lambda pid=pid: is_there(pid), lambda there: not there)  # type: ignore[misc]
    assert not running.socket.exists()


def test_what_cannot_be_shared_is_said(postgres: Postgres) -> None:
    alone = Gateway({"device": {"listen": "127.0.0.1:12399"}})
    done = alone.cli("serve", "--nodes", "2")
    assert (done.returncode, "share one PostgreSQL" in done.stderr) == (2, True)
    shared = Gateway(store=postgres.create_database())
    done = shared.cli("serve", "--nodes", "2")
    assert (done.returncode, "one expected, not 0" in done.stderr) == (2, True)


def test_a_frozen_node_is_killed_and_started_again(running: Gateway) -> None:
    """By the supervisor, which has no part in what the other node does."""
    before = pids(running)
    os.kill(before["m-2"], signal.SIGSTOP)
    after = eventually(lambda: pids(running), lambda now: now["m-2"] != before["m-2"])
    assert after["m-1"] == before["m-1"]
    assert '"node does not beat, it is killed"' in running.log()
