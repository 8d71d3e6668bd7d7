"""How the starts of each device went, for lists such as "failing more than 5 %".

The commits that a start waits for do not write it: its rows lie as far apart as the devices do,
and a commit would have a page more for each. They are added up here, and written in the order of
the devices. A gateway that is killed loses what it has not written: FLUSH_SECONDS of counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import trio

from devgate.errors import StoreError
from devgate.gateway.command import Command
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.store import starts
from devgate.store.starts import KEPT, Starts

FLUSH_SECONDS = 10.0
SLICE = 200  # devices in a transaction: about two milliseconds
STEP_SECONDS = 0.02  # between two of them: commits with starts come in between
MAX_DEVICES = 20_000  # that wait; starts of others are not counted until these are written
LAST_SECONDS = 5.0  # for the last of them, when the gateway stops

COUNTED = frozenset({"200", "201", "202", "408"})  # outcomes of what was sent


def together(first: Starts, later: Starts) -> Starts:
    """What some starts of a device and later ones of it add to its row."""
    imei, weight, asked, failed, hour = later
    return Starts(
        imei,
        first.weight * weight,
        first.asked * weight + asked,
        first.failed * weight + failed,
        hour or first.hour,
    )


class StartRates:
    """Adds up outcomes of starts, and writes them from time to time."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._waiting: dict[Imei, Starts] = {}
        self._any = trio.Event()  # set once something waits
        self._writing = trio.Lock()

    def note(self, command: Command) -> None:
        """A command has ended."""
        if command.type == "start" and command.status in COUNTED:
            done = command.status == "200"
            hour = int((command.ended_at or 0) // 3600) if done else 0
            self._add(command.imei, Starts(command.imei, KEPT, 1.0, 0.0 if done else 1.0, hour))

    def note_late(self, command: Command) -> None:
        """A result has come after the 408."""
        if command.type == "start" and command.status == "200":
            hour = int((command.late_at or 0) // 3600)
            self._add(command.imei, Starts(command.imei, 1.0, 0.0, -1.0, hour))

    def _add(self, imei: Imei, more: Starts) -> None:
        before = self._waiting.get(imei)
        if before is not None:
            self._waiting[imei] = together(before, more)
        elif len(self._waiting) < MAX_DEVICES:
            self._waiting[imei] = more
            self._any.set()

    async def run(self) -> None:
        """Write what waits, until it is cancelled; then it writes the rest."""
        with suppress(StoreError):  # it is known then that the database is away
            await self._records.change(starts.mend)
        try:
            while True:
                await self._any.wait()
                await trio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            with trio.move_on_after(LAST_SECONDS, shield=True):
                await self.flush(0.0)

    async def flush(self, step: float = STEP_SECONDS) -> None:
        """Write what waits, behind what is being written. What the database does not take now
        waits on. `step`: seconds between two transactions, in which starts are committed; 0 for
        a process that ends, which takes none."""
        async with self._writing:
            self._any = trio.Event()
            imeis = sorted(self._waiting)
            for at in range(0, len(imeis), SLICE):
                rows = [self._waiting.pop(imei) for imei in imeis[at : at + SLICE]]
                try:
                    await self._records.change(starts.count, rows)
                except BaseException as err:
                    self._wait_on(rows)
                    if isinstance(err, StoreError):
                        return
                    raise
                await trio.sleep(step)

    def _wait_on(self, rows: Sequence[Starts]) -> None:
        for row in rows:
            imei = Imei(row.imei)
            if (later := self._waiting.pop(imei, None)) is not None:
                row = together(row, later)
            self._add(imei, row)
