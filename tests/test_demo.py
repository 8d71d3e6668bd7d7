"""What a demo says, and when."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from devgate.demo import ONLINE_SECONDS, tell
from tests.e2e.device import WAIT_SECONDS as PATIENT
from tests.e2e.harness import environment, gateway

pytestmark = pytest.mark.usefixtures("demos_take_free_ports")


def test_what_a_demo_says_is_the_last_thing_on_the_screen() -> None:
    """And L9: all doors of a demo are on loopback, the one for devices, too."""
    with gateway(arguments=["--demo", "50"]) as demo:
        listens = demo.ask({"type": "status"})["listen"]
        assert {"device", "http"} <= listens.keys()
        doors = [address for addresses in listens.values() for address in addresses]
        assert all(door.startswith(("127.0.0.1:", "/")) for door in doors), doors
        login = demo.logged("in a browser")
        before, _, after = demo.log().partition(login)
        assert before.count('"device online"') == 50
        assert after.strip() == ""


@pytest.mark.parametrize(
    ("complete_at", "said_at"),
    [(0.5, [0.5]), (ONLINE_SECONDS + 9, [ONLINE_SECONDS, ONLINE_SECONDS + 9])],
)
async def test_a_demo_of_many_does_not_keep_one_waiting(
    autojump_clock: MockClock, complete_at: float, said_at: list[float]
) -> None:
    complete, said = trio.Event(), list[float]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, complete, lambda: said.append(trio.current_time()))
        await trio.sleep(complete_at)
        complete.set()
    assert said == said_at


def test_a_demo_cannot_reach_a_real_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D3: with DEVGATE_STORE__URL set, which is where the manual puts PostgreSQL's password, a
    demo filled the production database. Nothing but the control socket's path applies to it."""
    real = tmp_path / "real.db"
    with gateway({"http": {"listen": "127.0.0.1:0"}}, store=f"sqlite:///{real}") as production:
        folder = Path(tempfile.mkdtemp(prefix="dg-"))
        variables = {
            "DEVGATE_STORE__URL": f"sqlite:///{real}",
            "DEVGATE_DEVICE__LISTEN": "0.0.0.0:0",
            "DEVGATE_HTTP__LISTEN": "0.0.0.0:0",
            "DEVGATE_CONTROL__LISTEN": "127.0.0.1:0",
            "DEVGATE_CONTROL__TOKENS": str(tmp_path / "tokens"),
            "DEVGATE_LOG__LEVEL": "error",
            "DEVGATE_COMMAND__REQUIRE_KEY": "true",
            "DEVGATE_CONTROL__SOCKET": str(folder / "s.sock"),
            "DEVGATE_CONFIG": str(production.folder / "gateway.toml"),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "devgate", "serve", "--demo", "3"],
            env={**environment(folder), **variables}, cwd=folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            seen = ""
            while "in a browser" not in seen:
                seen = process.stderr.readline()
                assert seen, "it ended"
            with socket.socket(socket.AF_UNIX) as caller:
                caller.settimeout(PATIENT)
                caller.connect(str(folder / "s.sock"))
                caller.sendall(b'command{"type":"status"}command{"type":"start","imei":"1"}')
                lines = caller.makefile("rb")
                replies = [json.loads(lines.readline()) for _ in range(2)]
            [status] = [reply for reply in replies if "listen" in reply]
            assert status["devices"] == 3
            assert str(real) not in status["database"]
            for name, listens in status["listen"].items():
                for place in listens:
                    assert place.startswith(("127.0.0.1:", str(folder))), (name, place)
            assert not any(place.startswith("127.") for place in status["listen"]["control"])
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENT)
            shutil.rmtree(folder)
        assert production.ask({"type": "devices"})["items"] == []
    with sqlite3.connect(real) as database:
        assert database.execute("select count(*) from device").fetchone() == (0,)
    database.close()
