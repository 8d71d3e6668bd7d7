"""What reports are made of: counted once, corrected by what comes late, resumed anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete
from trio.testing import MockClock
from ulid import ULID

from devgate.config.report import ReportSettings
from devgate.config.settings import Settings
from devgate.config.store import StoreSettings
from devgate.gateway.background import Background
from devgate.gateway.clock import Clock
from devgate.gateway.known.directory import Directory
from devgate.gateway.reports import usage
from devgate.gateway.reports.days import as_date
from devgate.gateway.reports.usage import Usage
from devgate.model import Imei
from devgate.store import devices, usage_report, zones
from devgate.store.batch import Row
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.history import Reading
from devgate.store.journal import Journal
from devgate.store.journals import Writes
from devgate.store.schema import command
from devgate.store.usage_report import Asked, Sums
from devgate.store.usage_tables import usage_day, usage_state, usage_work
from devgate.store.verdicts import VERDICT, Verdict
from tests.gateway.rig import InlineRecords, InlineStorage
from tests.store.commands import command_row
from tests.store.plain import A, B, C

SHANGHAI = "Asia/Shanghai"
TODAY = "2026-11-24"
HOUR, DAY = 3600.0, 86400.0


def at(text: str, zone: str = SHANGHAI) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@dataclass
class World:
    """A database, its journal, and the time; a new Usage each turn: as after a restart."""

    database: Database
    now: float = at(f"{TODAY} 12:00")
    zone: str = SHANGHAI
    keep: float = 1000 * DAY
    made: int = 0
    journal: Journal = field(init=False)
    journal_of_storage: Writes = field(init=False)
    records: InlineRecords = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.database)
        storage = InlineStorage(
            self.database, Directory("", ""), StoreSettings(), on_well=lambda: None
        )
        assert isinstance(storage.records, InlineRecords)
        self.records, self.journal_of_storage = storage.records, storage.journal

    def usage(self) -> Usage:
        settings = Settings(
            report=ReportSettings(zone=self.zone, keep=self.keep),
            store=StoreSettings(keep_commands=400 * DAY),
        )
        return Usage(self.records, settings, Background(), Clock(lambda: self.now))

    async def turn(self) -> None:
        """Until nothing is left."""
        while True:
            counting = self.usage()
            await counting.turn()
            if not counting._more:
                return

    def start(self, when: float, imei: str = A, tell: str = "ended", **changed: Any) -> str:
        """A start and its event, as the gateway writes them."""
        self.made += 1
        id = str(ULID.from_timestamp(when))[:10] + f"{self.made:016}"
        ended = {"accepted_at": when, "ended_at": when + 1, "imei": imei, **changed}
        self.journal.commit([command_row(id, **ended), self.event(tell, when + 1, imei, id)])
        return id

    @staticmethod
    def event(tell: str, when: float, imei: str, id: str) -> Row:
        return Row("event", (when, f"command.{tell}", imei, id, "{}"))

    def presence(self, online: bool, when: float, imei: str = A) -> None:
        type = "device.online" if online else "device.offline"
        self.journal.commit([Row("event", (when, type, imei, None, "{}"))])

    def report(self, by: str = "day", **asked: Any) -> dict[str, Sums]:
        """By the date, site or IMEI."""
        whole = Asked(by, 0, 40_000, **asked)
        with self.database.read() as conn:
            total, lines = usage_report.lines(conn, whole, None, 1000, 0, summed=False)
            sums = usage_report.lines(conn, whole, None, 1000, 0, summed=True)
            assert sums == (total, lines), "the sums of sites tell the same"
        assert total.lines == len(lines)
        for name in usage_report.COUNTS:
            assert getattr(total, name) == sum(getattr(one, name) for one in lines)
        return {
            as_date(int(str(one.key))).isoformat() if by == "day" else str(one.key): one
            for one in lines
        }


@pytest.fixture
def world(
    database: Database, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    with database.write() as conn:
        devices.claim(conn)
        devices.insert_all(conn, (
            Device(Imei(A), 1, site="east"), Device(Imei(B), 2, site="east", unit="times"),
            Device(Imei(C), 3, site="west"),
        ))  # fmt: skip
    made = World(database)
    monkeypatch.setattr(usage, "time", lambda: made.now)
    yield made
    made.journal.close()
    made.journal_of_storage.close()


def counts(one: Sums) -> tuple[int, ...]:
    """Starts, done, failed, unknown, refused, open."""
    return one[2:8]


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


async def test_a_day_has_25_hours_where_clocks_go_back(world: World) -> None:
    world.zone = "Europe/Berlin"
    world.presence(True, at("2026-10-24 12:00", world.zone))
    world.now = at("2026-10-26 12:00", world.zone)
    await world.turn()
    assert world.report("day", imei=A)["2026-10-25"].span == 25 * 3600


class Crash(Exception):
    pass


def crashing(records: InlineRecords, after: int) -> Callable[..., Any]:
    """`change` that fails behind so many calls, its transaction taken back."""
    left, change = [after], records.change

    async def some(function: Callable[..., Any], *args: Any) -> Any:
        def crashes(conn: Reading, *args: Any) -> Any:
            found = function(conn, *args)
            left[0] -= 1
            if left[0] < 0:
                raise Crash
            return found

        return await change(crashes, *args)

    return some


async def test_a_restart_anywhere_counts_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MACHINES", 1)
    monkeypatch.setattr(usage, "EVENTS", 2)
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


async def test_what_was_counted_outlives_its_commands(world: World) -> None:
    old = world.start(at("2026-11-20 09:00"))
    kept = world.start(at("2026-11-20 10:00"), status="408")
    await world.turn()
    with world.database.write() as conn:
        conn.execute(delete(command).where(command.c.id == old))
    # A late answer to the one that is left.
    when = at("2026-11-20 10:00")
    row = command_row(kept, accepted_at=when, ended_at=when, status="200", late_at=when + 40)
    world.journal.commit([row, world.event("late", world.now, A, kept)])
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
