"""What a demo says, and when."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from devgate.demo import PATIENCE, tell
from tests.e2e.harness import gateway


def test_what_a_demo_says_is_the_last_thing_on_the_screen() -> None:
    with gateway(arguments=["--demo", "50"]) as demo:
        login = demo.logged("in a browser")
        before, _, after = demo.log().partition(login)
        assert before.count('"device online"') == 50
        assert after.strip() == ""


@pytest.mark.parametrize(
    ("complete_at", "said_at"), [(0.5, [0.5]), (PATIENCE + 9, [PATIENCE, PATIENCE + 9])]
)
async def test_a_demo_of_many_does_not_keep_one_waiting(
    autojump_clock: MockClock, complete_at: float, said_at: list[float]
) -> None:
    complete, said = trio.Event(), list[float]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, complete, lambda: said.append(trio.current_time()))
        await trio.sleep(complete_at)
        complete.set()
    assert said == said_at
