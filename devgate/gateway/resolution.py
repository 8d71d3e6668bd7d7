"""The outcome of a command that is, or was, unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def contradicts(verdict: str, status: str) -> bool:
    """Whether the answer of the device contradicts the verdict that came before it."""
    return verdict == "other" or (verdict == "ran") is not (status == "200")


def resolution(row: Mapping[str, Any]) -> str | None:
    """What became of a command that was, or is, a 408: `unresolved`, `settled` (its answer came
    late), `resolved` by a person, or `contradicted`; None for any other.

    A row without a person's verdict need not have its columns.
    """
    verdict = row.get("verdict")
    if row["state"] != "ended":
        return None
    if verdict is None:
        return "unresolved" if row["status"] == "408" else "settled" if row["late"] else None
    before = row["resolved_status"] == "408" != row["status"]
    return "contradicted" if before and contradicts(verdict, row["status"]) else "resolved"


def of_record(row: Mapping[str, Any]) -> dict[str, object]:
    """The fields about it in a command record of control.md, without the time."""
    return {
        "resolution": resolution(row),
        "verdict": row.get("verdict"),
        "note": row.get("note"),
        "resolved_by": row.get("resolved_by"),
    }
