"""Unknown devices on disk: what is counted, what is shown, and which rows go first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from devgate.model import Imei
from devgate.store import devices, unknown
from devgate.store.batch import Row
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.node_journal import NodeJournal
from devgate.store.node_opening import node_database
from devgate.store.recent import Recent
from tests.store.plain import A, B, C, connect

NOW = 1_700_000_000.0
FLOOD = "198.51.100.7"


@pytest.fixture
def journal(database: Database) -> Iterator[Journal]:
    journal = Journal(database)
    yield journal
    journal.close()


def attempt(
    imei: str, at: float = NOW, count: int = 1, network: str = "192.0.2.1", reason: str = "unknown"
) -> Row:
    return Row("unknown", (imei, reason, f"{network}:5", network, at, at, count, None))


def shown(database: Database, **wanted: Any) -> list[unknown.Row]:
    given = {"reason": None, "dismissed": False, "after": None, "limit": 2000, **wanted}
    with database.read() as conn:
        count, rows = unknown.page(conn, **given)
    if given["after"] is None and given["limit"] == 2000:
        assert count == len(rows)
    return list(rows)


def imeis(rows: list[unknown.Row]) -> list[str]:
    return [row["imei"] for row in rows]


def test_attempts_are_added_up(database: Database, journal: Journal) -> None:
    journal.commit([attempt(A, NOW, 3), attempt(B, NOW + 5)])
    journal.commit([attempt(A, NOW + 60, 2, network="192.0.2.9", reason="disabled")])
    with database.write() as conn:
        devices.add(conn, Device(Imei(A), 1, enabled=False, name="Bay 1"))
    first, second = shown(database)
    assert (first["imei"], first["count"], first["first_at"], first["last_at"]) == (
        A, 5, NOW, NOW + 60
    )  # fmt: skip
    assert (first["reason"], first["address"], first["name"]) == (
        "disabled", "192.0.2.9:5", "Bay 1"
    )  # fmt: skip
    assert (second["imei"], second["count"], second["name"]) == (B, 1, None)


def test_what_is_settled_is_not_shown(database: Database, journal: Journal) -> None:
    journal.commit([attempt(A), attempt(B, reason="disabled"), attempt(C, reason="wrong")])
    with database.write() as conn:
        devices.add(conn, Device(Imei(B), 2, enabled=False))
    assert set(imeis(shown(database))) == {A, B, C}
    with database.write() as conn:
        devices.add(conn, Device(Imei(A), 1))
        devices.edit(conn, Imei(B), {"enabled": True})
    assert imeis(shown(database)) == [C]
    with database.write() as conn:
        assert unknown.dismiss(conn, C, True)
        assert not unknown.dismiss(conn, "999999999999990", True)
    assert shown(database) == []
    journal.commit([attempt(C, NOW + 1, reason="wrong")])
    assert imeis(shown(database, dismissed=True)) == [C], "it stays dismissed if it tries again"
    with database.write() as conn:
        unknown.dismiss(conn, C, False)
    assert imeis(shown(database, reason="wrong")) == [C]


def test_pages_leave_nothing_out(database: Database, journal: Journal) -> None:
    journal.commit([attempt(f"86{n:013}", NOW + n // 3) for n in range(20)])
    whole, found, after = imeis(shown(database)), list[str](), None
    while some := imeis(shown(database, after=after, limit=7)):
        found, after = found + some, some[-1]
    assert found == whole == sorted(whole, reverse=True)


def flood(write: Any, count: int, network: str = FLOOD) -> None:
    """This many IMEIs, once each, in the order in which windows bring them."""
    for start in range(0, count, 100):
        rows = [
            attempt(f"99{n:013}", NOW + 10_000 + n, network=network)
            for n in range(start, start + 100)
        ]
        write(rows)


def test_a_flood_pushes_out_its_own_rows(database: Database, journal: Journal) -> None:
    journal.commit([attempt(A), attempt(B), attempt(C, network="192.0.2.3")])
    journal.commit([attempt(A, NOW + 3600)])  # it has tried for an hour
    journal.commit([attempt(B, NOW + 10)])  # twice
    flood(journal.commit, 1500)
    rows = shown(database)
    assert len(rows) == unknown.MAX_ROWS
    assert {A, B, C} < set(imeis(rows)), "of another network even a single attempt stays"
    kept = [imei for imei in imeis(rows) if imei.startswith("99")]
    assert kept == [f"99{n:013}" for n in range(1499, 1499 - len(kept), -1)], "its newest"


def test_of_many_networks_those_stay_that_have_tried_long(
    database: Database, journal: Journal
) -> None:
    """A flood from everywhere: single attempts go, machines that keep trying do not."""
    journal.commit([attempt(A), attempt(B), attempt(C)])
    journal.commit([attempt(A, NOW + 3600), attempt(B, NOW + 9)])
    for start in range(0, 1200, 100):
        journal.commit([
            attempt(f"99{n:013}", NOW + 10_000 + n, network=f"10.0.{n // 200}.{n % 200}")
            for n in range(start, start + 100)
        ])  # fmt: skip
    rows = imeis(shown(database))
    assert len(rows) == unknown.MAX_ROWS
    assert {A, B} < set(rows)
    assert C not in rows


def test_what_is_settled_goes_first(database: Database, journal: Journal) -> None:
    journal.commit([attempt(A), attempt(B)])
    journal.commit([attempt(A, NOW + 7200)])
    with database.write() as conn:
        devices.add(conn, Device(Imei(A), 1))
    flood(journal.commit, 1000)
    with database.read() as conn:
        assert unknown.one(conn, A) is None
        assert unknown.one(conn, B) is not None


def test_two_nodes_add_to_one_row_and_wait_for_no_victim(postgres_url: str) -> None:
    opened = [node_database(postgres_url, name, "0.1.0") for name in ("a", "b")]
    journals = [NodeJournal(database, member, late_window=60.0) for database, member in opened]
    other = connect(postgres_url)
    try:
        for journal in journals:
            journal.commit([attempt(A, NOW, 2), attempt(B, NOW - 50)])
        assert [row["count"] for row in shown(opened[0][0])] == [4, 2]
        flood(journals[0].commit, 900)
        # Another transaction has the row that is to go: no node's commit waits for it.
        other.execute(f"SELECT * FROM unknown_device WHERE imei = '99{0:013}' FOR UPDATE")
        journals[1].commit([attempt(f"98{n:013}", NOW + 20_000 + n) for n in range(110)])
        other.rollback()
        journals[0].commit([attempt(A)])
        assert len(shown(opened[0][0])) == unknown.MAX_ROWS
    finally:
        other.close()
        for journal, (database, _) in zip(journals, opened, strict=True):
            journal.close()
            database.close()


def test_attempts_are_not_remembered_to_be_written_again() -> None:
    """They are added to what is there: after a loss they would count twice."""
    recent = Recent(None)
    recent.add({"unknown": {A: attempt(A).values}, "running": {A: (A, None)}}, [(1,)], 1)
    rows, events = recent.since(0)
    assert (rows, events) == ({"running": {A: (A, None)}}, [(1,)])


def test_large_commits_are_remembered_compressed() -> None:
    storm = [
        (NOW, "device.online", f"{n:015}", None, '{"connection":1}', n) for n in range(1, 300)
    ]
    recent = Recent(None)
    recent.add({}, storm[:-1], 298)
    recent.add({}, storm[-1:], 299)
    large, small = recent._commits
    assert large.compressed
    assert not small.compressed
    assert len(large.packed) < 298 * 20
    assert recent.since(0) == ({}, storm)
    assert recent.since(298) == ({}, storm[-1:])
