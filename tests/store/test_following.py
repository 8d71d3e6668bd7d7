"""Pages of the log by type: complete, with the right ends, and without a look at the noise."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Set
from typing import Any

import pytest
from sqlalchemy import event as hooks
from sqlalchemy import text

from devgate.events.kinds import KINDS, Event
from devgate.gateway.storage import NOISE
from devgate.store import following, history
from devgate.store.engine import Database
from devgate.store.event_tables import NOISE_TYPES
from devgate.store.journal import Journal
from tests.events.pages import page_of
from tests.store.commands import event

ALL: Set[str] = frozenset()
ENDED = frozenset({"command.ended"})
COMMANDS = frozenset(kind for kind in KINDS if kind.startswith("command."))


def fill(database: Database, types: list[str]) -> list[Event]:
    """Write events of these types; returns them as they are."""
    journal = Journal(database)
    written = journal.commit([event(type) for type in types])
    journal.close()
    return [Event.of(row) for row in written]


def pages(
    database: Database, until: int, limit: int, types: Set[str], after: int = 0
) -> Iterator[following.FoundEvents]:
    """Page by page as a reader asks for them, to the end."""
    with database.read() as conn:
        while after < until:
            page = following.page(conn, after, until, limit, types)
            yield page
            if page.end == after:
                return
            after = page.end


def test_noise_is_what_events_there_are() -> None:
    assert NOISE < set(NOISE_TYPES) < set(KINDS)


@pytest.mark.parametrize(
    "types",
    [ALL, ENDED, COMMANDS, frozenset({"log.lost", "device.added"}), frozenset({"device.offline"}),
     ENDED | {"device.online"}],
    ids=["all", "ended", "commands", "rare", "noise", "both"],
)  # fmt: skip
def test_pages_together_are_all_events_of_these_types(database: Database, types: Set[str]) -> None:
    dice = random.Random(7)
    events = fill(database, dice.choices(list(KINDS), k=300))
    for limit in (1, 7, 1000):
        found = list(pages(database, 300, limit, types))
        rows = [row for page in found for row in page.rows]
        assert [Event.of(row) for row in rows] == page_of(events, 0, 300, 1000, types).events
        assert all(len(page.rows) <= limit for page in found)
        assert found[-1].end == 300, "the position moves on past what nobody asked for"
        assert [page.first for page in found] == [1, *(page.end + 1 for page in found[:-1])]


@pytest.mark.parametrize("types", [ALL, ENDED], ids=["all", "ended"])
def test_the_oldest_that_is_kept_and_the_newest_that_was_told_bound_a_page(
    database: Database, types: Set[str]
) -> None:
    fill(database, ["command.ended", "device.online"] * 50)
    with database.write() as conn:
        assert history.trim_oldest(conn, 40) == 60
    with database.read() as conn:
        page = following.page(conn, 10, 90, 1000, types)
        assert (page.rows[0][-1], page.rows[-1][-1]) == (61, 90 if types == ALL else 89)
        assert (page.first, page.end) == (61, 90)
        # A database that has lost the newest events gets them again: nothing is passed over.
        assert following.page(conn, 10, 500, 1000, types).end == 100
        assert following.page(conn, 100, 500, 1000, types) == ([], 101, 100)


@pytest.mark.parametrize("types", [ALL, ENDED], ids=["all", "ended"])
def test_an_empty_table_has_no_end(database: Database, types: Set[str]) -> None:
    with database.read() as conn:
        assert following.page(conn, 4, 9, 100, types) == ([], 5, 4)


def looked_at(database: Database, types: Set[str], after: int, until: int) -> int:
    """What one page costs: in SQLite steps of its machine, of which each row takes several; in
    PostgreSQL the rows that the scans of its plan have read."""
    with database.read() as conn:
        if database.dialect == "sqlite":
            steps = 0

            def step() -> None:
                nonlocal steps
                steps += 1

            raw: Any = conn.connection.driver_connection
            raw.set_progress_handler(step, 1)
            following.page(conn, after, until, 500, types)
            raw.set_progress_handler(None, 1)
            return steps
        statements: list[tuple[str, Any]] = []

        def note(conn: Any, cursor: Any, statement: str, values: Any, *more: Any) -> None:
            statements.append((statement, values))

        hooks.listen(conn, "before_cursor_execute", note)
        following.page(conn, after, until, 500, types)
        hooks.remove(conn, "before_cursor_execute", note)
        [(statement, values)] = statements
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
        plan = conn.exec_driver_sql(explain, values).scalar_one()
    return rows_of((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def rows_of(node: dict[str, Any]) -> int:
    count = sum(map(rows_of, node.get("Plans", [])))
    if "Relation Name" in node:
        seen = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        count += int((seen + node.get("Rows Removed by Index Recheck", 0)) * node["Actual Loops"])
    return count


@pytest.mark.parametrize("analyzed", [False, True], ids=["new", "analyzed"])
def test_noise_costs_a_reader_nothing(database: Database, analyzed: bool) -> None:
    """20,000 events of noise between two that are wanted: no row of them is read."""
    noise = [NOISE_TYPES[n % len(NOISE_TYPES)] for n in range(20_000)]
    fill(database, ["command.ended", *noise[:10]])
    fill(database, noise)
    fill(database, ["command.sent", "command.ended"])
    if analyzed:
        with database.write() as conn:
            conn.execute(text("ANALYZE"))
    last = 20_013
    with database.read() as conn:
        page = following.page(conn, 0, last, 500, ENDED)
    assert ([row[-1] for row in page.rows], page.first, page.end) == ([1, last], 1, last)
    cost = looked_at(database, ENDED, 0, last)
    assert 0 < cost < (300 if database.dialect == "sqlite" else 10)
    assert looked_at(database, ENDED | {"device.online"}, 0, last) >= 500, "this one wants noise"
