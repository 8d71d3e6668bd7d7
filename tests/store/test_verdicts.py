"""Verdicts on unknown outcomes: SQLite and PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from devgate.errors import StoreError
from devgate.store import aged
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.verdicts import VERDICT
from tests.store.commands import EPOCH, command_row
from tests.store.plain import A, run
from tests.store.verdicts import UNSAID, late, listed, resolve, row, told, unknown, verdict


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
    """It is judged by the rows before the commit, and its event comes before the answer."""
    journal.commit([unknown("1")])
    one = verdict("1", given="refunded")
    answer = Row("event", (EPOCH + 9, "command.late", A, "1", '{"status": "200"}'))
    journal.commit([late("1"), answer, Row(VERDICT, (one,))])
    assert one.resolved == {"1": "408"}
    assert [type for type, _, _ in told(database)] == ["command.resolved", "command.late"]
    assert listed(database, state="contradicted") == ["1"]


def test_a_commit_that_fails_leaves_no_verdict(database: Database, journal: Journal) -> None:
    journal.commit([unknown("1")])
    with pytest.raises(IntegrityError, match=r"(?i)constraint"):
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
    with pytest.raises(StoreError, match="the database lost the events 2 to 2"):
        journal.commit([])
    journal.commit([])
    journal.close()
    found = row(database, "1")
    assert (found["verdict"], found["resolved_by"], found["resolved_status"]) == (
        "ran", "anna", "408",
    )  # fmt: skip
    assert told(database)[-1] == ("command.resolved", "1", "408")
