"""Old events and commands leave the database, in small steps that others come between."""

from __future__ import annotations

import trio
from sqlalchemy import select
from trio.testing import MockClock

from devgate.config.settings import CommandSettings, Settings
from devgate.config.store import StoreSettings
from devgate.errors import StoreError
from devgate.gateway.clock import Clock
from devgate.gateway.trimming import ROUND_SECONDS, STEP_SECONDS, Trimmed, Trimming
from devgate.model import Imei
from devgate.store import history
from devgate.store.schema import open_results
from tests.gateway.clocks import EPOCH
from tests.gateway.rig import Rig, X
from tests.store.commands import command_row, event

DAY = 86400.0
SETTINGS = Settings(
    store=StoreSettings(keep_events=10 * DAY, keep_commands=100 * DAY),
    command=CommandSettings(keep_keys=50 * DAY),
)


def trimming(rig: Rig) -> Trimming:
    return Trimming(rig.records, SETTINGS)


async def test_each_goes_in_its_time(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    ages = {"ancient": 101, "old": 60, "new": 1}
    for id, days in ages.items():
        at = EPOCH - days * DAY
        rig.writer.post(
            [command_row(id, accepted_at=at, ended_at=at, key=id, spent=id), event(at=at)]
        )
    rig.writer.post([event()])
    await rig.records.flushed()
    await trimming(rig).once()
    with rig.database.read() as conn:
        assert [row["id"] for row in history.page(conn, limit=9)] == ["old", "new"]
        assert history.by_key(conn, "old") is None, "its key is free"
        assert history.by_key(conn, "new") is not None
        assert [row[-1] for row in history.events_after(conn, 0, 9)] == [3, 4]


async def test_in_small_steps(rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    old = EPOCH - 11 * DAY
    rig.writer.post([event(at=old) for _ in range(2 * history.TRIM_ROWS + 1)])
    await rig.records.flushed()
    await trimming(rig).once()
    assert trio.current_time() == 2 * STEP_SECONDS
    with rig.database.read() as conn:
        assert len(history.events_after(conn, 0, 9)) == 1, "the newest stays"


async def test_rows_that_say_nothing_of_results_any_more(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    for number in range(history.TRIM_ROWS + 1):
        rig.records.open_results(Imei(f"{number:015}"), "QD", "")
    rig.records.open_results(X, "QD", '{"group": []}')
    await rig.records.flushed()
    await trimming(rig).once()
    assert trio.current_time() == STEP_SECONDS
    with rig.database.read() as conn:
        assert conn.execute(select(open_results.c.id)).scalars().all() == [f"{X}:QD"]


async def test_again_and_again_though_the_database_was_away(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    times: list[float] = []

    class Away(Trimming):
        async def once(self, max_rows: int | None = None) -> Trimmed:
            times.append(trio.current_time())
            if len(times) < 3:
                raise StoreError("the database is locked")
            return Trimmed(0, 0, 0)

    nursery.start_soon(Away(rig.records, SETTINGS).run)
    await trio.sleep(2.5 * ROUND_SECONDS)
    assert times == [0, 1, 3, 3 + ROUND_SECONDS, 3 + 2 * ROUND_SECONDS]


async def test_f4_events_behind_a_younger_one_stay(
    rig: Rig, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """F4: a clock that had gone back has written them; they are younger than they say."""
    for days in (12, 1, 400, 0):
        rig.writer.post([event(at=EPOCH - days * DAY)])
    await rig.records.flushed()
    await trimming(rig).once()
    with rig.database.read() as conn:
        assert [row[-1] for row in history.events_after(conn, 0, 9)] == [2, 3, 4]


async def test_f4_a_doubtful_run_leaves_the_time_that_is_trusted(rig: Rig) -> None:
    """F4: a start with a wrong clock must not be what the next one is measured by, however much
    that run has written."""

    def newest() -> float | None:
        with rig.database.read() as conn:
            return history.newest_trusted_at(conn)

    wall = EPOCH
    async with rig.lives():
        assert newest() is None
        rig.writer.post([event(at=EPOCH)])
        await rig.records.flushed()
        assert newest() == EPOCH
        clock = Clock(lambda: wall, lambda: 5.0)
        clock.begin(EPOCH)
        some = Trimming(rig.records, Settings(), clock=clock)
        wall += 91 * DAY
        some.report_clock()
        await some.store_trusted_at()
        rig.writer.post([event(at=EPOCH + 91 * DAY)])
        await rig.records.flushed()
        assert newest() == EPOCH
        clock.confirm()
        some.report_clock()
        await some.store_trusted_at()
        assert newest() == EPOCH + 91 * DAY
