"""The thread that commits. It is started once: a process at its thread limit can still write."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

import outcome
import trio

from devgate.errors import SetupError

T = TypeVar("T")


class CommitThread(Generic[T]):
    """Runs functions one after the other. Only one task at a time may wait for it."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], T], trio.lowlevel.Task] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises SetupError if no thread can be started."""
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="devgate-commits", daemon=True)
        try:
            thread.start()
        except RuntimeError as err:
            raise SetupError(
                f"no thread can be started for the database ({err}); raise the limit of "
                "processes (TasksMax, pids.max, ulimit -u) or of memory"
            ) from None
        self._thread = thread

    def run(self, function: Callable[[], T]) -> Awaitable[T]:
        """What the function returns or raises, to be awaited at once. It cannot be cancelled
        while it runs."""
        if self._thread is None:
            self.start()
        self._token = trio.lowlevel.current_trio_token()
        self._calls.put((function, trio.lowlevel.current_task()))
        # Returned, and not awaited here: one step less for each commit.
        return trio.lowlevel.wait_task_rescheduled(_cannot_be_cancelled)  # noqa: ASYNC105

    def stop(self) -> None:
        """The thread ends once it has nothing to do; another one may be started."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread = None

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            function, task = call
            result = outcome.capture(function)
            self._token.run_sync_soon(trio.lowlevel.reschedule, task, result)
            del call, function, task, result  # so that it keeps no object alive while it waits


def _cannot_be_cancelled(raise_cancel: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
