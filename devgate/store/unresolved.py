"""The inbox of unknown outcomes: its conditions, in the form of the indexes.

SQLite takes a partial index only for a search whose condition is written in the same way.
"""

from __future__ import annotations

# The commands for a person: a 408 without a verdict, and one whose answer came after the verdict
# and contradicts it. In this order the commands of a group stand together.
UNRESOLVED = "(status = '408' AND verdict IS NULL)"
CONTRADICTED = (
    "(status <> '408' AND resolved_status = '408' AND "
    "(verdict = 'other' OR (verdict = 'ran') <> (status = '200')))"
)
INBOX = f"({UNRESOLVED} OR {CONTRADICTED})"
INBOX_ORDER = "coalesce(group_id, id)"
RESOLVED = "resolved_at IS NOT NULL"
