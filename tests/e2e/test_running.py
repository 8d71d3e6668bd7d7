"""What a device is doing, and until when, as far as its own confirmations say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.e2e.caller import Robot, knowing
from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway, Json
from tests.faults.preload import Faults


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with knowing({"command": {"ack_timeout": WAIT_SECONDS}}) as running:
        yield running


def start(served: Gateway, imei: str, long: int = 600, **extra: object) -> Json:
    return served.ask({"imei": imei, "type": "start", "long": long, **extra})


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_confirmed_start_runs_and_a_confirmed_stop_ends_it(served: Gateway, imei: str) -> None:
    with Robot(served, imei) as device:
        assert served.status(imei)["running_until"] is None
        start(served, imei)
        status = served.status(imei)
        confirmed = at(status["last"]["ended_at"])
        assert at(status["running_until"]) == pytest.approx(confirmed + 600, abs=1)
        device.status = "201"
        served.ask({"imei": imei, "type": "stop"})
        assert served.status(imei)["running_until"] == status["running_until"]
        device.status = "200"
        served.ask({"imei": imei, "type": "stop"})
        assert served.status(imei)["running_until"] is None


@pytest.mark.parametrize("status", ["201", "202", None])
def test_what_is_not_confirmed_does_not_run(
    served: Gateway, imei: str, status: str | None
) -> None:
    more = {} if status else {"timeout": 0.2}
    with Robot(served, imei, status):
        start(served, imei, 600, **more)
    assert served.status(imei)["running_until"] is None


def test_a_second_start_adds_to_the_first_and_says_so(served: Gateway, imei: str) -> None:
    with Robot(served, imei):
        start(served, imei, 600)
        first = at(served.status(imei)["running_until"])
        second = start(served, imei, 300)
    assert (second["status"], "running already" in second["message"]) == ("200", True)
    assert at(served.status(imei)["running_until"]) == pytest.approx(first + 300, abs=0.01)
    assert served.ask({"type": "command", "command": second["command"]})["running"] is True


def test_a_device_that_counts_times_has_no_end(served: Gateway, imei: str) -> None:
    assert served.cli("devices", "edit", imei, "--unit", "times").returncode == 0
    with Robot(served, imei):
        assert start(served, imei, 5)["status"] == "200"
        assert served.cli("start", imei, "15m").returncode == 2, "a duration is a 400"
    assert served.status(imei)["running_until"] is None


def test_a_start_that_is_over_runs_no_longer(faults: Faults, imei: str) -> None:
    with knowing({}, environment=faults.environment()) as served, Robot(served, imei):
        start(served, imei, 60)
        assert served.status(imei)["running_until"]
        faults.elapse(60)
        assert served.status(imei)["running_until"] is None


def test_who_runs_is_listed(served: Gateway, imei: str, other: str) -> None:
    with Robot(served, imei), Robot(served, other):
        start(served, imei)
        page = served.ask({"type": "devices", "running": True, "limit": 1000})
        running = [item["imei"] for item in page["items"]]
        assert imei in running
        assert other not in running
        done = served.cli("devices", "list", "--running", "--json")
        assert [item["imei"] for item in json.loads(done.stdout)["items"]] == running
        shown = served.cli("status", imei).stdout
        assert served.status(imei)["running_until"][:16].replace("T", " ") in shown


def test_it_is_known_after_a_restart_and_may_refuse_a_second_start(
    served: Gateway, imei: str
) -> None:
    """The last test of the module: it restarts the gateway."""
    with Robot(served, imei):
        start(served, imei)
    until = served.status(imei)["running_until"]
    served.kill()
    served.configure({"command": {"while_running": "refuse"}})
    served.start()
    assert served.status(imei)["running_until"] == until
    with Robot(served, imei) as device:
        refused = start(served, imei, key=imei)
        assert (refused["status"], refused["why"]) == ("423", "running")
        assert "nothing was sent" in refused["message"]
        assert served.cli("start", imei, "60").returncode == 14
        assert device.seen == []
        assert served.ask({"imei": imei, "type": "stop"})["status"] == "200"
        assert start(served, imei, key=imei)["status"] == "200", "its key is free"
    assert device.seen == ["ST", "QD600"]
