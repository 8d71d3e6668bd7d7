"""The outcome of an order that another node has, from its record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import trio

from devgate.errors import DevgateError, StoreError
from devgate.gateway.clock import time
from devgate.gateway.command import Command, Order
from devgate.gateway.completion import result_of
from devgate.gateway.details import ended
from devgate.gateway.nodes.dispatcher import NodeDispatcher
from devgate.gateway.nodes.records import NodeRecords, NotWritten
from devgate.store import history

Reply = Mapping[str, Any]

FOLLOW_SECONDS = 0.5  # between two looks at a record that another node writes
LOST_HOP = "it could not be handed to the node of its device in time; nothing was sent"

# A reply of another node is passed on as it is.
OnDone = Callable[[Command | Exception | Reply], None]


class Elsewhere:
    """Commands that another node has, or may have: only their rows are certain."""

    def __init__(
        self,
        dispatcher: NodeDispatcher,
        records: NodeRecords,
        learn: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        """`learn`: as Knowledge.learn()."""
        self._dispatcher = dispatcher
        self._records = records
        self._learn = learn

    def is_a_record(self, command: Command) -> bool:
        """Whether another node has the command: then this object is only a copy of its row."""
        return command.state != "ended" and command.id not in self._dispatcher.live

    async def follow(self, id: str, wait: bool = True) -> Command:
        """The command once its record has ended, or (not `wait`) as it is there.

        Raises StoreError: then its outcome is unknown.
        """
        while True:
            try:
                row = await self._records.read(history.by_id, id)
            except StoreError as err:
                raise StoreError(
                    f"{err}: the outcome of the command {id} is unknown, ask again",
                    outcome="unknown",
                ) from err
            if row is not None and (row["state"] == "ended" or not wait):
                return Command.of(row)
            await trio.sleep(FOLLOW_SECONDS)

    async def follow_for(self, command: Command, on_done: OnDone) -> None:
        """follow(), with a callback."""
        try:
            on_done(await self.follow(command.id))
        except DevgateError as err:
            on_done(err)

    async def earlier(self, order: Order, wait: bool) -> Command | None:
        """The command that has spent the order's key before, if there is one. Raises StoreError
        if that cannot be looked up."""
        if order.key is not None:
            try:
                row = await self._records.read(history.by_key, order.key)
            except StoreError as err:
                raise in_question(order, err) from err
            if row is not None:
                return await self.follow(row["id"], wait)
        return None

    async def lost(self, order: Order, wait: bool) -> Command | Reply:
        """The other node has the order, or never had it. If a row of its id can be written here,
        no other node can write one any more. Raises StoreError if the database cannot tell."""
        assert order.id is not None, "it was given one"
        with suppress(StoreError):  # for the name of the device in its event
            await self._learn([order.imei])
        now = time()
        command = Command(order.id, order, now)
        command.ends("503", now, LOST_HOP)
        error = await result_of(partial(self._records.tomb, command, ended, now))
        if error is None:
            command.set_recorded()
            command.set_done()
            return await self.earlier(order, wait) or command
        if not (isinstance(error, NotWritten) and error.known):
            raise StoreError(
                "the node of the device was lost, and what it did cannot be looked up now "
                f"({error}): the outcome is unknown, ask again with the key",
                outcome="unknown",
            )
        return await self.follow(order.id, wait)


def in_question(order: Order, why: StoreError) -> StoreError:
    """The error for an order that cannot be handed on, and whose key cannot be looked up."""
    if order.key is None:
        return why
    return StoreError(
        f"{why}; nothing was sent for this request, but the key may have been used before: ask "
        "again with it",
        outcome="unknown",
    )
