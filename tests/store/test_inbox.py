"""Verdicts on unknown outcomes, and the inbox of those that have none: SQLite and PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from devgate.model import Imei
from devgate.store import devices, inbox
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.inbox import InboxFilter
from devgate.store.journal import Journal
from devgate.store.unresolved import CONTRADICTED, INBOX
from tests.store.commands import EPOCH, command_row
from tests.store.plain import A, B
from tests.store.test_plans import plans
from tests.store.verdicts import late, listed, resolve, row, unknown

Write = Callable[..., Any]


def test_groups_stand_together_and_stops_and_old_ones_are_left_out(
    database: Database, journal: Journal
) -> None:
    group = {"ambiguous": True, "group_id": "5"}
    journal.commit([
        unknown("1"), unknown("2", **group), unknown("3"), unknown("4", type="stop", long=None),
        unknown("5", **group), unknown("6"),
    ])  # fmt: skip
    assert listed(database) == ["6", "5", "2", "3", "1"]
    assert listed(database, stops=True) == ["6", "5", "2", "4", "3", "1"]
    with database.read() as conn:
        assert set(inbox.group_of(conn, ["2", "3"])) == {"2", "5", "3"}
    resolve(journal, "5")
    assert listed(database) == ["6", "2", "3", "1"], "the others keep their place"
    with database.read() as conn:
        assert set(inbox.group_of(conn, ["5"])) == {"2", "5"}
    with database.write() as conn:
        conn.execute(text(f"UPDATE owner SET inbox_at = {EPOCH}, inbox_id = '3'"))
    assert listed(database) == ["6", "2", "3"]
    assert listed(database, old=True) == ["6", "2", "3", "1"]
    with database.write() as conn:
        conn.execute(text(f"UPDATE owner SET inbox_at = {EPOCH + 3}"))
    assert listed(database) == [], "they had ended before"


def test_filters_and_pages(
    database: Database, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as conn:
        devices.add(conn, Device(Imei(A), 1, name="Bay 1", site="North"))
        devices.add(conn, Device(Imei(B), 2, site="South"))
    journal.commit([
        unknown("1", source="web:anna"), unknown("2", imei=B, ended_at=EPOCH + 60),
        unknown("3", ended_at=EPOCH + 120), unknown("4", source="http:anna_b"),
    ])  # fmt: skip
    assert listed(database, site="North") == ["4", "3", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "MAX_INDEXED_DEVICES", 0)
        assert listed(database, site="North") == ["4", "3", "1"]
    assert listed(database, imei=B) == ["2"]
    assert listed(database, before=EPOCH + 60) == ["4", "1"]
    assert listed(database, since=EPOCH + 60) == ["3", "2"]
    assert listed(database, person="anna") == listed(database, person="web:anna") == ["1"]
    assert listed(database, person="anna%") == []
    resolve(journal, "2", by="socket:anna", at=EPOCH + 9)
    resolve(journal, "4", by="web:berta", at=EPOCH + 8)
    assert listed(database, state="resolved") == ["2", "4"]
    assert listed(database, state="resolved", person="anna") == ["2"]
    journal.commit([unknown(str(n), group_id="50" if n % 2 else None) for n in range(10, 50)])
    for looked in (InboxFilter(), InboxFilter(state="resolved")):
        with database.read() as conn:
            whole = [r["id"] for r in inbox.page(conn, looked, after=None, limit=100).rows]
            page = inbox.page(conn, looked, after=None, limit=7)
            pages = [r["id"] for r in page.rows]
            while page.next is not None:
                page = inbox.page(conn, looked, after=page.next, limit=7)
                pages += [r["id"] for r in page.rows]
        assert pages == whole
    with database.read() as conn:
        [first] = inbox.page(conn, InboxFilter(site="North"), after=None, limit=1).rows
    assert (first["name"], first["site"]) == ("Bay 1", "North")


def test_the_count_ends_somewhere(
    database: Database, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_COUNT", 5)
    journal.commit([unknown(str(n)) for n in range(9)])
    with database.read() as conn:
        assert inbox.count(conn, InboxFilter()) == (5, True)


def test_where_few_of_many_fit_a_page_is_short_and_the_next_one_goes_on(
    database: Database, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "WINDOW_ENTRIES", 4)
    journal.commit([unknown(f"{n:02}", imei=B if n in (1, 9) else A) for n in range(10)])
    for state in ("unresolved", "resolved"):
        looked, seen, after, pages = InboxFilter(state=state, imei=B), list[str](), None, 0
        with database.read() as conn:
            assert inbox.count(conn, looked) == (1, True)
            while pages == 0 or after is not None:
                rows, after = inbox.page(conn, looked, after=after, limit=3)
                seen += [row["id"] for row in rows]
                pages += 1
        assert (seen, pages) == (["09", "01"], 3)
        resolve(journal, *(f"{n:02}" for n in range(10)))


@pytest.mark.parametrize("state", ["unresolved", "contradicted", "resolved"])
def test_the_inbox_is_read_by_its_index_alone(
    database: Database, journal: Journal, state: Any
) -> None:
    """In both databases its condition is that of the index, which has all that is compared."""
    rows = [command_row(f"{n:05}") for n in range(2000)]
    rows[::40] = [unknown(f"{n:05}") for n in range(0, 2000, 40)]
    journal.commit(rows)
    resolve(journal, *(f"{n:05}" for n in range(0, 2000, 400)))
    with database.write() as conn:
        conn.execute(text("ANALYZE"))
    index = "command_resolved" if state == "resolved" else "command_inbox"
    looked = InboxFilter(state=state, person="anna", site="North", before=EPOCH, old=True)

    def look(conn: Any) -> None:
        inbox.count(conn, looked)
        inbox.page(conn, looked, after=None, limit=20)
        inbox.page(conn, looked, after="00800", limit=20)

    found = [plan for plan in plans(database, look) if index in "".join(plan)]
    assert len(found) == 6  # each also asks for what lies behind
    for plan in found:
        lines = "\n".join(plan)
        assert f"command USING COVERING INDEX {index}" in lines or (
            re.search(rf"Index Only Scan (Backward )?using {index}", lines)
        ), lines
        assert "Seq Scan on command" not in lines, lines
        assert "Sort" not in lines, lines
        assert "TEMP B-TREE" not in lines, lines


def test_the_condition_of_the_inbox_is_true_or_not_for_every_record(
    database: Database, journal: Journal
) -> None:
    """With NULLs in it: what Python says of each record is what both databases say."""
    from devgate.gateway.resolution import resolution

    journal.commit([
        unknown("1"), unknown("2"), unknown("3"), command_row("4"), late("5"),
        command_row("6", status="000", state="sent", ended_at=None),
        command_row("7", status="404"),
    ])  # fmt: skip
    resolve(journal, "2", "3", given="refunded")
    journal.commit([late("3")])

    def those(where: str) -> Sequence[str]:
        with database.read() as conn:
            return conn.scalars(text(f"SELECT id FROM command WHERE {where} ORDER BY id")).all()

    states = {str(n): resolution(row(database, str(n))) for n in range(1, 8)}
    assert states == {
        "1": "unresolved", "2": "resolved", "3": "contradicted", "4": None, "5": "settled",
        "6": None, "7": None,
    }  # fmt: skip
    assert those(INBOX) == ["1", "3"]
    assert those(CONTRADICTED) == ["3"]
    assert those(f"{INBOX} IS NOT TRUE") == ["2", "4", "5", "6", "7"]
