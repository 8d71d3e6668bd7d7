"""What a node does while it leads: begun, ended, and begun again. A mock clock; no database."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from devgate.errors import StoreError
from devgate.gateway.nodes.leading import RETRY_SECONDS, Leadership


async def test_the_database_is_away_when_a_node_begins_to_lead(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """It took over at that moment: the node ended, with a traceback. Found by scripts/jepsen."""
    leadership, begun, ended = Leadership(), [], []

    async def work() -> None:
        begun.append(trio.current_time())
        if len(begun) < 3:
            raise StoreError("the database server cannot be reached")
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    nursery.start_soon(leadership.run, work)
    await trio.sleep(5)
    assert not begun, "it does not lead"
    leadership.set(True)
    await trio.sleep(10 * RETRY_SECONDS)
    assert begun == [5.0, 5.0 + RETRY_SECONDS, 5.0 + 2 * RETRY_SECONDS]
    leadership.set(True)
    await wait_all_tasks_blocked()
    assert (len(begun), ended) == (3, [])
    leadership.set(False)
    await wait_all_tasks_blocked()
    assert len(ended) == 1
    leadership.set(True)
    await wait_all_tasks_blocked()
    assert len(begun) == 4


async def test_it_leads_no_longer_while_it_waits_to_begin_again(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    leadership, begun = Leadership(), []

    async def work() -> None:
        begun.append(trio.current_time())
        raise StoreError("the database server cannot be reached")

    nursery.start_soon(leadership.run, work)
    leadership.set(True)
    await wait_all_tasks_blocked()
    leadership.set(False)
    await trio.sleep(10 * RETRY_SECONDS)
    assert len(begun) == 1
