"""A gateway whose process is another one after an upgrade."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from tests.e2e.device import WAIT_SECONDS
from tests.e2e.harness import Gateway, Json

PR_SET_CHILD_SUBREAPER = 36


class Heir:
    """A process that another one has started and left behind: this one is its parent then."""

    def __init__(self, pid: int, former: Any) -> None:
        self.pid = pid
        self.former = former  # ends once its callers have their replies
        self._handle = os.pidfd_open(pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None and select.select([self._handle], [], [], 0)[0]:
            self.wait(WAIT_SECONDS)
        return self._code

    def wait(self, timeout: float = WAIT_SECONDS) -> int:
        if self._code is None:
            if not select.select([self._handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            self.former.wait(timeout)
            os.close(self._handle)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def adopt_orphans() -> None:
    """A new process is the child of the old one, which ends: it becomes one of this process."""
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def upgrade(gateway: Gateway, *arguments: str) -> Json:
    """`devgate upgrade`, and it has worked: the gateway's process is another one from now on."""
    adopt_orphans()
    done = gateway.cli("upgrade", "--json", *arguments)
    assert done.returncode == 0, (done.stdout, done.stderr, gateway.log())
    reply: Json = json.loads(done.stdout)
    gateway.process = Heir(reply["pid"], gateway.process)  # type: ignore[assignment]
    return reply


def refused(gateway: Gateway, *arguments: str) -> str:
    """`devgate upgrade`, and it was refused. Returns what it says: the process is the same."""
    assert gateway.process is not None
    done = gateway.cli("upgrade", *arguments)
    assert done.returncode != 0, done.stdout
    assert gateway.process.poll() is None, gateway.log()
    return done.stderr


def events(gateway: Gateway, **request: Any) -> Sequence[Json]:
    """All events of it, oldest first."""
    found: Sequence[Json] = gateway.ask({"type": "events", "limit": 1000, **request})["items"]
    return found
