"""A process that does not run for a while."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.device import WAIT_SECONDS


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """None of its threads runs within the block. It goes on afterwards."""
    os.kill(pid, signal.SIGSTOP)
    try:
        ends = time.monotonic() + WAIT_SECONDS
        while not _is_stopped(pid):  # the signal is delivered some time after it was sent
            assert time.monotonic() < ends, "the process does not stop"
            time.sleep(0.01)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    """Whether all its threads are. `stat` has the state behind the name in brackets."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(file.read_text().rpartition(")")[2].split()[0] == "T" for file in threads)
