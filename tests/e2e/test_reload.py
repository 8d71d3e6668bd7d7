"""SIGHUP: the gateway works by its file as it is now, as far as that needs no restart."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.e2e.caller import Caller, knowing
from tests.e2e.device import WAIT_SECONDS, frame
from tests.e2e.harness import Gateway, Settings
from tests.faults.preload import Faults

IMEI = "860000000000000"
IDLE_SECONDS = WAIT_SECONDS  # less than the default
OLD: Settings = {"service": {"phone": "111"}, "command": {"ack_timeout": 60}}


@pytest.fixture(scope="module")
def served(module_faults: Faults) -> Iterator[Gateway]:
    with knowing(OLD, environment=module_faults.environment()) as running:
        yield running


def reload(served: Gateway, *words: str) -> None:
    """Signal, and wait for what the gateway says to it: words that it has not said before."""
    assert not any(all(word in line for word in words) for line in served.log().splitlines())
    served.signal(signal.SIGHUP)
    served.logged(*words)


def test_texts_timeouts_and_limits_change_without_a_restart(
    served: Gateway, module_faults: Faults
) -> None:
    with served.register(IMEI) as device, Caller(served) as caller:
        device.send(frame("000", IMEI, "TN"))
        device.expect(frame("200", IMEI, "TN", "111"))
        served.configure(
            {
                "service": {"phone": "222"},
                "command": {"ack_timeout": 0.1, "max_long": 10},
                "device": {"idle_timeout": IDLE_SECONDS},
            }
        )
        reload(served, "settings reloaded", "service.phone")
        device.send(frame("000", IMEI, "TN"))
        device.expect(frame("200", IMEI, "TN", "222"))
        assert caller.ask(imei=IMEI, type="start", long=5)["status"] == "408"
        device.expect(frame("000", IMEI, "QD", "5"))
        assert caller.ask(imei=IMEI, type="start", long=11)["status"] == "400"
        module_faults.elapse(IDLE_SECONDS)
        device.expect_end()


def test_a_file_with_a_mistake_changes_nothing(served: Gateway) -> None:
    served.configure({"service": {"phone": "333", "fax": "444"}})
    reload(served, "settings not reloaded", "fax")
    served.configure({"service": {"phone": "333"}, "command": {"ack_timeout": "soon"}})
    reload(served, "settings not reloaded", "ack_timeout")
    with served.register(IMEI) as device:
        device.send(frame("000", IMEI, "TN"))
        device.expect(frame("200", IMEI, "TN", "222"))


def test_what_needs_a_restart_is_said(served: Gateway) -> None:
    before = served.ask({"type": "status"})["listen"]
    served.configure({"device": {"listen": "127.0.0.1:1"}, "service": {"phone": "555"}})
    reload(served, "a restart is needed", "device.listen")
    assert served.ask({"type": "status"})["listen"] == before
    with served.register(IMEI) as device:
        device.send(frame("000", IMEI, "TN"))
        device.expect(frame("200", IMEI, "TN", "555"))
