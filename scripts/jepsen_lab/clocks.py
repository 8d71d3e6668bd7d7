"""Times of records that were written while the clock of a node was wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from crashing.processes import Json

from jepsen_lab.history import History

LAG = 25.0  # seconds until `watch` has told what was written during a fault
EARLIER = 2.0  # seconds that a command may have been sent before that was told
COLUMNS = {"command.sent": "sent_at", "command.ended": "ended_at", "command.late": "late_at"}


def true_times(history: History) -> Sequence[Json]:
    """The records, with the times at which `watch` told the events in place of those of a clock
    that may have been wrong."""
    if not history.stepped:
        return history.records
    told: dict[str, dict[str, float]] = defaultdict(dict)
    for event in history.events:
        at = history.told_at.get(event.n)
        if event.command is not None and at is not None:
            told[event.command][event.type] = at
    return [
        _true(record, told.get(str(record["command"]), {}), history) for record in history.records
    ]


def _true(record: Json, told: dict[str, float], history: History) -> Json:
    if not any(
        begin - 1 < at < end + LAG for at in told.values() for begin, end in history.stepped
    ):
        return record
    found = dict(record)
    for type, column in COLUMNS.items():
        if found[column] is not None and type in told:
            earlier = EARLIER if column == "sent_at" else 0.0
            found[column] = told[type] + history.wall - earlier
    return found
