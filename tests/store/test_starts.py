"""How the latest starts of each device went, in both databases."""

from __future__ import annotations

from functools import reduce

import pytest
from sqlalchemy import text

from devgate.gateway.commands.start_rates import together
from devgate.model import Imei
from devgate.store import devices, starts
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.starts import WEIGHT_DECAY, Starts
from tests.store.commands import EPOCH, command_row

IMEI = Imei("860000000000001")
HOUR = int(EPOCH // 3600)


@pytest.fixture
def known(database: Database) -> Database:
    with database.write() as conn:
        devices.insert_all(conn, [Device(IMEI, 1)])
    return database


def stored(database: Database) -> tuple[float, float, float, int]:
    with database.read() as conn:
        row = conn.execute(
            text("SELECT asked, failed, rate, started_hour FROM device_starts WHERE imei = :imei"),
            {"imei": IMEI},
        ).one()
    return round(row[0], 3), round(row[1], 3), round(row[2], 3), row[3]


def count(database: Database, *rows: Starts) -> tuple[float, float, float, int]:
    with database.write() as conn:
        starts.count(conn, rows)
    return stored(database)


def done(hour: int) -> Starts:
    return Starts(IMEI, WEIGHT_DECAY, 1.0, 0.0, hour)


FAILED = Starts(IMEI, WEIGHT_DECAY, 1.0, 1.0, 0)
LATE = Starts(IMEI, 1.0, 0.0, -1.0, HOUR + 2)


def test_each_start_weighs_a_little_less_than_the_next(known: Database) -> None:
    assert stored(known) == (0, 0, 0, 0)
    assert count(known, done(HOUR)) == (1, 0, 0, HOUR)
    assert count(known, FAILED) == (1.98, 1, 0.505, HOUR)
    assert count(known, LATE) == (1.98, 0, 0, HOUR + 2), "it ran after all"
    assert count(known, done(HOUR))[3] == HOUR + 2, "time does not go back"


def test_several_at_once_are_as_one_after_the_other(known: Database) -> None:
    rows = (done(HOUR), FAILED, FAILED, LATE, done(HOUR + 1))
    for row in rows:
        one_by_one = count(known, row)
    with known.write() as conn:
        conn.execute(text("UPDATE device_starts SET asked=0, failed=0, rate=0, started_hour=0"))
    assert count(known, reduce(together, rows))[:3] == one_by_one[:3]


def test_a_late_result_of_a_start_that_was_not_counted(known: Database) -> None:
    assert count(known, LATE) == (0, 0, 0, HOUR + 2), "no rate is below 0"


def test_a_device_that_is_not_known_gets_no_row(known: Database) -> None:
    count(known, done(HOUR)._replace(imei="860000000000009"))
    with known.read() as conn:
        assert conn.scalar(text("SELECT count(*) FROM device_starts")) == 1


def test_a_confirmed_start_that_was_not_counted_is_found_in_the_journal(known: Database) -> None:
    journal = Journal(known)
    journal.commit(
        [
            command_row("1", imei=IMEI, late=True, late_at=EPOCH + 7200),
            command_row("2", imei=IMEI, status="408"),
            command_row("3", imei=IMEI, type="stop"),
        ]
    )
    with known.write() as conn:
        starts.mend(conn)
    assert stored(known) == (0, 0, 0, HOUR + 2)
    journal.close()
