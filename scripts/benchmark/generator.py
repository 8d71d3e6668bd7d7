"""Run the generator and read what it measured."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import BenchError

# A word for the generator: an option, or the name of a phase.
Word = str


@dataclass(frozen=True, slots=True)
class Phase:
    """One measured phase. Times in seconds, of the server unless said otherwise."""

    name: str
    seconds: float
    cpu: float  # of all the server's threads
    own_cpu: float  # the generator's
    operations: int
    at: float  # CLOCK_MONOTONIC at the end: time.monotonic()
    more: dict[str, float] = field(default_factory=dict)

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's CPU for one operation."""
        return self.cpu / self.operations * 1e6


class Generator:
    """A running generator: phases come out one by one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def phase(self, name: str) -> Phase:
        """The next phase, which must be `name`. BenchError if the generator gave up."""
        assert self._process.stdout is not None, "it was opened with a pipe"
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"the generator gave up before {name}: {self._complaint()}")
        phase = _phase(line)
        if phase.name != name:
            raise BenchError(f"the generator reported {phase.name} where {name} was expected")
        return phase

    def go_on(self) -> None:
        """End its `wait`."""
        assert self._process.stdin is not None, "it was opened with a pipe"
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def _complaint(self) -> str:
        assert self._process.stderr is not None, "it was opened with a pipe"
        self._process.kill()
        return self._process.stderr.read().strip() or "no word why"


@contextmanager
def generate(path: Path, core: int, *words: Word) -> Iterator[Generator]:
    """A generator that obeys `words`, pinned to `core`; killed if it is left early."""
    with subprocess.Popen(
        [path, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            os.sched_setaffinity(process.pid, {core})
            yield Generator(process)
        except BaseException:
            process.kill()
            raise


def options(**values: float | str | Path) -> list[Word]:
    """Options as the generator reads them."""
    return [f"{key}={value}" for key, value in values.items()]


def _phase(line: str) -> Phase:
    fields: dict[str, float | str] = json.loads(line)
    name = str(fields.pop("phase"))
    numbers = {key: float(value) for key, value in fields.items()}
    return Phase(
        name,
        seconds=numbers.pop("seconds"),
        cpu=numbers.pop("cpu"),
        own_cpu=numbers.pop("own_cpu"),
        operations=int(numbers.pop("operations")),
        at=numbers.pop("at"),
        more=numbers,
    )
