"""Registrations of devices that are not in memory: they are answered once they were looked up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

import trio

from devgate.errors import DevgateError
from devgate.gateway.devices.connection import Connection
from devgate.gateway.nodes.directory import NodeDirectory
from devgate.gateway.nodes.knowledge import OnLearned
from devgate.model import Imei
from devgate.protocol.frames import Event, Frame

RETRY_SECONDS = 1.0  # between two look-ups while the database is away


class Registrations:
    """While the database is away such a device gets no answer. It must not get 300, which says
    that its IMEI is unknown. It registers again, or its connection ends because it did not
    register.

    What follows the registration on its connection waits with it, in order: at most the bytes that
    a connection may send before it has registered.
    """

    def __init__(
        self,
        directory: NodeDirectory,
        ask: Callable[[Imei, OnLearned], None],
        answer: Callable[[Connection, Sequence[Event]], None],
    ) -> None:
        """`ask` looks a device up, and `answer` answers events of a connection."""
        self._directory = directory
        self._ask = ask
        self._answer = answer
        self._held: dict[Connection, list[Event]] = {}
        self._again: list[tuple[Connection, Imei]] = []  # whose look-up failed

    def __len__(self) -> int:
        """How many connections wait."""
        return len(self._held)

    def now(self, connection: Connection, events: Sequence[Event]) -> Sequence[Event]:
        """Those of the events that can be answered at once. `connection` has not registered."""
        held = self._held.get(connection)
        if held is not None:
            held.extend(events)
            return ()
        for at, event in enumerate(events):
            if (
                isinstance(event, Frame)
                and event.command == "HT"
                and event.status == "000"
                and not self._directory.holds(event.imei)
            ):
                self._held[connection] = list(events[at:])
                self._look_up(connection, event.imei)
                return events[:at]
        return events

    def ended(self, connection: Connection) -> None:
        """The connection is over, and had not registered."""
        self._held.pop(connection, None)

    def _look_up(self, connection: Connection, imei: Imei) -> None:
        self._ask(imei, partial(self._learned, connection, imei))

    def _learned(self, connection: Connection, imei: Imei, err: DevgateError | None) -> None:
        if err is not None:
            self._again.append((connection, imei))
            return
        events = self._held.pop(connection, None)
        if events is None or connection.why:
            return
        # The first one is answered, whether the device is known or not.
        self._answer(connection, events[:1])
        later: Sequence[Event] = events[1:]
        if later and not connection.request_start and not connection.why:
            later = self.now(connection, later)
        if later and not connection.why:
            self._answer(connection, later)

    async def run(self) -> NoReturn:
        """Repeat look-ups that failed because the database was away, for ever."""
        while True:
            await trio.sleep(RETRY_SECONDS)
            again, self._again = self._again, []
            for connection, imei in again:
                if connection in self._held:
                    self._look_up(connection, imei)
