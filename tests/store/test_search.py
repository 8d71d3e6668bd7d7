"""Devices as people look for them, in both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from devgate.model import Imei
from devgate.store import devices
from devgate.store import search as module
from devgate.store.device import Device
from devgate.store.devices import insert_all
from devgate.store.engine import Database
from devgate.store.search import search

IMEIS = [Imei(f"86000000000000{n}") for n in range(8)]


@pytest.fixture
def filled(database: Database) -> Database:
    with database.write() as conn:
        insert_all(
            conn,
            (
                Device(imei, n, f"Bay {n}", "North 50%" if n < 4 else "south_1", enabled=n != 5)
                for n, imei in enumerate(IMEIS)
            ),
        )
    return database


def found(database: Database, after: str | None = None, limit: int = 10, **more: object) -> str:
    """The last digits of what is found."""
    with database.read() as conn:
        them = search(conn, after, limit, **more)  # type: ignore[arg-type]
    return "".join(device.imei[-1] for device in them)


def test_whatever_is_looked_for(filled: Database) -> None:
    assert found(filled) == "01234567"
    assert found(filled, text="bAY 3") == "3"
    assert found(filled, text="NORTH") == found(filled, text="50%") == "0123"
    assert found(filled, text="%") == "0123", "a sign like any other"
    assert found(filled, text="_") == "4567"
    assert found(filled, text="000007") == "7"
    assert found(filled, text="nothing") == ""
    assert found(filled, site="south_1", enabled=True) == "467"
    assert found(filled, enabled=False) == "5"
    assert found(filled, text="bay", after=IMEIS[2], limit=3) == "345"


def test_pages_follow_one_another(database: Database) -> None:
    known = [Device(Imei(f"4{n:014}"), n, site="odd" if n % 2 else "even") for n in range(20)]
    with database.write() as conn:
        insert_all(conn, reversed(known))
    with database.read() as conn:
        got: list[Device] = []
        while page := search(conn, got[-1].imei if got else None, 7):
            got += page
        assert got == known
        assert search(conn, None, 100, site="odd") == known[1::2]
        imeis = [d.imei for d in known]
        assert search(conn, imeis[3], 2, imeis=imeis[2:8]) == known[4:6]
        assert search(conn, None, 9, imeis=imeis[:4], site="even") == known[0:4:2]
        assert search(conn, imeis[0], 3, without=set(imeis[:5])) == known[5:8]
        assert search(conn, None, 30, without=set(imeis)) == []


@pytest.mark.parametrize("near", [0, 2, 7, 8])
def test_a_text_is_found_near_and_far(
    filled: Database, monkeypatch: pytest.MonkeyPatch, near: int
) -> None:
    monkeypatch.setattr(module, "NEAR", near)
    assert found(filled, text="bay") == "01234567"
    assert found(filled, text="SOUTH") == "4567"
    assert found(filled, text="south", limit=2) == "45"
    assert found(filled, text="south", after=IMEIS[4], limit=2) == "56"
    assert found(filled, text="000007", after=IMEIS[2]) == "7"
    assert found(filled, text="north", enabled=True, after=IMEIS[1]) == "23"


PLAN = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}


def plans(database: Database, ask: Callable[[Connection], object]) -> list[str]:
    """How the database would carry out the statements that this makes."""
    asked: list[tuple[str, Any]] = []
    with database.read() as conn:

        def note(conn: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
            asked.append((statement, parameters))

        event.listen(conn, "before_cursor_execute", note)
        ask(conn)
        event.remove(conn, "before_cursor_execute", note)
        return [
            "\n".join(
                str(row[-1])
                for row in conn.exec_driver_sql(PLAN[database.dialect] + statement, parameters)
            )
            for statement, parameters in asked
        ]


@pytest.fixture
def many(database: Database) -> Database:
    """So many devices, at so many sites, that a scan of them all would be seen for one."""
    with database.write() as conn:
        insert_all(
            conn, (Device(Imei(f"86{n:013}"), n, site=f"Site {n % 100}") for n in range(5000))
        )
        conn.exec_driver_sql("ANALYZE device")
    return database


def test_a_page_of_a_site_reads_that_site_alone(many: Database) -> None:
    after = f"86{700:013}"

    def ask(conn: Connection) -> None:
        assert len(search(conn, None, 10, site="Site 7")) == 10
        assert search(conn, after, 10, site="Site 7")[0].imei == f"86{707:013}"
        assert search(conn, None, 10, site="Site 7", enabled=False) == []

    for plan in plans(many, ask):
        assert "device_site" in plan, plan


@pytest.mark.parametrize("few", [0, 100])
def test_among_some_and_without_others(
    filled: Database, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """The same by their keys, and by looking at all of them a few at a time."""
    monkeypatch.setattr(module, "MAX_BY_KEY", few)
    monkeypatch.setattr(module, "MAX_READ", 3)
    monkeypatch.setattr(devices, "CHUNK", 2)
    some = set(IMEIS[1:7])
    assert found(filled, imeis=some) == "123456"
    assert found(filled, imeis=some, without={IMEIS[2]}, limit=3) == "134"
    assert found(filled, imeis=some, after=IMEIS[3]) == "456"
    assert found(filled, imeis=some, text="south") == "456"
    assert found(filled, imeis=set()) == ""
    assert found(filled, without=set(IMEIS[:6])) == "67"
    assert found(filled, without=set(IMEIS)) == ""
