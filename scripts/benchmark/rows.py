"""The peer that writes devgate's rows in C: what its promises cost without Python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.figures import Values
from benchmark.machine import Cores

MARGIN_SECONDS = 60.0  # seconds beyond what it was asked for
STARTS = 16  # in one commit: half of the 32 callers wait while the others' rows are written
REGISTRATIONS = 256


def starts(program: Path, database: Path, used: Cores, seconds: float) -> Values:
    """Starts a second, and microseconds of CPU of one."""
    found = _run(program, database, used, "starts", seconds, STARTS)
    return {
        "starts": found["operations"] / found["seconds"],
        "starts_cpu": found["cpu"] / found["operations"] * 1e6,
    }


def registrations(program: Path, database: Path, used: Cores, count: int) -> float:
    """Seconds of CPU for the rows of a storm."""
    return _run(program, database, used, "registrations", count, REGISTRATIONS)["cpu"]


def _run(
    program: Path, database: Path, used: Cores, what: str, much: float, group: int
) -> dict[str, float]:
    try:
        done = subprocess.run(
            [program, database, what, str(much), str(group)],
            capture_output=True,
            text=True,
            check=False,
            timeout=MARGIN_SECONDS + (much if what == "starts" else 0),
            preexec_fn=lambda: os.sched_setaffinity(0, {used.server}),
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"rows {what}: no end within {MARGIN_SECONDS:.0f} s") from None
    if done.returncode:
        raise BenchError(done.stderr.strip() or f"rows {what} failed")
    found: dict[str, float] = json.loads(done.stdout)
    return found
