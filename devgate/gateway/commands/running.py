"""Which devices run, and until when, by the confirmed starts."""

from __future__ import annotations

from devgate.gateway.clock import time
from devgate.gateway.command import Command
from devgate.gateway.known.directory import Directory
from devgate.gateway.storage import Records
from devgate.model import Imei


class Running:
    """Wall-clock ends of confirmed starts. Devices that count times are not among them."""

    def __init__(self, directory: Directory, records: Records) -> None:
        self._directory = directory
        self._records = records
        self._until: dict[Imei, float] = {}

    def load(self, until: dict[Imei, float]) -> None:
        """What the database says at the start: ends as wall clock."""
        self._until.update(until)

    def all(self) -> dict[Imei, float]:
        """As load() takes it."""
        return dict(self._until)

    def until(self, imei: Imei, now: float | None = None) -> float | None:
        """When the device will have finished; None if it is not known to run. `now`: the wall
        clock's time, if the caller knows it."""
        until = self._until.get(imei)
        if until is not None and until <= (time() if now is None else now):
            del self._until[imei]
            return None
        return until

    def imeis(self) -> list[Imei]:
        """The devices that run now, as far as is known."""
        return [imei for imei in list(self._until) if self.until(imei) is not None]

    def few(self, most: int) -> list[Imei] | None:
        """imeis(), unless there are more than that."""
        found: list[Imei] = []
        for imei in list(self._until):
            if self.until(imei) is not None:
                found.append(imei)
                if len(found) > most:
                    return None
        return found

    def note_outcome(self, command: Command, now: float) -> None:
        """A command has an outcome, at this time of the wall clock. Only a confirmed one changes
        anything.

        A start that is confirmed while the device runs adds to its time: that is
        what a device does with a second start.
        """
        if command.status != "200":
            return
        if command.type == "stop":
            if self._until.pop(command.imei, None) is not None:
                self._records.running(command.imei, None)
        elif command.long is not None:
            until = (self.until(command.imei, now) or now) + command.long
            if self._directory.counts_times(command.imei):
                return
            self._until[command.imei] = until
            self._records.running(command.imei, until)
