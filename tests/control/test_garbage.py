"""A connection that is over is freed at once: see tests/gateway/test_garbage.py."""

from __future__ import annotations

import gc

import trio.testing

from tests.control.harness import serving

CALLS = 30


async def test_a_connection_leaves_nothing_to_the_garbage_collector() -> None:
    async with serving() as served:

        async def call() -> None:
            caller = await served.call()
            await caller.send({"type": "echo"})
            await caller.line()
            await caller.stream.aclose()
            await trio.testing.wait_all_tasks_blocked()

        await call()
        gc.collect()
        gc.disable()
        try:
            for _ in range(CALLS):
                await call()
            left = gc.collect()
        finally:
            gc.enable()
    assert left < CALLS, "not one object for a connection"
