"""How searches are carried out: by indexes alone, whatever the database holds beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy import event as hooks
from ulid import ULID

from devgate.store import diagnosis, finding, following, history, statistics
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.journal import Journal
from devgate.store.numbering import floor_id
from tests.store.commands import EPOCH, command_row

DEVICES, COMMANDS, EVERY = 40, 3000, 0.5


def imei(number: int) -> str:
    return f"86{number % DEVICES:013}"


@pytest.fixture
def used(database: Database) -> Database:
    """Three events of each command, and one of each device for ten commands."""
    journal = Journal(database)
    for first in range(0, COMMANDS, 100):
        rows = []
        for number in range(first, first + 100):
            at, key = EPOCH + number * EVERY, f"k{number}"
            id = str(ULID.from_timestamp(at))
            spent = key if number % 9 else None
            rows.append(command_row(id, imei=imei(number), key=key, spent=spent, accepted_at=at))
            rows += [
                Row("event", (at, type, imei(number), id, "{}"))
                for type in ("command.accepted", "command.sent", "command.ended")
            ]
            if not number % 10:
                rows.append(Row("event", (at, "device.online", imei(number // 10), None, "{}")))
        journal.commit(rows)
    journal.close()
    with database.write() as conn:
        by_command = conn.scalar(text("SELECT count(*) FROM event WHERE NOT by_device"))
        assert by_command == 3 * COMMANDS
        conn.execute(text("ANALYZE"))
    return database


def plans(
    database: Database, search: Callable[[Connection], Any], *without: str
) -> list[list[str]]:
    """The plan of each statement of this search, line by line; `without` these ways to do it."""
    statements: list[tuple[str, Any]] = []

    def note(conn: Any, cursor: Any, statement: str, values: Any, *more: Any) -> None:
        statements.append((statement, values))

    with database.read() as conn:
        hooks.listen(conn, "before_cursor_execute", note)
        search(conn)
        hooks.remove(conn, "before_cursor_execute", note)
        if database.dialect == "postgresql":
            # For a table as small as this it sorts some rows rather than read them in order.
            for way in ("bitmapscan", "hashjoin", "mergejoin", *without):
                conn.execute(text(f"SET LOCAL enable_{way} = off"))
        explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
        return [
            [row[-1] for row in conn.exec_driver_sql(f"{explain} {statement}", values)]
            for statement, values in statements
        ]


TYPES = frozenset({"command.ended", "log.lost"})
MIDDLE = EPOCH + COMMANDS / 2 * EVERY
# How many statements it takes at most: commands 20 seconds apart need a second look.
SEARCHES: dict[str, tuple[int, Callable[[Connection], Any]]] = {
    "page": (2, lambda conn: history.events_after(conn, 5000, 100, imei(3))),
    "first page": (2, lambda conn: history.events_after(conn, 0, 100, imei(3))),
    "of all": (1, lambda conn: history.events_after(conn, 5000, 100)),
    "of some types": (1, lambda conn: following.page(conn, 5000, 9000, 100, TYPES)),
    "of all for a reader": (1, lambda conn: following.page(conn, 5000, 9000, 100, frozenset())),
    "time": (2, lambda conn: finding.in_time(conn, imei(3), MIDDLE, MIDDLE + 300, 2000)),
    "presence": (2, lambda conn: statistics.presence_before(conn, imei(3), MIDDLE)),
    "diagnosis": (2, lambda conn: diagnosis.events_of(conn, imei(3), MIDDLE)),
    "answers": (1, lambda conn: diagnosis.answers_of(conn, imei(3), MIDDLE, 500)),
    "key": (1, lambda conn: history.by_key(conn, "k100")),
    "commands with the key": (1, lambda conn: history.page(conn, key="k100", limit=50)),
    "commands of a device": (1, lambda conn: history.page(conn, imei=imei(3), limit=10)),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_uses_indexes_alone(used: Database, name: str) -> None:
    """No table is read as a whole, and nothing is sorted but what one key has."""
    statements, search = SEARCHES[name]
    found = plans(used, search)
    assert 1 <= len(found) <= statements
    for plan in found:
        lines = "\n".join(plan)
        if used.dialect == "sqlite":
            assert "SEARCH" in lines
            assert not re.search(r"SCAN (event|command|e|c)\b", lines), lines
            assert "AUTOMATIC" not in lines, lines
            sorts = "TEMP B-TREE" in lines
        else:
            assert "Seq Scan" not in lines, lines
            assert len(re.findall(r"Index (?:Only )?Scan", lines)) <= lines.count("Index Cond")
            sorts = "Sort" in lines
        assert not sorts or name == "commands with the key", lines


def test_events_of_some_types_have_their_index(used: Database) -> None:
    """Both databases see that its condition is that of the search."""
    [plan] = plans(used, lambda conn: following.page(conn, 5000, 9000, 100, TYPES))
    assert any("event_without_noise" in line for line in plan), plan


def test_a_page_of_a_device_that_is_used_much_takes_several_steps(
    used: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them looks at this many commands, and none at all of them."""
    monkeypatch.setattr(finding, "MAX_READ", 10)
    search = plans(used, lambda conn: history.events_after(conn, 0, 90, imei(3)))
    assert 3 <= len(search) <= 5


@pytest.mark.parametrize("at", [0.0, 1.0, EPOCH, EPOCH + 0.123, 4e9, 2.0**31])
def test_the_database_makes_ids_of_a_time_as_the_gateway_does(
    database: Database, at: float
) -> None:
    with database.read() as conn:
        made = conn.scalar(
            text(f"SELECT {finding.ID_AT} FROM (SELECT CAST(:ms AS BIGINT) AS ms) AS times"),
            {"ms": int(at * 1000)},
        )
    assert made == floor_id(at)[:10]
