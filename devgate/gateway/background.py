"""Work beside the service: what fails is reported and tried again, and ends nothing else."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from devgate.errors import DevgateError

RETRY_SECONDS = 1.0  # after the first failure, doubled up to MAX_RETRY_SECONDS
MAX_RETRY_SECONDS = 60.0
MAX_SENTENCE = 200  # characters

log = logging.getLogger("devgate.background")


class Background:
    """The tasks by their names, and whether each of them works.

    A task may raise whatever a database, a disk or a lack of memory or threads brings: it is
    logged, with its traceback where it is not a DevgateError, once until it changes or passes.
    """

    def __init__(self) -> None:
        self.states: dict[str, str] = {}  # "ok", or a sentence

    async def until_done(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        longest_pause: float = MAX_RETRY_SECONDS,
    ) -> None:
        """Do it, and as long as it fails again, each time after a longer pause."""
        pause = min(RETRY_SECONDS, longest_pause)
        while not await self.attempt(name, work):
            await trio.sleep(pause)
            pause = min(2 * pause, longest_pause)

    async def attempt(self, name: str, work: Callable[[], Awaitable[object]]) -> bool:
        """Do it once. True if it worked."""
        try:
            await work()
        except Exception as err:
            self._failed(name, err)
            return False
        if self.states.get(name, "ok") != "ok":
            log.warning("background task works again task=%s", name)
        self.states[name] = "ok"
        return True

    def _failed(self, name: str, err: Exception) -> None:
        sentence = in_a_line(err)
        if self.states.get(name) != sentence:
            if isinstance(err, DevgateError):
                log.warning("background task fails task=%s error=%s", name, err)
            else:
                log.exception("background task crashed task=%s error=%s", name, sentence)
        self.states[name] = sentence


def in_a_line(err: Exception) -> str:
    """What went wrong. The first line: a database's error goes on with the statement."""
    first = (str(err).splitlines() or [""])[0].strip()[:MAX_SENTENCE]
    if isinstance(err, DevgateError):
        return first
    return f"{type(err).__name__}: {first}" if first else type(err).__name__
