"""`devgate upgrade`: another process goes on, and neither devices nor callers notice."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from devgate.http.pages.upgrading import PATH
from tests.e2e.caller import Caller, eventually, knowing, obey, settle
from tests.e2e.device import WAIT_SECONDS, frame
from tests.e2e.harness import Gateway
from tests.http.harness import site
from tests.http.visitor import visitor
from tests.net.papers import Papers
from tests.upgrade.harness import Heir, adopt_orphans, events, refused, upgrade

QUIET, FLYING, DEFERRED, BUSY, TORN = (f"86000000000000{n}" for n in range(5))
STRANGER = "999999999999999"
LONG = {
    "command": {"ack_timeout": 60, "queue_timeout": 60},
    "device": {"partial_timeout": 60, "heartbeat_grace": 60},
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    store = None
    if request.param == "postgresql":
        store = request.getfixturevalue("postgres_server").create_database()
    with knowing({**LONG, "http": {"listen": "127.0.0.1:0"}}, store) as running:
        yield running


def test_everything_goes_on_where_it_was(served: Gateway) -> None:
    with (
        served.register(QUIET) as quiet,
        served.register(FLYING) as flying,
        served.register(BUSY) as busy,
        served.register(TORN) as torn,
        served.unregistered() as stranger,
        Caller(served) as caller,
        Caller(served) as other,
        Caller(served) as watcher,
    ):
        caller.send(id=1, imei=FLYING, type="start", long=5, key="flying")
        flying.expect(frame("000", FLYING, "QD", "5"))
        other.send(id=1, imei=BUSY, type="start", long=6)
        other.send(id=2, imei=BUSY, type="start", long=7)
        busy.expect(frame("000", BUSY, "QD", "6"))
        deferred = served.ask(
            {"imei": DEFERRED, "type": "start", "long": 8, "expires": 60, "wait": False}
        )
        torn.send(frame("000", TORN, "HT")[:20])
        stranger.send(frame("000", STRANGER, "HT")[:10])
        served.until(None, "waiting", 2)
        last = served.ask({"type": "status"})["last_event"]
        watcher.follow(type="watch")
        former = served.process

        reply = upgrade(served)

        assert former is not None
        assert reply["pid"] != former.pid
        assert reply["connections"] == 5
        assert reply["closed"] == 0
        # What was torn in two is whole, and nothing is there twice.
        torn.send(frame("000", TORN, "HT")[20:])
        torn.expect(frame("200", TORN, "HT"))
        stranger.send(frame("000", STRANGER, "HT")[10:])
        stranger.expect(frame("300", STRANGER, "HT"))
        quiet.expect_nothing(QUIET)
        # Whoever waits for a result gets it from the process that has it.
        settle(flying, FLYING, "QD5")
        done = caller.line()
        assert (done["id"], done["status"]) == (1, "200")
        settle(busy, BUSY, "QD6")
        obey(busy, BUSY, "QD7")
        assert {other.line()["id"], other.line()["id"]} == {1, 2}
        # The same connection goes on, and so do keys and deferred commands.
        again = caller.ask(id=2, imei=FLYING, type="start", long=5, key="flying")
        assert again["command"] == done["command"]
        with served.register(DEFERRED) as back:
            obey(back, DEFERRED, "QD8")
        # The stream ends with its process, and is taken up at its number.
        with pytest.raises(ConnectionError):
            watcher.until(lambda line: False)
        kinds = [(event["type"], event["imei"]) for event in events(served, after=last)]
        assert ("device.offline", QUIET) not in kinds
        assert ("device.online", QUIET) not in kinds
        assert kinds.count(("command.ended", FLYING)) == 1
        assert served.ask({"type": "command", "command": deferred["command"]})["status"] == "200"
        assert former.wait(WAIT_SECONDS) == 0, "its callers have their replies"


def test_one_upgrade_after_the_other(served: Gateway) -> None:
    with served.register(QUIET) as device, Caller(served) as caller:
        for number in range(1, 4):
            caller.send(id=number, imei=QUIET, type="start", long=number)
            device.expect(frame("000", QUIET, "QD", str(number)))
            pid = upgrade(served)["pid"]
            settle(device, QUIET, f"QD{number}")
            assert caller.line()["status"] == "200"
        looked = served.cli("doctor", "--all").stdout
        assert f"(process {pid})" in looked, "not the one that made the socket's file"
        assert "may use its files" in looked
        last = served.ask({"type": "status"})["last_event"]
        numbers = [event["event"] for event in events(served, after=last - 10)]
        assert numbers == list(range(last - 9, last + 1))


PROGRAM = """\
    #!{python}
    import os, sys, socket
    sys.path[:0] = {path}
    import trio
    from devgate.upgrade.channel import Channel
    from devgate.upgrade.program import inherited

    async def main() -> None:
        channel = Channel(inherited(os.environ))
        await channel.receive()
        if {dies!r} == "at once":
            return
        await channel.send("ready", version="0", schema="")
        while not (await channel.receive()).content["last"]:
            pass
        await channel.send("aware")
        while (await channel.receive()).type != "end":
            if {dies!r} == "in the middle":
                return
        if {dies!r} == "refuses":
            return await channel.send("failed", why="it is Friday")
        await channel.send("prepared")
        await channel.receive()

    trio.run(main)
"""


@pytest.mark.parametrize("dies", ["at once", "in the middle", "refuses", "before it claims"])
def test_a_program_of_no_use_changes_nothing(served: Gateway, dies: str) -> None:
    program = served.folder / "program"
    text = PROGRAM.format(python=sys.executable, path=[str(Path(__file__).parents[2])], dies=dies)
    program.write_text(textwrap.dedent(text))
    program.chmod(0o700)
    with served.register(FLYING) as device, Caller(served) as caller:
        caller.send(imei=FLYING, type="start", long=5)
        device.expect(frame("000", FLYING, "QD", "5"))
        words = refused(served, "--program", str(program))
        said = (
            "it is Friday" if dies == "refuses" else "this gateway goes on, and its log has what"
        )
        assert said in words
        settle(device, FLYING, "QD5")
        assert caller.line()["status"] == "200"
        device.expect_nothing(FLYING)
        assert served.ask({"type": "start", "imei": QUIET, "long": 5})["status"] == "404"


AWAY = """\
    #!{python}
    import sys
    sys.path[:0] = {path}
    from devgate.cli.main import cli
    from devgate.errors import StoreError
    from devgate.gateway.quarantine import Quarantine

    load, calls = Quarantine.load, []

    async def second_fails(self) -> None:
        calls.append(self)
        if len(calls) == 2:
            raise StoreError("the database is away")
        await load(self)

    Quarantine.load = second_fails
    cli()
"""


def test_a_database_that_is_away_once_it_has_taken_over_ends_no_connection(
    served: Gateway,
) -> None:
    program = served.folder / "program"
    text = AWAY.format(python=sys.executable, path=[str(Path(__file__).parents[2])])
    program.write_text(textwrap.dedent(text))
    program.chmod(0o700)
    with served.register(QUIET) as device:
        assert upgrade(served, "--program", str(program))["connections"] == 1
        served.logged("a quarantine that was lifted during the upgrade goes on", "is away")
        device.expect_nothing(QUIET)


def test_a_program_that_others_could_change_is_not_run(served: Gateway) -> None:
    program = served.folder / "anybodys"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o777)
    assert "can be changed by others" in refused(served, "--program", str(program))
    assert "No such file" in refused(served, "--program", str(served.folder / "none"))


def test_connections_with_tls_are_closed_and_come_back(tmp_path: Path) -> None:
    papers = Papers(tmp_path)
    tls = {"certificate": str(papers.certificate), "key": str(papers.key)}
    trust = ssl.create_default_context()
    papers.ca.configure_trust(trust)
    trust.check_hostname = False

    def connected(gateway: Gateway) -> ssl.SSLSocket:
        sock = socket.create_connection(gateway.device, WAIT_SECONDS)
        secure = trust.wrap_socket(sock)
        secure.sendall(frame("000", QUIET, "HT").encode())
        assert secure.recv(1000) == frame("200", QUIET, "HT").encode()
        return secure

    with knowing({"device": {"tls": tls}}) as running:
        with connected(running) as device:
            assert upgrade(running)["closed"] == 1
            assert device.recv(1000) == b""
        running.until(QUIET, "online", False)
        with connected(running):
            assert running.status(QUIET)["online"]
        reasons = [event.get("reason") for event in events(running, imei=QUIET)]
        assert "the gateway was upgraded, and TLS cannot be handed over" in reasons
        running.logged("connections with TLS cannot be handed over", '"count": 1')


@pytest.mark.usefixtures("demos_take_free_ports")
def test_a_demo_is_not_upgraded() -> None:
    running = Gateway()
    try:
        running.start("--demo", "1")
        assert "demo" in refused(running)
        running.terminate()
    finally:
        assert running.process is not None
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        shutil.rmtree(running.folder)


def test_the_service_manager_is_told_which_process_it_is(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAIT_SECONDS)

        def until(words: str) -> None:
            while words not in manager.recv(4096).decode().splitlines():
                pass

        told = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000",
            "WATCHDOG_PID": "1",
        }  # fmt: skip
        with knowing({}, environment=told) as running:
            until("READY=1")
            reply = upgrade(running)
            until(f"MAINPID={reply['pid']}")
            until("WATCHDOG=1")  # which the former process did not, for another one was meant


def test_it_can_be_asked_for_over_http() -> None:
    with site(devices=[{"imei": QUIET}]) as running, running.register(QUIET) as device:
        adopt_orphans()
        with running.client("command") as client:
            assert client.post("/api/upgrade").status_code == 403
        with running.client() as client:
            answer = client.post("/api/upgrade")
            assert answer.headers["connection"] == "close"  # the old process ends
            reply = answer.json()
            running.process = Heir(reply["pid"], running.process)  # type: ignore[assignment]
            device.expect_nothing(QUIET)
            # On another connection, for a client that keeps them alive.
            assert client.get("/api/status").json()["registered"] == 1
            refused = client.post("/api/upgrade", json={"program": "/bin/true"})
            assert refused.status_code == 400
        with visitor(running.url) as admin:
            admin.log_in(token=running.tokens["admin"])
            assert "The version that runs" in admin.get(PATH)
            said = admin.post(PATH, admin.fields(PATH, PATH), 200)
            pids = eventually(  # the line may be written after the reply
                lambda: re.findall(r'"event": "handed over", "pid": (\d+)', running.log()),
                lambda found: len(found) == 2,
            )
            running.process = Heir(int(pids[-1]), running.process)  # type: ignore[assignment]
            assert "has taken over" in said
            device.expect_nothing(QUIET)
        with visitor(running.url) as reader:
            reader.log_in(token=running.tokens["command"])
            reader.get(PATH, 403)
