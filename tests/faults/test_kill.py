"""kill -9 at the worst moments: protocol.md section 4, and what the journal is for."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.caller import Caller, Robot, knowing, obey, settle
from tests.e2e.device import WAIT_SECONDS, frame
from tests.e2e.harness import Gateway, Json

IMEIS = iter(f"860000000000{n:03}" for n in range(10))


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"command": {"ack_timeout": WAIT_SECONDS}}) as running:
        yield running


@pytest.fixture
def imei() -> str:
    return next(IMEIS)


@pytest.fixture
def start(imei: str) -> Json:
    return {"imei": imei, "type": "start", "long": 500}


def record(served: Gateway, id: str) -> Json:
    return served.ask({"type": "command", "command": id})


def test_between_send_and_result(served: Gateway, imei: str, start: Json) -> None:
    with Caller(served) as caller, served.register(imei) as device:
        caller.send(**start, key=imei, timeout=60)
        device.expect(frame("000", imei, "QD", "500"))
        served.kill()
        with pytest.raises(ConnectionError):
            caller.line()
    served.start()
    unknown = served.ask({**start, "key": imei})
    assert unknown["status"] == "408"
    assert "unknown" in unknown["message"]
    with served.register(imei) as device:
        device.expect_nothing(imei)  # it is not sent again
        settle(device, imei, "QD500")  # the device brings its result when it is back
        known = served.ask({**start, "key": imei})
        assert (known["status"], known["late"]) == ("200", True)
        assert known["command"] == unknown["command"]
        device.expect_nothing(imei)
    told = record(served, known["command"])
    assert (told["status"], told["late"], told["state"]) == ("200", True, "ended")
    served.kill()
    served.start()
    assert record(served, known["command"]) == told


def test_between_journal_and_send(served: Gateway, imei: str, start: Json) -> None:
    """What such a crash leaves behind: a command that is `sent`, and a device that saw nothing."""
    kept = served.ask({**start, "key": imei, "expires": 600, "wait": False})
    served.kill()
    with sqlite3.connect(served.folder / "devgate.db") as database:
        database.execute(
            "UPDATE command SET state = 'sent', sent_at = accepted_at WHERE key = ?", [imei]
        )
    database.close()
    served.start()
    with Robot(served, imei) as robot:
        reply = served.ask({**start, "key": imei})
        assert (reply["status"], reply["command"]) == ("408", kept["command"])
    assert robot.seen == [], "it may have gone out: never again"


def test_while_commands_wait(served: Gateway, imei: str, start: Json) -> None:
    """What was only accepted ends as not sent, and its key is free; what is kept stays."""
    with served.register(imei) as device, Caller(served) as caller:
        caller.send(**start, key=f"{imei} 1", timeout=60)
        device.expect(frame("000", imei, "QD", "500"))
        waits = served.ask({**start, "long": 2, "key": f"{imei} 2", "wait": False})
        kept = served.ask({**start, "long": 3, "expires": 600, "wait": False})
        served.kill()
    served.start()
    ended = record(served, waits["command"])
    assert (ended["status"], ended["sent_at"]) == ("503", None)
    assert "nothing was sent" in ended["message"]
    assert record(served, kept["command"])["state"] == "waiting"
    assert served.ask({**start, "key": f"{imei} 1"})["status"] == "408"
    with served.register(imei) as device, Caller(served) as caller:
        device.expect(frame("000", imei, "QD", "3"))
        settle(device, imei, "QD500")  # the oldest that was sent has the first result
        settle(device, imei, "QD3")
        caller.send(**{**start, "long": 2, "key": f"{imei} 2"})
        obey(device, imei, "QD2")
        again = caller.line()
    assert (again["status"], again["command"] != waits["command"]) == ("200", True)
    assert record(served, kept["command"])["status"] == "200"


def test_what_was_accepted_without_waiting_is_on_disk(
    served: Gateway, imei: str, start: Json
) -> None:
    with Robot(served, imei, None) as silent:
        reply = served.ask({**start, "wait": False})
        served.kill()
    served.start()
    assert (reply["status"], record(served, reply["command"])["status"]) == ("000", "408")
    # The kill came before or behind the send; on disk it is sent, so that it never goes out again.
    assert silent.seen in (["QD500"], [])
    with served.register(imei) as device:
        device.expect_nothing(imei)


def test_online_and_offline_alternate_over_a_crash(served: Gateway, imei: str) -> None:
    with served.register(imei):
        assert served.status(imei)["online"]  # and that is on disk
        served.kill()
    served.start()
    with served.register(imei), Caller(served) as caller:
        caller.follow(type="watch", imei=imei, after=0, events=["device"])
        told = [caller.line() for _ in range(3)]
    assert [event["type"] for event in told] == [
        "device.online", "device.offline", "device.online",
    ]  # fmt: skip
    assert told[1]["reason"] == "the gateway stopped"


def test_at_random_moments_while_starts_flow(tmp_path: Path) -> None:
    """scripts/crash, for a moment; at its full length it runs 100 kills."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "crashing", "--kills", "4", "--starts", "40", "--callers", "8"],
        capture_output=True, text=True, timeout=150,
        env={**os.environ, "PYTHONPATH": f"{root / 'scripts'}:{root}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nlost: 0\ndoubled: 0\nother faults: 0\n" in done.stdout
