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
AFTER_DRAIN_SECONDS = 15.0  # for a stop, without the wait for results of commands in flight
FORCED_SECONDS = 1.0  # from the second signal; less than 2 with the next two
BEFORE_EXIT_SECONDS = 0.5  # for `before_exit`
LOG_SECONDS = 0.3  # for the line that says so
STEP_SECONDS = 1.0  # time is counted in steps: a process frozen by SIGSTOP loses only one

log = logging.getLogger("devgate")


class TimeLimit(NamedTuple):
    """The process ends after `seconds`; `reason` is for the log."""

    seconds: float
    reason: str


class Guard:
    """Ends the process with EXIT_CODE once a time limit has passed.

    The thread is started with the gateway, because later there may be no memory for it. It needs
    neither the loop nor any other thread. The first limit arms it; a shorter one replaces it.
    """

    def __init__(self, before_exit: Callable[[], None] = lambda: None) -> None:
        """`before_exit` is called before the process ends, in a thread of its own, for at most
        BEFORE_EXIT_SECONDS: it may write to disk what must not be lost."""
        self._before_exit = before_exit
        self._limits: SimpleQueue[TimeLimit] = SimpleQueue()  # `put` may interrupt itself
        self._signals = 0
        self._ending = threading.Event()
        self._finished = threading.Event()
        threading.Thread(target=self._run, name="guard", daemon=True).start()
        threading.Thread(target=self._run_before_exit, name="before exit", daemon=True).start()

    def arm(self, seconds: float, reason: str) -> None:
        """End the process after `seconds`. From any thread, and from a signal handler."""
        self._limits.put(TimeLimit(seconds, reason))

    def watch_signals(self, *numbers: signal.Signals) -> None:
        """Count these signals in addition to their handlers: the second one ends the process
        within 2 s, even if the loop hangs."""
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
        limit: TimeLimit | None = None
        remaining = 0.0
        while True:
            began, new = monotonic(), None
            with suppress(Empty):
                new = self._limits.get(timeout=min(remaining, STEP_SECONDS) if limit else None)
            remaining -= min(monotonic() - began, STEP_SECONDS)
            if new is not None and (limit is None or new.seconds < remaining):
                limit, remaining = new, new.seconds
            if limit and remaining <= 0:
                self._end(limit)

    def _end(self, limit: TimeLimit) -> NoReturn:
        try:
            log.critical(
                "not ended in time, ending now reason=%s seconds=%s", limit.reason, limit.seconds
            )
            self._ending.set()
            self._finished.wait(BEFORE_EXIT_SECONDS)
            logs.flush(LOG_SECONDS)
        finally:
            os._exit(EXIT_CODE)

    def _run_before_exit(self) -> None:
        self._ending.wait()
        try:
            self._before_exit()
        except Exception:
            log.exception("writing before the exit failed")
        finally:
            self._finished.set()
