"""From a callback to a task that waits for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from devgate.gateway.completion import Completion, result_of


async def test_tasks_wait_for_the_first_result(autojump_clock: MockClock) -> None:
    completion, woken = Completion[str](), list[tuple[float, str]]()

    async def wait() -> None:
        result = await completion.wait()
        woken.append((trio.current_time(), result))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await trio.sleep(3)
        completion.set("first")
        completion.set("second")
    assert woken == [(3, "first"), (3, "first")]
    assert await completion.wait() == "first"


async def test_a_result_that_is_there_at_once_is_returned_behind_a_checkpoint() -> None:
    def begin(on_done: Callable[[int], None]) -> None:
        on_done(7)

    with trio.testing.assert_checkpoints():
        assert await result_of(begin) == 7


async def test_what_begin_raises_is_raised() -> None:
    def begin(on_done: Callable[[int], None]) -> None:
        raise ValueError("not begun")

    with pytest.raises(ValueError, match="not begun"):
        await result_of(begin)


async def test_a_result_that_nobody_waits_for_any_longer_does_no_harm() -> None:
    begun: list[Callable[[int], None]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(result_of, begun.append)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    begun[0](7)
