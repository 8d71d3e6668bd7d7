"""Outcomes of an earlier run: out of its side file, into the records of their commands."""

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
from devgate.store.late import Late
from devgate.store.ownership import Owner

ANSWERS = ("200", "201", "202")  # what a device has said

log = logging.getLogger("devgate.recovery")


class LateOutcomes:
    """Brings them in. One counts only for a command that is `sent` or 408 on record."""

    def __init__(
        self, records: Records, running: Running, live: Mapping[str, Command],
        owner: Owner | None, file: Path,
        withdraw: Callable[[Imei, str], None] = lambda imei, id: None,
    ) -> None:  # fmt: skip
        self._records = records
        self._running = running
        self._live = live  # commands that have not ended in this run: theirs is this run's word
        self._owner = owner  # None: a database that nobody owns has no side file
        self._file = file
        self._withdraw = withdraw  # called with a command that no result may settle any more

    def write(self, rows: Sequence[Row]) -> None:
        """What is not in the database when the process ends goes beside it, on disk when this
        returns. It blocks: nothing else is to be done any more."""
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
        """Import the side file if there is one. It is gone then, or set aside if some of it did
        not count."""
        if self._owner is None:
            return
        try:
            lines = await trio.to_thread.run_sync(late.read, self._file)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as err:
            log.error("the outcomes of an earlier run cannot be read error=%s", err)
            return
        rest = await self.import_lines(lines)
        if not await self._records.flushed():
            return  # it stays; what is on disk by then does no harm the next time
        if rest:
            aside = await trio.to_thread.run_sync(late.set_aside, self._file)
            log.error("outcomes are left over lines=%s file=%s", len(rest), aside)
        else:
            await trio.to_thread.run_sync(self._file.unlink)

    async def import_lines(self, lines: Sequence[Late]) -> list[str]:
        """Returns what did not count, each with a reason."""
        rest = []
        for line in lines:
            if (why := await self._one(line)) is not None:
                rest.append(f"{line.command['id']} {line.command['status']}: {why}")
                log.error(
                    "outcome of an earlier run does not count command=%s status=%s reason=%s",
                    line.command["id"], line.command["status"], why,
                )  # fmt: skip
        log.info("outcomes of an earlier run taken=%s left=%s", len(lines) - len(rest), len(rest))
        return rest

    async def _one(self, line: Late) -> str | None:
        """Why it does not count."""
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
