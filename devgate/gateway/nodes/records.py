"""How a node writes rows: each under its condition, with its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from devgate.errors import StoreError
from devgate.gateway.command import Command
from devgate.gateway.details import accepted
from devgate.gateway.storage import CommandEvent, OnDisk, OnDone, Records
from devgate.model import Imei
from devgate.store.batch import Row
from devgate.store.node_commits import KEY_SPENT, MOVED, WRITTEN
from devgate.store.node_rows import Fate


class NotWritten(StoreError):
    """The row of a command was not written. `why` is one of MOVED (its device
    is another node's), KEY_SPENT, WRITTEN (its id is there already), or a sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the row was refused: {why}")
        self.why = why

    @property
    def known(self) -> bool:
        """Whether the database has refused the row; False: it could not be reached."""
        return self.why in (MOVED, KEY_SPENT, WRITTEN)


class NodeRecords(Records):
    """Writes rows that another node may have changed."""

    claims = True

    def __init__(
        self,
        *args: Any,
        generation_of: Callable[[Imei], int | None],
        by_own_clock: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    ) -> None:
        """`generation_of` is of the connection that a device's commands are sent on. For
        `by_own_clock` see here(): the journal turns these times back into the database's."""
        super().__init__(*args)
        self._generation_of = generation_of
        self._by_own_clock = by_own_clock

    def here(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """As Records.here(): times on disk are by the database's clock."""
        return self._by_own_clock(row)

    def write(
        self, command: Command, events: Sequence[CommandEvent], at: float, on_done: OnDone
    ) -> None:
        """As Records.write(), with the conditions of a cluster in the same transaction.

        Calls back with NotWritten where another node has the device, or has spent the key.
        """
        if self._database.loss:
            return on_done(StoreError(self._database.loss))
        front = self._front(command)
        rows = [event(command, front, at).values for event in events]
        generation = self._generation_of(command.imei) if command.state == "sent" else None
        return self._write((command.values(), rows, accepted in events, generation), on_done)

    def _write(self, values: tuple[Any, ...], on_done: OnDone) -> None:
        fate = Fate()
        row = Row("order", (*values, None, (fate,)))
        self._writer.write([row], partial(_written, fate, on_done))

    def post(self, command: Command, *events: Row) -> None:
        """As Records.post()."""
        rows = [event.values for event in events]
        row = Row("order", (command.values(), rows, False, None))
        self._writer.post([row], None if events else ("command", command.id))

    def post_event(
        self,
        command: Command,
        event: CommandEvent,
        at: float,
        on_disk: OnDisk | None = None,
        more: Sequence[Row] = (),
    ) -> None:
        """As Records.post_event()."""
        rows = [event(command, self._front(command), at).values]
        row = Row("order", (command.values(), rows, not command.noted, None, command))
        self._writer.post([row, *more])
        if on_disk is not None:
            self.flush(on_disk)

    def presence(self, values: tuple[Any, ...], *events: Row) -> None:
        """As Records.presence(), with the claim to the device: neither is ever given up."""
        row = Row("device", (values, [event.values for event in events]))
        # Claims are never given up: without one no command could be sent to the device.
        self._writer.post([row], None if events else ("presence", values[0]))

    def offline(self, imei: Imei, reason: str | None) -> None:
        """Not for a node: `estate` marks the devices of nodes that have ended."""
        raise AssertionError("devices of dead nodes are marked by `estate`")

    def tomb(self, command: Command, event: CommandEvent, at: float, on_done: OnDone) -> None:
        """Write the end of a command of which no other node may write a row any more. Calls back
        with NotWritten where there is a row of its id."""
        rows = [event(command, self._front(command), at).values]
        self._write((command.values(), rows, True, None), on_done)


def _written(fate: Fate, on_done: OnDone, error: Exception | None) -> None:
    on_done(error if fate.why is None or error is not None else NotWritten(fate.why))
