"""Outcomes of an earlier run: read from its side file, and written to the records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from devgate.gateway.clock import time
from devgate.gateway.command import Command
from devgate.gateway.commands.running import Running
from devgate.gateway.details import ended, settled_late
from devgate.gateway.storage import Records
from devgate.model import Imei
from devgate.store import history, late
from devgate.store.batch import Row
from devgate.store.late import LateCommand
from devgate.store.ownership import Owner

ANSWERS = ("200", "201", "202")  # statuses that a device has sent

log = logging.getLogger("devgate.recovery")


class LateOutcomes:
    """Imports them. One counts only for a command that is `sent` or 408 on record."""

    def __init__(
        self, records: Records, running: Running, live: Mapping[str, Command],
        owner: Owner | None, file: Path,
        withdraw: Callable[[Imei, str], None] = lambda imei, id: None,
    ) -> None:  # fmt: skip
        self._records = records
        self._running = running
        self._live = live  # commands that have not ended: their outcome is this run's to write
        self._owner = owner  # None: a database that nobody owns has no side file
        self._file = file
        self._withdraw = withdraw  # called with a command that no result may settle any more

    def write(self, rows: Sequence[Row]) -> None:
        """Write the side file: rows that are not in the database when the process ends. They are
        on disk when this returns. It blocks, because nothing else is to be done any more."""
        if self._owner is None:
            return
        try:
            count = late.write(self._file, self._owner, rows)
        except OSError as err:
            log.error("outcomes cannot be written anywhere file=%s error=%s", self._file, err)
            for row in rows:
                if row.kind == "command":
                    log.error("an outcome that is on no disk row=%s", row.values)
        else:
            if count:
                log.warning("outcomes written beside the database n=%s file=%s", count, self._file)

    async def import_file(self) -> None:
        """Import the side file if there is one. It is deleted then, or renamed if some of its
        outcomes did not count."""
        if self._owner is None:
            return
        try:
            lines = await trio.to_thread.run_sync(late.read, self._file)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as err:
            log.error("the outcomes of an earlier run cannot be read error=%s", err)
            return
        rejected = await self.import_lines(lines)
        if not await self._records.flushed():
            return  # the file stays: to import an outcome twice changes nothing
        if rejected:
            aside = await trio.to_thread.run_sync(late.set_aside, self._file)
            log.error("outcomes are left over lines=%s file=%s", len(rejected), aside)
        else:
            await trio.to_thread.run_sync(self._file.unlink)

    async def import_lines(self, lines: Sequence[LateCommand]) -> list[str]:
        """Import these outcomes. Returns those that did not count, each with a reason."""
        rejected = []
        for line in lines:
            if (why := await self._one(line)) is not None:
                rejected.append(f"{line.command['id']} {line.command['status']}: {why}")
                log.error(
                    "outcome of an earlier run does not count command=%s status=%s reason=%s",
                    line.command["id"], line.command["status"], why,
                )  # fmt: skip
        log.info(
            "outcomes of an earlier run taken=%s left=%s",
            len(lines) - len(rejected),
            len(rejected),
        )
        return rejected

    async def _one(self, line: LateCommand) -> str | None:
        """Import one outcome. Returns why it does not count; None if it does."""
        id, status = line.command["id"], line.command["status"]
        if self._owner is None or line.database != self._owner.database:
            return f"it belongs to the database {line.database}"
        if id in self._live:
            return "the command is under way"
        found = await self._records.read(history.by_id, id)
        if found is None:
            return "no such command is on record"
        row = self._records.here(found)
        if row["state"] == "ended" and row["status"] == status:
            return None
        if row["state"] == "sent" and line.command["state"] == "ended":
            self._ends(Command.of(row), line.command)
        elif row["state"] == "ended" and row["status"] == "408" and status in ANSWERS:
            self._settles(Command.of(row), line.command)
        else:
            return f"on record it is {row['state']}, {row['status']}"
        return None

    def _ends(self, command: Command, line: Mapping[str, Any]) -> None:
        self._withdraw(command.imei, command.id)
        command.ends(line["status"], line["ended_at"] or time(), line["message"])
        if line["late"]:
            command.late, command.late_at = True, line["late_at"]
        now = time()
        runs = self._running.note_outcome(command, now)
        self._records.post_event(command, ended, now, more=runs)

    def _settles(self, command: Command, line: Mapping[str, Any]) -> None:
        self._withdraw(command.imei, command.id)
        command.settles_late(line["status"], line["late_at"] or line["ended_at"] or time())
        now = time()
        runs = self._running.note_outcome(command, now)
        self._records.post_event(command, settled_late, now, more=runs)
