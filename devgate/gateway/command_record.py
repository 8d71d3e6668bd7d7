"""The record of a command, as callers and pages get it: made from its row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devgate.errors import REFUSED, outcome_of
from devgate.gateway.resolution import of_record
from devgate.model import iso


def record_outcome(state: str, status: str) -> str:
    """The outcome of a recorded command. A conflict is another request's, and never recorded:
    a record with 409, of an earlier version, is a start that was refused."""
    if state != "ended":
        return "pending"
    return REFUSED if status == "409" else outcome_of(status)


def record(row: Mapping[str, Any]) -> dict[str, object]:
    """The command record of control.md, from the columns of its row. A row without a person's
    verdict need not have its columns."""
    return {
        "status": row["status"] if row["state"] == "ended" else "000",
        "late": bool(row["late"]),
        "message": row["message"],
        "imei": row["imei"],
        "type": row["type"],
        "long": row["long"],
        "command": row["id"],
        "key": row["key"],
        "source": row["source"],
        "state": row["state"],
        "accepted_at": iso(row["accepted_at"]),
        "sent_at": iso(row["sent_at"]),
        "ended_at": iso(row["ended_at"]),
        "late_at": iso(row["late_at"]),
        "expires_at": iso(row["expires_at"]),
        "running": bool(row["running"]),
        "why": row["why"],
        "new_address": bool(row["new_address"]),
        "ambiguous": bool(row["ambiguous"]),
        "outcome": record_outcome(row["state"], row["status"]),
        "group": row["group_id"],
        **of_record(row),
        "resolved_at": iso(row.get("resolved_at")),
    }
