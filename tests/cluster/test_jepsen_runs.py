"""scripts/jepsen as it is run, for some seconds."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.caller import eventually

ROOT = Path(__file__).parents[2]


def lab(*arguments: str) -> dict[str, Any]:
    """What a run of a moment reports."""
    done = subprocess.run(
        [ROOT / "scripts" / "jepsen", "--devices", "12", "--callers", "6", "--json", *arguments],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["breaches"] == []
    assert result["starts that devices saw"] > 0
    assert result["faults"]["in all"] > 0
    return result


runs = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("postgres_server"),  # skips where there is none
    pytest.mark.skipif(
        shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="HAProxy"
    ),
]


def in_a_lab(test: Callable[..., None]) -> Callable[..., None]:
    for mark in runs:
        test = mark(test)
    return test


@in_a_lab
def test_three_nodes_under_faults() -> None:
    """scripts/jepsen, for a moment; at its full length it runs for an hour."""
    lab("--minutes", "0.2", "--seed", "7")


@in_a_lab
def test_clocks_that_jump_and_balancers_that_are_restarted() -> None:
    lab("--minutes", "0.2", "--seed", "8", "--only", "clock", "--only", "HAProxy")


@in_a_lab
def test_failovers_to_a_synchronous_replica() -> None:
    """Nothing is lost."""
    result = lab("--minutes", "0.2", "--seed", "8", "--only", "failover")
    assert result["losses confirmed"] == 0


@in_a_lab
def test_failovers_to_an_asynchronous_replica() -> None:
    """What is lost is noticed before the next start, and no start comes twice."""
    result = lab(
        "--minutes", "0.3", "--seed", "9", "--only", "failover", "--replica", "asynchronous"
    )
    assert result["failovers that lost events"]
    assert result["losses confirmed"] > 0


@in_a_lab
def test_sigterm_ends_all_processes_of_a_run(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            [ROOT / "scripts" / "jepsen", "--devices", "12"],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    eventually((tmp_path / "log").read_text, lambda text: " s " in text or bool(running.poll()))
    assert len(of(running.pid)) > 10, (tmp_path / "log").read_text()
    running.terminate()
    assert running.wait(60) == 128 + signal.SIGTERM, (tmp_path / "log").read_text()
    assert of(running.pid) == []


def of(session: int) -> list[str]:
    """The processes of this session, and those whose parent is one of them."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, _, rest = file.read_text().partition(" ")
            _, parent, _, own, *_ = rest.rpartition(")")[2].split()
            found[pid] = (int(own), parent)
    ours = {pid for pid, (number, _) in found.items() if number == session}
    return [*ours, *(pid for pid, (_, parent) in found.items() if parent in ours - {pid})]
