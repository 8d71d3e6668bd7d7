"""How starts went reaches the database without a page more in their commits."""

from __future__ import annotations

from collections.abc import Callable

import trio
import trio.testing
from sqlalchemy import text
from trio.testing import MockClock

from devgate.gateway.commands.start_rates import DEVICES_A_COMMIT, FLUSH_SECONDS, StartRates
from devgate.model import Imei
from devgate.store import devices
from devgate.store.device import Device
from tests.gateway.commands.test_running import outcome
from tests.gateway.rig import Rig, X, ask


def stored(rig: Rig) -> tuple[float, float, bool]:
    with rig.database.read() as conn:
        row = conn.execute(
            text("SELECT asked, failed, started_hour FROM device_starts WHERE imei = :imei"),
            {"imei": X},
        ).one()
    return round(row[0], 3), round(row[1], 3), row[2] > 0


async def test_outcomes_are_written_together_and_a_late_one_later(
    rig: Rig, autojump_clock: MockClock
) -> None:
    with rig.database.write() as conn:
        devices.insert_all(conn, [Device(X, 16)])
    async with rig.lives() as nursery:
        rig.online()
        for status in ("200", "201"):
            asked = ask(rig, nursery)
            await trio.sleep(1)
            rig.says(status=status)
            await trio.sleep(1)
            assert asked.status == status
        assert stored(rig) == (0, 0, False)
        await trio.sleep(FLUSH_SECONDS)
        assert stored(rig) == (1.98, 1, True)
        asked = ask(rig, nursery)
        await trio.sleep(FLUSH_SECONDS + 60)
        assert (asked.status, stored(rig)) == ("408", (2.94, 1.98, True))
        rig.says()
        stop = ask(rig, nursery, "stop")
        await trio.sleep(1)
        rig.says("ST")
        await trio.sleep(FLUSH_SECONDS)
        assert (stop.status, stored(rig)) == ("200", (2.94, 0.98, True))


async def test_what_waits_is_written_at_the_end(rig: Rig, autojump_clock: MockClock) -> None:
    with rig.database.write() as conn:
        devices.insert_all(conn, [Device(X, 16)])
    async with rig.lives() as nursery:
        rig.online()
        ask(rig, nursery)
        await trio.sleep(1)
        rig.says()
        await trio.sleep(1)
        assert stored(rig) == (0, 0, False)
    assert stored(rig) == (1, 0, True)


async def noted(rig: Rig) -> tuple[StartRates, Callable[[], int]]:
    """A start of each of more devices than go into one transaction; and how many are on disk."""
    many = [Imei(f"{number:015}") for number in range(1000, 1000 + DEVICES_A_COMMIT + 10)]
    with rig.database.write() as conn:
        devices.insert_all(conn, [Device(imei, int(imei)) for imei in many])
    rates = StartRates(rig.records)
    for imei in many:
        rates.note(outcome("200", imei=imei))

    def on_disk() -> int:
        with rig.database.read() as conn:
            return conn.scalar(text("SELECT count(*) FROM device_starts WHERE asked = 1")) or 0

    return rates, on_disk


async def test_a_second_flush_ends_after_the_first(rig: Rig) -> None:
    """After it the process ends: what the first one had in hand would be lost."""
    rates, on_disk = await noted(rig)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rates.flush)
        await trio.testing.wait_all_tasks_blocked()
        assert on_disk() == DEVICES_A_COMMIT
        await rates.flush()
        assert on_disk() == DEVICES_A_COMMIT + 10


async def test_a_flush_that_is_cancelled_loses_nothing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rates, on_disk = await noted(rig)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rates.run)
        await trio.sleep(FLUSH_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        assert on_disk() == DEVICES_A_COMMIT
        nursery.cancel_scope.cancel()
        ended = trio.current_time()
    assert on_disk() == DEVICES_A_COMMIT + 10
    assert trio.current_time() == ended, "no pauses for starts, of which there are none"
