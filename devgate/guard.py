"""A thread that ends the process when the process cannot end itself."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from types import FrameType
from typing import NamedTuple, NoReturn

from devgate import logs

EXIT_CODE = 70
AFTER_DRAIN_SECONDS = 15.0  # for all of a stop but the results of commands in flight
FORCED_SECONDS = 1.0  # from the second signal; less than 2 with the next two
LAST_SECONDS = 0.5  # for `last_words`
LOG_SECONDS = 0.3  # for the line that says so
STEP_SECONDS = 1.0  # a process that was frozen (SIGSTOP) for an hour has lost one step

log = logging.getLogger("devgate")


class Limit(NamedTuple):
    """The process ends after `seconds`; `reason` is for the log."""

    seconds: float
    reason: str


class Guard:
    """Ends the process by itself, with EXIT_CODE, once a time limit has passed.

    The thread is started with the gateway: later there may be no memory for one. It needs
    neither the loop nor any other thread. The first limit arms it; a shorter one replaces it.
    """

    def __init__(self, last_words: Callable[[], None] = lambda: None) -> None:
        """`last_words` is called ahead of the end in a thread of its own, for LAST_SECONDS at
        most: what must not be lost may be written to disk there."""
        self._last_words = last_words
        self._limits: SimpleQueue[Limit] = SimpleQueue()  # `put` may interrupt itself
        self._signals = 0
        self._ending = threading.Event()
        self._said = threading.Event()
        threading.Thread(target=self._run, name="guard", daemon=True).start()
        threading.Thread(target=self._say, name="last words", daemon=True).start()

    def arm(self, seconds: float, reason: str) -> None:
        """End the process after `seconds`. From any thread, and from a signal handler."""
        self._limits.put(Limit(seconds, reason))

    def watch_signals(self, *numbers: signal.Signals) -> None:
        """Count these signals beside the handlers that are there: the second one ends the
        process within 2 s, even if the loop hangs."""
        for number in numbers:
            previous = signal.getsignal(number)
            assert callable(previous), "trio has set it"

            def handle(
                number: int,
                frame: FrameType | None,
                previous: Callable[[int, FrameType | None], object] = previous,
            ) -> None:
                self._signals += 1
                if self._signals > 1:
                    self.arm(FORCED_SECONDS, "a second signal")
                previous(number, frame)

            signal.signal(number, handle)

    def _run(self) -> None:
        limit: Limit | None = None
        left = 0.0
        while True:
            began, new = monotonic(), None
            with suppress(Empty):
                new = self._limits.get(timeout=min(left, STEP_SECONDS) if limit else None)
            left -= min(monotonic() - began, STEP_SECONDS)
            if new is not None and (limit is None or new.seconds < left):
                limit, left = new, new.seconds
            if limit and left <= 0:
                self._end(limit)

    def _end(self, limit: Limit) -> NoReturn:
        try:
            log.critical(
                "not ended in time, ending now reason=%s seconds=%s", limit.reason, limit.seconds
            )
            self._ending.set()
            self._said.wait(LAST_SECONDS)
            logs.flush(LOG_SECONDS)
        finally:
            os._exit(EXIT_CODE)

    def _say(self) -> None:
        self._ending.wait()
        try:
            self._last_words()
        except Exception:
            log.exception("last words failed")
        finally:
            self._said.set()
