"""Each fault that scripts/faults can plant does what it says. One that plants nothing would be
found by nobody: a storm with it ends well, as one without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import isfunction

import pytest
import trio
from faulting.planted import PLANTS
from trio.testing import MockClock

from devgate.gateway.commands.claims import Claims
from devgate.gateway.commands.sending import Sender
from devgate.store.batches import Entry, PendingBatch
from devgate.store.journal import Journal
from devgate.store.opening import claim_database
from devgate.store.ownership import Fence
from devgate.store.refused import OneByOne
from tests.gateway.commands.claiming import Device
from tests.gateway.rig import Rig, ask
from tests.store.commands import event
from tests.store.plain import run
from tests.stores import with_tables


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Plants a fault, which is gone after the test."""
    for owner in (Claims, Fence, OneByOne, Sender):
        for name, value in list(vars(owner).items()):
            if isfunction(value):
                monkeypatch.setattr(owner, name, value)
    return lambda name: PLANTS[name]()


def test_without_its_epoch_a_gateway_commits_after_a_takeover(
    plant: Callable[[str], None], database_url: str
) -> None:
    """On SQLite and PostgreSQL, whether the connection is new or not."""
    plant("no-epoch")
    database = claim_database(with_tables(database_url))
    journal = Journal(database)
    run(database_url, "UPDATE owner SET epoch = epoch + 1, taken_at = 0")
    for number in (1, 2):
        journal.commit([event()])
        assert journal.last == number
    journal.close()
    database.close()


async def test_a_row_that_is_refused_is_given_up(plant: Callable[[str], None]) -> None:
    plant("rows-given-up")

    async def commit(rows: Sequence[str]) -> None:
        raise ValueError("refused")

    one_by_one = OneByOne(commit, lambda err: None, lambda row: False)
    entry = Entry(1, ["an outcome"])
    assert (
        await one_by_one.write(PendingBatch(posted={"key": entry}), [entry], ValueError()) is None
    )
    assert one_by_one.lost == 1


async def test_a_start_goes_out_before_it_is_on_disk(
    plant: Callable[[str], None], rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    plant("early-send")
    link = rig.online()
    rig.writer.slow = 2.0
    ask(rig, nursery)
    await trio.sleep(3)
    assert link.times == [0.0], "once, and 2 s before its commit has ended"


def test_a_result_settles_the_oldest(plant: Callable[[str], None]) -> None:
    plant("oldest-first")
    device = Device()
    device.unknown(device.sends("a", 0), 10)
    device.sends("b", 20)
    assert device.says(21) == "a=200"
