"""`devgate` with one fault planted: the checker must find it. Run by scripts/faults --plant NAME.

    python -m faulting.planted no-epoch serve --config gateway.toml

The product knows nothing of this: each function here replaces some of its methods, which is what
`method-assign` is ignored for. mypy sees that the methods are still there, with these parameters.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from devgate.cli.main import cli

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from devgate.gateway.command import Command
    from devgate.gateway.commands.claims import Mark, Sent
    from devgate.gateway.commands.device_commands import DeviceCommands
    from devgate.store.batches import Entry
    from devgate.store.trips import Trips


def no_epoch() -> None:
    """A commit does not look whether another gateway has taken over."""
    from devgate.store.ownership import Fence

    def check(self: Fence, conn: Connection, *, first: bool) -> None:
        """All is well."""

    def check_sqlite(self: Fence, session: sqlite3.Connection) -> None:
        """All is well."""

    def guard(self: Fence, trips: Trips) -> None:
        """All is well."""

    Fence.check = check  # type: ignore[method-assign]
    Fence.check_sqlite = check_sqlite  # type: ignore[method-assign]
    Fence.guard = guard  # type: ignore[method-assign]


def rows_given_up() -> None:
    """A row that the database refuses is forgotten, an outcome and an event as well."""
    from devgate.store.refused import OneByOne

    async def give_up(self: OneByOne[Any], entry: Entry[Any], error: Exception) -> str | None:
        self.lost += len(entry.rows)
        return None

    OneByOne._without_disposable = give_up  # type: ignore[method-assign]


def early_send() -> None:
    """The first byte goes out before the command is on disk as sent."""
    from devgate.gateway.commands.sending import Sender

    perform, written = Sender._perform, Sender._written
    early: dict[str, tuple[bool, Mark | None]] = {}

    def performed(self: Sender, device: DeviceCommands, command: Command) -> None:
        perform(self, device, command)
        connection = self._connected.get(device.imei)
        if device.current is command and connection is not None:
            early[command.id] = connection.transmit_marked(command.frame())

    def has_written(
        self: Sender, device: DeviceCommands, command: Command, error: Exception | None
    ) -> None:
        connection = self._connected.get(device.imei)
        went = early.pop(command.id, None)
        if connection is None or went is None:
            return written(self, device, command, error)
        kind: Any = type(connection)
        transmit = kind.transmit_marked
        kind.transmit_marked = lambda self, wire: went
        try:
            return written(self, device, command, error)
        finally:
            kind.transmit_marked = transmit

    Sender._perform = performed  # type: ignore[method-assign]
    Sender._written = has_written  # type: ignore[method-assign]


def oldest_first() -> None:
    """A result settles the oldest open command, whether or not its answer is still expected."""
    from devgate.gateway.commands.claims import Claims

    def group(
        self: Claims[Any], new: Sent[Any], registered: float, patience: Callable[[Any], float]
    ) -> None:
        """There are none."""

    def claimant(self: Claims[Any], kind: str) -> Sent[Any] | None:
        return next((entry for entry in self if entry.kind == kind), None)

    Claims._group = group  # type: ignore[method-assign]
    Claims._claimant = claimant  # type: ignore[method-assign]


PLANTS: Mapping[str, Callable[[], None]] = {
    "no-epoch": no_epoch,
    "rows-given-up": rows_given_up,
    "early-send": early_send,
    "oldest-first": oldest_first,
}
# Planted by the preload library, and only for `scripts/faults power`: fsync does nothing.
NO_FSYNC = "no-fsync"


def main() -> None:
    PLANTS[sys.argv.pop(1)]()
    cli(prog_name="devgate")


if __name__ == "__main__":
    main()
