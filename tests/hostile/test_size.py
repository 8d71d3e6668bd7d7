"""A database that may not grow beyond a size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from trio.testing import MockClock

from devgate.config.settings import Settings
from devgate.errors import StoreError
from devgate.gateway import trimming
from devgate.gateway.trimming import Trimming
from devgate.model import Imei
from devgate.store import history
from devgate.store.engine import Database
from tests.gateway.clocks import follow_trios_clock
from tests.gateway.rig import Rig, X, opened

EVENTS = 4000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


@pytest.fixture
def rig(store: Database, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> Rig:
    follow_trios_clock(monkeypatch)
    monkeypatch.setattr(trimming, "MIN_EVENTS", 500)
    monkeypatch.setattr(trimming, "STEP_SECONDS", 0.0)
    return Rig(store)


def settings(size: int) -> Settings:
    made = Settings()
    return made.model_copy(update={"store": made.store.model_copy(update={"max_size": size})})


async def fill(rig: Rig) -> int:
    for number in range(EVENTS):
        rig.records.event(
            "device.online", X, address="1.2.3.4:5", connection=number, pad="x" * 200
        )
    await rig.records.flushed()
    return await rig.records.read(history.size)


async def test_the_oldest_events_go_first(rig: Rig) -> None:
    """H4: at max_size events are deleted, oldest first, down to a floor, and orders go on where
    that is enough."""
    async with rig.lives():
        before = await fill(rig)
        await Trimming(rig.records, settings(before * 2 // 3)).bound()
        left = await rig.records.read(history.events_after, 0, 10_000)
        size = await rig.records.read(history.size)
    assert 500 <= len(left) < EVENTS
    assert left[-1][5] == EVENTS, "the newest stay"
    assert not rig.records.full
    assert size <= before * 2 // 3


async def test_then_noise_is_left_out_and_orders_are_refused(rig: Rig) -> None:
    """H4: where events are not enough, nobody's noise is written, and orders are refused with a
    sentence that `status` says, too."""
    async with rig.lives():
        await fill(rig)
        trim = Trimming(rig.records, settings(1000))
        await trim.bound()
        assert rig.records.state.endswith("[store] max_size is 1000: raise it, or keep less")
        last = rig.events.last
        rig.records.event("result.unsolicited", X, status="200")
        rig.records.event("device.removed", X)
        await rig.records.flushed()
        assert rig.events.last == last + 1
        with pytest.raises(StoreError, match="nothing was sent"):
            await rig.order(imei=Imei(X), long=5)
        await Trimming(rig.records, settings(0)).bound()
        assert rig.records.state == "ok"
