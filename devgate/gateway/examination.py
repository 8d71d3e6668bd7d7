"""One examination of this gateway and its machine, for all who ask: it takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, time
from typing import NamedTuple

import trio

from devgate.errors import CallerError

FRESH_SECONDS = 30.0  # that an examination holds: it writes to the disk and opens connections


class Finding(NamedTuple):
    """One sentence of it. `severity` is error, warning or ok; `action` is empty for ok."""

    severity: str
    check: str
    message: str
    action: str


class Examined(NamedTuple):
    """What was found, the worst first, and when that was (wall clock)."""

    at: float
    findings: Sequence[Finding]


@dataclass(slots=True)
class Examination:
    """The last one. Those who ask at once wait for one."""

    examine: Callable[[], Sequence[Finding]] | None = None  # it blocks; None: not possible here
    _last: Examined | None = None
    _until: float = 0.0  # the last one is fresh
    _lock: trio.Lock = field(default_factory=trio.Lock)

    async def examined(self) -> Examined:
        """An examination that is at most FRESH_SECONDS old. Raises CallerError (503) where
        this gateway cannot be examined."""
        async with self._lock:
            if self.examine is None:
                raise CallerError("503", "this gateway is not examined: run `devgate doctor`")
            if self._last is None or monotonic() >= self._until:
                found = await trio.to_thread.run_sync(self.examine)
                self._last = Examined(time(), found)
                self._until = monotonic() + FRESH_SECONDS
            return self._last
