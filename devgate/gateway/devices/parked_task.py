"""The task that owns a connection, with as little memory as possible.

It has two forms that do the same. `as_function` is an async function, and relies only on trio's
documented interface. `as_object` is that function written as an object, because there are tens of
thousands of these tasks and they only wait: the function's frames took one of the 2.5 KB that a
device cost. `choose` tries the object with the installed trio, and uses the function if that trio
does not run the object.

PEP 492 defines a coroutine. The object also relies on the following details of trio, which trio
does not promise (files are below `trio/_core`, as of 0.35):

1. `coroutine_or_error` (`../_util.py`) takes every `collections.abc.Coroutine` for a task.
2. `Runner.spawn_impl` (`_run.py`) does not wrap one whose `cr_frame` is not None.
3. `unrolled_run` (`_run.py`) calls `send(None)` first and `send(outcome)` from then on, where the
   Outcome is what the task was rescheduled with, to be unwrapped by the callee. A StopIteration
   ends the task, and every other exception is what it ends with. It calls `throw` only after a
   message that it does not know.
4. What `wait_task_rescheduled` (`_traps.py`) yields first is the whole of its message, so that its
   coroutine can be closed then. `unrolled_run` takes the function that aborts the wait from that
   message, and calls it once, when the task is cancelled. It need not be a function: here it is
   the object.
5. `cr_frame` is one and the same for all of these objects, the frame of a generator that never
   ran. It is read by `spawn_impl` (see 2), by `Task.iter_await_frames`, which goes on to
   `cr_await`, and by `ki_protection_enabled` (`_ki.py`). That looks for it among the running
   frames and does not find it there, so that a KeyboardInterrupt counts as one of trio's own code
   and waits for the main task. The gateway receives SIGINT itself, so that there is none.
6. `cr_running`, `cr_suspended` and `cr_code`, which it has not got, are asked for by no more than
   `add_parking_lot_breaker` (`_parking_lot.py`) and `reattach_detached_coroutine_object`
   (`_traps.py`), which nobody calls for such a task.
7. A task's `context` and its private `_child_nurseries` may be replaced once it has begun
   (`_lightened`). `Nursery.__init__` appends to the list, `Nursery` takes its own
   off again, and `child_nurseries` and `Runner.task_exited` read it. `send` is called in the
   `context` (`unrolled_run`), which a task that it spawned in a system nursery would inherit.
   The check looks that no nursery of another task is in the list.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Generator
from types import FrameType, GeneratorType, TracebackType
from typing import Any, ClassVar, NoReturn, cast

import trio

PROBE_SECONDS = 5.0  # in which trio must have run what `choose` starts

_NO_NURSERIES: list[trio.Nursery] = []  # those that a parked task has opened

log = logging.getLogger("devgate")


def _parked() -> Generator[None, None, None]:
    yield  # where all parked tasks seem to be


_WHERE = cast("GeneratorType[None, None, None]", _parked())


class Parked(Coroutine[object, Any, None]):
    """A task that begins, parks until it is woken, and finishes, whatever happened."""

    __slots__ = ("_task",)

    # Trio, and programs that print its tasks, recognise a coroutine by these: its frame, and what
    # it awaits.
    cr_frame: ClassVar[FrameType | None] = _WHERE.gi_frame
    cr_await: ClassVar[None] = None

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None  # while it is parked

    @abstractmethod
    def begin(self) -> bool:
        """Called in the new task. False: it has ended already, and finish() is not called."""

    @abstractmethod
    def finish(self) -> None:
        """Called in the task when it is woken or cancelled."""

    def wake(self) -> None:
        """Let it finish. Only after begin() has returned; the second time does nothing."""
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def send(self, outcome: Any) -> object:
        """For trio: the first time with None, and then with what woke it."""
        if outcome is None:
            if not self.begin():
                raise StopIteration
            self._task = _lightened(trio.lowlevel.current_task())
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


def _lightened(task: trio.lowlevel.Task) -> trio.lowlevel.Task:
    """A task that opens no nursery and changes no context variable shares what would hold them."""
    nursery = task.parent_nursery
    if nursery is not None:
        # Of the same run, whose tasks are never entered at once.
        task.context = nursery.parent_task.context
    task._child_nurseries = _NO_NURSERIES
    return task


MakeTask = Callable[[Parked], Coroutine[Any, Any, None]]


def as_object(parked: Parked) -> Parked:
    """What a nursery starts: it is a coroutine itself."""
    return parked


async def as_function(parked: Parked) -> None:
    """The same by trio's documented interface."""
    if not parked.begin():
        return
    try:
        parked._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(parked)
    finally:
        parked.finish()


def choose() -> MakeTask:
    """`as_object` if this trio runs it, otherwise `as_function`; the log says which.

    The check has a run and a thread of its own; if it hangs, that thread is abandoned.
    """
    errors: list[Exception] = []

    def check() -> None:
        try:
            trio.run(probe, as_object)
        except Exception as err:
            errors.append(err)

    thread = threading.Thread(target=check, name="parked tasks", daemon=True)
    thread.start()
    thread.join(2 * PROBE_SECONDS)
    if thread.is_alive():
        errors.append(TimeoutError("a task does not end"))
    if not errors:
        log.info("tasks of devices are objects trio=%s", trio.__version__)
        return as_object
    log.warning(
        "tasks of devices are functions and take more memory: trio does not run objects trio=%s",
        trio.__version__,
        exc_info=errors[0],
    )
    return as_function


class _Probe(Parked):
    """Counts what happens to it."""

    __slots__ = ("begun", "finished", "parks")

    def __init__(self, *, parks: bool = True) -> None:
        super().__init__()
        self.parks = parks
        self.begun = self.finished = 0

    def begin(self) -> bool:
        self.begun += 1
        return self.parks

    def finish(self) -> None:
        self.finished += 1


async def probe(make: MakeTask) -> None:
    """Spawn, wake and cancel tasks of this form. Raises what goes wrong, and RuntimeError."""
    woken, cancelled, over = _Probe(), _Probe(), _Probe(parks=False)
    with trio.fail_after(PROBE_SECONDS):
        async with trio.open_nursery() as nursery:
            for one in (woken, cancelled, over):
                nursery.start_soon(make, one)
            while len(nursery.child_tasks) > 2 or not (woken.begun and cancelled.begun):
                await trio.lowlevel.checkpoint()
            for task in nursery.child_tasks:
                if not list(task.iter_await_frames()):
                    raise RuntimeError("a task has no frame")
                if task.child_nurseries:
                    raise RuntimeError("a task has nurseries of others")
            woken.wake()
            while not woken.finished:
                await trio.lowlevel.checkpoint()
            _must_be(cancelled, begun=1, finished=0)
            nursery.cancel_scope.cancel()
    _must_be(woken, begun=1, finished=1)
    _must_be(cancelled, begun=1, finished=1)
    _must_be(over, begun=1, finished=0)
    if not nursery.cancel_scope.cancelled_caught:
        raise RuntimeError("a task swallowed its cancellation")


def _must_be(one: _Probe, *, begun: int, finished: int) -> None:
    if (one.begun, one.finished) != (begun, finished):
        raise RuntimeError(
            f"a task has begun {one.begun} times, not {begun}, and finished {one.finished} times, "
            f"not {finished}"
        )
