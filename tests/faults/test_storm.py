"""scripts/faults, for a moment: storms and power cuts. At full length it runs for an hour."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# Few kinds, each with a recovery that takes a moment: a storm of all is for scripts/faults.
KINDS = {"sqlite": "kill", "postgresql": "sessions terminated"}


def faults(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "faults", *arguments],
        capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip


def read_figures(printed: str) -> dict[str, str]:
    lines = [line.strip().partition(": ") for line in printed.splitlines()]
    return {name: figure for name, colon, figure in lines if colon}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_storm_of_kills_or_broken_sessions(
    database: str, request: pytest.FixtureRequest
) -> None:
    """Once and on record under kills and broken sessions; the checker has all of its sources."""
    if database == "postgresql":
        request.getfixturevalue("postgres_server")  # skips where there is none
    done = faults(
        "--minutes", "0.1", "--database", database, "--seed", "7",
        "--devices", "10", "--callers", "6", "--only", KINDS[database],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "breaches: 0" in done.stdout
    figures = read_figures(done.stdout)
    assert int(figures["starts that devices saw"]) > 0
    assert int(figures["faults"]) > 0


@pytest.mark.timeout(180)
def test_the_power_fails() -> None:
    """Unsynced writes are lost, reordered or torn, and callers' answers are still true."""
    done = faults("power", "--cuts", "3", "--seconds", "1", "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    figures = read_figures(done.stdout)
    assert int(figures["starts that devices were sent"]) > 0
    assert figures["cuts after which something was wrong"] == "0"


@pytest.mark.timeout(180)
def test_a_missing_fsync_is_found() -> None:
    """The check of the check: the same with a disk that says it is done and is not."""
    done = faults("power", "--cuts", "20", "--seconds", "1", "--seed", "7", "--plant", "no-fsync")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "there is no record" in done.stdout
