"""Orders that arrive at one node, for a device that may be at another one."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import trio

from devgate.errors import DevgateError, StoreError
from devgate.gateway.command import Command, Order
from devgate.gateway.commands.ids import Ids
from devgate.gateway.commands.orders import Orders
from devgate.gateway.completion import result_of
from devgate.gateway.membership import Lost, Unreachable
from devgate.gateway.nodes.claimed import Claimed
from devgate.gateway.nodes.dispatcher import NodeDispatcher
from devgate.gateway.nodes.elsewhere import LOST_HOP, Elsewhere, OnDone, Reply, in_question
from devgate.gateway.nodes.holders import Holders
from devgate.gateway.nodes.records import NodeRecords
from devgate.gateway.quarantine import Rule
from devgate.store import history, nodes
from devgate.store.node_commits import KEY_SPENT

ROUTE_SECONDS = 5.0  # for an order to find the node of its device: longer than a lease
CLAIM_SECONDS = 2.0  # for the claim of a device that has just registered here
RETRY_SECONDS = 0.1  # between two looks
# The reply to a node that has handed over an order for a device that is not here.
MOVED: Reply = {"status": "404", "moved": True}

log = logging.getLogger("devgate.nodes")


class Links(Protocol):
    """The way to other nodes."""

    async def order(self, node: str, order: Order, wait: bool) -> Reply | None:
        """Hand an order over. None: its device is not there any more, and nothing was written.
        Raises Unreachable and Lost."""


class Routing:
    """Takes orders as `Orders` does, and hands those for devices of other nodes over.

    Only the row of a command is certain, so a hop that is lost costs time and nothing else: an
    order gets its id before it is handed over, and the first node that writes a row of that id
    decides. The other node writes the command, or this one writes that there is none.
    """

    def __init__(
        self,
        orders: Orders,
        dispatcher: NodeDispatcher,
        claimed: Claimed,
        records: NodeRecords,
        node: str,
        links: Links,
        learn: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        """`learn`: as Knowledge.learn(); what is not in memory counts as unknown here."""
        self.closed = False
        self._orders = orders
        self._dispatcher = dispatcher
        self._claimed = claimed
        self._records = records
        self._node = node
        self._links = links
        self._learn = learn
        self._elsewhere = Elsewhere(dispatcher, records, learn)
        self._holders = Holders(lambda imeis: records.read(nodes.holders, imeis), dispatcher.soon)

    @property
    def ids(self) -> Ids:
        """As Orders.ids."""
        return self._orders.ids

    def close(self) -> None:
        """The gateway stops: no more orders are taken."""
        self.closed = True
        self._orders.close()

    def bar(self, rule: Rule | None) -> None:
        """As TakesOrders.bar(). Orders for other nodes' devices are barred there."""
        self._orders.bar(rule)

    def submit(self, order: Order, wait: bool, on_done: OnDone) -> None:
        """Carry out the order, wherever its device is. Calls back as Orders.submit() does, or
        with another node's reply. One that has an id came from another node: it is not handed on,
        and called back with MOVED where its device is not here."""
        here = self._claimed.get(order.imei) is not None
        if order.id is not None and here:
            self._orders.submit(order, wait, partial(self._done_handed, order, wait, on_done))
        elif order.id is not None:
            self._begin(partial(self._handed, order, wait, on_done), on_done)
        elif here:
            self._here(order, wait, on_done)
        else:
            self._start(order, wait, on_done)

    def _begin(self, task: Callable[[], Awaitable[None]], on_done: OnDone) -> None:
        if not self._dispatcher.soon(task):
            on_done(StoreError("the gateway stops; nothing was sent"))

    def _done_handed(
        self, order: Order, wait: bool, on_done: OnDone, found: Command | Exception
    ) -> None:
        if isinstance(found, Command) and (found.unwritten is not None or _ends(found)):
            self._begin(partial(self._handed, order, wait, on_done, found), on_done)
        else:
            on_done(found)

    async def _handed(
        self,
        order: Order,
        wait: bool,
        on_done: OnDone,
        found: Command | Exception | None = None,
    ) -> None:
        """`found`: the result of the first try, if there was one."""
        if found is None:
            with trio.move_on_after(CLAIM_SECONDS):
                await self._claimed.settled(order.imei)
        while found is not None or self._claimed.get(order.imei) is not None:
            found = await self._done_by_this_node(order, wait, found)
            if not isinstance(found, Command) or found.unwritten is None:
                return on_done(found)
            if found.unwritten != KEY_SPENT:
                break
            try:
                row = await self._records.read(history.by_id, found.id)
            except StoreError as err:
                return on_done(in_question(order, err))
            if row is not None:  # the node that handed it over has written that there is none
                return on_done(Command.of(row))
            found = None  # the next try finds the command that has spent the key
        return on_done(MOVED)

    async def _done_by_this_node(
        self, order: Order, wait: bool, first: Command | Exception | None = None
    ) -> Command | Exception:
        """The command or error of the order at this node. `first`: as it was called back
        before."""
        if first is not None:
            found = first
        else:
            found = await result_of(partial(self._orders.submit, order, wait))
        if isinstance(found, Command) and _ends(found):
            return await result_of(partial(found.on_settled, True))
        return found

    def _here(self, order: Order, wait: bool, on_done: OnDone) -> None:
        self._orders.submit(order, wait, partial(self._done_here, order, wait, on_done))

    def _done_here(
        self, order: Order, wait: bool, on_done: OnDone, found: Command | Exception
    ) -> None:
        if isinstance(found, Command) and found.unwritten is not None:
            # Another node has spent its key at this moment, or has its device now.
            self._start(order, wait, on_done)
        elif isinstance(found, Command) and self._elsewhere.is_a_record(found) and wait:
            self._dispatcher.soon(partial(self._elsewhere.follow_for, found, on_done))
        else:
            on_done(found)

    def _start(self, order: Order, wait: bool, on_done: OnDone) -> None:
        self._begin(partial(self._route, order, wait, on_done), on_done)

    async def _route(self, order: Order, wait: bool, on_done: OnDone) -> None:
        found: Command | Exception | Reply
        try:
            found = await self._routed(order, wait, trio.current_time() + ROUTE_SECONDS)
        except Exception as err:
            found = err
            if not isinstance(err, DevgateError):
                log.exception("an order could not be routed imei=%s", order.imei)
        on_done(found)

    async def _routed(self, order: Order, wait: bool, until: float) -> Command | Reply:
        while True:
            # Each try has another id: the outcome of the try before is certain.
            attempt = replace(order, id=self.ids.next())
            hint = self._holders.hint(order.imei)
            node = await self._place(order, hint)
            if node is None:
                found = await self._done_by_this_node(attempt, wait)
                if isinstance(found, Exception):
                    raise found
                if found.unwritten is None:
                    if wait and self._elsewhere.is_a_record(found):
                        return await self._elsewhere.follow(found.id)
                    return found
                if found.unwritten == KEY_SPENT:
                    continue  # the next try finds the command that has spent it
            else:
                try:
                    reply = await self._links.order(node, attempt, wait)
                except Unreachable as err:
                    # The link has logged this once, at a higher level. This is for each order.
                    log.debug("node cannot be reached node=%s error=%s", node, err)
                except Lost:
                    return await self._elsewhere.lost(attempt, wait)
                else:
                    if reply is not None:
                        self._holders.note(order.imei, node)
                        return reply
                if hint is not None:
                    continue  # the database knows where the device is by now
            if trio.current_time() > until:
                if (earlier := await self._elsewhere.earlier(order, wait)) is not None:
                    return earlier
                raise StoreError(LOST_HOP)
            await trio.sleep(RETRY_SECONDS)

    async def _place(self, order: Order, hint: str | None) -> str | None:
        """The node that has the device, or had it a while ago. None: it is here, or nowhere.
        Raises StoreError."""
        if self._claimed.waits(order.imei):
            with trio.move_on_after(CLAIM_SECONDS):
                await self._claimed.settled(order.imei)
        if self._claimed.get(order.imei) is not None:
            return None
        if hint is not None:
            return hint
        try:
            node = await self._holders.find(order.imei)
            if node is None or node == self._node:
                await self._learn([order.imei])
                return None
        except StoreError as err:
            raise in_question(order, err) from err
        return node


def _ends(found: Command) -> bool:
    """Whether it has ended, and its end is not on disk yet. Another node may have it: callers wait
    for the end that is on disk."""
    return found.state == "ended" and not found.done
