"""Keys at a node: another node may have spent any of them, so the database decides."""

from __future__ import annotations

from functools import partial

from devgate.errors import DevgateError, StoreError
from devgate.gateway.command import Command, Order
from devgate.gateway.commands.keys import Keys
from devgate.gateway.commands.orders import OnDone, Orders
from devgate.gateway.completion import result_of
from devgate.gateway.nodes.dispatcher import NodeDispatcher


class NodeKeys(Keys):
    """Never says that a key is new. The index over all nodes decides when a row is written."""

    def spend(self, key: str) -> None:
        """Nothing is noted: other nodes spend keys, too."""

    def is_new(self, key: str) -> bool:
        """As Keys.is_new(): never certain, since other nodes spend keys too."""
        return False

    async def prepare(self) -> None:
        """There is nothing to make room for."""

    async def load(self) -> None:
        """There is nothing to read."""
        self.ready = True


class NodeOrders(Orders):
    """Presumes that a key is new if this node does not know it and the order would be sent at
    once. Whether it was new is found when the row is written, before anything goes out. Other keys
    are looked up.

    So most orders read nothing. If a row is refused for its key, `Routing` submits the order
    again, and its key is looked up then, because this node knows it by now.
    """

    _dispatcher: NodeDispatcher

    def submit(self, order: Order, wait: bool, on_done: OnDone) -> None:
        """As Orders.submit()."""
        if order.key is None or not self._presumed(order, order.key):
            return super().submit(order, wait, on_done)
        decided = partial(self._decided, on_done)
        try:
            self._make_command(order, wait, decided, presumed=True)
        except DevgateError as err:
            on_done(err)
        return None

    def _presumed(self, order: Order, key: str) -> bool:
        """Whether the key is presumed to be new. Not if the order would be refused or change
        anything before a row is written: a repeated order must get the outcome of the first."""
        return (
            order.imei not in self._queues
            and not order.cancel
            and not self._spent.knows(key)
            and key not in self._dispatcher.by_key
            and key not in self._looking
            and self._records.state == "ok"
            and self._dispatcher.free(order.imei)
            and self._refusal(order) is None
        )

    def _decided(self, on_done: OnDone, found: Command | Exception) -> None:
        if isinstance(found, Command) and found.presumed and found.unwritten is None:
            # No row could be written, and it could not be read whether this key has one.
            found = StoreError(
                f"{found.message} for this request, but the key may have been used before: ask "
                "again with it",
                outcome="unknown",
            )
        on_done(found)

    async def _known(self, order: Order, key: str) -> Command | None:
        """As Orders._known(). A command of that key that is not on disk yet may be none."""
        while (one := self._dispatcher.by_key.get(key)) is not None and not one.recorded:
            await result_of(partial(one.on_settled, False))
        return await super()._known(order, key)

    async def _flushed(self) -> bool:
        """Keys that this node has spent are in its memory, and a key that another node spends at
        this moment is found when the row is written."""
        return True
