"""What a figure was measured on, and which core does what."""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

# Descriptors that a process has open beside its devices: store, callers, listeners, libraries.
SPARE_DESCRIPTORS = 500
FSYNCS = 50


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core runs what, so that the generator never takes from what it measures."""

    server: int
    generator: int
    others: frozenset[int]  # a database's, for example

    def __str__(self) -> str:
        others = ",".join(map(str, sorted(self.others)))
        return f"server on core {self.server}, generator on {self.generator}, database on {others}"


def cores() -> Cores:
    """The first core for the server, the last for the generator, the rest for the others.

    With two cores the database shares the generator's; with one, all share it, and the times of
    the wall mean little.
    """
    usable = sorted(os.sched_getaffinity(0))
    rest = frozenset(usable[1:-1]) or frozenset(usable[-1:])
    return Cores(usable[0], usable[-1], rest)


def most_devices() -> int:
    """How many connections one process can hold here, after raising its own limit."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - SPARE_DESCRIPTORS


def describe(folder: Path, used: Cores) -> dict[str, str]:
    """The machine in words; `folder` is where the stores are."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": f"{_cpu_model()}, {os.cpu_count()} cores",
        "pinning": str(used),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_version()}, trio {version('trio')}",
        "disk": f"{_file_system(folder)}, write and fsync {_fsync_seconds(folder) * 1e6:.0f} us",
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`: the longest mount point above it."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, point, its_kind, *_rest = line.split()
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, its_kind
    return kind


def _fsync_seconds(folder: Path) -> float:
    """Median seconds of one small write with fsync: what a commit costs at the very least."""
    path, times = folder / "fsync", []
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        for _ in range(FSYNCS):
            before = time.perf_counter()
            os.write(fd, bytes(4096))
            os.fdatasync(fd)
            times.append(time.perf_counter() - before)
    finally:
        os.close(fd)
        path.unlink()
    return sorted(times)[FSYNCS // 2]
