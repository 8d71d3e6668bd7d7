"""Two nodes on one PostgreSQL, and short words for what they write."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from time import time
from typing import Any

from devgate.store import history
from devgate.store.batch import Row
from devgate.store.node_commits import Committed
from devgate.store.node_journal import NodeJournal
from devgate.store.node_opening import node_database
from tests.store.commands import command_row, event
from tests.store.plain import A

LATE_WINDOW = 60.0
# Connections begin a second apart. A node reckons times in the database's clock, which it knows to
# some milliseconds on a busy machine, and a claim of an older connection is refused.
_began = itertools.count(-3600.0)


class OneNode:
    """A node's database and journal, and short words for what it writes."""

    def __init__(self, url: str, name: str, clock: Callable[[], float] = time) -> None:
        self.database, self.member = node_database(url, name, "0.1.0")
        self.journal = NodeJournal(
            self.database, self.member, late_window=LATE_WINDOW, clock=clock
        )

    def close(self) -> None:
        self.journal.close()
        self.database.close()

    def commit(self, *rows: Row) -> Committed:
        return self.journal.commit(rows)

    def claims(self, imei: str = A, generation: int = 1, since: float | None = None) -> Committed:
        return self.commit(device(imei, generation, since=since))

    def read(self, function: Callable[..., Any], *args: Any) -> Any:
        with self.database.read() as conn:
            return function(conn, *args)


def device(imei: str, generation: int, *, online: bool = True, since: float | None = None) -> Row:
    type = "device.online" if online else "device.offline"
    values = (imei, online, since or time() + next(_began), time(), "127.0.0.1:5", generation)
    return Row("device", (values, [event(type, imei=imei).values]))


def order(
    id: str,
    *,
    state: str = "sent",
    status: str = "000",
    fresh: bool = True,
    generation: int | None = 1,
    **more: Any,
) -> Row:
    values = command_row(id, state=state, status=status, **more).values
    told = (more.get("sent_at", 1.0), f"command.{state}", more.get("imei", A), id, "{}")
    return Row("order", (values, [told], fresh, generation if state == "sent" else None))


def types(node: OneNode) -> list[tuple[int, str]]:
    return [(row[-1], row[1]) for row in node.read(history.events_after, 0, 1000)]
