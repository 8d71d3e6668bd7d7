"""What is over is freed at once. What waits for the garbage collector stops the loop one day:
100,000 objects of starts that were over, for a sixth of a second.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devgate.gateway.command import Command
from tests.gateway.rig import Rig, order

COMMANDS = 50


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("key", [False, True], ids=["unkeyed", "keyed"])
async def test_a_command_leaves_nothing_to_the_garbage_collector(
    rig: Rig, nursery: trio.Nursery, uncollected: None, key: bool
) -> None:
    rig.knows_keys = True
    await rig.keys.prepare()
    await rig.keys.load()
    rig.online()
    found: list[Command | Exception] = []

    async def starts(number: int) -> None:
        ordered = order(key=f"order {number}" if key else None)
        rig.orders.submit(ordered, True, found.append)
        await wait_all_tasks_blocked()
        rig.says()
        await wait_all_tasks_blocked()

    await starts(0)
    gc.collect()
    for number in range(1, COMMANDS + 1):
        await starts(number)
    unreachable = gc.collect()
    statuses = [one.status for one in found if isinstance(one, Command)]
    assert statuses == ["200"] * (COMMANDS + 1)
    assert unreachable < COMMANDS, "not one object for a command"
