"""Verdicts on unknown outcomes, and the inbox of those that have none: SQLite and PostgreSQL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from devgate.model import Imei
from devgate.store import aged, devices, history, inbox
from devgate.store.batch import Row
from devgate.store.device import Device
from devgate.store.engine import Database
from devgate.store.inbox import Looked
from devgate.store.journal import Journal
from devgate.store.unresolved import CONTRADICTED, INBOX
from devgate.store.verdicts import VERDICT, Verdict
from tests.store.commands import EPOCH, command_row
from tests.store.plain import A, B, run
from tests.store.test_plans import plans

Write = Callable[..., Any]
UNSAID = (
    "verdict = NULL, note = NULL, resolved_by = NULL, resolved_at = NULL, resolved_status = NULL"
)


@pytest.fixture
def journal(database: Database) -> Iterator[Journal]:
    opened = Journal(database)
    yield opened
    opened.close()


def unknown(id: str, **more: Any) -> Row:
    return command_row(id, **{"status": "408", "message": "unknown", **more})


def late(id: str, status: str = "200", **more: Any) -> Row:
    return command_row(id, **{"status": status, "late": True, "late_at": EPOCH + 9, **more})


def verdict(*ids: str, given: str = "ran", by: str = "anna", at: float = EPOCH + 5) -> Verdict:
    def tell(id: str, status: str) -> tuple[Any, ...]:
        detail = json.dumps({"verdict": given, "status": status})
        return at, "command.resolved", A, id, detail

    return Verdict(ids, given, "looked", by, at, tell)


def resolve(journal: Journal, *ids: str, **more: Any) -> dict[str, str]:
    """By id: the status that those had for which the verdict counts."""
    one = verdict(*ids, **more)
    journal.commit([Row(VERDICT, (one,))])
    return dict(one.resolved)


def listed(database: Database, **looked: Any) -> list[str]:
    with database.read() as conn:
        found = Looked(**looked)
        rows = inbox.page(conn, found, after=None, limit=1000).rows
        assert inbox.count(conn, found) == (len(rows), False)
        return [row["id"] for row in rows]


def row(database: Database, id: str) -> dict[str, Any]:
    with database.read() as conn:
        found = history.by_id(conn, id)
    assert found is not None
    return dict(found)


def told(database: Database) -> list[tuple[str, str, Any]]:
    with database.read() as conn:
        events = history.events_after(conn, 0, 100)
    return [(event[1], event[3], json.loads(event[4]).get("status")) for event in events]


def test_the_first_verdict_counts_and_has_its_event(database: Database, journal: Journal) -> None:
    journal.commit([unknown("1", key="k", spent="k"), unknown("2"), command_row("3")])
    both = verdict("1", "3"), verdict("1", "2", given="refunded", by="berta")
    journal.commit([Row(VERDICT, (one,)) for one in both])
    assert [one.resolved for one in both] == [{"1": "408"}, {"2": "408"}]
    assert resolve(journal, "1", "2", "9", by="carla") == {}
    found = row(database, "1")
    assert (found["verdict"], found["note"], found["resolved_by"]) == ("ran", "looked", "anna")
    assert (found["status"], found["spent"], found["resolved_status"]) == ("408", "k", "408")
    assert row(database, "2")["resolved_by"] == "berta"
    assert told(database) == [("command.resolved", id, "408") for id in "12"]
    assert listed(database) == []


@pytest.mark.parametrize(
    ("given", "status", "says_otherwise"),
    [
        ("ran", "200", False), ("ran", "201", True), ("did_not_run", "200", True),
        ("did_not_run", "202", False), ("refunded", "200", True), ("refunded", "201", False),
        ("other", "200", True), ("other", "201", True),
    ],
)  # fmt: skip
def test_a_late_answer_is_kept_and_one_that_says_otherwise_brings_it_up_again(
    database: Database, journal: Journal, given: str, status: str, says_otherwise: bool
) -> None:
    journal.commit([unknown("1"), unknown("2")])
    resolve(journal, "1", given=given)
    assert listed(database) == ["2"]
    journal.commit([late("1", status), late("2", status)])
    found = row(database, "1")
    assert (found["status"], found["late"], found["verdict"]) == (status, True, given)
    again = ["1"] if says_otherwise else []
    assert listed(database) == listed(database, state="contradicted") == again
    assert listed(database, state="resolved") == ["1"][len(again) :]
    assert resolve(journal, "1", "2", given="ran", by="berta") == dict.fromkeys(again, status)
    assert listed(database) == []
    assert listed(database, state="resolved") == ["1"]


def test_a_verdict_and_the_answer_in_one_commit(database: Database, journal: Journal) -> None:
    """The verdict is judged by what was there before, and told before the answer."""
    journal.commit([unknown("1")])
    one = verdict("1", given="refunded")
    answer = Row("event", (EPOCH + 9, "command.late", A, "1", '{"status": "200"}'))
    journal.commit([late("1"), answer, Row(VERDICT, (one,))])
    assert one.resolved == {"1": "408"}
    assert [type for type, _, _ in told(database)] == ["command.resolved", "command.late"]
    assert listed(database, state="contradicted") == ["1"]


def test_a_commit_that_fails_leaves_no_verdict(database: Database, journal: Journal) -> None:
    journal.commit([unknown("1")])
    with pytest.raises(Exception, match=r"(?i)constraint"):
        journal.commit([Row(VERDICT, (verdict("1"),)), command_row("2", state="nowhere")])
    assert told(database) == []
    assert listed(database) == ["1"]


def test_retention_deletes_no_unresolved_one(database: Database, journal: Journal) -> None:
    ids = [str(n) for n in range(1, 8)]
    journal.commit([
        unknown("1"), unknown("2"), unknown("3"), unknown("4", type="stop", long=None),
        command_row("5"), late("6"), late("7"),
    ])  # fmt: skip
    resolve(journal, "2")
    resolve(journal, "3")
    journal.commit([late("3", "201")])
    with database.write() as conn:
        found = aged.old_commands(conn, EPOCH + 100, "")
        assert found == ["2", "5", "6", "7"]
        assert aged.old_commands(conn, EPOCH + 100, "5") == ["6", "7"]
        assert aged.delete_commands(conn, ids) == 4, "looked at again when they are deleted"
    assert listed(database, stops=True) == ["4", "3", "1"]


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


def test_filters_and_pages(database: Database, journal: Journal) -> None:
    with database.write() as conn:
        devices.add(conn, Device(Imei(A), 1, name="Bay 1", site="North"))
        devices.add(conn, Device(Imei(B), 2, site="South"))
    journal.commit([
        unknown("1", source="web:anna"), unknown("2", imei=B, ended_at=EPOCH + 60),
        unknown("3", ended_at=EPOCH + 120), unknown("4", source="http:anna_b"),
    ])  # fmt: skip
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
    for looked in (Looked(), Looked(state="resolved")):
        with database.read() as conn:
            whole = [r["id"] for r in inbox.page(conn, looked, after=None, limit=100).rows]
            page = inbox.page(conn, looked, after=None, limit=7)
            pages = [r["id"] for r in page.rows]
            while page.next is not None:
                page = inbox.page(conn, looked, after=page.next, limit=7)
                pages += [r["id"] for r in page.rows]
        assert pages == whole
    with database.read() as conn:
        [first] = inbox.page(conn, Looked(site="North"), after=None, limit=1).rows
    assert (first["name"], first["site"]) == ("Bay 1", "North")


def test_the_count_ends_somewhere(
    database: Database, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOST", 5)
    journal.commit([unknown(str(n)) for n in range(9)])
    with database.read() as conn:
        assert inbox.count(conn, Looked()) == (5, True)


def test_where_few_of_many_fit_a_page_is_short_and_the_next_one_goes_on(
    database: Database, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "WINDOW", 4)
    journal.commit([unknown(f"{n:02}", imei=B if n in (1, 9) else A) for n in range(10)])
    for state in ("unresolved", "resolved"):
        looked, seen, after, pages = Looked(state=state, imei=B), list[str](), None, 0
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
    looked = Looked(state=state, person="anna", site="North", before=EPOCH, old=True)

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


def test_a_verdict_that_the_database_lost_is_written_again(
    database_url: str, database: Database
) -> None:
    journal = Journal(database, resume=True)
    journal.commit([unknown("1"), Row("event", (EPOCH, "device.online", A, None, "{}"))])
    assert resolve(journal, "1") == {"1": "408"}
    run(
        database_url,
        "DELETE FROM event WHERE n > 1",
        f"UPDATE command SET {UNSAID}",
    )
    journal.close()
    with pytest.raises(Exception, match="the database lost the events 2 to 2"):
        journal.commit([])
    journal.commit([])
    journal.close()
    found = row(database, "1")
    assert (found["verdict"], found["resolved_by"], found["resolved_status"]) == (
        "ran", "anna", "408",
    )  # fmt: skip
    assert told(database)[-1] == ("command.resolved", "1", "408")
