"""The first five minutes of an operator: a demonstration, and a second terminal beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.harness import Gateway, Json, gateway

pytestmark = pytest.mark.usefixtures("new_interpreters")

DEVICES = 5


@pytest.fixture(scope="module")
def demo(demos_take_free_ports: None) -> Iterator[Gateway]:
    with gateway(arguments=("--demo", str(DEVICES))) as running:
        running.until(None, "registered", DEVICES)
        yield running


@pytest.fixture(scope="module")
def listed(demo: Gateway) -> list[Json]:
    done = demo.cli("devices", "list", "--json")
    assert done.returncode == 0, done.stderr
    items: list[Json] = json.loads(done.stdout)["items"]
    return items


def test_the_fleet_is_listed(listed: list[Json]) -> None:
    assert len(listed) == DEVICES
    assert all(device["online"] for device in listed)


def test_a_device_is_started_and_stopped(demo: Gateway, listed: list[Json]) -> None:
    imei = listed[0]["imei"]
    started = demo.cli("start", imei, "500")
    assert (started.returncode, started.stderr) == (0, "")
    stopped = demo.cli("stop", imei, "--json")
    assert stopped.returncode == 0, stopped.stderr
    assert json.loads(stopped.stdout)["status"] == "200"


def test_the_status_is_shown(demo: Gateway) -> None:
    done = demo.cli("status", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["registered"] == DEVICES
    assert demo.cli("status").stdout.strip()


@pytest.mark.skipif(shutil.which("nc") is None, reason="no nc on this machine")
def test_a_plain_shell_commands_a_device(demo: Gateway, listed: list[Json]) -> None:
    imei = listed[1]["imei"]
    line = f"""printf 'command{{"imei":"{imei}","type":"stop"}}' | nc -U -N run/devgate.sock"""
    done = subprocess.run(
        ["sh", "-c", line], cwd=demo.folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "200"


def test_the_demonstration_leaves_no_database_behind(demo: Gateway) -> None:
    assert not list(demo.folder.glob("*.db*"))


def test_without_a_gateway_the_exit_code_is_13() -> None:
    with gateway() as running:
        running.terminate()
        done = running.cli("status")
        assert done.returncode == 13
        assert len(done.stderr.strip().splitlines()) == 1
