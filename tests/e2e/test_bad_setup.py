"""What an operator gets wrong before the gateway serves: one clear line, and no traceback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from tests.e2e.device import WAIT_SECONDS, frame
from tests.e2e.harness import SAMPLE, Gateway, gateway, read_reply, request_bytes


@pytest.fixture
def unserved() -> Iterator[Gateway]:
    """A gateway that is configured and not started."""
    made = Gateway()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    shutil.rmtree(made.folder)


def refusal(unserved: Gateway, *words: str, through: Sequence[str] = ()) -> None:
    """`devgate serve` ends at once, and the last it says is one line that has these words."""
    done = unserved.cli("serve", through=through)
    *before, said = done.stderr.strip().splitlines()
    assert done.returncode not in (0, 1), "a failure of its own, not Python's"
    assert said.startswith("devgate: "), said
    assert all(json.loads(line)["level"] == "info" for line in before), "else only the log"
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"device": {"idle_timeuot": 5}}, "idle_timeuot"),
        ({"devcie": {"idle_timeout": 5}}, "devcie"),
        ({"device": {"idle_timeout": "soon"}}, "idle_timeout"),
        ({"device": {"idle_timeout": -1}}, "idle_timeout"),
        ({"device": {"listen": "127.0.0.1"}}, "listen"),
        ({"device": {"flapping": {"takeover": 5}}}, "takeover"),
        ({"command": {"max_waiting": True}}, "max_waiting"),
        ({"service": {"phone": "4" * 977}}, "phone"),
        ({"control": {"mode": "0999"}}, "mode"),
    ],
)
def test_a_typo_in_the_configuration(
    unserved: Gateway, settings: dict[str, dict[str, object]], names: str
) -> None:
    unserved.configure(settings)
    refusal(unserved, "gateway.toml", names)
    assert not (unserved.folder / "devgate.db").exists()
    checked = unserved.cli("serve", "--check")
    assert checked.returncode not in (0, 1)
    assert names in checked.stderr


def test_a_configuration_that_is_no_toml(unserved: Gateway) -> None:
    (unserved.folder / "gateway.toml").write_text('[device]\nlisten = "127.0.0.1:0\n')
    refusal(unserved, "gateway.toml", "line 2")


def test_a_configuration_that_is_not_there(unserved: Gateway) -> None:
    (unserved.folder / "gateway.toml").unlink()
    refusal(unserved, "gateway.toml")


def test_a_port_in_use(unserved: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        unserved.configure({"device": {"listen": listen}})
        refusal(unserved, listen)
        assert not unserved.socket.exists()


def test_a_database_in_a_folder_that_cannot_be_made(unserved: Gateway) -> None:
    (unserved.folder / "file").touch()
    unserved.configure({}, store="sqlite:///file/devgate.db")
    refusal(unserved, str(unserved.folder / "file"))


def test_a_socket_in_a_folder_that_cannot_be_made(unserved: Gateway) -> None:
    (unserved.folder / "file").touch()
    unserved.configure({"control": {"socket": "file/devgate.sock"}})
    refusal(unserved, str(unserved.folder / "file"))


# Root may write everywhere, unless it gives up the right to.
HUMBLY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.getuid() == 0 else ()


def cannot_be_humble() -> bool:
    if HUMBLY and shutil.which(HUMBLY[0]) is None:
        return True
    return subprocess.run([*HUMBLY, "true"], stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.skipif(cannot_be_humble(), reason="root may write everywhere, and setpriv fails")
@pytest.mark.parametrize("what", ["store", "control"])
def test_a_folder_that_may_not_be_written(unserved: Gateway, what: str) -> None:
    closed = unserved.folder / "closed"
    closed.mkdir(mode=0o555)
    if what == "store":
        unserved.configure({}, store="sqlite:///closed/devgate.db")
    else:
        unserved.configure({"control": {"socket": "closed/devgate.sock"}})
    refusal(unserved, str(closed), through=HUMBLY)


def test_a_database_from_a_newer_version(unserved: Gateway) -> None:
    unserved.start()
    unserved.terminate()
    file = unserved.folder / "devgate.db"
    with sqlite3.connect(file) as database:
        [(ours,)] = database.execute("SELECT version_num FROM devgate_version").fetchall()
        database.execute("UPDATE devgate_version SET version_num = '9999'")
    database.close()
    refusal(unserved, "9999", ours)
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT version_num FROM devgate_version").fetchone() == ("9999",)
    database.close()


def test_a_file_that_is_no_database(unserved: Gateway) -> None:
    file = unserved.folder / "devgate.db"
    file.write_bytes(b"This is a letter to my landlord.\n" * 100)
    file.chmod(0o600)  # else a warning says that others could read it
    refusal(unserved, "devgate.db")


def test_a_second_gateway_at_one_socket() -> None:
    """It must find out before it takes the first one's commands and devices for its own."""
    with (
        gateway(devices=[{"imei": SAMPLE}]) as running,
        running.register(SAMPLE) as device,
        running.connect() as caller,
    ):
        start = {"type": "start", "imei": SAMPLE, "long": 60, "timeout": WAIT_SECONDS * 2}
        caller.sendall(request_bytes(start))
        device.expect(frame("000", SAMPLE, "QD", "60"))
        refusal(running, "devgate.sock")
        device.send(frame("200", SAMPLE, "QD"))
        device.expect(frame("200", SAMPLE, "QD"))
        reply = read_reply(caller)
        assert reply["status"] == "200"
        record = running.ask({"type": "command", "command": reply["command"]})
        assert (record["status"], record["late"]) == ("200", False)
        device.expect_nothing(SAMPLE)
        assert running.ask({"type": "status"})["registered"] == 1


def test_the_socket_of_a_dead_gateway_is_replaced() -> None:
    with gateway() as running:
        running.kill()
        assert running.socket.exists()
        running.start()
        assert running.ask({"type": "status"})["status"] == "200"
