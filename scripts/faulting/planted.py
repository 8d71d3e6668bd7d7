"""`devgate` with one fault planted: the checker must find it. Run by scripts/faults --plant NAME.

    python -m faulting.planted no-epoch serve --config gateway.toml

The product knows nothing of this: each function here replaces one of its functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from devgate.cli.main import cli


def no_epoch() -> None:
    """A commit does not look whether another gateway has taken over."""
    from devgate.store.ownership import Fence

    def check(self: Fence, conn: Any, *, first: bool) -> None:
        """All is well."""

    assert callable(Fence.check)
    Fence.check = check  # type: ignore[method-assign]


def rows_given_up() -> None:
    """A row that the database refuses is forgotten, an outcome and an event as well."""
    from devgate.store.refused import OneByOne

    async def give_up(self: OneByOne[Any], entry: Any, error: Exception) -> str | None:
        self.lost += len(entry.rows)
        return None

    assert callable(OneByOne._without_disposable)
    OneByOne._without_disposable = give_up  # type: ignore[method-assign]


def early_send() -> None:
    """The first byte goes out before the command is on disk as sent."""
    from devgate.gateway.commands.dispatcher import Dispatcher

    perform, written = Dispatcher._perform, Dispatcher._written
    early: set[str] = set()

    def performed(self: Dispatcher, device: Any, command: Any) -> None:
        perform(self, device, command)
        connection = self._connected.get(device.imei)
        if device.current is command and connection and connection.transmit(command.frame()):
            early.add(command.id)

    def has_written(self: Dispatcher, device: Any, command: Any, *rest: Any) -> None:
        connection = self._connected.get(device.imei)
        if connection is None or command.id not in early:
            return written(self, device, command, *rest)
        kind: Any = type(connection)
        transmit = kind.transmit
        kind.transmit = lambda self, wire: True
        try:
            return written(self, device, command, *rest)
        finally:
            kind.transmit = transmit

    Dispatcher._perform = performed  # type: ignore[method-assign]
    Dispatcher._written = has_written  # type: ignore[method-assign, assignment]


def oldest_first() -> None:
    """A result settles the oldest open command, whether or not its answer is still expected."""
    from devgate.gateway.commands.claims import Claims, Sent

    assert callable(Claims._group)
    assert callable(Claims._claimant)

    def group(self: Claims[Any], new: Sent[Any], *rest: Any) -> None:
        """There are none."""

    def claimant(self: Claims[Any], kind: str) -> Sent[Any] | None:
        return next((entry for entry in self if entry.kind == kind), None)

    Claims._group = group  # type: ignore[method-assign, assignment]
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
