"""How the starts of each device went, for lists such as "failing more than 5 %".

These counts are not written in the commits that starts wait for. Their rows lie as far apart as
the devices, so each commit would write one more page. They are added up here and written in the
order of the devices. A gateway that is killed loses at most FLUSH_SECONDS of counts.
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
from devgate.store.starts import WEIGHT_DECAY, Starts

FLUSH_SECONDS = 10.0
DEVICES_A_COMMIT = 200  # about two milliseconds
PAUSE_SECONDS = 0.02  # between two of these commits: those of starts come in between
MAX_DEVICES = 20_000  # that wait; other devices are not counted until these are written
LAST_FLUSH_SECONDS = 5.0  # for the last commits, when the gateway stops

COUNTED_STATUSES = frozenset({"200", "201", "202", "408"})  # outcomes of what was sent


def together(first: Starts, later: Starts) -> Starts:
    """The sum of some starts of a device and of later ones, as its row has it."""
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
        if command.type == "start" and command.status in COUNTED_STATUSES:
            done = command.status == "200"
            hour = int((command.ended_at or 0) // 3600) if done else 0
            self._add(
                command.imei, Starts(command.imei, WEIGHT_DECAY, 1.0, 0.0 if done else 1.0, hour)
            )

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
        """Write what waits every FLUSH_SECONDS. When it is cancelled, it writes what is left."""
        with suppress(StoreError):  # the writer reports that the database is away
            await self._records.change(starts.mend)
        try:
            while True:
                await self._any.wait()
                await trio.sleep(FLUSH_SECONDS)
                await self.flush()
        finally:
            with trio.move_on_after(LAST_FLUSH_SECONDS, shield=True):
                await self.flush(0.0)

    async def flush(self, step: float = PAUSE_SECONDS) -> None:
        """Write what waits, after what is being written. What cannot be written now goes on
        waiting. `step`: seconds between two commits, in which starts are committed; 0 for a
        process that ends, which starts nothing."""
        async with self._writing:
            self._any = trio.Event()
            imeis = sorted(self._waiting)
            for at in range(0, len(imeis), DEVICES_A_COMMIT):
                rows = [self._waiting.pop(imei) for imei in imeis[at : at + DEVICES_A_COMMIT]]
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
