"""SIGTERM to one of the two processes of an upgrade, or to both as from `systemctl stop`."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.caller import Caller, knowing, settle
from tests.e2e.device import WAIT_SECONDS, frame
from tests.e2e.harness import Gateway
from tests.upgrade.harness import adopt_orphans, refused, upgrade

IMEI = "860000000000001"

PROGRAM = """\
    #!{python}
    import os, signal, sys
    sys.path[:0] = {path}
    import trio
    from devgate.cli.main import cli
    from devgate.upgrade.new import Successor

    take_over = Successor.take_over

    async def told_before(self, *args) -> None:
        os.kill({pid} or os.getpid(), signal.SIGTERM)
        await trio.sleep(0.2)
        await take_over(self, *args)

    Successor.take_over = told_before
    cli()
"""


@pytest.fixture
def served() -> Iterator[Gateway]:
    with knowing({"command": {"ack_timeout": 60, "drain": 60}}) as running:
        yield running


def program(gateway: Gateway, pid: int) -> str:
    """A new version: while it loads, that process gets SIGTERM; 0: the new one itself."""
    file = gateway.folder / "program"
    text = PROGRAM.format(python=sys.executable, path=[str(Path(__file__).parents[2])], pid=pid)
    file.write_text(textwrap.dedent(text))
    file.chmod(0o700)
    return str(file)


def test_a_new_process_that_is_told_to_stop_takes_nothing_over(served: Gateway) -> None:
    with served.register(IMEI) as device, Caller(served) as caller:
        caller.send(imei=IMEI, type="start", long=5)
        device.expect(frame("000", IMEI, "QD", "5"))
        assert "told to stop" in refused(served, "--program", program(served, 0))
        settle(device, IMEI, "QD5")
        assert caller.line()["status"] == "200"
        device.expect_nothing(IMEI)


def test_an_old_process_that_is_told_to_stop_hands_nothing_over(served: Gateway) -> None:
    adopt_orphans()
    assert served.process is not None
    with served.register(IMEI) as device, Caller(served) as caller:
        caller.send(imei=IMEI, type="start", long=5)
        device.expect(frame("000", IMEI, "QD", "5"))
        done = served.cli("upgrade", "--program", program(served, served.process.pid))
        assert "is stopping" in done.stderr, (done.returncode, done.stdout, done.stderr)
        settle(device, IMEI, "QD5")
        assert caller.line()["status"] == "200"
    assert served.process.wait(WAIT_SECONDS) == 0


@pytest.mark.parametrize("told", ["the old one", "both"])
def test_the_old_process_answers_its_callers_before_it_ends(served: Gateway, told: str) -> None:
    with served.register(IMEI) as device, Caller(served) as caller:
        caller.send(imei=IMEI, type="start", long=5)
        device.expect(frame("000", IMEI, "QD", "5"))
        former = served.process
        assert former is not None
        pid = upgrade(served)["pid"]
        former.send_signal(signal.SIGTERM)
        if told == "both":
            os.kill(pid, signal.SIGTERM)
        settle(device, IMEI, "QD5")
        assert caller.line()["status"] == "200"
        assert former.wait(WAIT_SECONDS) == 0
        if told == "both":
            assert served.process is not None
            assert served.process.wait(WAIT_SECONDS) == 0
