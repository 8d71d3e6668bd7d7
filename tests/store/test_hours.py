"""Hours that are over, and how long devices have been offline, on both databases."""

from __future__ import annotations

from sqlalchemy import delete, insert

from devgate.gateway.reports import fleet_day
from devgate.gateway.reports.past import Past, counts
from devgate.model import iso
from devgate.store import history, hours
from devgate.store.absence import SiteAbsence, absence
from devgate.store.devices import edit
from devgate.store.engine import Database
from devgate.store.schema import presence
from tests.store.test_statistics import HOUR, NOW, command, event, fill, imei

DAY = fleet_day.DAY


def test_one_hour_has_its_own_rows_alone(database: Database) -> None:
    begin = int(NOW // HOUR * HOUR - 30 * HOUR)
    fill(
        database,
        event(begin - 1, "device.online", 1),
        event(begin, "device.online", 2),
        event(begin + 10, "device.online", 3),
        event(begin + 20, "device.taken_over", 3),
        event(begin + HOUR - 1, "device.offline", 1),
        event(begin + HOUR, "device.offline", 2),
        command(begin - 1, 1, "200"),
        command(begin, 2, "200"),
        command(begin + 5, 3, "408"),
        command(begin + HOUR, 4, "201"),
    )
    with database.read() as conn:
        found = hours.hour(conn, begin)
        empty = hours.hour(conn, begin - 40 * int(HOUR))
        east = hours.hour(conn, begin, {"East"})
        oldest = history.oldest_event(conn)
    assert found.change == 1
    assert sorted(found.outcomes) == [("start", "200", 1), ("start", "408", 1)]
    assert empty == hours.Hour(0, ())
    assert east == hours.Hour(1, (("start", "408", 1),)), "3 stands there, neither 1 nor 2"
    assert oldest == begin - 1


def test_days_are_the_last_one_and_hours_that_were_counted(database: Database) -> None:
    ago = NOW - 50 * HOUR
    fill(
        database,
        event(ago, "device.online", 1),
        command(ago + 1, 2, "408"),
        event(NOW - 2 * HOUR, "device.online", 2),
        command(NOW - 60, 3, "200"),
    )
    past = Past()
    with database.read() as conn:
        counted = fleet_day.count(conn, NOW)
        before, complete = fleet_day.by_hours(counted, past, 7, 2, NOW)
        assert not complete
        assert len(past.missing(7, NOW)) == 7 * 24 - 1
        for number in past.missing(7, NOW):
            past.hours[number] = hours.hour(conn, number * 3600)
        past.oldest = history.oldest_event(conn)
    found, complete = fleet_day.by_hours(counted, past, 7, 2, NOW)
    assert complete
    assert len(before) == len(found) == 7 * 24
    assert before[0] == {
        "at": iso((NOW // HOUR - 7 * 24 + 1) * HOUR),
        **dict.fromkeys(("online", *counts([]))),
    }, "nobody knows yet"
    assert [one["online"] for one in found[-4:]] == [1, 2, 2, 2]
    assert found[-1]["start"] == found[-1]["done"] == 1
    [old] = [one for one in found[:-24] if one["start"]]
    assert (old["at"], old["unknown"], old["online"]) == (iso(ago // HOUR * HOUR), 1, 1)
    assert found[found.index(old) - 1]["online"] is None, "no event is older"


def test_how_long_devices_are_offline(database: Database) -> None:
    fill(database)
    away = {1: 100.0, 2: 2 * HOUR, 3: 26 * HOUR, 4: 8 * 24 * HOUR, 5: 9 * 24 * HOUR, 10: 2 * HOUR}
    with database.write() as conn:
        rows = [
            {"imei": imei(n), "online": False, "since": NOW - seconds}
            for n, seconds in away.items()
        ]
        rows.append({"imei": imei(6), "online": True, "since": NOW - 9 * 24 * HOUR})
        conn.execute(delete(presence))
        conn.execute(insert(presence), rows)
        edit(conn, imei(5), {"enabled": False})
        edit(conn, imei(7), {"enabled": False})
    with database.read() as conn:
        found = absence(conn, NOW, {"East": 4, "West": 4})
        west = absence(conn, NOW, {"West": 4}, {"West"})
    assert found._replace(sites=[]) == (2, 4, 2, 1, 4, [], {"East": 1, "West": 2})
    # East is 3, 6, 9, 12; West 1, 4, 7, 10; 1 is offline for a minute or two.
    assert found.sites == [SiteAbsence("West", 4, 2), SiteAbsence("East", 4, 1)]
    assert west == (1, 2, 1, 1, 0, [SiteAbsence("West", 4, 2)], {"West": 2})
