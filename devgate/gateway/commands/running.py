"""Which devices run, and until when, by the confirmed starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from devgate.gateway.clock import time
from devgate.gateway.command import Command
from devgate.gateway.known.directory import Directory
from devgate.model import Imei
from devgate.store.batch import Row


class Running:
    """Wall-clock ends of confirmed starts. Devices that count times are not among them."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._until: dict[Imei, float] = {}
        # When a device's last confirmed start ends, which may have passed. The second argument is
        # returned if there is none.
        self.end: Callable[[Imei, float], float] = self._until.get

    def load(self, until: dict[Imei, float]) -> None:
        """What the database says at the start: ends as wall clock."""
        self._until.update(until)

    def all(self) -> dict[Imei, float]:
        """All ends, as load() takes them."""
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

    def few(self, limit: int) -> list[Imei] | None:
        """imeis(); None if there are more than `limit`."""
        found: list[Imei] = []
        for imei in list(self._until):
            if self.until(imei) is not None:
                found.append(imei)
                if len(found) > limit:
                    return None
        return found

    def note_outcome(self, command: Command, now: float) -> Sequence[Row]:
        """A command has an outcome, at this time of the wall clock. Only a confirmed one changes
        anything. Returns what is to be written with the outcome.

        A start that is confirmed while the device runs adds to its time: that is
        what a device does with a second start.
        """
        imei = command.imei
        if command.status != "200":
            return ()
        if command.type == "stop":
            if self._until.pop(imei, None) is None:
                return ()
            return (Row("running", (imei, None)),)
        if command.long is None or self._directory.counts_times(imei):
            return ()
        until = self._until[imei] = max(self.end(imei, now), now) + command.long
        return (Row("running", (imei, until)),)
