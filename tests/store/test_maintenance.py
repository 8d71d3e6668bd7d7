"""What is in maintenance on disk, in both databases: all or none, and no change is passed over."""

from __future__ import annotations

import pytest

from devgate.errors import CallerError
from devgate.model import Imei
from devgate.store import devices, maintenance
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.maintenance import IMEI, SITE, MaintenanceEntry
from tests.store.plain import A, B

NOW = 1_700_000_000.0


def begin(
    database: Database, kind: str, *names: str, until: float | None = None, now: float = NOW
) -> list[MaintenanceEntry]:
    with database.write() as conn:
        return maintenance.begin(conn, kind, names, "why", until, "web:anna", now)


def changed(
    database: Database, after: maintenance.Place
) -> tuple[list[tuple[str, bool]], maintenance.Place]:
    with database.read() as conn:
        found, place = maintenance.changed(conn, after)
    return [(entry.name, entry.ended) for entry in found], place


def shown(database: Database, now: float, **more: object) -> list[tuple[str, str | None]]:
    given = {"after": None, "limit": 10, **more}
    with database.read() as conn:
        return [(entry.name, name) for entry, name, _ in maintenance.page(conn, now, **given)]  # type: ignore[arg-type]


def test_it_begins_and_ends(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.write() as conn:
        devices.add(conn, Device(Imei(A), 1, name="Bay 1", site="north"))
        devices.add(conn, Device(Imei(B), 2))
    with pytest.raises(CallerError) as refused:
        begin(database, IMEI, A, "999999999999999")
    assert refused.value.status == "300"
    assert shown(database, NOW) == [], "all or none"

    begin(database, IMEI, B, A)
    begin(database, SITE, "north", until=NOW + 60)
    news, place = changed(database, maintenance.BEGIN)
    assert news == [(A, False), (B, False), ("north", False)]
    assert shown(database, NOW) == [("north", None), (A, "Bay 1"), (B, "")]
    assert shown(database, NOW, limit=1, after=(SITE, "north")) == [(A, "Bay 1")]
    assert shown(database, NOW, after=(IMEI, A)) == [(B, "")]

    # Said once more it has a new end and the old beginning; once it is over, a new beginning.
    [again] = begin(database, SITE, "north", until=NOW + 90, now=NOW + 5)
    assert (again.since, again.until) == (NOW, NOW + 90)
    with database.write() as conn:
        assert [one.name for one in maintenance.end(conn, IMEI, [A], NOW + 7)] == [A]
        assert maintenance.end(conn, IMEI, [A, "999999999999999"], NOW + 8) == []
    news, place = changed(database, place)
    assert news == [("north", False), (A, True)]
    [again] = begin(database, IMEI, A, now=NOW + 9)
    assert again.since == NOW + 9
    assert changed(database, place)[0] == [(A, False)]

    monkeypatch.setattr(maintenance, "MAX_ROWS", 3)
    begin(database, IMEI, A)
    with pytest.raises(CallerError) as refused:
        begin(database, SITE, "south")
    assert refused.value.status == "409"


def test_what_is_over_is_noted_once_and_forgotten_a_day_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "PAGE_ROWS", 2)
    for n in range(3):
        begin(database, SITE, f"site {n}", until=NOW + n)
    begin(database, SITE, "for ever")
    place = maintenance.BEGIN
    for expected in (2, 2, 0):
        news, place = changed(database, place)
        assert len(news) == expected
    assert shown(database, NOW + 1) == [("for ever", None), ("site 2", None)]

    def over(now: float) -> list[str]:
        with database.write() as conn:
            return [entry.name for entry in maintenance.end_over(conn, now)]

    assert sorted(over(NOW + 1)) == ["site 0", "site 1"]
    assert over(NOW + 1) == []
    assert sorted(changed(database, place)[0]) == [("site 0", True), ("site 1", True)]
    assert over(NOW + 2) == ["site 2"]
    over(NOW + 2 + maintenance.RETAIN_SECONDS)
    with database.read() as conn:
        left, _ = maintenance.changed(conn, maintenance.BEGIN)
    assert {entry.name for entry in left} == {"for ever", "site 2"}
