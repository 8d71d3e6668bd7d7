"""Rows as the gateway writes them, for the tests of the journal and of what reads it."""

from __future__ import annotations

from typing import Any

from devgate.store.batch import KINDS, Row
from tests.store.plain import A

EPOCH = 1_700_000_000.0


def command_row(id: str, **changed: Any) -> Row:
    """A command that ended as 200; `changed` by the columns' names."""
    values: dict[str, Any] = {
        "id": id,
        "imei": A,
        "type": "start",
        "long": 500,
        "key": None,
        "spent": None,
        "status": "200",
        "state": "ended",
        "message": "started",
        "late": False,
        "source": "socket",
        "accepted_at": EPOCH,
        "sent_at": EPOCH + 1,
        "ended_at": EPOCH + 2,
        "late_at": None,
        "expires_at": None,
        "timeout": None,
        "running": False,
        "sequence": None,
        "ambiguous": False,
        "why": None,
        "new_address": False,
        "group_id": None,
    }
    assert set(changed) <= set(values)
    values.update(changed)
    return Row("command", tuple(values[name] for name in KINDS["command"].columns))


def event(type: str = "device.online", at: float = EPOCH, imei: str | None = A) -> Row:
    return Row("event", (at, type, imei, None, "{}"))
