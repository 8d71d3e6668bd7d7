"""Days are those of the zone where a machine stands, and each start is in one of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from devgate.model import Imei
from devgate.store import devices, zones
from tests.gateway.reports.counted import DAY, TODAY, World, at, counts
from tests.store.commands import command_row
from tests.store.plain import A, B, C


async def test_a_day_has_25_hours_where_clocks_go_back(world: World) -> None:
    world.zone = "Europe/Berlin"
    world.presence(True, at("2026-10-24 12:00", world.zone))
    world.now = at("2026-10-26 12:00", world.zone)
    await world.turn()
    assert world.report("day", imei=A)["2026-10-25"].span == 25 * 3600


async def test_a_day_that_a_clock_ahead_has_counted_is_counted_when_it_is_over(
    world: World,
) -> None:
    world.presence(True, at("2026-11-20 12:00"))
    world.now = at("2026-12-04 12:00")  # set ten days ahead
    await world.turn()
    assert world.report("day", imei=A)["2026-11-25"].online == DAY
    world.now = at(f"{TODAY} 12:00")
    await world.turn()
    world.presence(False, at("2026-11-25 06:00"))
    world.now = at("2026-11-26 12:00")
    await world.turn()
    assert world.report("day", imei=A)["2026-11-25"].online == DAY / 4


async def test_a_zone_of_its_own_cuts_the_days_of_a_site_anew(world: World) -> None:
    world.start(at("2026-11-23 03:00"), C)  # the evening before in Berlin
    world.start(at("2026-11-23 03:00"), A)
    world.start(at("2026-11-24 05:00"), C)
    await world.turn()
    assert {day: one.starts for day, one in world.report(site="west").items()} == {
        "2026-11-23": 1, TODAY: 1,
    }  # fmt: skip
    with world.database.write() as conn:
        assert zones.set_zone(conn, "west", "Europe/Berlin", 20_800)
        assert not zones.set_zone(conn, "west", "Europe/Berlin", 20_800)
    await world.turn()
    starts = {day: one.starts for day, one in world.report(site="west").items()}
    assert starts == {"2026-11-22": 1, "2026-11-23": 1, TODAY: 0}
    assert world.report(site="east")["2026-11-23"].starts == 1
    world.zone = "UTC"  # the others follow the configuration
    await world.turn()
    assert {day for day, one in world.report(site="east").items() if one.starts} == {"2026-11-22"}


def answered(world: World, id: str, when: float) -> None:
    """A late answer to a start that was taken at that time."""
    ended = {"accepted_at": when, "ended_at": when + 1, "imei": C}
    row = command_row(id, **ended, status="200", late=True, late_at=when + 40)
    world.journal.commit([row, world.event("late", when + 40, C, id)])


async def test_a_late_answer_of_a_machine_that_was_removed_corrects_the_day_of_its_site(
    world: World,
) -> None:
    """By the zone of no site the start was of another day, and counted on both."""
    with world.database.write() as conn:
        zones.set_zone(conn, "west", "Europe/Berlin", 20_800)
    when = at("2026-11-23 03:00")  # the evening before in Berlin
    late = world.start(when, C, status="408")
    await world.turn()
    with world.database.write() as conn:
        devices.remove(conn, [Imei(C)])
    answered(world, late, when)
    await world.turn()
    found = world.report(site="west")
    assert {day: counts(one) for day, one in found.items()} == {"2026-11-22": (1, 1, 0, 0, 0, 0)}
    assert world.report().keys() == found.keys(), "nothing is of no site"
    world.start(at("2026-11-23 20:00"), C)  # counted after the machine was removed
    await world.turn()
    assert counts(world.report(site="west")["2026-11-23"])[:2] == (1, 1)


async def test_a_late_answer_after_the_zone_was_changed_counts_once_by_the_new_one(
    world: World,
) -> None:
    when = at("2026-11-23 03:00")
    late = world.start(when, C, status="408")
    await world.turn()
    with world.database.write() as conn:
        zones.set_zone(conn, "west", "Europe/Berlin", 20_800)
    answered(world, late, when)
    await world.turn()
    found = world.report(site="west")
    assert {day: counts(one) for day, one in found.items() if one.starts} == {
        "2026-11-22": (1, 1, 0, 0, 0, 0)
    }


async def test_the_first_start_of_all_is_in_one_day_after_its_zone_was_changed(
    world: World,
) -> None:
    world.start(at(f"{TODAY} 18:05"), C)  # tomorrow there, where today ended before it
    world.now = at(f"{TODAY} 18:06")
    await world.turn()
    with world.database.write() as conn:
        zones.set_zone(conn, "west", "Pacific/Kiritimati", 20_800)
    await world.turn()
    found = world.report(site="west")
    assert {day: one.starts for day, one in found.items()} == {TODAY: 0, "2026-11-25": 1}


def expected(starts: Iterable[tuple[float, str]], zone: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for when, _ in starts:
        day = datetime.fromtimestamp(when, UTC).astimezone(ZoneInfo(zone)).date().isoformat()
        found[day] = found.get(day, 0) + 1
    return found


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Pacific/Kiritimati", "Asia/Kathmandu"])
async def test_in_any_zone_each_start_is_counted_once(world: World, zone: str) -> None:
    world.zone = zone
    some = [(at("2026-11-20 00:00") + n * 4567.0, (A, B, C)[n % 3]) for n in range(60)]
    for when, imei in some:
        world.start(when, imei)
    await world.turn()
    assert {day: one.starts for day, one in world.report().items() if one.starts} == expected(
        some, zone
    )
