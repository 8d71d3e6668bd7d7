"""scripts/faults, for a moment: a storm of each kind. At full length it runs for an hour."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Few kinds, each with a recovery that takes a moment: a storm of all is for scripts/faults.
KINDS = {"sqlite": "kill", "postgresql": "sessions terminated"}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_storm_of_kills_or_broken_sessions(
    database: str, request: pytest.FixtureRequest
) -> None:
    """Once and on record under kills and broken sessions; the checker has all of its sources."""
    if database == "postgresql":
        request.getfixturevalue("postgres_server")  # skips where there is none
    done = subprocess.run(
        [ROOT / "scripts" / "faults", "--minutes", "0.1", "--database", database, "--seed", "7",
         "--devices", "10", "--callers", "6", "--only", KINDS[database]],
        capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "breaches: 0" in done.stdout
    figures = dict(
        line.strip().split(": ", 1) for line in done.stdout.splitlines() if ": " in line
    )
    assert int(figures["starts that devices saw"]) > 0
    assert int(figures["faults"]) > 0
