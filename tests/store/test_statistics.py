"""What the dashboard counts, on both databases."""

from __future__ import annotations

from devgate.gateway.operations.reports import _stories
from devgate.gateway.reports import fleet_day
from devgate.model import Imei, iso
from devgate.store import own_sites, statistics
from devgate.store.batch import KINDS, Row
from devgate.store.device import Device
from devgate.store.devices import claim, insert_all
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.numbering import floor_id
from devgate.store.statistics import Dark, Odd

NOW = 1_764_000_000.0 // 3600 * 3600 + 1800  # in the middle of an hour
HOUR = 3600.0
OWN_END = '{"reason":"the gateway stops"}'


def imei(n: int) -> Imei:
    return Imei(f"8600000000000{n:02}")


def event(
    at: float, type: str, n: int | None, detail: str = "{}", command: str | None = None
) -> Row:
    return Row("event", (at, type, None if n is None else imei(n), command, detail))


def command(at: float, n: int, status: str, **given: object) -> Row:
    sent = None if status == "404" else at + 0.1
    row = {
        "id": floor_id(at)[:-2] + f"{n:02}", "imei": imei(n), "type": "start", "long": 600,
        "key": f"order {n}", "spent": None if sent is None else f"order {n}", "status": status,
        "state": "ended", "message": "words", "late": False, "source": "socket",
        "accepted_at": at, "sent_at": sent, "ended_at": at + 0.5, "late_at": None,
        "expires_at": None, "timeout": None, "running": False, "sequence": None,
        "ambiguous": False, "why": None, "new_address": False, **given,
    }  # fmt: skip
    return Row("command", tuple(row.get(name) for name in KINDS["command"].columns))


def fill(database: Database, *rows: Row) -> None:
    with database.write() as conn:
        claim(conn)
        sites = ("East", "West", "")
        insert_all(conn, (Device(imei(n), n, f"Bay {n}", sites[n % 3]) for n in range(1, 13)))
    journal = Journal(database)
    journal.commit(rows)
    journal.close()


def test_how_many_were_online(database: Database) -> None:
    fill(
        database,
        event(NOW - 2 * HOUR, "device.online", 1),
        event(NOW - HOUR, "device.online", 2),
        event(NOW - HOUR + 1, "device.offline", 1),
        event(NOW - 10, "device.online", 1),
        event(NOW - 9, "device.taken_over", 1),
    )
    with database.read() as conn:
        counted = fleet_day.count(conn, NOW)
    points = fleet_day.online_over_day(counted, 2, NOW)
    assert points[-1] == {"at": iso(NOW), "online": 2}
    shown = {int(point["online"]) for point in points}  # type: ignore[call-overload]
    assert shown == {0, 1, 2}
    step, newest = fleet_day.BUCKET_SECONDS, len(points) - 1
    assert [points[newest - int(ago // step)]["online"] for ago in (0, 600, 5400, 9000)] == [
        2, 1, 1, 0,
    ]  # fmt: skip
    assert counted.since % 3600 == 0
    assert counted.since + fleet_day.DAY - NOW == 1800


def test_commands_by_the_hour(database: Database) -> None:
    fill(
        database,
        command(NOW - 60, 1, "200"),
        command(NOW - 50, 2, "408"),
        command(NOW - 2 * HOUR, 3, "404", type="stop", long=None),
        command(NOW - 30 * HOUR, 4, "200"),
        command(NOW - 40, 5, "000", state="sent", ended_at=None),
    )
    with database.read() as conn:
        counted = fleet_day.count(conn, NOW)
        number = statistics.unknown(conn, NOW - fleet_day.DAY)
        latest = statistics.latest(conn, 3)
    hours = fleet_day.by_hour(counted)
    assert len(hours) == 24
    now = {"start": 3, "stop": 0, "done": 1, "failed": 0, "unknown": 1, "unsent": 0, "open": 1}
    assert hours[-1] == {"at": iso(NOW - 1800), **now}
    assert (hours[-3]["stop"], hours[-3]["unsent"]) == (1, 1)
    assert sum(hour["start"] for hour in hours) == 3
    assert number == 1
    assert [(row["imei"], row["name"]) for row in latest] == [
        (imei(5), "Bay 5"), (imei(2), "Bay 2"), (imei(1), "Bay 1"),
    ]  # fmt: skip


def test_a_power_cut_is_no_single_fault(database: Database) -> None:
    cut = NOW - 3 * HOUR
    west = [n for n in range(1, 13) if n % 3 == 1]
    fill(
        database,
        *(event(cut + 20 * n, "device.offline", n, '{"reason":"silent"}') for n in west),
        event(cut, "device.offline", 3, '{"reason":"silent"}'),
        *(
            event(NOW - 99, "device.offline", n, '{"reason":"the gateway stops"}')
            for n in range(1, 13)
        ),
        event(NOW - 50, "device.flapping", 5, '{"takeovers":5}'),
        event(NOW - 40, "device.flapping", 5, '{"takeovers":6}'),
        event(NOW - 30, "device.mismatch", 99),
        event(NOW - 30, "log.lost", None),
    )
    with database.read() as conn:
        counted = fleet_day.count(conn, NOW)
    assert counted.sites == {"East": 4, "West": 4}
    ((dark, lost),) = counted.outages
    assert (dark.site, dark.devices, sorted(lost)) == ("West", 4, [imei(n) for n in west])
    assert dark.last - dark.first == 20 * 9
    assert counted.odd == [
        Odd(imei(99), "device.mismatch", 1, NOW - 30, "", ""),
        Odd(imei(5), "device.flapping", 2, NOW - 40, "Bay 5", ""),
    ]


def test_a_count_that_goes_on_says_what_a_new_one_says(database: Database) -> None:
    rows = [
        event(NOW - HOUR + 30 * n, ("device.online", "device.offline")[n % 2], 1 + n * 7 % 12)
        for n in range(90)
    ]
    rows[40:40] = [event(NOW - 60, "device.flapping", 5), event(NOW - 50, "device.echoing", 99)]
    fill(database, *rows[:30])
    journal, tally = Journal(database), fleet_day.Tally()
    for part in (rows[30:30], rows[30:41], rows[41:42], rows[42:]):
        journal.commit(part)
        for now in (NOW, NOW + HOUR, NOW + 30 * HOUR)[: 1 + 2 * (part[-1:] == rows[-1:])]:
            with database.read() as conn:
                going_on, new = fleet_day.count(conn, now, tally), fleet_day.count(conn, now)
            assert sorted(going_on.presence) == sorted(new.presence)
            assert going_on._replace(presence=[]) == new._replace(presence=[])
    journal.close()
    assert not going_on.presence
    assert not going_on.odd


def test_some_sites_are_counted_by_themselves(database: Database) -> None:
    """East is 3, 6, 9, 12, West 1, 4, 7, 10; 2, 5, 8, 11 stand nowhere, and 99 is not known."""
    cut = NOW - 3 * HOUR
    fill(
        database,
        *(event(cut + n, "device.offline", n, '{"reason":"silent"}') for n in (1, 3, 4, 7, 10)),
        event(NOW - 60, "device.online", 3),
        event(NOW - 50, "device.flapping", 3),
        event(NOW - 50, "device.flapping", 4),
        event(NOW - 30, "device.mismatch", 99),
        command(NOW - 60, 3, "200"),
        command(NOW - 50, 4, "408"),
        command(NOW - 40, 5, "408"),
        command(NOW - 30, 6, "000", state="sent", ended_at=None),
    )
    east, west = ({"East"}, {"West", "Nowhere"})
    with database.read() as conn:
        of_east = fleet_day.count(conn, NOW, fleet_day.Tally(east))
        of_west = fleet_day.count(conn, NOW, fleet_day.Tally(west))
        both = fleet_day.count(conn, NOW, fleet_day.Tally(east | west))
        unknown = [statistics.unknown(conn, NOW - HOUR, one) for one in (None, east, west)]
        here = own_sites.now(conn, east, NOW)
    assert (of_east.sites, of_west.sites, both.sites) == (
        {"East": 4}, {"West": 4}, {"East": 4, "West": 4},
    )  # fmt: skip
    assert [one.site for one, _ in of_west.outages] == ["West"]
    assert not of_east.outages
    assert sorted(change for _, change in of_east.presence) == [-1, 1]
    assert [change for _, change in of_west.presence] == [-4]
    assert [(one.imei, one.type) for one in of_east.odd] == [(imei(3), "device.flapping")]
    assert fleet_day.by_hour(of_east)[-1]["start"] == 2
    assert fleet_day.by_hour(of_west)[-1]["start"] == 1
    assert unknown == [2, 0, 1]
    assert here == own_sites.Now(known=4, online=0, running=0, in_flight=1, waiting=0)


def test_which_losses_belong_together() -> None:
    def lost(site: str, at: float, devices: int) -> Dark:
        return Dark(site, int(at // 60), devices, at, at + 30)

    minutes = [lost("A", 0, 2), lost("A", 120, 2), lost("A", 900, 2), lost("B", 0, 9)]
    assert fleet_day.outages(minutes, {"A": 8, "B": 100}) == [Dark("A", 0, 4, 0, 150)]


def test_the_story_of_an_order(database: Database) -> None:
    at = NOW - HOUR
    first = command(at, 1, "200")
    id = str(first.values[0])
    fill(
        database,
        first,
        command(at - 50 * fleet_day.DAY, 2, "201"),
        event(at - 500, "device.online", 1, '{"address":"a"}'),
        event(at - 20, "device.taken_over", 1),
        event(at, "command.accepted", 1, '{"kind":"start"}', id),
        event(at + 0.5, "command.ended", 1, '{"kind":"start","status":"200"}', id),
        event(at + 100, "device.offline", 1),
        event(at + 5000, "device.online", 1),
    )
    with database.read() as conn:
        (story,) = _stories(conn, "order 1", 60.0)
        (older,) = _stories(conn, "order 2", 60.0)
        assert _stories(conn, "order 3", 60.0) == []
    assert isinstance(story["before"], dict)
    assert story["before"]["type"] == "device.online"
    lines = story["lines"]
    assert isinstance(lines, list)
    assert [line["type"] for line in lines] == [
        "device.taken_over", "command.accepted", "command.sent", "command.ended",
        "device.offline", "run.due",
    ]  # fmt: skip
    assert lines[-1]["at"] == iso(at + 600.5)
    remembered = older["lines"]
    assert isinstance(remembered, list), "of what has no events any more, the record tells"
    assert [line["type"] for line in remembered] == [
        "command.accepted", "command.sent", "command.ended",
    ]  # fmt: skip
