"""A gateway of real parts over a real database, whose clock jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import trio
from trio.testing import MockClock

from devgate.store.engine import Database
from tests.gateway.clocks import follow_trios_clock
from tests.gateway.rig import Rig, emptied, opened


@pytest.fixture(scope="package")
def one_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with opened(tmp_path_factory.mktemp("store")) as database:
        yield database


@pytest.fixture
def store(one_store: Database) -> Database:
    """An empty SQLite database on disk."""
    emptied(one_store)
    return one_store


@pytest.fixture
def rig(store: Database, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Not alive yet: `async with rig.lives()`."""
    follow_trios_clock(monkeypatch)
    return Rig(store)


@pytest.fixture
async def nursery(rig: Rig) -> AsyncIterator[trio.Nursery]:
    """The rig alive, with a nursery for its callers."""
    async with rig.lives() as nursery:
        yield nursery


@pytest.fixture(scope="module")
def clocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        follow_trios_clock(patch)
        yield
