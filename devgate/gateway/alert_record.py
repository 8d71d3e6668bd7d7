"""Messages to receivers of alerts, sent or tried: in the log, the events and the list of them."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

from devgate.alerts.courier import Letter, SendResult
from devgate.errors import StoreError
from devgate.gateway.clock import time
from devgate.gateway.storage import Records
from devgate.store import alerts as stored

MAX_UNWRITTEN = 200  # messages that wait while the database is away

log = logging.getLogger("devgate.alerts")


class AlertRecord:
    """The record of messages. note() adds one in memory, write() writes all to the database."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._unwritten: deque[dict[str, Any]] = deque(maxlen=MAX_UNWRITTEN)

    def note(self, name: str, letter: Letter, result: SendResult, tries: int, last: bool) -> None:
        """Record one try to send a message: in the log, the events, and the list of messages."""
        state = "sent" if result.ok else "failed" if last else "waiting"
        if result.ok:
            log.info("alert sent receiver=%s rule=%s tries=%s", name, letter.rule, tries)
        else:
            log.warning("alert not sent receiver=%s rule=%s tries=%s state=%s error=%s",
                        name, letter.rule, tries, state, result.text)  # fmt: skip
        if last:
            detail = {"receiver": name, "rule": letter.rule, "count": tries}
            if not result.ok:
                detail["message"] = result.text
            self._records.event(f"alert.{state}", None, **detail)
        self._unwritten.append({
            "id": letter.id, "at": time(), "receiver": name, "rule": letter.rule,
            "title": letter.title, "text": letter.text, "state": state, "tries": tries,
            "error": None if result.ok else result.text,
        })  # fmt: skip

    async def write(self) -> None:
        """Write what was noted. Raises StoreError; then the newest MAX_UNWRITTEN messages wait."""
        rows = {row["id"]: row for row in self._unwritten}  # the latest try of each
        self._unwritten.clear()
        if not rows:
            return
        try:
            await self._records.change(stored.log_put, list(rows.values()))
        except StoreError:
            self._unwritten.extendleft(reversed(rows.values()))
            raise
