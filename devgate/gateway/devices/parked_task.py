"""The task that owns a connection, as small as a task can be."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Coroutine, Generator
from types import FrameType, GeneratorType, TracebackType
from typing import Any, ClassVar, NoReturn, cast

import trio


def _parked() -> Generator[None, None, None]:
    yield  # the line in which all of them are


_WHERE = cast("GeneratorType[None, None, None]", _parked())


class Parked(Coroutine[object, Any, None]):
    """A coroutine that begins, parks until it is woken, and finishes, whatever happened.

    In other words this, for a nursery to start:

        async def parked(self):
            if self.begin():
                try:
                    await trio.lowlevel.wait_task_rescheduled(self)
                finally:
                    self.finish()

    written out as an object, because there are tens of thousands and they do nothing else: its
    frame, its wait's frames and what is made to look at them were a kilobyte of the 2.5 that a
    device cost. Nothing private is used: Python says what a coroutine is (PEP 492), and trio
    takes any; what is yielded to it is what its own function for that yields.
    """

    __slots__ = ("_task",)

    # What tells a coroutine from other awaitables, to trio and to those who print its tasks: the
    # frame in which it is, and what it awaits.
    cr_frame: ClassVar[FrameType | None] = _WHERE.gi_frame
    cr_await: ClassVar[None] = None

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None  # while it is parked

    @abstractmethod
    def begin(self) -> bool:
        """Called in the new task. False: it is over already, and finish() is not called."""

    @abstractmethod
    def finish(self) -> None:
        """Called in the task when it is woken or cancelled."""

    def wake(self) -> None:
        """Let it finish; not before begin() has returned, and the second time does nothing."""
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def send(self, outcome: Any) -> object:
        """For trio: the first time with None, and then with what woke it."""
        if outcome is None:
            if not self.begin():
                raise StopIteration
            self._task = trio.lowlevel.current_task()
            wait = trio.lowlevel.wait_task_rescheduled(self)  # noqa: ASYNC105 (of it, the yield alone)
            try:
                return wait.send(None)
            finally:
                wait.close()
        try:
            outcome.unwrap()  # raises what cancels it
        finally:
            self.finish()
        raise StopIteration

    def __call__(self, _: object) -> trio.lowlevel.Abort:
        """For trio: the parked task is cancelled. So wake() must not wake it any more."""
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def throw(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> NoReturn:
        """Finish, with this exception."""
        parked, self._task = self._task, None
        try:
            raise typ
        finally:
            if parked is not None:
                self.finish()

    def close(self) -> None:
        """Finish: the run was abandoned."""
        with contextlib.suppress(GeneratorExit):
            self.throw(GeneratorExit)

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("it is a task of its own: start it in a nursery")
