"""Sums of reports by site and day are those of the days, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from threading import Thread
from time import sleep

import pytest
from sqlalchemy import text

from devgate.model import Imei
from devgate.store import devices, usage, usage_report, usage_sums, usage_work
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.history import Reading
from devgate.store.opening import open_database
from devgate.store.usage import Day
from devgate.store.usage_report import AskedReport
from devgate.store.usage_tables import SUMMED
from tests.stores import with_tables

SITES = ("east", "west", "")


def days(random: Random, count: int) -> list[Day]:
    """Rows of a few devices and days, each key once, with all that may be NULL."""
    keys = {
        (random.randrange(20_000, 20_006), f"86{random.randrange(8):013}") for _ in range(count)
    }
    return [
        Day(day, imei, random.choice(SITES), *(random.randrange(5) for _ in range(8)),
            *random.choice(((None, None), (random.randrange(86_400), 86_400))))
        for day, imei in keys
    ]  # fmt: skip


def by_hand(conn: Reading) -> list[tuple[object, ...]]:
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in SUMMED)
    query = f"SELECT day, site, count(*), {sums} FROM usage_day GROUP BY day, site"
    return sorted(tuple(row) for row in conn.execute(text(query)))


def kept(conn: Reading) -> list[tuple[object, ...]]:
    query = f"SELECT day, site, machines, {', '.join(SUMMED)} FROM usage_site"
    rows = [tuple(row) for row in conn.execute(text(query))]
    assert all(not any(row[3:]) for row in rows if not row[2]), "of no machine nothing is left"
    return sorted(row for row in rows if row[2])


def test_sums_are_those_of_the_days(database: Database) -> None:
    """Days are written, changed, moved and forgotten, before and while they are summed up."""
    random = Random(20)
    with database.write() as conn:
        assert usage_sums.whole(conn), "in a new database nothing has to be summed up"
    for turn in range(60):
        with database.write() as conn:
            usage.save(conn, days(random, 6))
        with database.write() as conn:
            if turn in (10, 30):  # as a migration leaves them
                usage_sums.anew(conn)
            if turn % 7 == 6:
                usage_work.forget(conn, 20_000 + random.randrange(4), 5)
            usage_sums.sum_up(conn, 3)
        with database.read() as conn:
            if usage_sums.whole(conn):
                assert kept(conn) == by_hand(conn)
    with database.write() as conn:
        assert usage_sums.whole(conn)
        while usage_work.forget(conn, 30_000, 7):
            pass
        assert kept(conn) == []
        usage_sums.forget(conn, 30_000, 1000)
        assert conn.scalar(text("SELECT count(*) FROM usage_site")) == 0


def test_lines_page_by_page_are_those_of_one_pass(database: Database) -> None:
    random = Random(21)
    with database.write() as conn:
        devices.claim(conn)
        for n in range(8):
            devices.add(conn, Device(Imei(f"86{n:013}"), n + 1, site=SITES[n % 2]))
        for _ in range(9):
            usage.save(conn, days(random, 12))
    asked = AskedReport("machine", 20_001, 20_004)
    with database.read() as conn:
        for some in (asked, asked._replace(sites=frozenset({"east", "west"}))):
            total, right = usage_report.lines(conn, some, None, 99, 0, summed=False)
            found = [
                line
                for offset in range(0, 9, 3)
                for line in usage_report.machines(conn, some, 3, offset=offset)
            ]
            behind = usage_report.machines(conn, some, 99, after=str(found[2].key))
            assert behind == found[3:]
            assert [line for line in found if any(line[2:])] == [r for r in right if any(r[2:])]
            there, number = usage_report.total(conn, some)
            assert there[2:] == total[2:]
            assert number >= len(right)
            assert usage_report.known(conn, some) == len(found) == 8


def day(number: int, imei: int) -> Day:
    return Day(number, f"86{imei:013}", "east", 1, 1, 0, 0, 0, 0, 5, 0, None, None)


OTHERS: dict[str, Callable[[Reading], object]] = {
    "adds a day": lambda conn: usage.save(conn, [day(20_001, 4)]),
    "changes a day": lambda conn: usage.save(conn, [day(20_001, 1)._replace(site="west")]),
    "deletes days": lambda conn: usage_work.forget(conn, 20_001, 9),
    "sums up": lambda conn: usage_sums.sum_up(conn, 2),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_two_processes_do_at_once_is_counted_once(postgres_url: str, other: str) -> None:
    """One that is about to end, or to lead no longer, and the one that follows it."""
    database = open_database(with_tables(postgres_url))

    def sum_up() -> None:
        with database.write() as conn:
            usage_sums.sum_up(conn, 100)

    def waits() -> bool:
        with database.read() as conn:
            return bool(conn.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

    with database.write() as conn:
        usage.save(conn, [day(number, imei) for number in (20_000, 20_001, 20_002)
                          for imei in (1, 2)])  # fmt: skip
        usage_sums.anew(conn)
    thread = Thread(target=sum_up)
    with database.write() as conn:
        OTHERS[other](conn)
        thread.start()
        while thread.is_alive() and not waits():
            sleep(0.01)
    thread.join()
    with database.write() as conn:
        while usage_sums.sum_up(conn, 100):
            pass
    with database.read() as conn:
        assert kept(conn) == by_hand(conn)
    database.close()
