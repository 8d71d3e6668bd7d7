"""While the database is a restored copy that may lack orders, no machine is started twice.

Without a quarantine a start costs nothing more: `Orders` has one rule, which is None then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from devgate.gateway.command import Order
from devgate.gateway.storage import Records
from devgate.store import quarantine as stored
from devgate.store.history import Reading
from devgate.store.quarantine import QuarantineState

# A status; a message, None for the usual one; and the reason, where the status has several.
Refusal = tuple[str, str | None, str | None]
Rule = Callable[[Order], Refusal | None]

REASON = "quarantine"
MESSAGE = (
    "the database is a copy that was restored, and whether this order was tried after it was made "
    "is unknown: an operator has to lift the quarantine, or list the key as untried; nothing was "
    "sent"
)

log = logging.getLogger("devgate.commands")


class Quarantine:
    """Whether there is one, and which keys may be started in spite of it, as the database says."""

    def __init__(self, records: Records, bar: Callable[[Rule | None], None]) -> None:
        """`bar` is given the rule that orders are refused by; None: there is none."""
        self.held: QuarantineState | None = None
        self._untried: frozenset[str] = frozenset()
        self._records = records
        self._bar = bar

    @property
    def keys(self) -> int:
        """How many keys may be started in spite of it."""
        return len(self._untried)

    async def load(self) -> None:
        """Read the quarantine from the database. Raises StoreError."""
        before = self.held
        self.held, self._untried = await self._records.read(_read)
        self._bar(None if self.held is None else self._refusal)
        if self.held is not None and self.held != before:
            log.warning("every start is refused reason=%s untried=%s", self.held.reason, self.keys)

    async def allow(self, keys: Sequence[str], source: str) -> int:
        """These may be started, too. Returns how many they all are. Raises CallerError as
        `stored.allow`, and StoreError."""
        count = await self._records.change(stored.allow, keys)
        await self.load()
        self._records.event("quarantine.allowed", None, count=len(keys), source=source)
        return count

    async def lift(self, source: str) -> QuarantineState:
        """Starts are accepted again. Returns what was lifted. Raises CallerError (409) if there
        is no quarantine, and StoreError."""
        held = await self._records.change(stored.lift)
        await self.load()
        log.warning("the quarantine is lifted source=%s reason=%s", source, held.reason)
        self._records.event("quarantine.lifted", None, reason=held.reason, source=source)
        return held

    def _refusal(self, order: Order) -> Refusal | None:
        if order.type != "start" or order.key in self._untried:
            return None
        return "423", MESSAGE, REASON


def _read(conn: Reading) -> tuple[QuarantineState | None, frozenset[str]]:
    return stored.read(conn), stored.untried(conn)
