"""Unknown outcomes, and what people say of them."""

from __future__ import annotations

import json
from typing import Any

from devgate.store import history, inbox
from devgate.store.batch import Row
from devgate.store.engine import Database
from devgate.store.inbox import InboxFilter
from devgate.store.journal import Journal
from devgate.store.verdicts import VERDICT, Verdict
from tests.store.commands import EPOCH, command_row
from tests.store.plain import A

UNSAID = (
    "verdict = NULL, note = NULL, resolved_by = NULL, resolved_at = NULL, resolved_status = NULL"
)


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


def row(database: Database, id: str) -> dict[str, Any]:
    with database.read() as conn:
        found = history.by_id(conn, id)
    assert found is not None
    return dict(found)


def told(database: Database) -> list[tuple[str, str, Any]]:
    with database.read() as conn:
        events = history.events_after(conn, 0, 100)
    return [(event[1], event[3], json.loads(event[4]).get("status")) for event in events]


def listed(database: Database, **looked: Any) -> list[str]:
    with database.read() as conn:
        found = InboxFilter(**looked)
        rows = inbox.page(conn, found, after=None, limit=1000).rows
        assert inbox.count(conn, found) == (len(rows), False)
        return [row["id"] for row in rows]
