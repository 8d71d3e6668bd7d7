"""What reports are made of: counted once, corrected by what comes late, resumed anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, update

from devgate.gateway.reports import usage
from devgate.model import Imei
from devgate.store import devices
from devgate.store import usage_work as states
from devgate.store.batch import Row
from devgate.store.history import Reading
from devgate.store.schema import command, presence
from devgate.store.usage_tables import usage_day, usage_state, usage_work
from devgate.store.verdicts import VERDICT, Verdict
from tests.gateway.reports.counted import DAY, TODAY, World, at, counts
from tests.gateway.rig import InlineRecords
from tests.store.commands import command_row
from tests.store.plain import A, B, C


async def test_a_database_without_an_event_is_counted_up_to_now(world: World) -> None:
    await world.turn()
    found = await world.records.read(states.state)
    assert found is not None
    assert (found.position, found.at) == (0, world.now)
    world.start(world.now + 5)
    await world.turn()
    found = await world.records.read(states.state)
    assert found is not None
    assert found.position > 0
    assert found.at >= world.now


async def test_starts_are_counted_by_the_day_of_the_zone(world: World) -> None:
    world.start(at("2026-11-22 23:59:59"))
    world.start(at("2026-11-23 00:00:00"))
    world.start(at("2026-11-23 12:00"), status="201")
    await world.turn()  # what was there is counted towards the past
    world.start(at("2026-11-23 13:00"), B, long=3)
    world.start(at("2026-11-24 09:00"), C, status="408")
    world.start(at("2026-11-24 09:01"), C, status="404")
    world.start(at("2026-11-24 09:02"), C, "accepted", state="waiting", status="000")
    world.start(at("2026-11-24 09:03"), C, type="stop")
    world.start(at("2026-11-24 09:04"), C, why="test")  # by staff
    await world.turn()  # ... and what comes, by its event
    found = world.report()
    assert {day: counts(one) for day, one in found.items()} == {
        "2026-11-22": (1, 1, 0, 0, 0, 0),
        "2026-11-23": (3, 2, 1, 0, 0, 0),
        "2026-11-24": (3, 0, 0, 1, 1, 1),
    }
    assert (found["2026-11-23"].seconds, found["2026-11-23"].times) == (500, 3)
    by_site = world.report("site")
    assert [by_site["east"].starts, by_site["west"].starts] == [4, 3]
    assert world.report("machine", site="east").keys() == {A, B}
    assert world.report("day", imei=A)["2026-11-22"].starts == 1


async def test_late_answers_and_verdicts_correct_their_day(world: World) -> None:
    when = at("2026-11-24 09:00")
    late = world.start(when, status="408")
    ran, idle, other = (world.start(when + n, status="408") for n in (1, 2, 3))
    await world.turn()
    assert counts(world.report()[TODAY]) == (4, 0, 0, 4, 0, 0)
    ended = {"accepted_at": when, "ended_at": when + 1}
    row = command_row(late, **ended, status="200", late=True, late_at=when + 40)
    world.journal.commit([row, world.event("late", when + 40, A, late)])
    for id, said in ((ran, "ran"), (idle, "did_not_run"), (other, "other")):
        verdict = Verdict(
            [id], said, None, "anna", when + 50,
            lambda id, status: (when + 50, "command.resolved", A, id, "{}"),
        )  # fmt: skip
        world.journal.commit([Row(VERDICT, (verdict,))])
    await world.turn()
    today = world.report()[TODAY]
    assert counts(today) == (4, 2, 1, 1, 0, 0)
    assert today.seconds == 1000


async def test_availability_of_days_that_are_over(world: World) -> None:
    """One that was lost for two hours, one that came for the first time, one never seen."""
    world.presence(True, at("2026-11-21 10:00"))
    world.presence(False, at("2026-11-23 10:00"))
    world.presence(True, at("2026-11-23 12:00"))
    world.presence(True, at("2026-11-23 18:00"), B)
    await world.turn()
    found = {one: world.report("machine", imei=one) for one in (A, B, C)}
    assert found[C] == {}, "nobody knows"
    by_day = world.report("day", imei=A)
    assert by_day["2026-11-21"].online == by_day["2026-11-21"].span == 14 * 3600
    assert (by_day["2026-11-22"].online, by_day["2026-11-22"].span) == (86400, 86400)
    assert (by_day["2026-11-23"].online, by_day["2026-11-23"].span) == (22 * 3600, 86400)
    assert TODAY not in by_day, "it is not over"
    assert (found[B][B].online, found[B][B].span) == (6 * 3600, 6 * 3600)
    world.now = at("2026-11-25 00:03")
    await world.turn()
    assert world.report("day", imei=A)[TODAY].online == 86400


class Crash(Exception):
    pass


def crashing(records: InlineRecords, after: int) -> Callable[..., Any]:
    """A `change` that fails after `after` calls, and whose transaction is rolled back."""
    calls_left, change = [after], records.change

    async def some(function: Callable[..., Any], *args: Any) -> Any:
        def crashes(conn: Reading, *args: Any) -> Any:
            found = function(conn, *args)
            calls_left[0] -= 1
            if calls_left[0] < 0:
                raise Crash
            return found

        return await change(crashes, *args)

    return some


async def test_a_restart_anywhere_counts_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MACHINES_A_STEP", 1)
    monkeypatch.setattr(usage, "EVENTS_A_STEP", 2)
    for day in range(20, 24):
        for hour in range(3):
            world.start(at(f"2026-11-{day} {hour:02}:30"), (A, B, C)[hour])
            world.presence(hour != 1, at(f"2026-11-{day} {hour:02}:40"), (A, B, C)[hour])
    await world.turn()
    world.start(at("2026-11-23 23:00"), B)
    world.start(at("2026-11-24 01:00"), C)
    change, went = world.records.change, 0
    for after in range(100):
        monkeypatch.setattr(world.records, "change", crashing(world.records, after))
        try:
            await world.turn()
            break
        except Crash:
            went += 1
        finally:
            monkeypatch.setattr(world.records, "change", change)
    assert went > 3
    resumed = world.report("day"), world.report("machine")
    with world.database.write() as conn:
        for table in (usage_day, usage_work, usage_state):
            conn.execute(delete(table))
    await world.turn()
    assert (world.report("day"), world.report("machine")) == resumed
    assert sum(one.starts for one in resumed[0].values()) == 14


async def test_a_day_of_which_nothing_is_kept_is_one_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MACHINES_A_STEP", 1)
    world.presence(True, at(f"{TODAY} 00:30"), A)
    written, change = list[object](), world.records.change

    async def counted(function: Callable[..., Any], *args: Any) -> Any:
        if function is usage._write:
            written.append(args[1])
        return await change(function, *args)

    monkeypatch.setattr(world.records, "change", counted)
    await world.turn()
    assert len(written) == 4, "from tomorrow back, and no day for each of the three machines"
    world.start(at(f"{TODAY} 09:00"), B)
    await world.turn()
    assert world.report("machine")[B].starts == 1, "what comes later is counted as ever"


async def test_who_was_online_all_day_is_counted_without_an_event_of_it(world: World) -> None:
    with world.database.write() as conn:
        since = {"online": True, "since": at("2026-11-01 00:00")}
        conn.execute(update(presence).where(presence.c.imei == A).values(since))
    await world.turn()
    lines = world.report("machine")
    assert set(lines) == {A}
    assert lines[A].online == lines[A].span == DAY


async def test_what_was_counted_outlives_its_commands(world: World) -> None:
    old = world.start(at("2026-11-20 09:00"))
    remaining = world.start(at("2026-11-20 10:00"), status="408")
    await world.turn()
    with world.database.write() as conn:
        conn.execute(delete(command).where(command.c.id == old))
    # A late answer to the one that remains.
    when = at("2026-11-20 10:00")
    row = command_row(remaining, accepted_at=when, ended_at=when, status="200", late_at=when + 40)
    world.journal.commit([row, world.event("late", world.now, A, remaining)])
    await world.turn()
    assert world.report()["2026-11-20"].starts == 2


async def test_a_machine_that_moved_leaves_its_days_where_it_stood(world: World) -> None:
    world.start(at("2026-11-23 09:00"))
    await world.turn()
    with world.database.write() as conn:
        devices.edit(conn, Imei(A), {"site": "west"})
    world.start(at("2026-11-24 09:00"))
    await world.turn()
    assert world.report("site")["east"].starts == world.report("site")["west"].starts == 1
    with world.database.write() as conn:
        devices.remove(conn, [Imei(A)])
    world.now = at("2026-11-26 12:00")
    await world.turn()
    assert world.report("site")["east"].starts == 1


async def test_old_days_are_forgotten(world: World) -> None:
    world.start(at("2026-11-20 09:00"))
    await world.turn()
    world.now, world.keep = world.now + 2 * DAY, 4 * DAY
    await world.turn()
    assert "2026-11-20" not in world.report()
