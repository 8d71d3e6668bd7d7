"""What a soak samples, and whether it grows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The first part of a soak is not judged: caches fill, the allocator finds its size.
WARM_UP = 0.25


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that must not grow by more than `share` of itself and `slack` on top."""

    key: str
    title: str
    unit: str
    share: float
    slack: float


MEASURES = (
    Measure("memory", "resident memory", "MB", 0.03, 2.0),
    # Storms and churn make this one swing; what leaks shows in the medians.
    Measure("descriptors", "open descriptors", "", 0.02, 50),
    Measure("threads", "threads", "", 0.0, 2),
    Measure("tasks", "trio tasks", "", 0.02, 50),
    Measure("lag", "event lag, median", "ms", 0.5, 20),
    Measure("answer", "answer to `status`", "ms", 0.5, 20),
)
# Shown beside them and not judged.
SHOWN = (
    Measure("registered", "devices registered", "", 0, 0),
    Measure("cpu", "CPU of the gateway", "%", 0, 0),
    # Where this is high the machine was busy with something else, and lag is not the gateway's.
    Measure("starved", "waited for its core", "%", 0, 0),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """The values at one time; a value that could not be had is missing."""

    seconds: float
    values: dict[str, float]


def growth(samples: Sequence[Sample], key: str) -> tuple[float, float] | None:
    """Medians of the first and the last third of what is judged; None without values."""
    judged = [s.values[key] for s in samples[int(len(samples) * WARM_UP) :] if key in s.values]
    third = len(judged) // 3
    if third == 0:
        return None
    return statistics.median(judged[:third]), statistics.median(judged[-third:])


def verdicts(samples: Sequence[Sample]) -> tuple[list[str], bool]:
    """A line for each measure, and whether none has grown."""
    lines, flat = [], True
    for measure in MEASURES:
        found = growth(samples, measure.key)
        if found is None:
            continue
        early, late = found
        grows = late > early * (1 + measure.share) + measure.slack
        flat = flat and not grows
        word = "GROWS" if grows else "flat"
        lines.append(f"{measure.title:22} {early:10,.1f} -> {late:10,.1f} {measure.unit:3} {word}")
    return lines, flat


def process(pid: int) -> dict[str, float]:
    """Memory, descriptors and threads of a process, as the kernel sees them."""
    root, values = Path("/proc", str(pid)), {}
    for line in (root / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            values["memory"] = int(value.split()[0]) / 1024
        elif name == "Threads":
            values["threads"] = float(value)
    values["descriptors"] = float(len(list((root / "fd").iterdir())))
    return values


def time_of(pid: int) -> tuple[float, float]:
    """Seconds on a processor, of all threads that there ever were; and seconds ready and waiting
    for one, of those that there are now."""
    tasks = Path("/proc", str(pid), "task").iterdir()
    waited = sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) * 1e-9
    # The process's clock, as clock_getcpuclockid(3) makes its number; Python has no name for it.
    return time.clock_gettime(~pid << 3 | 2), waited
