"""The old program stands still: from then on its state does not change while it is sent."""

from __future__ import annotations

from devgate.errors import StoreError
from devgate.gateway.commands.orders import Orders
from devgate.gateway.gateway import Gateway


async def stand_still(gateway: Gateway) -> None:
    """When this returns, nothing is read, sent, begun or committed, and all that began has ended.

    No request may be let in meanwhile. Raises StoreError if the database cannot be written.
    """
    await gateway.pauses.pause()
    gateway.dispatcher.hold()
    gateway.desk.unregistered.attempts.flush()
    records = gateway.records
    # The end of one may begin another: a connection that ends posts rows, and rows that are on
    # disk call back. So this is repeated until nothing had to be waited for.
    while True:
        if not await records.flushed():
            raise StoreError(f"not all is on disk: {records.state}")
        if await _has_ended(gateway):
            return


async def _has_ended(gateway: Gateway) -> bool:
    """Wait until all that began has ended. False if something else has begun meanwhile."""
    records, dispatcher, orders = gateway.records, gateway.dispatcher, gateway.orders
    lifetimes = gateway.desk.lifetimes
    assert isinstance(orders, Orders), "it works alone"
    await records.callbacks.ended()
    await dispatcher.called_back()
    await orders.looked_up()
    await lifetimes.settled()
    return not (
        records.backlog
        or records.callbacks.under_way is not None
        or dispatcher.calling_back
        or orders.looking
        or lifetimes.changing
    )
